"""Engines that are wrong on purpose: each breaks one promise of the contract, as somebody might break it by mistake.

A mutant patches the engine; the simulation has to find it, by the point of the contract that it breaks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from actors.chunker import Chunker
from actors.connection import Connection
from actors.context import EngineContext
from actors.producer import Producer
from actors.record import Marker, TurnRecord
from actors.roster import Roster
from actors.runtime import EngineActor, Mailbox
from actors.supervisor import Supervisor
from actors.system import ConversationSystem
from actors.testing.contract import Point
from actors.turn import _EFFECTS, Turn
from protocol.errors import FailureCode
from protocol.mail import Flush, FlushAck, Passed, Retain
from protocol.speech import SpeechChunk
from protocol.turn import TRANSITIONS, Effect, Failure, Input, Phase, Step, TurnStatus

Patch = pytest.MonkeyPatch


class Mutant(NamedTuple):
    """A deliberate bug.

    Attributes:
        point: of the contract that it breaks.
        seeds: how many seeds it took until it was found, when this was measured.

    """

    make: Callable[[Patch], None]
    point: Point
    seeds: int


# 1 Order


def _double_end(patch: Patch) -> None:
    def seal(self: TurnRecord, failure: Failure | None) -> None:
        _seal(self, failure)
        self._outbox.append(Marker.END)

    _seal = TurnRecord.seal
    patch.setattr(TurnRecord, "seal", seal)


def _seq_gap(patch: Patch) -> None:
    """What an interrupt discards has its numbers already."""

    def interrupt(self: TurnRecord, reason: str) -> bool:
        discarded = len(self._outbox) if self.seq else 0
        done = _interrupt(self, reason)
        self.seq += discarded if done else 0
        return done

    _interrupt = TurnRecord.interrupt
    patch.setattr(TurnRecord, "interrupt", interrupt)


def _no_error_before_a_failed_end(patch: Patch) -> None:
    def seal(self: TurnRecord, failure: Failure | None) -> None:
        _seal(self, failure)
        if Marker.ERROR in self._outbox:
            self._outbox.remove(Marker.ERROR)

    _seal = TurnRecord.seal
    patch.setattr(TurnRecord, "seal", seal)


def _chunks_out_of_order(patch: Patch) -> None:
    """What was refused goes to the end of the line when there is room."""

    def send(self: Chunker, items: Any) -> bool:
        return _send(self, sorted(items, key=lambda item: -item.start if type(item) is SpeechChunk else 0))

    _send = Chunker._send
    patch.setattr(Chunker, "_send", send)


def _lost_ack(patch: Patch) -> None:
    """An ack that had to wait for the Emitter is forgotten: the turn never ends."""

    def send(self: Chunker, items: Any) -> bool:
        if self._unsent is None and len(items) > 1:
            items = [item for item in items if not (type(item) is FlushAck and item.final)]
        return _send(self, items)

    _send = Chunker._send
    patch.setattr(Chunker, "_send", send)


def _no_start(patch: Patch) -> None:
    """Interrupted before anybody read: the end alone."""

    def interrupt(self: TurnRecord, reason: str) -> bool:
        done = _interrupt(self, reason)
        if done and Marker.START in self._outbox:
            self._outbox.remove(Marker.START)
        return done

    _interrupt = TurnRecord.interrupt
    patch.setattr(TurnRecord, "interrupt", interrupt)


def _replay_with_a_gap(patch: Patch) -> None:
    def open_(self: TurnRecord, after_seq: int | None) -> Any:
        reader = _open(self, after_seq)
        if reader.replay and after_seq is not None and len(reader.replay) > 1:
            reader.replay.popleft()
        return reader

    _open = TurnRecord.open
    patch.setattr(TurnRecord, "open", open_)


def _anothers_event(patch: Patch) -> None:
    """The event's skeleton is shared between turns."""
    skeleton: dict[str, Any] = {}

    def event(self: TurnRecord, *past: Any) -> dict[str, Any]:
        return {**_event(self, *past), "turn_id": skeleton.setdefault("turn_id", self.turn_id)}

    _event = TurnRecord._event
    patch.setattr(TurnRecord, "_event", event)


def _no_flush_before_an_event(patch: Patch) -> None:
    """An event of the agent goes on without the text before it."""

    def offer(self: Producer, event: Any, passed: Any) -> Any:
        return self._wait_for_room(passed) if passed is not None else _pass_on(self, event, passed)

    _pass_on = Producer._pass_on
    patch.setattr(Producer, "_pass_on", offer)


def _event_past_the_chunker(patch: Patch) -> None:
    """An event of the agent goes straight to the client: nothing has to be done about it."""

    async def wait_for_room(self: Producer, mail: Any) -> None:
        if type(mail) is Passed:
            self.record.place(mail)
        else:
            await _wait_for_room(self, mail)

    _wait_for_room = Producer._wait_for_room
    patch.setattr(Producer, "_wait_for_room", wait_for_room)


def _event_with_the_next_chunks(patch: Patch) -> None:
    """An event of the agent waits in the Chunker until there is something to send anyway."""
    waiting: dict[Chunker, list[Any]] = {}

    def send(self: Chunker, items: Any) -> bool:
        if len(items) == 1 and type(items[0]) is Passed:
            waiting.setdefault(self, []).append(items[0])
            return True
        return _send(self, [*items, *waiting.pop(self, [])])

    _send = Chunker._send
    patch.setattr(Chunker, "_send", send)


def _event_is_dropped_on_full(patch: Patch) -> None:
    """An event of the agent for which the Emitter has no room is dropped: it is only by the way."""

    def send(self: Chunker, items: Any) -> bool:
        if len(items) == 1 and type(items[0]) is Passed and self._emitter.actor_inbox.depth:
            return True
        return _send(self, items)

    _send = Chunker._send
    patch.setattr(Chunker, "_send", send)


def _event_comes_twice(patch: Patch) -> None:
    """An event of the agent that had to wait for room is sent by the Producer and by the one who made room."""

    async def wait_for_room(self: Producer, mail: Any) -> None:
        waits = self._lane.depth >= self._lane.capacity
        await _wait_for_room(self, mail)
        if waits and type(mail) is Passed:
            await _wait_for_room(self, mail)

    _wait_for_room = Producer._wait_for_room
    patch.setattr(Producer, "_wait_for_room", wait_for_room)


# 2 No loss


def _end_before_flush(patch: Patch) -> None:
    ending = Step(Phase.ENDING, (Effect.SEND_END,))
    patch.setitem(TRANSITIONS[Phase.STREAMING], Input.AGENT_DONE, ending)


def _drop_on_full(patch: Patch) -> None:
    def offer(self: Mailbox, mail: Any, sender: Mailbox | None = None) -> bool:
        return _offer(self, mail, sender) or (self.depth >= self.capacity and type(mail) is SpeechChunk)

    _offer = Mailbox.offer
    patch.setattr(Mailbox, "offer", offer)


def _drop_for_a_slow_client(patch: Patch) -> None:
    def place(self: TurnRecord, item: Any) -> None:
        if len(self._outbox) < 8:
            _place(self, item)

    _place = TurnRecord.place
    patch.setattr(TurnRecord, "place", place)


def _lost_text(patch: Patch) -> None:
    """The text in hand when the agent raises is not flushed."""

    def flush(self: Producer, *, final: bool) -> None:
        if final:
            self.record.parts.clear()
        _flush(self, final=final)

    _flush = Producer._flush
    patch.setattr(Producer, "_flush", flush)


def _a_slice_is_lost(patch: Patch) -> None:
    def take_text(self: Mailbox, limit: int) -> str:
        return _take_text(self, limit)[:200]

    _take_text = Mailbox.take_text
    patch.setattr(Mailbox, "take_text", take_text)


def _final_flush_is_partial(patch: Patch) -> None:
    def offer(self: Producer, mail: Any) -> None:
        if type(mail) is Flush and mail.final:
            self._lane.offer(Flush(mail.id, False))
            self._turn.post(FlushAck(mail.id, True, 0), "chunker")
            return
        _offer(self, mail)

    _offer = Producer._offer
    patch.setattr(Producer, "_offer", offer)


def _removed_is_not_booked(patch: Patch) -> None:
    patch.setattr(TurnRecord, "note_removed", lambda _self, _spans: None)


def _ledger_ahead(patch: Patch) -> None:
    """`delivered_text` counts what is in the outbox."""

    def place(self: TurnRecord, item: Any) -> None:
        _place(self, item)
        if type(item) is SpeechChunk:
            self.delivered_to = item.end

    _place = TurnRecord.place
    patch.setattr(TurnRecord, "place", place)


# 3 Bounds


def _mailbox_without_bounds(patch: Patch) -> None:
    def offer(self: Mailbox, mail: Any, sender: Mailbox | None = None) -> bool:
        before, self.capacity = self.capacity, 1_000_000
        try:
            return _offer(self, mail, sender)
        finally:
            self.capacity = before

    _offer = Mailbox.offer
    patch.setattr(Mailbox, "offer", offer)


def _outbox_without_bounds(patch: Patch) -> None:
    patch.setattr(TurnRecord, "has_room", lambda _self, _else_call: True)


def _turn_without_limit(patch: Patch) -> None:
    def heard(self: Producer, text: str = "") -> str:
        self._most = 12_000
        return _heard(self, text)

    _heard = Producer._heard
    patch.setattr(Producer, "_heard", heard)


def _history_without_limit(patch: Patch) -> None:
    def finished(self: Connection, record: TurnRecord) -> None:
        settings = self.context.settings
        self.context.settings = settings.model_copy(update={"turn_retention_count": 1_000})
        try:
            _finished(self, record)
        finally:
            self.context.settings = settings

    _finished = Connection._finished
    patch.setattr(Connection, "_finished", finished)


# 4 Interrupts


def _late_chunk(patch: Patch) -> None:
    """What stands in the outbox is still handed over after an interrupt."""

    def interrupt(self: TurnRecord, reason: str) -> bool:
        before = list(self._outbox)
        done = _interrupt(self, reason)
        if done:
            self._outbox[:0] = [item for item in before if type(item) is SpeechChunk]
        return done

    _interrupt = TurnRecord.interrupt
    patch.setattr(TurnRecord, "interrupt", interrupt)


def _waits_for_the_agent(patch: Patch) -> None:
    """An interrupt waits until the agent has stopped, however long that takes."""
    patch.setattr(EngineContext, "abandon", lambda _self, _left: None)


def _leaves_the_agent(patch: Patch) -> None:
    """An interrupt does not wait, and names nothing."""

    def let_go(self: EngineActor, task: asyncio.Task[Any]) -> None:
        self._forget_task(task)
        task.cancel()

    patch.setattr(EngineActor, "let_go", let_go)


def _abandoned_without_a_name(patch: Patch) -> None:
    def abandon(self: EngineContext, left: Any) -> None:
        record = left.record
        _abandon(self, left)
        if record is not None:
            record.abandoned = ()

    _abandon = EngineContext.abandon
    patch.setattr(EngineContext, "abandon", abandon)


# 5 Cleanup


def _leaked_timer(patch: Patch) -> None:
    def end(self: EngineActor, error: BaseException | None) -> None:
        self._timers = None
        _end(self, error)

    _end = EngineActor._end
    patch.setattr(EngineActor, "_end", end)


def _retention_is_not_watched(patch: Patch) -> None:
    patch.setitem(Supervisor._handlers, Retain, lambda _self, _mail: None)


def _turn_stays(patch: Patch) -> None:
    """The Turn's actor does not stop when its turn is over."""
    patch.setattr(Turn, "stop_now", lambda _self: None)


def _children_stay(patch: Patch) -> None:
    patch.setattr(EngineActor, "stop_children", lambda _self: None)
    patch.setitem(_EFFECTS, Effect.STOP_CHILDREN, lambda _self: None)  # the table has the method itself


def _task_stays(patch: Patch) -> None:
    """The agent's task is not cancelled."""

    def let_go(self: EngineActor, task: asyncio.Task[Any]) -> None:
        self._forget_task(task)

    patch.setattr(EngineActor, "let_go", let_go)


def _connection_stays(patch: Patch) -> None:
    patch.setattr(ConversationSystem, "_forget", lambda _self, _connection_id: None)


# 6 Isolation


def _failure_spreads(patch: Patch) -> None:
    """A child that fails takes the Turns of others with it."""

    def child_gone(self: Turn, word: Any) -> None:
        _child_gone(self, word)
        for actor in tuple(self.system.registry.values()):
            if isinstance(actor, Turn) and actor is not self:
                actor.kill()

    _child_gone = Turn.child_gone
    patch.setattr(Turn, "child_gone", child_gone)


def _busy_for_ever(patch: Patch) -> None:
    """After a failed turn the connection takes no other."""

    def finished(self: Connection, record: TurnRecord) -> None:
        _finished(self, record)
        if record.status is TurnStatus.FAILED:
            record.status = TurnStatus.PROCESSING
            self.roster.active = record

    _finished = Connection._finished
    patch.setattr(Connection, "_finished", finished)


def _supervisor_takes_its_turns_along(patch: Patch) -> None:
    """A Supervisor that starts again ends what it finds."""

    def on_start(self: Supervisor) -> None:
        _on_start(self)
        for roster in self.context.rosters.values():
            if roster.active is not None:
                roster.active.seal(Failure(FailureCode.ACTOR_FAILED, "the supervisor was restarted"))

    _on_start = Supervisor.on_start
    patch.setattr(Supervisor, "on_start", on_start)


# 7 One way


def _completed_too_early(patch: Patch) -> None:
    """A turn is completed when its agent is done."""

    def seal(self: TurnRecord, failure: Failure | None) -> None:
        _seal(self, failure)
        if failure is None and not self.status.finished:
            self.reason = "completed"
            self._finish(TurnStatus.COMPLETED)

    _seal = TurnRecord.seal
    patch.setattr(TurnRecord, "seal", seal)


def _back_to_work(patch: Patch) -> None:
    """A reader that comes back makes a turn active again."""

    def open_(self: TurnRecord, after_seq: int | None) -> Any:
        if self.status.finished:
            self.status = TurnStatus.PROCESSING
        return _open(self, after_seq)

    _open = TurnRecord.open
    patch.setattr(TurnRecord, "open", open_)


def _interrupts_what_has_ended(patch: Patch) -> None:
    def interrupt(self: TurnRecord, reason: str) -> bool:
        if self.status.finished:
            self.status, self.reason = TurnStatus.INTERRUPTED, reason
        return _interrupt(self, reason)

    _interrupt = TurnRecord.interrupt
    patch.setattr(TurnRecord, "interrupt", interrupt)


def _told_twice(patch: Patch) -> None:
    def finished(self: Connection, record: TurnRecord) -> None:
        roster: Roster = self.roster
        if record in (roster.finished or ()):
            self.context.on_turn_finished(record)
        _finished(self, record)

    _finished = Connection._finished
    patch.setattr(Connection, "_finished", finished)


MUTANTS: dict[str, Mutant] = {
    "the end comes twice": Mutant(_double_end, Point.ORDER, 1),
    "an interrupt leaves a gap in seq": Mutant(_seq_gap, Point.ORDER, 1),
    "a failed turn has no error": Mutant(_no_error_before_a_failed_end, Point.ORDER, 1),
    "chunks of one flush change places": Mutant(_chunks_out_of_order, Point.ORDER, 1),
    "an ack is lost": Mutant(_lost_ack, Point.ORDER, 1),
    "no stream_start when it was interrupted before": Mutant(_no_start, Point.ORDER, 5),
    "a replay has a gap": Mutant(_replay_with_a_gap, Point.ORDER, 4),
    "an event carries another turn's id": Mutant(_anothers_event, Point.ORDER, 1),
    "an event goes before the text before it is flushed": Mutant(_no_flush_before_an_event, Point.ORDER, 2),
    "an event goes past the Chunker": Mutant(_event_past_the_chunker, Point.ORDER, 1),
    "an event waits for the next chunks": Mutant(_event_with_the_next_chunks, Point.ORDER, 2),
    "an event is dropped when there is no room": Mutant(_event_is_dropped_on_full, Point.ORDER, 1),
    "an event comes twice": Mutant(_event_comes_twice, Point.ORDER, 1),
    "the end comes before the flush": Mutant(_end_before_flush, Point.NO_LOSS, 3),
    "a full mailbox drops": Mutant(_drop_on_full, Point.NO_LOSS, 1),
    "a slow client loses chunks": Mutant(_drop_for_a_slow_client, Point.NO_LOSS, 1),
    "what had gathered is lost at the end": Mutant(_lost_text, Point.NO_LOSS, 1),
    "what is longer than a slice is lost": Mutant(_a_slice_is_lost, Point.NO_LOSS, 4),
    "the last flush is a partial one": Mutant(_final_flush_is_partial, Point.NO_LOSS, 1),
    "what was removed is not booked": Mutant(_removed_is_not_booked, Point.NO_LOSS, 1),
    "the ledger runs ahead": Mutant(_ledger_ahead, Point.NO_LOSS, 1),
    "a mailbox takes more than it may": Mutant(_mailbox_without_bounds, Point.BOUNDS, 1),
    "the outbox takes more than it may": Mutant(_outbox_without_bounds, Point.BOUNDS, 1),
    "a turn's text has no limit": Mutant(_turn_without_limit, Point.BOUNDS, 13),
    "a connection keeps every turn": Mutant(_history_without_limit, Point.BOUNDS, 1),
    "a chunk comes after an interrupt": Mutant(_late_chunk, Point.INTERRUPTS, 6),
    "an interrupt waits for the agent": Mutant(_waits_for_the_agent, Point.INTERRUPTS, 52),
    "an interrupt does not wait": Mutant(_leaves_the_agent, Point.INTERRUPTS, 2),
    "what is abandoned has no name": Mutant(_abandoned_without_a_name, Point.INTERRUPTS, 52),
    "a timer is left": Mutant(_leaked_timer, Point.CLEANUP, 10),
    "retention is not watched": Mutant(_retention_is_not_watched, Point.CLEANUP, 1),
    "a Turn stays": Mutant(_turn_stays, Point.CLEANUP, 1),
    "children stay": Mutant(_children_stay, Point.CLEANUP, 1),
    "a task stays": Mutant(_task_stays, Point.CLEANUP, 1),
    "a connection stays": Mutant(_connection_stays, Point.CLEANUP, 1),
    "a failure spreads": Mutant(_failure_spreads, Point.ISOLATION, 4),
    "no turn after a failed one": Mutant(_busy_for_ever, Point.ISOLATION, 2),
    "a new Supervisor ends turns": Mutant(_supervisor_takes_its_turns_along, Point.ISOLATION, 7),
    "completed before the end was read": Mutant(_completed_too_early, Point.ONE_WAY, 1),
    "active again when it is read again": Mutant(_back_to_work, Point.ONE_WAY, 1),
    "an ended turn is interrupted": Mutant(_interrupts_what_has_ended, Point.ONE_WAY, 1),
    "an outcome is told twice": Mutant(_told_twice, Point.ONE_WAY, 1),
}
