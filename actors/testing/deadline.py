"""`Deadline`: ends a test that goes on for too long, by whatever it takes.

A loop that hangs cannot watch itself, so the watch is a thread of its own. When the time is up, it

1. cancels the task, which ends one that waits for what never comes;
2. raises `DeadlineError` in the loop's thread, wherever that stands, which ends one that blocks its loop and one that
   goes on after its cancellation; a few times, since what is raised can be caught;
3. ends the process, when nothing has helped.

Each of these gets the same time to take effect, and says what was going on: what the owner of the deadline tells of
its system, and where every thread stood.

In the main thread, what is raised comes from the handler of a signal, so that it breaks off a system call, too, or
the wait for a lock. In any other, and on Windows, only Python code can be broken off. The signal is `SIGURG`: the
system ignores it unless it is asked for, and neither pytest-timeout nor faulthandler nor asyncio have a use for it.
Its handler is there while something is watched; what was there before comes back afterwards.

C code that keeps all of Python waiting (it holds the interpreter's lock) keeps this watch waiting too.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Any, NoReturn, Self

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["EXIT_STATUS", "Deadline", "DeadlineError", "call_off_all"]

EXIT_STATUS = 70
"""Of a process that had to be ended (`EX_SOFTWARE`)."""
TIMES = 3
"""How often `DeadlineError` is raised before the process is ended."""

STACK = 12
"""How many places of a stack are shown, the innermost."""

_SIGNAL: Any = getattr(signal, "SIGURG", None)


class DeadlineError(AssertionError):
    """A test was not over at its deadline; the message shows what every actor, task and thread was doing."""


def _to_stderr(text: str) -> None:
    if sys.__stderr__ is not None:
        sys.__stderr__.write(text)
        sys.__stderr__.flush()


class Deadline:
    """Gives the task that enters it, `with Deadline(60, describe):`, so many real seconds.

    Leaving it after that time raises `DeadlineError`, whatever else was raised.

    Args:
        seconds: how long the task may take.
        describe: says what goes on, when the time is up; called in the watching thread.
        patience: how long the task may take to clear up when it has been cancelled, in real seconds.
        last_words: is given what is to be said before the process is ended.

    Attributes:
        clearing_up: set it where the task begins to clear up, which has its own bounds and is cancelled no more.

    """

    def __init__(
        self,
        seconds: float,
        describe: Callable[[], str],
        *,
        patience: float = 1.0,
        last_words: Callable[[str], None] = _to_stderr,
    ) -> None:
        self._seconds = seconds
        self._describe = describe
        self._patience = patience
        self._last_words = last_words
        self.clearing_up = False
        self._over = threading.Event()
        self._what = ""
        """What was going on when the time was up; empty before."""
        self._where = ""
        """Where the threads stood when something was raised."""

    @property
    def expired(self) -> bool:
        """Whether the time was up before it was over."""
        return bool(self._what)

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._thread = threading.get_ident()
        self.by_signal = _SIGNAL is not None and threading.current_thread() is threading.main_thread()
        _take_in(self)
        self._watch = threading.Thread(target=self._run, name="antiphon-deadline", daemon=True)
        self._watch.start()
        return self

    def __exit__(self, exc_type: type[BaseException] | None, exc: BaseException | None, where: object) -> None:
        self.call_off()
        if not self.expired:
            return
        if isinstance(exc, asyncio.CancelledError) and self._task is not None:
            self._task.uncancel()
        if not isinstance(exc, DeadlineError):
            raise DeadlineError(self.text)

    def call_off(self) -> None:
        """Watch no more."""
        self._over.set()
        if self in _watched:
            self._watch.join()
            _let_go(self)

    @property
    def text(self) -> str:
        """Say what was going on."""
        return self._what + self._where

    # In the watching thread.

    def _run(self) -> None:
        if self._over.wait(self._seconds):
            return
        try:
            described = self._describe()
        except Exception as error:  # noqa: BLE001 - the watch goes on, whatever happens to those it looks at
            described = f"it cannot be described: {error!r}"
        self._what = f"the test was not over after {self._seconds:g} s\n{described}"
        for means in (self._cancel, *[self._raise] * TIMES, self._end_process):
            while not self._loop.is_running():  # what was raised is on its way out
                if self._is_over():
                    return
            means()
            if self._is_over():
                return

    def _is_over(self) -> bool:
        """Wait for it."""
        return self._over.wait(self._patience) or self._loop.is_closed()

    def _cancel(self) -> None:
        def cancel() -> None:
            if self._task is not None and not self.clearing_up:
                self._task.cancel("the deadline is over")

        self._loop.call_soon_threadsafe(cancel)

    def _raise(self) -> None:
        self._where = f"\n{_stacks(self._thread)}"
        if self.by_signal:
            _due.append(self)
            signal.pthread_kill(self._thread, _SIGNAL)
            return
        text = self.text
        error = type("DeadlineError", (DeadlineError,), {"__init__": lambda self: DeadlineError.__init__(self, text)})
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread), ctypes.py_object(error))

    def _end_process(self) -> NoReturn:
        self._where = f"\n{_stacks(self._thread)}"
        try:
            self._last_words(f"\n{self.text}\nnothing could end it, so the process ends with status {EXIT_STATUS}\n")
        finally:
            os._exit(EXIT_STATUS)


def _stacks(ident: int) -> str:
    """Say where every thread stands but this one, that of the loop first."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    frames = sys._current_frames()
    frames.pop(threading.get_ident(), None)
    lines = []
    for thread, frame in sorted(frames.items(), key=lambda item: item[0] != ident):
        whose = ", the loop's" if thread == ident else ""
        lines += [f"thread {names.get(thread, thread)!r}{whose}:\n", *traceback.format_stack(frame, STACK)]
    return "".join(lines)


# The signal's handler, for all deadlines of the main thread.

_watched: list[Deadline] = []
_due: list[Deadline] = []
"""For whom something is to be raised."""
_handler_before: Any = signal.SIG_DFL


def _take_in(deadline: Deadline) -> None:
    global _handler_before  # noqa: PLW0603 - a process has one handler for a signal
    if deadline.by_signal and not any(other.by_signal for other in _watched):
        _handler_before = signal.signal(_SIGNAL, _on_signal)
    _watched.append(deadline)


def _let_go(deadline: Deadline) -> None:
    _watched.remove(deadline)
    if deadline.by_signal and not any(other.by_signal for other in _watched):
        signal.signal(_SIGNAL, _handler_before or signal.SIG_DFL)


def _on_signal(number: int, frame: Any) -> None:
    while _due:
        deadline = _due.pop()
        if not deadline._over.is_set():
            raise DeadlineError(deadline.text)
    if callable(_handler_before):
        _handler_before(number, frame)


def call_off_all() -> None:
    """Let everything take as long as it likes: somebody looks at it in a debugger."""
    for deadline in tuple(_watched):
        deadline.call_off()
