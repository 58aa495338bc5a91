#!/usr/bin/env python3
"""What the engine costs, beside a bare asyncio pipeline that does the same, in one process and one run.

    scripts/bench.py [--quick] [--only PART ...] [--repeat N] [--peers] [--json FILE] [--markdown] [--check]

Five parts: `cpu` (time per token, ready and live tokens), `memory` (per idle connection and per active turn),
`interrupt` (latency while 1,000 others speak), `pykka` (the same work in plain Pykka), and `speech` (the pipeline
alone, stage by stage; with `--peers` beside other frameworks' splitters, installed for this run alone). Every figure
is a median of at least five, measured in turns with what it is compared with; machines are noisy, so the ratios are
what counts. The targets are those of the project; with `--check` the exit code is 1 when one is missed.
"""

from __future__ import annotations

import argparse
import gc
import logging
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from checkout import ROOT

sys.path.insert(0, str(ROOT))  # what is measured is this checkout

from bench_speech import measure_speech
from benchmarks.cpu import live_load, measure_cpu, ready_load
from benchmarks.interrupt import InterruptLoad, measure_interrupts
from benchmarks.memory import measure_memory
from benchmarks.plain_pykka import measure_pykka, measure_pykka_memory
from benchmarks.rows import Row, print_markdown, print_table, write_json

PARTS = ("cpu", "memory", "interrupt", "pykka", "speech")


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured. Turns and tokens are of one round."""

    repeat: int = 5
    ready_tokens: int = 50_000
    live_turns: tuple[int, ...] = (1_000, 5_000)
    live_tokens: int = 200
    conversations: int = 5_000
    resident: bool = True
    interrupted_turns: int = 1_000
    interrupts: int = 200
    pykka_ready_tokens: int = 20_000
    pykka_live_turns: int = 100
    pykka_connections: int = 200
    speech_tokens: int = 20_000
    peers: bool = False


QUICK = Sizes(
    repeat=2,
    ready_tokens=2_000,
    live_turns=(20,),
    live_tokens=50,
    conversations=50,
    resident=False,
    interrupted_turns=20,
    interrupts=10,
    pykka_ready_tokens=500,
    pykka_live_turns=5,
    pykka_connections=5,
    speech_tokens=400,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; return the exit code."""
    options = parse(arguments)
    sizes = replace(QUICK if options.quick else Sizes(), peers=options.peers)
    repeat = options.repeat or sizes.repeat
    # A pause of the loop under a thousand turns that start at once is the load, not a fault.
    logging.getLogger("antiphon").setLevel(logging.ERROR)
    assert gc.isenabled(), "measured as programs run"
    rows: list[Row] = []
    for part in options.only:
        began = time.monotonic()
        rows += MEASURES[part](sizes, repeat)
        print(f"{part}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    (print_markdown if options.markdown else print_table)(rows)
    if options.json is not None:
        write_json(options.json, rows, repeat=repeat, quick=options.quick)
    missed = [row for row in rows if row.met is False]
    for row in missed:
        print(f"missed: {row.part}, {row.load}, {row.subject}")
    return 1 if options.check and missed else 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Measure the engine beside a bare asyncio pipeline.")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it runs, measures nothing")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--repeat", type=int, help="rounds (5)")
    parser.add_argument(
        "--peers", action="store_true", help="speech beside LiveKit and Pipecat, installed for the run"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    parser.add_argument("--check", action="store_true", help="exit code 1 if a target is missed")
    return parser.parse_args(arguments)


def measure_all_cpu(sizes: Sizes, repeat: int) -> list[Row]:
    """Both loads, *live* in two sizes."""
    loads = [
        ready_load(1, sizes.ready_tokens),
        *(live_load(turns, sizes.live_tokens) for turns in sizes.live_turns),
    ]
    return [row for load in loads for row in measure_cpu(load, repeat)]


def measure_all_memory(sizes: Sizes, repeat: int) -> list[Row]:
    """Idle connections and active turns."""
    return measure_memory(sizes.conversations, repeat, resident=sizes.resident)


def measure_all_interrupts(sizes: Sizes, repeat: int) -> list[Row]:
    """One interrupt at a time in a crowd."""
    return measure_interrupts(InterruptLoad(sizes.interrupted_turns, sizes.interrupts), repeat)


def measure_all_pykka(sizes: Sizes, repeat: int) -> list[Row]:
    """As far as plain Pykka goes in reasonable time."""
    return [
        *measure_pykka(ready_load(1, sizes.pykka_ready_tokens), repeat),
        *measure_pykka(live_load(sizes.pykka_live_turns, sizes.live_tokens), repeat),
        *measure_pykka_memory(sizes.pykka_connections, repeat),
    ]


def measure_all_speech(sizes: Sizes, repeat: int) -> list[Row]:
    """The speech pipeline alone, and its stages."""
    return measure_speech(repeat, sizes.speech_tokens, peers=sizes.peers)


MEASURES: dict[str, Callable[[Sizes, int], list[Row]]] = {
    "cpu": measure_all_cpu,
    "memory": measure_all_memory,
    "interrupt": measure_all_interrupts,
    "pykka": measure_all_pykka,
    "speech": measure_all_speech,
}

if __name__ == "__main__":
    sys.exit(main())
