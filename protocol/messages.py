"""What the gateway says beside the events of turns (`protocol.events`): answers, pings, and what an observer sees.

None of these has a `seq`: that is how a client tells an `error` of the gateway from the `error` of a turn.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from protocol.errors import GatewayCode
from protocol.events import (
    ErrorEvent,
    PassedThroughEvent,
    StreamEndEvent,
    StreamStartEvent,
    TtsReadyChunkEvent,
    read_event,
    validated,
)
from protocol.turn import TurnStatus

__all__ = [
    "SUBPROTOCOL",
    "ActorState",
    "AuthorizeError",
    "AuthorizeSuccess",
    "CloseCode",
    "GatewayError",
    "InspectMessage",
    "Interrupted",
    "Ping",
    "RemovedMessage",
    "RemovedPart",
    "ResumeError",
    "ResumeSuccess",
    "ServerMessage",
    "TokenMessage",
    "read_message",
]

SUBPROTOCOL = "antiphon.v1"


class CloseCode(IntEnum):
    """Why the gateway closes a socket. The reason that goes with it is a `GatewayCode`."""

    INTERNAL = 1011
    """The gateway failed; the log says how."""
    TOO_BIG = 1009
    """A message beyond the limit."""
    RESTART = 1012
    """The server is going down, or over to another; connect again."""
    BAD_MESSAGES = 4400
    """Too many messages in a row that were none."""
    NOT_AUTHORIZED = 4401
    """`authorize` or `resume` was refused."""
    TIMED_OUT = 4408
    """Nothing came in time: no `authorize`, no command, or no sign that the client still reads."""
    REPLACED = 4409
    """The connection was resumed on another socket."""
    TOO_MANY = 4429
    """A limit on connections or attempts."""


_Code = Annotated[GatewayCode, Field(strict=False)]  # it comes as text
_Status = Annotated[TurnStatus, Field(strict=False)]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    def to_json(self) -> str:
        """Return the message as it is sent: what is None is left out."""
        return self.model_dump_json(exclude_none=True)


class AuthorizeSuccess(_Message):
    """The connection is open."""

    type: Literal["authorize_success"] = "authorize_success"
    connection_id: str
    resume_token: str
    """For `resume`, once; keep it as a password."""


class AuthorizeError(_Message):
    """The connection is not opened; the socket closes."""

    type: Literal["authorize_error"] = "authorize_error"
    code: _Code
    error: str


class ResumeSuccess(_Message):
    """The connection goes on, on this socket."""

    type: Literal["resume_success"] = "resume_success"
    connection_id: str
    resume_token: str
    """The next one; the one that was used is of no use any more."""
    turn_id: str | None = None
    """The turn whose events come next."""
    status: _Status | None = None
    """Of that turn, now."""


class ResumeError(_Message):
    """The connection does not go on here; the socket closes."""

    type: Literal["resume_error"] = "resume_error"
    code: _Code
    error: str
    turn_id: str | None = None
    turn_status: _Status | None = None
    """How the turn ended, or stands, if the token was right."""
    played_text: str | None = None
    """What the person heard of it."""


class Ping(_Message):
    """Asks for a `pong`."""

    type: Literal["ping"] = "ping"


class Interrupted(_Message):
    """The answer to `interrupt_stream`, right before the `stream_end`; of a turn that is over, its outcome."""

    type: Literal["interrupted"] = "interrupted"
    turn_id: str
    status: _Status
    delivered_text: str
    played_text: str
    elapsed_ms: float
    """From the command's arrival to this answer."""


class GatewayError(_Message):
    """A command was not carried out, or the socket is about to close."""

    type: Literal["error"] = "error"
    code: _Code
    error: str
    field: str | None = None
    """The field that is wrong, where it is one."""
    turn_id: str | None = None
    """The turn that the command named."""


class TokenMessage(_Message):
    """To an observer: what the agent wrote, as it came. What would need too much room is counted, not sent."""

    type: Literal["token"] = "token"
    turn_id: str
    text: str
    tokens: int
    """How many pieces of the agent's are in `text`."""
    start: int
    """Where `text` begins in the agent's text, in characters; a jump says that some was left out."""


class RemovedPart(_Message):
    """Characters of the agent's text that are not spoken."""

    start: int
    end: int
    rule: str


class RemovedMessage(_Message):
    """To an observer: what is not spoken, and by which rule."""

    type: Literal["removed"] = "removed"
    turn_id: str
    parts: list[RemovedPart]


class ActorState(_Message):
    """One living actor and its mailbox."""

    kind: str
    turn_id: str | None = None
    depth: int
    peak: int
    capacity: int
    paused: bool


class InspectMessage(_Message):
    """To an observer: the actors of its connection, whenever that changed."""

    type: Literal["inspect"] = "inspect"
    actors: list[ActorState]


_Own = (
    AuthorizeSuccess
    | AuthorizeError
    | ResumeSuccess
    | ResumeError
    | Ping
    | Interrupted
    | GatewayError
    | TokenMessage
    | RemovedMessage
    | InspectMessage
)
ServerMessage = _Own | StreamStartEvent | TtsReadyChunkEvent | ErrorEvent | StreamEndEvent | PassedThroughEvent
"""Anything that a client may be sent."""

_OWN: TypeAdapter[_Own] = TypeAdapter(Annotated[_Own, Field(discriminator="type")])


def read_message(message: Any) -> ServerMessage:
    """Return the model of a message that a client was sent.

    Raises:
        BadEventError: it is not one that the gateway would send.

    """
    return read_event(message) if isinstance(message, dict) and "seq" in message else validated(_OWN, message)
