"""Well-behaved conversations in real time, many at once on one core, to see how late the engine becomes.

Each agent says a token at its own times, 1/rate apart, whatever the loop does: a token that the loop gets to late is
late, and counts as that. Tokens fall due in ticks of a few milliseconds for all agents together, because a timer for
each would cost more than the engine. Every reader takes what there is at once, and every turn is held to the rules.

Agents begin anywhere in the text, and their first turns have any length, so that neither the ends of sentences nor
the ends of turns come together. What is measured begins when all connections talk, and ends before they hang up.
Agents, readers and rules run on the same core as the engine, and are part of the figures.

Three figures: how late a token was given to the engine, how long it took from the token that made a chunk certain to
the chunk in its reader's hands, and the two added: what a listener would notice. Beside them, how long the garbage
collector has held everything up.
"""

from __future__ import annotations

import asyncio
import gc
import math
import time
from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import accumulate, cycle, islice
from pathlib import Path
from random import Random
from statistics import median_high
from typing import Any, NamedTuple, Self

from rich.console import Console
from rich.table import Table

from actors import ConversationSystem, Settings
from actors.testing.checker import ContractChecker
from actors.testing.client import RecordingClient
from actors.testing.scenario import PROSE
from simulator.rounds import summary

__all__ = ["COLLECTORS", "Load", "run_load", "show_load"]

TICK = 0.002
"""How fine the agents' times are, in seconds."""
TURN_TOKENS = 120
"""How many tokens a turn has."""
BEGIN = 400
"""How many connections begin in a second, and how many hang up at the end."""
SETTLE = 2.0
"""How many seconds after that the measuring begins, and how many after its end the first hangs up."""
COLLECTORS = {
    "rare": "as in the gateway's server: 50,000 new objects before a look at the young ones",
    "young": "a look at the young ones ten times a second, and at no others",
    "off": "none",
}
"""What the garbage collector can do under a load."""
SCHEDSTAT = Path("/proc/thread-self/schedstat")
ENDS = list(accumulate(map(len, PROSE)))
"""Where the tokens of the text end."""


class Load(NamedTuple):
    """So many connections, each with an agent of so many tokens a second, for so long, so many times.

    `collector` says what the garbage collector does while it is measured, see `COLLECTORS`.
    """

    connections: int
    rate: float
    minutes: float
    times: int = 1
    collector: str = "rare"


class Ticker:
    """Wakes whoever waits for a time, in one timer for all."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._due: dict[int, list[asyncio.Future[None]]] = defaultdict(list)
        self._done = self._now()
        self._loop.call_later(TICK, self._tick)

    def at(self, when: float) -> asyncio.Future[None]:
        """Return a future that is done when it is time."""
        future = self._loop.create_future()
        self._due[max(self._done, math.ceil(when / TICK))].append(future)
        return future

    def _now(self) -> int:
        return int(self._loop.time() / TICK)

    def _tick(self) -> None:
        now = self._now()
        while self._done <= now:
            for future in self._due.pop(self._done, ()):
                if not future.done():
                    future.set_result(None)
            self._done += 1
        self._loop.call_at((now + 1) * TICK, self._tick)


class Pauses:
    """How long the garbage collector has held everything up, and how often: a context manager."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._began = 0.0

    def __enter__(self) -> Self:
        gc.callbacks.append(self._called)
        return self

    def __exit__(self, *_error: object) -> None:
        gc.callbacks.remove(self._called)

    def _called(self, phase: str, _info: dict[str, int]) -> None:
        now = time.perf_counter()
        if phase == "start":
            self._began = now
        else:
            self.seconds.append(now - self._began)


class _Run:
    def __init__(self, load: Load) -> None:
        self.load = load
        self.late = array("d")
        self.handling = array("d")
        self.both = array("d")
        self.turns = 0
        self.chance = Random(0)
        self.loop = asyncio.get_running_loop()
        self.ticker = Ticker()
        self._began = self.loop.time()
        self._ramp = load.connections / BEGIN
        self.since = self._began + self._ramp + SETTLE
        self.until = self.since + 60 * load.minutes

    async def connection(self, system: ConversationSystem, checker: ContractChecker) -> None:
        """Talk, turn after turn, until it is this connection's time to hang up."""
        await self.ticker.at(self._began + self.chance.uniform(0, self._ramp))
        client = RecordingClient(system.connect(), checker)
        tokens = self.chance.randint(1, TURN_TOKENS)
        over = self.until + SETTLE + self.chance.uniform(0, self._ramp)
        while self.loop.time() < over:
            agent = PacedAgent(self, tokens, over)
            turn = await client.start(agent, faulty=False)
            while (event := await turn.next()) is not None:
                if event["type"] == "tts_ready_chunk" and (times := agent.times_at(event["end"])) is not None:
                    self._note(*times)
            turn.finish()
            client.turns.clear()
            self.turns += 1
            self.late.extend(agent.lateness())
            tokens = TURN_TOKENS

    def _note(self, said: float, due: float) -> None:
        if self.since <= due < self.until:
            now = self.loop.time()
            self.handling.append(now - said)
            self.both.append(now - due)


class PacedAgent:
    """Says words at its own times, from any place of the text on."""

    def __init__(self, run: _Run, tokens: int, over: float) -> None:
        self._run = run
        self._over = over
        self._tokens = tokens
        self._at = run.chance.randrange(len(PROSE))
        self._began = run.loop.time()
        self._said = array("d")
        self.running = False

    @property
    def text(self) -> str:
        """All that it has said."""
        return "".join(PROSE[(self._at + number) % len(PROSE)] for number in range(len(self._said)))

    def times_at(self, offset: int) -> tuple[float, float] | None:
        """Return when the token behind `offset`, which made what is before it certain, was given and was due."""
        begin = ENDS[self._at - 1] if self._at else 0
        rounds, rest = divmod(begin + offset, ENDS[-1])
        place = rounds * len(PROSE) + bisect_right(ENDS, rest) - self._at
        return (self._said[place], self._due(place)) if place < len(self._said) else None

    def lateness(self) -> Iterator[float]:
        """Give how late each token was, of those that are measured."""
        for number, said in enumerate(self._said):
            due = self._due(number)
            if self._run.since <= due < self._run.until:
                yield said - due

    def _due(self, number: int) -> float:
        return self._began + (number + 1) / self._run.load.rate

    async def __aiter__(self) -> AsyncIterator[str]:
        run, step, said = self._run, 1 / self._run.load.rate, self._said
        at, time, due = run.ticker.at, run.loop.time, self._began
        words = islice(cycle(PROSE), self._at, self._at + self._tokens)
        self.running = True
        try:
            for text in words:
                due += step
                if due >= self._over:
                    return
                await at(due)
                said.append(time())
                yield text
        finally:
            self.running = False


def run_load(load: Load) -> dict[str, Any]:
    """Run a load to its end and return its figures, times in seconds; of several runs each figure's median."""
    runs = [asyncio.run(_run(load)) for _ in range(load.times)]
    violations = [violation for run in runs for violation in run.pop("violations")]
    return {**_median(runs), "runs": len(runs), "violations": violations}


def _median(values: Sequence[Any]) -> Any:
    if isinstance(values[0], str):
        return values[0]
    if isinstance(values[0], dict):
        return {key: _median([value[key] for value in values if key in value]) for key in values[0]}
    return median_high(values)


async def _run(load: Load) -> dict[str, Any]:
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 20)  # as the gateway's server does
    settings = Settings(loop_watchdog_seconds=None, turn_retention_seconds=5)
    async with ConversationSystem(settings) as system:
        checker = ContractChecker(system, slack=5.0)
        run = _Run(load)
        measuring = asyncio.create_task(_measure(run))
        await asyncio.gather(*(run.connection(system, checker) for _ in range(load.connections)))
        checker.inspect()
        share, waited, pauses = await measuring
        await checker.close()
    return {
        "connections": load.connections,
        "rate": load.rate,
        "seconds": round(60 * load.minutes, 1),
        "collector": load.collector,
        "cpu_share": round(share, 3),
        "waited_for_core_share": round(waited, 3),
        "turns": run.turns,
        "tokens": len(run.late),
        "token_lateness_seconds": summary(run.late),
        "token_to_event_seconds": summary(run.handling),
        "due_to_event_seconds": summary(run.both),
        "collector_seconds": summary(pauses),
        "collector_share": round(sum(pauses) / (60 * load.minutes), 4),
        "violations": [str(violation) for violation in checker.violations],
    }


async def _measure(run: _Run) -> tuple[float, float, list[float]]:
    """Return which share of a core was used, for which share the core was another's, and the collector's pauses."""
    await asyncio.sleep(run.since - run.loop.time())
    if run.load.collector != "rare":
        gc.disable()
    young = asyncio.create_task(_look_at_the_young()) if run.load.collector == "young" else None
    with Pauses() as pauses:
        began, cpu, waited = time.monotonic(), time.process_time(), _waited()
        await asyncio.sleep(run.until - run.loop.time())
        seconds = time.monotonic() - began
        shares = (time.process_time() - cpu) / seconds, (_waited() - waited) / seconds
    if young is not None:
        young.cancel()
    gc.enable()
    return *shares, pauses.seconds


async def _look_at_the_young() -> None:
    while True:
        await asyncio.sleep(0.1)
        gc.collect(0)


def _waited() -> float:
    """Return how many seconds this thread was ready to run while others did, where the system tells it."""
    try:
        return int(SCHEDSTAT.read_text(encoding="ascii").split()[1]) / 1e9
    except OSError:
        return math.nan


def show_load(console: Console, figures: dict[str, Any]) -> None:
    """Print the figures."""
    console.print(
        f"{figures['connections']:,} connections at {figures['rate']:g} tokens a second, {figures['seconds']} s"
        + (f", the medians of {figures['runs']} runs:" if figures["runs"] > 1 else ":")
    )
    console.print(
        f"{figures['tokens']:,} tokens in {figures['turns']:,} turns, {figures['cpu_share']:.0%} of a core, for "
        f"{figures['waited_for_core_share']:.0%} of the time others had it, {len(figures['violations'])} violations"
    )
    table = Table("in ms", "count", "p50", "p90", "p99", "max", box=None, header_style="bold")
    for name in ("token_lateness_seconds", "token_to_event_seconds", "due_to_event_seconds", "collector_seconds"):
        row = figures[name]
        cells = (f"{1000 * row[key]:.1f}" for key in ("p50", "p90", "p99", "max")) if row["count"] else ()
        table.add_row(name.removesuffix("_seconds").replace("_", " "), f"{row['count']:,}", *cells)
    console.print(table)
    for violation in figures["violations"][:10]:
        console.print(violation, markup=False, style="red")
