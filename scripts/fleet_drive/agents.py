"""The agent of a fleet that is driven: it says prose, or works inside its node and tells how much it did.

say TOKENS PER_SECOND             so many tokens of prose; 0: all at once
work SECONDS CONVERSATIONS        conversations with agents and readers in this process, flat out: tokens a second
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from benchmarks.workload import live, tokens

from actors import ConversationSystem, Settings
from actors.gateway import AgentRequest

__all__ = ["answer"]

TURN_TOKENS = 200
PROSE = tokens(TURN_TOKENS)


async def answer(request: AgentRequest) -> Any:
    word, first, second = request.content.split()
    if word == "work":
        return [f"{await _work(float(first), int(second))}"]
    return _say(int(first), float(second))


async def _say(count: int, per_second: float) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    due = loop.time()
    for token in tokens(count):
        if per_second:
            due += 1 / per_second
            await asyncio.sleep(due - loop.time())
        yield token


async def _work(seconds: float, conversations: int) -> int:
    """Return how many tokens a second went from agents to readers."""
    loop = asyncio.get_running_loop()
    async with ConversationSystem(Settings(loop_watchdog_seconds=None)) as system:
        start = loop.time()
        done = await asyncio.gather(*(_converse(system, start + seconds) for _ in range(conversations)))
        return round(sum(done) * TURN_TOKENS / (loop.time() - start))


async def _converse(system: ConversationSystem, until: float) -> int:
    loop = asyncio.get_running_loop()
    turns = 0
    async with system.connect() as processor:
        while loop.time() < until:
            turn = await processor.start_turn(agent_stream=live(PROSE))
            async for _event in processor.stream_events(turn):
                pass
            turns += 1
    return turns
