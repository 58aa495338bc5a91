"""How far a turn is: what the session counts and the source has given, for a display that may look at any time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from actors.speak.source import TextSource

__all__ = ["Progress"]


@dataclass(slots=True)
class Progress:
    """The figures of a turn that is going on."""

    source: TextSource
    elapsed: Callable[[], float]
    """Seconds since the start."""
    chunks: int = 0
    spoken_to: int = 0
    """Where in the text the last chunk ended."""

    @property
    def share(self) -> float | None:
        """How much of the text has been written, from 0 to 1; None where nobody knows how long it will be."""
        length = self.source.length
        return min(self.source.characters_read / length, 1) if length else None

    @property
    def unspoken(self) -> str:
        """What has been written and is in no chunk yet; only its end, when it is long."""
        waiting = self.source.characters_read - self.spoken_to
        return self.source.tail[-waiting:] if waiting > 0 else ""
