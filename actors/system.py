"""`ConversationSystem`: all conversations of one event loop, and the one that processors on their own share.

With `MessageProcessor`, one client's side of it, this is the embedding API: everything else in this package is
reached through these two classes.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable
from math import inf
from typing import TYPE_CHECKING, Any, Self

from actors.arguments import as_key
from actors.context import EngineContext
from actors.inspection import SystemReport, inspect_system
from actors.processor import ConnectionSpec, MessageProcessor, SpeechFactory, open_processor
from actors.producer import discard_stream
from actors.roster import Roster
from actors.runtime.watchdog import LoopWatchdog
from actors.supervisor import Supervisor
from protocol.errors import (
    BadArgumentError,
    ConnectionExistsError,
    SystemClosedError,
)
from protocol.mail import (
    Closed,
)
from protocol.settings import Flow, OnBusy, Settings

if TYPE_CHECKING:
    from types import TracebackType

    from actors.record import TurnRecord
    from actors.runtime import Clock, Ids
    from protocol.turn import ConversationTurn

__all__ = ["ConversationSystem", "MessageProcessor", "TurnFinished"]

TurnFinished = Callable[["ConversationTurn"], Awaitable[None] | None]
"""Called with the snapshot of a turn when its outcome is decided."""


class ConversationSystem:
    """All conversations of one event loop: the root of the actors, with one Supervisor.

    Use it as `async with ConversationSystem(settings) as system`, or call `start()` and `shutdown()`.

    Args:
        settings: limits and time-outs; read from `ANTIPHON_…` where not given.
        speech: makes the speech pipeline of a turn; by default `SpeechPipeline(settings.speech)`.
        clock, ids: sources of time and of ids, for tests and simulations.

    Raises:
        BadSettingsError: a variable in the environment is not valid.

    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        speech: SpeechFactory | None = None,
        clock: Callable[[asyncio.AbstractEventLoop], Clock] | None = None,
        ids: Ids | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self._speech = speech or _default_speech(self.settings)
        self._clock = clock
        self._ids = ids
        self._context: EngineContext | None = None
        self._processors: dict[str, MessageProcessor] = {}
        self._listeners: list[TurnFinished] = []
        self._listening: set[asyncio.Task[None]] = set()
        self._watchdog: LoopWatchdog | None = None
        self._closing: asyncio.Task[None] | None = None
        self._closed = False
        self._stopping = False

    # Life.

    async def start(self) -> Self:
        """Start the system in the running loop; `async with` does it too.

        Raises:
            SystemClosedError: it was started before.

        """
        self._start()
        return self

    def _start(self) -> None:
        if self._context is not None or self._closed:
            raise SystemClosedError("a ConversationSystem is started once; make a new one")
        loop = asyncio.get_running_loop()
        self._context = EngineContext(
            self.settings,
            speech=self._speech,
            on_turn_finished=self._turn_finished,
            clock=self._clock(loop) if self._clock else None,
            ids=self._ids,
        )
        self._start_supervisor()
        if self.settings.loop_watchdog_seconds is not None:
            self._watchdog = LoopWatchdog(loop, self.settings.loop_watchdog_seconds)

    def _start_supervisor(self, _word: Any = None) -> None:
        if not self._stopping and self._context is not None:
            Supervisor.launch(self._context, self._start_supervisor)

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.shutdown()

    async def shutdown(self) -> None:
        """Interrupt every turn, stop every actor. Takes `shutdown_timeout_seconds` at most; a second call waits too.

        Readers get their `stream_end`, also after this has returned. Callbacks of `on_turn_finished` that are
        coroutines are waited for, and cancelled when the time is over.
        """
        if self._context is None:
            self._closed = True
            return
        task = asyncio.current_task()
        if task is not None:
            self._listening.discard(task)  # a callback that shuts the system down is not waited for by itself
        await asyncio.shield(self._begin_to_close(self._context))

    def _begin_to_close(self, context: EngineContext) -> asyncio.Task[None]:
        if self._closing is None:
            self._closed = True
            self._closing = asyncio.ensure_future(self._shut_down(context))
        return self._closing

    async def _shut_down(self, context: EngineContext) -> None:
        until = context.loop.time() + self.settings.shutdown_timeout_seconds

        async def wait_for(tasks: Iterable[asyncio.Task[Any]], seconds: float) -> None:
            if tasks := tuple(tasks):
                await asyncio.wait(tasks, timeout=max(0.0, min(seconds, until - context.loop.time())))

        closing = [asyncio.ensure_future(p.shutdown()) for p in tuple(self._processors.values())]
        await wait_for(closing, inf)
        await wait_for(context.left_tasks, self.settings.interrupt_wait_timeout)
        await wait_for(self._listening, inf)
        for task in (*closing, *self._listening):
            task.cancel()
        self._stop(context)

    def _stop(self, context: EngineContext) -> None:
        """End what is left, without waiting for anything."""
        self._closed = self._stopping = True
        for connection_id in tuple(context.rosters):
            self._forget(connection_id)
        for actor in tuple(context.registry.values()):
            actor.stop_now()
        for left in tuple(context.left_tasks.values()):
            context.abandon(left)
        if self._watchdog is not None:
            self._watchdog.stop()
        if _shared.get(context.loop) is self:
            del _shared[context.loop]

    @property
    def context(self) -> EngineContext:
        """What the actors share: for tests, reports and the tools built on this package.

        Raises:
            SystemClosedError: the system has not been started.

        """
        if self._context is None:
            raise SystemClosedError("the ConversationSystem has not been started: use 'async with', or start()")
        return self._context

    # Connections.

    def connect(
        self,
        connection_id: Any = None,
        user_id: Any = "",
        *,
        queue_maxsize: int | None = None,
        on_busy: OnBusy | None = None,
        flow: Flow | None = None,
        speech: SpeechFactory | None = None,
        reader_grace_seconds: float | None = None,
    ) -> MessageProcessor:
        """Open a connection. Call it in the system's loop.

        Args:
            connection_id: any id, kept as a string; a new one if left out.
            user_id: whose connection it is.
            queue_maxsize, on_busy, flow, speech, reader_grace_seconds: in the place of the system's own, for this
                connection.

        Raises:
            SystemClosedError: the system has not been started, or was shut down.
            ConnectionExistsError: a connection of this id is open.

        """
        processor = open_processor(
            self,
            ConnectionSpec(connection_id, user_id, queue_maxsize, on_busy, flow, speech, reader_grace_seconds),
        )
        self._processors[processor.connection_id] = processor
        return processor

    def _open(self, roster: Roster) -> None:
        context = self.context
        if self._closed:
            raise SystemClosedError("the ConversationSystem has been shut down")
        if asyncio.get_running_loop() is not context.loop:
            raise BadArgumentError("connect() belongs into the loop of its system; from threads use ThreadedSystem")
        if roster.connection_id in context.rosters:
            raise ConnectionExistsError(f"connection {roster.connection_id} is open already")
        context.rosters[roster.connection_id] = roster
        assert isinstance(context.supervisor, Supervisor), "a system that runs has a supervisor"
        context.supervisor.start_connection(roster)

    def _forget(self, connection_id: str) -> None:
        self._processors.pop(connection_id, None)
        roster = self.context.rosters.pop(connection_id, None)
        if roster is None:
            return
        roster.closed = True
        for record in roster.turns.values():
            if record.interrupt("shutdown"):  # its Connection could not see to it
                self._turn_finished(record)
        for _record, order in roster.waiting or ():
            discard_stream(order.agent_stream)
        if roster.connection is not None:
            self.context.call(roster.connection.stop_now)
        self.context.tell_supervisor(Closed(connection_id), connection_id)

    def _close_if_unused(self) -> None:
        """End a system that standalone processors have shared, when the last one has gone."""
        context = self.context
        if self._closed or context.rosters or _shared.get(context.loop) is not self:
            return
        if context.left_tasks or self._listening:
            self._begin_to_close(context)
        else:
            self._stop(context)

    def _collected(self, connection_id: str) -> None:
        """Close a connection whose processor nobody has any more, and the system if it was the last."""
        if not self._closed and connection_id in self.context.rosters:
            self._forget(connection_id)
            self._close_if_unused()

    def connections(self) -> list[MessageProcessor]:
        """Return the open connections."""
        return list(self._processors.values())

    def get(self, connection_id: Any) -> MessageProcessor | None:
        """Return the open connection of this id."""
        return self._processors.get(as_key("connection_id", connection_id))

    # Reports.

    def inspect(self) -> SystemReport:
        """Return what is going on: actors with their mailboxes, tasks, figures, what was not spoken by rule."""
        return inspect_system(self.context)

    def on_turn_finished(self, callback: TurnFinished) -> None:
        """Have `callback` called with the snapshot of each turn when its outcome is decided.

        It may be a coroutine function. One that raises is logged and disturbs nobody.
        """
        self._listeners.append(callback)

    def _turn_finished(self, record: TurnRecord) -> None:
        context = self.context
        stats = context.totals.stats
        stats[f"turns_{record.status}"] = stats.get(f"turns_{record.status}", 0) + 1
        for rule, size in (record.removed or {}).items():
            context.totals.removed[rule] = context.totals.removed.get(rule, 0) + size
        context.log(record).info("turn %s: %s", record.status, record.reason)
        if not self._listeners:
            return
        snapshot = record.snapshot()
        for listener in self._listeners:
            try:
                result = listener(snapshot)
                if inspect.isawaitable(result):
                    task = asyncio.ensure_future(self._listen(result, record))
                    self._listening.add(task)
                    task.add_done_callback(self._listening.discard)
            except BaseException as error:  # noqa: BLE001 - a listener disturbs nobody
                context.log(record).failure(logging.ERROR, error, "a callback of on_turn_finished failed")

    async def _listen(self, result: Awaitable[None], record: TurnRecord) -> None:
        try:
            await result
        except (asyncio.CancelledError, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001
            self.context.log(record).failure(logging.ERROR, error, "a callback of on_turn_finished failed")


def _default_speech(settings: Settings) -> SpeechFactory:
    from actors.speech import SpeechPipeline  # noqa: PLC0415 - a system with speech of its own needs none of it

    return lambda: SpeechPipeline(settings.speech)


# Processors without a system of their own share one in each loop.

_shared: dict[asyncio.AbstractEventLoop, ConversationSystem] = {}


def _shared_system() -> ConversationSystem:
    loop = asyncio.get_running_loop()
    for ended in [old for old in tuple(_shared) if old.is_closed()]:
        _shared.pop(ended, None)
    system = _shared.get(loop)
    if system is None or system._closed:
        system = _shared[loop] = ConversationSystem()
        system._start()
    return system


MessageProcessor._shared_host = _shared_system
