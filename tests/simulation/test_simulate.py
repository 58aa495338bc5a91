"""`scripts/simulate.py`, as somebody runs it: what holds, what is found, and that what is found is found again."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from actors.testing.checker import ContractViolationError
from actors.testing.scenario import AGENTS, CLIENTS, FAULTS, Scenario, draw
from actors.testing.simulation import play_virtual, shrink

SCRIPTS = Path(__file__).resolve().parent.parent.parent / "scripts"
BREAKS_ORDER = """
import runpy, sys
sys.path.insert(0, {scripts!r})
from actors.record import TurnRecord
seal = TurnRecord.seal
def seal_twice(self, failure):
    seal(self, failure)
    self._outbox.append(self._outbox[-1])
TurnRecord.seal = seal_twice
sys.argv = ["simulate.py", *{arguments!r}]
runpy.run_path({program!r}, run_name="__main__")
"""


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL + 1, "antiphon")


def simulate(*arguments: str, cwd: Path, program: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPTS / "simulate.py"), *arguments]
    if program is not None:
        command = [sys.executable, "-c", program]
    env = {**os.environ, "COLUMNS": "200"}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=100, check=False)


def test_turns_with_all_faults_on_keep_the_contract() -> None:
    # CI plays 20,000 with scripts/simulate.py; these are for whoever runs the suite.
    turns = 0
    seed = 100_000
    while turns < int(os.environ.get("SIMULATED_TURNS", "1000")):
        outcome = play_virtual(draw(seed, 4, 6))
        if outcome.violations:
            smallest = shrink(outcome)
            raise ContractViolationError(smallest.violations) from AssertionError(smallest.scenario.to_json())
        turns += outcome.turns
        seed += 1


def test_the_same_seed_gives_the_same_run() -> None:
    for seed in range(5):
        scenario = draw(seed, 3, 4)
        one, other = play_virtual(scenario, trace=10_000), play_virtual(scenario, trace=10_000)
        assert one.trace == other.trace
        assert len(one.trace) > 50
        assert one.figures == other.figures


def test_a_scenario_that_was_written_down_is_the_same_when_it_is_read() -> None:
    for seed in range(200):
        scenario = draw(seed, 3, 4)
        assert Scenario.from_json(scenario.to_json()) == scenario


def test_a_hundred_scenarios_hold_every_kind_of_agent_client_and_fault() -> None:
    turns = [turn for seed in range(100) for plan in draw(seed, 3, 4).connections for turn in plan.turns]
    assert {turn.agent for turn in turns} == set(AGENTS) - {"steady"}
    assert {turn.fault.kind for turn in turns if turn.fault is not None} >= {"kill", "speech", "stage", "listener"}
    killed = {turn.fault.target for turn in turns if turn.fault is not None and turn.fault.kind == "kill"}
    assert killed == {"turn", "producer", "chunker", "emitter", "connection", "supervisor"}
    assert len(CLIENTS) >= 9
    assert len(FAULTS) >= 8


def test_a_run_that_holds_says_so_in_every_form(tmp_path: Path) -> None:
    done = simulate("--connections", "4", "--turns", "3", "--rounds", "2", "--json", "f", "--html", "r", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "violations  0" in done.stdout
    figures: dict[str, Any] = json.loads((tmp_path / "f").read_text())
    assert figures["violations"] == []
    assert figures["seeds"] == [0, 1]
    assert sum(figures["outcomes"].values()) == figures["turns"] > 12
    report = Page((tmp_path / "r").read_text())
    assert report.tags >= {"svg", "rect", "table"}
    assert report.links == []  # one file, that needs nothing else


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]


def test_what_is_found_is_shrunk_and_the_command_that_is_printed_finds_it_again(tmp_path: Path) -> None:
    arguments = ["--connections", "5", "--turns", "3", "--seed", "3"]
    done = simulate(cwd=tmp_path, program=mutated(*arguments))
    assert done.returncode == 1
    assert "with seed 3" in done.stdout
    assert "follows stream_end" in done.stdout
    assert "turn in it" not in done.stderr
    assert "(1 turns)" in done.stdout
    assert "emitter:" in done.stdout  # the messages
    command = done.stdout.strip().splitlines()[-1].split()
    assert command[0] == "scripts/simulate.py"
    again = simulate(cwd=tmp_path, program=mutated(*command[1:]))
    assert again.returncode == 1
    assert "follows stream_end" in again.stdout
    right = simulate(*command[1:], cwd=tmp_path)
    assert right.returncode == 0, right.stdout


def mutated(*arguments: str) -> str:
    return BREAKS_ORDER.format(scripts=str(SCRIPTS), arguments=arguments, program=str(SCRIPTS / "simulate.py"))


def test_real_time_keeps_the_contract_too(tmp_path: Path) -> None:
    done = simulate(
        "--real", "--connections", "10", "--turns", "1", "--agents", "fast,live", "--clients", "instant", cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lateness of the loop" in done.stdout


def test_a_load_gives_figures_of_lateness(tmp_path: Path) -> None:
    arguments = ("--load", "200", "--connections", "5", "--minutes", "0.01", "--json", "-")
    done = simulate(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["violations"] == []
    assert figures["due_to_event_seconds"]["count"] > 20


def test_a_kind_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    done = simulate("--agents", "polite", cwd=tmp_path)
    assert done.returncode != 0
    assert "polite is none of fast, live" in done.stderr
