"""Every error that the package raises, under one base class, each with a stable code.

A program catches `AntiphonError`, or one of the classes below, and switches on `code`: codes do not change
between versions, messages may. Where Python has a fitting built-in class, the error is that too, so that code
which only knows `RuntimeError` or `LookupError` still catches it.

A turn that fails raises nothing: it ends with an `error` event and a `stream_end` that carry a `FailureCode`.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any, ClassVar

__all__ = [
    "AgentAttachedError",
    "AntiphonError",
    "BadAckError",
    "BadAgentEventError",
    "BadArgumentError",
    "BadCommandError",
    "BadEventError",
    "BadSettingsError",
    "BlockingCallError",
    "ConnectionExistsError",
    "ConnectionGoneError",
    "FailureCode",
    "FleetBrokenError",
    "FleetConnectionNotFoundError",
    "FleetNotRunningError",
    "FleetRunningError",
    "FleetStartError",
    "FleetTimeoutError",
    "GatewayCode",
    "MailboxFullError",
    "MissingExtraError",
    "NodeBusyError",
    "NodeNotFoundError",
    "ReaderBusyError",
    "ReaderReplacedError",
    "ReplayGapError",
    "ShadowedPackageError",
    "SystemClosedError",
    "TurnActiveError",
    "TurnFinishedError",
    "TurnNotFoundError",
]


class FailureCode(StrEnum):
    """Why a turn failed: the `code` of its `error` event and the `reason` of its `stream_end`."""

    AGENT_FAILED = "agent_failed"
    """The agent's stream raised."""
    AGENT_ERROR = "agent_error"
    """The agent's stream reported an error in an `error` event."""
    AGENT_STALLED = "agent_stalled"
    """The agent gave nothing for `agent_stall_seconds` (`tool_stall_seconds` while a tool was running)."""
    BAD_AGENT_EVENT = "bad_agent_event"
    """The agent gave something that is no event, and `strict_agent_events` is set."""
    TURN_TOO_LONG = "turn_too_long"
    """The agent wrote more than `max_turn_chars`."""
    TURN_DEADLINE = "turn_deadline"
    """The agent was still writing after `turn_deadline_seconds`."""
    ACTOR_FAILED = "actor_failed"
    """An actor of the turn failed or was killed."""


class GatewayCode(StrEnum):
    """What the gateway tells a client: the `code` of its errors, and the reason of a close."""

    BAD_JSON = "bad_json"
    """A message that is no JSON."""
    UNKNOWN_TYPE = "unknown_type"
    """A `type` that no command has."""
    BAD_MESSAGE = "bad_message"
    """A field that is missing, wrong or unknown; `field` names it. Also a message that is no text."""
    TOO_MANY_ERRORS = "too_many_errors"
    """So many messages in a row were none that the socket closes."""
    MESSAGE_TOO_BIG = "message_too_big"
    """A message beyond the limit."""
    TEXT_TOO_LONG = "text_too_long"
    """A `content` beyond the limit."""
    METADATA_TOO_BIG = "metadata_too_big"
    """A `metadata` beyond the limit."""
    NOT_AUTHORIZED = "not_authorized"
    """A command before `authorize`."""
    ALREADY_AUTHORIZED = "already_authorized"
    """`authorize` or `resume` on a socket that has its connection."""
    AUTHORIZE_REFUSED = "authorize_refused"
    """The authenticator does not know the token."""
    AUTHORIZE_TIMEOUT = "authorize_timeout"
    """No `authorize` in time."""
    RESUME_REFUSED = "resume_refused"
    """No such connection, or not with this token: unknown, wrong and used are answered alike."""
    RESUME_TOO_LATE = "resume_too_late"
    """The connection was given up; the turn's outcome is told."""
    REPLAY_GAP = "replay_gap"
    """The events after `after_seq` are not kept any more, or there are none of that number."""
    NODE_LOST = "node_lost"
    """The process that had the connection died, and the turn with it; `authorize` anew."""
    TURN_NOT_FOUND = "turn_not_found"
    """The connection has no such turn."""
    TURN_ACTIVE = "turn_active"
    """A turn speaks, and the gateway is set to refuse another."""
    BAD_ACK = "bad_ack"
    """An event was acknowledged that has not been sent."""
    TOO_MANY_TURNS = "too_many_turns"
    """More turns a minute than the limit."""
    TOO_MANY_CONNECTIONS = "too_many_connections"
    """The limit of the server, of the user, or of sockets that are not authorised."""
    TOO_MANY_ATTEMPTS = "too_many_attempts"
    """Too many refused `resume`s from this address in a minute."""
    CLIENT_STALLED = "client_stalled"
    """The client did not read, or did not answer, for too long."""
    IDLE = "idle"
    """No command for too long."""
    REPLACED = "replaced"
    """The connection goes on on another socket."""
    OBSERVE_REFUSED = "observe_refused"
    """`observe` is off for this client."""
    ORIGIN_REFUSED = "origin_refused"
    """A page of this origin may not talk to the gateway."""
    HOST_REFUSED = "host_refused"
    """The request was made to a name that is not the server's."""
    DRAINING = "draining"
    """The server is going down and takes nothing new."""
    INTERNAL = "internal"
    """The gateway failed; the log says how."""


_UNSHOWABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_LONGEST = 1200


class AntiphonError(Exception):
    """Base class of everything that the package raises on purpose."""

    code: ClassVar[str] = "antiphon_error"

    def __str__(self) -> str:
        """Return the message as one line that can be shown and logged, whatever is named in it."""
        text = _UNSHOWABLE.sub(lambda found: ascii(found.group())[1:-1], super().__str__())
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} … {text[-_LONGEST // 4 :]}"

    """Stable, machine-readable name of the error."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Not by calling the class with the message, as exceptions do: some take more. Errors cross processes.
        return _make_again, (type(self), self.args, vars(self))


def _make_again(error_class: type[AntiphonError], args: tuple[Any, ...], state: dict[str, Any]) -> AntiphonError:
    error = error_class.__new__(error_class, *args)
    vars(error).update(state)
    return error


class BadArgumentError(AntiphonError, ValueError):
    """An argument of a call makes no sense; the message says which and what would."""

    code = "bad_argument"


class BadAgentEventError(AntiphonError, ValueError):
    """Something that an agent yielded is no event; the message names types and fields, never contents."""

    code = "bad_agent_event"


class BadEventError(AntiphonError, ValueError):
    """What was to be read is no event or message that a client is sent; the message names fields, never contents."""

    code = "bad_event"


class BadCommandError(AntiphonError, ValueError):
    """A client's message is no command.

    Args:
        code: what the client is told.
        message: a sentence that quotes nothing of what was sent.
        field: the field that is wrong, where it is one.

    """

    code = "bad_command"

    def __init__(self, code: GatewayCode, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.told = code
        self.field = field


class BadSettingsError(AntiphonError, ValueError):
    """A setting, given or read from the environment, is not valid; the message names each one."""

    code = "bad_settings"


class SystemClosedError(AntiphonError, RuntimeError):
    """The system or connection has not been started, or has been shut down."""

    code = "system_closed"


class ConnectionExistsError(AntiphonError, ValueError):
    """`connect()` was given the id of a connection that is open."""

    code = "connection_exists"


class ConnectionGoneError(AntiphonError, RuntimeError):
    """The connection's actor died before it had handled the call; the call had no effect and may be repeated."""

    code = "connection_gone"


class TurnActiveError(AntiphonError, RuntimeError):
    """`start_turn()` while a turn is active (`on_busy="reject"`), or with the queue of turns full."""

    code = "turn_active"


class TurnNotFoundError(AntiphonError, LookupError):
    """The connection has no turn of that id: it never had one, or its retention is over."""

    code = "turn_not_found"


class TurnFinishedError(AntiphonError, RuntimeError):
    """What was asked needs a turn that is still going, and this one has ended."""

    code = "turn_finished"


class AgentAttachedError(AntiphonError, RuntimeError):
    """`attach_agent_stream()` on a turn that has its agent stream already."""

    code = "agent_attached"


class ReaderReplacedError(AntiphonError, RuntimeError):
    """A later reader took this turn over; this one gets nothing more."""

    code = "reader_replaced"


class ReaderBusyError(AntiphonError, RuntimeError):
    """Two tasks asked the same event stream for its next event at once."""

    code = "reader_busy"


class ReplayGapError(AntiphonError, LookupError):
    """`after_seq` asks for events that have left the replay window, or that were never handed over."""

    code = "replay_gap"


class BadAckError(AntiphonError, ValueError):
    """`mark_played()` named an event that has not been handed over."""

    code = "bad_ack"


class MailboxFullError(AntiphonError, RuntimeError):
    """A message was sent from the event loop to an actor whose mailbox is full; it was not delivered."""

    code = "mailbox_full"


class BlockingCallError(AntiphonError, RuntimeError):
    """A blocking wait was tried in the thread of the very loop that would have to end it. `await` instead."""

    code = "blocking_call"


class MissingExtraError(AntiphonError, ImportError):
    """A feature needs an optional dependency that is not installed.

    Args:
        extra: the extra to install, as in `pip install 'antiphon[extra]'`.
        module: the module that could not be imported.

    """

    code = "missing_extra"

    def __init__(self, extra: str, module: str) -> None:
        super().__init__(f"{module} is not installed: run  pip install 'antiphon[{extra}]'")
        self.extra = extra
        self.module = module


class ShadowedPackageError(AntiphonError, ImportError):
    """Another top-level package named `actors` or `protocol` was found in the place of ours."""

    code = "shadowed_package"


class FleetRunningError(AntiphonError, RuntimeError):
    """A fleet was to be started where one runs: the control port is in use."""

    code = "fleet_running"


class FleetNotRunningError(AntiphonError, RuntimeError):
    """No fleet answers on the control port."""

    code = "fleet_not_running"


class FleetStartError(AntiphonError, RuntimeError):
    """The fleet did not get to serve, and nothing of it is left; the message says what the first node said."""

    code = "fleet_start"


class FleetBrokenError(AntiphonError, RuntimeError):
    """Thespian's admin or the supervisor died, and the fleet of this host ended with it."""

    code = "fleet_broken"


class FleetTimeoutError(AntiphonError, TimeoutError):
    """The fleet is there, and did not answer in time."""

    code = "fleet_timeout"


class NodeNotFoundError(AntiphonError, LookupError):
    """The fleet has no node of that name; the message says which it has."""

    code = "node_not_found"


class NodeBusyError(AntiphonError, RuntimeError):
    """The node is not in a state in which that can be done: it starts, drains, or has ended."""

    code = "node_busy"


class FleetConnectionNotFoundError(AntiphonError, LookupError):
    """No node of the fleet has a connection of that id."""

    code = "fleet_connection_not_found"
