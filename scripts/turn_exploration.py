"""Explore every state that a turn can get into, and find the first one that breaks the contract.

Breadth first, so that a violation comes with one of the shortest schedules that lead to it. Every state is met once,
however many schedules lead there; how many schedules that makes is counted on the finished graph, not by walking
them. The graph having no circle means that no turn goes on for ever.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from turn_model import TOOL, Bounds, Event, Step, World, outbox_capacity

from protocol.turn import Input, Phase, TurnStatus

__all__ = ["Exploration", "Schedule", "ViolationError", "explore"]

Schedule = tuple[Step, ...]

_RANK = {
    TurnStatus.PENDING: 0,
    TurnStatus.PROCESSING: 1,
    TurnStatus.COMPLETED: 2,
    TurnStatus.INTERRUPTED: 2,
    TurnStatus.FAILED: 2,
}
_BEHIND_THE_LAST = 3  # stream_start, error and stream_end have room beside the chunks


class ViolationError(Exception):
    """The contract does not hold."""

    def __init__(self, what: str, schedule: Schedule, bounds: Bounds) -> None:
        steps = "\n".join(f"  {number:2} {step}" for number, step in enumerate(schedule, 1))
        super().__init__(f"{what}\nin the world of: {bounds}\nafter:\n{steps}")
        self.what = what
        self.schedule = schedule


@dataclass(slots=True)
class Exploration:
    """All states within some bounds, as a graph.

    Attributes:
        ways: for each state what can happen there, and the state after it.
        ends: states in which nothing can happen any more, but for a fault that comes too late.
        came: for each state the one that it was first met from, and the step; -1 for the first.
        rows: the rows of the machine's table that were used.

    """

    bounds: Bounds
    ways: list[list[tuple[Step, int]]] = field(default_factory=list)
    ends: set[int] = field(default_factory=set)
    came: list[tuple[int, Step]] = field(default_factory=list)
    rows: set[tuple[Phase, Input]] = field(default_factory=set)

    @property
    def states(self) -> int:
        """How many states there are."""
        return len(self.ways)

    @property
    def transitions(self) -> int:
        """How many steps between two states."""
        return sum(map(len, self.ways))

    def path(self, state: int) -> Schedule:
        """One of the shortest schedules that lead to a state."""
        steps = []
        while (came := self.came[state])[0] >= 0:
            state = came[0]
            steps.append(came[1])
        return tuple(reversed(steps))

    def schedules(self) -> int:
        """How many complete schedules there are: ways from the first state to an end.

        Raises:
            ViolationError: a turn can go on for ever.

        """
        incoming = [0] * self.states
        for ways in self.ways:
            for _step, state in ways:
                incoming[state] += 1
        ready, counts, seen = [0], [0] * self.states, 0
        counts[0] = 1
        while ready:
            state = ready.pop()
            seen += 1
            for _step, after in self.ways[state]:
                counts[after] += counts[state]
                incoming[after] -= 1
                if not incoming[after]:
                    ready.append(after)
        if seen < self.states:
            state = next(state for state, count in enumerate(incoming) if count)
            raise ViolationError("a turn can go on for ever", self.path(state), self.bounds)
        return sum(counts[state] for state in self.ends)

    def completion(self, state: int) -> Iterator[tuple[Step, int]]:
        """Go on from a state to an end without a further fault, the nearest way."""
        while state not in self.ends:
            step, state = self.ways[state][0]
            yield step, state

    def beginnings(self, length: int) -> Iterator[Schedule]:
        """All schedules of a length, and those that end before, each completed to its end."""
        stack: list[tuple[int, Schedule]] = [(0, ())]
        while stack:
            state, steps = stack.pop()
            if state in self.ends:
                yield steps
            if len(steps) < length:
                stack.extend((after, (*steps, step)) for step, after in self.ways[state])
            elif state not in self.ends:
                yield (*steps, *(step for step, _state in self.completion(state)))

    def cover(self) -> Iterator[Schedule]:
        """Complete schedules that take every step of the graph at least once."""
        left = {(state, place) for state, ways in enumerate(self.ways) for place in range(len(ways))}
        for state in range(self.states - 1, -1, -1):
            for place in range(len(self.ways[state])):
                if (state, place) in left:
                    yield self._through(state, place, left)

    def _through(self, state: int, place: int, left: set[tuple[int, int]]) -> Schedule:
        steps = list(self.path(state))
        here = 0
        for step in steps:
            way = next(way for way, (other, _after) in enumerate(self.ways[here]) if other == step)
            left.discard((here, way))
            here = self.ways[here][way][1]
        left.discard((state, place))
        step, here = self.ways[state][place]
        steps.append(step)
        while here not in self.ends:
            ways = self.ways[here]
            way = next((way for way in range(len(ways)) if (here, way) in left), 0)
            left.discard((here, way))
            step, here = ways[way]
            steps.append(step)
        return tuple(steps)


def explore(bounds: Bounds) -> Exploration:
    """Visit every state within the bounds.

    Raises:
        ViolationError: with the schedule that leads to it.

    """
    with outbox_capacity(bounds.outbox):
        return _explore(bounds)


def _explore(bounds: Bounds) -> Exploration:
    found = Exploration(bounds)
    first = World.first(bounds)
    known = {first.key: 0}
    found.came.append((-1, Step("", "")))
    frontier = deque([first])
    while frontier:
        world = frontier.popleft()
        here = len(found.ways)
        ways: list[tuple[Step, int]] = []
        found.ways.append(ways)
        steps = world.steps(bounds)
        what = _wrong_at_rest(world, steps)
        if what:
            raise ViolationError(what, found.path(here), bounds)
        if not steps:
            found.ends.add(here)
        for step in (*steps, *world.faults_now(bounds)):
            try:
                after = world.after(step, bounds)
                what = _wrong(world, after, bounds)
            except AssertionError as error:
                what = f"the step is impossible: {error or error.__class__.__name__}"
            if what:
                raise ViolationError(what, (*found.path(here), step), bounds)
            key = after.key
            state = known.get(key)
            if state is None:
                state = known[key] = len(known)
                found.came.append((here, step))
                frontier.append(after)
            ways.append((step, state))
            event = _INPUTS.get(step.what) if step.actor == "turn" else None
            if event is not None:
                found.rows.add((world.phase, event))
    return found


_INPUTS = {
    "AgentDone": Input.AGENT_DONE,
    "TimeOut": Input.TIME_OUT,
    "Interrupt": Input.INTERRUPT,
    "EndPlaced": Input.END_PLACED,
    "EndTaken": Input.END_TAKEN,
}


def _wrong_at_rest(world: World, steps: list[Step]) -> str:
    """What is wrong with a state in which only the reader, or nobody, has anything to do; nothing if all is well."""
    if any(step.actor != "reader" for step in steps):
        return ""
    record = world.record
    left = world.alive - {"connection"}
    if not steps:
        if not record.end_taken:
            return "deadlock: nothing can happen any more, and no reader has had the end"
        if left:
            return f"the turn is over and {', '.join(sorted(left))} still there"
    elif record.status is TurnStatus.INTERRUPTED and left:
        return f"an interrupted turn needs its reader to get rid of {', '.join(sorted(left))}"
    elif not record.sealed:
        if record.wants_room:
            return ""
        return "only the reader can go on, and there is no end for it to come to"
    return ""


def _wrong(before: World, after: World, bounds: Bounds) -> str:
    """Which part of the contract a step breaks; nothing if it breaks none."""
    was, now = before.record.status, after.record.status
    if now is not was and _RANK[now] <= _RANK[was]:
        return f"the status went from {was} to {now}"
    if max(len(after.tokens), len(after.chunks)) > bounds.capacity:
        return "a mailbox is over its capacity"
    if len(after.record.outbox) > bounds.outbox + _BEHIND_THE_LAST:
        return "the outbox is over its capacity"
    if len(after.handed) > len(before.handed):
        return _wrong_event(before, after, bounds)
    return ""


def _wrong_event(before: World, after: World, bounds: Bounds) -> str:
    *earlier, event = after.handed
    last = earlier[-1].type if earlier else ""
    if event.seq != len(earlier):
        return f"event {len(earlier)} has seq {event.seq}"
    if (event.type == "stream_start") != (not earlier):
        return f"event {event.seq} is {event.type}"
    if last == "stream_end":
        return f"{event.type} behind stream_end"
    if last == "error" and event.type != "stream_end":
        return f"{event.type} behind error"
    if event.type == "stream_end":
        return _wrong_end(after, event, last, bounds)
    if before.interrupted_at is not None and event.type != "stream_start":
        return f"{event.type} after the interrupt"
    if not "".join(bounds.stream).startswith(_spoken(after)):
        return f"out of order: {_spoken(after)!r}"
    return ""


def _wrong_end(world: World, end: Event, last: str, bounds: Bounds) -> str:
    spoken = _spoken(world)
    if end.text != spoken.replace(TOOL, ""):
        return f"the end says that {end.text!r} was delivered, and it was {spoken!r}"
    if world.interrupted_at is not None:
        expected = ("interrupted", "interrupted")
        if len(world.handed) - 1 > max(1, world.interrupted_at):
            return "something between the interrupt and the end"
    elif world.reported is not None:
        expected = ("failed", str(world.reported.code))
        if last != "error":
            return "a failed turn without its error"
        if not world.lost and end.text != world.generated:
            return f"the agent failed after {world.generated!r}, and only {end.text!r} was spoken"
    else:
        expected = ("completed", "completed")
        if spoken != "".join(bounds.stream):
            return f"completed, and only {spoken!r} was delivered"
    # An error that has been handed over does not decide the turn: until the end it can be interrupted.
    if last == "error" and expected[0] == "completed":
        return f"error in a {expected[0]} turn"
    if (end.status, end.reason) != expected:
        return f"ended as {end.status} ({end.reason}) in the place of {expected[0]} ({expected[1]})"
    return ""


def _spoken(world: World) -> str:
    return "".join(event.text for event in world.handed if event.type in ("tts_ready_chunk", "tool_call"))
