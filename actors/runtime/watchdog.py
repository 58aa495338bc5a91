"""A thread that notices when somebody blocks the event loop, and logs where."""

from __future__ import annotations

import sys
import threading
import traceback
from typing import TYPE_CHECKING

from actors.runtime.log import EngineLog

if TYPE_CHECKING:
    import asyncio

__all__ = ["LoopWatchdog"]


class LoopWatchdog:
    """Asks a loop for a sign of life once in `seconds`; logs the stack of its thread when none has come by then.

    A loop that stays blocked is logged once. Made in the loop's own thread; ends with the loop, or with `stop()`.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._loop = loop
        self._seconds = seconds
        self._ident = threading.get_ident()
        self._stopping = threading.Event()
        self._sign = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="antiphon-loop-watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; does not wait for it."""
        self._stopping.set()
        self._sign.set()

    def _watch(self) -> None:
        while not self._stopping.is_set():
            self._sign.clear()
            try:
                self._loop.call_soon_threadsafe(self._sign.set)
            except RuntimeError:  # the loop is closed
                return
            reported = False
            while not self._sign.wait(self._seconds) and not self._stopping.is_set():
                if self._loop.is_closed():
                    return
                reported = reported or self._report()
            self._stopping.wait(self._seconds)

    def _report(self) -> bool:
        """Log where the loop is; False if it is not running at all, which is nobody's fault."""
        frame = sys._current_frames().get(self._ident)
        if not self._loop.is_running():
            return False
        stack = "".join(traceback.format_stack(frame)) if frame is not None else "(no stack)\n"
        log = EngineLog("antiphon.watchdog")
        log.warning("the event loop has been blocked for %.1f s:\n%s", self._seconds, stack)
        return True
