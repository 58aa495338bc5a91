"""A whole fleet, driven from outside: clients of every kind, and nodes that are killed meanwhile.

What a client does is drawn from the seed; when a node dies beneath it is up to the machine, so a run does not repeat
exactly. Every turn is held to the contract's rule of order, over all sockets that it was heard on. A turn may be lost
only with its node, and only be told so; whoever is told goes on with a new connection.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random

from rich.console import Console
from rich.table import Table
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from actors.fleet.control import Control
from actors.fleet.guard import end_process
from actors.fleet.mail import NodeState
from actors.testing.contract import TURN_RULES, Point
from actors.testing.history import HandedOver, Opened, TurnHistory
from fleet_drive.running import Client, running_fleet, status_of
from protocol.settings import Settings

__all__ = ["FleetPlan", "FleetReport", "simulate_fleet"]

KINDS = ("listens", "interrupts", "barges in", "drops and resumes", "drops and resumes elsewhere")
GONE = (ConnectionClosed, InvalidHandshake, OSError)
_BACK_SECONDS = 30.0
_END_SECONDS = 5.0
"""After which nothing may be left when a fleet has ended."""


@dataclass(frozen=True)
class FleetPlan:
    """What is simulated."""

    nodes: int
    connections: int
    turns: int
    seed: int
    kills: int
    """How many nodes are killed, one after the other."""


@dataclass
class FleetReport:
    """What came of it."""

    outcomes: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    seconds: float = 0.0
    kills: int = 0
    figures: dict[str, int] = field(default_factory=dict)
    """Of the fleet, when all was over."""

    def show(self, console: Console) -> None:
        """Print it."""
        table = Table("turns", "number", title=f"a fleet for {self.seconds:.1f} s, {self.kills} nodes killed")
        for outcome, number in sorted(self.outcomes.items()):
            table.add_row(outcome, f"{number:,}")
        console.print(table)
        for violation in self.violations[:20]:
            console.print(violation)
        console.print("the contract was broken" if self.violations else "no violation")


def simulate_fleet(plan: FleetPlan) -> FleetReport:
    """Start a fleet, drive it, and end it."""
    report = FleetReport()
    with running_fleet(plan.nodes) as control:
        start = time.monotonic()
        asyncio.run(_drive(control, plan, report))
        report.seconds = time.monotonic() - start
        report.figures = dict(status_of(control).figures)
        processes = [node.pid for node in status_of(control).nodes if node.pid is not None]
    for pid in processes:
        if not end_process(pid, _END_SECONDS):
            report.violations.append(f"process {pid} is left over")
    return report


async def _drive(control: Control, plan: FleetPlan, report: FleetReport) -> None:
    status = status_of(control)
    addresses = [status.address, *(node.address for node in status.nodes if node.address is not None)]
    talking = [
        asyncio.create_task(_Person(Random(f"{plan.seed} {number}"), addresses, plan, report).talk())
        for number in range(plan.connections)
    ]
    killing = asyncio.create_task(_kill(control, plan, report, talking))
    await asyncio.gather(*talking)
    killing.cancel()
    await asyncio.gather(killing, return_exceptions=True)
    await _all_serve(control)


async def _kill(control: Control, plan: FleetPlan, report: FleetReport, talking: list[asyncio.Task[None]]) -> None:
    random = Random(plan.seed)
    for _ in range(plan.kills):
        await asyncio.sleep(random.uniform(0.3, 1.0))
        serving = [node for node in status_of(control).nodes if node.state is NodeState.SERVING and node.pid]
        if len(serving) < plan.nodes or all(task.done() for task in talking):
            continue
        victim = random.choice(serving).pid
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
        report.kills += 1


async def _all_serve(control: Control) -> None:
    async with asyncio.timeout(_BACK_SECONDS):
        while any(node.state is not NodeState.SERVING for node in status_of(control).nodes):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


class _Person:
    """One client, over all its sockets."""

    def __init__(self, random: Random, addresses: list[str], plan: FleetPlan, report: FleetReport) -> None:
        self._random = random
        self._addresses = addresses
        self._plan = plan
        self._report = report
        self._client: Client | None = None

    async def talk(self) -> None:
        """Have all turns."""
        for _ in range(self._plan.turns):
            kind = self._random.choice(KINDS)
            try:
                async with asyncio.timeout(60):
                    outcome = await self._turn(kind)
            except TimeoutError:
                outcome = "stuck"
                self._report.violations.append(f"a client that {kind} heard nothing for 60 s")
                self._client = None
            self._report.outcomes[outcome] += 1
        if self._client is not None:
            await self._client.ws.close()

    async def _turn(self, kind: str) -> str:
        client = await self._connected()
        history: TurnHistory | None = None
        acted = False
        try:
            await client.say("chat_message", content=f"say {self._random.randint(5, 60)} 100")
        except GONE:
            self._client = None
            return "lost before it began"
        while True:
            try:
                message = await client.hear()
                if "seq" not in message:
                    continue
                if history is None:
                    if message["type"] != "stream_start":
                        continue  # of a turn before
                    history = TurnHistory(message["turn_id"], message["connection_id"])
                    history.log.append(Opened(0.0, -1))
                if message["turn_id"] != history.turn_id:
                    continue
                history.log.append(HandedOver(0.0, message))
                if message["type"] == "stream_end":
                    return self._judge(history, str(message["status"]))
                if message["type"] == "tts_ready_chunk" and not acted and kind != "listens":
                    acted = True
                    await self._act(kind, client)
            except GONE:
                if history is None:
                    self._client = None
                    return "lost before it began"
                back = await self._come_back(client, history, elsewhere=kind.endswith("elsewhere"))
                if back is None:
                    return self._judge(history, "lost with its node")
                client = self._client = back

    async def _act(self, kind: str, client: Client) -> None:
        if kind == "interrupts":
            await client.say("interrupt_stream")
        elif kind == "barges in":
            await client.say("chat_message", content="say 5 0")
        else:
            client.ws.transport.abort()

    async def _come_back(self, client: Client, history: TurnHistory, *, elsewhere: bool) -> Client | None:
        """Resume; None if the node has died, which it must have."""
        after = history.events()[-1]["seq"]
        while True:
            address = self._random.choice(self._addresses[1:]) if elsewhere else self._addresses[0]
            elsewhere = False
            try:
                other = await Client.at(address)
                answer = await other.resume(client, turn_id=history.turn_id, after_seq=after)
            except GONE:
                continue
            if answer["type"] == "resume_success":
                history.log.append(Opened(0.0, after))
                return other
            await other.ws.close()
            if answer["code"] == "internal":
                await asyncio.sleep(0.05)
                continue
            self._client = None
            # Whose token was used up on a node that died before it had answered can only be refused.
            if answer["code"] not in ("node_lost", "resume_refused") or not self._report.kills:
                self._report.violations.append(f"resume was answered with {answer}, {self._report.kills} kills")
            return None

    def _judge(self, history: TurnHistory, outcome: str) -> str:
        for wrong in TURN_RULES[Point.ORDER](history, Settings(), 0.0):
            self._report.violations.append(f"{history.turn_id}: {wrong}")
        return outcome

    async def _connected(self) -> Client:
        while self._client is None:
            try:
                self._client = await (await Client.at(self._addresses[0])).authorize()
            except (*GONE, KeyError):  # a KeyError: it was told that the node drains
                await asyncio.sleep(0.02)
        return self._client
