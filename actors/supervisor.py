"""The Supervisor: watches every turn, and enforces what must happen in time.

Four things: an agent that stalls or writes past the turn's deadline, a turn that nobody reads, tasks that do not
stop when they are cancelled, and finished turns whose retention is over. And one more: a Connection that died is
settled and replaced.

There is one timer. Each watched turn stands in a heap under the earliest time at which anything could come due;
when that time comes the turn is looked at again, and mostly put back. So watching costs nothing per token, and
little per turn. The books (rosters, tasks that were left) belong to the context: a Supervisor that is restarted
reads them and goes on.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from actors.connection import Connection
from actors.context import LeftTask
from actors.runtime import ChildFailed, ChildStopped, EngineActor, handles
from protocol.errors import FailureCode
from protocol.mail import Closed, Forget, Pause, ReaderGone, Retain, TaskLeft, TimeOut, Watch
from protocol.turn import Failure, TurnStatus

if TYPE_CHECKING:
    import asyncio

    from actors.context import EngineContext
    from actors.record import TurnRecord
    from actors.roster import Roster

__all__ = ["Supervisor"]

_TOLERANCE = 0.001  # seconds; a loop may call a timer early by its clock's resolution
BATCH = 64
"""How many appointments are kept before the loop goes on."""
GAP = 0.01
"""How many seconds lie between two looks at what is due: with thousands of turns something always is, and each look
costs a timer and a round of the loop."""


class Tick(NamedTuple):
    """The Supervisor's timer."""


class Watched:
    """A turn that is watched, and what has been done about it."""

    __slots__ = ("heard", "off", "paused_at", "record", "roster", "timed_out")

    def __init__(self, record: TurnRecord, roster: Roster) -> None:
        self.record = record
        self.roster = roster
        self.off = False
        self.timed_out = False
        self.paused_at: float | None = None
        """The beginning of the pause that was flushed last."""
        self.heard = 0
        """How much the agent had said by then."""

    def call_off(self) -> None:
        """Watch it no longer. It stays in the heap, holding nothing, until it is swept."""
        self.off = True
        del self.record, self.roster


class Kept:
    """A connection that keeps finished turns for a while."""

    __slots__ = ("connection_id", "off")

    def __init__(self, connection_id: str) -> None:
        self.connection_id = connection_id
        self.off = False


class Supervisor(EngineActor):
    """One per system. `Watch`, `TaskLeft` and `Retain` tell it what there is to watch."""

    kind: ClassVar[str] = "supervisor"

    def __init__(self, context: EngineContext, parent: Any) -> None:
        super().__init__(context, parent)
        self.context = context
        self._heap: list[tuple[float, int, Watched | Kept | LeftTask]] = []
        self._called_off = 0
        self._order = count()
        self._watched: dict[str, Watched] = {}
        self._retaining: dict[str, Kept] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0
        self._looked_at = -GAP

    def on_start(self) -> None:
        """Read the books: after a restart there are turns to watch and perhaps connections to replace."""
        self.context.supervisor = self
        for roster in tuple(self.context.rosters.values()):
            if roster.connection is None or roster.connection.stopped:
                self.start_connection(roster)
            if roster.active is not None:
                self._watch_turn(roster.active, roster)
            self._look_at_retention(roster.connection_id, self.context.clock.now())
        for left in self.context.left_tasks.values():
            self._at(left.deadline, left)

    # Connections.

    def start_connection(self, roster: Roster) -> None:
        """Start the actor that serves a roster: the first, or one in the place of one that died."""
        Connection.launch(self.context, self._connection_gone, roster)

    def _connection_gone(self, word: ChildStopped | ChildFailed) -> None:
        # Not a child in the runtime's sense: connections outlive a Supervisor. So whoever is it now gets the word.
        self.context.tell_supervisor(word, word.child.actor_urn)

    def child_gone(self, word: ChildStopped | ChildFailed) -> None:
        """Replace a Connection that died; one that was closed has left the books."""
        super().child_gone(word)
        if self.stopped:
            return
        for roster in tuple(self.context.rosters.values()):
            if roster.connection is not None and roster.connection.actor_urn == word.child.actor_urn:
                self.start_connection(roster)
                if roster.active is not None:
                    self._watch_turn(roster.active, roster)
                # The one that died may have died of the word that a retention is over.
                self._look_at_retention(roster.connection_id, self.context.clock.now())

    # What is watched.

    @handles(Watch)
    def _watch(self, mail: Watch) -> None:
        roster = self.context.rosters.get(mail.connection_id)
        record = roster.turns.get(mail.turn_id) if roster is not None else None
        if roster is not None and record is not None:
            self._watch_turn(record, roster)

    def _watch_turn(self, record: TurnRecord, roster: Roster) -> None:
        self._call_off(record.turn_id)
        watched = self._watched[record.turn_id] = Watched(record, roster)
        self._look_at(watched, self.context.clock.now())

    @handles(TaskLeft)
    def _task_left(self, mail: TaskLeft) -> None:
        self._at(mail.left.deadline, mail.left)

    @handles(Retain)
    def _retain(self, mail: Retain) -> None:
        self._call_off(mail.turn_id)
        if mail.connection_id not in self._retaining:
            self._look_at_retention(mail.connection_id, self.context.clock.now())

    def _look_at_retention(self, connection_id: str, now: float) -> None:
        roster = self.context.rosters.get(connection_id)
        retention = self.context.settings.turn_retention_seconds
        dues = [(record.ended or 0.0) + retention for record in roster.finished or ()] if roster else []
        if dues and dues[0] <= now:
            self.context.tell_connection(connection_id, Forget(now))
        self._keep_no_longer(connection_id)
        next_due = next((due for due in dues if due > now), None)
        if next_due is not None:
            kept = self._retaining[connection_id] = Kept(connection_id)
            self._at(next_due, kept)

    @handles(Closed)
    def _closed(self, mail: Closed) -> None:
        self._keep_no_longer(mail.connection_id)

    def _keep_no_longer(self, connection_id: str) -> None:
        kept = self._retaining.pop(connection_id, None)
        if kept is not None:
            kept.off = True
            self._count_off()

    # The clock.

    def _at(self, due: float, what: Watched | Kept | LeftTask) -> None:
        heappush(self._heap, (due, next(self._order), what))
        self._arm()

    def _call_off(self, turn_id: str) -> None:
        watched = self._watched.pop(turn_id, None)
        if watched is None:
            return
        watched.call_off()
        self._count_off()

    def _count_off(self) -> None:
        """Sweep the heap when half of it is of no use any more."""
        self._called_off += 1
        if self._called_off > 64 and self._called_off * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if not entry[2].off]
            heapify(self._heap)
            self._called_off = 0

    def _arm(self) -> None:
        if not self._heap:
            return
        now, due = self.context.clock.now(), self._heap[0][0]
        if due > now:
            due = max(due, self._looked_at + GAP)
        if self._timer is not None:
            if self._timer_due <= due:
                return
            self.cancel_timer(self._timer)
        self._timer_due = due
        self._timer = self.after(max(0.0, due - now), Tick())

    @handles(Tick)
    def _tick(self, _tick: Tick) -> None:
        self._timer = None
        self._looked_at = self.context.clock.now()
        now = self._looked_at + _TOLERANCE
        # Turns that began together come due together; what is over the batch waits for the loop's next round.
        for _ in range(BATCH):
            if not self._heap or self._heap[0][0] > now:
                break
            what = heappop(self._heap)[2]
            if isinstance(what, LeftTask):
                if not what.off:
                    self.context.abandon(what)
            elif what.off:
                self._called_off -= 1
            elif isinstance(what, Watched):
                self._look_at(what, now)
            else:
                del self._retaining[what.connection_id]
                self._look_at_retention(what.connection_id, now)
        self._arm()

    # One turn.

    def _dues(self, watched: Watched, now: float) -> list[tuple[float, Any]]:
        settings, record = self.context.settings, watched.record
        grace = watched.roster.reader_grace
        if record.left_at is not None:
            reader = record.left_at + grace
        elif record.awaits_reader():
            reader = record.idle_since + grace
        else:
            reader = now + grace
        # Who has left cannot say what was played.
        silent = record.silent_since if record.left_at is None else None
        played = (now if silent is None else silent) + settings.max_chunk_play_seconds
        dues: list[tuple[float, Any]] = [(reader, self._reader_gone), (played, self._reader_gone)]
        if watched.timed_out or record.sealed or record.status is TurnStatus.PENDING:
            return dues
        pull = record.pull_since
        stall = settings.tool_stall_seconds if record.tools_open else settings.agent_stall_seconds
        if stall is not None:
            dues.append(((now if pull is None else pull) + stall, self._stalled))
        idle = settings.idle_flush_seconds
        if idle is not None:
            known = pull is None or watched.paused_at == pull
            dues.append(((now if known or pull is None else pull) + idle, self._paused))
        if settings.turn_deadline_seconds is not None and record.started is not None:
            dues.append((record.started + settings.turn_deadline_seconds, self._too_late))
        return dues

    def _look_at(self, watched: Watched, now: float) -> None:
        """Do what has come due, and look again at the earliest time at which anything else can."""
        if watched.record.status.finished:
            return  # its end was handed over; the Connection's word of it is on its way
        dues = self._dues(watched, now)
        acts = [act for due, act in dues if due <= now]
        for act in acts:
            act(watched)
        if acts:
            dues = self._dues(watched, now)
        self._at(min(due for due, _act in dues), watched)

    def _reader_gone(self, watched: Watched) -> None:
        record = watched.record
        record.idle_since = self.context.clock.now()  # said once; the Connection ends the turn
        record.left_at = None if record.left_at is None else record.idle_since
        self.context.tell_connection(record.connection_id, ReaderGone(record.turn_id), record.turn_id)

    def _stalled(self, watched: Watched) -> None:
        settings = self.context.settings
        waited = settings.tool_stall_seconds if watched.record.tools_open else settings.agent_stall_seconds
        what = "a tool" if watched.record.tools_open else "the agent"
        self._time_out(watched, Failure(FailureCode.AGENT_STALLED, f"{what} gave nothing for {waited:g} s"))

    def _too_late(self, watched: Watched) -> None:
        limit = self.context.settings.turn_deadline_seconds
        self._time_out(watched, Failure(FailureCode.TURN_DEADLINE, f"the agent was still writing after {limit:g} s"))

    def _time_out(self, watched: Watched, failure: Failure) -> None:
        if watched.timed_out:
            return
        watched.timed_out = True
        turn = watched.roster.turn_actors.get(watched.record.turn_id)
        if turn is not None:
            turn.actor_inbox.post(TimeOut(failure))

    def _paused(self, watched: Watched) -> None:
        record = watched.record
        watched.paused_at = record.pull_since
        turn = watched.roster.turn_actors.get(record.turn_id)
        if turn is not None and watched.heard != record.tokens_heard:
            watched.heard = record.tokens_heard
            turn.actor_inbox.post(Pause())
