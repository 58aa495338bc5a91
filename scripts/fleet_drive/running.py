"""A fleet of this checkout, for as long as somebody drives it; and its clients."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from checkout import ROOT

if find_spec("thespian") is None:
    sys.exit(f"a fleet needs its extra: {ROOT / 'scripts' / 'environment'} cli,fleet")

from websockets.asyncio.client import ClientConnection, connect

from actors.fleet.control import Control
from actors.fleet.mail import AskStatus, FleetStatus
from actors.fleet.settings import FleetSettings

__all__ = ["Client", "cpu_of", "rss_of", "running_fleet", "status_of"]

AGENT = "fleet_drive.agents:answer"


@contextmanager
def running_fleet(nodes: int, **gateway: str) -> Iterator[Control]:
    """Start a fleet with the agent of `agents.py`, and end it, be it with violence."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    variables = {f"ANTIPHON_GATEWAY_{name.upper()}": value for name, value in gateway.items()}
    environment = {
        **os.environ,
        **variables,
        "ANTIPHON_GATEWAY_TURNS_PER_MINUTE": "1000000",
        "ANTIPHON_GATEWAY_DRAIN_SECONDS": "1",
        "ANTIPHON_FLEET_CONTROL_PORT": str(port),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "actors.cli", "fleet", "up", "--foreground", "--nodes", str(nodes)]
    with subprocess.Popen(
        [*command, "--port", "0", "--agent", AGENT],
        env=environment,
        cwd=ROOT / "scripts",
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as leader:
        assert leader.stdout is not None
        try:
            line = leader.stdout.readline()
            if not line.startswith("Antiphon listens"):
                sys.exit("the fleet did not start")
            with Control(FleetSettings(control_port=port)) as control:
                yield control
        finally:
            leader.terminate()
            try:
                leader.wait(20)
            finally:
                leader.kill()  # if it has not ended; the others end with it


def status_of(control: Control) -> FleetStatus:
    status: FleetStatus = control.ask(AskStatus())
    return status


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def rss_of(pid: int) -> float:
    """MiB of memory that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


class Client:
    """One socket."""

    def __init__(self, ws: ClientConnection) -> None:
        self.ws = ws
        self.connection_id = ""
        self.resume_token = ""

    @classmethod
    async def at(cls, address: str) -> Client:
        """Open a socket at `http://host:port`, and say nothing yet."""
        url = f"ws{address.removeprefix('http')}/ws"
        return cls(await connect(url, proxy=None, compression=None, ping_interval=None, open_timeout=60))

    async def say(self, kind: str, **fields: Any) -> None:
        await self.ws.send(json.dumps({"type": kind, **fields}))

    async def hear(self) -> dict[str, Any]:
        while True:
            message: dict[str, Any] = json.loads(await self.ws.recv())
            if message["type"] != "ping":
                return message
            await self.say("pong")

    async def authorize(self) -> Client:
        await self.say("authorize")
        return self._welcomed(await self.hear())

    async def resume(self, before: Client, **fields: Any) -> dict[str, Any]:
        """Go on with another socket's connection; return the answer."""
        await self.say("resume", connection_id=before.connection_id, resume_token=before.resume_token, **fields)
        answer = await self.hear()
        if answer["type"] == "resume_success":
            self._welcomed(answer)
        return answer

    def _welcomed(self, answer: dict[str, Any]) -> Client:
        self.connection_id, self.resume_token = answer["connection_id"], answer["resume_token"]
        return self

    async def turn(self, content: str) -> list[dict[str, Any]]:
        """Say something, and hear the turn to its end."""
        await self.say("chat_message", content=content)
        heard = [await self.hear()]
        while heard[-1]["type"] != "stream_end":
            heard.append(await self.hear())
        return heard
