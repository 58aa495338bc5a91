"""A synchronous iterator, read in an event loop: it gets a daemon thread of its own.

Not the loop's executor: a few iterators that never return would starve all others there, and hold up the exit of
the program. The thread reads ahead a bounded number of items; one that is stuck inside its iterator cannot be
stopped by anybody, so it is left behind, and whoever waits for `aclose()` can say so by name.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ThreadedIterator"]

PATIENCE: Final = 1.0
"""How many seconds the thread waits for its consumer before it looks whether the consumer's loop was closed."""


class ThreadedIterator:
    """An async iterator over a synchronous iterable, for one loop and one consumer.

    Args:
        iterable: is iterated in the thread, from its first item to its last, and closed there. It runs in the
            context (`contextvars`) of whoever asks for the first item.
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
        self._waiters: set[asyncio.Future[None]] = set()
        self.thread: threading.Thread | None = None
        """Set by the first read."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        if self.thread is None and not self._closing:
            self.thread = threading.Thread(
                target=contextvars.copy_context().run, args=(self._read,), name=self._name, daemon=True
            )
            self.thread.start()
        while True:
            ended = self._ended  # looked at first: the thread may add its last item and end in between
            if self._items:
                break
            if ended:
                self._raise_error()
                raise StopAsyncIteration
            await self._wait()
        item = self._items.popleft()
        if len(self._items) * 2 <= self._read_ahead:
            with self._changed:
                self._changed.notify()
        return item

    async def aclose(self) -> None:
        """Tell the thread to stop after the item it is reading, and wait until it has.

        What it had read ahead is dropped. Raises what the iterable raises when it is closed.
        """
        with self._changed:
            self._closing = True
            self._items.clear()
            self._error = None
            self._changed.notify()
        if self.thread is None:
            self._ended = True
            return
        while not self._ended:
            await self._wait(for_end=True)
        self._raise_error()

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    async def _wait(self, *, for_end: bool = False) -> None:
        waiter: asyncio.Future[None] = self._loop.create_future()
        with self._changed:
            if self._ended or (self._items and not for_end):
                return
            self._waiters.add(waiter)
        try:
            await waiter
        finally:
            with self._changed:
                self._waiters.discard(waiter)

    # In the thread.

    def _read(self) -> None:
        try:
            iterator = iter(self._iterable)
            try:
                while self._may_read_on():
                    try:
                        item = next(iterator)
                    except StopIteration:
                        break
                    self._pass_on(item)
            finally:
                close = getattr(iterator, "close", None)
                if close is not None:
                    close()
        except BaseException as error:  # noqa: BLE001 - it is raised where the items are read
            self._error = error
        with self._changed:
            self._ended = True
            self._wake()

    def _may_read_on(self) -> bool:
        """Wait for the consumer as long as it is far behind; False if it has gone."""
        with self._changed:
            while len(self._items) >= self._read_ahead and not self._closing:
                if not self._changed.wait(PATIENCE) and self._loop.is_closed():
                    self._closing = True
            return not self._closing

    def _pass_on(self, item: Any) -> None:
        with self._changed:
            if not self._closing:
                self._items.append(item)
                self._wake()

    def _wake(self) -> None:
        while self._waiters:
            waiter = self._waiters.pop()
            try:
                self._loop.call_soon_threadsafe(_set, waiter)
            except RuntimeError:  # the loop is closed: nobody waits any more
                self._closing = True


def _set(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():  # cancelled
        waiter.set_result(None)
