"""The contract as code: for each of its seven points, what must be true of a turn, or of a system.

A rule is a generator of sentences, each of which says what is wrong; one that is silent is satisfied. The rules of
`TURN_RULES` read the history of one turn after it is over, those of `SYSTEM_RULES` look at a system while it runs.
The definitions are those of the design: *handed over* means handed over for the first time, whatever replays follow.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from enum import Enum
from typing import TYPE_CHECKING, Any

from actors.producer import GATHER, GATHER_CHARS
from actors.record import OUTBOX_CAPACITY
from actors.testing.history import HandedOver, Interrupted, Interrupting, IterationOver, Opened, Seen, TurnHistory
from protocol.agent import read_agent_event
from protocol.errors import BadEventError, FailureCode
from protocol.events import ENGINE_TYPES, read_event
from protocol.turn import TurnStatus

if TYPE_CHECKING:
    from actors.context import EngineContext
    from actors.record import TurnRecord
    from actors.roster import Roster
    from actors.runtime import EngineActor
    from protocol.settings import Settings
    from protocol.turn import ConversationTurn

__all__ = ["SYSTEM_RULES", "TURN_RULES", "Point", "bounds_of_actor"]


class Point(Enum):
    """The seven points of the contract, by number and name."""

    ORDER = "1 Order"
    NO_LOSS = "2 No loss"
    BOUNDS = "3 Bounds"
    INTERRUPTS = "4 Interrupts"
    CLEANUP = "5 Cleanup"
    ISOLATION = "6 Isolation"
    ONE_WAY = "7 One way"


Wrong = Iterator[str]
"""What a rule finds."""

_AGENTS_FAULT = frozenset(FailureCode) - {FailureCode.ACTOR_FAILED}
"""Failures that come from the agent: all that it said is delivered before the end."""


# Of one turn.


def order(turn: TurnHistory, settings: Settings, slack: float) -> Wrong:  # noqa: ARG001 - all rules take the same
    """`stream_start`, chunks in text order, one `error` if it failed, one `stream_end`; `seq` without gaps."""
    events = turn.events()
    for place, event in enumerate(events):
        if event["seq"] != place:
            yield f"event {place} has the seq {event['seq']}"
            break
    yield from _replays_are_the_same(turn)
    types = [event["type"] for event in events]
    if types and types[0] != "stream_start":
        yield f"the first event is {types[0]}"
    for kind in ("stream_start", "stream_end", "error"):
        if types.count(kind) > 1:
            yield f"{types.count(kind)} events {kind}"
    if "stream_end" in types[:-1]:
        yield f"{types[types.index('stream_end') + 1]} follows stream_end"
    ended = bool(types) and types[-1] == "stream_end"
    if ended:
        end = events[-1]
        failed, told = end["status"] == "failed", types[-2:-1] == ["error"]
        # Who interrupts between the error and the end interrupts a turn that has not failed yet.
        if failed != told and not (told and end["status"] == "interrupted"):
            yield f"a turn that ended as {end['status']} has {types[-2:-1] or 'nothing'} before its end"
        elif failed and events[-2]["code"] != end["reason"]:
            yield f"error {events[-2]['code']} before an end for {end['reason']}"
        if end["status"] == "completed" and end["reason"] != "completed":
            yield f"completed, with the reason {end['reason']}"
    if "error" in types[:-2] or (not ended and "error" in types[:-1]):
        yield "an error that is not right before the end"
    if not ended and any(type(entry) is IterationOver for entry in turn.log):
        yield "the iteration ended without stream_end"
    place = 0
    for event in events:
        try:
            read_event(event)
        except BadEventError as error:
            yield f"a malformed event: {error}"
        if (event["turn_id"], event["connection_id"]) != (turn.turn_id, turn.connection_id):
            yield f"an event of turn {event['turn_id']} of connection {event['connection_id']}"
        if event["type"] == "tts_ready_chunk":
            if not place <= event["start"] < event["end"]:
                yield f"a chunk of {event['start']}:{event['end']} after one that ended at {place}"
            place = event["end"]
    yield from _events_stand_in_their_place(turn, events, settings)


def _events_stand_in_their_place(turn: TurnHistory, events: list[dict[str, Any]], settings: Settings) -> Wrong:
    """What is passed on of the agent's events comes whole, once, in the agent's order, and each in its place.

    In its place: behind all chunks that a flush has made of the text before it, and before any of later text.
    """
    beside = getattr(turn.agent, "beside", None)
    if beside is None:
        return
    due = [(at, event) for at, item in beside if (event := _passed_on(item, settings)) is not None]
    count = chunks = end = 0
    for event in events:
        if event["type"] == "tts_ready_chunk":
            chunks, end = chunks + 1, event["end"]
        elif event["type"] not in ENGINE_TYPES:
            if count == len(due):
                yield f"{event['type']} {event['seq']} was passed on, and the agent's are {count}"
                return
            at, said = due[count]
            count += 1
            if {**said, **{name: event[name] for name in _IDS}} != event:
                yield f"event {count} of the agent is {said} and was passed on as {event}"
            if end > at:
                yield f"{event['type']} {event['seq']} at {at} stands behind a chunk that ends at {end}"
            made = next((made for fed, made in turn.witness.flushes if fed == at), None) if turn.witness else 0
            if made is None:
                yield f"{event['type']} {event['seq']} at {at}: what was before it was not flushed"
            elif chunks < made:
                yield f"{event['type']} {event['seq']} at {at} stands before {made - chunks} chunks of earlier text"
    if turn.last is not None and _all_is_spoken(turn, turn.last) and _is_read(events) and count < len(due):
        yield f"of {len(due)} events that the agent had for its client {len(due) - count} were lost"


_IDS = ("turn_id", "connection_id", "session_id", "seq")
_TOOLS = ("tool_call", "tool_result")
_NEVER_PASSED_ON = {*ENGINE_TYPES, "stream_token"}


def _passed_on(item: Any, settings: Settings) -> dict[str, Any] | None:
    """Return what a client gets of something that an agent has yielded beside text; None: nothing."""
    try:
        event: dict[str, Any] = json.loads(read_agent_event(item).model_dump_json())
    except ValueError:  # it is no event, or not JSON
        return None
    kind = event["type"]
    passed = {"none": False, "tools": kind in _TOOLS, "all": kind not in _NEVER_PASSED_ON}
    return event if passed[settings.forward_events] else None


def _replays_are_the_same(turn: TurnHistory) -> Wrong:
    """A reader that comes back gets what was handed over before, without gaps, then goes on."""
    seen: dict[int, dict[str, Any]] = {}
    due: int | None = None
    for entry in turn.log:
        if type(entry) is Opened:
            due = None if entry.after_seq is None else entry.after_seq + 1
        elif type(entry) is HandedOver:
            seq = entry.event["seq"]
            before = seen.setdefault(seq, entry.event)
            if before != entry.event:
                yield f"seq {seq} was {before} and came again as {entry.event}"
            if due is not None and seq != due:
                yield f"a reader that was due seq {due} got {seq}"
            due = seq + 1


def no_loss(turn: TurnHistory, settings: Settings, slack: float) -> Wrong:  # noqa: ARG001
    """Every character is in a chunk, or removed by a named rule, or accounted for in the ledger."""
    last = turn.last
    if last is None:
        return
    events = turn.events()
    chunks = [event for event in events if event["type"] == "tts_ready_chunk"]
    yield from _the_ledger_is_right(turn, last, chunks)
    written = last.generated_text
    if turn.agent is not None:
        said = turn.agent.text
        if not said.startswith(written):
            yield f"the ledger has {written[-60:]!r}, which the agent did not say"
        elif _all_is_spoken(turn, last) and written != said[: settings.max_turn_chars]:
            yield f"of {len(said)} characters that the agent said the ledger has {len(written)}"
    if turn.witness is not None:
        yield from _what_came_out_was_delivered(turn, last, chunks)
    elif _all_is_spoken(turn, last) and _is_read(events):
        outside = len(written) - sum(event["end"] - event["start"] for event in chunks)
        removed = sum(last.removed.values())
        if outside > removed:
            yield f"{outside} characters are in no chunk, and {removed} were removed by rule"


def _all_is_spoken(turn: TurnHistory, last: ConversationTurn) -> bool:
    by_the_agent = last.status is TurnStatus.FAILED and last.error_code in _AGENTS_FAULT and not turn.harmed
    return last.status is TurnStatus.COMPLETED or by_the_agent


def _is_read(events: list[dict[str, Any]]) -> bool:
    return bool(events) and events[-1]["type"] == "stream_end" and events[0]["seq"] == 0


def _the_ledger_is_right(turn: TurnHistory, last: ConversationTurn, chunks: list[dict[str, Any]]) -> Wrong:
    if not last.generated_text.startswith(last.delivered_text):
        yield "delivered_text is no prefix of generated_text"
    if not last.delivered_text.startswith(last.played_text):
        yield "played_text is no prefix of delivered_text"
    end = chunks[-1]["end"] if chunks else 0
    if len(last.delivered_text) != min(end, len(last.generated_text)):
        yield f"delivered_text ends at {len(last.delivered_text)}, the last chunk at {end}"
    if last.chunks != len(chunks):
        yield f"{last.chunks} chunks are counted, {len(chunks)} were handed over"
    for event in turn.events():
        if event["type"] == "stream_end" and event["content"] != last.delivered_text:
            yield "the content of stream_end is not delivered_text"


def _what_came_out_was_delivered(turn: TurnHistory, last: ConversationTurn, chunks: list[dict[str, Any]]) -> Wrong:
    witness = turn.witness
    assert witness is not None
    fed = "".join(witness.fed)
    # What comes when a turn has been interrupted goes into the ledger at once, and nowhere else.
    if last.status is not TurnStatus.INTERRUPTED and not last.generated_text.startswith(fed):
        yield "the pipeline was fed what is not in the ledger"
    made = [(chunk.text, chunk.start, chunk.end) for chunk in witness.chunks]
    got = [(event["chunk"], event["start"], event["end"]) for event in chunks]
    if got != made[: len(got)]:
        at = next(place for place, pair in enumerate(zip(got, made, strict=False)) if pair[0] != pair[1])
        yield f"chunk {at} was made as {made[at]} and delivered as {got[at]}"
    if not (_all_is_spoken(turn, last) and _is_read(turn.events())):
        return
    if len(got) < len(made):
        yield f"{len(made) - len(got)} chunks of {len(made)} were lost, the first {made[len(got)]}"
    if fed != last.generated_text:
        yield f"{len(last.generated_text) - len(fed)} characters never reached the pipeline"
    place = 0
    for start, end in sorted(
        [(c.start, c.end) for c in witness.chunks] + [(r.start, r.end) for r in witness.removed]
    ):
        if start > place:
            yield f"{fed[place:start]!r} at {place} is in no chunk and no rule removed it"
        place = max(place, end)
    if place < len(fed):
        yield f"{fed[place:]!r} at {place} is in no chunk and no rule removed it"
    account = Counter[str]()
    for span in [*witness.removed, *(span for chunk in witness.chunks for span in chunk.removed)]:
        account[span.rule] += span.end - span.start
    if dict(account) != last.removed:
        yield f"removed by rule: {dict(account)}; in the turn's account: {last.removed}"


def interrupts(turn: TurnHistory, settings: Settings, slack: float) -> Wrong:
    """After `interrupt_turn()` only the end comes; it returns in time, and names what it abandoned."""
    limit = settings.interrupt_wait_timeout + slack
    top = -1
    cut: float | None = None
    called: float | None = None
    for entry in turn.log:
        if type(entry) is Interrupting:
            called = entry.at if called is None else called
        elif type(entry) is Interrupted:
            cut = entry.at if cut is None else cut
            if entry.at - entry.since > limit:
                yield f"interrupt_turn() took {entry.at - entry.since:.3f} s"
            if entry.ended and entry.agent_runs and not entry.abandoned:
                yield "interrupt_turn() has returned, the agent still runs, and nothing was named as abandoned"
        elif type(entry) is HandedOver and entry.event["seq"] > top:
            first, top = top == -1, entry.event["seq"]
            kind = entry.event["type"]
            if kind == "stream_end" or (first and kind == "stream_start"):
                continue
            if cut is not None:
                yield f"{kind} {top} was handed over {entry.at - cut:.3f} s after interrupt_turn() had returned"
            elif called is not None and entry.at - called > limit:
                yield f"{kind} {top} was handed over {entry.at - called:.3f} s after interrupt_turn() was called"
    if turn.last is not None and any(type(entry) is Interrupted and entry.ended for entry in turn.log):
        if turn.last.status is not TurnStatus.INTERRUPTED:
            yield f"interrupt_turn() said that it ended a turn which is {turn.last.status}"


def isolation(turn: TurnHistory, settings: Settings, slack: float) -> Wrong:  # noqa: ARG001
    """Only a turn that was given a fault fails."""
    last = turn.last
    if last is not None and last.status is TurnStatus.FAILED and turn.faulty is False:
        yield f"a turn with which nothing was wrong has failed: {last.reason}: {last.error}"


_RANK = {
    TurnStatus.PENDING: 0,
    TurnStatus.PROCESSING: 1,
    TurnStatus.COMPLETED: 2,
    TurnStatus.INTERRUPTED: 2,
    TurnStatus.FAILED: 2,
}


def one_way(turn: TurnHistory, settings: Settings, slack: float) -> Wrong:  # noqa: ARG001
    """The status moves down its list, and to one outcome once; the end says the same."""
    before: Seen | None = None
    read = False
    for entry in turn.log:
        if type(entry) is Seen:
            if entry.status in (TurnStatus.COMPLETED, TurnStatus.FAILED) and not read:
                yield f"{entry.status} before its stream_end was handed over"
            if (
                before is not None
                and before.status is not entry.status
                and not _RANK[before.status] < _RANK[entry.status]
            ):
                yield f"{before.status} became {entry.status}"
            elif before is not None and before.status is entry.status and before.reason not in (None, entry.reason):
                yield f"the reason {before.reason} became {entry.reason}"
            before = entry
        elif type(entry) is HandedOver and entry.event["type"] == "stream_end":
            # An outcome that was seen before is the one that the end tells of, and the other way round.
            read = True
            said = TurnStatus(entry.event["status"])
            if before is not None and before.status.finished and before.status is not said:
                yield f"stream_end says {said} of a turn that was {before.status}"
            before = Seen(entry.at, said, entry.event["reason"])


def size(turn: TurnHistory, settings: Settings, slack: float) -> Wrong:  # noqa: ARG001
    """No turn's text beyond its limit."""
    if turn.last is not None and len(turn.last.generated_text) > settings.max_turn_chars:
        yield f"{len(turn.last.generated_text)} characters were kept, {settings.max_turn_chars} are the limit"


TURN_RULES: dict[Point, Callable[[TurnHistory, Settings, float], Wrong]] = {
    Point.ORDER: order,
    Point.NO_LOSS: no_loss,
    Point.BOUNDS: size,
    Point.INTERRUPTS: interrupts,
    Point.ISOLATION: isolation,
    Point.ONE_WAY: one_way,
}


# Of a system, while it runs.


def bounds(context: EngineContext, slack: float) -> Wrong:  # noqa: ARG001
    """No mailbox beyond its capacity, no buffer beyond its limit, no history beyond its retention."""
    for actor in tuple(context.registry.values()):
        yield from bounds_of_actor(actor)
    for roster in tuple(context.rosters.values()):
        yield from _bounds_of_roster(roster, context.settings)


def bounds_of_actor(actor: EngineActor) -> Wrong:
    """What `bounds` asks of one actor; also when it ends, since its mailbox's peak ends with it."""
    mailbox = actor.actor_inbox
    if max(mailbox.depth, mailbox.peak) > mailbox.capacity:
        yield f"the mailbox of {actor.actor_urn} held {max(mailbox.depth, mailbox.peak)} of {mailbox.capacity}"


def _bounds_of_roster(roster: Roster, settings: Settings) -> Wrong:
    if len(roster.waiting or ()) > settings.turn_queue_limit:
        yield f"{len(roster.waiting or ())} turns of {roster.connection_id} wait, of {settings.turn_queue_limit}"
    if len(roster.finished or ()) > settings.turn_retention_count:
        yield f"{len(roster.finished or ())} turns are kept, of {settings.turn_retention_count}"
    kept = settings.turn_retention_count + settings.turn_queue_limit + 1
    if len(roster.turns) > kept:
        yield f"{roster.connection_id} knows {len(roster.turns)} turns, {kept} at the most"
    record = roster.active
    if record is None:
        return
    if record.outbox_depth > OUTBOX_CAPACITY + 2:
        yield f"the outbox of {record.turn_id} holds {record.outbox_depth} entries"
    if len(record.parts) > GATHER + 1 or sum(map(len, record.parts)) > GATHER_CHARS + GATHER:
        yield f"{len(record.parts)} pieces of text are kept back in {record.turn_id}"


def cleanup(context: EngineContext, slack: float) -> Wrong:
    """A finished turn has no actor, and after its retention nothing at all."""
    settings = context.settings
    now = context.clock.now()
    grace = settings.interrupt_wait_timeout + slack
    for actor in tuple(context.registry.values()):
        record: TurnRecord | None = getattr(actor, "record", None)
        if record is not None and record.ended is not None and now - record.ended > grace:
            yield f"{actor.actor_urn} lives {now - record.ended:.3f} s after its turn has ended"
    for roster in tuple(context.rosters.values()):
        for record in tuple(roster.finished or ()):
            age = now - (record.ended or now)
            if age > settings.turn_retention_seconds + grace:
                yield f"{record.turn_id} is kept {age:.3f} s after its end"
    for left in tuple(context.left_tasks.values()):
        if now - left.deadline > grace:
            yield f"task {left.task.get_name()} is waited for {now - left.deadline:.3f} s beyond its deadline"


SYSTEM_RULES: dict[Point, Callable[[EngineContext, float], Wrong]] = {
    Point.BOUNDS: bounds,
    Point.CLEANUP: cleanup,
}
