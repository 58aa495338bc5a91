"""`Link`: a session while a socket is attached. It carries out the client's commands and sends the turns' events.

Two tasks share it: the socket's own, which reads commands and calls `obey()`, and one that is there while there are
events to send. What must come in order with the events (`interrupted`, right before its `stream_end`) is sent by the
second.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic_core import to_json

from actors.gateway.observer import Observer
from actors.gateway.request import Agent, AgentRequest, open_stream
from actors.gateway.socket import SocketGone
from actors.gateway.window import FlowWindow
from protocol.commands import (
    Authorize,
    ChatMessage,
    ChunkPlayed,
    Command,
    InterruptStream,
    Observe,
    Pong,
    Resume,
)
from protocol.errors import (
    AntiphonError,
    BadAckError,
    GatewayCode,
    ReaderReplacedError,
    TurnActiveError,
    TurnNotFoundError,
)
from protocol.messages import CloseCode, GatewayError, Interrupted, Ping

if TYPE_CHECKING:
    from actors.gateway.session import Session
    from actors.gateway.settings import GatewaySettings
    from actors.gateway.socket import Socket
    from actors.stream import EventStream
    from actors.system import ConversationSystem

__all__ = ["Link"]

_PING = Ping().to_json()
_NOT_PLAYED = "reader_gone"
"""Why the engine ended a turn that is being read: after `max_chunk_play_seconds` without an acknowledgement."""


class _Speech(NamedTuple):
    """A turn whose events are to be sent: the reader, and the event before its first."""

    stream: EventStream
    after_seq: int


class Link:
    """Args:
    session, socket: what it ties together.
    settings: of the gateway.
    system: of the engine.
    agent: of the application.
    observing: whether the client may `observe`.

    """  # noqa: D205

    def __init__(
        self,
        session: Session,
        socket: Socket,
        settings: GatewaySettings,
        system: ConversationSystem,
        agent: Agent,
        *,
        observing: bool,
    ) -> None:
        self.session = session
        self.socket = socket
        self.window = FlowWindow(system.settings.replay_window)
        self.draining = False
        self._settings = settings
        self._system = system
        self._agent = agent
        self._may_observe = observing
        self._observer: Observer | None = None
        self._loop = asyncio.get_running_loop()
        self._speeches: deque[_Speech] = deque()
        self._speaking: asyncio.Task[None] | None = None
        self._room = asyncio.Event()
        self._unended: set[str] = set()
        """Turns whose end is still to be sent."""
        self._asked: dict[str, list[float]] = {}
        """Turns that the client wants to end, with when it said so each time; until it was answered."""
        self.heard_at = self.busy_at = self._loop.time()
        self.pinged_at: float | None = None
        self._unplayed = False
        """Whether the client left a chunk unacknowledged for longer than any takes to say."""

    # Commands.

    async def obey(self, command: Command) -> None:
        """Carry out a command, and answer it where it is answered.

        Raises:
            SocketGone: the client has gone.

        """
        self.heard_at = self._loop.time()
        if type(command) is not Pong:
            self.busy_at = self.heard_at
        await _HANDLERS[type(command)](self, command)

    async def _chat(self, command: ChatMessage) -> None:
        refusal = self._refusal(command)
        if refusal is not None:
            await self.complain(*refusal)
            return
        session = self.session
        turn_id = self._system.context.ids.new("turn")
        request = AgentRequest(
            content=command.content,
            user_id=session.user,
            session_id=command.session_id or "",
            connection_id=session.connection_id,
            turn_id=turn_id,
            metadata=command.metadata or {},
        )
        tap, speech = (None, None) if self._observer is None else self._observer.tap(turn_id)
        stream = open_stream(self._agent, request, tap)
        try:
            await session.processor.start_turn(
                session_id=request.session_id,
                user_input=command.content,
                agent_stream=stream,
                flow=session.flow,
                speech=speech,
                turn_id=turn_id,
                trace_id=self.socket.trace_id,
                request_id=self.socket.request_id,
            )
        except TurnActiveError:
            self._not_started(turn_id, stream)
            await self.complain(GatewayCode.TURN_ACTIVE, "a turn speaks; interrupt it first")
            return
        except AntiphonError:
            self._not_started(turn_id, stream)
            raise
        session.started(turn_id)
        link = session.link  # another one, if the client came back meanwhile
        if link is not None:
            link.speak(session.processor.stream_events(turn_id), -1)

    def _not_started(self, turn_id: str, stream: Any) -> None:
        stream.close()
        if self._observer is not None:
            self._observer.forget(turn_id)

    def _refusal(self, command: ChatMessage) -> tuple[GatewayCode, str, str | None] | None:
        settings = self._settings
        if self.draining:
            return GatewayCode.DRAINING, "the server is going down", None
        if len(command.content) > settings.max_text_chars:
            sentence = f"content may have {settings.max_text_chars} characters (max_text_chars)"
            return GatewayCode.TEXT_TOO_LONG, sentence, "content"
        if command.metadata and len(to_json(command.metadata)) > settings.max_metadata_bytes:
            sentence = f"metadata may have {settings.max_metadata_bytes} bytes (max_metadata_bytes)"
            return GatewayCode.METADATA_TOO_BIG, sentence, "metadata"
        if not self.session.allowance.take(self._loop.time()):
            sentence = f"{settings.turns_per_minute} turns a minute are allowed (turns_per_minute)"
            return GatewayCode.TOO_MANY_TURNS, sentence, None
        return None

    async def _interrupt(self, command: InterruptStream) -> None:
        asked_at = perf_counter()
        session = self.session
        turn_id = command.turn_id or session.active_turn or session.last_turn
        if turn_id is None or session.processor.get_turn(turn_id) is None:
            await self.complain(GatewayCode.TURN_NOT_FOUND, "there is no such turn", turn_id=command.turn_id)
            return
        if command.playing is not None:
            await self._mark_played(turn_id, command.playing.seq, command.playing.chars)
        self._asked.setdefault(turn_id, []).append(asked_at)
        await session.processor.interrupt_turn(turn_id, command.reason or "interrupted")
        if turn_id not in self._unended:  # otherwise whoever sends its end answers
            await self._answer_interrupts(turn_id)

    async def _answer_interrupts(self, turn_id: str) -> None:
        turn = self.session.processor.get_turn(turn_id)
        for asked_at in self._asked.pop(turn_id, ()):
            if turn is None:  # ended, and not kept
                await self.complain(GatewayCode.TURN_NOT_FOUND, "the turn is not kept", turn_id=turn_id)
                continue
            answer = Interrupted(
                turn_id=turn_id,
                status=turn.status,
                delivered_text=turn.delivered_text,
                played_text=turn.played_text,
                elapsed_ms=round((perf_counter() - asked_at) * 1000, 3),
            )
            await self.socket.send(answer.to_json())

    async def _chunk_played(self, command: ChunkPlayed) -> None:
        if await self._mark_played(command.turn_id, command.seq, None):
            self.window.received(command.turn_id, command.seq)
            self._room.set()

    async def _mark_played(self, turn_id: str, seq: int, chars: int | None) -> bool:
        try:
            await self.session.processor.mark_played(turn_id, seq, chars)
        except BadAckError:
            await self.complain(GatewayCode.BAD_ACK, "no such event was sent", "seq", turn_id)
        except TurnNotFoundError:
            await self.complain(GatewayCode.TURN_NOT_FOUND, "there is no such turn", "turn_id", turn_id)
        else:
            return True
        return False

    async def _pong(self, command: Pong) -> None:
        window, turn_id, last_seq = self.window, command.turn_id, command.last_seq
        if last_seq is None or not window.knows(turn_id):
            window.pong()
        elif not window.received(turn_id, last_seq):
            await self.complain(GatewayCode.BAD_ACK, "no such event was sent", "last_seq", turn_id)
            return
        if window.covers_ping:  # else it was said before the ping came
            window.pong()
            self.pinged_at = None
            if self._observer is not None:
                self._observer.answered()
        self._room.set()
        if window.wants_ping:  # the ping was from before most of what was sent
            await self.ping()

    async def _observe(self, _command: Observe) -> None:
        if not self._may_observe:
            await self.complain(GatewayCode.OBSERVE_REFUSED, "this client may not observe")
        elif self._observer is None:
            self._observer = Observer(
                self._system, self.session.connection_id, self.socket, lambda: self.window.open, self.ping
            )

    async def _once_only(self, _command: Authorize | Resume) -> None:
        await self.complain(GatewayCode.ALREADY_AUTHORIZED, "this socket has its connection")

    async def complain(
        self, code: GatewayCode, error: str, field: str | None = None, turn_id: str | None = None
    ) -> None:
        """Send an `error`."""
        await self.socket.send(GatewayError(code=code, error=error, field=field, turn_id=turn_id).to_json())

    # Events.

    def speak(self, stream: EventStream, after_seq: int) -> None:
        """Send the events of a turn, after those of the turns before."""
        self._speeches.append(_Speech(stream, after_seq))
        self._unended.add(stream.turn_id)
        if self._speaking is None:
            self._speaking = self._loop.create_task(self._speak_all(), name=f"speak {self.session.connection_id}")
        if self._observer is not None:
            self._observer.look(stream.turn_id)

    @property
    def speaking(self) -> asyncio.Task[None] | None:
        """The task that sends events, while there are any."""
        return self._speaking

    async def _speak_all(self) -> None:
        try:
            while self._speeches:
                await self._speak(*self._speeches.popleft())
        except (SocketGone, ReaderReplacedError):
            pass
        except Exception:
            self.socket.log.exception("events could not be sent")
            await self.socket.close(CloseCode.INTERNAL, GatewayCode.INTERNAL)
        finally:
            self._speaking = None
            self.busy_at = self._loop.time()

    async def _speak(self, stream: EventStream, after_seq: int) -> None:
        window, socket = self.window, self.socket
        window.begin(stream.turn_id, after_seq)
        async with stream:
            while True:
                if not window.open:  # before the event is taken, so that it can still be discarded by an interrupt
                    await self._wait_for_room()
                try:
                    event = await anext(stream)
                except StopAsyncIteration:
                    await self._ends(stream.turn_id)  # where the client had the end already
                    return
                if event["type"] == "stream_end":
                    await self._ends(stream.turn_id)
                    self._unplayed = self._unplayed or event["reason"] == _NOT_PLAYED
                window.count()
                await socket.send(to_json(event).decode())
                if window.wants_ping:
                    await self.ping()

    async def _ends(self, turn_id: str) -> None:
        self._unended.discard(turn_id)
        await self._answer_interrupts(turn_id)

    async def _wait_for_room(self) -> None:
        while not self.window.open:
            self._room.clear()
            await self._room.wait()

    # Signs of life.

    async def ping(self) -> None:
        """Ask the client for a `pong`."""
        if self.pinged_at is None:
            self.pinged_at = self._loop.time()
            self.window.ping()
            await self.socket.send(_PING)

    def stalled(self, now: float) -> bool:
        """Whether the client has not read, not answered, or not acknowledged what it speaks, for too long."""
        if self._unplayed:
            return True
        since = min((at for at in (self.socket.sending_since, self.pinged_at) if at is not None), default=now)
        return now - since > self._settings.client_stall_seconds

    def idle(self, now: float) -> bool:
        """Whether there has been no command and no turn for too long."""
        return self._speaking is None and now - self.busy_at > self._settings.idle_seconds

    def quiet(self, now: float) -> bool:
        """Whether it is time for a ping."""
        return self.pinged_at is None and now - self.heard_at > self._settings.ping_seconds

    def detach(self) -> None:
        """Stop sending: the socket is of no use any more, or not to this link."""
        if self._observer is not None:
            self._observer.stop()
        if self._speaking is not None:
            self._speaking.cancel()
        self._speeches.clear()


_HANDLERS: dict[type[Any], Callable[[Link, Any], Awaitable[None]]] = {
    ChatMessage: Link._chat,
    InterruptStream: Link._interrupt,
    ChunkPlayed: Link._chunk_played,
    Pong: Link._pong,
    Observe: Link._observe,
    Authorize: Link._once_only,
    Resume: Link._once_only,
}
