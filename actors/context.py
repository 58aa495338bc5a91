"""`EngineContext`: the actor system of the engine, with what its six actors share.

Settings, the books that outlive any actor (rosters, tasks that were left), and the way to the Supervisor of the
moment: it may have been restarted since somebody last looked.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from actors.runtime import ActorSystem, EngineActor, EngineLog
from protocol.mail import EndTaken, Settled, TaskLeft

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from actors.record import TurnRecord
    from actors.roster import Roster
    from actors.runtime import Clock, Ids
    from protocol.settings import Settings

__all__ = ["EngineContext", "LeftTask"]


@dataclass(eq=False, slots=True)
class LeftTask:
    """A task that was cancelled and goes on: what it belongs to, and until when it is waited for."""

    task: asyncio.Task[Any]
    record: TurnRecord | None
    deadline: float
    off: bool = False
    """Whether it has ended, or was given up. Its place in the Supervisor's heap then holds nothing."""

    def call_off(self) -> None:
        """Wait for it no longer."""
        self.off = True
        del self.task, self.record


@dataclass(eq=False, slots=True)
class Totals:
    """Figures of the whole system since its start."""

    stats: dict[str, int] = field(default_factory=dict)
    removed: dict[str, int] = field(default_factory=dict)


class EngineContext(ActorSystem):
    """What the engine's actors share."""

    def __init__(
        self,
        settings: Settings,
        *,
        speech: Callable[[], Any],
        on_turn_finished: Callable[[TurnRecord], None],
        clock: Clock | None = None,
        ids: Ids | None = None,
    ) -> None:
        super().__init__(clock=clock, ids=ids)
        self.settings = settings
        self.speech = speech
        self.on_turn_finished = on_turn_finished
        self.rosters: dict[str, Roster] = {}
        self.left_tasks: dict[asyncio.Task[Any], LeftTask] = {}
        self.abandoned_tasks: dict[asyncio.Task[Any], str] = {}
        """Tasks that were given up and still run, with their names."""
        self._abandoned_threads: list[threading.Thread] = []
        self.totals = Totals()
        self.supervisor: EngineActor | None = None
        self.on_task_left = self._take_over
        self.on_end_taken: Callable[[TurnRecord], None] = self._end_taken  # one bound method for all records

    def log(self, about: TurnRecord | Roster | None, name: str = "antiphon.turn") -> EngineLog:
        """Return a logger for what concerns one turn, or a connection as a whole."""
        return EngineLog(
            name,
            connection_id=getattr(about, "connection_id", ""),
            turn_id=getattr(about, "turn_id", ""),
            trace_id=getattr(about, "trace_id", ""),
            request_id=getattr(about, "request_id", ""),
            user_text=self.settings.log_user_text,
        )

    def log_of(self, actor: EngineActor) -> EngineLog:
        """Return a logger for what concerns this actor."""
        return self.log(getattr(actor, "record", None) or getattr(actor, "roster", None), "antiphon.runtime")

    def tell_supervisor(self, mail: Any, sender: Any = None) -> None:
        """Send control mail to the Supervisor of the moment."""
        if self.supervisor is not None:
            self.supervisor.actor_inbox.post(mail, sender)

    def tell_connection(self, connection_id: str, mail: Any, sender: Any = None) -> None:
        """Send control mail to the Connection of the moment, if that connection is still there."""
        roster = self.rosters.get(connection_id)
        if roster is not None and roster.connection is not None:
            roster.connection.actor_inbox.post(mail, sender)

    def _end_taken(self, record: TurnRecord) -> None:
        """Called by a reader that was handed the end, in its thread: the Connection of the moment is told."""
        self.call(self.tell_connection, record.connection_id, EndTaken(record.turn_id), record.turn_id)

    # Tasks that do not stop when they are told.

    def _take_over(self, actor: EngineActor, task: asyncio.Task[Any]) -> None:
        record: TurnRecord | None = getattr(actor, "record", None)
        deadline = self.clock.now() + self.settings.interrupt_wait_timeout
        left = self.left_tasks[task] = LeftTask(task, record, deadline)
        if record is not None:
            record.running_tasks += 1
        task.add_done_callback(self._task_ended)
        self.tell_supervisor(TaskLeft(left), id(task))

    def _task_ended(self, task: asyncio.Task[Any]) -> None:
        self.abandoned_tasks.pop(task, None)
        self._settle(task)

    def _settle(self, task: asyncio.Task[Any]) -> None:
        left = self.left_tasks.pop(task, None)
        if left is None:
            return
        record = left.record
        left.call_off()
        if record is None:
            return
        record.running_tasks -= 1
        if record.running_tasks == 0:
            self.tell_connection(record.connection_id, Settled(record.turn_id), record.turn_id)

    def thread_left(self, thread: threading.Thread | None) -> None:
        """Note that nobody waits any more for the thread of a synchronous agent."""
        if thread is not None:
            self._abandoned_threads = [*self.abandoned_threads(), thread]

    def abandoned_threads(self) -> list[threading.Thread]:
        """Return the threads that were given up and still run."""
        return [thread for thread in self._abandoned_threads if thread.is_alive()]

    def abandon(self, left: LeftTask) -> None:
        """Give a task up: count it, name it in the record and the log, wait for it no longer."""
        name = left.task.get_name()
        self.totals.stats["abandoned_tasks"] = self.totals.stats.get("abandoned_tasks", 0) + 1
        self.abandoned_tasks[left.task] = name
        left.task.cancel()
        if left.record is not None:
            left.record.abandoned += (name,)
            self.log(left.record).warning("abandoned %r: it did not stop in time", name)
        self._settle(left.task)
