"""`Neighbours`: what a gateway that is one of many wants to tell the others. The fleet implements it."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Neighbours"]


class Neighbours(Protocol):
    """Called in the gateway's loop, and never waits."""

    def opened(self, connection_id: str) -> None:
        """A connection was opened here."""

    def ended(self, connection_id: str) -> None:
        """It was given up."""
