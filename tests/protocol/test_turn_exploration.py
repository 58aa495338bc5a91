"""Every state that small turns can get into, whatever runs before what and whatever goes wrong where.

`explore` asserts the contract in each of them: order, interrupts and one way in full, no loss and bounds as far as
they show in small turns. The second half breaks what is explored, to see that it is noticed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from exploration import model
from exploration.bounds import Bounds, Fault, Mark
from exploration.explore import ViolationError, explore
from exploration.model import World
from small_turns import NARROW, NOTHING, ONE, TURNS, explored

from protocol.errors import FailureCode
from protocol.turn import TRANSITIONS, Effect, Failure, Input, Phase, Step, TurnMachine, TurnStatus

ROWS = [(phase, event) for phase, row in TRANSITIONS.items() for event in row]
EFFECTS = [(phase, event, effect) for phase, event in ROWS for effect in TRANSITIONS[phase][event].effects]
LATE = Bounds((), frozenset({Fault.DEADLINE, Fault.PAUSE, Fault.INTERRUPT, Fault.KILL_EMITTER}), most_faults=2)
"""For what only matters when something has gone wrong before."""


@pytest.mark.parametrize("bounds", TURNS, ids=str)
def test_contract_holds_in_every_state_and_no_turn_goes_on_for_ever(
    bounds: Bounds, report: Callable[[str], None]
) -> None:
    found = explored(bounds)
    schedules = found.count_schedules()

    report(
        f"explored: the agent gives {bounds}: {found.states:,} states, {found.transitions:,} transitions, "
        f"{schedules:,} schedules"
    )
    ends = {found.world(state).status for state, ways in enumerate(found.ways) if not ways}
    assert ends == {TurnStatus.COMPLETED, TurnStatus.INTERRUPTED, TurnStatus.FAILED}


def test_every_fault_is_injected_while_the_turn_is_in_every_phase_in_which_it_can_happen() -> None:
    found = explored(ONE)
    met = {
        (found.world(state).phase, step)
        for state, ways in enumerate(found.ways)
        for step in ways
        if isinstance(step, Fault)
    }

    begun = (Phase.STREAMING, Phase.DRAINING, Phase.ENDING, Phase.CLOSING)
    for fault in (Fault.INTERRUPT, Fault.KILL_TURN, Fault.KILL_CONNECTION):
        assert {(phase, fault) for phase in begun} <= met
    for fault in (Fault.KILL_PRODUCER, Fault.KILL_CHUNKER, Fault.KILL_EMITTER, Fault.DEADLINE):
        assert {(phase, fault) for phase in begun[:3]} <= met
    for fault in (Fault.AGENT_RAISES, Fault.STALL, Fault.PAUSE):
        assert (Phase.STREAMING, fault) in met


def test_exploration_uses_every_row_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    used = set()

    class Noted(TurnMachine):
        def feed(self, event: Input, failure: Failure | None = None) -> tuple[Effect, ...]:
            used.add((self.phase, event))
            return super().feed(event, failure)

    monkeypatch.setattr(model, "TurnMachine", Noted)
    explore(NOTHING)
    explore(LATE)

    assert used >= set(ROWS)


# What is broken is found.


def broken(*turns: Bounds) -> str:
    """Explore until something is wrong, and say what."""
    for bounds in turns or (NOTHING, ONE, LATE):
        try:
            explore(bounds).count_schedules()
        except ViolationError as violation:
            return str(violation)
    return ""


@pytest.mark.parametrize(("phase", "event"), ROWS, ids=lambda word: word.name)
def test_no_row_of_the_table_can_be_left_out(phase: Phase, event: Input, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(TRANSITIONS[phase], event)

    assert broken()


@pytest.mark.parametrize(("phase", "event", "effect"), EFFECTS, ids=lambda word: word.name)
def test_no_effect_of_a_row_can_be_left_out(
    phase: Phase, event: Input, effect: Effect, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = TRANSITIONS[phase][event]
    others = tuple(other for other in step.effects if other is not effect)
    monkeypatch.setitem(TRANSITIONS[phase], event, step._replace(effects=others))

    assert broken()


ENDING = Step(Phase.ENDING, (Effect.SEND_END,))


@pytest.mark.parametrize(
    ("phase", "event", "step", "what"),
    [
        pytest.param(Phase.STREAMING, Input.AGENT_DONE, ENDING, "completed with ''", id="end before the final flush"),
        pytest.param(Phase.STREAMING, Input.PART_FLUSH_TAKEN, ENDING, "completed with ''", id="end at a part flush"),
        pytest.param(Phase.DRAINING, Input.FINAL_FLUSH_TAKEN, Step(Phase.FLUSHED), "stuck", id="a lost word"),
        pytest.param(Phase.CLOSING, Input.END_TAKEN, Step(Phase.STREAMING), "still there", id="it begins again"),
        pytest.param(Phase.ENDING, Input.INTERRUPT, Step(Phase.ENDING), "still there", id="interrupt ignored"),
        pytest.param(
            Phase.STREAMING,
            Input.CHILD_DIED,
            Step(Phase.STREAMING, (Effect.SEAL,)),
            "still there",
            id="siblings go on",
        ),
    ],
)
def test_wrong_row_is_found_for_what_it_is(
    phase: Phase, event: Input, step: Step, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TRANSITIONS[phase], event, step)

    assert what in broken()


def seal_again(world: World, code: FailureCode | None) -> None:
    world.failure = code
    world.outbox += (Mark.ERROR, Mark.END) if code else (Mark.END,)


@pytest.mark.parametrize(
    ("where", "name", "wrong", "what"),
    [
        pytest.param(World, "_seal", seal_again, "behind stream_end", id="a second end"),
        pytest.param(TurnStatus, "finished", False, "the status went from", id="status goes back"),
        pytest.param(World, "_has_room", lambda _world: True, "over its capacity", id="no bound"),
        pytest.param(World, "_let_go", lambda _world: None, "task still there", id="a task is left"),
        pytest.param(World, "_ready", lambda world: bool(world.outbox), "was played", id="ahead of who listens"),
        pytest.param(World, "_check_settled", lambda _world: None, "waits", id="no answer"),
    ],
)
def test_whatever_else_breaks_the_contract_is_found(
    where: type, name: str, wrong: Any, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(where, name, wrong)

    assert what in broken(NOTHING, NARROW, Bounds(("a.b.",), ahead=1))
