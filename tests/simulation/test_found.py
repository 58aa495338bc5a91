"""What the simulation has found, shrunk: one test a bug."""

from __future__ import annotations

import asyncio

import pytest
from agents import ready
from conversations import engine, talk

from actors.testing import run_virtual


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
