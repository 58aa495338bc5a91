"""`ActorSystem`: what the engine's actors share, so that nothing of theirs is global.

One event loop, one clock, one source of ids, one registry. Tests and simulations put their own clock and ids in,
and with a loop in virtual time a run repeats exactly.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
import uuid
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any

from actors.runtime.log import EngineLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.runtime.engine import EngineActor

__all__ = ["ActorSystem", "Clock", "Ids"]


class Clock:
    """The time, twice: on the loop's clock, for measuring, and on the calendar, for people."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # asyncio's own loops ask this clock by a detour; the time is taken once per token.
        is_plain = type(loop).time is asyncio.BaseEventLoop.time
        self.now: Callable[[], float] = time.monotonic if is_plain else loop.time
        """Seconds since some moment in the past; never goes back."""

    def wall(self) -> datetime:
        """Return the date and time, in UTC."""
        return datetime.now(UTC)


class Ids:
    """Where ids come from: random ones for what the outside sees, counted ones for actors."""

    def __init__(self) -> None:
        self._counter = count(1)

    def new(self, kind: str) -> str:  # noqa: ARG002 - a test's source of ids may tell kinds apart
        """Return the id of a new connection, turn or trace."""
        return str(uuid.uuid4())

    def urn(self, kind: str) -> str:
        """Return the URN of a new actor, unique within its system."""
        return f"urn:antiphon:{kind}:{next(self._counter)}"


class ActorSystem:
    """The surroundings of a set of engine actors. Made in the thread of the running loop that will run them."""

    def __init__(self, *, clock: Clock | None = None, ids: Ids | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        self.ident = threading.get_ident()
        self.clock = clock or Clock(self.loop)
        self.ids = ids or Ids()
        self.registry: dict[str, EngineActor] = {}
        """The actors that live, by URN."""
        self.lock = threading.RLock()
        """Of all their mailboxes."""
        self.context = contextvars.copy_context()
        """Handlers run in this context, whoever sent the message."""
        self.tap: Callable[[EngineActor, Any], None] | None = None
        """Called before each message is handled: for traces, and for tests that kill an actor right there."""
        self.on_task_left: Callable[[EngineActor, asyncio.Task[Any]], None] = lambda _actor, _task: None
        """Called with a task that was cancelled when its actor ended and has not stopped yet."""

    def register(self, actor: EngineActor) -> None:
        """Enter an actor that starts."""
        self.registry[actor.actor_urn] = actor

    def unregister(self, actor: EngineActor) -> None:
        """Strike out an actor that has ended."""
        self.registry.pop(actor.actor_urn, None)

    def log_of(self, actor: EngineActor) -> EngineLog:  # noqa: ARG002 - who shares more than this knows what it is about
        """Return a logger for what concerns this actor."""
        return EngineLog("antiphon.runtime")

    def call(self, function: Callable[..., None], *args: Any) -> None:
        """Run a function in the loop's thread: now if this is it, else as soon as the loop gets to it."""
        if threading.get_ident() == self.ident:
            function(*args)
            return
        try:
            self.loop.call_soon_threadsafe(function, *args)
        except RuntimeError:  # the loop is closed, and everything that lived on it is gone
            return
