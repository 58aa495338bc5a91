"""`SupervisedSystem`: a `ConversationSystem` for one test, watched from outside.

It is held to the contract, it may leave nothing behind, and it has a deadline in real time: a test that goes on for
longer is ended with a dump of every actor, mailbox and task, where it would have hung the whole run. The watch is a
thread of its own, because a loop that hangs cannot watch itself.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Any

from actors import ConversationSystem, Settings
from actors.runtime import NO_MAIL
from actors.testing.checker import ContractChecker
from actors.testing.trace import describe
from actors.testing.virtual_loop import waiting

if TYPE_CHECKING:
    from actors.context import EngineContext
    from actors.testing.client import RecordingClient

__all__ = ["DeadlineError", "LeftBehindError", "SupervisedSystem", "dump"]

REACTION = 2.0
"""How many real seconds a loop gets to end a test that is over its deadline, before it counts as blocked."""


class DeadlineError(AssertionError):
    """A test was not over at its deadline; the message shows what every actor and task was doing."""


class LeftBehindError(AssertionError):
    """Tasks that were started in a test are still there at its end."""


class SupervisedSystem:
    """Use it as `async with SupervisedSystem(settings, deadline=60) as system`.

    Leaving it shuts the system down, and raises what is wrong: `DeadlineError`, `ContractViolationError` or
    `LeftBehindError`, unless the test has failed on its own.

    Args:
        settings: of the system; None: the defaults, without a watchdog thread.
        deadline: in real seconds.
        slack: how late things may be, for the checker.
        arguments: for `ConversationSystem`.

    """

    def __init__(
        self, settings: Settings | None = None, *, deadline: float = 60.0, slack: float = 0.5, **arguments: Any
    ) -> None:
        self.system = ConversationSystem(settings or Settings(loop_watchdog_seconds=None), **arguments)
        self.clients: list[RecordingClient] = []
        """Clients whose turns are judged at the end."""
        self._deadline = deadline
        self._slack = slack
        self._expired: str | None = None
        self._over = False

    async def __aenter__(self) -> ConversationSystem:
        await self.system.start()
        self._loop = asyncio.get_running_loop()
        self._tasks = set(asyncio.all_tasks())
        self._task = asyncio.current_task()
        self._ident = threading.get_ident()
        self.checker = ContractChecker(self.system, slack=self._slack)
        self._watch = threading.Timer(self._deadline, self._expire)
        self._watch.name, self._watch.daemon = "antiphon-deadline", True
        self._watch.start()
        return self.system

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: object
    ) -> bool:
        self._over = True
        self._watch.cancel()
        if self._expired is not None and self._task is not None and isinstance(exc, asyncio.CancelledError):
            self._task.uncancel()
        for client in self.clients:
            for turn in client.turns:
                turn.finish()
        await asyncio.to_thread(self._watch.join)
        await self.checker.close()
        if self._expired is not None:
            raise DeadlineError(self._expired)
        if exc is None:
            self.checker.check()
            self._look_for_tasks()
        return False

    def _look_for_tasks(self) -> None:
        left = asyncio.all_tasks() - self._tasks - set(self.system.context.abandoned_tasks)
        left.discard(asyncio.current_task())
        if left:
            lines = [line for line in waiting(self._loop) if line.partition(":")[0] in {t.get_name() for t in left}]
            raise LeftBehindError("\n".join(["tasks that the test has started are left:", *lines]))

    # In the watching thread.

    def _expire(self) -> None:
        head = f"the test was not over after {self._deadline:g} s"
        self._expired = f"{head}\n{dump(self.system.context)}"
        self._loop.call_soon_threadsafe(self._end)
        self._watch.finished.wait(REACTION)
        if not self._over:
            frame = sys._current_frames().get(self._ident)
            stack = "".join(traceback.format_stack(frame)) if frame is not None else ""
            sys.__stderr__.write(f"\n{self._expired}\nthe loop is blocked:\n{stack}")  # type: ignore[union-attr]

    def _end(self) -> None:
        if self._task is not None and not self._over:
            self._task.cancel("the deadline is over")


def dump(context: EngineContext) -> str:
    """Describe all actors of a system, their mailboxes, and all tasks of its loop; from any thread."""
    lines = [f"actors: {len(context.registry)}"]
    for actor in tuple(context.registry.values()):
        mailbox = actor.actor_inbox
        oldest = mailbox.oldest()
        owner = getattr(actor, "record", None) or getattr(actor, "roster", None)
        whose = getattr(owner, "turn_id", None) or getattr(owner, "connection_id", None)
        lines.append(
            f"  {actor.actor_urn}{f' of {whose}' if whose else ''}: {mailbox.depth} of {mailbox.capacity} messages, "
            f"peak {mailbox.peak}{', paused' if mailbox.paused else ''}"
            + ("" if oldest is NO_MAIL else f", oldest {describe(getattr(oldest, 'message', oldest))}")
        )
    tasks = waiting(context.loop)
    return "\n".join([*lines, f"tasks: {len(tasks)}", *(f"  {line}" for line in tasks)])
