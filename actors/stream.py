"""`EventStream`: a reader's end of a turn, in an event loop."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, Self

from protocol.errors import ReaderBusyError

if TYPE_CHECKING:
    from types import TracebackType

    from actors.record import Reader, TurnRecord

__all__ = ["EventStream"]


class EventStream:
    """The events of one turn, as JSON-ready dicts, to the `stream_end`.

    An object, not a generator: a cancelled `__anext__` takes no event and the next call goes on where it was, so
    that `asyncio.wait_for(anext(events), 1.0)` may time out as often as it likes.

    The reader has left at `aclose()`, at the end of `async with`, or when the stream is collected. The turn then
    waits `reader_grace_seconds` for another reader. A later `stream_events()` of the same turn takes over; this
    stream then raises `ReaderReplacedError`.

    May be read in any event loop, by one task at a time.
    """

    __slots__ = ("__weakref__", "_closed", "_ident", "_keep", "_loop", "_reader", "_record", "_waiter")

    def __init__(self, record: TurnRecord, reader: Reader, keep: object) -> None:
        self._record = record
        self._reader = reader
        self._keep = keep  # a processor in a service of the seeds' kind lives as long as its turn is read
        self._closed = False
        self._waiter: asyncio.Future[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ident = 0

    @property
    def turn_id(self) -> str:
        """The turn that is read."""
        return self._record.turn_id

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> dict[str, Any]:
        """Return the next event, when there is one.

        Raises:
            StopAsyncIteration: after `stream_end`, or after `aclose()`.
            ReaderReplacedError: another reader has taken over.
            ReaderBusyError: another task waits for this stream's next event.

        """
        record, reader = self._record, self._reader
        while not self._closed:
            try:
                event = record.take(reader)
            except StopIteration:
                break
            if event is not None:
                return event
            if self._waiter is not None:
                raise ReaderBusyError(f"another task is reading this stream of turn {self.turn_id}")
            self._loop, self._ident = asyncio.get_running_loop(), threading.get_ident()
            waiter = self._waiter = self._loop.create_future()
            try:
                if record.wait(reader, self._wake):
                    await waiter
            except BaseException:
                record.unwait(self._wake)
                raise
            finally:
                self._waiter = None
        raise StopAsyncIteration

    def _wake(self) -> None:
        if threading.get_ident() == self._ident:
            self._wake_here()
        elif self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake_here)

    def _wake_here(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def aclose(self) -> None:
        """Stop reading. A task that waits for the next event gets the end of the iteration."""
        self._leave()
        if self._waiter is not None:
            self._wake()

    def _leave(self) -> None:
        if not self._closed:
            self._closed = True
            self._record.leave(self._reader)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        if hasattr(self, "_closed"):
            self._leave()
