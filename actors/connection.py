"""The Connection: one client's turns, of which at most one speaks at a time.

It decides who speaks (reject, interrupt or queue), owns the records of its turns and forgets them when their
retention is over. A Turn that dies is settled here: what is in its outbox can still be read, then the turn ends as
failed. All that must survive this actor itself is in the roster; a new Connection takes it over (see Supervisor).
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, get_args

from actors.arguments import as_choice, as_id, as_text
from actors.producer import discard_stream, require_stream
from actors.record import TurnRecord
from actors.runtime import ChildFailed, ChildStopped, EngineActor, Reply, handles
from actors.turn import Turn
from protocol.errors import (
    AgentAttachedError,
    BadArgumentError,
    FailureCode,
    SystemClosedError,
    TurnActiveError,
    TurnFinishedError,
    TurnNotFoundError,
)
from protocol.mail import (
    AttachAgent,
    Cleanup,
    CleanupCompleted,
    EndTaken,
    Forget,
    Interrupt,
    InterruptTurn,
    InterruptTurns,
    MarkPlayed,
    ReaderGone,
    Retain,
    Settled,
    Shutdown,
    StartTurn,
    Watch,
)
from protocol.settings import Flow, OnBusy
from protocol.turn import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from actors.context import EngineContext
    from actors.roster import Roster

__all__ = ["Connection"]

_ON_BUSY, _FLOW = get_args(OnBusy), get_args(Flow)


class Connection(EngineActor):
    """Takes the requests of `protocol.mail`, from the facade or from plain Pykka code."""

    kind: ClassVar[str] = "connection"

    def __init__(self, context: EngineContext, parent: Callable[[Any], None], roster: Roster) -> None:
        super().__init__(context, parent)
        self.context = context
        self.roster = roster
        self.actor_inbox.capacity = roster.queue_maxsize
        # What waits for turns to be settled; they may have been forgotten by then, so the records are kept here.
        self._unsettled: dict[str, tuple[TurnRecord, list[Callable[[], None]]]] | None = None

    def on_start(self) -> None:
        """Take over what a Connection before this one left behind: its Turns are gone, their records are not."""
        roster = self.roster
        roster.connection = self
        roster.turn_actors.clear()
        active = roster.active
        if active is not None:
            active.seal(Failure(FailureCode.ACTOR_FAILED, "the connection's actor failed"))
            if active.status.finished:
                self._finished(active)
        elif roster.waiting:
            self._launch(*roster.waiting.popleft())

    # Requests.

    @handles(StartTurn)
    def _start_turn(self, order: StartTurn) -> str:
        roster = self.roster
        claim = order.claim
        if claim is not None and claim.withdrawn:
            discard_stream(order.agent_stream)
            return ""
        if roster.closed:
            raise SystemClosedError(f"connection {roster.connection_id} has been shut down")
        if order.agent_stream is not None:
            require_stream(order.agent_stream)
        turn_id = as_id("turn_id", order.turn_id) if order.turn_id is not None else self.context.ids.new("turn")
        if not turn_id:
            raise BadArgumentError("turn_id must not be empty")
        if turn_id in roster.turns:
            raise BadArgumentError(f"connection {roster.connection_id} has a turn {turn_id} already")
        on_busy = roster.on_busy if order.on_busy is None else as_choice("on_busy", order.on_busy, _ON_BUSY)
        flow = roster.flow if order.flow is None else as_choice("flow", order.flow, _FLOW)
        session_id = as_id("session_id", order.session_id)
        user_input = "" if order.user_input is None else as_text("user_input", order.user_input)
        trace_id = as_id("trace_id", order.trace_id or turn_id)
        request_id = as_id("request_id", order.request_id)
        self._expire()
        if on_busy == "interrupt":
            for record in self._unfinished():
                self._interrupt(record, "barge_in")
        active = roster.active
        busy = active is not None and not active.status.finished
        if busy and on_busy == "reject":
            assert active is not None
            raise TurnActiveError(
                f"turn {active.turn_id} of connection {roster.connection_id} is active: interrupt it, "
                f"or start this turn with on_busy='interrupt' or 'queue'"
            )
        if busy and len(roster.waiting or ()) >= self.context.settings.turn_queue_limit:
            raise TurnActiveError(
                f"{len(roster.waiting or ())} turns of connection {roster.connection_id} wait already"
            )
        record = TurnRecord(
            turn_id=turn_id,
            connection_id=roster.connection_id,
            session_id=session_id,
            user_id=roster.user_id,
            user_input=user_input,
            trace_id=trace_id,
            request_id=request_id,
            replay_window=self.context.settings.replay_window,
            max_unplayed=self.context.settings.max_unplayed_chunks if flow == "played" else None,
            clock=self.context.clock,
        )
        record.on_end_taken = self.context.on_end_taken
        record.agent_attached = order.agent_stream is not None
        roster.turns[turn_id] = record
        if claim is not None:
            claim.turn_id = turn_id
        roster.count("turns_started")
        if busy:
            if roster.waiting is None:
                roster.waiting = deque()
            roster.waiting.append((record, order))
        else:
            self._launch(record, order)
        return turn_id

    def _launch(self, record: TurnRecord, order: StartTurn) -> None:
        roster = self.roster
        roster.active = record
        speech = order.speech or roster.speech or self.context.speech
        turn = self.launch_child(Turn, record, order, speech, roster.queue_maxsize)
        if not turn.stopped:
            roster.turn_actors[record.turn_id] = turn
        self.context.tell_supervisor(Watch(record.turn_id, record.connection_id), record.turn_id)

    @handles(AttachAgent)
    def _attach_agent(self, mail: AttachAgent) -> None:
        record = self._require(mail.turn_id)
        require_stream(mail.agent_stream)
        if record.status.finished or record.sealed:
            raise TurnFinishedError(f"turn {mail.turn_id} has ended")
        if record.agent_attached:
            raise AgentAttachedError(f"turn {mail.turn_id} has its agent stream already")
        record.agent_attached = True
        turn = self.roster.turn_actors.get(mail.turn_id)
        if turn is not None:
            turn.actor_inbox.post(mail)
            return
        waiting = self.roster.waiting
        assert waiting is not None, "a turn that has not ended has an actor, or waits for one"
        for place, (waiter, order) in enumerate(waiting):
            if waiter is record:
                waiting[place] = (record, order._replace(agent_stream=mail.agent_stream))

    @handles(InterruptTurn)
    def _interrupt_turn(self, mail: InterruptTurn) -> bool | None:
        record = self.roster.turns.get(mail.turn_id)
        if record is None or not self._interrupted(record, mail):
            return False
        reply = self.defer()
        self._when_settled([record], partial(self.answer, reply, True))
        return None

    @handles(InterruptTurns)
    def _interrupt_turns(self, mail: InterruptTurns) -> None:
        self._interrupt_all(mail, self.defer())

    @handles(Shutdown)
    def _shutdown(self, mail: Shutdown) -> None:
        self.roster.closed = True
        self._interrupt_all(mail, self.defer())

    def _interrupt_all(self, request: InterruptTurns | Shutdown, reply: Reply | None) -> None:
        records = list(self.roster.turns.values())
        # Those that wait first, so that none of them gets its turn.
        hit = [record for record in reversed(records) if self._interrupted(record, request)]
        self._when_settled(records, partial(self.answer, reply, len(hit)))

    @handles(MarkPlayed)
    def _mark_played(self, mail: MarkPlayed) -> None:
        self._require(mail.turn_id).mark_played(mail.seq, mail.chars)

    @handles(Cleanup)
    def _cleanup(self, mail: Cleanup) -> None:
        turns = self.roster.turns
        records = (
            list(turns.values()) if mail.turn_id is None else [turns[mail.turn_id]] if mail.turn_id in turns else []
        )
        for record in reversed(records):  # those that wait first, so that none of them gets its turn
            self._interrupt(record, mail.reason)
        reply = self.defer()

        def settled() -> None:
            for record in records:
                self._forget(record)
            self.answer(reply, len(records))

        self._when_settled(records, settled)

    @handles(CleanupCompleted)
    def _cleanup_completed(self, mail: CleanupCompleted) -> int:
        return self._expire(mail.max_age_seconds)

    def _require(self, turn_id: str) -> TurnRecord:
        record = self.roster.turns.get(turn_id)
        if record is None:
            raise TurnNotFoundError(f"connection {self.roster.connection_id} has no turn {turn_id}")
        return record

    # The ends of turns.

    def _unfinished(self) -> list[TurnRecord]:
        roster = self.roster
        waiting = [record for record, _order in roster.waiting or ()]
        return waiting if roster.active is None else [*waiting, roster.active]

    def _interrupted(self, record: TurnRecord, request: InterruptTurn | InterruptTurns | Shutdown) -> bool:
        """Interrupt a turn; whether this request ended it, maybe when a Connection had it that has died since."""
        return self._interrupt(record, request.reason, request) or record.ended_by is request

    def _interrupt(self, record: TurnRecord, reason: str, request: object = None) -> bool:
        if not record.interrupt(as_text("reason", reason)):
            return False
        record.ended_by = request
        turn = self.roster.turn_actors.get(record.turn_id)
        if turn is not None:
            turn.actor_inbox.post(Interrupt())
        self._finished(record)
        return True

    @handles(EndTaken)
    def _end_taken(self, mail: EndTaken) -> None:
        turn = self.roster.turn_actors.get(mail.turn_id)
        if turn is not None:
            turn.actor_inbox.post(mail)
        record = self.roster.turns.get(mail.turn_id)
        if record is not None:
            self._finished(record)

    @handles(ReaderGone)
    def _reader_gone(self, mail: ReaderGone) -> None:
        record = self.roster.turns.get(mail.turn_id)
        if record is not None:
            self._interrupt(record, "reader_gone")

    def _finished(self, record: TurnRecord) -> None:
        """The turn's outcome is decided: keep it for its retention, and let the next one speak."""
        roster = self.roster
        if roster.finished is None:
            roster.finished = deque()
        if record in roster.finished:
            return
        roster.finished.append(record)
        roster.count(f"turns_{record.status}")
        if roster.active is record:
            roster.active = None
        elif roster.waiting:
            for entry in roster.waiting:
                if entry[0] is record:
                    discard_stream(entry[1].agent_stream)
                    roster.waiting.remove(entry)
                    break
        self.context.on_turn_finished(record)
        while len(roster.finished) > self.context.settings.turn_retention_count:
            self._forget(roster.finished[0])
        self.context.tell_supervisor(Retain(roster.connection_id, record.turn_id), record.turn_id)
        if roster.active is None and roster.waiting and not roster.closed:
            self._launch(*roster.waiting.popleft())

    def child_gone(self, word: ChildStopped | ChildFailed) -> None:
        """A Turn is gone: settle what it left open."""
        super().child_gone(word)
        turns = self.roster.turn_actors
        turn = next((turn for turn in turns.values() if turn.actor_urn == word.child.actor_urn), None)
        # One that died while it was being started was never entered, and is the active one.
        record = self.roster.active if turn is None else turn.record
        if record is None or self.stopped:
            return
        turns.pop(record.turn_id, None)
        if not record.status.finished:
            what = f"failed: {word.error}" if isinstance(word, ChildFailed) else "was stopped"
            record.seal(Failure(FailureCode.ACTOR_FAILED, f"the turn {what}"))
        self._check_settled(record)

    @handles(Settled)
    def _settled(self, mail: Settled) -> None:
        if self._unsettled and mail.turn_id in self._unsettled:
            self._check_settled(self._unsettled[mail.turn_id][0])

    def _is_settled(self, record: TurnRecord) -> bool:
        return record.turn_id not in self.roster.turn_actors and record.running_tasks == 0

    def _check_settled(self, record: TurnRecord) -> None:
        if self._unsettled and self._is_settled(record):
            _record, callbacks = self._unsettled.pop(record.turn_id, (record, []))
            for callback in callbacks:
                callback()

    def _when_settled(self, records: Iterable[TurnRecord], callback: Callable[[], Any]) -> None:
        """Call back when nothing of these turns runs any more; at once if that is so now."""
        open_turns = {record.turn_id: record for record in records if not self._is_settled(record)}
        if not open_turns:
            callback()
            return
        if self._unsettled is None:
            self._unsettled = {}
        for turn_id, record in tuple(open_turns.items()):

            def one_settled(turn_id: str = turn_id) -> None:
                del open_turns[turn_id]
                if not open_turns:
                    callback()

            self._unsettled.setdefault(turn_id, (record, []))[1].append(one_settled)

    # Retention.

    @handles(Forget)
    def _forget_due(self, mail: Forget) -> None:
        self._expire(now=mail.now)

    def _expire(self, max_age: float | None = None, now: float | None = None) -> int:
        finished = self.roster.finished
        if not finished:
            return 0
        if max_age is None:
            max_age = self.context.settings.turn_retention_seconds
        if now is None:
            now = self.context.clock.now()
        forgotten = 0
        # The sum is the Supervisor's, to the last bit: it does not look again at what it takes to be forgotten.
        while finished and (finished[0].ended or 0.0) + max_age <= now:
            self._forget(finished[0])
            forgotten += 1
        return forgotten

    def _forget(self, record: TurnRecord) -> None:
        finished = self.roster.finished
        if finished and record in finished:
            finished.remove(record)
        self.roster.turns.pop(record.turn_id, None)
