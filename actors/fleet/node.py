"""`NodeActor`: the node as Thespian knows it. Its process is the node; what it serves is in `serving.py`.

Thespian runs the actor in the main thread and waits in a selector there. What the other thread has to say goes into
a queue, and one byte into a pipe, which that selector watches too (`ThespianWatch`): no polling. A watch holds only
until the next message has been handled, so every handler gives it anew.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from contextlib import suppress
from functools import partial
from typing import Any

from thespian.actors import ActorTypeDispatcher, ThespianWatch

from actors.fleet.mail import Answer, Drain, LaunchNode, Passed, Report, addressed
from actors.fleet.serving import NodeServer
from actors.gateway.server import log_to_standard_error

__all__ = ["NodeActor"]


class NodeActor(ActorTypeDispatcher):  # type: ignore[misc]  # Thespian has no types
    """Child of the supervisor, which sends `LaunchNode` first."""

    def __init__(self) -> None:
        super().__init__()
        self._supervisor: Any = None
        self._server: NodeServer | None = None
        self._mail: deque[tuple[Any, Any]] = deque()
        self._ring, self._bell = os.pipe()
        os.set_blocking(self._bell, False)
        self._watch = ThespianWatch([self._ring])

    def receiveMessage(self, message: Any, sender: Any) -> Any:  # noqa: N802 - Thespian's name
        """Handle a message, and go on watching."""
        super().receiveMessage(message, sender)
        return self._watch

    def receiveMsg_WatchMessage(self, _message: Any, _sender: Any) -> None:  # noqa: N802
        """Send what the server says."""
        os.read(self._ring, 65_536)
        while self._mail:
            address, message = self._mail.popleft()
            self.send(address, message)

    def receiveMsg_LaunchNode(self, message: LaunchNode, sender: Any) -> None:  # noqa: N802
        """Begin to serve."""
        if self._server is not None:
            return
        _log_as_ever(verbose=message.plan.verbose)
        self._supervisor = sender
        self._server = NodeServer(message, partial(self._say, sender))
        self._server.start()

    def receiveMsg_Report(self, message: Report, _sender: Any) -> None:  # noqa: N802
        """Pass it on."""
        if self._server is not None:
            self._server.post(partial(self._server.report, message.survey))

    def receiveMsg_Drain(self, _message: Drain, _sender: Any) -> None:  # noqa: N802
        """Pass it on."""
        if self._server is not None:
            self._server.post(self._server.drain)

    def receiveMsg_Passed(self, message: Passed, _sender: Any) -> None:  # noqa: N802
        """Pass it on, and the answer back to whoever asked."""
        server = self._server
        if server is None:
            return

        async def answer() -> None:
            self._say(*addressed(message.asker, await server.answer(message.request)))

        server.post(answer)

    def receiveMsg_Answer(self, message: Answer, _sender: Any) -> None:  # noqa: N802
        """Give it to whoever waits for it."""
        if self._server is not None:
            self._server.answered(message)

    def _say(self, address: Any, message: Any) -> None:
        """Have something sent; from any thread."""
        self._mail.append((address, message))
        with suppress(BlockingIOError):  # it rings already
            os.write(self._bell, b"!")


def _log_as_ever(*, verbose: bool) -> None:
    """Log to standard error, as every process does.

    Thespian has put a logger in the root's place that mails each record to its own logging process, from any thread,
    and that refuses other handlers. A node logs for every socket.
    """
    root = logging.getLogger()
    root.__class__ = logging.RootLogger
    root.handlers.clear()
    root.setLevel(logging.WARNING)
    log_to_standard_error(verbose)
