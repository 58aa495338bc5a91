"""CPU time per token: the process's own, from the first connection to the last trace of the last turn.

Connecting, starting the turns and tidying up after them are part of it; starting the system and shutting it down
are not. Rounds alternate between the subjects, every second one in the opposite order, so that what a machine does
beside it falls on all alike; the ratio is taken within a round.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from benchmarks.rows import Row, Target, measured
from benchmarks.subjects import BARE, DEFAULT_SPEECH, PLAIN_SPLITTER, SPLITTER, BenchError, Subject
from benchmarks.workload import count_chunks, live, ready, tokens

__all__ = ["CpuLoad", "cpu_per_token", "live_load", "measure_cpu", "ready_load", "rounds"]

PART = "CPU time per token"


@dataclass(frozen=True, slots=True)
class CpuLoad:
    """So many turns at once of so many tokens each."""

    kind: str
    turns: int
    tokens: int
    agent: Callable[[Sequence[str]], AsyncIterator[str]]
    default_speech_limit: float

    @property
    def name(self) -> str:
        """What it is called in the table."""
        return f"{self.kind}, {self.turns:,} x {self.tokens:,}"

    def target(self, subject: Subject) -> Target | None:
        """What is asked of this subject under this load."""
        if subject is SPLITTER:
            return Target(0.7, "ratio")
        if subject is DEFAULT_SPEECH:
            return Target(self.default_speech_limit, "ratio")
        return None


def ready_load(turns: int, pieces: int) -> CpuLoad:
    """Tokens that are there already."""
    return CpuLoad("ready", turns, pieces, ready, 1.5)


def live_load(turns: int, pieces: int) -> CpuLoad:
    """An agent that lets the loop run before each token."""
    return CpuLoad("live", turns, pieces, live, 0.8)


def measure_cpu(load: CpuLoad, repeat: int) -> list[Row]:
    """Measure a load in `repeat` rounds."""
    subjects = [BARE, SPLITTER, PLAIN_SPLITTER, DEFAULT_SPEECH]
    figures = rounds(subjects, repeat, lambda subject: cpu_per_token(subject, load))
    return [
        measured(
            PART,
            load.name,
            subject.name,
            "µs",
            figures[subject.name],
            bare=figures[BARE.name],
            target=load.target(subject),
        )
        for subject in subjects
    ]


def rounds(subjects: Sequence[Subject], repeat: int, measure: Callable[[Subject], float]) -> dict[str, list[float]]:
    """Measure each subject `repeat` times, alternating; return the figures by the subjects' names."""
    figures: dict[str, list[float]] = {subject.name: [] for subject in subjects}
    for number in range(repeat):
        for subject in subjects if number % 2 == 0 else reversed(subjects):
            gc.collect()
            figures[subject.name].append(measure(subject))
    return figures


def cpu_per_token(subject: Subject, load: CpuLoad) -> float:
    """Run the load once; return the microseconds of CPU that a token took."""
    pieces = tokens(load.tokens)
    expected = count_chunks(subject.splitter, pieces)
    seconds, chunks = asyncio.run(_run(subject, load, pieces))
    if chunks != [expected] * load.turns:
        raise BenchError(f"{subject.name}, {load.name}: not every turn gave its {expected} chunks")
    return seconds / (load.turns * load.tokens) * 1e6


async def _run(subject: Subject, load: CpuLoad, pieces: Sequence[str]) -> tuple[float, list[int]]:
    async with subject.open() as world:
        began = time.process_time()
        chunks = await asyncio.gather(*(world.connect().speak(load.agent(pieces)) for _ in range(load.turns)))
        await world.settle()
        return time.process_time() - began, chunks
