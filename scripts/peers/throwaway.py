"""Other people's packages, for one run of a script: an environment that is gone afterwards, and a program in it.

What the project compares itself with is no dependency of it, and often cannot be installed beside it. So it goes into
an environment of its own, and works there in a process of its own, which is asked over a pipe: a line of JSON in, a
line of JSON out.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

__all__ = ["Guest", "answer", "environment", "requests"]

SCRIPTS = Path(__file__).resolve().parent.parent


@contextmanager
def environment(*packages: str) -> Iterator[Path]:
    """Make an environment with these packages; give the path of its Python. It is removed behind the block."""
    with tempfile.TemporaryDirectory(prefix="antiphon-peers-") as folder:
        print(f"Installing {', '.join(packages)} …", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = Path(folder, "bin", "python")
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
        done = subprocess.run(install, check=False, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(packages)} cannot be installed: {done.stderr.strip()}")
        yield python


class Guest:
    """A module of ours, by the name that it has for the scripts, that runs with the Python of such an environment."""

    def __init__(self, python: Path, module: str) -> None:
        self._process = subprocess.Popen(
            [str(python), "-m", module],
            cwd=SCRIPTS,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def ask(self, request: Any) -> Any:
        """Send a request, wait for the answer to it."""
        pipe_in, pipe_out = self._process.stdin, self._process.stdout
        assert pipe_in is not None
        assert pipe_out is not None
        pipe_in.write(json.dumps(request) + "\n")
        pipe_in.flush()
        line = pipe_out.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} ended with {self._process.wait()}")
        return json.loads(line)

    def close(self) -> None:
        """End it."""
        self._process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def requests() -> Iterator[Any]:
    """In the guest: what it is asked."""
    for line in sys.stdin:
        yield json.loads(line)


def answer(reply: Any) -> None:
    """In the guest: answer the last request."""
    print(json.dumps(reply), flush=True)
