"""The Supervisor's own work: it watches a crowd without holding it up."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from agents import hang
from conversations import engine

from actors.supervisor import BATCH, GAP, Tick
from actors.testing import virtual

CROWD = 5 * BATCH


@virtual
async def test_turns_that_come_due_together_are_looked_at_in_batches() -> None:
    """Turns that began together pause together, and there are clients to serve in between."""
    ticks: Counter[float] = Counter()

    async with engine(idle_flush_seconds=2.0) as system:
        loop = asyncio.get_running_loop()

        def count(_actor: Any, mail: Any) -> None:
            if isinstance(mail, Tick):
                ticks[round(loop.time(), 2)] += 1

        system.context.tap = count
        processors = [system.connect() for _ in range(CROWD)]
        readers = []
        for processor in processors:
            turn_id = await processor.start_turn(agent_stream=hang(["Half a sentence"]))
            readers.append(asyncio.ensure_future(_read(processor.stream_events(turn_id))))
        await asyncio.sleep(3.0)
        assert ticks[2.0] >= CROWD // BATCH
        chunks = [await processor.interrupt_turn(processor.get_active_turns()[0].turn_id) for processor in processors]
        assert all(chunks)
        assert all("tts_ready_chunk" in types for types in await asyncio.gather(*readers))  # each pause was flushed


@virtual
async def test_turns_that_come_due_one_after_the_other_are_looked_at_together() -> None:
    ticks = 0

    async with engine(idle_flush_seconds=2.0) as system:

        def count(_actor: Any, mail: Any) -> None:
            nonlocal ticks
            ticks += isinstance(mail, Tick)

        processors = [system.connect() for _ in range(CROWD)]
        readers = []
        for processor in processors:
            turn_id = await processor.start_turn(agent_stream=hang(["Half a sentence"]))
            readers.append(asyncio.ensure_future(_read(processor.stream_events(turn_id))))
            await asyncio.sleep(0.003)
        system.context.tap = count
        await asyncio.sleep(2.1)
        assert 1 <= ticks <= 2.1 / GAP + 1
        for processor in processors:
            await processor.interrupt_turn(processor.get_active_turns()[0].turn_id)
        assert all("tts_ready_chunk" in types for types in await asyncio.gather(*readers))


async def _read(stream: Any) -> list[str]:
    return [event["type"] async for event in stream]
