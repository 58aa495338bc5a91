"""What a client receives, in the order of a turn: `stream_start`, chunks, perhaps one `error`, `stream_end`.

Events travel as JSON-ready dicts; the models here say what is in them and read them back (`read_event`). The
engine builds the dicts itself, because building and dumping a model costs more than the rest of an event's way;
a test holds each dict that it hands over against these models.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from protocol.errors import BadEventError

__all__ = [
    "ENGINE_TYPES",
    "ErrorEvent",
    "Event",
    "PassedThroughEvent",
    "StreamEndEvent",
    "StreamStartEvent",
    "TtsReadyChunkEvent",
    "read_event",
    "validated",
]


class _TurnEvent(BaseModel):
    """What every event of a turn carries. Strict: text is text and a number a number."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

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

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

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


_PASSED: TypeAdapter[Event] = TypeAdapter(PassedThroughEvent)
_Read = TypeVar("_Read")


def read_event(event: Any) -> Event:
    """Return the model of an event that a reader was given.

    Raises:
        BadEventError: it is not one that the engine would hand over.

    """
    own = isinstance(event, dict) and isinstance(event.get("type"), str) and event["type"] in ENGINE_TYPES
    return validated(_ENGINE if own else _PASSED, event)


def validated(adapter: TypeAdapter[_Read], data: Any) -> _Read:
    """Return the model that `data` is.

    Raises:
        BadEventError: it is none; the message names the first field that is wrong.

    """
    if not isinstance(data, dict) or not isinstance(data.get("type"), str):
        raise BadEventError("expected a dict with a text 'type'")
    try:
        return adapter.validate_python(data)
    except ValidationError as failure:
        wrong = failure.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ": ".join(map(str, wrong["loc"]))
    raise BadEventError(f"{place}: {wrong['msg']}" if place else wrong["msg"])
