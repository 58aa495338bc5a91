#!/usr/bin/env python3
"""What a fleet gains, and what its control plane costs, in one run.

    bench_fleet.py                      all parts
    bench_fleet.py --only inside        one of: inside, clients, death, relay, directory
    bench_fleet.py --quick              a few seconds, to see that it works

The parts: conversations with agents and readers *inside* the nodes, on one node and on two; the same load from
*clients* on this machine, which take their share of its cores; how soon a node's *death* is heard of and mended; what
a *relay* costs, for a client that resumed on another node; and the *directory* at 10,000 connections.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import resource
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from statistics import quantiles
from time import perf_counter
from typing import Any

from checkout import ROOT

sys.path.insert(0, str(ROOT))  # what is measured is this checkout

import uvloop
from benchmarks.rows import Row, measured, print_markdown, print_table, write_json
from fleet_drive.running import Client, cpu_of, rss_of, running_fleet, status_of

from actors.fleet.control import Control
from actors.fleet.mail import LookUp, NodeState


def main() -> None:
    options = _options()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    gc.disable()  # a pause of the clients would be taken for one of the fleet
    rows: list[Row] = []
    for name in [options.only] if options.only else PARTS:
        print(f"{name} …", file=sys.stderr)
        rows += PARTS[name](options)
    (print_markdown if options.markdown else print_table)(rows)
    if options.json is not None:
        write_json(options.json, rows)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=10_000, help="in the directory")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.quick:
        options.seconds, options.rounds, options.connections = 0.3, 1, 50
    return options


def _addresses(control: Control) -> list[str]:
    return [node.address for node in status_of(control).nodes if node.address is not None]


def _one_and_two(
    part: str, unit: str, options: argparse.Namespace, rate: Callable[[list[str]], Coroutine[Any, Any, float]]
) -> Iterator[Row]:
    """Measure with one node and with both, in turns."""
    with running_fleet(2) as control:
        addresses = _addresses(control)
        one: list[float] = []
        two: list[float] = []
        for _ in range(options.rounds):
            one.append(uvloop.run(rate(addresses[:1])))
            two.append(uvloop.run(rate(addresses)))
    yield measured(part, part, "1 node", unit, one)
    yield measured(part, part, "2 nodes", unit, two)
    yield measured(part, part, "2 nodes by 1", "times", [b / a for a, b in zip(one, two, strict=True)])


def inside(options: argparse.Namespace) -> Iterator[Row]:
    async def rate(addresses: list[str]) -> float:
        clients = [await (await Client.at(address)).authorize() for address in addresses]
        turns = await asyncio.gather(*(client.turn(f"work {options.seconds} 50") for client in clients))
        for client in clients:
            await client.ws.close()
        return sum(float(turn[1]["chunk"]) for turn in turns)

    return _one_and_two("agents and readers inside the nodes", "tokens/s", options, rate)


def clients(options: argparse.Namespace) -> Iterator[Row]:
    async def rate(addresses: list[str]) -> float:
        sockets = [await (await Client.at(addresses[n % len(addresses)])).authorize() for n in range(40)]
        start = perf_counter()

        async def talk(client: Client) -> int:
            events = 0
            while perf_counter() - start < options.seconds:
                events += len(await client.turn("say 200 0"))
            return events

        events = sum(await asyncio.gather(*map(talk, sockets)))
        spent = perf_counter() - start
        for client in sockets:
            await client.ws.close()
        return events / spent

    return _one_and_two("clients on the same machine", "events/s", options, rate)


def death(options: argparse.Namespace) -> Iterator[Row]:
    heard, back = [], []
    with running_fleet(options.rounds) as control:
        for victim in status_of(control).nodes:  # each dies once: a second time it would be made to wait
            assert victim.pid is not None
            os.kill(victim.pid, signal.SIGKILL)
            killed = perf_counter()
            while (now := _node(control, victim.name)).pid == victim.pid:
                pass
            heard.append((perf_counter() - killed) * 1000)
            while now.state is not NodeState.SERVING:
                now = _node(control, victim.name)
            back.append((perf_counter() - killed) * 1000)
    part = "a node is killed"
    yield measured(part, part, "until the supervisor has heard", "ms", heard)
    yield measured(part, part, "until it serves again", "ms", back)


def _node(control: Control, name: str) -> Any:
    return next(node for node in status_of(control).nodes if node.name == name)


def relay(options: argparse.Namespace) -> Iterator[Row]:
    with running_fleet(2) as control:
        pids = [node.pid for node in status_of(control).nodes]
        return iter(uvloop.run(_relay(_addresses(control), pids, options)))


async def _relay(addresses: list[str], pids: list[Any], options: argparse.Namespace) -> list[Row]:
    home, away = addresses
    resumed: dict[str, list[float]] = {"on its own node": [], "on another": []}
    for _ in range(options.rounds * 20):
        for where, address in zip(resumed, (home, away), strict=True):
            client = await (await Client.at(home)).authorize()
            client.ws.transport.abort()
            await asyncio.sleep(0.05)  # who comes back sooner is waited with, for the directory's sake
            other = await Client.at(address)
            asked = perf_counter()
            answer = await other.resume(client)
            assert answer["type"] == "resume_success", answer
            resumed[where].append((perf_counter() - asked) * 1000)
            await other.ws.close()
    rows = [measured("relay", "from resume to its answer", where, "ms", values) for where, values in resumed.items()]
    for where, address in (("direct", home), ("relayed", away)):
        trips, costs, home_costs = [], [], []
        for _ in range(options.rounds):
            client = await (await Client.at(home)).authorize()
            client.ws.transport.abort()
            other = await Client.at(address)
            await other.resume(client)
            before = [cpu_of(pid) for pid in pids]
            start, events = perf_counter(), 0
            while perf_counter() - start < options.seconds:
                asked = perf_counter()
                events += len(await other.turn("say 24 0"))
                trips.append((perf_counter() - asked) * 1000)
            spent = [(cpu_of(pid) - cpu) / events * 1e6 for pid, cpu in zip(pids, before, strict=True)]
            home_costs.append(spent[0])
            costs.append(spent[1])
            await other.ws.close()
        rows.append(measured("relay", "a turn of two sentences, at once", where, "ms", trips))
        rows.append(measured("relay", "CPU for each event", f"{where}: its node", "µs", home_costs))
        if where == "relayed":
            rows.append(measured("relay", "CPU for each event", f"{where}: the node between", "µs", costs))
    return rows


def directory(options: argparse.Namespace) -> Iterator[Row]:
    with running_fleet(2) as control:
        status = status_of(control)
        rows = uvloop.run(_fill(control, status.address, status.supervisor, options.connections))
    return iter(rows)


async def _fill(control: Control, address: str, supervisor: int, connections: int) -> list[Row]:
    part = f"{connections:,} connections"
    memory, cpu = rss_of(supervisor), cpu_of(supervisor)
    at_once = asyncio.Semaphore(50)

    async def enter() -> Client:
        async with at_once:
            return await (await Client.at(address)).authorize()

    start = perf_counter()
    entered = await asyncio.gather(*(enter() for _ in range(connections)))
    took = perf_counter() - start
    while status_of(control).connections < connections:
        pass
    cpu, memory = cpu_of(supervisor) - cpu, rss_of(supervisor) - memory
    looked: list[float] = []
    asked_of = status_of(control)
    shares = [node.connections / connections * 100 for node in asked_of.nodes]
    for number in range(200):
        asked = perf_counter()
        control.ask(LookUp(entered[number * len(entered) // 200].connection_id))
        looked.append((perf_counter() - asked) * 1000)
    states = []
    for _ in range(50):
        asked = perf_counter()
        status_of(control)
        states.append((perf_counter() - asked) * 1000)
    rows = [
        measured(part, "they connect", "a second", "sockets", [connections / took]),
        measured(part, "the supervisor", "CPU for each that came", "µs", [cpu / connections * 1e6]),
        measured(part, "the supervisor", "memory for each", "KiB", [memory * 1024 / connections]),
        measured(part, "show CONNECTION", "p50", "ms", [quantiles(looked, n=100)[49]]),
        measured(part, "show CONNECTION", "p99", "ms", [quantiles(looked, n=100)[98]]),
        measured(part, "status", "median", "ms", states),
        measured(part, "the kernel's dealing", "share of a node", "%", shares),
    ]
    for client in entered:
        client.ws.transport.abort()
    return rows


PARTS: dict[str, Callable[[argparse.Namespace], Iterator[Row]]] = {
    "inside": inside,
    "clients": clients,
    "death": death,
    "relay": relay,
    "directory": directory,
}


if __name__ == "__main__":
    main()
