"""An event loop in a daemon thread, for actors that plain Pykka code starts outside any loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading

__all__ = ["LoopThread", "background_loop"]


class LoopThread:
    """A thread that runs an event loop until it is told to stop, or the program ends.

    Attributes:
        loop: the loop; it runs when the constructor returns.
        ident: the thread's identity, as `threading.get_ident()` gives it.

    """

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._main, args=(started,), name=name, daemon=True)
        self._thread.start()
        started.wait()
        assert self._thread.ident is not None
        self.ident: int = self._thread.ident

    def _main(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.call_soon(started.set)
        try:
            self.loop.run_forever()
        finally:
            # Tasks that still run have been told to stop, and named, by whoever had them; asyncio would do it again.
            self.loop.set_exception_handler(lambda _loop, _context: None)
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs; in a forked process it does not."""
        return self._thread.is_alive()

    def stop(self, timeout: float | None = None) -> None:
        """End the loop and wait for its thread; tasks that still run are left where they are. May be called again."""
        with contextlib.suppress(RuntimeError):  # it is closed
            self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(timeout)


_lock = threading.Lock()
_background: LoopThread | None = None


def background_loop() -> LoopThread:
    """Return the process's background loop, started with the first call."""
    global _background  # noqa: PLW0603 - one for the process, as Pykka's registry is
    with _lock:
        if _background is None or not _background.is_alive:
            _background = LoopThread("antiphon-background-loop")
        return _background
