"""`Outcome`: how a scenario went, and what was measured on the way."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field

from actors.testing.checker import Violation
from actors.testing.scenario import Scenario

__all__ = ["Figures", "Outcome"]


@dataclass
class Figures:
    """What was measured, in seconds and in numbers."""

    outcomes: Counter[str] = field(default_factory=Counter)
    """Turns by status and reason."""
    events: int = 0
    latency: array[float] = field(default_factory=lambda: array("d"))
    """From the token that made a chunk certain to the chunk's hand-over, for clients that read at once."""
    first_chunk: array[float] = field(default_factory=lambda: array("d"))
    """From the start of a turn to its first chunk."""
    interrupts: array[float] = field(default_factory=lambda: array("d"))
    """How long `interrupt_turn()` took."""

    def add(self, other: Figures) -> None:
        """Add what was measured elsewhere."""
        self.outcomes.update(other.outcomes)
        self.events += other.events
        self.latency.extend(other.latency)
        self.first_chunk.extend(other.first_chunk)
        self.interrupts.extend(other.interrupts)


@dataclass
class Outcome:
    """How a scenario went."""

    scenario: Scenario
    violations: list[Violation] = field(default_factory=list)
    figures: Figures = field(default_factory=Figures)
    turns: int = 0
    trace: list[str] = field(default_factory=list)
    """The last messages, if they were asked for."""
