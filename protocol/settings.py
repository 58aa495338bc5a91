"""Settings of a system: given in code, or read from the environment as `ANTIPHON_…`.

What is given in code wins over the environment. Speech settings nest: `ANTIPHON_SPEECH__MIN_CHUNK_CHARS=20`. `none`
stands for None (`ANTIPHON_AGENT_STALL_SECONDS=none`), and lists are JSON.
"""

from __future__ import annotations

import os
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from protocol.errors import BadSettingsError
from protocol.speech import SpeechSettings
from protocol.validity import describe_invalid, describe_too_deep, describe_unreadable, within_reason

__all__ = ["EnvironmentSettings", "Flow", "OnBusy", "Settings"]

OnBusy = Literal["reject", "interrupt", "queue"]
"""What `start_turn()` does while a turn is active."""
Flow = Literal["free", "played"]
"""Whether a turn runs ahead of the person who listens."""


class EnvironmentSettings(BaseSettings):
    """Settings that are read from variables with the `env_prefix` of their class where they are not given.

    No number is larger than 1,000,000,000, so no time is longer than 31 years.

    Raises:
        BadSettingsError: a value is not valid; the message names every one that is not, and its variable.

    """

    _within_reason = field_validator("*")(within_reason)

    def __init__(self, /, **values: Any) -> None:
        prefix = self.model_config.get("env_prefix", "")
        try:
            super().__init__(**values)
        except ValidationError as failure:
            raise BadSettingsError(describe_invalid(failure, prefix)) from None
        except SettingsError as failure:
            raise BadSettingsError(describe_unreadable(failure, prefix, os.environ)) from None
        except RecursionError:
            raise BadSettingsError(describe_too_deep(prefix, os.environ)) from None


class Settings(EnvironmentSettings):
    """The limits and time-outs of a `ConversationSystem`. All times are in seconds, all texts in characters.

    Raises:
        BadSettingsError: a value is not valid; the message names every one that is not, and its variable.

    """

    model_config = SettingsConfigDict(
        env_prefix="ANTIPHON_", env_nested_delimiter="__", env_parse_none_str="none", frozen=True, extra="forbid"
    )

    queue_maxsize: int = Field(default=100, ge=1)
    """Capacity of each mailbox, in messages."""
    interrupt_wait_timeout: float = Field(default=1.0, ge=0)
    """How long a whole interrupt may take before what still runs is abandoned."""
    agent_stall_seconds: float | None = Field(default=30.0, gt=0)
    """How long one pull from the agent may take; a slow client does not count. None: for ever."""
    tool_stall_seconds: float | None = Field(default=300.0, gt=0)
    """The same while a `tool_call` has no `tool_result` yet."""
    idle_flush_seconds: float | None = Field(default=2.0, gt=0)
    """After how long a pause of the agent the text so far is spoken, as far as it is certain. None: never."""
    turn_deadline_seconds: float | None = Field(default=None, gt=0)
    """How long an agent may write, from the start of its turn. None: for ever."""
    shutdown_timeout_seconds: float = Field(default=5.0, ge=0)
    """The most that `shutdown()` takes."""
    max_turn_chars: int = Field(default=1_000_000, ge=1)
    """The most that an agent may write in one turn; then the turn fails with `turn_too_long`."""
    reader_grace_seconds: float = Field(default=30.0, gt=0)
    """How long a turn waits for a reader that has gone, or that asks for nothing."""
    replay_window: int = Field(default=256, ge=1)
    """How many events that were handed over are kept for a reader that comes back."""
    turn_retention_seconds: float = Field(default=300.0, ge=0)
    """How long a finished turn can still be asked for."""
    turn_retention_count: int = Field(default=100, ge=0)
    """How many finished turns a connection keeps."""
    on_busy: OnBusy = "reject"
    """What `start_turn()` does while a turn is active."""
    flow: Flow = "free"
    """Whether events are handed over as fast as they are read, or no further than `max_unplayed_chunks` ahead of what
    `mark_played()` acknowledged, with the end only when everything was: then a turn can be interrupted for as long as
    the person listens."""
    max_unplayed_chunks: int = Field(default=8, ge=1)
    """How far `flow="played"` goes ahead."""
    max_chunk_play_seconds: float = Field(default=60.0, gt=0)
    """How long `flow="played"` waits for the next acknowledgement; then the reader is taken to be gone."""
    turn_queue_limit: int = Field(default=10, ge=0)
    """How many turns may wait with `on_busy="queue"`."""
    strict_agent_events: bool = False
    """Whether something that is no event fails the turn, or is skipped, counted and logged."""
    forward_events: Literal["none", "tools", "all"] = "tools"
    """Which agent events reach the client beside the text: tool events, unknown types too, or none."""
    loop_watchdog_seconds: float | None = Field(default=1.0, gt=0)
    """How long the loop may be blocked before its stack is logged. None: no watchdog thread."""
    log_user_text: bool = False
    """Whether log records may hold what users and agents wrote."""
    speech: SpeechSettings = Field(default_factory=SpeechSettings)
    """How text becomes chunks."""
