"""What is left of a system that has ended: actors, tasks, timers and threads, by name.

After `shutdown()` there is nothing of the engine in the loop, except the tasks that it gave up and named.
"""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import actors

if TYPE_CHECKING:
    from collections.abc import Collection

    from actors.context import EngineContext

__all__ = ["engine_tasks", "engine_threads", "engine_timers", "left_behind"]

_ENGINE = str(Path(actors.__file__).parent)
_TOOLS = str(Path(__file__).parent)
_THREADS = ("antiphon-", "synchronous agent of turn ")
_FOR_GOOD = "antiphon-background-loop"


def left_behind(context: EngineContext, threads_before: Collection[threading.Thread] = ()) -> list[str]:
    """Name everything that a system has left after its `shutdown()`; call it in its loop, or when that has stopped.

    Args:
        context: the system's.
        threads_before: threads that were there before the system was.

    """
    given_up = context.abandoned_tasks
    left = [f"actor {urn}" for urn in sorted(context.registry)]
    left += [f"connection {connection_id}" for connection_id in sorted(context.rosters)]
    left += [f"task {task.get_name()!r}" for task in engine_tasks(context.loop) if task not in given_up]
    left += [f"timer of {timer!r}" for timer in engine_timers(context.loop)]
    known = [*threads_before, *context.abandoned_threads()]
    left += [f"thread {thread.name!r}" for thread in engine_threads() if thread not in known]
    return left


def engine_tasks(loop: asyncio.AbstractEventLoop) -> list[asyncio.Task[Any]]:
    """Return the tasks of a loop that run code of the engine."""
    if loop.is_closed():
        return []
    return [task for task in asyncio.all_tasks(loop) if _is_engine(getattr(task.get_coro(), "cr_code", None))]


def engine_timers(loop: asyncio.AbstractEventLoop) -> list[asyncio.TimerHandle]:
    """Return the timers of a loop that would call the engine."""
    scheduled: list[asyncio.TimerHandle] = getattr(loop, "_scheduled", [])  # no public way; uvloop has none at all
    return [
        timer
        for timer in scheduled
        if not timer.cancelled() and _is_engine(getattr(timer._callback, "__code__", None))  # type: ignore[attr-defined]
    ]


def engine_threads() -> list[threading.Thread]:
    """Return the threads that the engine has started, except the one that every program keeps."""
    return [t for t in threading.enumerate() if t.name.startswith(_THREADS) and t.name != _FOR_GOOD]


def _is_engine(code: Any) -> bool:
    path = getattr(code, "co_filename", "")
    return path.startswith(_ENGINE) and not path.startswith(_TOOLS)
