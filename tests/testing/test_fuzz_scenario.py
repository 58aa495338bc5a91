"""Any file in the place of a scenario, any steps in the place of a script: played, or refused with their place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fuzz import effort
from hypothesis import example, given
from hypothesis import strategies as st
from near_valid import ANY_VALUE, NUMBERS, json_texts, mutations, taken

from actors.testing import ScriptedAgent, run_virtual
from actors.testing.agents import Step
from actors.testing.scenario import Scenario, draw
from actors.testing.simulation import play_virtual
from protocol.errors import BadArgumentError

WRITTEN = [json.loads(draw(seed, 1, 2).to_json()) for seed in range(20)]
VALUES = (
    st.none() | NUMBERS | st.sampled_from(["", "fast", "raising", "words", "queue", "kill", "turn", "nope", [], {}])
)


def _near(scenario: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Something is wrong in the scenario, in its connection, in a turn, or in a fault."""
    connection = scenario["connections"][0]
    turn = connection["turns"][0]
    faulty = {**turn, "fault": {"kind": "kill", "target": "turn", "at": 2}}
    return st.one_of(
        mutations(scenario, VALUES),
        mutations({"begins": 0.0, **connection}, VALUES).map(lambda c: {**scenario, "connections": [c]}),
        st.one_of(mutations(turn, VALUES), mutations(faulty, VALUES)).map(
            lambda t: {**scenario, "connections": [{**connection, "turns": [t]}]}
        ),
    )


@effort(200)
@given(st.sampled_from(WRITTEN).flatmap(_near).flatmap(json_texts) | st.text(max_size=20) | st.binary(max_size=20))
@example('{"seed": 1, "connections": [{"turns": [{"agent": "nope"}]}]}')
@example('{"seed": 1, "connections": [{"turns": [{"pace": NaN}]}]}')
def test_anything_is_a_scenario_that_can_be_written_and_read_again_or_refused(text: str | bytes) -> None:
    scenario = taken(lambda: Scenario.from_json(text))
    if scenario is not None:
        assert Scenario.from_json(scenario.to_json()) == scenario


@effort(30)
@given(st.sampled_from(WRITTEN).flatmap(_near))
def test_a_scenario_that_was_read_can_be_played(data: dict[str, Any]) -> None:
    scenario = taken(lambda: Scenario.from_json(json.dumps(data)))
    if scenario is not None and sum(turn.tokens for plan in scenario.connections for turn in plan.turns) < 500:
        assert play_virtual(scenario).violations == []


def test_a_refusal_says_where() -> None:
    with pytest.raises(
        BadArgumentError, match=r"^no scenario: connections: 0: turns: 0: agent: .* none of fast, live, "
    ):
        Scenario.from_json('{"seed": 1, "connections": [{"turns": [{"agent": "nope"}]}]}')


STEPS = st.sampled_from(["say", "wait", "yields", "fail", "hang", "swallow", "talk_on", "nope", None, 7])
STEP = st.builds(Step, STEPS, ANY_VALUE | NUMBERS | st.lists(ANY_VALUE, min_size=2, max_size=2)) | ANY_VALUE


@effort(200)
@given(st.lists(STEP, max_size=3))
@example([Step("say", 5)])
@example([Step("wait", float("nan"))])
def test_any_steps_are_a_script_that_can_be_performed_or_refused(steps: list[Any]) -> None:
    agent = taken(lambda: ScriptedAgent(steps))
    if agent is None or any(step[0] in ("hang", "swallow", "talk_on") for step in steps if isinstance(step, Step)):
        return

    async def perform() -> None:
        async for _item in agent:
            pass

    fails = any(isinstance(step, Step) and step.do == "fail" for step in steps)
    if fails:
        with pytest.raises(RuntimeError):
            run_virtual(perform())
    else:
        run_virtual(perform())
