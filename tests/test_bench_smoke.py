"""The benchmark runs from end to end in tiny sizes; what it measures then means nothing and is not judged."""

import json
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent / "scripts" / "bench.py"


def run_bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(BENCH), *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_quick_run_prints_tables_and_writes_every_part(tmp_path: Path) -> None:
    report = tmp_path / "bench.json"

    done = run_bench("--quick", "--repeat", "1", "--json", str(report))

    assert done.returncode == 0, done.stderr
    rows = json.loads(report.read_text(encoding="utf-8"))["rows"]
    engines = {row["subject"].split(",")[0] for row in rows if not row["part"].startswith("speech")}
    assert engines == {"bare asyncio", "engine", "plain Pykka"}
    for part in dict.fromkeys(row["part"] for row in rows):
        assert part in done.stdout
    judged = [row for row in rows if row["target"] is not None]
    assert {row["part"] for row in judged} == {
        "CPU time per token",
        "memory per conversation",
        "interrupt latency",
        "speech, CPU time per token of 4 characters",
    }
    assert all(isinstance(row["met"], bool) for row in judged)


def test_unknown_part_is_refused() -> None:
    done = run_bench("--only", "weather")

    assert done.returncode == 2
    assert "weather" in done.stderr
