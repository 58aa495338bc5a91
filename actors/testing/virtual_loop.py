"""`VirtualLoop`: an asyncio loop in virtual time, whose order of events is drawn from a seed.

**Time** stands still while there is something to do and jumps to the next timer when there is not: hours pass in
milliseconds, and a test waits for exactly what it means to wait for. When there is no timer either, nothing can ever
happen again; where a real loop would hang, `StandstillError` says who waits for what.

**Order.** asyncio runs callbacks in the order in which they were registered, so one run of a program shows one of the
many orders that the machine might have brought about. With a seed the loop draws another: it shuffles what is ready,
and may let a callback wait while others overtake it. It keeps what a program may rely on: the callbacks of one object
(an actor's runs), those of one future, and, among themselves, plain functions and all that has to do with input and
output (asyncio's own transports count on it) run in the order in which they were registered. Nothing waits for ever:
what was held back is in the next draw's lot, and the clock jumps only when nothing is left. Without a seed the order
is asyncio's.

**Late timers.** With `lateness` each timer fires up to so many seconds after its time, as the seed has it.

**The world outside** has no virtual time. Calls from other threads are taken in when they come, and sockets work; the
same seed promises the same run only without them. Work in an executor is waited for before the clock jumps. Another
thread that was started under this loop may live as long as it likes, and so may a socket: they get a moment of real
time before the clock jumps, and are waited for in earnest only when there is nothing to jump to.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
import threading
from collections import deque
from random import Random
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from contextvars import Context

__all__ = ["StandstillError", "VirtualLoop", "run_virtual", "virtual", "waiting"]

P = ParamSpec("P")
T = TypeVar("T")

MOMENT = 0.02
"""Real seconds that a thread or socket gets before the clock jumps."""
PATIENCE = 10.0
"""Real seconds that it gets when there is no timer to jump to, and that work in an executor gets."""
BYSTANDERS = ("antiphon-background-loop", "antiphon-loop-watchdog", "antiphon-deadline", "asyncio_")
"""Threads that never call a loop of their own accord, or (an executor's) are counted by their work."""
HELD_BACK = 0.1
"""How likely it is that something which is ready lets the others go first."""


class StandstillError(Exception):
    """A run would wait for ever: nothing is ready, no timer is set, and nobody outside can call."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock begins at 0 and jumps.

    Args:
        seed: draws the order of what is ready; None: asyncio's own order.
        lateness: how many seconds a timer may be late at the most.

    Attributes:
        seed: as given.
        virtual_now: what the clock shows, in seconds.

    """

    def __init__(self, seed: int | None = None, *, lateness: float = 0.0) -> None:
        self.seed = seed
        self.virtual_now = 0.0
        self._lateness = lateness
        self._chance = Random(seed)  # noqa: S311 - a test's chance must repeat
        self._before = set(threading.enumerate())
        self._in_executor = 0
        super().__init__(_JumpingSelector(self))
        if seed is not None:
            self._ready: Any = _SeededQueue(self._chance)

    def time(self) -> float:
        """Return the virtual time."""
        return self.virtual_now

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        if self._lateness:
            when += self._chance.uniform(0.0, self._lateness)
        return super().call_at(when, callback, *args, context=context)

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        future = super().run_in_executor(executor, func, *args)
        self._in_executor += 1
        future.add_done_callback(self._executor_done)
        return future

    def _executor_done(self, _future: Any) -> None:
        self._in_executor -= 1

    def _patience(self, timeout: float | None) -> float:
        """Return how many real seconds the world outside gets, where the loop would sleep for `timeout`."""
        if not (self._in_executor or self._has_sockets() or self._has_threads()):
            return 0
        return PATIENCE if timeout is None or self._in_executor else MOMENT

    def _reach_what_is_due(self) -> None:
        """Show the time of a timer that asyncio takes for due because it is nearer than its clock's resolution.

        It runs at once; if the clock stayed behind, whoever waits for that time would set another one, for ever.
        """
        timers = self._scheduled
        if timers and self.virtual_now < timers[0].when() < self.virtual_now + self._clock_resolution:
            self.virtual_now = timers[0].when()

    def _has_threads(self) -> bool:
        started = set(threading.enumerate()) - self._before - {threading.current_thread()}
        return any(not thread.name.startswith(BYSTANDERS) for thread in started)

    def _has_sockets(self) -> bool:
        return len(self._selector.get_map()) > 1  # one is the loop's own, by which threads wake it

    _selector: selectors.BaseSelector
    _scheduled: list[asyncio.TimerHandle]
    _clock_resolution: float


class _JumpingSelector(selectors.DefaultSelector):
    """Where a loop would sleep, its time passes instead."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        loop = self._loop
        if timeout == 0:  # there is something to do; calls of threads are among it already
            loop._reach_what_is_due()
            return super().select(0) if loop._has_sockets() else []
        ready = super().select(loop._patience(timeout))
        if ready:
            return ready
        if timeout is None:
            lines = "\n".join(f"  {line}" for line in waiting(loop)) or "  (no task)"
            raise StandstillError(f"nothing will ever happen again at {loop.virtual_now:g} s; who waits:\n{lines}")
        loop.virtual_now += timeout
        return []


class _SeededQueue:
    """In the place of the loop's deque of handles: gives out, in a drawn order, what came in since the last draw."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._new: deque[asyncio.Handle] = deque()  # threads append to it
        self._drawn: deque[asyncio.Handle] = deque()

    def __len__(self) -> int:
        return len(self._drawn) + len(self._new)

    def append(self, handle: asyncio.Handle) -> None:
        self._new.append(handle)

    def popleft(self) -> asyncio.Handle:
        if not self._drawn:
            self._draw()
        return self._drawn.popleft()

    def clear(self) -> None:
        self._drawn.clear()
        self._new.clear()

    def _draw(self) -> None:
        new = self._new
        if len(new) == 1:
            self._drawn.append(new.popleft())
            return
        groups: dict[Any, deque[asyncio.Handle]] = {}
        lots = []
        for _ in range(len(new)):
            handle = new.popleft()
            group = groups.setdefault(_group(handle), deque())
            group.append(handle)
            lots.append(group)  # an object is drawn as often as it has something to do
        self._chance.shuffle(lots)
        stays = min(len(lots) - 1, sum(self._chance.random() < HELD_BACK for _ in lots))
        drawn = [group.popleft() for group in lots]
        self._drawn.extend(drawn[: len(drawn) - stays])
        for handle in reversed(drawn[len(drawn) - stays :]):
            new.appendleft(handle)


_INPUT_AND_OUTPUT = (asyncio.BaseTransport, asyncio.AbstractEventLoop)


def _group(handle: asyncio.Handle) -> object:
    """Return what a callback belongs to: callbacks of the same group keep their order."""
    owner = getattr(handle._callback, "__self__", None)  # type: ignore[attr-defined]
    about = handle._args[0] if handle._args else None
    if isinstance(about, asyncio.Future):
        return id(about)
    if isinstance(owner, _INPUT_AND_OUTPUT) or isinstance(about, _INPUT_AND_OUTPUT):
        return None
    return None if owner is None else id(owner)


def waiting(loop: asyncio.AbstractEventLoop) -> list[str]:
    """Describe every task of a loop: its name, the places in which it waits, and for what."""
    return sorted(f"{task.get_name()}: {_wait_of(task)}" for task in asyncio.all_tasks(loop))


def _wait_of(task: asyncio.Task[Any]) -> str:
    places = []
    at: Any = task.get_coro()
    while at is not None:
        frame = next((f for name in ("cr_frame", "ag_frame", "gi_frame") if (f := getattr(at, name, None))), None)
        if frame is not None:
            places.append(f"{frame.f_code.co_qualname} ({frame.f_code.co_filename}:{frame.f_lineno})")
        inner = next((i for name in ("cr_await", "ag_await", "gi_yieldfrom") if (i := getattr(at, name, None))), None)
        if inner is None and frame is None and not isinstance(at, asyncio.Future):
            break  # an iterator of C, such as that of an asynchronous generator's next item
        at = inner
    future = getattr(task, "_fut_waiter", None)
    return " → ".join(places) + (f", for {future!r}" if future is not None else "")


def run_virtual(work: Coroutine[Any, Any, T], seed: int | None = None, *, lateness: float = 0.0) -> T:
    """Run a coroutine to its end in a new `VirtualLoop`.

    Args:
        work: the coroutine.
        seed, lateness: as for `VirtualLoop`.

    Raises:
        StandstillError: it would wait for ever.

    """
    with asyncio.Runner(loop_factory=functools.partial(VirtualLoop, seed, lateness=lateness)) as runner:
        return runner.run(work)


@overload
def virtual(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]: ...


@overload
def virtual(
    *, seeds: Iterable[int | None] = ..., lateness: float = ...
) -> Callable[[Callable[P, Coroutine[Any, Any, None]]], Callable[P, None]]: ...


def virtual(test: Any = None, *, seeds: Iterable[int | None] = (None,), lateness: float = 0.0) -> Any:
    """Make a coroutine function a plain test that runs in virtual time: `@virtual`, or `@virtual(seeds=range(20))`.

    Args:
        test: the coroutine function.
        seeds: it runs once with each; what it raises is given a note of the seed.
        lateness: as for `VirtualLoop`.

    """
    if test is None:
        return functools.partial(virtual, seeds=tuple(seeds), lateness=lateness)
    every = tuple(seeds)

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        for seed in every:
            try:
                run_virtual(test(*args, **kwargs), seed, lateness=lateness)
            except BaseException as error:
                error.add_note(f"in virtual time, with seed={seed}")
                raise

    return run
