"""`TurnRecord`: what a turn must not lose, so that it outlives any of its actors.

A plain object, owned by the Connection and lent to the actors of the turn: status, outbox, `seq`, replay window
and ledger. Actors write to it in the loop; a reader takes events from it in whatever thread it runs. What both
touch is guarded by the record's lock, and the moment an event is handed over (`take`) is decided under it: an
interrupt that has taken the lock before leaves nothing to hand over but the end.

A record never waits and never calls an actor; it calls back (`on_room`, `on_end_taken`, the reader's `wake`)
outside its lock, and whoever registered the callback sees to the thread.
"""

from __future__ import annotations

import threading
from array import array
from collections import deque
from enum import Enum
from typing import TYPE_CHECKING, Any

from actors.arguments import as_whole, shown
from protocol.agent import well_formed
from protocol.errors import BadAckError, ReaderReplacedError, ReplayGapError
from protocol.mail import Passed
from protocol.speech import RemovedSpan, SpeechChunk
from protocol.turn import ConversationTurn, Failure, TurnStatus

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from actors.runtime import Clock

__all__ = ["OUTBOX_CAPACITY", "Marker", "Reader", "TurnRecord"]


OUTBOX_CAPACITY = 16
"""How many chunks wait in the outbox for their reader; beside them there is room for the start and the end."""


class Marker(Enum):
    """Entries of the outbox that are made into events when they are handed over."""

    START = "stream_start"
    ERROR = "error"
    END = "stream_end"


_Past = tuple[int, str | Marker | Passed, int, int, str | None]
"""`seq` and what was handed over: a chunk's text, start, end and emotion, or another entry and nothing."""

_FIELDS = 4
"""How many places an event takes in the replay window: all of `_Past` but its `seq`."""


class Reader:
    """The right to read a turn. A turn has one live reader; a later one takes over."""

    __slots__ = ("replay",)

    def __init__(self, replay: deque[_Past] | None = None) -> None:
        self.replay = replay
        """What was handed over before, with its `seq`, and is to come again."""


class TurnRecord:
    """The state of one turn. All times on the system's clock, in seconds, unless they say otherwise."""

    __slots__ = (
        "_blocks",
        "_clock",
        "_ends",
        "_max_unplayed",
        "_outbox",
        "_reader",
        "_replay",
        "_unplayed",
        "_wake",
        "abandoned",
        "agent_attached",
        "attention",
        "chunks",
        "connection_id",
        "created_at",
        "delivered_to",
        "end_taken",
        "ended",
        "ended_at",
        "ended_by",
        "failure",
        "idle_since",
        "left_at",
        "lock",
        "on_end_taken",
        "on_room",
        "parts",
        "played_to",
        "pull_since",
        "reason",
        "removed",
        "request_id",
        "running_tasks",
        "sealed",
        "seq",
        "session_id",
        "silent_since",
        "skipped_events",
        "started",
        "started_at",
        "status",
        "tokens",
        "tools_open",
        "trace_id",
        "turn_id",
        "user_id",
        "user_input",
    )

    def __init__(
        self,
        *,
        turn_id: str,
        connection_id: str,
        session_id: str,
        user_id: str,
        user_input: str,
        trace_id: str,
        request_id: str,
        replay_window: int,
        max_unplayed: int | None = None,
        clock: Clock,
    ) -> None:
        self._clock = clock
        self.turn_id = turn_id
        self.connection_id = connection_id
        self.session_id = session_id
        self.user_id = user_id
        self.user_input = user_input
        self.trace_id = trace_id
        self.request_id = request_id
        self.lock = threading.RLock()  # a reader that is collected may leave while its thread holds it

        self.status = TurnStatus.PENDING
        self.reason: str | None = None
        self.failure: Failure | None = None
        self.created_at: datetime = clock.wall()
        self.started_at: datetime | None = None
        self.ended_at: datetime | None = None
        self.started: float | None = None
        self.ended: float | None = None
        self.ended_by: object = None
        """The request that interrupted it, if that was one."""
        self.sealed = False
        """Whether the end is decided: nothing more goes into the outbox."""
        self.end_taken = False
        """Whether `stream_end` has been handed over."""

        # The way out.
        self.seq = 0
        # A list, not a deque, which is larger than all that it will hold (OUTBOX_CAPACITY and the markers).
        self._outbox: list[SpeechChunk | Passed | Marker] = []
        # The fields of the last events one after the other: a tuple for each would be one more object for the garbage
        # collector to look at, and there are very many.
        self._replay: deque[Any] = deque(maxlen=replay_window * _FIELDS)
        self._max_unplayed = max_unplayed
        self._unplayed: list[int] | None = None if max_unplayed is None else []
        """In the flow `played`: chunks that were handed over and not acknowledged yet. None: nobody counts."""
        self.silent_since: float | None = None
        """Since when an acknowledgement is due; None while none is."""
        self._reader: Reader | None = None
        self._wake: Callable[[], None] | None = None
        self.on_room: Callable[[], None] | None = None
        """Called once when a reader has made room in the outbox."""
        self.on_end_taken: Callable[[TurnRecord], None] | None = None
        """Called when a reader was handed the end."""

        # The ledger.
        self.parts: list[str] = []
        """Pieces of text that the Producer has pulled and not passed on yet: nothing could come of them."""
        self.attention: Callable[[str], re.Match[str] | None] | None = None
        """Set by the Chunker: finds the text that is worth passing on, at once or (group `more`) with the next one.
        None: any text is."""
        self._blocks: list[str] = []
        self.delivered_to = 0
        self.played_to = 0
        self.chunks = 0
        """How many chunks were handed over."""
        self._ends = array("q")
        """For each event that was handed over, `delivered_to` after it."""
        self.tokens = 0
        self.skipped_events = 0
        self.removed: dict[str, int] | None = None
        self.abandoned: tuple[str, ...] = ()
        self.running_tasks = 0
        """Tasks of this turn that were cancelled and have neither ended nor been abandoned."""

        self.agent_attached = False

        # What the Supervisor looks at.
        self.pull_since: float | None = None
        """Since when the agent has been asked for its next event; None while it is not being asked."""
        self.tools_open = 0
        self.idle_since = clock.now()
        """Since when there has been something to read that nobody asked for; only valid while that is so."""
        self.left_at: float | None = None
        """When the last reader left, if no other has come since."""

    def __repr__(self) -> str:
        return f"<TurnRecord {self.turn_id} {self.status} seq={self.seq} outbox={len(self._outbox)}>"

    # What the actors do with it, in the loop.

    def begin(self) -> None:
        """PENDING → PROCESSING: `stream_start` can be read."""
        with self.lock:
            if self.status is not TurnStatus.PENDING:
                return
            self._begin()
        self.wake()

    def _begin(self) -> None:
        self.status = TurnStatus.PROCESSING
        self.started_at, self.started = self._clock.wall(), self._clock.now()
        self.idle_since = self.started
        self._outbox.append(Marker.START)

    def heard(self, text: str) -> None:
        """Enter text into the ledger: one piece, or `parts` joined, which are then done with."""
        if not self.parts:
            self._blocks.append(text)
            self.tokens += 1
            return
        with self.lock:  # a snapshot has them once: among the parts or among the blocks
            self._blocks.append(text)
            self.tokens += len(self.parts)
            self.parts.clear()

    def note_removed(self, spans: Iterable[RemovedSpan]) -> None:
        """Add to the account of what is not spoken."""
        for span in spans:
            if self.removed is None:
                self.removed = {}
            self.removed[span.rule] = self.removed.get(span.rule, 0) + span.end - span.start

    def has_room(self, else_call: Callable[[], None]) -> bool:
        """Whether the outbox takes one more entry; if not, `else_call` is called once when it does again."""
        if len(self._outbox) < OUTBOX_CAPACITY:
            return True
        with self.lock:
            if self.sealed or len(self._outbox) * 2 <= OUTBOX_CAPACITY:
                return True
            self.on_room = else_call
            return False

    @property
    def tokens_heard(self) -> int:
        """How many pieces of text the agent has given."""
        return self.tokens + len(self.parts)

    @property
    def outbox_depth(self) -> int:
        """How many entries wait to be handed over."""
        return len(self._outbox)

    def place(self, item: SpeechChunk | Passed) -> None:
        """Put something behind the last entry of the outbox; after the end is decided it goes nowhere."""
        with self.lock:
            if self.sealed:
                return
            if not self._outbox:
                self.idle_since = self._clock.now()
            self._outbox.append(item)

    def seal(self, failure: Failure | None) -> None:
        """Decide the end: behind what is in the outbox come the error, if there is one, and `stream_end`."""
        with self.lock:
            if self.sealed:
                return
            if self.status is TurnStatus.PENDING:
                self._begin()
            self.sealed = True
            if not self._outbox:
                self.idle_since = self._clock.now()
            if failure is not None:
                self.failure = Failure(failure.code, well_formed(failure.message))
                self._outbox.append(Marker.ERROR)
            self._outbox.append(Marker.END)
        self.wake()

    def interrupt(self, reason: str) -> bool:
        """End the turn now: what has not been handed over never will be. False if it has ended before."""
        with self.lock:
            if self.status.finished:
                return False
            self.sealed = True
            self.reason = reason
            self._finish(TurnStatus.INTERRUPTED)
            self._outbox.clear()
            if self.seq == 0:
                self._outbox.append(Marker.START)
            self._outbox.append(Marker.END)
            self.idle_since = self._clock.now()
            self.on_room = None
        self.wake()
        return True

    def _finish(self, status: TurnStatus) -> None:
        self.status = status
        self.ended_at, self.ended = self._clock.wall(), self._clock.now()
        self.pull_since = None
        if self.parts:
            self.heard(well_formed("".join(self.parts)))

    def wake(self) -> None:
        """Let the reader know that there is something for it."""
        wake, self._wake = self._wake, None
        if wake is not None:
            wake()

    # What a reader does with it, in any thread.

    def open(self, after_seq: int | None) -> Reader:
        """Become the reader of this turn, in the place of the one before.

        Args:
            after_seq: get again what was handed over after this event (-1: from the first), then go on. None: go
                on with what has not been handed over; if that is nothing, get the `stream_end` again.

        Raises:
            ReplayGapError: those events have left the replay window, or do not exist.

        """
        with self.lock:
            replay: deque[_Past] | None = None
            if after_seq is None:
                if self.end_taken and self._replay:
                    replay = deque([self._past(self.seq - 1)])
            elif after_seq != self.seq - 1:
                oldest = self.seq - self.replay_depth
                if not oldest - 1 <= after_seq < self.seq:
                    raise ReplayGapError(
                        f"turn {self.turn_id}: events after {shown(after_seq)} cannot be replayed; "
                        f"{self.seq} were handed over, the window reaches back to {oldest}"
                    )
                replay = deque(map(self._past, range(after_seq + 1, self.seq)))
            reader = self._reader = Reader(replay)
            self.left_at = None
            self.idle_since = now = self._clock.now()
            if self.silent_since is not None:
                self.silent_since = now
        self.wake()  # the reader before: it finds that it was replaced
        return reader

    def take(self, reader: Reader) -> dict[str, Any] | None:
        """Hand the next event over, if there is one.

        Raises:
            StopIteration: the `stream_end` was handed over to this reader.
            ReaderReplacedError: another reader has taken over.

        """
        ended = False
        with self.lock:
            if reader is not self._reader:
                raise ReaderReplacedError(f"another reader took over turn {self.turn_id}")
            if reader.replay:
                self.idle_since = self._clock.now()
                return self._event(*reader.replay.popleft())
            if not self._outbox:
                if self.end_taken:
                    raise StopIteration
                return None
            if self._unplayed is not None and self._held_back():
                return None
            item = self._outbox.pop(0)
            self.idle_since = self._clock.now()
            event = self._hand_over(item)
            if item is Marker.END:
                ended = True
            room = None
            if self.on_room is not None and len(self._outbox) * 2 <= OUTBOX_CAPACITY:
                room, self.on_room = self.on_room, None
        if room is not None:
            room()
        if ended and self.on_end_taken is not None:
            self.on_end_taken(self)
        return event

    def wait(self, reader: Reader, wake: Callable[[], None]) -> bool:
        """Have `wake` called when there is something to take; False if there is now."""
        with self.lock:
            if reader is not self._reader or reader.replay or self._ready() or self.end_taken:
                return False
            self._wake = wake
            return True

    def unwait(self, wake: Callable[[], None]) -> None:
        """Take a `wait()` back."""
        with self.lock:
            if self._wake == wake:
                self._wake = None
                self.idle_since = self._clock.now()

    def leave(self, reader: Reader) -> None:
        """Stop reading. The turn waits for another reader, for as long as its grace."""
        with self.lock:
            if reader is self._reader:
                self._reader = self._wake = None
                self.left_at = self._clock.now()

    def _ready(self) -> bool:
        """Whether the next entry of the outbox may be handed over."""
        return bool(self._outbox) and not (self._unplayed is not None and self._held_back())

    def _held_back(self) -> bool:
        """In the flow `played`: whether what comes next has to wait until the person has heard more."""
        if self.status.finished:  # interrupted: the end waits for nobody
            return False
        item, unplayed = self._outbox[0], self._unplayed or ()
        if item is Marker.END or item is Marker.ERROR:
            return bool(unplayed)
        return type(item) is SpeechChunk and len(unplayed) >= (self._max_unplayed or 0)

    def _hand_over(self, item: SpeechChunk | Passed | Marker) -> dict[str, Any]:
        seq = self.seq
        self.seq = seq + 1
        if type(item) is SpeechChunk:
            text, start, end, emotion, _removed = item
            self.delivered_to = end
            self.chunks += 1
            if self._unplayed is not None:
                if not self._unplayed:
                    self.silent_since = self._clock.now()
                self._unplayed.append(seq)
            self._ends.append(end)
            self._replay.extend((text, start, end, emotion))
            return self._event(seq, text, start, end, emotion)
        assert not isinstance(item, SpeechChunk)
        self._ends.append(self.delivered_to)
        self._replay.extend((item, 0, 0, None))
        if item is Marker.END:
            self.end_taken = True
            if not self.status.finished:
                self.reason = str(self.failure.code) if self.failure else "completed"
                self._finish(TurnStatus.FAILED if self.failure else TurnStatus.COMPLETED)
        return self._event(seq, item)

    @property
    def replay_depth(self) -> int:
        """How many events can be handed over again."""
        return len(self._replay) // _FIELDS

    def _past(self, seq: int) -> _Past:
        """What was handed over as event `seq`; it must be in the replay window."""
        at = (seq - self.seq) * _FIELDS
        window = self._replay
        return seq, window[at], window[at + 1], window[at + 2], window[at + 3]

    def _event(
        self, seq: int, item: str | Marker | Passed, start: int = 0, end: int = 0, emotion: str | None = None
    ) -> dict[str, Any]:
        """Make the event of something that has been handed over."""
        if type(item) is str:
            event: dict[str, Any] = {
                "type": "tts_ready_chunk",
                "turn_id": self.turn_id,
                "connection_id": self.connection_id,
                "session_id": self.session_id,
                "seq": seq,
                "chunk": item,
                "start": start,
                "end": end,
            }
            if emotion is not None:
                event["emotion"] = emotion
            return event
        if type(item) is Passed:
            return {**item.event, **self._ids(seq)}
        assert isinstance(item, Marker)
        event = {"type": item.value, **self._ids(seq)}
        if item is Marker.ERROR:
            assert self.failure is not None
            event.update(code=str(self.failure.code), error=self.failure.message)
        elif item is Marker.END:
            event.update(
                status=str(self.status),
                reason=self.reason,
                content=self._text()[: self.delivered_to],
                skipped_events=self.skipped_events,
            )
        return event

    def _ids(self, seq: int) -> dict[str, Any]:
        return {
            "turn_id": self.turn_id,
            "connection_id": self.connection_id,
            "session_id": self.session_id,
            "seq": seq,
        }

    # What the facade does with it, in any thread.

    def mark_played(self, seq: int, chars: int | None = None) -> None:
        """Note that the client has played everything up to event `seq`; an earlier one changes nothing.

        Args:
            seq: of an event that was handed over.
            chars: how much of that chunk's text has been said so far. None: all of it.

        Raises:
            BadAckError: no event of that number has been handed over.

        """
        as_whole("seq", seq)
        if chars is not None:
            as_whole("chars", chars)
        with self.lock:
            if not 0 <= seq < self.seq:
                raise BadAckError(
                    f"turn {self.turn_id}: event {shown(seq)} was not handed over, the last one was {self.seq - 1}"
                )
            played_to = self._ends[seq] if chars is None else self._said(seq, chars)
            self.played_to = max(self.played_to, played_to)
            unplayed = self._unplayed
            if not unplayed:
                return
            upto = seq if chars is None else seq - 1
            while unplayed and unplayed[0] <= upto:
                del unplayed[0]
            self.idle_since = now = self._clock.now()
            self.silent_since = now if unplayed else None
            ready = self._ready()
        if ready:
            self.wake()

    def _said(self, seq: int, chars: int) -> int:
        """Where the agent's text was when so many characters of a chunk had been said."""
        begin = self._ends[seq - 1] if seq else 0
        if self.seq - seq > self.replay_depth:
            return begin  # too long ago to know its text
        _seq, text, start, end, _emotion = self._past(seq)
        if type(text) is not str or chars <= 0:
            return begin
        # What was removed inside the chunk lies somewhere in it: the text is taken to be spread evenly.
        return start + min(end - start, chars * (end - start) // len(text))

    def awaits_reader(self) -> bool:
        """Whether there is something to read and nobody is asking for it."""
        with self.lock:
            ready = self._ready() or (self._reader is not None and bool(self._reader.replay))
            return ready and self._wake is None

    def text(self) -> str:
        """Return all that the agent has written."""
        with self.lock:
            return self._text()

    def _text(self) -> str:
        text = "".join(self._blocks)
        if self.status.finished:  # nothing comes any more
            self._blocks = [text]
        return text + well_formed("".join(self.parts))

    def snapshot(self) -> ConversationTurn:
        """Return the turn as it is now."""
        with self.lock:
            text = self._text()
            failure = self.failure if self.status is not TurnStatus.INTERRUPTED else None
            return ConversationTurn(
                turn_id=self.turn_id,
                connection_id=self.connection_id,
                session_id=self.session_id,
                user_id=self.user_id,
                user_input=self.user_input,
                trace_id=self.trace_id,
                status=self.status,
                reason=self.reason,
                error_code=failure.code if failure else None,
                error=failure.message if failure else None,
                created_at=self.created_at,
                started_at=self.started_at,
                ended_at=self.ended_at,
                generated_text=text,
                delivered_text=text[: self.delivered_to],
                played_text=text[: self.played_to],
                tokens=self.tokens_heard,
                chunks=self.chunks,
                skipped_events=self.skipped_events,
                removed=dict(self.removed or {}),
                abandoned=self.abandoned,
            )
