"""`RecordingClient`: a client of one connection that writes down all it sees, for asserts and for the checker.

client = RecordingClient(system.connect(), checker)
turn = await client.start(ScriptedAgent(["Hello. "]))
await turn.read()
assert turn.chunks == ["Hello. "]
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from actors.testing.history import HandedOver, Interrupted, Interrupting, IterationOver, Opened, Seen, TurnHistory
from protocol.errors import ReaderReplacedError

if TYPE_CHECKING:
    from actors import ConversationTurn, EventStream, MessageProcessor
    from actors.testing.checker import ContractChecker
    from protocol.turn import TurnStatus

__all__ = ["RecordedTurn", "RecordingClient"]


class RecordingClient:
    """Starts turns on one connection.

    Args:
        processor: the connection.
        checker: is told everything; None: nobody is.

    Attributes:
        turns: what was started, in order.

    """

    def __init__(self, processor: MessageProcessor, checker: ContractChecker | None = None) -> None:
        self.processor = processor
        self.turns: list[RecordedTurn] = []
        self._checker = checker

    async def start(
        self, agent: Any, *, faulty: bool | None = None, speech: Any = None, **arguments: Any
    ) -> RecordedTurn:
        """Start a turn; nothing of it is read yet.

        Args:
            agent: its stream. With a `ScriptedAgent` the checker knows what should have been spoken.
            faulty: whether it may fail; None: the checker does not mind.
            speech: makes its pipeline; it is witnessed.
            arguments: for `MessageProcessor.start_turn()`, which also says what may be raised.

        """
        processor = self.processor
        said = agent if hasattr(agent, "text") and hasattr(agent, "running") else None
        history = TurnHistory("", processor.connection_id, said, faulty)
        if self._checker is not None or speech is not None:
            speech = history.speech(speech or self._own_speech())
        history.turn_id = await processor.start_turn(agent_stream=agent, speech=speech, **arguments)
        if self._checker is not None:
            self._checker.follow(history)
        turn = RecordedTurn(processor, history, self._checker)
        self.turns.append(turn)
        return turn

    def _own_speech(self) -> Any:
        host, roster = self.processor._host, self.processor._roster
        assert host is not None, "a processor that was connected has a system"
        return (roster.speech if roster is not None else None) or host.context.speech

    async def talk(self, agent: Any, **arguments: Any) -> RecordedTurn:
        """Start a turn and read it to its end; arguments as for `start()`."""
        turn = await self.start(agent, **arguments)
        await turn.read()
        return turn


class RecordedTurn:
    """One turn, as this client saw it."""

    def __init__(self, processor: MessageProcessor, history: TurnHistory, checker: ContractChecker | None) -> None:
        self.history = history
        self._processor = processor
        self._checker = checker
        self._stream: EventStream | None = None
        self._loop = asyncio.get_running_loop()
        self._seen: tuple[TurnStatus, str | None] | None = None
        self.look()

    @property
    def turn_id(self) -> str:
        """Its id."""
        return self.history.turn_id

    @property
    def events(self) -> list[dict[str, Any]]:
        """Each event once, in order."""
        return self.history.events()

    @property
    def chunks(self) -> list[str]:
        """What was spoken."""
        return [event["chunk"] for event in self.events if event["type"] == "tts_ready_chunk"]

    @property
    def end(self) -> dict[str, Any] | None:
        """Its `stream_end`, once it was read."""
        events = self.events
        return events[-1] if events and events[-1]["type"] == "stream_end" else None

    @property
    def next_seq(self) -> int:
        """The number of the first event that was not handed over yet."""
        return len(self.events)

    def open(self, after_seq: int | None = None) -> None:
        """Become the reader of this turn, from where it stands or from `after_seq`."""
        self._stream = self._processor.stream_events(self.turn_id, after_seq)
        self.history.log.append(Opened(self._loop.time(), after_seq))

    async def next(self) -> dict[str, Any] | None:
        """Read the next event; None when there is none any more, or another reader has taken over."""
        if self._stream is None:
            self.open()
        assert self._stream is not None
        try:
            event = await anext(self._stream)
        except StopAsyncIteration:
            self.history.log.append(IterationOver(self._loop.time()))
            self.look()
            return None
        except ReaderReplacedError:
            return None
        self.history.log.append(HandedOver(self._loop.time(), event))
        self._glance()
        return event

    async def read(self, events: int | None = None, *, pace: float = 0.0) -> int:
        """Read so many events, or to the end; return how many came.

        Args:
            events: how many; None: all.
            pace: how many seconds to wait after each.

        """
        count = 0
        while events is None or count < events:
            if await self.next() is None:
                break
            count += 1
            if pace:
                await asyncio.sleep(pace)
        return count

    async def leave(self) -> None:
        """Stop reading."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.aclose()

    def drop(self) -> None:
        """Be gone as a consumer is that raises over an event and closes nothing: the stream is only collected."""
        self._stream = None

    async def interrupt(self, reason: str = "interrupted") -> bool:
        """Interrupt this turn."""
        began = self._loop.time()
        called = Interrupting(began)
        self.history.log.append(called)
        try:
            ended = await self._processor.interrupt_turn(self.turn_id, reason)
        except BaseException:
            self.history.log.remove(called)  # nothing was promised
            raise
        turn = self.look()
        agent = self.history.agent
        self.history.log.append(
            Interrupted(
                self._loop.time(),
                began,
                ended,
                agent is not None and agent.running,
                turn.abandoned if turn is not None else (),
            )
        )
        return ended

    def _glance(self) -> None:
        """Note the status where it has changed; only then look at the whole turn, which costs its whole text."""
        record = self._processor._record(self.turn_id)
        if record is None or (record.status, record.reason) != self._seen:
            self.look()

    def look(self) -> ConversationTurn | None:
        """Look how the turn stands; None if it is forgotten."""
        turn = self._processor.get_turn(self.turn_id)
        if turn is not None:
            if (turn.status, turn.reason) != self._seen:
                self._seen = turn.status, turn.reason
                self.history.log.append(Seen(self._loop.time(), turn.status, turn.reason))
            self.history.last = turn
        elif self.history.last is not None and not self.history.last.status.finished:
            self.history.last = None  # forgotten before its outcome was seen
        return turn

    def finish(self) -> None:
        """Have the checker judge this turn; no more will be seen of it."""
        self.look()
        if self._checker is not None:
            self._checker.finish(self.history)
