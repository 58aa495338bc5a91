"""What a client of the gateway sends: one JSON object in one text message, told apart by its `type`.

`read_command()` is the only way in. It reads untrusted text, so it says what is wrong (a stable code, the field, a
sentence) and never repeats what was sent.
"""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from protocol.errors import BadCommandError, GatewayCode
from protocol.settings import Flow

__all__ = [
    "Authorize",
    "ChatMessage",
    "ChunkPlayed",
    "Command",
    "InterruptStream",
    "Observe",
    "Playing",
    "Pong",
    "Resume",
    "read_command",
]

_Id = Annotated[str, Field(min_length=1, max_length=256)]
_Seq = Annotated[int, Field(ge=0, le=2**53 - 1)]


def _finite(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Refuse NaN and infinity, which are no JSON, and numbers that would become one of them."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        raise PydanticCustomError("finite_number", "Input should have finite numbers") from None
    return value


class _Command(BaseModel):
    """Strict: text is text and a number a number, and a misspelt field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Authorize(_Command):
    """The first message of a new connection. Answered by `authorize_success` or `authorize_error`."""

    type: Literal["authorize"]
    token: Annotated[str, Field(max_length=2048)] | None = None
    """What the application's authenticator knows the user by."""
    flow: Flow | None = None
    """`played` for a client that acknowledges what it has spoken: turns then wait for the person who listens."""


class ChatMessage(_Command):
    """Start a turn. Answered by the events of the turn."""

    type: Literal["chat_message"]
    content: Annotated[str, Field(min_length=1)]
    session_id: _Id | None = None
    """Of the conversation, in the user's own name space."""
    metadata: Annotated[dict[str, JsonValue], AfterValidator(_finite)] | None = None
    """For the agent; kept as it is."""


class Playing(BaseModel):
    """How far the voice was when the person interrupted."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    seq: _Seq
    """The chunk that was being said."""
    chars: _Seq
    """How many characters (code points) of its text had been said."""


class InterruptStream(_Command):
    """End a turn now. Answered by `interrupted`, right before the `stream_end`."""

    type: Literal["interrupt_stream"]
    turn_id: _Id | None = None
    """Left out: the turn that speaks, or else the last one."""
    reason: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    playing: Playing | None = None


class ChunkPlayed(_Command):
    """The person has heard this chunk, and all before it. Answered by nothing."""

    type: Literal["chunk_played"]
    turn_id: _Id
    seq: _Seq


class Resume(_Command):
    """In the place of `authorize`: go on with a connection whose socket dropped.

    Answered by `resume_success` and what the client has not received, or by `resume_error`.
    """

    type: Literal["resume"]
    resume_token: Annotated[str, Field(max_length=256)]
    """From the last `authorize_success` or `resume_success`; each is good for once."""
    connection_id: _Id
    turn_id: _Id | None = None
    """The last turn that the client knows. Left out: the turn that speaks, if there is one."""
    after_seq: Annotated[int, Field(ge=-1, le=2**53 - 1)] | None = None
    """The last event of it that the client has. Left out: none."""
    flow: Flow | None = None


class Pong(_Command):
    """The answer to `ping`; may also be sent unasked, to say how far the client has received."""

    type: Literal["pong"]
    last_seq: Annotated[int, Field(ge=-1, le=2**53 - 1)] | None = None
    """The last event that the client has received. Left out: all that was sent before the ping.
    One that is older than the ping is noted, and does not answer it."""
    turn_id: _Id | None = None
    """The turn of `last_seq`. Left out: the turn of the last event that was sent."""


class Observe(_Command):
    """Have `token`, `removed` and `inspect` sent as well, about this connection. Answered by the first `inspect`."""

    type: Literal["observe"]


Command = Authorize | ChatMessage | InterruptStream | ChunkPlayed | Resume | Pong | Observe
"""Anything that a client may send."""

_COMMAND: TypeAdapter[Command] = TypeAdapter(Annotated[Command, Field(discriminator="type")])

_CODES = {
    "json_invalid": GatewayCode.BAD_JSON,
    "union_tag_invalid": GatewayCode.UNKNOWN_TYPE,
}
"""What the validator calls it, and what the client is told; anything else is a wrong field."""

_SENTENCES = {
    GatewayCode.BAD_JSON: "the message is no JSON",
    GatewayCode.UNKNOWN_TYPE: "no message has this type",
}


def read_command(text: str | bytes) -> Command:
    """Return the command that a text message holds.

    Raises:
        BadCommandError: it holds none; the error has a code and the field, and quotes nothing.

    """
    try:
        return _COMMAND.validate_json(text)
    except ValidationError as failure:
        wrong = failure.errors(include_url=False, include_context=False, include_input=False)[0]
    code = _CODES.get(wrong["type"], GatewayCode.BAD_MESSAGE)
    if wrong["type"] in ("union_tag_invalid", "union_tag_not_found"):
        field: str | None = "type"
    else:  # the first step of the place is the type of the command
        field = ".".join(map(str, wrong["loc"][1:]))[:128] or None
    sentence = _SENTENCES.get(code) or ("missing" if wrong["type"] == "union_tag_not_found" else wrong["msg"])
    raise BadCommandError(code, sentence[:256], field)
