"""Settings of the fleet itself, read from the environment as `ANTIPHON_FLEET_…`; those of its gateways are theirs."""

from __future__ import annotations

from pydantic import Field, SecretStr, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import SettingsConfigDict

from protocol.settings import EnvironmentSettings

__all__ = ["FleetSettings"]


class FleetSettings(EnvironmentSettings):
    """Where the control plane of this host is.

    Raises:
        BadSettingsError: a value is not valid; the message names every one that is not, and its variable.

    """

    model_config = SettingsConfigDict(env_prefix="ANTIPHON_FLEET_", frozen=True, extra="forbid")

    control_host: str = "127.0.0.1"
    """The address that Thespian listens on, and gives to other hosts."""
    control_port: int = Field(default=8790, ge=1, le=65_535)
    key: SecretStr | None = Field(default=None, min_length=32)
    """Seals every message of the control plane; all its hosts and commands have the same. Needed beyond loopback."""

    @field_validator("control_host", "key")
    @classmethod
    def _can_be_handed_down(cls, value: str | SecretStr | None) -> str | SecretStr | None:
        """Both go to the processes of the fleet in their environment."""
        if "\0" in (value.get_secret_value() if isinstance(value, SecretStr) else value or ""):
            raise PydanticCustomError("nul", "Input should have no NUL character")
        return value
