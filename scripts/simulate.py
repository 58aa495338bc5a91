#!/usr/bin/env python3
"""Simulate conversations, break everything, and hold every turn to the contract.

    scripts/simulate.py --connections 20 --turns 10 --rounds 50     in virtual time: 10,000 turns, repeatable
    scripts/simulate.py --minutes 10 --seed 1000                    as many rounds as fit
    scripts/simulate.py --real --connections 500 --turns 3          in real time, all at once, on one core
    scripts/simulate.py --load 4 --connections 10000 --minutes 1    in real time at the rate of speech: how late?
    scripts/simulate.py --soak --minutes 30                         in real time, in one system: does the memory grow?
    scripts/simulate.py --scenario found.json                       one scenario again
    scripts/simulate.py --fleet 2 --connections 50 --kills 3        a fleet of processes, some of which are killed

Agents, clients and faults are drawn from a seed; round n has the seed `--seed` + n. Every event of every turn goes
through the rules of `actors.testing.contract`. On a violation the seed is printed, the scenario is shrunk, its
messages are shown with a command that repeats it, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import Any

from checkout import ROOT

sys.path.insert(0, str(ROOT))

from rich.console import Console
from simulator.html_report import html_report
from simulator.load import COLLECTORS, Load, run_load, show_load
from simulator.rounds import Plan, Report, run
from simulator.soak import Sample, Soak, run_soak, show_soak
from simulator.terminal import Progress, show_find, show_report

from actors.testing.scenario import AGENTS, CLIENTS, FAULTS, Mix, Scenario
from protocol.errors import BadArgumentError

_USUAL = Soak._field_defaults
KINDS: dict[str, Collection[str]] = {"agents": AGENTS, "clients": CLIENTS, "faults": FAULTS}


def main() -> int:
    options = _parse()
    console = Console(stderr=options.json == "-")
    if options.fleet:
        return _fleet(options, console)
    if options.load:
        load = Load(options.connections, options.load, options.minutes or 0.5, options.rounds or 1, options.collector)
        figures = run_load(load)
        show_load(console, figures)
        _write_json(options.json, figures)
        return int(bool(figures["violations"]))
    if options.soak:
        return _soak(console, options)
    plan = _plan(options)
    with Progress(console) as progress:
        report = run(plan, progress)
    show_report(console, report)
    _write_json(options.json, report.as_dict())
    if options.html:
        Path(options.html).write_text(html_report(report, shlex.join(["scripts/simulate.py", *sys.argv[1:]])))
        console.print(f"wrote {options.html}")
    if report.find is None:
        return 0
    show_find(console, report.find, _again(report, Path(options.out)))
    return 1


def _soak(console: Console, options: argparse.Namespace) -> int:
    def show(sample: Sample) -> None:
        console.print(
            f"{sample.minutes:6.2f} min  {sample.rss:,.0f} KiB  {sample.blocks:,} blocks  {sample.actors} actors  "
            f"{sample.tasks} tasks",
            highlight=False,
        )

    soak = Soak(options.connections, options.turns, options.seed, options.minutes or 30.0, mix=_mix(options))
    soak = soak._replace(pace=options.pace, every=options.every, limit=options.limit)
    figures = run_soak(soak, show)
    show_soak(console, figures)
    _write_json(options.json, figures)
    return int(figures["grows"] or bool(figures["violations"]))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=20, help="in each round, at once (default: %(default)s)")
    parser.add_argument("--turns", type=int, default=10, help="of each connection (default: %(default)s)")
    parser.add_argument("--rounds", type=int, help="how many (default: 1, or as many as fit; of --load: 1)")
    parser.add_argument("--minutes", type=float, help="after how long no new round begins")
    parser.add_argument("--seed", type=int, default=0, help="of the first round (default: %(default)s)")
    time = parser.add_mutually_exclusive_group()
    time.add_argument("--virtual", action="store_true", help="in virtual time; repeats exactly (default)")
    time.add_argument("--real", action="store_true", help="in real time")
    parser.add_argument("--fleet", type=int, metavar="NODES", help="clients of a fleet of so many nodes")
    parser.add_argument("--kills", type=int, default=0, help="of a fleet: how many nodes are killed meanwhile")
    parser.add_argument("--load", type=float, metavar="RATE", help="well-behaved agents at so many tokens a second")
    parser.add_argument(
        "--collector",
        choices=COLLECTORS,
        default="rare",
        help="Python's garbage collector under --load; "
        + "; ".join(f"{name}: {what}" for name, what in COLLECTORS.items()),
    )
    time.add_argument("--soak", action="store_true", help="in real time, at a bounded rate, in one system")
    parser.add_argument("--pace", type=float, default=_USUAL["pace"], help="turns a second of a soak (%(default)s)")
    parser.add_argument(
        "--every", type=float, default=_USUAL["every"], help="seconds from sample to sample (%(default)s)"
    )
    parser.add_argument("--limit", type=float, default=_USUAL["limit"], help="KiB a minute it may grow (%(default)s)")
    for name, kinds in KINDS.items():
        parser.add_argument(f"--{name}", help=f"which, with commas; or 'none' (default: all of {', '.join(kinds)})")
    parser.add_argument("--fault-rate", type=float, default=Mix().fault_rate, help="(default: %(default)s)")
    parser.add_argument("--scenario", type=_scenario, help="a file with a scenario, as one that was printed")
    parser.add_argument("--json", metavar="FILE", help="write the figures there ('-': to standard output)")
    parser.add_argument("--html", metavar="FILE", help="write a report there, one file with its plots")
    parser.add_argument("--out", default=".", help="where to write a scenario that was found (default: here)")
    return parser.parse_args()


def _fleet(options: argparse.Namespace, console: Console) -> int:
    from fleet_drive.simulation import FleetPlan, simulate_fleet

    plan = FleetPlan(options.fleet, options.connections, options.turns, options.seed, options.kills)
    report = simulate_fleet(plan)
    report.show(console)
    _write_json(options.json, asdict(report))
    return 1 if report.violations else 0


def _plan(options: argparse.Namespace) -> Plan:
    rounds = options.rounds if options.rounds is not None else None if options.minutes else 1
    return Plan(
        connections=options.connections,
        turns=options.turns,
        seed=options.seed,
        rounds=rounds,
        minutes=options.minutes,
        real=options.real,
        mix=_mix(options),
        scenario=options.scenario,
    )


def _scenario(name: str) -> Scenario:
    try:
        return Scenario.from_json(Path(name).read_bytes())
    except OSError as failure:
        raise argparse.ArgumentTypeError(f"{name}: {failure.strerror}") from None
    except BadArgumentError as failure:
        raise argparse.ArgumentTypeError(f"{name}: {failure}") from None


def _mix(options: argparse.Namespace) -> Mix:
    chosen: dict[str, Any] = {name: _chosen(name, getattr(options, name)) for name in KINDS if getattr(options, name)}
    return Mix(**chosen, fault_rate=options.fault_rate)


def _chosen(name: str, text: str) -> tuple[str, ...]:
    names = () if text == "none" else tuple(text.split(","))
    unknown = set(names) - set(KINDS[name])
    if unknown or (not names and name != "faults"):
        sys.exit(f"--{name}: {', '.join(sorted(unknown)) or text} is none of {', '.join(KINDS[name])}")
    return names


def _again(report: Report, folder: Path) -> str:
    assert report.find is not None
    seed = report.find.outcome.scenario.seed
    if report.plan.real:
        return shlex.join(["scripts/simulate.py", *sys.argv[1:]])
    path = folder / f"scenario-{seed}.json"
    path.write_text(report.find.smallest.scenario.to_json())
    return f"scripts/simulate.py --scenario {shlex.quote(str(path))}"


def _write_json(target: str | None, data: object) -> None:
    if target == "-":
        print(json.dumps(data, indent=2))
    elif target:
        Path(target).write_text(json.dumps(data, indent=2))


if __name__ == "__main__":
    sys.exit(main())
