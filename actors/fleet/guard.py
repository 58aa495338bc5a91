"""The guard: a thread that ends its process when one of the processes that it depends on has ended.

Thespian's processes outlive whoever started them, by design, and those of a supervisor that was killed go on serving
with nobody to restart them. So each process of a fleet watches its parent, Thespian's admin and the leader, and is
gone the moment that one of them is. Another host's processes are never watched: losing a host is no reason to end.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from math import inf

__all__ = ["LOST", "end_process", "guard"]

LOST = 75
"""The exit code of a process that lost one that it depends on."""

_LOOK_SECONDS = 0.5
"""How often to look where the kernel does not tell."""


def guard(pids: Iterable[int], end: Callable[[], None] = lambda: os._exit(LOST)) -> None:
    """Have `end` called, in a thread, once one of these processes is no more."""
    watched = sorted(set(pids))
    threading.Thread(target=_watch, args=(watched, end), name="fleet guard", daemon=True).start()


def _pidfd(pid: int) -> int | None:
    """Return a descriptor that becomes readable when a process ends; None where there is no such thing.

    Raises:
        ProcessLookupError: it has ended, and been forgotten.

    """
    if sys.platform != "linux":
        return None
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        raise
    except OSError:  # an old kernel, or a sandbox
        return None


def _ends_within(pid: int, seconds: float) -> bool:
    """Wait for a process to end; False when it has not by then."""
    until = time.monotonic() + seconds
    try:
        return _wait([pid], until)
    except ProcessLookupError:
        return True


def end_process(pid: int, seconds: float) -> bool:
    """Wait for a process to end, and kill it when the time is over; True if it ended by itself."""
    if _ends_within(pid, seconds):
        return True
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return False


def _watch(pids: list[int], end: Callable[[], None]) -> None:
    with suppress(ProcessLookupError):
        _wait(pids, inf)
    end()


def _wait(pids: list[int], until: float) -> bool:
    """Wait until one of these has ended; False when the time is over first.

    Raises:
        ProcessLookupError: one has ended before.

    """
    descriptors = {pid: _pidfd(pid) for pid in pids}
    untold = [pid for pid, descriptor in descriptors.items() if descriptor is None]
    poll = select.poll()
    for descriptor in descriptors.values():
        if descriptor is not None:
            poll.register(descriptor, select.POLLIN)
    parent = os.getppid()
    try:
        while (left := until - time.monotonic()) > 0:
            patience = min(left, _LOOK_SECONDS) if untold else left
            if poll.poll(None if patience == inf else patience * 1000):
                return True
            for pid in untold:
                os.kill(pid, 0)
            if untold and os.getppid() != parent:
                # One that nobody has waited for still seems to be there, but its children have another parent.
                return True
        return False
    finally:
        for descriptor in descriptors.values():
            if descriptor is not None:
                os.close(descriptor)
