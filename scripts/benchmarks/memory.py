"""Memory per conversation, idle and in the middle of a turn.

Counted by `tracemalloc`: every byte that Python has allocated since the first of them was made and still holds,
which is exact and the same in any order of measurements. It does not see what the allocator wastes, so the same is
done once in a fresh process with the resident set size beside it, where the system tells it (`/proc`).

Idle: for the bare pipeline three tasks and two queues that wait, for the engine a connection without a turn. In
mid-turn: the agent has said the first half of 200 tokens and thinks, the reader has read what there was. After a
turn the bare pipeline is gone; the engine keeps the turn for its retention, so that it can be asked for.
"""

from __future__ import annotations

import asyncio
import gc
import os
import tracemalloc
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

from benchmarks.rows import Row, Target, measured
from benchmarks.subjects import BARE, DEFAULT_SPEECH, SPLITTER, Subject, World
from benchmarks.workload import gated, ready, tokens

__all__ = ["measure_memory", "resident_bytes"]

PART = "memory per conversation"
TOKENS = 200
STATM = Path("/proc/self/statm")
SUBJECTS = {subject.name: subject for subject in (BARE, SPLITTER, DEFAULT_SPEECH)}

State = Literal["idle", "in mid-turn", "after a turn"]
Probe = Callable[[], int]

_PLAN: dict[State, tuple[tuple[Subject, ...], float | None]] = {
    "idle": ((BARE, DEFAULT_SPEECH), 6.0),
    "in mid-turn": ((BARE, SPLITTER, DEFAULT_SPEECH), 24.0),
    "after a turn": ((DEFAULT_SPEECH,), None),
}
"""Who is measured in which state, and how many KiB the engine may take."""


def measure_memory(conversations: int, repeat: int, *, resident: bool = True) -> list[Row]:
    """Measure all states of all subjects; `resident` also in fresh processes."""
    rows = []
    for state, (subjects, limit) in _PLAN.items():
        rows += _measure_state(state, subjects, limit, conversations, repeat, resident=resident)
    return rows


def _measure_state(
    state: State,
    subjects: Sequence[Subject],
    limit: float | None,
    conversations: int,
    repeat: int,
    *,
    resident: bool,
) -> list[Row]:
    figures: dict[tuple[str, str], list[float]] = {}
    for number in range(repeat if limit is not None else 1):
        for subject in subjects:
            figures.setdefault(("tracemalloc", subject.name), []).append(_traced(subject, state, conversations))
            if resident and number == 0 and STATM.exists():
                figures.setdefault(("RSS", subject.name), []).append(_resident(subject, state, conversations))
    rows = []
    for (probe, name), values in sorted(figures.items(), key=lambda entry: entry[0][0] == "RSS"):
        target = Target(limit, "value") if limit is not None and name != BARE.name else None
        load = f"{state}, {conversations:,}, {probe}"
        bare = figures.get((probe, BARE.name))
        rows.append(measured(PART, load, name, "KiB", values, bare=bare, target=target))
    return rows


def _traced(subject: Subject, state: State, conversations: int) -> float:
    gc.collect()
    tracemalloc.start()
    return asyncio.run(_grow(subject, state, conversations, lambda: tracemalloc.get_traced_memory()[0]))


def _resident(subject: Subject, state: State, conversations: int) -> float:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(_resident_here, subject.name, state, conversations).result()


def _resident_here(name: str, state: State, conversations: int) -> float:
    subject = SUBJECTS[name]
    asyncio.run(_grow(subject, "after a turn", 1, resident_bytes))  # what the first turn loads is no one's share
    return asyncio.run(_grow(subject, state, conversations, resident_bytes))


def resident_bytes() -> int:
    """Return how much memory this process has in RAM."""
    return int(STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def _grow(subject: Subject, state: State, conversations: int, probe: Probe) -> float:
    """Bring so many conversations into a state; return by how many KiB each has made the process grow."""
    pieces = tokens(TOKENS)
    async with subject.open() as world:
        gc.collect()
        before = probe()
        async with _STATES[state](world, conversations, pieces):
            gc.collect()
            grown = probe() - before
            tracemalloc.stop()  # the rest need not be slow
    return grown / conversations / 1024


@asynccontextmanager
async def _idle(world: World, conversations: int, _pieces: Sequence[str]) -> AsyncIterator[None]:
    held = [world.connect() for _ in range(conversations)]
    waiting = [asyncio.create_task(conversation.idle()) for conversation in held]
    await _pass()
    waiting = [task for task in waiting if not task.done()]
    yield
    for task in waiting:
        task.cancel()


@asynccontextmanager
async def _mid_turn(world: World, conversations: int, pieces: Sequence[str]) -> AsyncIterator[None]:
    arrived, gate = asyncio.Semaphore(0), asyncio.Event()
    held = [world.connect() for _ in range(conversations)]
    turns = [asyncio.create_task(conversation.speak(gated(pieces, arrived, gate))) for conversation in held]
    for _ in turns:
        await arrived.acquire()
    await _pass()
    yield
    gate.set()
    await asyncio.gather(*turns)


@asynccontextmanager
async def _after_a_turn(world: World, conversations: int, pieces: Sequence[str]) -> AsyncIterator[None]:
    held = [world.connect() for _ in range(conversations)]
    await asyncio.gather(*(conversation.speak(ready(pieces)) for conversation in held))
    await world.settle()
    yield
    held.clear()


async def _pass() -> None:
    """Let everybody run who can."""
    for _ in range(20):
        await asyncio.sleep(0)


_STATES = {"idle": _idle, "in mid-turn": _mid_turn, "after a turn": _after_a_turn}
