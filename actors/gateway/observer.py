"""What an observer sees of its own connection: tokens as they come, what is not spoken, actors with their mailboxes.

Taps are put around the agent's stream and the speech pipeline of each turn; they only take notes. One task sends the
notes, a few times a second at the most and one message at a time, so that an observer cannot hold up the turn that it
watches. What would need too much room in between is left out, and `start` shows the gap. The window of the turns
counts none of this; so the client is asked for a `pong` after so many characters, and told nothing more before it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from actors.gateway.socket import SocketGone
from protocol.agent import StreamToken, read_agent_event, well_formed
from protocol.errors import BadAgentEventError
from protocol.messages import ActorState, InspectMessage, RemovedMessage, RemovedPart, TokenMessage

if TYPE_CHECKING:
    from actors.gateway.socket import Socket
    from actors.system import ConversationSystem
    from protocol.speech import RemovedSpan, SpeechChunk

__all__ = ["Observer"]

_PERIOD = 0.04
"""Seconds between two looks, while a turn speaks."""
_ACTORS_PERIOD = 0.12
"""The same for actors: to look at them costs more, the more there are of all connections."""
_ROOM = 16_384
"""Characters of tokens, and spans, that wait to be sent."""
_SPANS_AT_ONCE = 256
_AHEAD = 65_536
"""Characters that are sent before the client has to say that it still reads."""


class Observer:
    """Args:
    system, connection_id: what is observed.
    socket: where it is told.
    may_send: whether the client keeps up with its turns.
    ask: asks it for a `pong`; `answered()` is then to be called.

    """  # noqa: D205

    def __init__(
        self,
        system: ConversationSystem,
        connection_id: str,
        socket: Socket,
        may_send: Callable[[], bool],
        ask: Callable[[], Awaitable[None]],
    ) -> None:
        self._system = system
        self._connection_id = connection_id
        self._socket = socket
        self._may_send = may_send
        self._ask = ask
        self._ahead = 0
        self._room = _Room()
        self._loop = asyncio.get_running_loop()
        self._notes: dict[str, _Notes] = {}
        self._shown: list[ActorState] | None = None
        self._look_again = 0.0
        self._news = asyncio.Event()
        self._news.set()
        self._task = self._loop.create_task(self._tell(), name=f"observe {connection_id}")

    def tap(self, turn_id: str) -> tuple[Callable[[Any], Any], Callable[[], Any]]:
        """Return what taps an agent stream, and a factory of speech with a tap in it, for a turn."""
        notes = self._notes[turn_id] = _Notes(self._room)

        def note(text: str) -> None:
            notes.heard(text)
            self._news.set()

        def make() -> _TappedPipeline:
            return _TappedPipeline(self._system.context.speech(), notes.remove)

        return partial(_tapped, note=note, loop=self._loop), make

    def forget(self, turn_id: str) -> None:
        """The turn was not started."""
        self._notes.pop(turn_id, None)

    def look(self, turn_id: str) -> None:
        """The turn is there now: see what it looks like, until it has gone."""
        if turn_id in self._notes:
            self._notes[turn_id].begun = True
        self._news.set()

    def answered(self) -> None:
        """The client has read what it was told."""
        self._ahead = 0

    def stop(self) -> None:
        """Tell nothing more."""
        self._task.cancel()

    async def _tell(self) -> None:
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                settled = False
                if self._keeps_up():
                    await self._send_notes()
                    if self._loop.time() >= self._look_again:
                        settled = not await self._send_actors()
                        self._look_again = self._loop.time() + _ACTORS_PERIOD
                if self._notes or not settled:
                    self._news.set()  # until the turn has gone, and nothing changes any more
                await asyncio.sleep(_PERIOD)
        except SocketGone:
            pass

    def _keeps_up(self) -> bool:
        return self._ahead < _AHEAD and self._may_send()

    async def _send(self, message: TokenMessage | RemovedMessage | InspectMessage) -> None:
        text = message.to_json()
        self._ahead += len(text)
        await self._socket.send(text)
        if self._ahead >= _AHEAD:
            await self._ask()

    async def _send_notes(self) -> None:
        alive = {turn.turn_id for turn in self._turns()}
        for turn_id, notes in tuple(self._notes.items()):
            while self._keeps_up() and (message := notes.take(turn_id)) is not None:
                await self._send(message)
            if notes.begun and turn_id not in alive and not notes.waiting:
                del self._notes[turn_id]

    def _turns(self) -> list[Any]:
        processor = self._system.get(self._connection_id)
        return [] if processor is None else processor.get_active_turns()

    async def _send_actors(self) -> bool:
        """Send the actors if they have changed, and say whether they have."""
        actors = [
            ActorState(
                kind=actor.kind,
                turn_id=actor.turn_id,
                depth=actor.depth,
                peak=actor.peak,
                capacity=actor.capacity,
                paused=actor.paused,
            )
            for actor in self._system.inspect().actors
            if actor.connection_id == self._connection_id
        ]
        if actors == self._shown:
            return False
        self._shown = actors
        await self._send(InspectMessage(actors=actors))
        return True


@dataclass
class _Room:
    """What may still be kept, of all turns together."""

    chars: int = _ROOM
    spans: int = _ROOM


class _Notes:
    """What was seen of one turn and not told yet."""

    def __init__(self, room: _Room) -> None:
        self.begun = False
        """Its taps are there before the turn is."""
        self._room = room
        self._place = 0
        self._start = 0
        self._half = ""
        self._text: list[str] = []
        self._size = 0
        self._spans: deque[RemovedSpan] = deque()

    @property
    def waiting(self) -> bool:
        return bool(self._text or self._spans)

    def heard(self, text: str) -> None:
        if self._half or not text.isascii():  # as the engine does: half a character waits for the other one
            text = self._half + text
            self._half = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
            text = well_formed(text[: len(text) - len(self._half)])
        if len(text) <= self._room.chars and self._place == self._start + self._size:
            self._text.append(text)
            self._size += len(text)
            self._room.chars -= len(text)
        self._place += len(text)

    def remove(self, spans: Iterable[RemovedSpan]) -> None:
        for span in spans:
            if self._room.spans:
                self._spans.append(span)
                self._room.spans -= 1

    def take(self, turn_id: str) -> TokenMessage | RemovedMessage | None:
        """Return what is to be told next, as much as goes into one message."""
        if self._text:
            message = TokenMessage(
                turn_id=turn_id, text="".join(self._text), tokens=len(self._text), start=self._start
            )
            self._room.chars += self._size
            self._text, self._size, self._start = [], 0, self._place
            return message
        if self._spans:
            spans = [self._spans.popleft() for _ in range(min(len(self._spans), _SPANS_AT_ONCE))]
            self._room.spans += len(spans)
            return RemovedMessage(turn_id=turn_id, parts=[RemovedPart(**span._asdict()) for span in spans])
        return None


class _TappedPipeline:
    """A speech pipeline that tells what it leaves out."""

    def __init__(self, inner: Any, removed: Callable[[Iterable[RemovedSpan]], None]) -> None:
        self._inner = inner
        self._removed = removed

    @property
    def attention(self) -> Any:
        """As the pipeline inside; it has none where that one has none."""
        return self._inner.attention

    def feed(self, text: str) -> list[SpeechChunk]:
        return self._noted(self._inner.feed(text))

    def flush(self, final: bool = True) -> list[SpeechChunk]:
        return self._noted(self._inner.flush(final=final))

    def take_removed(self) -> list[RemovedSpan]:
        spans: list[RemovedSpan] = self._inner.take_removed()
        self._removed(spans)
        return spans

    def _noted(self, chunks: list[SpeechChunk]) -> list[SpeechChunk]:
        for chunk in chunks:
            self._removed(chunk.removed)
        return chunks


def _tapped(stream: Any, note: Callable[[str], None], loop: asyncio.AbstractEventLoop) -> Any:
    if hasattr(stream, "__aiter__"):
        return _tapped_async(stream, note)
    return _tapped_sync(iter(stream), partial(_from_thread, loop, note))


async def _tapped_async(stream: Any, note: Callable[[str], None]) -> AsyncIterator[Any]:
    try:
        async for item in stream:
            _note_text(item, note)
            yield item
    finally:
        close = getattr(stream, "aclose", None)
        if close is not None:
            await close()


def _tapped_sync(stream: Iterator[Any], note: Callable[[str], None]) -> Iterator[Any]:
    try:
        for item in stream:
            _note_text(item, note)
            yield item
    finally:
        close = getattr(stream, "close", None)
        if close is not None:
            close()


def _from_thread(loop: asyncio.AbstractEventLoop, note: Callable[[str], None], text: str) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(note, text)


def _note_text(item: Any, note: Callable[[str], None]) -> None:
    try:
        event = read_agent_event(item)
    except BadAgentEventError:
        return  # the engine will say so
    if isinstance(event, StreamToken):
        note(event.chunk)
