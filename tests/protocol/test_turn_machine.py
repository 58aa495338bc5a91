"""The table of a turn's machine, by itself: whatever comes, in whatever order, and however often."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import pytest
import turn_diagram

from protocol.errors import FailureCode
from protocol.turn import TRANSITIONS, Effect, Failure, Input, Phase, TurnMachine, TurnStatus

UNLISTED = [(phase, event) for phase in Phase for event in Input if event not in TRANSITIONS[phase]]
FIRST = Failure(FailureCode.AGENT_FAILED, "the first")
LATER = Failure(FailureCode.ACTOR_FAILED, "a later one")


def test_table_has_a_row_for_every_phase_and_every_phase_can_be_reached() -> None:
    reached, frontier = {Phase.QUEUED}, [Phase.QUEUED]
    while frontier:
        after = {step.phase for step in TRANSITIONS[frontier.pop()].values()} - reached
        reached |= after
        frontier += after

    assert reached == set(TRANSITIONS) == set(Phase)


@pytest.mark.parametrize(("phase", "event"), UNLISTED, ids=lambda word: word.name)
def test_input_that_a_phase_does_not_list_changes_nothing(phase: Phase, event: Input) -> None:
    machine = TurnMachine(phase)

    assert machine.feed(event, FIRST) == ()
    assert (machine.phase, machine.failure) == (phase, None)


def test_over_is_the_only_phase_without_a_way_out_and_lists_nothing() -> None:
    assert [phase for phase, row in TRANSITIONS.items() if not row] == [Phase.OVER]


def test_interrupt_ends_every_phase_that_has_begun() -> None:
    begun = set(Phase) - {Phase.QUEUED, Phase.OVER}

    assert {phase for phase, row in TRANSITIONS.items() if Input.INTERRUPT in row} == begun
    assert all(TRANSITIONS[phase][Input.INTERRUPT].phase is Phase.OVER for phase in begun)


def test_flush_that_is_not_final_ends_nothing() -> None:
    assert all(Input.PART_FLUSH_TAKEN not in row for row in TRANSITIONS.values())


def test_first_failure_counts_and_later_ones_do_not() -> None:
    machine = TurnMachine(Phase.STREAMING)

    machine.feed(Input.TIME_OUT, FIRST)
    machine.feed(Input.AGENT_DONE, LATER)
    machine.feed(Input.CHILD_DIED, LATER)

    assert machine.failure == FIRST
    assert machine.outcome is TurnStatus.FAILED


def test_failure_that_comes_when_the_outcome_is_under_way_is_ignored() -> None:
    machine = TurnMachine(Phase.CLOSING)

    machine.feed(Input.CHILD_DIED, FIRST)
    machine.feed(Input.END_TAKEN)

    assert machine.outcome is TurnStatus.COMPLETED


def test_interrupt_brings_no_failure() -> None:
    machine = TurnMachine(Phase.STREAMING)

    machine.feed(Input.INTERRUPT, FIRST)

    assert machine.failure is None


class State(NamedTuple):
    """A machine, and what it was told and has asked for so far."""

    phase: Phase = Phase.QUEUED
    failed: bool = False
    told: frozenset[Input] = frozenset()
    asked: tuple[Effect, ...] = ()


COUNT = frozenset({Input.AGENT_DONE, Input.FINAL_FLUSH_TAKEN, Input.CHILD_DIED, Input.INTERRUPT, Input.END_TAKEN})
"""What must have been said before the machine may ask for certain things."""


def after(state: State, event: Input, failure: Failure | None) -> State:
    machine = TurnMachine(state.phase, FIRST if state.failed else None)
    effects = machine.feed(event, failure)
    return State(machine.phase, machine.failure is not None, state.told | ({event} & COUNT), state.asked + effects)


def test_every_order_of_inputs_keeps_the_promises_of_the_machine(report: Callable[[str], None]) -> None:
    """Not only what the actors send: any input at any time, with a failure and without, and again and again."""
    ways = [(event, failure) for event in Input for failure in (None, LATER)]
    known: dict[State, list[State]] = {}
    frontier = deque([State()])
    while frontier:
        state = frontier.popleft()
        if state in known:
            continue
        known[state] = [after(state, event, failure) for event, failure in ways]
        frontier.extend(known[state])
        assert_sound(state)
    report(f"the machine alone: {len(known)} states, whatever comes and however often")

    phases = {phase: {step.phase for step in row.values()} for phase, row in TRANSITIONS.items()}
    while phases:  # one way: taking off what leads nowhere any more takes off everything
        ends = {phase for phase, then in phases.items() if not then & set(phases)}
        assert ends, f"a turn can go round in {sorted(phases)}"
        phases = {phase: then for phase, then in phases.items() if phase not in ends}


def assert_sound(state: State) -> None:
    for effect in Effect:
        assert state.asked.count(effect) <= 1, f"{effect} twice: {state}"
    if Effect.SEND_END in state.asked:
        assert state.told >= {Input.AGENT_DONE, Input.FINAL_FLUSH_TAKEN}, state
    if Effect.SEAL in state.asked:
        assert Input.CHILD_DIED in state.told, state
    has_children = Effect.START_CHILDREN in state.asked and Effect.STOP_CHILDREN not in state.asked
    assert has_children == (state.phase not in (Phase.QUEUED, Phase.CLOSING, Phase.OVER)), state
    if state.phase is Phase.CLOSING:
        assert {Effect.SEND_END, Effect.SEAL} & set(state.asked), state
    if state.phase is Phase.OVER:
        assert state.told & {Input.INTERRUPT, Input.END_TAKEN}, state


@pytest.mark.parametrize("status", TurnStatus)
def test_status_is_finished_when_nothing_can_change(status: TurnStatus) -> None:
    assert status.finished == (status not in (TurnStatus.PENDING, TurnStatus.PROCESSING))


def test_drawing_in_the_docs_is_the_one_that_the_table_gives() -> None:
    text = turn_diagram.DOCUMENT.read_text(encoding="utf-8")
    _, _, rest = text.partition(turn_diagram.BEGIN)
    drawn, end, _ = rest.partition(turn_diagram.END)

    assert end, "docs/turn.md has lost the comments around the drawing"
    assert drawn == turn_diagram.drawing(), "run  python scripts/turn_diagram.py --write"


def test_drawing_has_an_arrow_for_every_row() -> None:
    arrows = [line for line in turn_diagram.drawing().splitlines() if "-->" in line and "[*]" not in line]

    assert len(arrows) == sum(map(len, TRANSITIONS.values()))
