"""What a node's process is there for: a gateway with its ConversationSystem, on an event loop in a thread.

The main thread belongs to Thespian, which knows nothing of event loops. Each side may call the other from its own
thread: `NodeServer.post()` runs something in the loop, and what the loop has to say is given to `say`, which may be
called from any thread. If the thread ends unasked, so does the process: whoever watches it is to see that the node
is dead.

The shared port belongs to all nodes of the host (SO_REUSEPORT). Who drains closes its half of it first, so that the
kernel sends nobody new; the port of its own stays open until the last turn has ended.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from actors.fleet.mail import (
    Drained,
    Interrupt,
    Interrupted,
    LaunchNode,
    Moved,
    NodeFailed,
    NodeReport,
    NodeServing,
    Refused,
)
from actors.gateway.agents import find_agent
from actors.gateway.application import Gateway
from actors.gateway.server import Server, bind, collect_garbage_rarely, gateway_on, listen, name_of
from actors.gateway.settings import GatewaySettings
from protocol.errors import AntiphonError, FleetConnectionNotFoundError

__all__ = ["NodeServer"]

_GATHER_SECONDS = 0.05
"""How long what the directory is to know may gather before it is sent."""
_BROKEN = 70
"""The exit code of a node whose thread failed."""

_log = logging.getLogger("antiphon.fleet")


class NodeServer:
    """Serves in a thread of its own, and tells about it.

    Args:
        launch: the node's name, and what it serves.
        say: takes what is to be sent to the supervisor; called in the loop's thread.

    """

    def __init__(self, launch: LaunchNode, say: Callable[[Any], None]) -> None:
        self.name = launch.name
        self._plan = launch.plan
        self._say = say
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._opened: dict[str, None] = {}
        self._ended: dict[str, None] = {}
        self._gathering = False

    def start(self) -> None:
        """Begin to serve: `NodeServing` or `NodeFailed` will be said."""
        threading.Thread(target=self._run, name=self.name, daemon=True).start()

    def post(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a coroutine in the loop; from any thread, once `NodeServing` was said."""
        assert self._loop is not None, "it serves"
        self._loop.call_soon_threadsafe(self._begin, work)

    def _begin(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        task = asyncio.ensure_future(work())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _run(self) -> None:
        try:
            settings = GatewaySettings()
            sockets = self._bind(settings)
            agent = find_agent(self._plan.agent, self._plan.tokens_per_second)
            self._app = gateway_on(sockets, self._plan.host, agent, settings, self)
        except AntiphonError as failure:
            self._say(NodeFailed(self.name, str(failure)))
            return
        try:
            self._server = _Server(self._app, settings, self._serving)
            collect_garbage_rarely()
            with asyncio.Runner(loop_factory=self._server.config.get_loop_factory()) as runner:
                runner.run(self._server.serve(sockets))
        except BaseException:  # noqa: BLE001 - also SystemExit, with which uvicorn gives up
            _log.exception("%s: its thread failed", self.name)
            os._exit(_BROKEN)
        self._say(Drained(self.name))

    def _bind(self, settings: GatewaySettings) -> list[socket.socket]:
        host = self._plan.host
        self._shared = bind(host, self._plan.port, settings.send_buffer_bytes, shared=True)
        own = bind(host, 0, settings.send_buffer_bytes)
        self._address = f"http://{name_of(host, own)}"
        sockets = [*self._shared, *own]
        listen(sockets)
        return sockets

    def _serving(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._say(NodeServing(self.name, os.getpid(), self._address))

    # What the supervisor asks.

    async def report(self, survey: int) -> None:
        """Say how it is going."""
        app: Gateway = self._app
        figures = {"sockets": app.heads.sockets, **app.system.inspect().stats}
        self._say(NodeReport(self.name, survey, len(app.sessions), figures))

    async def drain(self) -> None:
        """Let turns finish, then stop serving; `Drained` will be said."""
        self._server.close(self._shared)
        await self._app.drain()
        self._server.should_exit = True

    async def answer(self, request: Interrupt) -> Interrupted | Refused:
        """Do what somebody outside wants of a connection that is here."""
        processor = self._app.system.get(request.connection_id)
        if processor is None:
            missing = f"connection {request.connection_id} is not on {self.name} any more"
            return Refused(FleetConnectionNotFoundError.code, missing)
        turns = await processor.interrupt_all_active_turns(request.reason)
        return Interrupted(request.connection_id, self.name, turns)

    # What the gateway tells (`Neighbours`).

    def opened(self, connection_id: str) -> None:
        """See `Neighbours`."""
        self._opened[connection_id] = None
        self._gather()

    def ended(self, connection_id: str) -> None:
        """See `Neighbours`."""
        if self._opened.pop(connection_id, self) is self:  # or nobody has heard of it yet
            self._ended[connection_id] = None
            self._gather()

    def _gather(self) -> None:
        if not self._gathering:
            self._gathering = True
            asyncio.get_running_loop().call_later(_GATHER_SECONDS, self._tell)

    def _tell(self) -> None:
        self._gathering = False
        opened, ended = tuple(self._opened), tuple(self._ended)
        self._opened.clear()
        self._ended.clear()
        if opened or ended:
            self._say(Moved(self.name, opened, ended))


class _Server(Server):
    """Leaves signals to the main thread, says when it serves, and can close a part of its sockets."""

    def __init__(self, app: Gateway, settings: GatewaySettings, serving: Callable[[], None]) -> None:
        super().__init__(app, settings)
        self._serving = serving

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._serving()

    def close(self, sockets: list[socket.socket]) -> None:
        """Take nobody any more on these."""
        names = {listening.getsockname() for listening in sockets}
        for server in self.servers:
            if {listening.getsockname() for listening in server.sockets} <= names:
                server.close()
        for listening in sockets:
            listening.close()
