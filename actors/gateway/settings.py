"""Settings of the gateway: given in code, or read from the environment as `ANTIPHON_GATEWAY_…`.

How far the gateway runs ahead of a client is the engine's `replay_window`: what may be lost with a socket must be
there to be sent again.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from protocol.settings import EnvironmentSettings, OnBusy

__all__ = ["GatewaySettings"]


class GatewaySettings(EnvironmentSettings):
    """Limits and time-outs of a gateway. All times are in seconds.

    Raises:
        BadSettingsError: a value is not valid; the message names every one that is not, and its variable.

    """

    model_config = SettingsConfigDict(env_prefix="ANTIPHON_GATEWAY_", frozen=True, extra="forbid")

    max_connections: int = Field(default=10_000, ge=1)
    """Sockets, and connections with those that wait for their client to come back."""
    max_connections_per_user: int = Field(default=1_000, ge=1)
    max_unauthorized: int = Field(default=200, ge=1)
    """Sockets that have not been authorised yet."""
    max_message_bytes: int = Field(default=65_536, ge=64)
    max_first_message_bytes: int = Field(default=4_096, ge=64)
    """The same for `authorize` and `resume`."""
    max_text_chars: int = Field(default=32_000, ge=1)
    """The `content` of a `chat_message`."""
    max_metadata_bytes: int = Field(default=4_096, ge=0)
    turns_per_minute: int = Field(default=60, ge=1)
    """For each connection; as many may come at once."""
    max_errors_in_row: int = Field(default=5, ge=1)
    """So many messages in a row that are none close the socket."""
    resume_failures_per_minute: int = Field(default=5, ge=1)
    """For each address."""

    handshake_seconds: float = Field(default=10.0, gt=0)
    """From the connection to the whole request (stand-alone)."""
    authorize_seconds: float = Field(default=10.0, gt=0)
    """For the first message, and as long again for the authenticator to answer."""
    idle_seconds: float = Field(default=900.0, gt=0)
    """Without a command or a turn, the socket is closed."""
    ping_seconds: float = Field(default=20.0, gt=0)
    """After so long without a word from the client it is asked for one."""
    client_stall_seconds: float = Field(default=30.0, gt=0)
    """How long a `ping` may go unanswered, or sent bytes unread: then the turn is interrupted, the socket closed."""
    heartbeat_seconds: float = Field(default=1.0, gt=0)
    """How often the last three are looked at."""
    reconnect_grace_seconds: float = Field(default=10.0, ge=0)
    """How long a connection waits for its client to come back with `resume`."""
    outcome_seconds: float = Field(default=60.0, ge=0)
    """How long after that a late `resume` is told how the turn ended."""
    max_outcomes: int = Field(default=1_000, ge=0)
    drain_seconds: float = Field(default=10.0, ge=0)
    """How long running turns may go on when the server goes down."""

    on_busy: OnBusy = "interrupt"
    """What a `chat_message` does while a turn speaks."""
    observe: bool | None = None
    """Whether `observe` is allowed. None: for clients on loopback."""
    console: bool = True
    """Whether the console is served at `/`."""
    allowed_origins: tuple[str, ...] = ()
    """Beside those of the server's own loopback addresses, as browsers send them: `https://voice.example.com`."""
    allowed_hosts: tuple[str, ...] = ()
    """The same for the `Host` header: `voice.example.com`."""

    resume_key: SecretStr | None = Field(default=None, min_length=32)
    """Seals resume tokens: the same for gateways that go on with each other's connections. Left out, it is drawn."""

    tokens: SecretStr | None = None
    """Stand-alone: `user:token`, one a line or separated by commas."""
    tokens_file: Path | None = None
    """The same in a file."""
    compression: bool = False
    """Stand-alone: permessage-deflate, which takes another 34 KiB a socket."""
    send_buffer_bytes: int = Field(default=16_384, ge=4_096)
    """Stand-alone: what the kernel holds for a client that does not read."""

    @property
    def reader_grace_seconds(self) -> float:
        """How long the engine waits for a reader here: longer than the gateway does, which decides."""
        return 2 * max(self.client_stall_seconds + self.heartbeat_seconds, self.reconnect_grace_seconds)
