"""What the simulation has found, shrunk: one test a bug."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from agents import ready, stubborn
from conversations import chunks_of, end_of, engine, talk

from actors.speech import SpeechPipeline
from actors.testing import run_virtual, virtual
from protocol.mail import Forget, TaskLeft


@pytest.mark.parametrize("ended_at", [0.1, 1.2, 3.3, 7.7])
@pytest.mark.parametrize("retention", [0.7, 8.0, 300.0])
def test_a_finished_turn_is_forgotten_when_its_retention_is_over_whatever_the_time_of_its_end(
    ended_at: float, retention: float
) -> None:
    # 1.2 + 8 is 9.2, but 9.2 - 8 is less than 1.2: it was looked at once, taken to be too young, and kept for ever.
    async def converse() -> None:
        async with engine(turn_retention_seconds=retention) as system:
            processor = system.connect()
            await asyncio.sleep(ended_at)
            await talk(processor, ready(["Hello. "]))
            await asyncio.sleep(retention + 0.01)
            assert processor.get_stats()["turns_kept"] == 0

    run_virtual(converse())


@virtual
async def test_a_normaliser_that_raises_loses_no_chunk_that_came_with_the_one_it_raised_at() -> None:
    def normalise(text: str, _language: str | None) -> str:
        raise RuntimeError(text)

    async with engine(lambda: SpeechPipeline(normalise=normalise)) as system:
        events = await talk(system.connect(), ready(["This is one sentence. This is another one. And a third one."]))
        assert chunks_of(events) == ["This is one sentence.", "This is another one.", "And a third one."]
        assert end_of(events) == ("completed", "completed")


@virtual
async def test_a_connection_that_is_killed_when_a_retention_is_over_keeps_nothing_for_it() -> None:
    def kill_at_forget(actor: Any, mail: Any) -> None:
        if isinstance(mail, Forget) and not killed:
            killed.append(actor)
            actor.kill()

    killed: list[Any] = []

    async with engine(turn_retention_seconds=8) as system:
        processor = system.connect()
        await talk(processor, ready(["Hello. "]))
        system.context.tap = kill_at_forget
        await asyncio.sleep(9)
        assert killed
        assert processor.get_stats()["turns_kept"] == 0


@virtual
async def test_a_supervisor_that_is_killed_in_a_shutdown_is_replaced_so_that_nobody_waits_too_long() -> None:
    def kill_at_task_left(actor: Any, mail: Any) -> None:
        if isinstance(mail, TaskLeft) and not killed:
            killed.append(actor)
            actor.kill()

    killed: list[Any] = []
    loop = asyncio.get_running_loop()
    async with engine(interrupt_wait_timeout=1, shutdown_timeout_seconds=5) as system:
        await system.connect().start_turn(agent_stream=stubborn(seconds=30))
        await asyncio.sleep(0.1)
        system.context.tap = kill_at_task_left
        began = loop.time()
        await system.shutdown()
        assert killed
        assert loop.time() - began < 1.1
