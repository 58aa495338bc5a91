"""What drives a whole fleet runs: `simulate.py --fleet` with a node that is killed, and the benchmark."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from fleet_drive.simulation import FleetPlan, simulate_fleet


def test_a_fleet_keeps_the_contract_while_a_node_is_killed() -> None:
    report = simulate_fleet(FleetPlan(nodes=2, connections=12, turns=4, seed=1, kills=1))
    assert report.violations == []
    assert report.kills == 1
    assert sum(report.outcomes.values()) == 48
    assert report.outcomes["completed"] > 0


def test_the_benchmark_runs() -> None:
    """In tiny sizes; what it measures then means nothing and is not judged."""
    program = Path(__file__).resolve().parents[2] / "scripts" / "bench_fleet.py"
    done = subprocess.run(
        [sys.executable, str(program), "--quick", "--only", "directory"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "50 connections" in done.stdout
