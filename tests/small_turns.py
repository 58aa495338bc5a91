"""The turns that the suite explores: small ones, chosen so that together they take every way through the engine."""

from __future__ import annotations

from functools import cache

from exploration.bounds import TOOL, Bounds
from exploration.explore import Exploration, explore

__all__ = ["CROWDED", "NARROW", "NOTHING", "ONE", "QUEUED", "TURNS", "explored"]

NOTHING = Bounds(())
ONE = Bounds(("a.",))
QUEUED = Bounds(("a.",), queued=True)
NARROW = Bounds(("a.b.",), capacity=1, outbox=1)
"""Two sentences at once, where one has room."""
CROWDED = Bounds(("a.", "b."), capacity=1, outbox=1)
TURNS = (
    NOTHING,
    ONE,
    QUEUED,
    NARROW,
    CROWDED,
    Bounds(("a", TOOL, "b."), capacity=1, outbox=1),
    Bounds(("a.b.",), ahead=1, capacity=2, outbox=1),
    Bounds((), most_faults=2),
    Bounds(("a.",), most_faults=2, capacity=1, outbox=1),
)
"""One fault at every point; in the last two, two of them."""


@cache
def explored(bounds: Bounds) -> Exploration:
    """Return all that can happen within the bounds; the contract has been asserted in each state."""
    return explore(bounds)
