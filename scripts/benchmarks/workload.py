"""What the benchmarks speak: plain English prose as tokens, agents that give it, and the trivial splitter.

The prose is of the kind that a language model writes in a conversation: about 4.5 characters a token and about
12 tokens a sentence, the full stop being a token of its own. It holds no abbreviations, quotations or markup,
so that every splitter finds the same sentences in it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import cycle, islice
from typing import Any

from protocol.speech import RemovedSpan, SpeechChunk

__all__ = [
    "BOUNDARY",
    "AttentiveSplitter",
    "TrivialSplitter",
    "count_chunks",
    "gated",
    "live",
    "paced",
    "ready",
    "tokens",
]

PROSE = """
The bakery on the corner opens long before the sun comes up. By six the first loaves are on the shelf. The smell has
reached the far end of the street by then. Anna has worked there since the spring. She likes the quiet hour before
the door is unlocked. Most customers want the same thing every day, and she has it ready when they walk in. Did you
know that the oven is older than the house? It was carried over from another village, brick by brick. Nobody could
say whether it would ever work again. It did!

Last winter the river rose higher than anyone could remember. The water came as far as the second step. It stayed for
two days and then went back, leaving a thin line of mud on the wall. Anna painted the wall in April but kept the line.
People ask about it now and then. She tells them where the boats were tied and how the bread was passed out through a
window. Some of it may even be true.

If you plan to visit, come on a weekday and come early. There is a bench outside where you can watch the market being
set up. The trams stop across the square. You will not need a car. Bring some change, because the machine for cards is
often out of order. And try the rye bread with caraway! It is baked only twice a week and is usually gone by nine.
Would you like me to look up the opening hours? I can also suggest a walk along the old canal. It ends near the
station and takes about forty minutes.
"""

TOKEN = re.compile(r" ?[A-Za-z]{1,7}|[.,!?]")
BOUNDARY = re.compile(r"[.!?]+\s*")


def tokens(count: int) -> list[str]:
    """Return `count` tokens of prose, begun again where it ends."""
    prose = " " + " ".join(PROSE.split())
    return list(islice(cycle(TOKEN.findall(prose)), count))


# Agents.


async def ready(pieces: Sequence[str]) -> AsyncIterator[str]:
    """Give tokens that are there already."""
    for piece in pieces:
        yield piece


async def live(pieces: Sequence[str]) -> AsyncIterator[str]:
    """Give tokens as a real agent does: the loop runs before each."""
    for piece in pieces:
        await asyncio.sleep(0)
        yield piece


async def gated(pieces: Sequence[str], arrived: asyncio.Semaphore, gate: asyncio.Event) -> AsyncIterator[str]:
    """Give the first half, say so, and give the rest when the gate opens."""
    half = len(pieces) // 2
    for piece in pieces[:half]:
        yield piece
    arrived.release()
    await gate.wait()
    for piece in pieces[half:]:
        yield piece


async def paced(pieces: Sequence[str], interval: float, delay: float) -> AsyncIterator[str]:
    """Give one token each `interval` seconds, for ever, the first after `delay` seconds."""
    await asyncio.sleep(delay)
    for piece in cycle(pieces):
        yield piece
        await asyncio.sleep(interval)


# Splitters.


class TrivialSplitter:
    """The splitter of the bare pipeline as a speech pipeline, one regex search for each feed."""

    def __init__(self) -> None:
        self._buffer = ""
        self._at = 0

    def feed(self, text: str) -> list[SpeechChunk]:
        """Take text; return the sentences that have ended."""
        self._buffer += text
        chunks = []
        while (match := BOUNDARY.search(self._buffer)) is not None:
            chunks.append(self._cut(match.end()))
        return chunks

    def flush(self, final: bool = True) -> list[SpeechChunk]:
        """Return what is left, at the end."""
        return [self._cut(len(self._buffer))] if final and self._buffer.strip() else []

    def take_removed(self) -> list[RemovedSpan]:
        """Return nothing: every character is spoken."""
        return []

    def _cut(self, size: int) -> SpeechChunk:
        text, self._buffer = self._buffer[:size], self._buffer[size:]
        start, self._at = self._at, self._at + size
        return SpeechChunk(text.strip(), start, self._at)


class AttentiveSplitter(TrivialSplitter):
    """The same, and like every good pipeline it says what it waits for."""

    attention = re.compile(r"[.!?]")


def count_chunks(splitter: Callable[[], Any], pieces: Sequence[str]) -> int:
    """How many chunks a pipeline makes of these tokens, fed one by one."""
    pipeline = splitter()
    return sum(len(pipeline.feed(piece)) for piece in pieces) + len(pipeline.flush(final=True))
