"""Fleets of real processes on loopback: each process is known by a mark in its environment, and none is left over."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest.mock import patch

from gateway.talking import Client
from pydantic import SecretStr
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from actors.fleet.control import Control
from actors.fleet.mail import AskStatus
from actors.fleet.settings import FleetSettings

__all__ = ["PATIENCE", "Fleet", "client_at", "converse", "fleet_in", "free_port", "serving", "socket_at", "until"]

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0
"""Seconds for anything to happen on a machine that is busy."""
_MARK = "_ANTIPHON_TEST_FLEET"


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        port: int = listening.getsockname()[1]
        return port


def until(holds: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """Wait until something holds that nobody tells of; return it."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.02)
    return found


class Fleet:
    """A fleet that was, or is to be, started by the command."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.control_port = free_port()
        self.mark = uuid.uuid4().hex
        self.log = folder / "fleet.log"
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ANTIPHON_")}
        self.environment = {
            **clean,
            "ANTIPHON_FLEET_CONTROL_PORT": str(self.control_port),
            "ANTIPHON_GATEWAY_DRAIN_SECONDS": "2",
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(self.temporary),
            _MARK: self.mark,
            **environment,
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `antiphon fleet …` to its end."""
        return subprocess.run(
            [sys.executable, "-m", "actors.cli", "fleet", *arguments],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def does(self, *arguments: str) -> str:
        """Run a command that must succeed, and return what it said."""
        done = self.run(*arguments)
        assert (done.returncode, done.stderr) == (0, ""), self.log.read_text() if self.log.exists() else done.stderr
        return done.stdout

    def up(self, *arguments: str, nodes: int) -> int:
        """Start it, and return its port."""
        said = self.does("up", "--nodes", str(nodes), "--port", "0", "--log", str(self.log), *arguments)
        address = said.split()[3]
        return int(address.rsplit(":", 1)[1])

    def status(self) -> Any:
        key = self.environment.get("ANTIPHON_FLEET_KEY")
        settings = FleetSettings(control_port=self.control_port, key=SecretStr(key) if key else None)
        with patch.dict(os.environ), Control(settings) as control:
            return asdict(control.ask(AskStatus()))

    def pids(self) -> list[int]:
        """The processes of this fleet that live."""
        return [int(folder.name) for folder in Path("/proc").glob("[0-9]*") if self._is_mine(folder)]

    def _is_mine(self, folder: Path) -> bool:
        try:
            return (
                f"{_MARK}={self.mark}".encode() in (folder / "environ").read_bytes().split(b"\0")
                and (folder / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
            )
        except OSError:
            return False

    def end(self) -> None:
        """Kill whatever is left."""
        for pid in self.pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        until(lambda: not self.pids())


@contextmanager
def fleet_in(folder: Path, **environment: str) -> Iterator[Fleet]:
    fleet = Fleet(folder, **environment)
    try:
        yield fleet
    finally:
        fleet.end()


async def converse(address: str) -> None:
    """Have one turn with whichever node takes it; who is turned away by one that is about to go comes again."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                client = await client_at(address)
                assert (await client.talk("Hi."))[-1]["status"] == "completed"
                await client.ws.close()
            except (ConnectionResetError, ConnectionClosed, InvalidHandshake):
                continue
            return


def serving(fleet: Fleet) -> Any:
    """Wait until every node serves, and return the status."""

    def all_serve() -> Any:
        status = fleet.status()
        return status if all(node["state"] == "serving" for node in status["nodes"]) else None

    return until(all_serve)


async def socket_at(address: str) -> ClientConnection:
    """Open a socket at `http://host:port`."""
    return await connect(f"ws{address.removeprefix('http')}/ws", proxy=None, ping_interval=None)


async def client_at(address: str) -> Client:
    """Open a socket, and authorise."""
    return await Client(await socket_at(address)).authorize()
