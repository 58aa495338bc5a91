"""An event loop that runs nothing by itself: it keeps what was scheduled, and whoever made it says what runs next.

So the order in which actors and tasks run, which a real loop decides, can be any order at all. No time passes:
timers are taken and never come due.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["SteppedLoop"]


class SteppedLoop(asyncio.BaseEventLoop):
    """As much of a loop as futures, tasks and actors need.

    Attributes:
        errors: what callbacks and forgotten tasks have come to.

    """

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[dict[str, Any]] = []
        self._ready: deque[asyncio.Handle]

    @property
    def ready(self) -> tuple[asyncio.Handle, ...]:
        """What was scheduled and has not run yet."""
        return tuple(self._ready)

    # What it is told to do.

    @contextmanager
    def current(self) -> Iterator[None]:
        """Be the running loop of this thread meanwhile; then cancel the tasks that are left, and close."""
        asyncio._set_running_loop(self)
        try:
            yield
        finally:
            for task in asyncio.all_tasks(self):
                task.cancel()
            while self.run_one(_goes_on_with_a_task):
                pass
            asyncio._set_running_loop(None)
            self.close()

    def run_one(self, which: Callable[[asyncio.Handle], bool]) -> bool:
        """Run the first thing of this kind; False if none is there."""
        handle = next(filter(which, self._ready), None)
        if handle is None:
            return False
        self._ready.remove(handle)
        handle._run()
        return True

    def run_all(self) -> None:
        """Run all that is there, in order, and all that comes of it."""
        while self._ready:
            self._ready.popleft()._run()

    def complete(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run everything until `work` is done, and return what it gives."""
        task = self.create_task(work)
        self.run_all()
        return task.result()

    # What a loop does, without time and without a word on what went wrong.

    def time(self) -> float:
        return 0.0

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.errors.append(context)


def _goes_on_with_a_task(handle: asyncio.Handle) -> bool:
    return isinstance(getattr(handle._callback, "__self__", None), asyncio.Task)  # type: ignore[attr-defined]
