"""Interrupt latency: 1,000 turns at 50 tokens a second each, and one interrupt at a time.

From the call of `interrupt_turn()` until it has returned *and* the reader has its `stream_end`; for the bare
pipeline from the cancellation until its three tasks are gone. Each agent begins at a place of its own in the text
and at a moment of its own, and the interrupts come at any moment between their tokens. Who was interrupted starts a
new turn.
"""

from __future__ import annotations

import asyncio
import gc
import random
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.rows import Row, Target
from benchmarks.subjects import BARE, DEFAULT_SPEECH, BenchError, Conversation, Subject, World
from benchmarks.workload import paced, tokens

__all__ = ["InterruptLoad", "measure_interrupts"]

PART = "interrupt latency"
INTERVAL = 0.02  # seconds between two tokens of a turn
P99_LIMIT = Target(20, "value", inclusive=False)


@dataclass(frozen=True, slots=True)
class InterruptLoad:
    """So many turns at once, so many interrupts in a round."""

    turns: int
    interrupts: int

    @property
    def name(self) -> str:
        """What it is called in the table."""
        return f"{self.turns:,} x 50/s"


def measure_interrupts(load: InterruptLoad, repeat: int) -> list[Row]:
    """Measure in `repeat` rounds of the bare pipeline and the engine in turns."""
    subjects = (BARE, DEFAULT_SPEECH)
    latencies: dict[str, list[list[float]]] = {subject.name: [] for subject in subjects}
    busy: dict[str, list[float]] = {subject.name: [] for subject in subjects}
    for number in range(repeat):
        for subject in subjects:
            gc.collect()
            milliseconds, share = asyncio.run(_run(subject, load, random.Random(number)))
            latencies[subject.name].append(milliseconds)
            busy[subject.name].append(share)
    return [row for subject in subjects for row in _rows(subject, load, latencies, busy)]


def _rows(
    subject: Subject, load: InterruptLoad, latencies: dict[str, list[list[float]]], busy: dict[str, list[float]]
) -> list[Row]:
    """The percentiles of all interrupts together; the spread is that of the rounds."""
    own = latencies[subject.name]
    everything = [latency for latencies in own for latency in latencies]
    rows = []
    for label, part in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
        by_round = [_percentile(round_, part) for round_ in own]
        target = P99_LIMIT if label == "p99" and subject is not BARE else None
        value = _percentile(everything, part)
        name = f"{subject.name}, {label}"
        rows.append(Row(PART, load.name, name, value, "ms", min(by_round), max(by_round), target=target))
    shares = busy[subject.name]
    rows.append(
        Row(PART, load.name, f"{subject.name}, CPU in use", statistics.median(shares), "%", min(shares), max(shares))
    )
    return rows


def _percentile(values: Sequence[float], part: float) -> float:
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(part * len(ranked)))]


async def _run(subject: Subject, load: InterruptLoad, chance: random.Random) -> tuple[list[float], float]:
    async with subject.open() as world:
        crowd = Crowd(world, load.turns, chance)
        await crowd.all_speak()
        began, cpu = time.perf_counter(), time.process_time()
        latencies = [await crowd.interrupt_one() for _ in range(load.interrupts)]
        share = (time.process_time() - cpu) / (time.perf_counter() - began) * 100
        await crowd.disperse()
        return latencies, share


class Crowd:
    """All who speak at once."""

    def __init__(self, world: World, size: int, chance: random.Random) -> None:
        self._chance = chance
        self._pieces = tokens(200)
        self._callers = [world.connect() for _ in range(size)]
        self._turns = {caller: self._speak(caller) for caller in self._callers}

    def _speak(self, caller: Conversation) -> Speaker:
        speaking = asyncio.Event()
        return Speaker(asyncio.create_task(caller.speak(self._agent(speaking))), speaking)

    async def _agent(self, speaking: asyncio.Event) -> AsyncIterator[str]:
        # From any word on: if all agents began alike, all their sentences would end within the same 20 ms.
        begin = self._chance.randrange(len(self._pieces))
        pieces = self._pieces[begin:] + self._pieces[:begin]
        async for piece in paced(pieces, INTERVAL, self._chance.uniform(0, INTERVAL)):
            speaking.set()
            yield piece

    async def all_speak(self) -> None:
        """Wait until everybody has begun."""
        for speaker in self._turns.values():
            await speaker.speaking.wait()

    async def interrupt_one(self) -> float:
        """Interrupt somebody at some moment; return the milliseconds that it took."""
        caller = self._chance.choice(self._callers)
        turn, speaking = self._turns[caller]
        await speaking.wait()
        await asyncio.sleep(self._chance.uniform(0, INTERVAL))
        if turn.done():
            raise BenchError("a turn ended that nobody interrupted") from turn.exception()
        began = time.perf_counter()
        await caller.interrupt()
        await asyncio.wait((turn,))
        latency = (time.perf_counter() - began) * 1e3
        self._turns[caller] = self._speak(caller)
        return latency

    async def disperse(self) -> None:
        """Interrupt everybody, so that what follows finds a quiet machine."""
        await self.all_speak()
        await asyncio.gather(*(caller.interrupt() for caller in self._callers))
        await asyncio.wait([speaker.turn for speaker in self._turns.values()])


class Speaker(NamedTuple):
    """A turn that is being spoken."""

    turn: asyncio.Task[int]
    speaking: asyncio.Event
    """Set when its agent gives its first token."""
