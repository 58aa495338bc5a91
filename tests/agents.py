"""Agent streams of all kinds, good and bad."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, Self

__all__ = [
    "Stubborn",
    "Stuck",
    "endless",
    "hang",
    "prose",
    "ready",
    "say",
    "sentences",
    "stubborn",
]


def prose(sentences: int) -> list[str]:
    """Return tokens of so many short sentences, five tokens each."""
    return [token for number in range(sentences) for token in ("This", " is", " number ", str(number), ". ")]


def sentences(count: int) -> str:
    """Return a text of so many sentences of 90 characters."""
    return "".join(f"This is sentence {n} ".ljust(88, "o") + ". " for n in range(count))


async def ready(items: Iterable[Any]) -> AsyncIterator[Any]:
    """Everything is there already: never lets the loop go on."""
    for item in items:
        yield item


async def say(items: Iterable[Any], pause: float = 0.0) -> AsyncIterator[Any]:
    """Wait before each item, as a model does: at least for one turn of the loop."""
    for item in items:
        await asyncio.sleep(pause)
        yield item


async def hang(items: Iterable[Any] = ()) -> AsyncIterator[Any]:
    """Say something and then nothing, for ever; stop when cancelled."""
    for item in items:
        yield item
    await asyncio.Event().wait()


async def endless(text: str = "And so on. ", pause: float = 0.0) -> AsyncIterator[str]:
    """Never stop talking."""
    while True:
        await asyncio.sleep(pause)
        yield text


async def stubborn(items: Iterable[Any] = ("Well. ",), seconds: float = 6.0) -> AsyncIterator[Any]:
    """Swallow every cancellation for some seconds after the first."""
    for item in items:
        yield item
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await _sleep_through(seconds)


class Stubborn:
    """The same as an object: its pull swallows every cancellation for a while, and so does its `aclose`."""

    def __init__(self, items: Iterable[Any] = ("Well. ",), *, seconds: float = 6.0, closing: float = 6.0) -> None:
        self._items = iter(items)
        self._seconds = seconds
        self._closing = closing

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        for item in self._items:
            return item
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await _sleep_through(self._seconds)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        await _sleep_through(self._closing)


async def _sleep_through(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while (left := until - loop.time()) > 0:
        try:
            await asyncio.sleep(left)
        except asyncio.CancelledError:
            continue


class Stuck:
    """A synchronous agent that says something and then never returns, until the test lets it go."""

    def __init__(self, *items: Any) -> None:
        self.items = items
        self.reached = threading.Event()
        self.released = threading.Event()

    def __iter__(self) -> Iterator[Any]:
        yield from self.items
        self.reached.set()
        self.released.wait()
