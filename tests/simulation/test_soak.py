"""`scripts/simulate.py --soak`: what it measures, and that it tells an engine that leaks from one that does not."""

from __future__ import annotations

import importlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

SCRIPTS = Path(__file__).resolve().parent.parent.parent / "scripts"
PATCHED = """
import runpy, sys
sys.path.insert(0, {scripts!r})
from actors.record import TurnRecord
{patch}
sys.argv = ["simulate.py", *{arguments!r}]
runpy.run_path({program!r}, run_name="__main__")
"""
LEAKS = """
kept, finish = [], TurnRecord._finish
def leak(self, status):
    kept.append(b"x" * 500_000)
    finish(self, status)
TurnRecord._finish = leak
"""
ENDS_TWICE = """
seal = TurnRecord.seal
def seal_twice(self, failure):
    seal(self, failure)
    self._outbox.append(self._outbox[-1])
TurnRecord.seal = seal_twice
"""


@pytest.fixture
def fit(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("simulator.soak").fit


def soak(cwd: Path, patch: str = "") -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    arguments = ["--soak", "--minutes", "0.06", "--pace", "30", "--every", "0.2", "--limit", "300000"]
    arguments += ["--connections", "3", "--turns", "2", "--agents", "fast,live,raising", "--json", "figures"]
    source = PATCHED.format(
        scripts=str(SCRIPTS), patch=patch, arguments=arguments, program=str(SCRIPTS / "simulate.py")
    )
    done = subprocess.run(
        [sys.executable, "-c", source],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (cwd / "figures").exists(), done.stdout + done.stderr
    return done, json.loads((cwd / "figures").read_text())


def test_a_soak_says_what_it_has_found(tmp_path: Path) -> None:
    done, figures = soak(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert figures["violations"] == []
    assert figures["turns"] > 60
    assert figures["samples_of_the_line"] >= 8
    assert {"rss", "blocks", "actors", "tasks", "timers", "threads"} <= set(figures["samples"][-1])
    assert all(sample["rss"] > 1_000 for sample in figures["samples"])
    assert math.isfinite(figures["rss_standard_error"])
    assert "KiB a minute, standard error" in done.stdout


def test_memory_that_is_kept_is_found(tmp_path: Path) -> None:
    done, figures = soak(tmp_path, LEAKS)
    assert done.returncode == 1
    assert figures["grows"] is True
    assert figures["violations"] == []
    assert "The memory grows, by more than 300000 KiB a minute" in done.stdout


def test_a_contract_that_is_not_kept_is_found(tmp_path: Path) -> None:
    done, figures = soak(tmp_path, ENDS_TWICE)
    assert done.returncode == 1
    assert "follows stream_end" in done.stdout
    assert figures["violations"]


def test_the_line_is_the_one_that_was_drawn(fit: Any) -> None:
    minutes = [n / 6 for n in range(180)]
    exact = fit(minutes, [50_000 + 7 * x for x in minutes])
    assert exact.slope == pytest.approx(7)
    assert exact.error == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("slope", [0.0, 12.0])
def test_the_true_slope_is_within_two_standard_errors_nine_times_of_ten(fit: Any, slope: float) -> None:
    minutes = [n / 6 for n in range(180)]
    within = 0
    for seed in range(200):
        chance = Random(seed)
        level, values = 0.0, []
        for x in minutes:
            level = 0.8 * level + chance.gauss(0, 100)  # samples that are alike, as those of a heap are
            values.append(50_000 + slope * x + level)
        line = fit(minutes, values)
        within += abs(line.slope - slope) < 2 * line.error
    assert within >= 180


def test_too_few_samples_tell_nothing(fit: Any) -> None:
    assert math.isinf(fit([0, 1, 2], [1, 2, 3]).error)
