"""`Neighbours`: what a gateway that is one of many tells the others, and asks them. The fleet implements it."""

from __future__ import annotations

from typing import NamedTuple, Protocol

__all__ = ["Neighbours", "Place"]


class Place(NamedTuple):
    """Where a connection is."""

    address: str | None
    """Of the gateway that has it: `http://host:port`. None: it died with its gateway."""


class Neighbours(Protocol):
    """Called in the gateway's loop."""

    def opened(self, connection_id: str) -> None:
        """A connection was opened here; never waits."""

    def ended(self, connection_id: str) -> None:
        """It was given up, and nothing is known of it here any more; never waits."""

    async def find(self, connection_id: str) -> Place | None:
        """Return where a connection is that is not here; None if nobody knows of it."""
