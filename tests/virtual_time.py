"""An event loop in virtual time, for tests in which time passes: hours of it in milliseconds.

The loop's clock stands still while there is something to do and jumps to the next timer when there is not. When
there is no timer either, nothing could ever happen any more: `StandstillError` is raised at once, where a real loop
would hang. Threads live in real time: while one that was started under this loop is alive, the loop gives it a
moment before it jumps, and waits for it in earnest before it gives up.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
import threading
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

__all__ = ["StandstillError", "VirtualTimeLoop", "run_virtual", "virtual"]

P = ParamSpec("P")
T = TypeVar("T")

MOMENT = 0.02  # real seconds that a thread gets before the clock jumps
PATIENCE = 10.0  # real seconds that a thread gets when there is no timer to jump to
BYSTANDERS = ("antiphon-background-loop", "antiphon-loop-watchdog", "asyncio_")


class StandstillError(Exception):
    """The loop has nothing to do, no timer, and no thread that could give it something."""


class _JumpingSelector(selectors.DefaultSelector):
    """Where a loop would sleep, time passes instead."""

    loop: VirtualTimeLoop

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self.loop.threads_work():
            ready = super().select(PATIENCE if timeout is None else MOMENT)
            if ready:
                return ready
        if timeout is None:
            tasks = ", ".join(sorted(task.get_name() for task in asyncio.all_tasks(self.loop)))
            raise StandstillError(f"nothing will ever happen again; tasks that wait: {tasks}")
        self.loop.virtual_now += timeout
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An ordinary event loop but for its clock, which begins at 0.

    Attributes:
        virtual_now: what the clock shows, in seconds.

    """

    def __init__(self) -> None:
        self.virtual_now = 0.0
        self._before = set(threading.enumerate())
        self._in_executor = 0
        selector = _JumpingSelector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.virtual_now

    def threads_work(self) -> bool:
        """Whether a thread may still call this loop."""
        started = set(threading.enumerate()) - self._before - {threading.current_thread()}
        return self._in_executor > 0 or any(not thread.name.startswith(BYSTANDERS) for thread in started)

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        future = super().run_in_executor(executor, func, *args)
        self._in_executor += 1
        future.add_done_callback(self._executor_done)
        return future

    def _executor_done(self, _future: Any) -> None:
        self._in_executor -= 1


def run_virtual(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in a new loop in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(work)


def virtual(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Make a coroutine function an ordinary test that runs in virtual time."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        run_virtual(test(*args, **kwargs))

    return run
