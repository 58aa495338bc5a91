"""The embedding API: `ConversationSystem`, and `MessageProcessor`, one client's side of it.

A thin shell: what changes something is a message to the connection's actor and is awaited; what only looks reads
the records and is not. Everything else in this package is reached through these two classes.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
import weakref
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Any, Self

from pykka import ActorDeadError

from actors.context import EngineContext
from actors.inspection import SystemReport, inspect_system
from actors.producer import discard_stream
from actors.roster import Roster
from actors.runtime.watchdog import LoopWatchdog
from actors.stream import EventStream
from actors.supervisor import Supervisor
from protocol.errors import (
    BadArgumentError,
    ConnectionExistsError,
    ConnectionGoneError,
    SystemClosedError,
    TurnNotFoundError,
)
from protocol.mail import (
    AttachAgent,
    Claim,
    Cleanup,
    CleanupCompleted,
    Closed,
    InterruptTurn,
    InterruptTurns,
    MarkPlayed,
    Shutdown,
    StartTurn,
)
from protocol.settings import Flow, OnBusy, Settings

if TYPE_CHECKING:
    from types import TracebackType

    from actors.record import Reader, TurnRecord
    from actors.runtime import Clock, Ids, LoopRef
    from protocol.turn import ConversationTurn

__all__ = ["ConversationSystem", "MessageProcessor", "SpeechFactory", "TurnFinished"]

SpeechFactory = Callable[[], Any]
"""Makes a speech pipeline for one turn: an object with `feed`, `flush` and `take_removed`."""

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
        name = str(connection_id) if connection_id is not None else self.context.ids.new("connection")
        processor = MessageProcessor.__new__(MessageProcessor)
        processor._prepare(name, user_id, queue_maxsize, on_busy, flow, speech, reader_grace_seconds)
        processor._connect(self)
        self._processors[name] = processor
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

    def connections(self) -> list[MessageProcessor]:
        """Return the open connections."""
        return list(self._processors.values())

    def get(self, connection_id: Any) -> MessageProcessor | None:
        """Return the open connection of this id."""
        return self._processors.get(str(connection_id))

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


class MessageProcessor:
    """One connection: starts its turns, gives their events to readers, interrupts them.

    Made by `ConversationSystem.connect()`, or on its own as `MessageProcessor(connection_id, user_id)`: then it
    lives on a system of the running loop, which ends with its last processor (shut down, or collected).

    Args:
        connection_id: any id, kept as a string.
        user_id: whose connection it is.
        queue_maxsize: capacity of the mailboxes, in messages; 100 if left out.

    """

    __slots__ = ("__weakref__", "_roster", "_spec", "_system")

    def __init__(self, connection_id: Any = None, user_id: Any = "", queue_maxsize: int | None = None) -> None:
        self._prepare(
            str(connection_id) if connection_id is not None else "", user_id, queue_maxsize, None, None, None, None
        )

    def _prepare(
        self,
        connection_id: str,
        user_id: Any,
        queue_maxsize: int | None,
        on_busy: OnBusy | None,
        flow: Flow | None,
        speech: SpeechFactory | None,
        reader_grace_seconds: float | None,
    ) -> None:
        if queue_maxsize is not None and queue_maxsize < 1:
            raise BadArgumentError(f"queue_maxsize must be at least 1, got {queue_maxsize}")
        if reader_grace_seconds is not None and not 0 < reader_grace_seconds < inf:
            raise BadArgumentError(
                f"reader_grace_seconds must be more than 0, and finite, got {reader_grace_seconds}"
            )
        self._system: ConversationSystem | None = None
        self._roster: Roster | None = None
        self._spec: Any = (connection_id, str(user_id), queue_maxsize, on_busy, flow, speech, reader_grace_seconds)

    def _connect(self, system: ConversationSystem) -> Roster:
        connection_id, user_id, queue_maxsize, on_busy, flow, speech, reader_grace = self._spec
        roster = Roster(
            connection_id or system.context.ids.new("connection"),
            user_id,
            queue_maxsize=queue_maxsize or system.settings.queue_maxsize,
            on_busy=on_busy or system.settings.on_busy,
            flow=flow or system.settings.flow,
            speech=speech,
            reader_grace=system.settings.reader_grace_seconds if reader_grace is None else reader_grace,
        )
        system._open(roster)
        self._system, self._roster, self._spec = system, roster, None
        return roster

    def _connected(self) -> Roster:
        """Return the roster; a processor of its own joins the loop's shared system with the first call."""
        if self._roster is None:
            system = _shared_system()
            roster = self._connect(system)
            weakref.finalize(self, _collected, weakref.ref(system), roster.connection_id, system.context.loop)
        assert self._roster is not None
        return self._roster

    async def _ask(self, message: Any) -> Any:
        """Ask the connection's actor of the moment; once more if it died before it got to the message."""
        roster = self._connected()
        if self._system is not None and self._system.context.loop.is_closed():
            raise SystemClosedError(f"the loop that connection {roster.connection_id} lived in is closed")
        for last_try in (False, True):
            connection = roster.connection
            try:
                if connection is not None:
                    return await connection.request(message)
            except ActorDeadError:
                pass
            if roster.closed:
                raise SystemClosedError(f"connection {roster.connection_id} has been shut down")
            if not last_try:
                await asyncio.sleep(0)  # the Supervisor puts a new one in its place in the next run
        raise ConnectionGoneError(f"the actor of connection {roster.connection_id} died; try again")

    @property
    def connection_id(self) -> str:
        """The connection's id, as in every event."""
        connection_id: str = self._roster.connection_id if self._roster is not None else self._spec[0]
        return connection_id

    @property
    def user_id(self) -> str:
        """Whose connection it is."""
        user_id: str = self._roster.user_id if self._roster is not None else self._spec[1]
        return user_id

    @property
    def actor_ref(self) -> LoopRef[Any]:
        """The connection's actor of the moment, for plain Pykka code: `actor_ref.ask(StartTurn(...)).get()`.

        Raises:
            SystemClosedError: the connection has been shut down.

        """
        connection = self._connected().connection
        if connection is None or connection.stopped:
            raise SystemClosedError(f"connection {self.connection_id} has been shut down")
        return connection.actor_ref

    # Turns.

    async def start_turn(
        self,
        session_id: Any = None,
        user_input: str = "",
        agent_stream: Any = None,
        *,
        conversation_id: Any = None,
        on_busy: OnBusy | None = None,
        flow: Flow | None = None,
        speech: SpeechFactory | None = None,
        turn_id: Any = None,
        trace_id: str = "",
        request_id: str = "",
    ) -> str:
        """Start a turn and return its id.

        The agent is pulled at once, up to what the mailboxes hold; read the events with `stream_events()`.

        Args:
            session_id: of the conversation; `conversation_id` is another name for it.
            user_input: what the person said; kept with the turn.
            agent_stream: an async iterator, a synchronous one (it gets a daemon thread), or a coroutine that gives
                one, of text, dict events or `protocol.agent` models. Left out, the turn waits for
                `attach_agent_stream()`.
            on_busy: what to do while a turn is active: `reject`, `interrupt` (also what waits in the queue) or
                `queue`; by default as in the settings.
            flow: `played` for a client that acknowledges what it has spoken (`mark_played()`): chunks are handed
                over at most `max_unplayed_chunks` ahead of that, and `stream_end` after the last one, so that the
                turn can be interrupted for as long as the person listens. By default as in the settings (`free`).
            speech: makes this turn's pipeline.
            turn_id: an id of your own.
            trace_id, request_id: go with every log record of this turn.

        A call that is cancelled has started nothing, or takes it back.

        Raises:
            TurnActiveError: a turn is active and `on_busy` is `reject`, or the queue is full.
            SystemClosedError: after `shutdown()`.
            BadArgumentError: an argument makes no sense.

        """
        claim = Claim()
        order = StartTurn(
            session_id=session_id if session_id is not None else "" if conversation_id is None else conversation_id,
            user_input=user_input,
            agent_stream=agent_stream,
            on_busy=on_busy,
            flow=flow,
            speech=speech,
            turn_id=turn_id,
            trace_id=trace_id,
            request_id=request_id,
            context=contextvars.copy_context(),
            claim=claim,
        )
        try:
            return str(await self._ask(order))
        except asyncio.CancelledError:
            if self._system is not None:
                self._system.context.call(self._withdraw, claim)
            discard_stream(agent_stream)
            raise

    def _withdraw(self, claim: Claim) -> None:
        """Whoever gave the order was cancelled before it heard of its turn: there is to be none."""
        claim.withdrawn = True
        if claim.turn_id is not None and self._system is not None:
            self._system.context.tell_connection(self.connection_id, Cleanup(claim.turn_id, "cancelled"), claim)

    async def attach_agent_stream(self, turn_id: Any, agent_stream: Any) -> None:
        """Give a turn that was started without one its agent stream.

        Raises:
            TurnNotFoundError: no such turn.
            TurnFinishedError: the turn has ended.
            AgentAttachedError: it has a stream already.

        """
        await self._ask(AttachAgent(str(turn_id), agent_stream))

    def stream_events(self, turn_id: Any, after_seq: int | None = None) -> EventStream:
        """Return the events of a turn, for `async for`; become its reader, in the place of the one before.

        Args:
            turn_id: as `start_turn()` returned it.
            after_seq: begin with the event after this one, from the replay window (-1: with the first). None: with
                the first that has not been handed over yet.

        Raises:
            TurnNotFoundError: no such turn.
            ReplayGapError: those events have left the replay window.

        """
        return EventStream(*self._open_reader(turn_id, after_seq))

    def _open_reader(self, turn_id: Any, after_seq: int | None) -> tuple[TurnRecord, Reader, MessageProcessor]:
        record = self._record(turn_id)
        if record is None:
            raise TurnNotFoundError(f"connection {self.connection_id} has no turn {turn_id}")
        return record, record.open(after_seq), self

    async def interrupt_turn(self, turn_id: Any, reason: str = "interrupted") -> bool:
        """End a turn now; True if this ended it, False if it had ended or is not known.

        When it returns, no chunk of the turn will be handed over any more, `stream_end` is the next event, and the
        agent's stream has stopped, or was abandoned after `interrupt_wait_timeout` (see `get_turn().abandoned`).
        """
        record = self._record(turn_id)
        if record is None or self._connected().closed:
            return False
        try:
            return bool(await self._ask(InterruptTurn(str(turn_id), reason)))
        except SystemClosedError:
            return False

    async def interrupt_all_active_turns(self, reason: str = "interrupted") -> int:
        """Interrupt the active turn and those that wait; return how many this ended."""
        if self._roster is None or self._roster.closed:
            return 0
        return int(await self._ask(InterruptTurns(reason)))

    async def handle_interrupt(self, reason: str = "interrupted") -> bool:
        """Interrupt whatever is active: what a client's interrupt command calls. True if anything was."""
        return await self.interrupt_all_active_turns(reason) > 0

    async def mark_played(self, turn_id: Any, seq: int, chars: int | None = None) -> None:
        """Note that the client has played the chunk `seq` of a turn, and all before it.

        Args:
            turn_id: as `start_turn()` returned it.
            seq: of an event that was handed over. One before what has been acknowledged already changes nothing.
            chars: only so many characters of that chunk's text have been said so far: for the ledger, when the person
                interrupts in the middle of it.

        Raises:
            TurnNotFoundError: no such turn.
            BadAckError: no such event was handed over.

        """
        await self._ask(MarkPlayed(str(turn_id), seq, chars))

    async def cleanup(self, turn_id: Any = None) -> int:
        """End a turn if it is active, and forget it; all turns if none is named. Return how many there were.

        Calling it again does nothing. A reader that is still there gets its `stream_end`.
        """
        if self._roster is None or self._roster.closed:
            return 0
        return int(await self._ask(Cleanup(None if turn_id is None else str(turn_id))))

    async def cleanup_completed_turns(self, max_age_seconds: float | None = None) -> int:
        """Forget the turns that ended at least so long ago (by default: the retention); return how many.

        `start_turn()` does it too.
        """
        if self._roster is None or self._roster.closed:
            return 0
        return int(await self._ask(CleanupCompleted(max_age_seconds)))

    # Looking.

    def _record(self, turn_id: Any) -> TurnRecord | None:
        return None if self._roster is None else self._roster.turns.get(str(turn_id))

    def get_turn(self, turn_id: Any) -> ConversationTurn | None:
        """Return a turn as it is now; None if it is not known, or not any more."""
        record = self._record(turn_id)
        return None if record is None else record.snapshot()

    def get_active_turns(self) -> list[ConversationTurn]:
        """Return the turns that have not ended: the active one first, then those that wait."""
        turns = () if self._roster is None else tuple(self._roster.turns.values())
        return [record.snapshot() for record in turns if not record.status.finished]

    def get_stats(self) -> dict[str, int]:
        """Return this connection's figures: turns by outcome, turns kept, turns that wait."""
        roster = self._roster
        stats = {f"turns_{name}": 0 for name in ("started", "completed", "interrupted", "failed")}
        if roster is None:
            return {**stats, "turns_kept": 0, "turns_waiting": 0, "turns_active": 0}
        stats.update(roster.stats)
        active = roster.active is not None and not roster.active.status.finished
        if roster.active is not None and not active:  # its end was read, and the actor has not heard of it yet
            stats[f"turns_{roster.active.status}"] += 1
        return {
            **stats,
            "turns_kept": len(roster.turns),
            "turns_waiting": len(roster.waiting or ()),
            "turns_active": int(active),
        }

    # Life.

    async def shutdown(self) -> None:
        """Interrupt all turns and close the connection; a second call does nothing.

        Takes `shutdown_timeout_seconds` at most.
        """
        roster, system = self._roster, self._system
        if roster is None or system is None:
            return
        if roster.closed:
            return
        try:
            async with asyncio.timeout(system.settings.shutdown_timeout_seconds):
                await self._ask(Shutdown())
        except (TimeoutError, SystemClosedError, ConnectionGoneError):
            system.context.log(roster, "antiphon.system").warning("the connection did not shut down in time")
        finally:  # also when this call is cancelled
            system._forget(roster.connection_id)
            system._close_if_unused()

    async def __aenter__(self) -> Self:
        self._connected()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.shutdown()


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


def _collected(
    system_ref: weakref.ref[ConversationSystem], connection_id: str, loop: asyncio.AbstractEventLoop
) -> None:
    """A processor was collected, in whatever thread: let the loop close its connection, and the system if it can."""

    def close() -> None:
        system = system_ref()
        roster = system.context.rosters.get(connection_id) if system is not None else None
        if system is None or roster is None or system._closed:
            return
        system._forget(connection_id)
        system._close_if_unused()

    with suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(close)
