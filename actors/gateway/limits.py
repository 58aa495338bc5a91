"""Counting: how often something may happen, and how many there may be. Plain objects that are told the time."""

from __future__ import annotations

from collections import Counter, OrderedDict

__all__ = ["Allowance", "Attempts", "Heads"]


class Allowance:
    """So much a minute, and as much at once after a quiet minute (a token bucket)."""

    __slots__ = ("_at", "_left", "_per_minute")

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._left = float(per_minute)
        self._at: float | None = None

    def take(self, now: float) -> bool:
        """Whether one more may happen now; it is counted."""
        if self._at is not None:
            self._left = min(self._per_minute, self._left + (now - self._at) * self._per_minute / 60)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Attempts:
    """Failures by address. Of the addresses only the last ones are known, so that it cannot be made to grow."""

    def __init__(self, per_minute: int, addresses: int = 10_000) -> None:
        self._per_minute = per_minute
        self._size = addresses
        self._failures: OrderedDict[str, list[float]] = OrderedDict()

    def exhausted(self, address: str, now: float) -> bool:
        """Whether this address has failed too often in the last minute."""
        recent = [at for at in self._failures.get(address, ()) if at > now - 60]
        return len(recent) >= self._per_minute

    def failed(self, address: str, now: float) -> None:
        """Count a failure."""
        recent = [at for at in self._failures.pop(address, ()) if at > now - 60]
        self._failures[address] = [*recent, now][-self._per_minute :]
        if len(self._failures) > self._size:
            self._failures.popitem(last=False)


class Heads:
    """How many there are: sockets, those that are not authorised, and connections by user."""

    def __init__(self) -> None:
        self.sockets = 0
        self.unauthorized = 0
        self._users: Counter[str] = Counter()

    def of(self, user: str) -> int:
        """How many connections a user has."""
        return self._users[user]

    def enter(self, user: str) -> None:
        """Count a connection of this user."""
        self._users[user] += 1

    def leave(self, user: str) -> None:
        """Count one less."""
        self._users[user] -= 1
        if self._users[user] <= 0:
            del self._users[user]
