"""Runs of the simulation: round after round in virtual time, or all connections at once in real time.

A round is one scenario. What a round finds is shrunk here, and said in a way that can be repeated.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from actors.testing.outcome import Figures, Outcome
from actors.testing.scenario import Mix, Scenario, draw
from actors.testing.simulation import play, play_virtual, shrink

__all__ = ["Find", "Plan", "Report", "be_quiet", "run", "summary"]

TRACE = 200
"""How many messages are shown of a scenario that broke the contract."""
REAL_SLACK = 0.5
"""How late things may be in real time, in seconds, on a machine that does other things too."""


@dataclass(frozen=True)
class Plan:
    """What is to be run."""

    connections: int = 20
    turns: int = 10
    seed: int = 0
    rounds: int | None = 1
    minutes: float | None = None
    real: bool = False
    mix: Mix = field(default_factory=Mix)
    scenario: Scenario | None = None
    """This one alone, in the place of those that are drawn."""

    def scenarios(self) -> Iterator[Scenario]:
        """Give one after the other, without end where only the time is limited."""
        if self.scenario is not None:
            yield self.scenario
            return
        number = 0
        while self.rounds is None or number < self.rounds:
            yield draw(self.seed + number, self.connections, self.turns, self.mix)
            number += 1


@dataclass
class Find:
    """A scenario that broke the contract, and the smallest one that was found to break the same point."""

    outcome: Outcome
    smallest: Outcome


@dataclass
class Report:
    """What came of it."""

    plan: Plan
    rounds: int = 0
    turns: int = 0
    seconds: float = 0.0
    figures: Figures = field(default_factory=Figures)
    lateness: list[float] = field(default_factory=list)
    """Of the loop, in real time: how late a timer of 10 ms was, in seconds."""
    find: Find | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        figures = self.figures
        return {
            "python": platform.python_version(),
            "time": "real" if self.plan.real else "virtual",
            "seeds": [self.plan.seed, self.plan.seed + self.rounds - 1],
            "connections": self.plan.connections,
            "turns_per_connection": self.plan.turns,
            "rounds": self.rounds,
            "turns": self.turns,
            "events": figures.events,
            "seconds": round(self.seconds, 3),
            "outcomes": dict(figures.outcomes.most_common()),
            "latency_seconds": summary(figures.latency),
            "first_chunk_seconds": summary(figures.first_chunk),
            "interrupt_seconds": summary(figures.interrupts),
            "loop_lateness_seconds": summary(self.lateness),
            "violations": [] if self.find is None else [str(v) for v in self.find.outcome.violations],
            "seed_of_violation": None if self.find is None else self.find.outcome.scenario.seed,
            "smallest_scenario": None if self.find is None else self.find.smallest.scenario.to_json(),
        }


def summary(values: Any) -> dict[str, float]:
    """Return the number, the middle and the far end of some figures."""
    ordered = sorted(values)
    if not ordered:
        return {"count": 0}

    def at(share: float) -> float:
        return float(round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 6))

    return {"count": len(ordered), "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "max": at(1.0)}


def be_quiet() -> None:
    """Log nothing of the faults that are made here on purpose, thousands of them."""
    for name in ("antiphon", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def run(plan: Plan, progress: Callable[[Report, Outcome], None]) -> Report:
    """Run a plan to its end, or to the first violation."""
    be_quiet()
    gc.set_threshold(50_000, 20, 20)
    report = Report(plan)
    began = time.monotonic()
    until = sys.float_info.max if plan.minutes is None else began + 60 * plan.minutes
    for scenario in plan.scenarios():
        if time.monotonic() >= until:
            break
        outcome = _play_real(scenario, report, progress) if plan.real else play_virtual(scenario)
        report.rounds += 1
        report.turns += outcome.turns
        report.figures.add(outcome.figures)
        report.seconds = time.monotonic() - began
        progress(report, outcome)
        if outcome.violations:
            report.find = _look_into(outcome, plan)
            break
    return report


def _look_into(outcome: Outcome, plan: Plan) -> Find:
    if plan.real:  # it will not happen again in the same way
        return Find(outcome, outcome)
    smallest = shrink(outcome)
    traced = play_virtual(smallest.scenario, trace=TRACE)
    if traced.violations:
        smallest = traced  # else it only happens while nobody looks at the messages
    return Find(outcome, smallest)


def _play_real(scenario: Scenario, report: Report, progress: Callable[[Report, Outcome], None]) -> Outcome:
    outcome = Outcome(scenario)

    async def measured() -> None:
        measuring = asyncio.create_task(_measure_lateness(report.lateness))
        try:
            await play(
                scenario, outcome, slack=REAL_SLACK + scenario.lateness, progress=lambda now: progress(report, now)
            )
        finally:
            measuring.cancel()

    asyncio.run(measured())
    return outcome


async def _measure_lateness(lateness: list[float]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + 0.01
        await asyncio.sleep(0.01)
        lateness.append(max(0.0, loop.time() - due))
