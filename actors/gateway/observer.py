"""What an observer sees of its own connection: tokens as they come, what is not spoken, actors with their mailboxes.

Taps are put around the agent's stream and the speech pipeline of each turn; they only take notes. One task sends the
notes, a few times a second at the most and one message at a time, so that an observer cannot hold up the turn that it
watches. What would need too much room in between is left out, and `start` shows the gap.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from actors.gateway.socket import SocketGone
from protocol.agent import StreamToken, read_agent_event
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


class Observer:
    """Args:
    system, connection_id: what is observed.
    socket: where it is told.
    may_send: whether the client keeps up.

    """  # noqa: D205

    def __init__(
        self, system: ConversationSystem, connection_id: str, socket: Socket, may_send: Callable[[], bool]
    ) -> None:
        self._system = system
        self._connection_id = connection_id
        self._socket = socket
        self._may_send = may_send
        self._loop = asyncio.get_running_loop()
        self._notes: dict[str, _Notes] = {}
        self._shown: list[ActorState] | None = None
        self._look_again = 0.0
        self._news = asyncio.Event()
        self._news.set()
        self._task = self._loop.create_task(self._tell(), name=f"observe {connection_id}")

    def tap(self, turn_id: str) -> tuple[Callable[[Any], Any], Callable[[], Any]]:
        """Return what taps an agent stream, and a factory of speech with a tap in it, for a turn."""
        notes = self._notes[turn_id] = _Notes()

        def note(text: str) -> None:
            notes.heard(text)
            self._news.set()

        def make() -> _TappedPipeline:
            return _TappedPipeline(self._system.context.speech(), notes.remove)

        return partial(_tapped, note=note, loop=self._loop), make

    def forget(self, turn_id: str) -> None:
        """The turn was not started."""
        self._notes.pop(turn_id, None)

    def look(self) -> None:
        """Something begins: see what it looks like."""
        self._news.set()

    def stop(self) -> None:
        """Tell nothing more."""
        self._task.cancel()

    async def _tell(self) -> None:
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                settled = False
                if self._may_send():
                    await self._send_notes()
                    if self._loop.time() >= self._look_again:
                        settled = not await self._send_actors()
                        self._look_again = self._loop.time() + _ACTORS_PERIOD
                if self._notes or not settled:
                    self._news.set()  # until the turn has gone, and nothing changes any more
                await asyncio.sleep(_PERIOD)
        except SocketGone:
            pass

    async def _send_notes(self) -> None:
        alive = {turn.turn_id for turn in self._turns()}
        for turn_id, notes in tuple(self._notes.items()):
            for message in notes.take(turn_id):
                await self._socket.send(message.to_json())
            notes.alive = notes.alive or turn_id in alive
            if notes.alive and turn_id not in alive and not notes.waiting:
                self._notes.pop(turn_id, None)

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
        await self._socket.send(InspectMessage(actors=actors).to_json())
        return True


class _Notes:
    """What was seen of one turn and not told yet."""

    def __init__(self) -> None:
        self.alive = False
        """Whether the turn has been seen; its taps are there before it is."""
        self._place = 0
        self._start = 0
        self._text: list[str] = []
        self._size = 0
        self._parts: list[RemovedPart] = []

    @property
    def waiting(self) -> bool:
        return bool(self._text or self._parts)

    def heard(self, text: str) -> None:
        if self._size + len(text) <= _ROOM and self._place == self._start + self._size:
            self._text.append(text)
            self._size += len(text)
        self._place += len(text)

    def remove(self, spans: Iterable[RemovedSpan]) -> None:
        for span in spans:
            if len(self._parts) < _ROOM:
                self._parts.append(RemovedPart(start=span.start, end=span.end, rule=span.rule))

    def take(self, turn_id: str) -> list[TokenMessage | RemovedMessage]:
        out: list[TokenMessage | RemovedMessage] = []
        if self._text:
            text, count = "".join(self._text), len(self._text)
            out.append(TokenMessage(turn_id=turn_id, text=text, tokens=count, start=self._start))
        if self._parts:
            out.append(RemovedMessage(turn_id=turn_id, parts=self._parts))
        self._text, self._parts, self._size, self._start = [], [], 0, self._place
        return out


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
