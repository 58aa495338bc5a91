"""What an agent stream yields: text, token by token, and what happens beside it.

An agent stream may yield bare strings, dicts in the form of the seeds (`{"type": "stream_token", "chunk": "Hi"}`;
older agents say `data`), or the models below. `read_agent_event()` turns any of these into a model, and says
precisely what is wrong with what is none of these. The engine reads strings and well-formed token dicts by a
shorter way; the meaning is the one that is written here.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from protocol.errors import BadAgentEventError

__all__ = [
    "AgentError",
    "AgentEvent",
    "OtherEvent",
    "StreamEnd",
    "StreamStart",
    "StreamToken",
    "ToolCall",
    "ToolResult",
    "read_agent_event",
    "well_formed",
]


class _Event(BaseModel):
    """Frozen; further fields are kept, since they are the agent's own business."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True)


class StreamStart(_Event):
    """The agent begins. The turn has a `stream_start` of its own; this one is read and not repeated."""

    type: Literal["stream_start"] = "stream_start"


class StreamToken(_Event):
    """A piece of text, of any length, cut anywhere."""

    type: Literal["stream_token"] = "stream_token"
    chunk: str = Field(validation_alias=AliasChoices("chunk", "data"), strict=True)


class ToolCall(_Event):
    """The agent calls a tool. Text before it is spoken at once; the stall clock waits longer until the result."""

    type: Literal["tool_call"] = "tool_call"


class ToolResult(_Event):
    """The tool has answered."""

    type: Literal["tool_result"] = "tool_result"


_NO_WORDS = "the agent reported an error"


def _words(error: object) -> str:
    """Return what an error says. It must not be skipped for the form it has: then the turn would end as completed."""
    if isinstance(error, dict):
        error = error.get("message")
    return error if isinstance(error, str) else _NO_WORDS


class AgentError(_Event):
    """The agent gives up: the turn ends `failed`, after the text so far. `error` is text or has a `message`."""

    type: Literal["error"] = "error"
    error: Annotated[str, BeforeValidator(_words)] = Field(
        default=_NO_WORDS, validation_alias=AliasChoices("error", "message")
    )


class StreamEnd(_Event):
    """The agent is done. Whatever it yields after this is not read."""

    type: Literal["stream_end"] = "stream_end"


class OtherEvent(_Event):
    """A type that this package does not know; passed through or dropped as `forward_events` says."""

    type: str


AgentEvent = StreamStart | StreamToken | ToolCall | ToolResult | AgentError | StreamEnd | OtherEvent
"""Any event of an agent stream."""

_Known = Annotated[
    StreamStart | StreamToken | ToolCall | ToolResult | AgentError | StreamEnd, Field(discriminator="type")
]
_KNOWN: TypeAdapter[AgentEvent] = TypeAdapter(_Known)
_OTHER: TypeAdapter[AgentEvent] = TypeAdapter(OtherEvent)
_KNOWN_TYPES = frozenset({"stream_start", "stream_token", "tool_call", "tool_result", "error", "stream_end"})


def read_agent_event(item: Any) -> AgentEvent:
    """Return what `item`, as yielded by an agent stream, means.

    Raises:
        BadAgentEventError: it is neither text, nor a dict with a `type`, nor one of the models; or a field is missing
            or of the wrong type. The message names types and fields, never contents.

    """
    if isinstance(item, str):
        return StreamToken(chunk=str(item))
    if isinstance(item, _Event):
        return item  # type: ignore[return-value]  # each concrete subclass is in AgentEvent
    if not isinstance(item, dict):
        raise BadAgentEventError(f"expected text, a dict or an event model, got {type(item).__name__}")
    kind = item.get("type")
    if not isinstance(kind, str):
        raise BadAgentEventError(f"expected a dict with a text 'type', got a 'type' of {type(kind).__name__}")
    try:
        return (_KNOWN if kind in _KNOWN_TYPES else _OTHER).validate_python(item)
    except ValidationError as failure:
        fields = "; ".join(f"{'.'.join(map(str, e['loc'][1:])) or 'event'}: {e['msg']}" for e in failure.errors())
        raise BadAgentEventError(f"{kind:.40}: {fields}") from None


_SURROGATE = re.compile("[\ud800-\udfff]")


def well_formed(text: str) -> str:
    """Return `text` so that it can be encoded.

    JSON can carry the two halves of a character beyond 16 bits one by one, and an agent may cut between them. Halves
    that are side by side are put together, and one that is alone becomes U+FFFD.
    """
    if text.isascii() or not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
