"""Sources of time and ids that repeat: with them, runs of a `ConversationSystem` can be compared word by word."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count

from actors.runtime import Clock, Ids

__all__ = ["CountedIds", "VirtualClock"]

BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)


class CountedIds(Ids):
    """Ids that count: `turn-1`, `turn-2`, `connection-1`."""

    def __init__(self) -> None:
        super().__init__()
        self._counts: dict[str, count[int]] = {}

    def new(self, kind: str) -> str:
        """Return the next id of this kind."""
        return f"{kind}-{next(self._counts.setdefault(kind, count(1)))}"


class VirtualClock(Clock):
    """A calendar that goes with the loop's clock, and begins with the year 2000."""

    def wall(self) -> datetime:
        """Return the date and time, in UTC."""
        return BEGINNING + timedelta(seconds=self.now())
