"""The Producer: pulls the agent's stream, token by token, and passes it on to the Chunker.

The pull is the one thing here that waits, so it lives in a task of its own; while the Chunker has no room the task
does not pull, and that is how a slow client slows the agent down. Whatever ends the stream (its end, an error, a
limit, a stall) is told once and in the same way: a final `Flush` behind the last token, and `AgentDone` to the
Turn. An agent that does not stop when it is told to is left to the Supervisor; the turn does not wait for it.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import threading
from collections import deque
from collections.abc import AsyncIterable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from actors.runtime import EngineActor, EngineLog, Room, ThreadedIterator, handles
from protocol.agent import (
    AgentError,
    AgentEvent,
    OtherEvent,
    StreamEnd,
    StreamStart,
    StreamToken,
    ToolCall,
    ToolResult,
    read_agent_event,
    well_formed,
)
from protocol.errors import BadAgentEventError, BadArgumentError, FailureCode
from protocol.events import ENGINE_TYPES
from protocol.mail import AgentDone, AttachAgent, Flush, Passed, Pause, StopAgent
from protocol.turn import Failure

if TYPE_CHECKING:
    from contextvars import Context

    from actors.context import EngineContext
    from actors.record import TurnRecord

__all__ = ["Producer", "discard_stream", "require_stream"]


def require_stream(stream: Any) -> None:
    """Raise `BadArgumentError` if `stream` cannot be an agent stream."""
    if isinstance(stream, AsyncIterable) or inspect.isawaitable(stream):
        return
    if isinstance(stream, Iterable) and not isinstance(stream, str | bytes | dict):
        return
    raise BadArgumentError(
        f"agent_stream must be an async iterator, a synchronous one, or a coroutine that gives one, "
        f"got {type(stream).__name__}"
        + (": call the function and pass what it returns" if inspect.isroutine(stream) else "")
    )


def discard_stream(stream: Any) -> None:
    """Let go of a stream that nobody will read: a coroutine that never ran would warn about itself."""
    if inspect.iscoroutine(stream) and inspect.getcoroutinestate(stream) == inspect.CORO_CREATED:
        stream.close()


GATHER = 32
"""How many pieces of text are kept back while nothing can come of them; a piece longer than this is not."""
GATHER_CHARS = GATHER * GATHER
"""Longer text goes through the mailbox, where it is cut into slices."""


class _End(Exception):  # noqa: N818 - not an error: the agent said that it is done
    """The stream has said `stream_end`, or went wrong in a way that is told as a `Failure`."""

    def __init__(self, failure: Failure | None = None) -> None:
        super().__init__()
        self.failure = failure


_FORWARDED: dict[str, tuple[type, ...]] = {
    "none": (),
    "tools": (ToolCall, ToolResult),
    "all": (ToolCall, ToolResult, OtherEvent),
}


def _from_the_keyboard(error: BaseException, source: Any) -> bool:
    """Whether this is Ctrl-C, in a loop that does not turn it into a cancellation: it is meant for the program."""
    if not isinstance(error, KeyboardInterrupt) or isinstance(source, ThreadedIterator):
        return False
    return threading.current_thread() is threading.main_thread()


class Producer(EngineActor):
    """Takes `AttachAgent`, `StopAgent` and `Pause`; sends text, `Flush` and `Passed` down the token lane."""

    kind: ClassVar[str] = "producer"

    def __init__(
        self,
        context: EngineContext,
        turn: EngineActor,
        record: TurnRecord,
        chunker: EngineActor,
        agent_stream: Any,
        agent_context: Context | None,
    ) -> None:
        super().__init__(context, turn)
        self.record = record
        self.context = context
        self.settings = context.settings
        self._turn = turn.actor_inbox
        self._chunker = chunker
        self._lane = chunker.actor_inbox
        self._stream = agent_stream
        self._agent_context = agent_context
        self._unsent: deque[Any] | None = None
        self._flushes = 0
        self._in_hand: list[Any] = []  # what waits for room, in its order
        self._half = ""
        self._total = 0
        self._most = context.settings.max_turn_chars
        self._over = False

    def on_start(self) -> None:
        """Begin to pull, or to wait for a stream: the stall clock runs for either."""
        self.record.pull_since = self.system.clock.now()
        if self._stream is not None:
            self._begin()

    @handles(AttachAgent)
    def _attach(self, mail: AttachAgent) -> None:
        self._stream = mail.agent_stream
        self.record.pull_since = self.system.clock.now()
        self._begin()

    def _begin(self) -> None:
        self.spawn(self._work(), f"agent of turn {self.record.turn_id}", self._agent_context)

    @handles(StopAgent)
    def _stop_agent(self, mail: StopAgent) -> None:
        self._done(mail.failure)
        for task in self.tasks:
            self.let_go(task)

    @handles(Pause)
    def _pause(self, _mail: Pause) -> None:
        if not self._over:
            self._flush(final=False)

    @handles(Room)
    def _room(self, _room: Room) -> None:
        self._send_unsent()

    def _send_unsent(self) -> bool:
        """Send what the Chunker had no room for, before anything that came after it; whether all of it went."""
        unsent = self._unsent
        while unsent:
            if not self._chunker.deliver(unsent[0], self.actor_inbox):
                return False
            unsent.popleft()
        self._unsent = None
        return True

    def _end(self, error: BaseException | None) -> None:
        self._over = True
        super()._end(error)

    @property
    def _log(self) -> EngineLog:
        return self.context.log(self.record)

    # The task.

    async def _work(self) -> None:
        source: Any = None
        failure: Failure | None = None
        try:
            source = await self._open(self._stream)
            self._stream = ()  # attached; the actor need not keep it alive
            # The hot path: once per token, in this coroutine itself, because each one between the loop and the agent
            # costs its share of every token. Strings and well-formed token dicts go straight through.
            record = self.record
            now = self.system.clock.now
            parts = record.parts
            chunker = self._chunker
            text: Any
            due = False
            record.pull_since = now()
            async for item in source:
                if self._over:
                    return
                if type(item) is str:
                    text = item
                elif (
                    type(item) is dict
                    and item.get("type") == "stream_token"
                    and type(text := item.get("chunk")) is str
                ):
                    pass
                else:
                    record.pull_since = None
                    text = await self._read(item)
                if not text:
                    await asyncio.sleep(0)  # an agent that says nothing, at once and for ever, must not hold the loop
                    record.pull_since = now()
                    continue
                attention = record.attention
                if due or attention is None or len(parts) >= GATHER or len(text) > GATHER:
                    due = False
                elif (found := attention(text)) is None or found.lastgroup == "more":
                    parts.append(text)
                    due = found is not None  # the next text decides: they go together
                    record.pull_since = now()
                    continue
                text = self._heard(text)
                if text and (self._unsent is not None or len(text) > GATHER_CHARS or not chunker.deliver(text)):
                    record.pull_since = None
                    await self._wait_for_room(text)
                if self._total > self._most:
                    failure = self._too_long()
                    break
                record.pull_since = now()
        except _End as end:
            failure = end.failure
        except asyncio.CancelledError:
            if self._over:
                raise
            failure = Failure(FailureCode.AGENT_FAILED, "the agent's stream was cancelled")
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this turn's failure alone
            failure = Failure(FailureCode.AGENT_FAILED, f"the agent raised {type(error).__name__}: {error}")
            self._log.failure(logging.WARNING, error, "the agent failed")
        except BaseException as error:
            failure = Failure(FailureCode.AGENT_FAILED, f"the agent raised {type(error).__name__}")
            self._log.failure(logging.WARNING, error, "the agent failed")
            if _from_the_keyboard(error, source):
                self._done(failure)
                raise
        finally:
            if not self._over:
                self._done(failure)
            await self._close(source)

    async def _open(self, stream: Any) -> Any:
        if inspect.isawaitable(stream):
            stream = await stream
            require_stream(stream)
        if isinstance(stream, AsyncIterable):
            return aiter(stream)
        return ThreadedIterator(stream, self._lane.capacity, f"agent of turn {self.record.turn_id}")

    async def _close(self, source: Any) -> None:
        try:
            close = getattr(source, "aclose", None)
            if close is not None:
                await close()
        except asyncio.CancelledError:
            if isinstance(source, ThreadedIterator):
                self.context.thread_left(source.thread)
        except BaseException as error:
            self._log.failure(logging.WARNING, error, "closing the agent's stream failed")
            if _from_the_keyboard(error, source):
                raise

    def _heard(self, text: str = "", *, last: bool = False) -> str:
        """Enter what has gathered, and `text`, into the ledger; return it, up to the most that a turn may have.

        Half a character at its end (see `well_formed`) is kept for the next time, if there is one.
        """
        parts = self.record.parts
        if parts:
            if text:
                parts.append(text)
            text = "".join(parts)
        if self._half or not text.isascii():
            text = self._half + text
            self._half = text[-1:] if not last and "\ud800" <= text[-1:] <= "\udbff" else ""
            text = well_formed(text[: len(text) - len(self._half)])
        self._total += len(text)
        if self._total > self._most:
            text = text[: max(0, len(text) - (self._total - self._most))]
        self.record.heard(text)
        return text

    def _too_long(self) -> Failure:
        return Failure(FailureCode.TURN_TOO_LONG, f"the agent wrote more than {self._most} characters")

    async def _wait_for_room(self, *mails: Any) -> None:
        """Send these; when the agent is told to stop meanwhile, what is still in hand goes before the last flush."""
        in_hand = self._in_hand = list(mails)
        while in_hand and not self._over:
            if self._send_unsent() and self._chunker.deliver(in_hand[0]):
                del in_hand[0]
            elif self._lane.closed:
                raise _End  # the Chunker is gone, and with it this turn
            else:
                await self._lane.room()

    async def _read(self, item: Any) -> str:
        """Do what an item other than plain text asks for; return the text in it, if any."""
        try:
            event = read_agent_event(item)
            passed = self._passed(event)
        except BadAgentEventError as error:
            if self.settings.strict_agent_events:
                raise _End(Failure(FailureCode.BAD_AGENT_EVENT, str(error))) from None
            self.record.skipped_events += 1
            self._log.warning("skipped something that is no agent event: %s", str(error))
            return ""
        match event:
            case StreamToken(chunk=chunk):
                return chunk
            case StreamStart():
                return ""
            case StreamEnd():
                raise _End
            case AgentError(error=message):
                raise _End(Failure(FailureCode.AGENT_ERROR, message))
            case ToolCall():
                self.record.tools_open += 1
            case ToolResult():
                self.record.tools_open = max(0, self.record.tools_open - 1)
        await self._pass_on(event, passed)
        return ""

    def _passed(self, event: AgentEvent) -> Passed | None:
        """Return what the client gets of an event that is not text, if it is one that it gets."""
        if not isinstance(event, _FORWARDED[self.settings.forward_events]) or event.type in ENGINE_TYPES:
            return None
        try:
            return Passed(json.loads(event.model_dump_json()))  # a dump alone lets text pass that cannot be encoded
        except ValueError as error:
            raise BadAgentEventError(f"an event that is not JSON ({type(error).__name__})") from None

    async def _pass_on(self, event: AgentEvent, passed: Passed | None) -> None:
        self._log.info("%s agent event %.40r", "dropped" if passed is None else "passed on", event.type)
        if passed is None and not isinstance(event, ToolCall):
            return
        # Nobody should be left with half a sentence while a tool runs.
        text = self._heard() if self.record.parts else ""
        self._flushes += 1
        flush = Flush(self._flushes, final=False)
        await self._wait_for_room(*(mail for mail in (text, flush, passed) if mail))

    # The end.

    def _done(self, failure: Failure | None) -> None:
        """The agent will not be heard again: flush what it said, and tell the Turn. Only the first time."""
        if self._over:
            return
        self._over = True
        self.record.pull_since = None
        for mail in self._in_hand:
            self._offer(mail)
        self._flush(final=True)
        if failure is None and self._total > self._most:
            failure = self._too_long()
        self._turn.post(AgentDone(failure), self.actor_urn)

    def _flush(self, *, final: bool) -> None:
        if (self.record.parts or (final and self._half)) and (text := self._heard(last=final)):
            self._offer(text)
        self._flushes += 1
        self._offer(Flush(self._flushes, final))

    def _offer(self, mail: Any) -> None:
        """Send to the Chunker in order, now or when it has room."""
        if self._unsent is None:
            self._unsent = deque()
        self._unsent.append(mail)
        self._send_unsent()
