"""A turn as a model: its real machine and its real record, with the actors around them reduced to what they send.

`World` is one state of one turn: the `TurnMachine`, the `TurnRecord` (both the real ones, put away as plain values
between two steps), the mailboxes, and as much of Producer, Chunker and Emitter as decides what they send next.
`World.steps()` says what can happen next, `World.after(step)` what is then. A step is as small as it can be: an
actor handles one message, the agent gives one thing, a reader takes one event.

What may come in which order is what mailboxes promise and no more: mail of one sender keeps its order, and of one
kind only the newest is kept; mail of different senders arrives in any order. Control comes before data. Both token
lanes and the outbox are bounded, with `Room` as in the runtime. A `Fault` may be injected wherever it makes sense,
each once.

The model lives beside the scripts because `scripts/model_check.py` is built on it; the suite explores smaller bounds
with it, and replays its schedules through the real actors.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from operator import attrgetter
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import actors.record
from actors.record import TurnRecord
from actors.runtime import Clock
from protocol.errors import FailureCode
from protocol.mail import End, Flush, Passed
from protocol.speech import RemovedSpan, SpeechChunk
from protocol.turn import Effect, Failure, Input, Phase, TurnMachine, TurnStatus

__all__ = ["TOOL", "Bounds", "Fault", "OneBehind", "Step", "World", "outbox_capacity"]

TOOL = "<tool>"
"""In a stream: a tool call. It is passed on to the client, behind a flush that is not final."""

CONNECTION, TURN, PRODUCER, CHUNKER, EMITTER = "connection", "turn", "producer", "chunker", "emitter"
SUPERVISOR, TASK = "supervisor", "task"
BOXES = (CONNECTION, TURN, EMITTER, CHUNKER, PRODUCER)
CHILDREN = (EMITTER, CHUNKER, PRODUCER)
"""In the order of their start."""


class Fault(StrEnum):
    """What can be injected at any point, and the one thing that is none: a pause of the agent."""

    INTERRUPT = "interrupt"
    AGENT_RAISES = "agent raises"
    STALL = "stall"
    DEADLINE = "deadline"
    PAUSE = "pause"
    KILL_PRODUCER = "kill producer"
    KILL_CHUNKER = "kill chunker"
    KILL_EMITTER = "kill emitter"
    KILL_TURN = "kill turn"

    @property
    def victim(self) -> str:
        """The actor that it kills, or nothing."""
        return self.value.removeprefix("kill ") if self.value.startswith("kill ") else ""


TIMED = frozenset({Fault.STALL, Fault.DEADLINE, Fault.PAUSE})
"""What comes of time that passes; the others come from outside."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How small the world is.

    Attributes:
        stream: what the agent gives: text, and `TOOL`. Text without a full stop is kept back until more comes.
        faults: what may be injected, each once.
        most_faults: how many of them in one schedule.
        capacity: of each mailbox.
        outbox: how many chunks wait for the reader.
        queued: begin before the turn's start, while it waits for another.

    """

    stream: tuple[str, ...]
    faults: frozenset[Fault] = frozenset()
    most_faults: int = 1
    capacity: int = 100
    outbox: int = 16
    queued: bool = False

    def __str__(self) -> str:
        lanes = "" if self.capacity == 100 else f", mailboxes of {self.capacity}, outbox of {self.outbox}"
        stream = " ".join(self.stream) or "nothing"
        faults = f"{self.most_faults} of {len(self.faults)} faults" if self.faults else "no fault"
        return f"{stream}{lanes}, {faults}{', queued' if self.queued else ''}"


class Step(NamedTuple):
    """Something that happens: who does it, and what; for an actor the message that it handles."""

    actor: str
    what: str

    def __str__(self) -> str:
        return f"{self.actor}: {self.what}"


class OneBehind:
    """A speech pipeline of one rule: a piece of text is a chunk when the next one comes, or at a flush."""

    attention: ClassVar[re.Pattern[str]] = re.compile(r"\.")

    def __init__(self, held: str = "", fed: int = 0) -> None:
        self.held = held
        self.fed = fed

    def feed(self, text: str) -> list[SpeechChunk]:
        """Return what was held back, and hold this back."""
        chunks = self.flush()
        self.held = text
        self.fed += len(text)
        return chunks

    def flush(self, final: bool = True) -> list[SpeechChunk]:  # noqa: ARG002 - a pipeline's interface
        """Return what was held back."""
        held, self.held = self.held, ""
        return [SpeechChunk(held, self.fed - len(held), self.fed)] if held else []

    def take_removed(self) -> list[RemovedSpan]:
        """Return nothing: nothing is removed."""
        return []


@contextmanager
def outbox_capacity(capacity: int) -> Iterator[None]:
    """Make outboxes that small meanwhile."""
    before = actors.record.OUTBOX_CAPACITY
    actors.record.OUTBOX_CAPACITY = capacity
    try:
        yield
    finally:
        actors.record.OUTBOX_CAPACITY = before


class Mail(NamedTuple):
    """Control mail in a box."""

    sender: str
    kind: str
    final: bool = False
    failure: Failure | None = None


class Event(NamedTuple):
    """An event that was handed over, as far as it differs between schedules."""

    type: str
    seq: int
    text: str = ""
    status: str = ""
    reason: str = ""

    @classmethod
    def of(cls, event: dict[str, Any]) -> Event:
        """Read it from what a reader got."""
        text = event.get("chunk") or event.get("content") or event.get("name") or ""
        return cls(
            event["type"], event["seq"], text, event.get("status", ""), event.get("reason") or event.get("code", "")
        )


class _StillClock(Clock):
    """No time passes."""

    def __init__(self) -> None:
        self.now = lambda: 0.0

    def wall(self) -> datetime:
        return datetime(2000, 1, 1, tzinfo=UTC)


_CLOCK = _StillClock()


class RecordState(NamedTuple):
    """A `TurnRecord` as a value."""

    status: TurnStatus = TurnStatus.PENDING
    reason: str | None = None
    failure: Failure | None = None
    sealed: bool = False
    end_taken: bool = False
    seq: int = 0
    outbox: tuple[Any, ...] = ()
    delivered_to: int = 0
    wants_room: bool = False

    def unpack(self, text: str) -> TurnRecord:
        """Make the record of it."""
        record = TurnRecord(
            turn_id="t",
            connection_id="c",
            session_id="s",
            user_id="u",
            user_input="",
            trace_id="t",
            replay_window=8,
            clock=_CLOCK,
        )
        record.status, record.reason, record.failure, record.sealed, record.end_taken, record.seq = self[:6]
        record._outbox.extend(_tool_call() if item is TOOL else item for item in self.outbox)
        record.delivered_to = self.delivered_to
        record._blocks = [text]
        return record

    @classmethod
    def pack(cls, record: TurnRecord) -> RecordState:
        """Put a record away."""
        return cls(
            record.status,
            record.reason,
            record.failure,
            record.sealed,
            record.end_taken,
            record.seq,
            tuple(TOOL if isinstance(item, Passed) else item for item in record._outbox),
            record.delivered_to,
            record.on_room is not None,
        )


def _tool_call() -> Passed:
    return Passed({"type": "tool_call", "name": TOOL})


def _failure(code: FailureCode) -> Failure:
    return Failure(code, "")


@dataclass(slots=True)
class World:
    """One state of one turn and of everything that acts on it."""

    # The Turn: its machine, and the children that it knows of.
    phase: Phase = Phase.QUEUED
    failure: Failure | None = None
    children: tuple[str, ...] = ()
    known: bool = False
    """Whether the Connection has a Turn actor in its books."""
    record: RecordState = RecordState()  # noqa: RUF009
    alive: frozenset[str] = frozenset({CONNECTION})
    boxes: tuple[tuple[Mail, ...], ...] = ((),) * len(BOXES)
    # The token lanes, and who was refused there.
    tokens: tuple[Any, ...] = ()
    chunks: tuple[Any, ...] = ()
    tokens_refused: tuple[str, ...] = ()
    chunks_refused: tuple[str, ...] = ()
    # The agent and the Producer.
    position: int = 0
    asking: bool = False
    pulling: bool = False
    """What the Supervisor thinks of `asking`: it looks at the record."""
    sending: tuple[Any, ...] = ()
    over: bool = False
    unsent: tuple[Any, ...] | None = None
    parts: str = ""
    generated: str = ""
    # The Chunker and the Emitter.
    held: str = ""
    fed: int = 0
    chunker_unsent: tuple[Any, ...] | None = None
    emitter_paused: bool = False
    # What a test has to remember.
    faults: frozenset[Fault] = frozenset()
    handed: tuple[Event, ...] = ()
    interrupted_at: int | None = None
    """How many events had been handed over at the interrupt that ended the turn."""
    reported: Failure | None = None
    """The first failure that the Turn was told of while its end was open."""
    agent_done: bool = False
    final_taken: bool = False
    lost: bool = False
    """Whether an actor died before the end was decided: what it held need not be delivered."""

    @classmethod
    def first(cls, bounds: Bounds) -> World:
        """Return the state that a turn begins in."""
        world = cls()
        if not bounds.queued:
            world._start()
        return world

    @property
    def key(self) -> tuple[Any, ...]:
        """All of it, as something to look up."""
        return _values(self)

    # What can happen.

    def steps(self, bounds: Bounds) -> list[Step]:
        """What can happen without a fault, what brings the turn to its end first."""
        steps = []
        if self.phase is Phase.QUEUED:
            steps.append(Step(CONNECTION, "start"))
        for actor, box in zip(BOXES, self.boxes, strict=True):
            if actor not in self.alive:
                continue
            senders = set()
            for mail in box:
                if mail.sender not in senders:
                    senders.add(mail.sender)
                    steps.append(Step(actor, mail.kind))
            if not box and self._has_data(actor):
                steps.append(Step(actor, "data"))
        if self.record.outbox:
            steps.append(Step("reader", "take"))
        if self.asking:
            steps.append(Step("agent", "next" if self.position < len(bounds.stream) else "end"))
        return steps

    def _has_data(self, actor: str) -> bool:
        if actor == CHUNKER:
            return bool(self.tokens) and self.chunker_unsent is None
        return actor == EMITTER and bool(self.chunks) and not self.emitter_paused

    def faults_now(self, bounds: Bounds) -> list[Step]:
        """Which faults can be injected here."""
        if len(self.faults) >= bounds.most_faults:
            return []
        return [Step("fault", fault) for fault in sorted(bounds.faults - self.faults) if self._can(fault)]

    def _can(self, fault: Fault) -> bool:
        if fault.victim:
            return fault.victim in self.alive
        watched = self.record.status is TurnStatus.PROCESSING and not self.record.sealed
        match fault:
            case Fault.INTERRUPT:
                return True
            case Fault.AGENT_RAISES:
                return self.asking
            case Fault.STALL:
                return watched and self.pulling
            case Fault.DEADLINE:
                return watched
            case Fault.PAUSE:
                return watched and self.pulling and bool(self.generated or self.parts)
        raise AssertionError(fault)

    def waiting(self) -> frozenset[Step]:
        """All that waits, whether it can be next or not: what a look at the real mailboxes would show."""
        waiting = {
            Step(actor, mail.kind)
            for actor, box in zip(BOXES, self.boxes, strict=True)
            if actor in self.alive
            for mail in box
        }
        waiting |= {
            Step(actor, "data") for actor in (CHUNKER, EMITTER) if actor in self.alive and self._has_data(actor)
        }
        if self.record.outbox:
            waiting.add(Step("reader", "take"))
        if self.asking:
            waiting.add(Step("agent", "next"))
        return frozenset(waiting)

    # What is then.

    def after(self, step: Step, bounds: Bounds) -> World:
        """Return the state after a step."""
        world = World(*_values(self))
        actor, what = step
        if actor == "fault":
            world._inject(Fault(what), bounds)
        elif actor == "agent":
            world._agent(bounds)
        elif actor == "reader":
            world._take()
        elif what == "start":
            world._start()
        elif what == "data":
            world._data(actor, bounds)
        else:
            world._control(actor, what, bounds)
        return world

    # The Connection, the Supervisor, and who does harm.

    def _start(self) -> None:
        self.alive |= {TURN}
        self.known = True
        self._feed(Input.START)

    def _inject(self, fault: Fault, bounds: Bounds) -> None:
        self.faults |= {fault}
        match fault:
            case Fault.INTERRUPT:
                self._interrupt()
            case Fault.AGENT_RAISES:
                self._done(_failure(FailureCode.AGENT_FAILED), bounds)
            case Fault.STALL:
                self._post(TURN, Mail(SUPERVISOR, "TimeOut", failure=_failure(FailureCode.AGENT_STALLED)))
            case Fault.DEADLINE:
                self._post(TURN, Mail(SUPERVISOR, "TimeOut", failure=_failure(FailureCode.TURN_DEADLINE)))
            case Fault.PAUSE:
                self._post(TURN, Mail(SUPERVISOR, "Pause"))
            case _:
                self.lost |= not self.record.sealed
                self._die(fault.victim, bounds)

    def _interrupt(self) -> None:
        record = self.record.unpack(self.generated)
        if not record.interrupt("interrupted"):
            return
        self.interrupted_at = record.seq
        self._put(record)
        self.pulling = False
        self.generated += self.parts
        self.parts = ""
        if self.known:
            self._post(TURN, Mail(CONNECTION, "Interrupt"))
        elif self.phase is Phase.QUEUED:
            self._feed(Input.INTERRUPT)

    def _control(self, actor: str, kind: str, bounds: Bounds) -> None:
        place = BOXES.index(actor)
        box = self.boxes[place]
        mail = next(mail for mail in box if mail.kind == kind)
        self._set_box(actor, tuple(other for other in box if other is not mail))
        if kind == "StopNow":
            self._die(actor, bounds)
        elif actor == CONNECTION:
            self._connection(kind)
        elif actor == TURN:
            self._turn(mail, bounds)
        elif actor == CHUNKER:
            self._chunker_room(bounds)
            self._rest(CHUNKER, bounds)
        else:
            self._producer(mail, bounds)

    def _connection(self, kind: str) -> None:
        if kind == "EndTaken":
            if self.known:
                self._post(TURN, Mail(CONNECTION, "EndTaken"))
            return
        self.known = False
        if not self.record.status.finished:
            if not self.record.sealed:
                self.reported = _failure(FailureCode.ACTOR_FAILED)  # what the Turn knew died with it
            self._seal(_failure(FailureCode.ACTOR_FAILED))

    # The Turn.

    def _turn(self, mail: Mail, bounds: Bounds) -> None:
        match mail.kind:
            case "AgentDone":
                self.agent_done = True
                self._report(mail.failure)
                self._feed(Input.AGENT_DONE, mail.failure, bounds)
            case "FlushAck":
                self.final_taken |= mail.final
                self._feed(Input.FINAL_FLUSH_TAKEN if mail.final else Input.PART_FLUSH_TAKEN, None, bounds)
            case "TimeOut":
                if not self.agent_done and not self.final_taken:
                    self._report(mail.failure)
                self._feed(Input.TIME_OUT, mail.failure, bounds)
            case "Interrupt":
                self._feed(Input.INTERRUPT, None, bounds)
            case "EndPlaced":
                self._feed(Input.END_PLACED, None, bounds)
            case "EndTaken":
                self._feed(Input.END_TAKEN, None, bounds)
            case "Pause":
                if self.phase is Phase.STREAMING:
                    self._post(PRODUCER, Mail(TURN, "Pause"))
            case "Room":
                if self.phase is Phase.ENDING:
                    self._send_end(bounds)
            case gone:
                child = gone.removeprefix("gone ")
                self.children = tuple(other for other in self.children if other != child)
                failure = _failure(FailureCode.ACTOR_FAILED)
                self._report(failure)
                self._feed(Input.CHILD_DIED, failure, bounds)

    def _report(self, failure: Failure | None) -> None:
        if self.reported is None and not self.record.sealed:
            self.reported = failure

    def _feed(self, event: Input, failure: Failure | None = None, bounds: Bounds | None = None) -> None:
        machine = TurnMachine(self.phase, self.failure)
        effects = machine.feed(event, failure)
        self.phase, self.failure = machine.phase, machine.failure
        for effect in effects:
            match effect:
                case Effect.START_CHILDREN:
                    self._start_children()
                case Effect.STOP_AGENT:
                    self._post(PRODUCER, Mail(TURN, "StopAgent", failure=self.failure))
                case Effect.SEND_END:
                    assert bounds is not None
                    self._send_end(bounds)
                case Effect.SEAL:
                    self._seal(self.failure)
                case Effect.STOP_CHILDREN:
                    self._stop_children()
        if self.phase is Phase.OVER and not self.children and TURN in self.alive:
            self._end_turn()

    def _start_children(self) -> None:
        record = self.record.unpack("")
        record.begin()
        self._put(record)
        self.children = CHILDREN
        self.alive |= set(CHILDREN)
        self.asking = self.pulling = True

    def _send_end(self, bounds: Bounds) -> None:
        self._offer_chunk(End(self.failure), TURN, bounds)

    def _stop_children(self) -> None:
        for child in self.children:
            self._post(child, Mail(TURN, "StopNow"))

    def _end_turn(self) -> None:
        self.alive -= {TURN}
        self._set_box(TURN, ())
        self._stop_children()
        self.children = ()
        self._post(CONNECTION, Mail(TURN, "gone turn"))

    # The agent and the Producer.

    def _agent(self, bounds: Bounds) -> None:
        if self.position == len(bounds.stream):
            self._done(None, bounds)
            return
        item = bounds.stream[self.position]
        self.position += 1
        if item is TOOL:
            self.asking = self.pulling = False
            gathered = (self._gathered(),) if self.parts else ()
            self.sending = (*gathered, Flush(0, final=False), TOOL)
            self._send_on(bounds)
            return
        self.parts += item
        if OneBehind.attention.search(item):
            self.asking = self.pulling = False
            self.sending = (self._gathered(),)
            self._send_on(bounds)

    def _send_on(self, bounds: Bounds) -> None:
        """The task: send what waits for room, then ask the agent again."""
        while self.sending:
            if CHUNKER not in self.alive:
                self._done(None, bounds)
                return
            if not self._offer_token(self.sending[0], TASK, bounds):
                return
            self.sending = self.sending[1:]
        self.asking = self.pulling = True

    def _gathered(self) -> str:
        text, self.parts = self.parts, ""
        self.generated += text
        return text

    def _producer(self, mail: Mail, bounds: Bounds) -> None:
        match mail.kind:
            case "StopAgent":
                self._done(mail.failure, bounds)
            case "Pause":
                if not self.over:
                    self._flush(bounds, final=False)
            case "Room":
                unsent, self.unsent = self.unsent, None
                for item in unsent or ():
                    self._offer_or_keep(item, bounds)

    def _done(self, failure: Failure | None, bounds: Bounds) -> None:
        if self.over:
            return
        self.over = True
        in_hand = self.sending[:1]
        self.asking = self.pulling = False
        self.sending = ()
        for item in in_hand:
            self._offer_or_keep(item, bounds)
        self._flush(bounds, final=True)
        self._post(TURN, Mail(PRODUCER, "AgentDone", failure=failure))

    def _flush(self, bounds: Bounds, *, final: bool) -> None:
        if self.parts:
            self._offer_or_keep(self._gathered(), bounds)
        self._offer_or_keep(Flush(0, final), bounds)

    def _offer_or_keep(self, item: Any, bounds: Bounds) -> None:
        if self.unsent is None and self._offer_token(item, PRODUCER, bounds):
            return
        self.unsent = (*(self.unsent or ()), item)

    def _offer_token(self, item: Any, sender: str, bounds: Bounds) -> bool:
        if CHUNKER not in self.alive:
            return False
        if len(self.tokens) >= bounds.capacity:
            if sender not in self.tokens_refused:
                self.tokens_refused = (*self.tokens_refused, sender)
            return False
        self.tokens = (*self.tokens, item)
        return True

    # The Chunker and the Emitter.

    def _data(self, actor: str, bounds: Bounds) -> None:
        if actor == CHUNKER:
            self._chunk(bounds)
        else:
            self._emit()
        self._rest(actor, bounds)

    def _chunk(self, bounds: Bounds) -> None:
        item, *rest = self.tokens
        self.tokens = tuple(rest)
        pipeline = OneBehind(self.held, self.fed)
        if item is TOOL:
            self._send_chunks((item,), bounds)
        elif isinstance(item, Flush):
            chunks = pipeline.flush(item.final)
            self.held = pipeline.held
            self._send_chunks((*chunks, Mail(CHUNKER, "FlushAck", final=item.final)), bounds)
        else:
            chunks = pipeline.feed(item)
            self.held, self.fed = pipeline.held, pipeline.fed
            self._send_chunks(chunks, bounds)

    def _chunker_room(self, bounds: Bounds) -> None:
        unsent, self.chunker_unsent = self.chunker_unsent, None
        if unsent:
            self._send_chunks(unsent, bounds)

    def _send_chunks(self, items: Iterable[Any], bounds: Bounds) -> None:
        waiting = list(items)
        while waiting:
            if isinstance(waiting[0], Mail):
                self._post(TURN, waiting[0])
            elif not self._offer_chunk(waiting[0], CHUNKER, bounds):
                self.chunker_unsent = tuple(waiting)
                return
            del waiting[0]

    def _offer_chunk(self, item: Any, sender: str, bounds: Bounds) -> bool:
        if EMITTER not in self.alive:
            return False
        if len(self.chunks) >= bounds.capacity:
            if sender not in self.chunks_refused:
                self.chunks_refused = (*self.chunks_refused, sender)
            return False
        self.chunks = (*self.chunks, item)
        return True

    def _emit(self) -> None:
        record = self.record.unpack(self.generated)
        record.on_room = _nothing if self.record.wants_room else None
        if record.has_room(_nothing):
            item, *rest = self.chunks
            self.chunks = tuple(rest)
            if isinstance(item, End):
                record.seal(item.failure)
                self._post(TURN, Mail(EMITTER, "EndPlaced"))
            else:
                record.place(_tool_call() if item is TOOL else item)
            self.emitter_paused = not record.has_room(_nothing)
        else:
            self.emitter_paused = True
        self._put(record)

    # The reader.

    def _take(self) -> None:
        record = self.record.unpack(self.generated)
        if self.record.wants_room:
            record.on_room = self._resume_emitter
        if self.record.end_taken:
            raise AssertionError("something to take behind the end")
        reader = record.open(None)
        event = record.take(reader)
        assert event is not None
        self.handed = (*self.handed, Event.of(event))
        self._put(record)
        if record.end_taken:
            if not self.record.status.finished:
                raise AssertionError("the end was handed over and the turn goes on")
            self._post(CONNECTION, Mail("reader", "EndTaken"))

    def _resume_emitter(self) -> None:
        self.emitter_paused = False

    def _seal(self, failure: Failure | None) -> None:
        record = self.record.unpack(self.generated)
        record.on_room = _nothing if self.record.wants_room else None
        record.seal(failure)
        self._put(record)

    def _put(self, record: TurnRecord) -> None:
        finished = self.record.status.finished
        self.record = RecordState.pack(record)
        if record.status.finished and not finished:
            self.pulling = False
            self.generated += self.parts
            self.parts = ""

    # The runtime.

    def _post(self, to: str, mail: Mail) -> None:
        if to not in self.alive:
            return
        box = self.boxes[BOXES.index(to)]
        for place, other in enumerate(box):
            if other[:2] == mail[:2]:
                self._set_box(to, (*box[:place], mail, *box[place + 1 :]))
                return
        self._set_box(to, (*box, mail))

    def _set_box(self, actor: str, box: tuple[Mail, ...]) -> None:
        place = BOXES.index(actor)
        self.boxes = (*self.boxes[:place], box, *self.boxes[place + 1 :])

    def _rest(self, actor: str, bounds: Bounds) -> None:
        """After its run: a mailbox that has room again says so to whom it refused."""
        lane = self.tokens if actor == CHUNKER else self.chunks
        if len(lane) * 2 <= bounds.capacity:
            self._tell_of_room(actor, bounds)

    def _tell_of_room(self, actor: str, bounds: Bounds) -> None:
        if actor == CHUNKER:
            refused, self.tokens_refused = self.tokens_refused, ()
        else:
            refused, self.chunks_refused = self.chunks_refused, ()
        for sender in refused:
            if sender != TASK:
                self._post(sender, Mail(actor, "Room"))
        if TASK in refused and self.sending:
            self._send_on(bounds)

    def _die(self, actor: str, bounds: Bounds) -> None:
        """An actor is gone: killed, or stopped by its parent."""
        if actor == TURN:
            self._end_turn()
            return
        self.alive -= {actor}
        self._set_box(actor, ())
        if actor == PRODUCER:
            self.over = True
            self.asking = False
            self.sending = ()
        elif actor == CHUNKER:
            self.tokens = ()
            self._tell_of_room(actor, bounds)
        else:
            self.chunks = ()
            self._tell_of_room(actor, bounds)
        self._post(TURN, Mail(actor, f"gone {actor}"))


def _nothing() -> None:
    """Stand in for a callback: that it is there is what counts."""


_values = attrgetter(*(field.name for field in fields(World)))
