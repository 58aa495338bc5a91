"""What is seen of a turn: live on a terminal, plain lines in a pipe, JSON for a program.

A display is given each event once, in order. It is fed by the same task that takes the events, so that who reads
slowly holds up the turn and not the other way round. A pipe that nobody empties must not block the loop, or Ctrl-C
would go unheard: `LineWriter` writes no more than fits.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import select
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from actors.speak.summary import Summary, seconds

__all__ = [
    "Display",
    "JsonDisplay",
    "LineWriter",
    "PlainDisplay",
    "Progress",
    "TerminalDisplay",
    "chunk_line",
    "complain",
    "one_line",
]

_REFRESH_SECONDS = 0.1
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


@dataclass(slots=True)
class Progress:
    """How far a turn is; the session counts, a display may look at any time."""

    tokens: Callable[[], int]
    elapsed: Callable[[], float]
    chunks: int = 0


class Display(Protocol):
    """What the session needs of a display."""

    def start(self, progress: Progress) -> None:
        """The turn begins."""

    async def show(self, event: dict[str, Any], at: float) -> None:
        """An event came, `at` seconds after the start."""

    def stop(self) -> None:
        """No event comes any more; called once or more, whatever happened."""

    async def summarise(self, summary: Summary) -> None:
        """Say at the end what happened."""


class JsonDisplay:
    """One event a line, as the engine gave it; the summary goes to standard error."""

    def __init__(self, out: LineWriter, err: LineWriter) -> None:
        self._out = out
        self._err = err

    def start(self, progress: Progress) -> None:
        """Nothing to show yet."""

    async def show(self, event: dict[str, Any], at: float) -> None:  # noqa: ARG002 - a program has a clock
        """Write the event."""
        await self._out.write(json.dumps(event, ensure_ascii=False, default=str))

    def stop(self) -> None:
        """Nothing to clear away."""

    async def summarise(self, summary: Summary) -> None:
        """Write the summary for whoever watches."""
        await self._err.write("\n".join(summary.lines()))


class PlainDisplay:
    """Each chunk on a line, with its time, then the summary."""

    def __init__(self, out: LineWriter) -> None:
        self._out = out

    def start(self, progress: Progress) -> None:
        """Nothing to show yet."""

    async def show(self, event: dict[str, Any], at: float) -> None:
        """Write the line of a chunk."""
        if event["type"] == "tts_ready_chunk":
            await self._out.write(chunk_line(event, at))

    def stop(self) -> None:
        """Nothing to clear away."""

    async def summarise(self, summary: Summary) -> None:
        """Write the summary under a blank line."""
        await self._out.write("\n" + "\n".join(summary.lines()))


class TerminalDisplay:
    """Each chunk as it comes, and below a line that says how far the turn is, kept up to date."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # not every terminal knows every character
        self._progress: Progress | None = None
        self._console = Console(highlight=False)
        self._live = Live(console=self._console, get_renderable=self._status, transient=True, auto_refresh=False)
        self._next_look: asyncio.TimerHandle | None = None

    def start(self, progress: Progress) -> None:
        """Show the status line."""
        self._progress = progress
        self._live.start()
        self._look()

    async def show(self, event: dict[str, Any], at: float) -> None:
        """Print a chunk above the status line."""
        if event["type"] != "tts_ready_chunk":
            return
        from rich.table import Table
        from rich.text import Text

        row = Table.grid(padding=(0, 2))
        row.add_column(justify="right", style="cyan", no_wrap=True, min_width=9)
        row.add_column(ratio=1)
        text = Text(one_line(event["chunk"]))
        if "emotion" in event:
            text = Text.assemble((f"({one_line(event['emotion'])}) ", "magenta"), text)
        row.add_row(seconds(at), text)
        self._console.print(row)

    def stop(self) -> None:
        """Take the status line away."""
        if self._next_look is not None:
            self._next_look.cancel()
        self._live.stop()

    async def summarise(self, summary: Summary) -> None:
        """Print the summary."""
        from rich.table import Table
        from rich.text import Text

        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="bold", no_wrap=True)
        grid.add_column(ratio=1)
        for name, value in summary.rows():
            grid.add_row(f"  {name}", Text(one_line(value)))
        self._console.print()
        self._console.print("summary", style="bold")
        self._console.print(grid)

    def _look(self) -> None:
        """Bring the status line up to date, now and again; in the loop, where what it shows changes."""
        self._live.refresh()
        self._next_look = asyncio.get_running_loop().call_later(_REFRESH_SECONDS, self._look)

    def _status(self) -> Any:
        from rich.text import Text

        progress = self._progress
        if progress is None:
            return Text()
        return Text(
            f"   tokens {progress.tokens():,} · chunks {progress.chunks:,} · {progress.elapsed():.1f} s"
            " · Ctrl-C interrupts",
            style="dim",
            no_wrap=True,
            overflow="ellipsis",
        )


class LineWriter:
    """Writes lines to a file descriptor without ever blocking the loop.

    Raises (from `write`):
        BrokenPipeError: nobody reads any more.
        OSError: the lines cannot be written, for example to a full disk.

    """

    def __init__(self, fd: int) -> None:
        self._fd = fd

    async def write(self, text: str) -> None:
        """Write the text and a line end."""
        rest = memoryview((text + "\n").encode("utf-8", "replace"))
        while rest:
            await self._room()
            # What a poll calls writable takes this much for sure, also where the descriptor blocks.
            rest = rest[os.write(self._fd, rest[: select.PIPE_BUF]) :]

    async def _room(self) -> None:
        if select.select([], [self._fd], [], 0)[1]:
            return
        loop = asyncio.get_running_loop()
        room = loop.create_future()

        def wake() -> None:
            if not room.done():
                room.set_result(None)

        loop.add_writer(self._fd, wake)
        try:
            await room
        finally:
            loop.remove_writer(self._fd)


def chunk_line(event: dict[str, Any], at: float) -> str:
    """Return the line of a chunk: its time, its emotion if it has one, its text."""
    emotion = f"({one_line(event['emotion'])}) " if "emotion" in event else ""
    return f"{seconds(at):>9}  {emotion}{one_line(event['chunk'])}"


def one_line(text: str) -> str:
    """Return text that a terminal shows on one line and does not obey: a model can write escape sequences too."""
    return _CONTROL.sub(" ", text)


def complain(message: str) -> None:
    """Write one line to standard error."""
    if sys.stderr is not None:
        with suppress(OSError):  # nobody reads that either
            print(f"antiphon: {one_line(message)}", file=sys.stderr, flush=True)
