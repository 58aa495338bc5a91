"""How often, and how soon, a node that died is started again."""

from __future__ import annotations

from collections import deque

__all__ = ["RestartPolicy"]


class RestartPolicy:
    """At once after a long life, ever later when it keeps dying, and in the end not at all.

    Args:
        most: so many deaths within `seconds` are borne; with one more it is given up.
        seconds: see `most`.
        first_delay, longest_delay: before the second start in a row, doubled for each further one up to the longest.

    """

    def __init__(
        self, most: int = 5, seconds: float = 60.0, first_delay: float = 0.25, longest_delay: float = 5.0
    ) -> None:
        self.most = most
        self.seconds = seconds
        self._first = first_delay
        self._longest = longest_delay
        self._deaths: deque[float] = deque()

    def died(self, now: float) -> float | None:
        """Note a death; return how long to wait before the next start, None: give it up."""
        while self._deaths and now - self._deaths[0] > self.seconds:
            self._deaths.popleft()
        self._deaths.append(now)
        deaths = len(self._deaths)
        if deaths > self.most:
            return None
        return 0.0 if deaths == 1 else min(self._longest, self._first * 2.0 ** (deaths - 2))

    def forgive(self) -> None:
        """Forget the deaths: somebody starts it by hand."""
        self._deaths.clear()
