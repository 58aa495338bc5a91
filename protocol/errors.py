"""Every error that the package raises, under one base class, each with a stable code.

A program catches `AntiphonError`, or one of the classes below, and switches on `code`: codes do not change
between versions, messages may. Where Python has a fitting built-in class, the error is that too, so that code
which only knows `RuntimeError` or `LookupError` still catches it.

A turn that fails raises nothing: it ends with an `error` event and a `stream_end` that carry a `FailureCode`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

__all__ = [
    "AgentAttachedError",
    "AntiphonError",
    "BadAckError",
    "BadAgentEventError",
    "BadArgumentError",
    "BadSettingsError",
    "BlockingCallError",
    "ConnectionExistsError",
    "ConnectionGoneError",
    "FailureCode",
    "MailboxFullError",
    "MissingExtraError",
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


class AntiphonError(Exception):
    """Base class of everything that the package raises on purpose."""

    code: ClassVar[str] = "antiphon_error"
    """Stable, machine-readable name of the error."""


class BadArgumentError(AntiphonError, ValueError):
    """An argument of a call makes no sense; the message says which and what would."""

    code = "bad_argument"


class BadAgentEventError(AntiphonError, ValueError):
    """Something that an agent yielded is no event; the message names types and fields, never contents."""

    code = "bad_agent_event"


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
