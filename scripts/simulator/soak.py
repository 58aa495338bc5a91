"""A soak: conversations in real time, at a bounded rate, in one system that goes on, to see what stays behind.

Rounds of connections are drawn as in the simulation, with all their faults, and played one over the other; each
connection leaves when the retention of its turns is over. Every few seconds, after a garbage collection, the memory
is read: the pages that the process holds (`rss`, in KiB) and the blocks that Python has allocated (`blocks`), beside
what is alive: actors, connections, tasks, timers, threads.

At the end a line is fitted to both by least squares, without the beginning, in which caches fill and the number of
conversations grows to its level. Successive samples are alike (a heap grows in steps), so the standard error of the
slope is widened by their correlation. A soak fails when the slope of `rss` is above the limit by more than two
standard errors, or when the contract was not kept.
"""

from __future__ import annotations

import asyncio
import gc
import math
import platform
import sys
import threading
import time
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from benchmarks.memory import resident_bytes
from rich.console import Console
from rich.table import Table

from actors import ConversationSystem, Settings
from actors.testing.checker import ContractChecker
from actors.testing.scenario import Mix, Scenario, TurnPlan, draw
from actors.testing.simulation import SETTINGS, Stage
from simulator.rounds import be_quiet

__all__ = ["Line", "Sample", "Soak", "fit", "run_soak", "show_soak"]

SLACK = 2.0
"""How late things may be, in seconds: a soak runs beside other work for half an hour."""
WARM_UP = 0.25
"""Which share of the samples is left out of the line."""
SURE = 2.0
"""How many standard errors above its limit a slope must be to count as above it."""
ENDLESS = ("never_ending", "huge")
BRISK = 0.05
"""How long a client may take for each event of these agents, in seconds."""
LATE_BINS = 5_000
"""The lateness of the loop is counted in milliseconds, up to so many, so that counting takes no more memory."""
TICK = 0.01
"""How often the loop is asked how late it is, in seconds."""


class Soak(NamedTuple):
    """What is to be run.

    Attributes:
        connections, turns: of a round.
        seed: of the first round.
        minutes: for how long rounds begin.
        pace: how many turns begin in a second.
        every: seconds from one sample to the next.
        limit: which slope is too much, in KiB a minute.
        mix: of agents, clients and faults.

    """

    connections: int
    turns: int
    seed: int = 0
    minutes: float = 30.0
    pace: float = 15.0
    every: float = 10.0
    limit: float = 64.0
    mix: Mix = Mix()


class Sample(NamedTuple):
    """What there was at one moment."""

    minutes: float
    rss: float
    blocks: int
    actors: int
    connections: int
    tasks: int
    timers: int
    threads: int


class Line(NamedTuple):
    """A line through samples: what it gains in a minute, and the standard error of that."""

    slope: float
    error: float


def fit(minutes: Sequence[float], values: Sequence[float]) -> Line:
    """Fit a line by least squares; the error is infinite where there are not enough samples to know."""
    count = len(minutes)
    if count < 4:
        return Line(0.0, math.inf)
    mid_x, mid_y = math.fsum(minutes) / count, math.fsum(values) / count
    spread = math.fsum((x - mid_x) ** 2 for x in minutes)
    slope = math.fsum((x - mid_x) * (y - mid_y) for x, y in zip(minutes, values, strict=True)) / spread
    rest = [y - mid_y - slope * (x - mid_x) for x, y in zip(minutes, values, strict=True)]
    squares = math.fsum(r * r for r in rest)
    if squares == 0:
        return Line(slope, 0.0)
    alike = math.fsum(a * b for a, b in pairwise(rest)) / squares
    alike = min(max(alike, 0.0), 0.99)
    return Line(slope, math.sqrt(squares / (count - 2) / spread * (1 + alike) / (1 - alike)))


def run_soak(soak: Soak, progress: Callable[[Sample], None] = lambda _sample: None) -> dict[str, Any]:
    """Run a soak to its end and return its figures."""
    be_quiet()
    return asyncio.run(_Run(soak, progress).run())


class _Run:
    def __init__(self, soak: Soak, progress: Callable[[Sample], None]) -> None:
        self._soak = soak
        self._progress = progress
        self._samples: list[Sample] = []
        self._outcomes: Counter[str] = Counter()
        self._events = 0
        self._late = array("L", bytes(array("L").itemsize * LATE_BINS))
        self._rounds: set[asyncio.Task[None]] = set()

    async def run(self) -> dict[str, Any]:
        soak = self._soak
        gc.collect()
        gc.freeze()  # what was loaded is not looked at with every sample
        settings = Settings(**SETTINGS)
        self._began, cpu = time.monotonic(), time.process_time()
        async with ConversationSystem(settings) as system:
            self._system = system
            checker = ContractChecker(system, slack=SLACK)
            stage = Stage(system, checker)
            watching = [asyncio.create_task(work) for work in (self._inspect(checker), self._sample(), self._tick())]
            begun = await self._begin_rounds(stage)
            for task in watching:
                task.cancel()
            self._take_sample()
            await stage.shut_down()
            await asyncio.wait(self._rounds) if self._rounds else None
            seconds, used = time.monotonic() - self._began, time.process_time() - cpu
            await checker.close()
        kept = self._samples[int(WARM_UP * len(self._samples)) :]
        minutes = [sample.minutes for sample in kept]
        rss, blocks = (fit(minutes, [sample[field] for sample in kept]) for field in (1, 2))
        return {
            "python": platform.python_version(),
            "seeds": [soak.seed, soak.seed + begun - 1],
            "minutes": round(seconds / 60, 3),
            "cpu_share": round(used / seconds, 3),
            "rounds": begun,
            "turns": checker.turns,
            "events": self._events,
            "outcomes": dict(self._outcomes.most_common()),
            "loop_lateness_ms": self._lateness(),
            "samples_of_the_line": len(kept),
            "rss_kib_per_minute": rss.slope,
            "rss_standard_error": rss.error,
            "blocks_per_minute": blocks.slope,
            "blocks_standard_error": blocks.error,
            "rss_growth_kib": _growth([sample.rss for sample in kept]),
            "limit_kib_per_minute": soak.limit,
            "grows": rss.slope - SURE * rss.error > soak.limit,
            "samples": [sample._asdict() for sample in self._samples],
            "violations": [str(violation) for violation in checker.violations],
        }

    async def _begin_rounds(self, stage: Stage) -> int:
        soak = self._soak
        loop = asyncio.get_running_loop()
        began, number = loop.time(), 0
        period = soak.connections * soak.turns / soak.pace
        while (due := number * period) < 60 * soak.minutes:
            await asyncio.sleep(began + due - loop.time())
            task = asyncio.create_task(self._round(stage, number))
            self._rounds.add(task)
            task.add_done_callback(self._rounds.discard)
            number += 1
        await asyncio.sleep(began + 60 * soak.minutes - loop.time())
        return number

    async def _round(self, stage: Stage, number: int) -> None:
        soak = self._soak
        scenario = draw(soak.seed + number, soak.connections, soak.turns, soak.mix)
        outcome = await stage.play(_brisk(scenario), f"r{number}")
        self._outcomes.update(outcome.figures.outcomes)
        self._events += outcome.figures.events

    async def _inspect(self, checker: ContractChecker) -> None:
        while True:
            await asyncio.sleep(0.5)
            checker.inspect()

    async def _sample(self) -> None:
        while True:
            await asyncio.sleep(self._soak.every)
            self._take_sample()

    def _take_sample(self) -> None:
        gc.collect()
        loop = asyncio.get_running_loop()
        context = self._system.context
        self._samples.append(
            Sample(
                round((time.monotonic() - self._began) / 60, 4),
                resident_bytes() / 1024,
                sys.getallocatedblocks(),
                len(context.registry),
                len(context.rosters),
                len(asyncio.all_tasks()),
                len(getattr(loop, "_scheduled", ())),
                threading.active_count(),
            )
        )
        self._progress(self._samples[-1])

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + TICK
            await asyncio.sleep(TICK)
            self._late[min(LATE_BINS - 1, max(0, int(1000 * (loop.time() - due))))] += 1

    def _lateness(self) -> dict[str, int]:
        """Return how many milliseconds late the loop was, at several shares of all looks."""
        upto = list(accumulate(self._late))
        shares = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "max": 1.0}
        return {name: bisect_left(upto, share * upto[-1]) for name, share in shares.items()}


def _brisk(scenario: Scenario) -> Scenario:
    """Let no slow client listen to an endless agent: such turns last a quarter of an hour, and rounds pile up."""

    def turn(plan: TurnPlan) -> TurnPlan:
        return replace(plan, pace=min(plan.pace, BRISK)) if plan.agent in ENDLESS else plan

    connections = (replace(plan, turns=tuple(map(turn, plan.turns))) for plan in scenario.connections)
    return replace(scenario, connections=tuple(connections))


def _growth(values: Sequence[float]) -> float:
    """How much larger the middle of the last tenth is than that of the first."""
    part = max(1, len(values) // 10)
    first, last = sorted(values[:part]), sorted(values[-part:])
    return last[len(last) // 2] - first[len(first) // 2]


def show_soak(console: Console, figures: dict[str, Any]) -> None:
    """Print the figures."""
    late = ", ".join(f"{name} {value}" for name, value in figures["loop_lateness_ms"].items())
    console.print(
        f"{figures['turns']:,} turns in {figures['rounds']:,} rounds and {figures['minutes']:.1f} minutes, "
        f"{figures['events']:,} events, {figures['cpu_share']:.0%} of a core, "
        f"{len(figures['violations'])} violations; lateness of the loop in ms: {late}"
    )
    samples = figures["samples"]
    table = Table("", "first", "least", "most", "last", box=None, header_style="bold")
    for name in Sample._fields:
        values = [sample[name] for sample in samples]
        table.add_row(name, *(f"{value:,.6g}" for value in (values[0], min(values), max(values), values[-1])))
    console.print(table)
    for name, unit in (("rss", "KiB"), ("blocks", "blocks")):
        slope = figures["rss_kib_per_minute" if name == "rss" else "blocks_per_minute"]
        error = figures[f"{name}_standard_error"]
        console.print(f"{name}: {slope:+.1f} {unit} a minute, standard error {error:.1f}")
    console.print(
        f"rss: {figures['rss_growth_kib']:+,.0f} KiB from the first to the last tenth of the "
        f"{figures['samples_of_the_line']} samples after the warm-up"
    )
    if figures["grows"]:
        console.print(
            f"The memory grows, by more than {figures['limit_kib_per_minute']:g} KiB a minute.", style="red"
        )
    for violation in figures["violations"][:10]:
        console.print(violation, markup=False, style="red")
