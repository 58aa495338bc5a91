"""Well-behaved conversations in real time, many at once on one core, to see how late the engine becomes.

Each agent says a token at its own times, 1/rate apart, whatever the loop does: a token that the loop gets to late is
late, and counts as that. Tokens fall due in ticks of a few milliseconds for all agents together, because a timer for
each would cost more than the engine. Every reader takes what there is at once, and every turn is held to the rules.

Three figures: how late a token was given to the engine, how long it took from the token that made a chunk certain to
the chunk in its reader's hands, and the two added: what a listener would notice.
"""

from __future__ import annotations

import asyncio
import gc
import time
from array import array
from bisect import bisect_right
from collections.abc import AsyncIterator
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from actors import ConversationSystem, Settings
from actors.testing.checker import ContractChecker
from actors.testing.client import RecordingClient
from actors.testing.scenario import PROSE
from simulator.rounds import summary

__all__ = ["Load", "run_load", "show_load"]

TICK = 0.002
"""How fine the agents' times are, in seconds."""
TURN_TOKENS = 120
"""How many tokens a turn has."""
RAMP = 5.0
"""Over how many seconds the connections begin."""


class Load(NamedTuple):
    """So many connections, each with an agent of so many tokens a second, for so long."""

    connections: int
    rate: float
    minutes: float


class Ticker:
    """Wakes whoever waits for a time, in one timer for all."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._due: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()
        self._loop.call_later(TICK, self._tick)

    def at(self, when: float) -> asyncio.Future[None]:
        """Return a future that is done when it is time."""
        future = self._loop.create_future()
        heappush(self._due, (when, next(self._order), future))
        return future

    def _tick(self) -> None:
        now = self._loop.time()
        while self._due and self._due[0][0] <= now:
            future = heappop(self._due)[2]
            if not future.done():
                future.set_result(None)
        self._loop.call_at(now + TICK, self._tick)


class _Run:
    def __init__(self, load: Load) -> None:
        self.load = load
        self.late = array("d")
        self.handling = array("d")
        self.both = array("d")
        self.tokens = 0
        self.turns = 0
        self.chance = Random(0)
        self.loop = asyncio.get_running_loop()
        self.ticker = Ticker()
        self.until = self.loop.time() + RAMP + 60 * load.minutes

    async def connection(self, system: ConversationSystem, checker: ContractChecker) -> None:
        """Talk, turn after turn, until the time is over."""
        await self.ticker.at(self.loop.time() + self.chance.uniform(0, RAMP))
        client = RecordingClient(system.connect(), checker)
        while self.loop.time() < self.until:
            agent = PacedAgent(self)
            turn = await client.start(agent, faulty=False)
            while (event := await turn.next()) is not None:
                if event["type"] == "tts_ready_chunk" and (times := agent.times_at(event["end"])) is not None:
                    said, due = times
                    now = self.loop.time()
                    self.handling.append(now - said)
                    self.both.append(now - due)
            turn.finish()
            client.turns.clear()
            self.turns += 1


class PacedAgent:
    """Says words at its own times."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._at = run.chance.randrange(len(PROSE))
        self._texts: list[str] = []
        self._ends: list[int] = []
        self._times: list[tuple[float, float]] = []
        self.running = False

    @property
    def text(self) -> str:
        """All that it has said."""
        return "".join(self._texts)

    def times_at(self, offset: int) -> tuple[float, float] | None:
        """Return when the token behind `offset`, which made what is before it certain, was given and was due."""
        place = bisect_right(self._ends, offset)
        return self._times[place] if place < len(self._times) else None

    async def __aiter__(self) -> AsyncIterator[str]:
        run, step = self._run, 1 / self._run.load.rate
        due = run.loop.time()
        self.running = True
        try:
            for number in range(TURN_TOKENS):
                due += step
                await run.ticker.at(due)
                now = run.loop.time()
                run.late.append(now - due)
                run.tokens += 1
                text = PROSE[(self._at + number) % len(PROSE)]
                self._texts.append(text)
                self._ends.append((self._ends[-1] if self._ends else 0) + len(text))
                self._times.append((now, due))
                yield text
        finally:
            self.running = False


def run_load(load: Load) -> dict[str, Any]:
    """Run a load to its end and return its figures; times in seconds."""
    return asyncio.run(_run(load))


async def _run(load: Load) -> dict[str, Any]:
    gc.collect()
    gc.freeze()
    settings = Settings(loop_watchdog_seconds=None, turn_retention_seconds=5)
    began, cpu = time.monotonic(), time.process_time()
    async with ConversationSystem(settings) as system:
        checker = ContractChecker(system, slack=5.0)
        run = _Run(load)
        await asyncio.gather(*(run.connection(system, checker) for _ in range(load.connections)))
        checker.inspect()
        seconds, used = time.monotonic() - began, time.process_time() - cpu
        await checker.close()
    return {
        "connections": load.connections,
        "rate": load.rate,
        "seconds": round(seconds, 1),
        "cpu_share": round(used / seconds, 3),
        "turns": run.turns,
        "tokens": run.tokens,
        "token_lateness_seconds": summary(run.late),
        "token_to_event_seconds": summary(run.handling),
        "due_to_event_seconds": summary(run.both),
        "violations": [str(violation) for violation in checker.violations],
    }


def show_load(console: Console, figures: dict[str, Any]) -> None:
    """Print the figures."""
    console.print(
        f"{figures['connections']:,} connections at {figures['rate']:g} tokens a second, {figures['seconds']} s:"
    )
    console.print(
        f"{figures['tokens']:,} tokens in {figures['turns']:,} turns, {figures['cpu_share']:.0%} of a core, "
        f"{len(figures['violations'])} violations"
    )
    table = Table("in ms", "count", "p50", "p90", "p99", "max", box=None, header_style="bold")
    for name in ("token_lateness_seconds", "token_to_event_seconds", "due_to_event_seconds"):
        row = figures[name]
        cells = (f"{1000 * row[key]:.1f}" for key in ("p50", "p90", "p99", "max")) if row["count"] else ()
        table.add_row(name.removesuffix("_seconds").replace("_", " "), f"{row['count']:,}", *cells)
    console.print(table)
    for violation in figures["violations"][:10]:
        console.print(violation, markup=False, style="red")
