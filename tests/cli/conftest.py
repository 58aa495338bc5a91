"""The command as a person runs it: a process of its own."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import pytest
from terminal import Open, Terminal

COMMAND = [sys.executable, "-m", "actors.cli"]
ROOT = Path(__file__).resolve().parents[2]

Run = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., Awaitable[Process]]


@pytest.fixture
def environment() -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ANTIPHON_")}
    return {**clean, "PYTHONPATH": str(ROOT), "COLUMNS": "100", "LINES": "30", "TERM": "xterm-256color"}


@pytest.fixture
def antiphon(environment: dict[str, str]) -> Run:
    """Run the command to its end, perhaps with a redirection as a shell does it."""

    def run(
        *arguments: str | Path, stdin: str | bytes = b"", env: dict[str, str] | None = None, redirection: str = ""
    ) -> subprocess.CompletedProcess[str]:
        shell = ["sh", "-c", f'exec "$@" {redirection}', "sh"] if redirection else []
        done = subprocess.run(
            [*shell, *COMMAND, *map(str, arguments)],
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            capture_output=True,
            env={**environment, **(env or {})},
            timeout=60,
            check=False,
        )
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


@pytest.fixture
async def start(environment: dict[str, str]) -> AsyncIterator[Start]:
    """Start the command, and see to it that nothing is left over."""
    started: list[Process] = []

    async def start_it(arguments: Sequence[str | Path], stdout: int = PIPE) -> Process:
        process = await asyncio.create_subprocess_exec(
            *COMMAND, *map(str, arguments), env=environment, stdin=PIPE, stdout=stdout, stderr=PIPE
        )
        started.append(process)
        return process

    yield start_it
    for process in started:
        if process.returncode is None:
            process.kill()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if isinstance(pipe, asyncio.StreamReader):
                await pipe.read()
            elif pipe is not None:
                pipe.close()
        await process.wait()


@pytest.fixture
def terminal(environment: dict[str, str]) -> Iterator[Open]:
    """Open terminals with the command, or another one, on them."""
    opened: list[Terminal] = []

    def open_it(
        *arguments: str | Path, columns: int = 80, command: Sequence[str | Path] = COMMAND, **extra: str
    ) -> Terminal:
        opened.append(Terminal([*map(str, command), *map(str, arguments)], {**environment, **extra}, columns))
        return opened[-1]

    yield open_it
    for each in opened:
        each.close()


@pytest.fixture
def letter(tmp_path: Path) -> Path:
    """A short text with some markup."""
    path = tmp_path / "letter.md"
    path.write_text(
        "# A letter\n\nHello there, *dear* reader. This is the second sentence 👋. And this one is the third.\n",
        encoding="utf-8",
    )
    return path


@pytest.fixture
def long_text(tmp_path: Path) -> Path:
    """More text than any test waits for, and more than any pipe holds."""
    path = tmp_path / "long.txt"
    path.write_text("This is one more sentence of a long text. " * 6000, encoding="utf-8")
    return path
