"""A synchronous iterator, read in an event loop: it gets a daemon thread of its own.

Not the loop's executor: a few iterators that never return would starve all others there, and hold up the exit of
the program. The thread reads ahead a bounded number of items; one that is stuck inside its iterator cannot be
stopped by anybody, so it is left behind, and whoever waits for `aclose()` can say so by name.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ThreadedIterator"]


class ThreadedIterator:
    """An async iterator over a synchronous iterable, for one loop and one consumer.

    Args:
        iterable: is iterated in the thread, from its first item to its last, and closed there.
        read_ahead: how many items the thread may be ahead of the consumer.
        name: of the thread.

    """

    def __init__(self, iterable: Iterable[Any], read_ahead: int, name: str) -> None:
        self._iterable = iterable
        self._read_ahead = read_ahead
        self._name = name
        self._items: deque[Any] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._ended = False
        self._error: BaseException | None = None
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self.thread: threading.Thread | None = None
        """Set by the first read."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        if self.thread is None:
            self.thread = threading.Thread(target=self._read, name=self._name, daemon=True)
            self.thread.start()
        while not self._items:
            if self._ended:
                if self._error is not None:
                    raise self._error
                raise StopAsyncIteration
            await self._wait()
        item = self._items.popleft()
        if len(self._items) * 2 <= self._read_ahead:
            with self._changed:
                self._changed.notify()
        return item

    async def aclose(self) -> None:
        """Tell the thread to stop after the item it is reading, and wait until it has."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        while self.thread is not None and not self._ended:
            await self._wait(for_end=True)

    async def _wait(self, *, for_end: bool = False) -> None:
        waiter: asyncio.Future[None] = self._loop.create_future()
        with self._changed:
            if self._ended or (self._items and not for_end):
                return
            self._waiter = waiter
        await waiter

    # In the thread.

    def _read(self) -> None:
        try:
            iterator = iter(self._iterable)
            try:
                for item in iterator:
                    if not self._pass_on(item):
                        break
            finally:
                close = getattr(iterator, "close", None)
                if close is not None:
                    close()
        except BaseException as error:  # noqa: BLE001 - it is raised where the items are read
            self._error = error
        with self._changed:
            self._ended = True
            self._wake()

    def _pass_on(self, item: Any) -> bool:
        with self._changed:
            while len(self._items) >= self._read_ahead and not self._closing:
                self._changed.wait()
            if self._closing:
                return False
            self._items.append(item)
            self._wake()
            return True

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is None:
            return
        try:
            self._loop.call_soon_threadsafe(_set, waiter)
        except RuntimeError:  # the loop is closed: nobody waits any more
            self._closing = True


def _set(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():  # cancelled
        waiter.set_result(None)
