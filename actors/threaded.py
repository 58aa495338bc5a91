"""The embedding API for plain threads: the same classes, blocking, with plain iteration.

The system's loop runs in a background thread. A reader takes its events in its own thread, under the turn's lock:
what an interrupt from another thread has cut off is not handed over, however far its wake-up had come.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, TypeVar

from actors.arguments import as_key
from actors.processor import MessageProcessor, SpeechFactory
from actors.runtime import LoopThread
from actors.system import ConversationSystem, TurnFinished
from protocol.errors import BlockingCallError, SystemClosedError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Future
    from types import TracebackType

    from actors.inspection import SystemReport
    from actors.record import Reader, TurnRecord
    from actors.runtime import LoopRef
    from protocol.settings import Flow, OnBusy, Settings
    from protocol.turn import ConversationTurn

__all__ = ["ThreadedEventStream", "ThreadedProcessor", "ThreadedSystem"]

T = TypeVar("T")


class ThreadedSystem:
    """A `ConversationSystem` for programs without an event loop: `with ThreadedSystem(settings) as system`.

    Its methods, and those of its processors, may be called from any thread.

    Args:
        settings, speech: as for `ConversationSystem`.

    """

    def __init__(self, settings: Settings | None = None, *, speech: SpeechFactory | None = None) -> None:
        self._system = ConversationSystem(settings, speech=speech)
        self._thread: LoopThread | None = None
        self._processors: dict[str, ThreadedProcessor] = {}
        self._calls: set[Future[Any]] = set()

    @property
    def ident(self) -> int:
        """The identity of the loop's thread; 0 before the start."""
        return self._thread.ident if self._thread is not None else 0

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._system.settings

    def start(self) -> Self:
        """Start the loop's thread and the system; `with` does it too."""
        if self._thread is not None:
            raise SystemClosedError("a ThreadedSystem is started once; make a new one")
        self._thread = LoopThread("antiphon-system")
        self._wait_for(self._system.start())
        return self

    def shutdown(self) -> None:
        """Interrupt every turn, stop every actor and the thread. A second call does nothing."""
        if self._thread is None or self._thread.loop.is_closed():
            return
        with suppress(SystemClosedError):  # another thread was faster
            self._wait_for(self._system.shutdown())
        self._thread.stop(timeout=self.settings.shutdown_timeout_seconds)
        for call in tuple(self._calls):  # they came too late to be run
            call.cancel()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.shutdown()

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
    ) -> ThreadedProcessor:
        """Open a connection; arguments and errors as for `ConversationSystem.connect`."""

        async def connect() -> MessageProcessor:
            return self._system.connect(
                connection_id,
                user_id,
                queue_maxsize=queue_maxsize,
                on_busy=on_busy,
                flow=flow,
                speech=speech,
                reader_grace_seconds=reader_grace_seconds,
            )

        processor = ThreadedProcessor(self, self._wait_for(connect()))
        self._processors[processor.connection_id] = processor
        return processor

    def connections(self) -> list[ThreadedProcessor]:
        """Return the open connections."""
        return list(self._processors.values())

    def get(self, connection_id: Any) -> ThreadedProcessor | None:
        """Return the open connection of this id."""
        return self._processors.get(as_key("connection_id", connection_id))

    def inspect(self) -> SystemReport:
        """Return what is going on, as seen from the loop."""

        async def inspect() -> SystemReport:
            return self._system.inspect()

        return self._wait_for(inspect())

    def on_turn_finished(self, callback: TurnFinished) -> None:
        """As `ConversationSystem.on_turn_finished`; the callback runs in the loop's thread and must not block."""
        self._system.on_turn_finished(callback)

    def _wait_for(self, call: Coroutine[Any, Any, T]) -> T:
        thread = self._thread
        if thread is None or thread.loop.is_closed():
            return _without_loop(call)
        if threading.get_ident() == thread.ident:
            call.close()
            raise BlockingCallError("a blocking call from the system's own loop would wait for itself")
        try:
            future = asyncio.run_coroutine_threadsafe(call, thread.loop)
        except RuntimeError:  # it has been closed meanwhile
            return _without_loop(call)
        self._calls.add(future)
        try:
            if thread.loop.is_closed():
                future.cancel()
            return future.result()
        except CancelledError:
            if inspect.getcoroutinestate(call) == inspect.CORO_CREATED:
                call.close()
            raise SystemClosedError("the ThreadedSystem has been shut down") from None
        finally:
            self._calls.discard(future)

    def _forget(self, connection_id: str) -> None:
        self._processors.pop(connection_id, None)


def _without_loop(call: Coroutine[Any, Any, T]) -> T:
    """Make a call that has nothing to wait for: what a system that has ended, or not begun, has to say."""
    try:
        call.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    call.close()
    raise SystemClosedError("the ThreadedSystem is not running: use 'with', or start()")


class ThreadedProcessor:
    """One connection, for threads: the methods of `MessageProcessor`, blocking."""

    __slots__ = ("_processor", "_system")

    def __init__(self, system: ThreadedSystem, processor: MessageProcessor) -> None:
        self._system = system
        self._processor = processor

    @property
    def connection_id(self) -> str:
        """The connection's id."""
        return self._processor.connection_id

    @property
    def user_id(self) -> str:
        """Whose connection it is."""
        return self._processor.user_id

    @property
    def actor_ref(self) -> LoopRef[Any]:
        """The connection's actor, for plain Pykka code: `actor_ref.ask(StartTurn(...))`."""
        return self._processor.actor_ref

    def start_turn(
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
        """Start a turn and return its id; see `MessageProcessor.start_turn`."""
        return self._system._wait_for(
            self._processor.start_turn(
                session_id,
                user_input,
                agent_stream,
                conversation_id=conversation_id,
                on_busy=on_busy,
                flow=flow,
                speech=speech,
                turn_id=turn_id,
                trace_id=trace_id,
                request_id=request_id,
            )
        )

    def attach_agent_stream(self, turn_id: Any, agent_stream: Any) -> None:
        """Give a turn its agent stream; see `MessageProcessor.attach_agent_stream`."""
        self._system._wait_for(self._processor.attach_agent_stream(turn_id, agent_stream))

    def stream_events(self, turn_id: Any, after_seq: int | None = None) -> ThreadedEventStream:
        """Return the events of a turn, for plain iteration; see `MessageProcessor.stream_events`."""
        record, reader, keep = self._processor._open_reader(turn_id, after_seq)
        return ThreadedEventStream(record, reader, keep, self._system.ident)

    def interrupt_turn(self, turn_id: Any, reason: str = "interrupted") -> bool:
        """End a turn now; see `MessageProcessor.interrupt_turn`."""
        return self._system._wait_for(self._processor.interrupt_turn(turn_id, reason))

    def interrupt_all_active_turns(self, reason: str = "interrupted") -> int:
        """Interrupt the active turn and those that wait; return how many this ended."""
        return self._system._wait_for(self._processor.interrupt_all_active_turns(reason))

    def handle_interrupt(self, reason: str = "interrupted") -> bool:
        """Interrupt whatever is active. True if anything was."""
        return self._system._wait_for(self._processor.handle_interrupt(reason))

    def mark_played(self, turn_id: Any, seq: int, chars: int | None = None) -> None:
        """Note what the client has played; see `MessageProcessor.mark_played`."""
        self._system._wait_for(self._processor.mark_played(turn_id, seq, chars))

    def cleanup(self, turn_id: Any = None) -> int:
        """End and forget a turn, or all; see `MessageProcessor.cleanup`."""
        return self._system._wait_for(self._processor.cleanup(turn_id))

    def cleanup_completed_turns(self, max_age_seconds: float | None = None) -> int:
        """Forget turns that ended so long ago; see `MessageProcessor.cleanup_completed_turns`."""
        return self._system._wait_for(self._processor.cleanup_completed_turns(max_age_seconds))

    def get_turn(self, turn_id: Any) -> ConversationTurn | None:
        """Return a turn as it is now; None if it is not known."""
        return self._processor.get_turn(turn_id)

    def get_active_turns(self) -> list[ConversationTurn]:
        """Return the turns that have not ended."""
        return self._processor.get_active_turns()

    def get_stats(self) -> dict[str, int]:
        """Return this connection's figures."""
        return self._processor.get_stats()

    def shutdown(self) -> None:
        """Interrupt all turns and close the connection; a second call does nothing."""
        self._system._wait_for(self._processor.shutdown())
        self._system._forget(self.connection_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.shutdown()


class ThreadedEventStream:
    """The events of one turn, for plain iteration in one thread; the counterpart of `EventStream`.

    The reader has left at `close()`, at the end of `with`, or when the stream is collected.
    """

    __slots__ = ("__weakref__", "_closed", "_ident", "_keep", "_news", "_reader", "_record")

    def __init__(self, record: TurnRecord, reader: Reader, keep: object, ident: int) -> None:
        self._record = record
        self._reader = reader
        self._keep = keep
        self._ident = ident  # of the thread that must not wait
        self._closed = False
        self._news = threading.Event()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> dict[str, Any]:
        """Return the next event, when there is one.

        Raises:
            StopIteration: after `stream_end`, or after `close()`.
            ReaderReplacedError: another reader has taken over.
            BlockingCallError: there is none yet, and this is the thread of the system's own loop.

        """
        wake: Callable[[], None] = self._news.set
        while not self._closed:
            event = self._record.take(self._reader)
            if event is not None:
                return event
            if threading.get_ident() == self._ident:
                raise BlockingCallError("a blocking read in the system's own loop would wait for itself")
            self._news.clear()
            if self._record.wait(self._reader, wake):
                self._news.wait()
        raise StopIteration

    def close(self) -> None:
        """Stop reading. A thread that waits for the next event gets the end of the iteration."""
        if not self._closed:
            self._closed = True
            self._record.leave(self._reader)
            self._news.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_news"):
            self.close()
