"""A turn in the model and a turn of real actors, described in the same words.

What is compared after each step is all that decides what happens next: who can do something, what waits in
every mailbox and in the outbox, the machine, the record, what each actor has kept. At the end it is what users
see: the events, the snapshot, the answer to the caller, and that nobody is left.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from pykka._envelope import Envelope

from actors.record import Marker, TurnRecord
from actors.runtime import ChildFailed, ChildStopped, EngineActor
from exploration.bounds import Mark
from exploration.model import CHUNKER, CONNECTION, PRODUCER, TURN, Event, World
from protocol.mail import AgentDone, End, Flush, FlushAck, Passed, StopAgent, TimeOut
from protocol.speech import SpeechChunk
from protocol.turn import ConversationTurn, TurnStatus

__all__ = [
    "differences",
    "event_of",
    "model_end",
    "model_state",
    "real_end",
    "real_state",
]

Words = dict[str, Any]


def model_state(world: World) -> Words:
    """Describe a state of the model."""
    words = {
        "steps": set(world.steps()),
        "status": world.status,
        "sealed": world.sealed,
        "outbox": _names(world.outbox),
        "awaits room": world.awaits_room,
        "generated": world.generated,
        "gathered": world.gathered,
        "pulling": world.pulling,
        "unplayed": list(world.unplayed),
        "events": list(world.events),
        "knows the turn": world.knows_turn,
        "answer": world.answer,
    }
    for name in world.alive:
        box = getattr(world, name)
        words[name] = (_names([mail for *_key, mail in box.control]), _names(box.data), box.paused)
        if name in _INSIDE:
            words[f"inside the {name}"] = _INSIDE[name][0](world)
    return words


def real_state(record: TurnRecord, living: dict[str, EngineActor]) -> Words:
    """Describe real actors and their record, as far as they know of it themselves."""
    words: Words = {
        "status": record.status,
        "sealed": record.sealed,
        "outbox": _names(record._outbox),
        "awaits room": record.on_room is not None,
        "generated": "".join(record._blocks),
        "gathered": "".join(record.parts),
        "pulling": record.pull_since is not None,
        "unplayed": record._unplayed or [],
    }
    for name, actor in living.items():
        box = actor.actor_inbox
        words[name] = (_names((box._control or {}).values()), _names(box._data), box.paused)
        if name in _INSIDE:
            words[f"inside the {name}"] = _INSIDE[name][1](actor)
    return words


_INSIDE: dict[str, tuple[Callable[[World], Any], Callable[[Any], Any]]] = {
    TURN: (
        lambda world: (world.phase, world.reported, list(world.children)),
        lambda turn: (
            turn.machine.phase,
            turn.machine.failure and turn.machine.failure.code,
            [child.kind for child in turn._children or ()],
        ),
    ),
    PRODUCER: (
        lambda world: (world.over, _names(world.kept)),
        lambda producer: (producer._over, _names(producer._unsent)),
    ),
    CHUNKER: (
        lambda world: (world.held, _names(world.unsent)),
        lambda chunker: (chunker._pipeline.held, _names(chunker._unsent)),
    ),
}
"""What there is of an actor beside its mailbox: in the model, and in itself."""


def model_end(world: World) -> Words:
    """Describe what came of a turn in the model."""
    end = world.events[-1]
    return {
        "events": list(world.events),
        "status": world.status,
        "reason": end.reason,
        "generated": world.generated + world.gathered,
        "delivered": end.text,
        "error": None if world.status is TurnStatus.INTERRUPTED else world.failure,
        "answer": world.answer,
        "told of": [world.status],
        "left": [CONNECTION],
    }


def real_end(turn: ConversationTurn) -> Words:
    """Describe what came of a real one, as far as its snapshot tells."""
    return {
        "status": turn.status,
        "reason": turn.reason,
        "generated": turn.generated_text,
        "delivered": turn.delivered_text,
        "error": turn.error_code,
    }


def event_of(event: dict[str, Any]) -> Event:
    """Describe an event as a reader got it."""
    text = event.get("chunk") or event.get("content") or ""
    reason = event.get("reason") or event.get("code") or ""
    return Event(event["type"], text, event.get("status", ""), reason)


def differences(model: Words, real: Words) -> list[str]:
    """Say where they differ."""
    return [
        f"{name}: the model says {model.get(name)!r}, and it is {real.get(name)!r}"
        for name in model | real
        if model.get(name) != real.get(name)
    ]


def _names(items: Collection[Any] | None) -> list[str]:
    return [_NAMES.get(type(item), _type_name)(item) for item in items] if items else []


def _type_name(item: Any) -> str:
    return type(item).__name__


def _with_failure(mail: Any) -> str:
    return f"{type(mail).__name__} {mail.failure.code if mail.failure else ''}"


_NAMES: dict[type, Callable[[Any], str]] = {
    str: repr,
    SpeechChunk: lambda chunk: f"{chunk.text!r} from {chunk.start} to {chunk.end}",
    Mark: lambda mark: str(mark.name),
    Marker: lambda marker: str(marker.name),
    Passed: lambda _passed: Mark.TOOL.name,
    Flush: lambda flush: f"Flush {flush.final}",
    FlushAck: lambda ack: f"FlushAck {ack.final}",
    **dict.fromkeys((AgentDone, TimeOut, StopAgent, End), _with_failure),
    **dict.fromkeys((ChildFailed, ChildStopped), lambda _word: "Gone"),
    Envelope: lambda envelope: type(envelope.message).__name__,
}
"""Messages and entries, as far as they matter; of the others the type is enough."""
