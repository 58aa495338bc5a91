"""How far the gateway runs ahead of what a client is known to have received.

The kernel takes megabytes for a client that reads nothing before a send waits, so the gateway counts. Every event of
a turn that is sent has a place in one count over all turns; what the client says (`chunk_played`, a `pong` with
`last_seq`, or one without: all that was sent before the ping) moves the known place up to it. Between the two there
is never more than the window.
"""

from __future__ import annotations

__all__ = ["FlowWindow"]


class FlowWindow:
    """The count for one socket."""

    __slots__ = ("_bases", "_known", "_pinged", "_sent", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self._sent = 0
        self._known = 0
        self._pinged: int | None = None
        # The place of the event before a turn's first; of the turn that is sent now, and of the one before.
        self._bases: dict[str, int] = {}

    def begin(self, turn_id: str, after_seq: int) -> None:
        """The events of this turn come now, those after this one."""
        if len(self._bases) > 1:
            del self._bases[next(iter(self._bases))]
        self._bases.pop(turn_id, None)
        self._bases[turn_id] = self._sent - after_seq - 1

    def count(self) -> None:
        """One more event is sent."""
        self._sent += 1

    @property
    def ahead(self) -> int:
        """How many events the client is not known to have received."""
        return self._sent - self._known

    @property
    def open(self) -> bool:
        """Whether one more event may be sent."""
        return self._sent - self._known < self.size

    @property
    def wants_ping(self) -> bool:
        """Whether the client should be asked: half of the window is used, and no question is open."""
        return self._pinged is None and (self._sent - self._known) * 2 >= self.size

    @property
    def covers_ping(self) -> bool:
        """Whether the client is known to have what was sent before it was asked."""
        return self._pinged is None or self._known >= self._pinged

    def ping(self) -> None:
        """The client is asked now."""
        if self._pinged is None:
            self._pinged = self._sent

    def pong(self) -> None:
        """It answered: what was sent before it was asked has arrived."""
        if self._pinged is not None:
            self._known = max(self._known, self._pinged)
            self._pinged = None

    def knows(self, turn_id: str | None) -> bool:
        """Whether a place in this turn is one in the count; None: the turn that is sent now."""
        return turn_id is None or turn_id in self._bases

    def received(self, turn_id: str | None, seq: int) -> bool:
        """The client has this event, and all before it; False if it has not been sent.

        Args:
            turn_id: None: the turn that is sent now. Of turns before the last two nothing is known, and nothing held
                against the client.
            seq: of the event.

        """
        if not self._bases:
            return seq < 0
        if turn_id is None:
            turn_id = next(reversed(self._bases))
        base = self._bases.get(turn_id)
        if base is None:
            return True
        place = base + seq + 1
        if place > self._sent:
            return False
        self._known = max(self._known, place)
        return True
