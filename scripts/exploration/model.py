"""A turn as a model: the real `TurnMachine`, and the actors around it reduced to what they send and when.

`World` is one state of one turn and of all that acts on it. `steps()` says who can do something there,
`after(step)` what is then; `possible_faults()` says what may be injected. Nothing here runs an actor:
`explore` visits every state, and `replay` takes real actors the same ways and compares.

A step is what an event loop does at once, and any order of steps is allowed. So it is a whole run of one actor
(its control mail, then its data as far as it goes), or one turn of the Producer's task, or one thing that the
outside does: the agent gives something, a reader takes an event, somebody interrupts. Mailboxes work as in the
runtime: mail of a kind from a sender replaces the one before it, lanes and outbox are bounded, who was refused
is sent one `Room`. Time is not modelled; what comes of it (a stall, a deadline, a pause) is a fault.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import partial
from itertools import takewhile
from operator import attrgetter
from typing import Any, NamedTuple

from exploration.bounds import TOOL, Bounds, Fault, Mark, Sentences
from protocol.errors import FailureCode
from protocol.mail import (
    AgentDone,
    End,
    EndPlaced,
    EndTaken,
    Flush,
    FlushAck,
    Interrupt,
    InterruptTurn,
    MarkPlayed,
    Pause,
    Settled,
    StopAgent,
    TimeOut,
)
from protocol.speech import SpeechChunk
from protocol.turn import Effect, Failure, Input, Phase, TurnMachine, TurnStatus

__all__ = [
    "AGENT",
    "BEFORE",
    "CHUNKER",
    "CONNECTION",
    "LISTENER",
    "PRODUCER",
    "READER",
    "SUPERVISOR",
    "TASK",
    "TURN",
    "Event",
    "Task",
    "World",
]

CONNECTION, TURN, PRODUCER, CHUNKER, EMITTER = "connection", "turn", "producer", "chunker", "emitter"
ACTORS = (CONNECTION, TURN, PRODUCER, CHUNKER, EMITTER)
CHILDREN = (EMITTER, CHUNKER, PRODUCER)
"""Of the Turn, in the order of their start."""
TASK = "task"
"""The Producer's task goes on."""
SUPERVISOR = "supervisor"
"""A new Connection takes the place of the one that died."""
AGENT = "agent"
"""The agent gives the next thing, or ends."""
READER = "reader"
"""A reader takes the next event."""
LISTENER = "listener"
"""The client says that the next chunk was played."""
BEFORE = "the turn before"
"""The turn that this one waits for is over."""


class Event(NamedTuple):
    """An event that was handed over, without its ids."""

    type: str
    text: str = ""
    """What was spoken, or, of the end, its `content`."""
    status: str = ""
    reason: str = ""
    """Of the end; of an error its `code`."""


class Task(StrEnum):
    """Where the Producer's task stands."""

    NONE = "is not there"
    READY = "goes on to ask the agent"
    ASKING = "waits for the agent"
    WAITING = "waits for room"
    WOKEN = "there was room"
    CANCELLED = "is about to end"


_RUNNABLE = frozenset({Task.READY, Task.WOKEN, Task.CANCELLED})


class Room(NamedTuple):
    """Control mail: there is room again."""


class Gone(NamedTuple):
    """Control mail: a child is gone that its parent did not stop."""


class Box(NamedTuple):
    """The mailbox of an actor that lives."""

    control: tuple[tuple[type, str, Any], ...] = ()
    """Mail with its type, since as a tuple it equals mail of other types, and its sender."""
    data: tuple[Any, ...] = ()
    paused: bool = False
    refused: frozenset[str] = frozenset()
    """Who waits for room."""


@dataclass(slots=True)
class World:
    """One state of one turn and of everything that acts on it. Its values are immutable, itself it is not."""

    bounds: Bounds
    # The TurnRecord.
    status: TurnStatus = TurnStatus.PENDING
    sealed: bool = False
    failure: FailureCode | None = None
    outbox: tuple[SpeechChunk | Mark, ...] = ()
    awaits_room: bool = False
    events: tuple[Event, ...] = ()
    """What was handed over."""
    generated: str = ""
    gathered: str = ""
    delivered: int = 0
    unplayed: tuple[int, ...] = ()
    """Chunks that were handed over and not acknowledged, where somebody counts."""
    pulling: bool = False
    # The mailboxes; None for an actor that does not live.
    connection: Box | None = Box()  # noqa: RUF009 - a NamedTuple cannot be changed
    turn: Box | None = None
    producer: Box | None = None
    chunker: Box | None = None
    emitter: Box | None = None
    # The Connection.
    waits: bool = False
    """Whether the end of the turn before has not been read yet."""
    knows_turn: bool = False
    replaced: bool = True
    """Whether the Supervisor has replaced every Connection that died."""
    answer: str = ""
    """To the caller of `interrupt_turn`: `waits`, `True`, `False` or `died`; nothing if there was none."""
    # The Turn.
    phase: Phase = Phase.QUEUED
    reported: FailureCode | None = None
    children: tuple[str, ...] = ()
    # The agent and the Producer.
    given: int = 0
    task: Task = Task.NONE
    sending: tuple[Any, ...] = ()
    """What the task still has to send; the first of it waits for room."""
    over: bool = False
    kept: tuple[Any, ...] = ()
    """What the actor could not send."""
    # The Chunker.
    held: str = ""
    start: int = 0
    unsent: tuple[Any, ...] = ()
    # What was done to it.
    faults: frozenset[Fault] = frozenset()
    cut_at: int | None = None
    """How many events had been handed over when it was interrupted."""

    @classmethod
    def first(cls, bounds: Bounds) -> World:
        """Return the state that a turn begins in."""
        world = cls(bounds, waits=bounds.queued)
        if not bounds.queued:
            world._launch()
        return world

    @property
    def key(self) -> tuple[Any, ...]:
        """All that differs between states of the same bounds; `World(bounds, *key)` is the state again."""
        return _values(self)

    @property
    def alive(self) -> tuple[str, ...]:
        """The actors that live."""
        return tuple(actor for actor in ACTORS if getattr(self, actor) is not None)

    # What can happen.

    def steps(self) -> list[str]:
        """Who can do something, without a fault; what brings the turn to its end comes first."""
        steps = [actor for actor in ACTORS if _rings(getattr(self, actor))]
        if self.task in _RUNNABLE:
            steps.append(TASK)
        if not self.replaced:
            steps.append(SUPERVISOR)
        if self._ready():
            steps.append(READER)
        if self.unplayed and self.connection is not None and not _acknowledges(self.connection):
            steps.append(LISTENER)
        if self.task is Task.ASKING and Fault.STALL not in self.faults:
            steps.append(AGENT)
        if self.waits:
            steps.append(BEFORE)
        return steps

    def possible_faults(self) -> list[Fault]:
        """What can be injected here."""
        if len(self.faults) >= self.bounds.most_faults:
            return []
        return [fault for fault in Fault if fault in self.bounds.faults - self.faults and self._can(fault)]

    def _can(self, fault: Fault) -> bool:
        if fault.victim:
            return getattr(self, fault.victim) is not None and self.status is not TurnStatus.PENDING
        if fault is Fault.INTERRUPT:
            return self.connection is not None
        if fault is Fault.AGENT_RAISES:
            return self.task is Task.ASKING
        watched = self.knows_turn and not self.sealed
        if fault is Fault.PAUSE:
            return watched and self.pulling
        timed_out = self.faults & {Fault.STALL, Fault.DEADLINE}
        return watched and not timed_out and (fault is Fault.DEADLINE or self.pulling)

    def after(self, step: str) -> World:
        """Return the state after a step, or after a fault."""
        world = World(self.bounds, *_values(self))
        if isinstance(step, Fault):
            world._inject(step)
        else:
            _STEPS[step](world)
        return world

    def _inject(self, fault: Fault) -> None:
        self.faults |= {fault}
        match fault:
            case Fault.INTERRUPT:
                self.answer = "waits"
                self._offer(CONNECTION, InterruptTurn(""))
            case Fault.AGENT_RAISES:
                self.task = Task.NONE
                self._done(FailureCode.AGENT_FAILED)
            case Fault.STALL:
                self._post(TURN, TimeOut(Failure(FailureCode.AGENT_STALLED, "")))
            case Fault.DEADLINE:
                self._post(TURN, TimeOut(Failure(FailureCode.TURN_DEADLINE, "")))
            case Fault.PAUSE:
                self._post(TURN, Pause())
            case _:
                self._end(fault.victim, told=_PARENTS[fault.victim])

    # The runtime: mailboxes, runs, ends.

    def _set(self, actor: str, **changes: Any) -> None:
        setattr(self, actor, getattr(self, actor)._replace(**changes))

    def _post(self, to: str, mail: Any, sender: str = "") -> None:
        box: Box | None = getattr(self, to)
        if box is None:
            return
        entry = (type(mail), sender, mail)
        for place, other in enumerate(box.control):
            if other[:2] == entry[:2]:
                self._set(to, control=(*box.control[:place], entry, *box.control[place + 1 :]))
                return
        self._set(to, control=(*box.control, entry))

    def _offer(self, to: str, mail: Any, sender: str = "") -> bool:
        box: Box | None = getattr(self, to)
        if box is None:
            return False
        if len(box.data) >= self.bounds.capacity:
            if sender:
                self._set(to, refused=box.refused | {sender})
            return False
        self._set(to, data=(*box.data, mail))
        return True

    def _take_data(self, actor: str) -> Any:
        """The oldest data, or None; texts at the head of the line are taken as one."""
        data = getattr(self, actor).data
        texts = list(takewhile(lambda mail: isinstance(mail, str), data))
        if data:
            self._set(actor, data=data[len(texts) or 1 :])
        return "".join(texts) or (data[0] if data else None)

    def _run(self, actor: str) -> None:
        while (box := getattr(self, actor)) is not None and box.control:
            (_type, sender, mail), *rest = box.control
            self._set(actor, control=tuple(rest))
            _CONTROL[actor](self, mail, sender)
        if box is not None and not box.paused and actor in _DATA:
            _DATA[actor](self)
            box = getattr(self, actor)
        if box is not None and box.refused and 2 * len(box.data) <= self.bounds.capacity:
            self._set(actor, refused=frozenset())
            self._tell_of_room(actor, box.refused)

    def _tell_of_room(self, actor: str, refused: frozenset[str]) -> None:
        for sender in refused - {TASK}:
            self._post(sender, Room(), actor)
        if TASK in refused and self.task is Task.WAITING:
            self.task = Task.WOKEN

    def _end(self, actor: str, told: str = "") -> None:
        """An actor ends: it failed or was killed, which its parent is told, or its parent stops it."""
        box: Box | None = getattr(self, actor)
        if box is None:
            return
        setattr(self, actor, None)
        if actor == CONNECTION:
            self._end(TURN)
            self.replaced = False
            if self.answer == "waits":
                self.answer = "died"
        elif actor == TURN:
            self._stop_children()
        elif actor == PRODUCER:
            self.over = True
            self._let_go()
        self._tell_of_room(actor, box.refused)
        if told:
            self._post(told, Gone(), actor)

    # The Connection.

    def _launch(self) -> None:
        self.turn = Box()
        self.knows_turn = True
        self._feed(Input.START)

    def _connection(self, mail: Any, sender: str) -> None:
        match mail:
            case EndTaken() if sender == BEFORE:
                if self.status is TurnStatus.PENDING:
                    self._launch()
            case EndTaken():
                self._post(TURN, mail)
            case Gone():
                self.knows_turn = False
                self._seal(FailureCode.ACTOR_FAILED)
                self._check_settled()
            case Settled():
                self._check_settled()

    def _handle_requests(self) -> None:
        while mail := self._take_data(CONNECTION):
            if isinstance(mail, MarkPlayed):
                self.unplayed = tuple(seq for seq in self.unplayed if seq > mail.seq)
            else:
                self._interrupt_turn()

    def _interrupt_turn(self) -> None:
        if self.status.finished:
            self.answer = "False"
            return
        self.cut_at = len(self.events)
        self.sealed, self.awaits_room = True, False
        self.outbox = (Mark.END,) if self.events else (Mark.START, Mark.END)
        self._finish(TurnStatus.INTERRUPTED)
        self._post(TURN, Interrupt())
        self._check_settled()

    def _check_settled(self) -> None:
        settled = not self.knows_turn and self.task is not Task.CANCELLED
        if settled and self.answer == "waits" and self.status is TurnStatus.INTERRUPTED:
            self.answer = "True"

    def _replace_connection(self) -> None:
        self.replaced = True
        self.knows_turn = False
        self.connection = Box()
        if not self.status.finished:
            self._seal(FailureCode.ACTOR_FAILED)

    # The Turn.

    def _turn(self, mail: Any, sender: str) -> None:
        match mail:
            case Pause():
                if self.phase is Phase.STREAMING:
                    self._post(PRODUCER, mail)
            case Room():
                if self.phase is Phase.ENDING:
                    self._send_end()
            case FlushAck():
                self._feed(Input.FINAL_FLUSH_TAKEN if mail.final else Input.PART_FLUSH_TAKEN)
            case Gone():
                self.children = tuple(child for child in self.children if child != sender)
                self._feed(Input.CHILD_DIED, FailureCode.ACTOR_FAILED)
            case AgentDone() | TimeOut():
                self._feed(_INPUTS[type(mail)], mail.failure.code if mail.failure else None)
            case _:
                self._feed(_INPUTS[type(mail)])

    def _feed(self, event: Input, code: FailureCode | None = None) -> None:
        machine = TurnMachine(self.phase, _failure(self.reported))
        effects = machine.feed(event, _failure(code))
        self.phase = machine.phase
        self.reported = machine.failure.code if machine.failure else None
        for effect in effects:
            _EFFECTS[effect](self)
        if self.phase is Phase.OVER and not self.children:
            self._end(TURN, told=CONNECTION)

    def _start_children(self) -> None:
        self.status, self.outbox = TurnStatus.PROCESSING, (Mark.START,)
        self.children = CHILDREN
        self.producer = self.chunker = self.emitter = Box()
        self.task, self.pulling = Task.READY, True

    def _stop_agent(self) -> None:
        self._post(PRODUCER, StopAgent(_failure(self.reported)))  # type: ignore[arg-type]  # there is one

    def _send_end(self) -> None:
        self._offer(EMITTER, End(_failure(self.reported)), TURN)

    def _seal_as_reported(self) -> None:
        self._seal(self.reported)

    def _stop_children(self) -> None:
        children, self.children = self.children, ()
        for child in reversed(children):
            self._end(child)

    # The agent and the Producer.

    def _agent(self) -> None:
        if self.given == len(self.bounds.stream):
            self.task = Task.NONE
            self._done(None)
            return
        item = self.bounds.stream[self.given]
        self.given += 1
        if isinstance(item, Mark):
            self.sending = (*self._take_gathered(), Flush(0, final=False), item)
        else:
            self.gathered += item
            if not Sentences.attention.search(item):
                self.pulling = True
                return
            self.sending = self._take_gathered()
        self.pulling = False
        self._send_on()

    def _task(self) -> None:
        box = self.chunker
        if self.task is Task.CANCELLED:
            self.task, self.sending = Task.NONE, ()
            self._post(CONNECTION, Settled(""))
        elif self.task is Task.WOKEN and box is not None and len(box.data) >= self.bounds.capacity:
            self._wait_for_room()  # somebody else was faster
        else:
            self._send_on()

    def _send_on(self) -> None:
        while self.sending:
            mail, *rest = self.sending
            if not (self._send_kept() and self._offer(CHUNKER, mail)):
                self._wait_for_room()
                return
            self.sending = tuple(rest)
            if mail is TOOL:
                self.task = Task.READY  # it lets others go on before it asks again
                return
        self.task, self.pulling = Task.ASKING, True

    def _wait_for_room(self) -> None:
        if self.chunker is None:
            self.task = Task.NONE
            self._done(None)
        else:
            self.task = Task.WAITING
            self._set(CHUNKER, refused=self.chunker.refused | {TASK})

    def _producer(self, mail: Any, _sender: str) -> None:
        match mail:
            case StopAgent():
                self._done(mail.failure.code)
                self._let_go()
            case Pause():
                if not self.over:
                    self._flush(final=False)
            case Room():
                self._send_kept()

    def _let_go(self) -> None:
        if self.task is not Task.NONE:
            self.task = Task.CANCELLED

    def _done(self, code: FailureCode | None) -> None:
        if self.over:
            return
        self.over = True
        self.pulling = False
        self.kept += self.sending
        self.sending = ()
        self._flush(final=True)
        self._post(TURN, AgentDone(_failure(code)))

    def _flush(self, *, final: bool) -> None:
        self.kept += (*self._take_gathered(), Flush(0, final))
        self._send_kept()

    def _send_kept(self) -> bool:
        while self.kept:
            if not self._offer(CHUNKER, self.kept[0], PRODUCER):
                return False
            self.kept = self.kept[1:]
        return True

    def _take_gathered(self) -> tuple[str, ...]:
        text, self.gathered = self.gathered, ""
        self.generated += text
        return (text,) if text else ()

    # The Chunker.

    def _chunk(self) -> None:
        while self.chunker is not None and self.chunker.data and not self.chunker.paused:
            pipeline = Sentences(self.held, self.start)
            out: Sequence[Any]
            match mail := self._take_data(CHUNKER):
                case str():
                    out = pipeline.feed(mail)
                case Flush():
                    out = (*pipeline.flush(mail.final), FlushAck(0, mail.final, 0))
                case _:
                    out = (mail,)
            self.held, self.start = pipeline.held, pipeline.start
            self._send_chunks(out)

    def _chunker(self, _room: Room, _sender: str) -> None:
        unsent, self.unsent = self.unsent, ()
        if unsent:
            self._set(CHUNKER, paused=False)
            self._send_chunks(unsent)

    def _send_chunks(self, out: Sequence[Any]) -> None:
        for sent, item in enumerate(out):
            if isinstance(item, FlushAck):
                self._post(TURN, item, CHUNKER)
            elif not self._offer(EMITTER, item, CHUNKER):
                self.unsent = tuple(out[sent:])
                self._set(CHUNKER, paused=True)
                return

    # The Emitter and the outbox.

    def _emit(self) -> None:
        while self._has_room():
            match mail := self._take_data(EMITTER):
                case None:
                    return
                case End():
                    self._seal(mail.failure.code if mail.failure else None)
                    self._post(TURN, EndPlaced(), EMITTER)
                case _ if not self.sealed:
                    self.outbox += (mail,)
        self._set(EMITTER, paused=True)

    def _has_room(self) -> bool:
        if len(self.outbox) < self.bounds.outbox or self.sealed:
            return True
        self.awaits_room = True
        return False

    def _seal(self, code: FailureCode | None) -> None:
        if self.sealed:
            return
        self.sealed = True
        self.failure = code
        self.outbox += (Mark.ERROR, Mark.END) if code else (Mark.END,)

    def _ready(self) -> bool:
        """Whether the reader may take what is next; the end of an interrupted turn waits for nobody."""
        if not self.outbox or self.bounds.ahead is None or self.status.finished:
            return bool(self.outbox)
        if isinstance(self.outbox[0], SpeechChunk):
            return len(self.unplayed) < self.bounds.ahead
        return not self.unplayed or self.outbox[0] not in (Mark.ERROR, Mark.END)

    def _take(self) -> None:
        item, *rest = self.outbox
        self.outbox = tuple(rest)
        if isinstance(item, SpeechChunk):
            self.delivered = item.end
            if self.bounds.ahead is not None:
                self.unplayed += (len(self.events),)
            event = Event("tts_ready_chunk", item.text)
        elif item is Mark.ERROR:
            event = Event(item.value, reason=str(self.failure))
        elif item is Mark.END:
            if not self.status.finished:
                self._finish(TurnStatus.FAILED if self.failure else TurnStatus.COMPLETED)
            interrupted = self.status is TurnStatus.INTERRUPTED
            reason = "interrupted" if interrupted else str(self.failure or "completed")
            event = Event(item.value, self.generated[: self.delivered], str(self.status), reason)
            self._post(CONNECTION, EndTaken(""))
        else:
            event = Event(item.value)
        self.events += (event,)
        if self.awaits_room and 2 * len(rest) <= self.bounds.outbox:
            self.awaits_room = False
            if self.emitter is not None:
                self._set(EMITTER, paused=False)

    def _play(self) -> None:
        self._offer(CONNECTION, MarkPlayed("", self.unplayed[0]))

    def _finish(self, status: TurnStatus) -> None:
        self.status = status
        self.pulling = False
        self._take_gathered()

    def _end_before(self) -> None:
        self.waits = False
        self._post(CONNECTION, EndTaken(""), BEFORE)


def _rings(box: Box | None) -> bool:
    return box is not None and bool(box.control or (box.data and not box.paused))


def _acknowledges(box: Box) -> bool:
    return any(isinstance(mail, MarkPlayed) for mail in box.data)


def _failure(code: FailureCode | None) -> Failure | None:
    return Failure(code, "") if code else None


_values = attrgetter(*(field.name for field in fields(World) if field.name != "bounds"))

_INPUTS = {
    AgentDone: Input.AGENT_DONE,
    TimeOut: Input.TIME_OUT,
    Interrupt: Input.INTERRUPT,
    EndPlaced: Input.END_PLACED,
    EndTaken: Input.END_TAKEN,
}
_EFFECTS: dict[Effect, Callable[[World], None]] = {
    Effect.START_CHILDREN: World._start_children,
    Effect.STOP_AGENT: World._stop_agent,
    Effect.SEND_END: World._send_end,
    Effect.SEAL: World._seal_as_reported,
    Effect.STOP_CHILDREN: World._stop_children,
}
_PARENTS = {CONNECTION: "", TURN: CONNECTION, PRODUCER: TURN, CHUNKER: TURN, EMITTER: TURN}
_CONTROL: dict[str, Callable[[World, Any, str], None]] = {
    CONNECTION: World._connection,
    TURN: World._turn,
    PRODUCER: World._producer,
    CHUNKER: World._chunker,
}
_DATA: dict[str, Callable[[World], None]] = {
    CONNECTION: World._handle_requests,
    CHUNKER: World._chunk,
    EMITTER: World._emit,
}
_STEPS: dict[str, Callable[[World], None]] = {
    **{actor: partial(World._run, actor=actor) for actor in ACTORS},
    TASK: World._task,
    SUPERVISOR: World._replace_connection,
    READER: World._take,
    LISTENER: World._play,
    AGENT: World._agent,
    BEFORE: World._end_before,
}
