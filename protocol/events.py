"""What a client receives, in the order of a turn: `stream_start`, chunks, perhaps one `error`, `stream_end`.

Events travel as JSON-ready dicts; the models here say what is in them and read them back (`read_event`). The
engine builds the dicts itself, because building and dumping a model costs more than the rest of an event's way;
a test holds each dict that it hands over against these models.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

__all__ = [
    "ENGINE_TYPES",
    "ErrorEvent",
    "Event",
    "PassedThroughEvent",
    "StreamEndEvent",
    "StreamStartEvent",
    "TtsReadyChunkEvent",
    "read_event",
]


class _TurnEvent(BaseModel):
    """What every event of a turn carries."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    turn_id: str
    connection_id: str
    session_id: str
    seq: int = Field(ge=0)
    """Counts 0, 1, 2, … over all events of the turn, without gaps, given at the first hand-over."""


class StreamStartEvent(_TurnEvent):
    """The first event of every turn."""

    type: Literal["stream_start"]


class TtsReadyChunkEvent(_TurnEvent):
    """Something to speak."""

    type: Literal["tts_ready_chunk"]
    chunk: str = Field(min_length=1)
    start: int = Field(ge=0)
    """Where the chunk begins in the agent's text, in characters."""
    end: int
    """Where it ends (exclusive)."""
    emotion: str | None = None
    """Left out when the text named none."""


class ErrorEvent(_TurnEvent):
    """Why the turn failed; comes once, right before `stream_end`."""

    type: Literal["error"]
    code: str
    error: str


class StreamEndEvent(_TurnEvent):
    """The last event of every turn."""

    type: Literal["stream_end"]
    status: Literal["completed", "interrupted", "failed"]
    reason: str
    content: str
    """What was delivered, as a prefix of the agent's own text."""
    skipped_events: int = Field(ge=0)
    """How many things the agent yielded that were no events."""


class PassedThroughEvent(_TurnEvent):
    """`tool_call`, `tool_result` or another event of the agent's, with its own fields beside the turn's ids."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str


Event = StreamStartEvent | TtsReadyChunkEvent | ErrorEvent | StreamEndEvent | PassedThroughEvent
"""Any event that a reader of a turn gets."""

_ENGINE: TypeAdapter[Event] = TypeAdapter(
    Annotated[
        StreamStartEvent | TtsReadyChunkEvent | ErrorEvent | StreamEndEvent,
        Field(discriminator="type"),
    ]
)
ENGINE_TYPES = frozenset({"stream_start", "tts_ready_chunk", "error", "stream_end"})
"""What the engine itself says; an agent's event of such a type never reaches the client as one."""


def read_event(event: dict[str, Any]) -> Event:
    """Return the model of an event that a reader was given.

    Raises:
        pydantic.ValidationError: it is not one that the engine would hand over.

    """
    if event.get("type") in ENGINE_TYPES:
        return _ENGINE.validate_python(event)
    return PassedThroughEvent.model_validate(event)
