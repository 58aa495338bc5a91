"""`scripts/pykka_conformance` says what is wrong when it cannot work. (Running it is CI's: it needs a network.)"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "pykka_conformance"


def test_without_a_network_it_says_so_in_one_line_and_fails() -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT],
        env={**os.environ, "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "tests/test_threading_actor.py is about ThreadingActor itself" in done.stdout
    last = done.stderr.splitlines()[-1]
    assert last.startswith("pykka_conformance: could not fetch the source distribution of pykka==4.")
    assert "needs a network" in last
    assert "Traceback" not in done.stderr
