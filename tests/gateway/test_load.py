"""`scripts/load.py` measures what it says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_a_quick_run_has_every_figure_of_both_servers(tmp_path: Path) -> None:
    out = tmp_path / "load.json"
    command = [sys.executable, str(ROOT / "scripts" / "load.py"), "--quick", "--json", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    rows = json.loads(out.read_text())["rows"]
    figures = {(row["load"], row["subject"]): row["value"] for row in rows}
    for load in ("CPU per event", "one core", "lateness, p99"):
        for subject in ("bare Starlette", "gateway, same splitter"):
            assert figures[load, subject] > 0
    assert figures["interrupt round trip, p99", "gateway, same splitter"] > 0
    assert "bare Starlette" in done.stdout
