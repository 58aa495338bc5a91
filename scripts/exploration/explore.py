"""Visit every state that a turn can get into, and find the first that breaks the contract.

Breadth first, so that a violation comes with one of the shortest schedules that lead to it. Each state is
visited once, however many schedules lead there: they are counted on the finished graph, not walked. That the
graph has no circle means that no turn goes on for ever; that only good states have no way out means that none
gets stuck.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from exploration.bounds import Bounds
from exploration.contract import wrong_state, wrong_step
from exploration.model import World

__all__ = ["Exploration", "Schedule", "ViolationError", "explore"]

Schedule = tuple[str, ...]
"""Steps and faults, in order."""


class ViolationError(Exception):
    """The contract does not hold."""

    def __init__(self, what: str, schedule: Schedule, bounds: Bounds) -> None:
        steps = "\n".join(f"  {number:2} {step}" for number, step in enumerate(schedule, 1))
        super().__init__(f"{what}\nthe agent gives {bounds}; after:\n{steps}")


@dataclass(slots=True)
class Exploration:
    """All states within some bounds, as a graph. A state is its number; 0 is the first.

    Attributes:
        keys: of each state.
        ways: for each state what can happen there, and the state after it.
        came: for each state the one that it was first met from, and the step.

    """

    bounds: Bounds
    keys: list[tuple[Any, ...]] = field(default_factory=list)
    ways: list[dict[str, int]] = field(default_factory=list)
    came: list[tuple[int, str]] = field(default_factory=list)

    @property
    def states(self) -> int:
        """How many states there are."""
        return len(self.keys)

    @property
    def transitions(self) -> int:
        """How many steps there are between two states."""
        return sum(map(len, self.ways))

    def world(self, state: int) -> World:
        """Return a state in full."""
        return World(self.bounds, *self.keys[state])

    def path(self, state: int) -> Schedule:
        """One of the shortest schedules that lead to a state."""
        steps = []
        while state:
            state, step = self.came[state]
            steps.append(step)
        return tuple(reversed(steps))

    def count_schedules(self) -> int:
        """How many complete schedules there are: ways from the first state to one that none leads out of.

        Raises:
            ViolationError: a turn can go on for ever.

        """
        incoming = [0] * self.states
        for ways in self.ways:
            for after in ways.values():
                incoming[after] += 1
        counts = [1] + [0] * (self.states - 1)
        ready, seen, complete = [0], 0, 0
        while ready:
            state = ready.pop()
            seen += 1
            if not self.ways[state]:
                complete += counts[state]
            for after in self.ways[state].values():
                counts[after] += counts[state]
                incoming[after] -= 1
                if not incoming[after]:
                    ready.append(after)
        if seen < self.states:
            circle = next(state for state, count in enumerate(incoming) if count)
            raise ViolationError("a turn can go on for ever", self.path(circle), self.bounds)
        return complete

    def beginnings(self, length: int) -> Iterator[Schedule]:
        """All ways to begin, `length` steps long, each then completed without a further fault."""
        stack: list[tuple[int, Schedule]] = [(0, ())]
        while stack:
            state, steps = stack.pop()
            if len(steps) < length and self.ways[state]:
                stack.extend((after, (*steps, step)) for step, after in self.ways[state].items())
            else:
                yield steps + self._completion(state)

    def _completion(self, state: int) -> Schedule:
        steps = []
        while self.ways[state]:
            step, state = next(iter(self.ways[state].items()))
            steps.append(step)
        return tuple(steps)

    def cover(self) -> Iterator[Schedule]:
        """Complete schedules that together take every step of the graph."""
        left = [set(ways) for ways in self.ways]
        for state in range(self.states - 1, -1, -1):  # the last first: the ways there take many others along
            while left[state]:
                yield self._through(state, left)

    def _through(self, state: int, left: list[set[str]]) -> Schedule:
        steps = list(self.path(state))
        here = 0
        for step in steps:
            left[here].discard(step)
            here = self.ways[here][step]
        while ways := self.ways[here]:
            step = next((step for step in ways if step in left[here]), next(iter(ways)))
            left[here].discard(step)
            steps.append(step)
            here = ways[step]
        return tuple(steps)


def explore(bounds: Bounds) -> Exploration:
    """Visit every state within the bounds.

    Raises:
        ViolationError: with the schedule that leads to it.

    """
    found = Exploration(bounds)
    first = World.first(bounds)
    known = {first.key: 0}
    found.keys.append(first.key)
    found.came.append((0, ""))
    frontier = deque([first])
    while frontier:
        world = frontier.popleft()
        here = len(found.ways)
        ways: dict[str, int] = {}
        found.ways.append(ways)
        steps = world.steps()
        if what := wrong_state(world, steps):
            raise ViolationError(what, found.path(here), bounds)
        if not steps:
            continue  # over: what could be injected here comes too late for anything
        for step in (*steps, *world.possible_faults()):
            after = world.after(step)
            if what := wrong_step(world, after):
                raise ViolationError(what, (*found.path(here), step), bounds)
            key = after.key
            state = known.get(key)
            if state is None:
                state = known[key] = len(known)
                found.keys.append(key)
                found.came.append((here, step))
                frontier.append(after)
            ways[step] = state
    return found
