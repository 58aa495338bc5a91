"""What the contract says of a turn in the model, checked without a look at the machine's table.

Each function says in words what is wrong; nothing is wrong where there are none. Order, one way and interrupts
(points 1, 7 and 4) are checked in full; no loss and bounds (2 and 3) as far as a model with one rule of speech
can.
"""

from __future__ import annotations

from exploration.bounds import Bounds, Fault, Mark
from exploration.model import AGENT, BEFORE, CONNECTION, LISTENER, READER, TURN, Event, Task, World
from protocol.errors import FailureCode
from protocol.turn import TurnStatus

__all__ = ["wrong_events", "wrong_state", "wrong_step"]

_RANK = {TurnStatus.PENDING: 0, TurnStatus.PROCESSING: 1}
_LAST = 2
"""The rank of every other status."""
_BEHIND_CHUNKS = 2
"""The error and `stream_end` do not wait for room in the outbox."""
_OUTSIDE = frozenset({READER, LISTENER, AGENT, BEFORE})
"""Who owes nobody anything."""
_CODES = {
    Fault.AGENT_RAISES: FailureCode.AGENT_FAILED,
    Fault.STALL: FailureCode.AGENT_STALLED,
    Fault.DEADLINE: FailureCode.TURN_DEADLINE,
    **{fault: FailureCode.ACTOR_FAILED for fault in Fault if fault.victim},
}
"""What a turn may fail with after each fault."""


def wrong_state(world: World, steps: list[str]) -> str:
    """Look at a state: an interrupt leaves the end to be read, and when no actor has anything to do it is through."""
    interrupted = world.status is TurnStatus.INTERRUPTED
    ended = bool(world.events) and world.events[-1].type == Mark.END.value
    if interrupted and not ended and READER not in steps:
        return "interrupted, and there is no end to read"
    if not steps and not ended:
        return "stuck: nothing can happen any more, and no reader was handed the end"
    if not _OUTSIDE.issuperset(steps):
        return ""
    if world.sealed:
        # Until somebody has read its end, the Turn itself stays; what it needed to get there does not.
        stay = (CONNECTION,) if interrupted or ended else (CONNECTION, TURN)
        left = [actor for actor in world.alive if actor not in stay]
        if world.task is not Task.NONE:
            left.append("the agent's task")
        if left:
            return f"the turn is over and {', '.join(left)} still there"
    if (interrupted or ended) and world.answer not in ("", "died", str(interrupted)):
        return f"the turn was {world.status}, and the answer to who interrupted it: {world.answer}"
    return ""


def wrong_step(before: World, after: World) -> str:
    """Look at one step: status, bounds, and the event that it handed over."""
    was, now = before.status, after.status
    if was is not now and _RANK.get(now, _LAST) <= _RANK.get(was, _LAST):
        return f"the status went from {was} to {now}"
    bounds = after.bounds
    if any(len(box.data) > bounds.capacity for box in (after.chunker, after.emitter) if box is not None):
        return "a token lane is over its capacity"
    if len(after.outbox) > bounds.outbox + _BEHIND_CHUNKS:
        return "the outbox is over its capacity"
    if len(after.events) == len(before.events):
        return ""
    if before.unplayed and after.cut_at is None:
        event = after.events[-1].type
        if event in ("error", "stream_end") or len(after.unplayed) > (bounds.ahead or 0):
            return f"{event} before event {before.unplayed[0]} was played"
    return _wrong_event(after, after.events)


def wrong_events(world: World) -> str:
    """Look at all events that were handed over; beside them, of the world only what was done to it counts."""
    for place in range(len(world.events)):
        if what := _wrong_event(world, world.events[: place + 1]):
            return what
    return ""


def _wrong_event(world: World, events: tuple[Event, ...]) -> str:
    *earlier, event = events
    last = earlier[-1].type if earlier else ""
    if (event.type == "stream_start") != (not earlier):
        return f"event {len(earlier)} is {event.type}"
    if last == "stream_end":
        return f"{event.type} behind stream_end"
    if last == "error" and event.type != "stream_end":
        return f"{event.type} behind error"
    if event.type == "stream_end":
        return _wrong_end(world, event, last)
    if world.cut_at is not None and world.cut_at < len(events) and event.type != "stream_start":
        return f"{event.type} after the interrupt"
    heard = _heard(events)
    return "" if _told(world.bounds).startswith(heard) else f"out of order: {heard!r}"


def _wrong_end(world: World, end: Event, last: str) -> str:
    heard = _heard(world.events)
    if end.text != heard.replace(_TOOL, ""):
        return f"the end says that {end.text!r} was delivered, and it was {heard!r}"
    if (end.status == "interrupted") != (world.cut_at is not None):
        return f"ended as {end.status}, and was interrupted at {world.cut_at}"
    if end.status == "interrupted":
        return ""  # an error may have been handed over before
    if (end.status == "failed") != (last == "error"):
        return f"ended as {end.status} behind {last}"
    if end.status == "completed":
        wrong = Fault.AGENT_RAISES in world.faults or heard != _told(world.bounds)
        return f"completed with {heard!r}" if wrong else ""
    if end.reason not in {_CODES.get(fault) for fault in world.faults}:
        return f"failed with {end.reason}, for which there was no reason"
    if end.text != world.generated and not any(fault.victim for fault in world.faults):
        return f"failed after {world.generated!r}, of which {end.text!r} was delivered"
    return ""


_TOOL = "|"


def _heard(events: tuple[Event, ...]) -> str:
    """All that the reader was given, with its tool calls."""
    spoken = (event for event in events if event.type != Mark.END.value)
    return "".join(_TOOL if event.type == Mark.TOOL.value else event.text for event in spoken)


def _told(bounds: Bounds) -> str:
    """All that the agent gives, with its tool calls."""
    return "".join(_TOOL if isinstance(item, Mark) else item for item in bounds.stream)
