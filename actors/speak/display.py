"""What is seen of a turn: plain lines in a pipe, JSON for a program; `terminal` is for a person who watches.

A display is given each event once, in order. It is fed by the same task that takes the events, so that who reads
slowly holds up the turn and not the other way round.
"""

from __future__ import annotations

import json
from typing import Any, Protocol

from actors.speak.lines import LineWriter, one_line
from actors.speak.progress import Progress
from actors.speak.summary import Summary, seconds

__all__ = ["STANDARD_ERROR", "Display", "JsonDisplay", "PlainDisplay", "chunk_line"]

STANDARD_ERROR = 2


class Display(Protocol):
    """What the session needs of a display."""

    voice_output: int
    """The file descriptor for what a voice prints: never the one of the events."""

    def start(self, progress: Progress) -> None:
        """The turn begins."""

    async def show(self, event: dict[str, Any], at: float) -> None:
        """An event came, `at` seconds after the start."""

    def stop(self) -> None:
        """No event comes any more; called once or more, whatever happened."""

    async def summarise(self, summary: Summary) -> None:
        """Say at the end what happened."""


class JsonDisplay:
    """One event a line, as the engine gave it; the summary, an object too, goes to standard error."""

    voice_output = STANDARD_ERROR

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
        """Write the summary on a line of its own."""
        await self._err.write(json.dumps(summary.data(), ensure_ascii=False))


class PlainDisplay:
    """Each chunk on a line, with its time, then the summary."""

    voice_output = STANDARD_ERROR

    def __init__(self, out: LineWriter) -> None:
        self._out = out
        self._separator = ""

    def start(self, progress: Progress) -> None:
        """Nothing to show yet."""

    async def show(self, event: dict[str, Any], at: float) -> None:
        """Write the line of a chunk."""
        if event["type"] == "tts_ready_chunk":
            await self._out.write(chunk_line(event, at))
            self._separator = "\n"

    def stop(self) -> None:
        """Nothing to clear away."""

    async def summarise(self, summary: Summary) -> None:
        """Write the summary, under a blank line if anything is above it."""
        await self._out.write(self._separator + "\n".join(summary.lines()))


def chunk_line(event: dict[str, Any], at: float) -> str:
    """Return the line of a chunk: its time, its emotion if it has one, its text."""
    emotion = f"({one_line(event['emotion'])}) " if "emotion" in event else ""
    return f"{seconds(at):>9}  {emotion}{one_line(event['chunk'])}"
