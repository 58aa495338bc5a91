#!/usr/bin/env python3
"""What the gateway costs and how late it is under load, beside a bare Starlette endpoint, in one run.

    load.py                         200 sockets, gateway and bare in turns
    load.py --sockets 2000          at full load; with the round trip of an interrupt
    load.py --quick                 a few seconds, to see that it works

Each server is a process on one core, the clients are this process, on another one where there is one. Every client
has turns of its own, begun at times that are spread evenly, in which an agent gives 24 tokens a second, which is two
sentences. A sentence carries the time at which its last token was due, so that lateness is all that lies between the
agent's clock and the client's hands: timers, engine, server, kernel, client. Sockets that interrupt all the time run
beside them; of those the gateway pays the CPU, and their events are not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from time import perf_counter
from typing import Any

from checkout import ROOT

sys.path.insert(0, str(ROOT))  # what is measured is this checkout

import uvloop
from benchmarks.rows import Row, Target, measured, print_markdown, print_table, write_json
from load_test.servers import WORDS
from websockets.asyncio.client import ClientConnection, connect

SCRIPTS = ROOT / "scripts"
CHUNKS_A_SECOND = 2
INTERVAL = 1 / (CHUNKS_A_SECOND * (len(WORDS) + 2))
DUE = re.compile(r"\d{6,}")
SUBJECTS = {"bare": "bare Starlette", "gateway": "gateway, same splitter", "real": "gateway, real speech"}


@dataclass
class Measured:
    """One server, one round."""

    events: int = 0
    cpu: float = 0.0
    late: list[float] = field(default_factory=list)
    interrupts: list[float] = field(default_factory=list)

    @property
    def cost(self) -> float:
        """Microseconds of the server's CPU for each event."""
        return self.cpu / self.events * 1e6


def main() -> None:
    options = _options()
    _allow_files(options.sockets)
    gc.disable()  # a pause of the client would be taken for one of the server
    subjects = ["bare", "gateway", "real"] if options.real else ["bare", "gateway"]
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, {cores[1]})
    found: dict[str, list[Measured]] = {subject: [] for subject in subjects}
    for number in range(options.rounds):
        for subject in subjects if number % 2 == 0 else reversed(subjects):
            with _server(subject, options.seconds, cores[0]) as (port, pid):
                print(f"round {number + 1}: {SUBJECTS[subject]}", file=sys.stderr)
                round_ = uvloop.run(_round(subject, port, pid, options))
                found[subject].append(round_)
    rows = list(_rows(found, options))
    if options.markdown:
        print_markdown(rows)
    else:
        print_table(rows)
    if options.json is not None:
        write_json(options.json, rows)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sockets", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each turn")
    parser.add_argument("--turns", type=int, default=1, help="of each socket")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--interrupts", type=int, default=4, help="sockets that interrupt all the time")
    parser.add_argument("--real", action="store_true", help="measure the real speech pipeline too")
    parser.add_argument("--quick", action="store_true", help="20 sockets, 2 seconds, 1 round")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.quick:
        options.sockets, options.seconds, options.rounds = 20, 2.0, 1
    return options


def _allow_files(sockets: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = sockets + 200
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))  # servers inherit it


@contextmanager
def _server(subject: str, seconds: float, core: int) -> Iterator[tuple[int, int]]:
    tokens = int(seconds / INTERVAL)
    command = [sys.executable, "-m", "load_test.servers", subject, f"{INTERVAL}", f"{tokens}"]
    with subprocess.Popen(command, cwd=SCRIPTS, stdout=subprocess.PIPE, text=True) as process:
        os.sched_setaffinity(process.pid, {core})
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline()), process.pid
        finally:
            process.kill()


def _cpu(pid: int) -> float:
    """Seconds of CPU that a process has used: of the scheduler, since ticks miss what runs between two of them."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


async def _round(subject: str, port: int, pid: int, options: argparse.Namespace) -> Measured:
    result = Measured()
    at_once = asyncio.Semaphore(50)

    async def enter() -> ClientConnection:
        async with at_once:
            socket = await connect(
                f"ws://127.0.0.1:{port}/ws", proxy=None, compression=None, ping_interval=None, open_timeout=60
            )
            await socket.send('{"type": "authorize"}')
            await socket.recv()
            return socket

    sockets = await asyncio.gather(*(enter() for _ in range(options.sockets)))
    others = [await enter() for _ in range(options.interrupts)] if subject != "bare" else []
    before = _cpu(pid)
    spread = 1 / CHUNKS_A_SECOND
    interrupting = [asyncio.create_task(_interrupt(socket, result)) for socket in others]
    await asyncio.gather(
        *(
            _listen(socket, options.turns, number / len(sockets) * spread, result)
            for number, socket in enumerate(sockets)
        )
    )
    result.cpu = _cpu(pid) - before
    for task in interrupting:
        task.cancel()
    await asyncio.gather(*interrupting, return_exceptions=True)
    for socket in (*sockets, *others):
        socket.transport.abort()
    return result


async def _listen(socket: ClientConnection, turns: int, delay: float, result: Measured) -> None:
    loop = asyncio.get_running_loop()
    for _ in range(turns):
        await socket.send(json.dumps({"type": "chat_message", "content": "go", "metadata": {"delay": delay}}))
        while True:
            text = await socket.recv()
            now = loop.time()
            assert isinstance(text, str)
            if text.startswith('{"type":"ping"'):
                await socket.send('{"type": "pong"}')
                continue
            result.events += 1
            if text.startswith('{"type":"tts_ready_chunk"'):
                due = DUE.search(json.loads(text)["chunk"])
                if due is not None:
                    result.late.append(now - int(due.group()) / 1e6)
            elif text.startswith('{"type":"stream_end"'):
                break


async def _interrupt(socket: ClientConnection, result: Measured) -> None:
    while True:
        await socket.send(json.dumps({"type": "chat_message", "content": "go", "metadata": {"delay": 0.0}}))
        await _until(socket, "tts_ready_chunk")
        asked = perf_counter()
        await socket.send('{"type": "interrupt_stream"}')
        await _until(socket, "interrupted")
        result.interrupts.append(perf_counter() - asked)
        await _until(socket, "stream_end")
        await asyncio.sleep(1.1)  # sixty turns a minute are allowed


async def _until(socket: ClientConnection, kind: str) -> None:
    while True:
        message: dict[str, Any] = json.loads(await socket.recv())
        if message["type"] == "ping":
            await socket.send('{"type": "pong"}')
        if message["type"] == kind:
            return


def _rows(found: dict[str, list[Measured]], options: argparse.Namespace) -> Iterator[Row]:
    part = f"{options.sockets:,} sockets, {CHUNKS_A_SECOND} chunks a second each"
    bare = [round_.cost for round_ in found["bare"]]
    for subject, rounds in found.items():
        target = Target(1.5, "ratio") if subject == "gateway" else None
        yield measured(
            part, "CPU per event", SUBJECTS[subject], "µs", [r.cost for r in rounds], bare=bare, target=target
        )
    for subject, rounds in found.items():
        load = [round_.cpu / (options.seconds * options.turns) * 100 for round_ in rounds]
        yield measured(part, "one core", SUBJECTS[subject], "%", load)
    for subject, rounds in found.items():
        target = Target(100, "value", inclusive=False) if subject != "bare" else None
        late = [_p99(round_.late) for round_ in rounds]
        yield measured(part, "lateness, p99", SUBJECTS[subject], "ms", late, target=target)
    for subject, rounds in found.items():
        if all(len(round_.interrupts) > 1 for round_ in rounds):
            trips = [_p99(round_.interrupts) for round_ in rounds]
            target = Target(50, "value", inclusive=False)
            yield measured(part, "interrupt round trip, p99", SUBJECTS[subject], "ms", trips, target=target)


def _p99(seconds: list[float]) -> float:
    return quantiles(seconds, n=100, method="inclusive")[98] * 1000


if __name__ == "__main__":
    main()
