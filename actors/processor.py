"""`MessageProcessor`: one client's side of the embedding API.

A thin shell: what changes something is a message to the connection's actor and is awaited; what only looks reads
the records and is not.
"""

from __future__ import annotations

import asyncio
import contextvars
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, Self, get_args

from pykka import ActorDeadError

from actors.arguments import as_choice, as_id, as_key, as_seconds, as_text, as_whole
from actors.producer import discard_stream
from actors.roster import Roster
from actors.stream import EventStream
from protocol.errors import ConnectionGoneError, SystemClosedError, TurnNotFoundError
from protocol.mail import (
    AttachAgent,
    Claim,
    Cleanup,
    CleanupCompleted,
    InterruptTurn,
    InterruptTurns,
    MarkPlayed,
    Shutdown,
    StartTurn,
)
from protocol.settings import Flow, OnBusy

if TYPE_CHECKING:
    from types import TracebackType

    from actors.context import EngineContext
    from actors.record import Reader, TurnRecord
    from actors.runtime import LoopRef
    from protocol.settings import Settings
    from protocol.turn import ConversationTurn

__all__ = ["ConnectionSpec", "Host", "MessageProcessor", "SpeechFactory", "open_processor"]

SpeechFactory = Callable[[], Any]
"""Makes a speech pipeline for one turn: an object with `feed`, `flush` and `take_removed`."""


class ConnectionSpec(NamedTuple):
    """What a connection is to be; None: as its system has it."""

    connection_id: Any = None
    user_id: Any = ""
    queue_maxsize: int | None = None
    on_busy: OnBusy | None = None
    flow: Flow | None = None
    speech: SpeechFactory | None = None
    reader_grace_seconds: float | None = None


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "connection_id": as_id,
    "user_id": as_id,
    "queue_maxsize": partial(as_whole, least=1),
    "on_busy": partial(as_choice, choices=get_args(OnBusy)),
    "flow": partial(as_choice, choices=get_args(Flow)),
    "reader_grace_seconds": partial(as_seconds, zero=False),
}


class Host(Protocol):
    """The system that a connection lives in, as far as it is needed here."""

    settings: Settings

    @property
    def context(self) -> EngineContext:
        """What its actors share."""
        ...

    def _open(self, roster: Roster) -> None: ...

    def _forget(self, connection_id: str) -> None: ...

    def _close_if_unused(self) -> None: ...

    def _collected(self, connection_id: str) -> None: ...


class MessageProcessor:
    """One connection: starts its turns, gives their events to readers, interrupts them.

    Made by `ConversationSystem.connect()`, or on its own as `MessageProcessor(connection_id, user_id)`: then it
    lives on a system of the running loop, which ends with its last processor (shut down, or collected).

    Args:
        connection_id: any id, kept as a string.
        user_id: whose connection it is.
        queue_maxsize: capacity of the mailboxes, in messages; 100 if left out.

    """

    __slots__ = ("__weakref__", "_host", "_roster", "_spec")

    _shared_host: ClassVar[Callable[[], Host]]
    """Finds the system for one that was made on its own. Set by `actors.system`, which is above this module."""

    def __init__(self, connection_id: Any = None, user_id: Any = "", queue_maxsize: int | None = None) -> None:
        self._be(ConnectionSpec(connection_id, user_id, queue_maxsize))

    def _be(self, spec: ConnectionSpec) -> None:
        for name, check in _CHECKS.items():
            given = getattr(spec, name)
            if given is not None:
                spec = spec._replace(**{name: check(name, given)})
        self._host: Host | None = None
        self._roster: Roster | None = None
        self._spec: ConnectionSpec | None = spec

    def _connect(self, host: Host) -> Roster:
        spec, settings = self._spec, host.settings
        assert spec is not None, "it connects once"
        grace = spec.reader_grace_seconds
        roster = Roster(
            self.connection_id or host.context.ids.new("connection"),
            spec.user_id,
            queue_maxsize=spec.queue_maxsize or settings.queue_maxsize,
            on_busy=spec.on_busy or settings.on_busy,
            flow=spec.flow or settings.flow,
            speech=spec.speech,
            reader_grace=settings.reader_grace_seconds if grace is None else grace,
        )
        host._open(roster)
        self._host, self._roster, self._spec = host, roster, None
        return roster

    def _connected(self) -> Roster:
        """Return the roster; a processor of its own joins the loop's shared system with the first call."""
        if self._roster is not None:
            return self._roster
        host = MessageProcessor._shared_host()
        roster = self._connect(host)
        weakref.finalize(self, _collected, weakref.ref(host), roster.connection_id, host.context.loop)
        return roster

    async def _ask(self, message: Any) -> Any:
        """Ask the connection's actor of the moment; once more if it died before it got to the message."""
        roster = self._connected()
        if self._host is not None and self._host.context.loop.is_closed():
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
        if self._roster is not None:
            return self._roster.connection_id
        return "" if self._spec is None else self._spec.connection_id or ""

    @property
    def user_id(self) -> str:
        """Whose connection it is."""
        if self._roster is not None:
            return self._roster.user_id
        return "" if self._spec is None else self._spec.user_id

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
            if self._host is not None:
                self._host.context.call(self._withdraw, claim)
            discard_stream(agent_stream)
            raise

    def _withdraw(self, claim: Claim) -> None:
        """Whoever gave the order was cancelled before it heard of its turn: there is to be none."""
        claim.withdrawn = True
        if claim.turn_id is not None and self._host is not None:
            self._host.context.tell_connection(self.connection_id, Cleanup(claim.turn_id, "cancelled"), claim)

    async def attach_agent_stream(self, turn_id: Any, agent_stream: Any) -> None:
        """Give a turn that was started without one its agent stream.

        Raises:
            TurnNotFoundError: no such turn.
            TurnFinishedError: the turn has ended.
            AgentAttachedError: it has a stream already.

        """
        await self._ask(AttachAgent(as_key("turn_id", turn_id), agent_stream))

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
            raise TurnNotFoundError(f"connection {self.connection_id} has no turn {as_key('turn_id', turn_id)}")
        return record, record.open(None if after_seq is None else as_whole("after_seq", after_seq)), self

    async def interrupt_turn(self, turn_id: Any, reason: str = "interrupted") -> bool:
        """End a turn now; True if this ended it, False if it had ended or is not known.

        When it returns, no chunk of the turn will be handed over any more, `stream_end` is the next event, and the
        agent's stream has stopped, or was abandoned after `interrupt_wait_timeout` (see `get_turn().abandoned`).
        """
        record = self._record(turn_id)
        if record is None or self._connected().closed:
            return False
        try:
            return bool(await self._ask(InterruptTurn(record.turn_id, as_text("reason", reason))))
        except SystemClosedError:
            return False

    async def interrupt_all_active_turns(self, reason: str = "interrupted") -> int:
        """Interrupt the active turn and those that wait; return how many this ended."""
        if self._roster is None or self._roster.closed:
            return 0
        return int(await self._ask(InterruptTurns(as_text("reason", reason))))

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
        await self._ask(MarkPlayed(as_key("turn_id", turn_id), seq, chars))

    async def cleanup(self, turn_id: Any = None) -> int:
        """End a turn if it is active, and forget it; all turns if none is named. Return how many there were.

        Calling it again does nothing. A reader that is still there gets its `stream_end`.
        """
        if self._roster is None or self._roster.closed:
            return 0
        return int(await self._ask(Cleanup(None if turn_id is None else as_key("turn_id", turn_id))))

    async def cleanup_completed_turns(self, max_age_seconds: float | None = None) -> int:
        """Forget the turns that ended at least so long ago (by default: the retention); return how many.

        `start_turn()` does it too.
        """
        if self._roster is None or self._roster.closed:
            return 0
        age = None if max_age_seconds is None else as_seconds("max_age_seconds", max_age_seconds, zero=True)
        return int(await self._ask(CleanupCompleted(age)))

    # Looking.

    def _record(self, turn_id: Any) -> TurnRecord | None:
        return None if self._roster is None else self._roster.turns.get(as_key("turn_id", turn_id))

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
        roster, host = self._roster, self._host
        if roster is None or host is None or roster.closed:
            return
        try:
            async with asyncio.timeout(host.settings.shutdown_timeout_seconds):
                await self._ask(Shutdown())
        except (TimeoutError, SystemClosedError, ConnectionGoneError):
            host.context.log(roster, "antiphon.system").warning("the connection did not shut down in time")
        finally:  # also when this call is cancelled
            host._forget(roster.connection_id)
            host._close_if_unused()

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


def open_processor(host: Host, spec: ConnectionSpec) -> MessageProcessor:
    """Return one that is connected to a system from the start."""
    processor = MessageProcessor.__new__(MessageProcessor)
    processor._be(spec)
    processor._connect(host)
    return processor


def _collected(host_ref: weakref.ref[Host], connection_id: str, loop: asyncio.AbstractEventLoop) -> None:
    """A processor was collected, in whatever thread: let the loop close its connection."""

    def close() -> None:
        host = host_ref()
        if host is not None:
            host._collected(connection_id)

    with suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(close)
