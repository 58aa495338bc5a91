"""`SupervisedSystem`: a `ConversationSystem` for one test, watched from outside.

It is held to the contract, it may leave nothing behind, and it has a deadline in real time: a test that goes on for
longer is ended with a dump of every actor, mailbox and task, where it would have hung the whole run.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from actors import ConversationSystem, Settings
from actors.runtime import NO_MAIL
from actors.testing.checker import ContractChecker
from actors.testing.deadline import Deadline
from actors.testing.trace import describe
from actors.testing.virtual_loop import waiting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from types import TracebackType

    from actors.context import EngineContext
    from actors.testing.client import RecordingClient

__all__ = ["LeftBehindError", "SupervisedSystem", "dump"]


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
        last_words: is given what is to be said before the process is ended, where nothing else helps; None: it goes
            to the standard error output.
        arguments: for `ConversationSystem`.

    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        deadline: float = 60.0,
        slack: float = 0.5,
        last_words: Callable[[str], None] | None = None,
        **arguments: Any,
    ) -> None:
        settings = settings or Settings(loop_watchdog_seconds=None)
        self.system = ConversationSystem(settings, **arguments)
        self.clients: list[RecordingClient] = []
        """Clients whose turns are judged at the end."""
        self.deadline = Deadline(
            deadline,
            lambda: dump(self.system.context),
            patience=settings.shutdown_timeout_seconds + 2 * slack,  # more than the checker gives the shutdown
            **({"last_words": last_words} if last_words is not None else {}),
        )
        self._slack = slack
        self._running = self._run()

    async def __aenter__(self) -> ConversationSystem:
        return await self._running.__aenter__()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, where: TracebackType | None
    ) -> bool | None:
        return await self._running.__aexit__(exc_type, exc, where)

    @asynccontextmanager
    async def _run(self) -> AsyncIterator[ConversationSystem]:
        with self.deadline:
            await self.system.start()
            before = asyncio.all_tasks()
            self.checker = ContractChecker(self.system, slack=self._slack)
            try:
                yield self.system
            finally:
                self.deadline.clearing_up = True
                for client in self.clients:
                    for turn in client.turns:
                        turn.finish()
                await self.checker.close()
            self.checker.check()
            self._look_for_tasks(before)

    def _look_for_tasks(self, before: set[asyncio.Task[Any]]) -> None:
        left = asyncio.all_tasks() - before - set(self.system.context.abandoned_tasks)
        left.discard(asyncio.current_task())
        if left:
            names = {task.get_name() for task in left}
            lines = [line for line in waiting(self.system.context.loop) if line.partition(":")[0] in names]
            raise LeftBehindError("\n".join(["tasks that the test has started are left:", *lines]))


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
