"""The report of a simulation as one HTML file that needs nothing else: tables, and histograms as inline SVG."""

from __future__ import annotations

import math
from html import escape
from typing import Any

from simulator.rounds import Report, summary
from simulator.terminal import bins, measured

__all__ = ["html_report"]

WIDTH, HEIGHT, BINS = 640, 180, 64

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 46rem; padding: 0 1rem;
  color: #1b1f24; background: #fff }
h1, h2 { line-height: 1.2 } table { border-collapse: collapse; margin: 1rem 0 }
td, th { padding: .2rem 1rem .2rem 0; text-align: left; border-bottom: 1px solid #ddd }
td.n { text-align: right; font-variant-numeric: tabular-nums } svg { width: 100%; height: auto }
.bar { fill: #3b6ea8 } .axis { stroke: #888 } text { font-size: 11px; fill: #555 }
pre { overflow-x: auto; background: #f6f6f4; padding: 1rem; font-size: 12px }
.bad { color: #a40000 } .good { color: #1a6b2f }
@media (prefers-color-scheme: dark) { body { background: #16181b; color: #ddd } td, th { border-color: #333 }
  pre { background: #202327 } text { fill: #aaa } .bar { fill: #7aa7d9 }
  .bad { color: #ff8a80 } .good { color: #7fd18f } }
"""


def html_report(report: Report, command: str) -> str:
    """Return the whole page."""
    data = report.as_dict()
    found = report.find
    verdict = (
        f'<p class="good">{report.turns:,} turns, no violation of the contract.</p>'
        if found is None
        else f'<p class="bad">The contract was not kept, with seed {found.outcome.scenario.seed}.</p>'
    )
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>Antiphon: a simulation</title>",
        "<meta name='viewport' content='width=device-width'>",
        f"<style>{STYLE}</style><h1>A simulation of conversations</h1>{verdict}<pre>{escape(command)}</pre>",
        _table([(name.replace("_", " "), _shown(data[name])) for name in _PLAIN]),
        "<h2>Outcomes</h2>",
        _table([(name, f"{count:,}") for name, count in data["outcomes"].items()]),
        *(_figure(name, values, "s" if report.plan.real else "virtual s") for name, values in measured(report)),
    ]
    if found is not None:
        lines = [str(violation) for violation in found.outcome.violations]
        parts += ["<h2>Violations</h2>", _pre(lines), "<h2>The smallest scenario</h2>"]
        parts += [_pre([found.smallest.scenario.to_json()]), "<h2>Its messages</h2>", _pre(found.smallest.trace)]
    return "\n".join(parts)


_PLAIN = ("python", "time", "seeds", "connections", "turns_per_connection", "rounds", "turns", "events", "seconds")


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return " – ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def _table(rows: list[tuple[str, str]]) -> str:
    cells = (f"<tr><th>{escape(name)}</th><td class='n'>{escape(text)}</td></tr>" for name, text in rows)
    return f"<table>{''.join(cells)}</table>"


def _pre(lines: list[str]) -> str:
    return f"<pre>{escape(chr(10).join(lines))}</pre>"


def _figure(name: str, values: Any, unit: str) -> str:
    row = summary(values)
    if not row["count"]:
        return ""
    numbers = [(key, f"{row[key]:.4f} {unit}") for key in ("p50", "p90", "p99", "max")]
    numbers.insert(0, ("count", f"{row['count']:,}"))
    return f"<h2>{escape(name)}</h2>{_histogram(values, unit)}{_table(numbers)}"


def _histogram(values: Any, unit: str) -> str:
    counts = bins(values, BINS)
    top, step, base = max(counts), WIDTH / BINS, HEIGHT - 20
    bars = []
    for place, count in enumerate(counts):
        if count:
            height = (base - 10) * math.log1p(count) / math.log1p(top)
            bars.append(
                f"<rect class='bar' x='{place * step:.1f}' y='{base - height:.1f}' width='{step - 1:.1f}' "
                f"height='{height:.1f}'><title>{count:,}</title></rect>"
            )
    largest = max(values)
    return (
        f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' role='img' aria-label='histogram, logarithmic counts'>{''.join(bars)}"
        f"<line class='axis' x1='0' x2='{WIDTH}' y1='{base}' y2='{base}'/><text x='0' y='{HEIGHT - 5}'>0</text>"
        f"<text x='{WIDTH}' y='{HEIGHT - 5}' text-anchor='end'>{largest:.4f} {unit}</text>"
        f"<text x='{WIDTH}' y='12' text-anchor='end'>counts are logarithmic, the highest is {top:,}</text></svg>"
    )
