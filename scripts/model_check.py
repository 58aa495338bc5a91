#!/usr/bin/env python3
"""Explore what can happen to a turn, and have the real actors go the same ways: the suite's check, but larger.

    scripts/model_check.py                                   two faults at a time, every transition: some minutes
    scripts/model_check.py --faults 3 --stream               an agent that gives nothing, three faults, and so on
    scripts/model_check.py --stream a. TOOL b. --narrow --length 8

Prints how much was explored and replayed. When the contract does not hold, or the actors do something else than the
model, it prints the schedule that leads there, and the exit code is 1. It takes about 1 KiB of memory a state.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from dataclasses import replace

from checkout import ROOT

sys.path.insert(0, str(ROOT))

from exploration.bounds import TOOL, Bounds
from exploration.explore import Exploration, Schedule, ViolationError, explore
from exploration.replay import DifferenceError, replaying

STREAMS: tuple[tuple[str, ...], ...] = ((), ("a.",))


def main() -> int:
    options = read_options()
    streams = STREAMS if options.stream is None else (tuple(options.stream),)
    try:
        for bounds in all_bounds(streams, options):
            check(bounds, options)
    except (ViolationError, DifferenceError) as wrong:
        print(wrong, file=sys.stderr)
        return 1
    return 0


def read_options() -> argparse.Namespace:
    description, _, usage = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stream", nargs="*", help="what the agent gives; a full stop ends a sentence")
    parser.add_argument("--faults", type=int, default=2, help="how many at the most in one schedule (2)")
    parser.add_argument("--narrow", action="store_true", help="only where lanes and outbox hold one entry")
    parser.add_argument("--wide", action="store_true", help="only where there is room for everything")
    parser.add_argument("--ahead", type=int, help="flow 'played': so many chunks ahead of what was played")
    parser.add_argument("--queued", action="store_true", help="begin while the turn waits for another")
    parser.add_argument("--length", type=int, help="replay every schedule to so many steps, not every transition")
    parser.add_argument("--eager", action="store_true", help="let actors take messages in their sender's step")
    parser.add_argument("--no-replay", action="store_true", help="explore only")
    return parser.parse_args()


def all_bounds(streams: Iterable[tuple[str, ...]], options: argparse.Namespace) -> Iterable[Bounds]:
    for words in streams:
        stream = tuple(TOOL if word == "TOOL" else word for word in words)
        wide = Bounds(stream, most_faults=options.faults, ahead=options.ahead, queued=options.queued)
        if not options.narrow:
            yield wide
        if not options.wide:
            # The lane of the Connection has to take an interrupt and an acknowledgement.
            yield replace(wide, capacity=1 if wide.ahead is None else 2, outbox=1)


def check(bounds: Bounds, options: argparse.Namespace) -> None:
    started = time.perf_counter()
    print(f"The agent gives {bounds}:")
    found = explore(bounds)
    print(
        f"  {found.states:,} states, {found.transitions:,} transitions, {found.count_schedules():,} schedules "
        f"({time.perf_counter() - started:.1f} s)",
        flush=True,
    )
    if options.no_replay:
        return
    started = time.perf_counter()
    with replaying(found, eager=options.eager) as replayer:
        for schedule in schedules(found, options.length):
            replayer.replay(schedule)
    what = "every transition" if options.length is None else f"every schedule to {options.length} steps"
    print(
        f"  replayed {what}: {replayer.schedules:,} schedules, {replayer.steps:,} steps "
        f"({time.perf_counter() - started:.1f} s)",
        flush=True,
    )


def schedules(found: Exploration, length: int | None) -> Iterable[Schedule]:
    return found.cover() if length is None else found.beginnings(length)


if __name__ == "__main__":
    sys.exit(main())
