"""The commands on their own, with what a fleet would answer."""

from __future__ import annotations

import os
import signal
from contextlib import nullcontext
from typing import Any

import pytest
from typer.testing import CliRunner

from actors.fleet import command, guard
from actors.fleet.mail import AskStatus, Drain, Drained, FleetStatus, Restarted, RestartNodes

STATUS = FleetStatus("http://127.0.0.1:8000", 7, 2, 3, 3600.0, (), (), 0, {})


class Answers:
    """In the place of `Control`: answers at once, and notes for how long it would have been waited for."""

    def __init__(self) -> None:
        self.waited: dict[type[Any], float] = {}

    def ask(self, question: Any, seconds: float = 10.0) -> Any:
        self.waited[type(question)] = seconds
        return {AskStatus: STATUS, Drain: Drained("node-1"), RestartNodes: Restarted(("node-1",))}[type(question)]


def test_commands_wait_for_as_long_as_the_fleet_lets_turns_finish(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was started with settings that the shell of the command need not have."""
    fleet = Answers()
    ended: list[tuple[int, float]] = []

    def end(pid: int, seconds: float) -> bool:
        ended.append((pid, seconds))
        return True

    signals: list[tuple[int, int]] = []
    monkeypatch.setattr(command, "_control", lambda _port: nullcontext(fleet))
    monkeypatch.setattr(guard, "end_process", end)
    monkeypatch.setattr(os, "kill", lambda pid, number: signals.append((pid, number)))
    for arguments in (["drain", "node-1"], ["restart", "node-1"], ["down"]):
        done = CliRunner().invoke(command.fleet, arguments)
        assert done.exit_code == 0, done.output
    assert fleet.waited[Drain] > 3600
    assert fleet.waited[RestartNodes] > 3600
    assert signals == [(7, signal.SIGTERM)]
    [(leader, seconds)] = ended
    assert (leader, seconds > 3600) == (7, True)
