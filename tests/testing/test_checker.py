"""`ContractChecker`, as somebody uses it in a suite of their own."""

from __future__ import annotations

import asyncio

import pytest
from conversations import engine

from actors.record import TurnRecord
from actors.testing import (
    ContractChecker,
    ContractViolationError,
    Point,
    RecordingClient,
    ScriptedAgent,
    run_virtual,
    virtual,
)
from actors.testing.agents import Step, fail, hang, swallow, talk_on, wait, yields

WORDS: list[Step | str] = ["One sentence. ", wait(0.5), "And another. ", "A third."]


@virtual
async def test_a_client_records_what_was_spoken() -> None:
    async with engine() as system, ContractChecker(system) as checker:
        client = RecordingClient(system.connect(), checker)
        turn = await client.talk(ScriptedAgent(WORDS), faulty=False)
        assert turn.chunks == ["One sentence. ", "And another. ", "A third."]
        assert turn.end is not None
        assert (turn.end["status"], turn.end["content"]) == ("completed", "One sentence. And another. A third.")
        turn.finish()
        assert checker.turns == 1


@virtual
async def test_a_system_that_is_used_in_every_way_keeps_the_contract() -> None:
    async with engine(None, agent_stall_seconds=3) as system, ContractChecker(system) as checker:
        client = RecordingClient(system.connect(), checker)
        scripts: list[list[Step | str]] = [
            [],
            [yields({"type": "tool_call", "name": "t"}), yields(7), "Text."],
            ["Before. ", fail()],
            ["Before. ", hang()],
        ]
        for script in scripts:
            await client.talk(ScriptedAgent(script))
        turn = await client.start(ScriptedAgent([talk_on("On and on. ", 0.1)]))
        await turn.read(2, pace=0.2)
        assert await turn.interrupt()
        await turn.leave()
        turn.open(0)
        await turn.read()
        stubborn = await client.start(ScriptedAgent(["Well. ", swallow(5)]))
        await asyncio.sleep(0.1)
        assert await stubborn.interrupt()


async def break_the_contract() -> None:
    async with engine() as system, ContractChecker(system) as checker:
        client = RecordingClient(system.connect(), checker)
        await client.talk(ScriptedAgent(WORDS))


def test_what_is_found_names_point_turn_and_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    place = TurnRecord.place
    monkeypatch.setattr(TurnRecord, "place", lambda self, item: None if item.start == 0 else place(self, item))
    with pytest.raises(ContractViolationError) as caught:
        run_virtual(break_the_contract())
    found = caught.value.violations
    assert {violation.point for violation in found} == {Point.NO_LOSS}
    assert "2 No loss: turn " in str(caught.value)
    assert "One sentence. " in str(caught.value)


@virtual
async def test_a_turn_that_fails_for_no_reason_is_found() -> None:
    async with engine() as system:
        checker = ContractChecker(system)
        client = RecordingClient(system.connect(), checker)
        await client.talk(ScriptedAgent([fail()]), faulty=False)
        await checker.close()
        assert [violation.point for violation in checker.violations] == [Point.ISOLATION]


async def fail_on_its_own() -> None:
    async with engine() as system, ContractChecker(system) as checker:
        checker.report(Point.ORDER, "nobody", "made up")
        raise ZeroDivisionError


def test_an_error_in_the_test_itself_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        run_virtual(fail_on_its_own())
