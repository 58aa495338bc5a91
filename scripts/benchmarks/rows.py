"""`Row`: one figure of a benchmark with its target, and how rows are shown and kept."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

__all__ = ["Row", "Target", "measured", "print_markdown", "print_table", "write_json"]


@dataclass(frozen=True, slots=True)
class Target:
    """An upper limit, of the value itself or of its ratio to the bare pipeline's."""

    limit: float
    of: Literal["value", "ratio"]
    inclusive: bool = True


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    part: str
    load: str
    subject: str
    value: float
    unit: str
    low: float
    high: float
    ratio: float | None = None
    """To the bare pipeline, measured in turns with it: the median of the ratios of all rounds."""
    target: Target | None = None

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None if there is none."""
        if self.target is None:
            return None
        figure = self.value if self.target.of == "value" else self.ratio
        if figure is None:
            return False
        return figure < self.target.limit or (self.target.inclusive and figure == self.target.limit)

    def cells(self) -> list[str]:
        """Return the row as text."""
        target = ""
        if self.target is not None:
            unit = f" {self.unit}" if self.target.of == "value" else " of bare"
            target = f"{'≤' if self.target.inclusive else '<'} {self.target.limit:g}{unit}"
        return [
            self.load,
            self.subject,
            f"{_figure(self.value)} {self.unit}",
            f"{_figure(self.low)} to {_figure(self.high)}",
            "" if self.ratio is None else f"{self.ratio:.2f}",
            target,
            {None: "", True: "yes", False: "NO"}[self.met],
        ]


HEADINGS = ["load", "what", "median", "spread", "of bare", "target", "met"]


def measured(
    part: str,
    load: str,
    subject: str,
    unit: str,
    values: Sequence[float],
    *,
    bare: Sequence[float] | None = None,
    target: Target | None = None,
) -> Row:
    """Make the row of a figure that was measured several times, in turns with the bare pipeline's."""
    ratio = None
    if bare is not None:
        ratio = statistics.median(value / base for value, base in zip(values, bare, strict=True))
    return Row(part, load, subject, statistics.median(values), unit, min(values), max(values), ratio, target)


def print_table(rows: Sequence[Row]) -> None:
    """Print the rows, a table for each part; plain text where `rich` is not installed or nobody looks."""
    for part, members in _by_part(rows):
        if find_spec("rich") is not None and sys.stdout.isatty():
            _print_rich(part, [row.cells() for row in members])
        else:
            _print_plain(part, [HEADINGS, *(row.cells() for row in members)])


def print_markdown(rows: Sequence[Row]) -> None:
    """Print the rows as Markdown, for the documentation."""
    for part, members in _by_part(rows):
        print(f"### {part}\n")
        print(f"| {' | '.join(HEADINGS)} |\n|{' --- |' * len(HEADINGS)}")
        for row in members:
            print(f"| {' | '.join(row.cells())} |")
        print()


def write_json(path: Path, rows: Sequence[Row], **more: Any) -> None:
    """Write the rows with what they were measured on, and whatever else there is."""
    report = {
        "environment": {
            "python": platform.python_version(),
            "implementation": platform.python_implementation(),
            "system": platform.platform(),
            "cpus": os.cpu_count(),
        },
        "rows": [{**asdict(row), "met": row.met} for row in rows],
        **more,
    }
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _by_part(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    parts = dict.fromkeys(row.part for row in rows)
    return [(part, [row for row in rows if row.part == part]) for part in parts]


def _print_plain(part: str, lines: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    print(part)
    for line in lines:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    print()


def _print_rich(part: str, lines: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*HEADINGS, title=part, title_justify="left")
    for line in lines:
        table.add_row(*line, style="red" if line[-1] == "NO" else None)
    Console().print(table)


def _figure(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 100 else f"{value:,.0f}"
