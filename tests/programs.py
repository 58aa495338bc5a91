"""Python programs that run in a process of their own, as a user's would."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["output_of"]

ROOT = Path(__file__).resolve().parent.parent


def output_of(program: Path, *more_paths: Path) -> str:
    """Run a program to its end and return what it prints; a warning is an error, and nothing may go wrong."""
    paths = os.pathsep.join(map(str, (ROOT, *more_paths)))
    done = subprocess.run(
        [sys.executable, "-W", "error", program],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": paths, "PYTHONIOENCODING": "utf-8"},
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout
