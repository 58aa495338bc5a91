"""Pykka's future, which can also be awaited in an event loop, and which refuses a wait that could never end."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pykka import ThreadingFuture

from protocol.errors import BlockingCallError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from pykka._types import OptExcInfo

__all__ = ["LoopFuture", "LoopReply", "Reply"]

T = TypeVar("T")


class Reply(Protocol):
    """What a handler answers to: a future of either kind."""

    @property
    def answered(self) -> bool:
        """Whether it has been answered."""
        ...

    def set(self, value: Any = None) -> None:
        """Answer with a value."""

    def set_exception(self, exc_info: OptExcInfo | None = None) -> None:
        """Answer with an exception."""


class LoopReply:
    """The answer to a request within one loop: an asyncio future in the clothes of Pykka's."""

    __slots__ = ("future",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.future: asyncio.Future[Any] = loop.create_future()

    @property
    def answered(self) -> bool:
        """Whether the answer is there, or nobody waits for it any more."""
        return self.future.done()

    def set(self, value: Any = None) -> None:
        """Answer with a value."""
        if not self.future.done():
            self.future.set_result(value)

    def set_exception(self, exc_info: OptExcInfo | None = None) -> None:
        """Answer with an exception: `exc_info`, or the one that is being handled."""
        error = (exc_info or sys.exc_info())[1]
        if not self.future.done() and error is not None:
            if isinstance(error, StopIteration):  # a future cannot carry it
                error = RuntimeError(f"the handler raised {error!r}")
            self.future.set_exception(error)


class LoopFuture(ThreadingFuture[T]):
    """The answer to an ask of a loop actor.

    `get()` blocks a thread, as with every Pykka future; in the thread of the loop that has to produce the answer
    it raises `BlockingCallError` at once where Pykka would wait for ever. `await` suspends the task instead.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ident: int | None = None
        """The thread that will produce the answer, once it is known."""
        self._callbacks: list[Callable[[], None]] | None = None

    @property
    def answered(self) -> bool:
        """Whether the answer is there, so that `get()` will not wait."""
        return self._result is not None

    def get(self, *, timeout: float | None = None) -> Any:
        """Return the answer, or raise it if it is an exception; wait for it up to `timeout` seconds.

        Raises:
            BlockingCallError: this thread runs the actor that has to answer, and it has not answered yet.
            pykka.Timeout: no answer in time.

        """
        waits = self._result is None and self._get_hook is None and timeout != 0
        if waits and self.ident is not None and self.ident == threading.get_ident():
            raise BlockingCallError(
                "get() would block the event loop that runs the actor it waits for: "
                "'await' the future, or call it from another thread"
            )
        return super().get(timeout=timeout)

    def set(self, value: Any | None = None) -> None:
        """Answer with a value."""
        super().set(value)
        self._call_back()

    def set_exception(self, exc_info: OptExcInfo | None = None) -> None:
        """Answer with an exception: `exc_info`, or the one that is being handled."""
        super().set_exception(exc_info)
        self._call_back()

    def when_answered(self, callback: Callable[[], None]) -> None:
        """Call `callback` once the answer is there, in the thread that gives it; at once if it is there."""
        with self._condition:
            if self._result is None:
                if self._callbacks is None:
                    self._callbacks = []
                self._callbacks.append(callback)
                return
        callback()

    def _call_back(self) -> None:
        callbacks, self._callbacks = self._callbacks, None
        for callback in callbacks or ():
            callback()

    def __await__(self) -> Generator[Any, None, T]:
        if self._get_hook is not None:
            # A hook may wait for any number of other futures in its own way. The thread that does is a daemon of
            # its own, as one that has nothing to wait for any more can neither starve others nor hold up the exit.
            answer = LoopFuture[T]()
            threading.Thread(target=self._ask_hook, args=(answer,), name="antiphon-get-hook", daemon=True).start()
            return (yield from answer.__await__())
        if self._result is None:
            loop = asyncio.get_running_loop()
            waiter: asyncio.Future[None] = loop.create_future()

            def wake() -> None:
                if not waiter.done():
                    waiter.set_result(None)

            def answered() -> None:
                if asyncio._get_running_loop() is loop:
                    wake()
                else:
                    with contextlib.suppress(RuntimeError):  # closed: nobody waits there any more
                        loop.call_soon_threadsafe(wake)

            self.when_answered(answered)
            try:
                yield from waiter
            finally:
                self._forget(answered)
        result: T = self.get()
        return result

    __iter__ = __await__

    def _ask_hook(self, answer: LoopFuture[T]) -> None:
        try:
            answer.set(self.get())
        except BaseException:  # noqa: BLE001 - it is raised where the answer is awaited
            answer.set_exception()

    def _forget(self, callback: Callable[[], None]) -> None:
        with self._condition:
            if self._callbacks and callback in self._callbacks:
                self._callbacks.remove(callback)
