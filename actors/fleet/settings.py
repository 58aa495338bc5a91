"""Settings of the fleet itself, read from the environment as `ANTIPHON_FLEET_…`; those of its gateways are theirs."""

from __future__ import annotations

from typing import Any

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from protocol.errors import BadSettingsError
from protocol.settings import describe_invalid

__all__ = ["FleetSettings"]

_PREFIX = "ANTIPHON_FLEET_"


class FleetSettings(BaseSettings):
    """Where the control plane of this host is.

    Raises:
        BadSettingsError: a value is not valid; the message names every one that is not, and its variable.

    """

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="forbid")

    control_host: str = "127.0.0.1"
    """The address that Thespian listens on, and gives to other hosts."""
    control_port: int = Field(8790, ge=1, le=65_535)
    key: SecretStr | None = Field(None, min_length=32)
    """Seals every message of the control plane; all its hosts and commands have the same. Needed beyond loopback."""

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as failure:
            raise BadSettingsError(describe_invalid(failure, _PREFIX)) from None
