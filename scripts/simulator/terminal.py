"""What the simulation shows on a terminal: how far it is, what came of it, and what broke the contract."""

from __future__ import annotations

import math
import time
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from actors.testing.outcome import Outcome
from simulator.rounds import Find, Report, summary

__all__ = ["Progress", "show_find", "show_report"]

BARS = " ▁▂▃▄▅▆▇█"
BINS = 24


class Progress:
    """Shows how far a run is; a line a second where the output is no terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=8, transient=True) if console.is_terminal else None
        self._shown = time.monotonic()

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, report: Report, now: Outcome) -> None:
        """Take in the state of a run."""
        if self._live is None or time.monotonic() - self._shown < 0.1:
            return
        self._shown = time.monotonic()
        running = Text(f"round {report.rounds}: seed {now.scenario.seed}, {now.turns} turns", style="dim")
        self._live.update(Group(_counts(report), running))


def show_report(console: Console, report: Report) -> None:
    """Print the summary and the histograms."""
    console.print(_counts(report))
    outcomes = Table("outcome", "turns", box=None, header_style="bold")
    for name, count in report.figures.outcomes.most_common():
        outcomes.add_row(name, f"{count:,}")
    console.print(outcomes)
    unit = "s" if report.plan.real else "virtual s"
    figures = Table(f"in {unit}", "count", "p50", "p90", "p99", "max", box=None, header_style="bold")
    figures.add_column("histogram", no_wrap=True)
    for name, values in measured(report):
        row = summary(values)
        if row["count"]:
            cells = (f"{row[key]:.4f}" for key in ("p50", "p90", "p99", "max"))
            figures.add_row(name, f"{row['count']:,}", *cells, _sparkline(values))
    console.print(figures)


def measured(report: Report) -> list[tuple[str, Any]]:
    """Return what has a histogram, by name."""
    figures = report.figures
    return [
        ("token → event", figures.latency),
        ("start → first chunk", figures.first_chunk),
        ("interrupt_turn()", figures.interrupts),
        ("lateness of the loop", report.lateness),
    ]


def show_find(console: Console, find: Find, command: str) -> None:
    """Print what broke the contract, the smallest scenario, its messages, and how to repeat it."""
    console.print(f"\n[bold red]The contract was not kept[/], with seed {find.outcome.scenario.seed}:")
    for violation in find.outcome.violations[:20]:
        console.print(f"  {violation}", markup=False, highlight=False)
    smallest = find.smallest
    console.print(f"\n[bold]The smallest scenario that does the same[/] ({smallest.turns} turns):")
    console.print(f"  {smallest.scenario.to_json()}", markup=False, highlight=False, soft_wrap=True)
    for violation in smallest.violations[:5]:
        console.print(f"  {violation}", markup=False, highlight=False)
    if smallest.trace:
        console.print("\n[bold]Its messages[/], each when it was handled:")
        for line in smallest.trace:
            console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
    console.print("\n[bold]Again:[/]")
    console.print(f"  {command}", markup=False, highlight=False, soft_wrap=True)


def _counts(report: Report) -> Table:
    table = Table(box=None, show_header=False)
    rate = report.turns / report.seconds if report.seconds else 0.0
    found = len(report.find.outcome.violations) if report.find is not None else 0
    table.add_row(
        "rounds", f"{report.rounds:,}", "turns", f"{report.turns:,}", "events", f"{report.figures.events:,}"
    )
    table.add_row("seconds", f"{report.seconds:.1f}", "turns a second", f"{rate:,.0f}", "violations", f"{found}")
    return table


def _sparkline(values: Any) -> str:
    counts = bins(values, BINS)
    top = max(counts)
    # On a logarithmic scale, because the far end is what one wants to see.
    heights = (math.ceil(8 * math.log1p(count) / math.log1p(top)) if count else 0 for count in counts)
    return "".join(BARS[height] for height in heights)


def bins(values: Any, number: int) -> list[int]:
    """Count the values in so many equal steps from 0 to the largest."""
    top = max(values) or 1.0
    counts = [0] * number
    for value in values:
        counts[min(number - 1, int(number * value / top))] += 1
    return counts
