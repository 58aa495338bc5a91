"""How small a world is that a turn is explored in: what its agent gives, what may go wrong, how much fits where."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import ClassVar

from protocol.speech import RemovedSpan, SpeechChunk

__all__ = ["TOOL", "Bounds", "Fault", "Mark", "Sentences"]


class Fault(StrEnum):
    """What can be injected, each once. A pause harms nobody: it makes a flush that is not final."""

    INTERRUPT = "interrupt"
    AGENT_RAISES = "agent raises"
    STALL = "stall"
    DEADLINE = "deadline"
    PAUSE = "pause"
    KILL_PRODUCER = "kill producer"
    KILL_CHUNKER = "kill chunker"
    KILL_EMITTER = "kill emitter"
    KILL_TURN = "kill turn"
    KILL_CONNECTION = "kill connection"

    @property
    def victim(self) -> str:
        """The actor that it kills, or nothing."""
        return self.value.removeprefix("kill ") if self.value.startswith("kill ") else ""


class Mark(Enum):
    """What stands in a lane or in the outbox beside text and chunks."""

    START = "stream_start"
    TOOL = "tool_call"
    ERROR = "error"
    END = "stream_end"

    __hash__ = object.__hash__  # an Enum's own is slow, and states are looked up by the million


TOOL = Mark.TOOL
"""In an agent's stream: it calls a tool. That flushes, not finally, and reaches the client in its place."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The size of a world.

    Attributes:
        stream: what the agent gives: text, and `TOOL`. Text without a full stop is gathered.
        faults: what may be injected.
        most_faults: how many of them in one schedule.
        capacity: of each token lane.
        outbox: how many entries wait for the reader.
        ahead: how many chunks are handed over ahead of what was played; None: as many as are read.
        queued: begin while the turn waits for the one before it.

    """

    stream: tuple[str | Mark, ...]
    faults: frozenset[Fault] = frozenset(Fault)
    most_faults: int = 1
    capacity: int = 100
    outbox: int = 16
    ahead: int | None = None
    queued: bool = False

    def __str__(self) -> str:
        stream = " ".join("TOOL" if item is TOOL else repr(item) for item in self.stream) or "nothing"
        lanes = "" if self.capacity == 100 else f", lanes {self.capacity}, outbox {self.outbox}"
        flow = "" if self.ahead is None else f", {self.ahead} ahead of what was played"
        queued = ", queued" if self.queued else ""
        return f"{stream}{lanes}{flow}{queued}, {self.most_faults} of {len(self.faults)} faults"


class Sentences:
    """A speech pipeline of one rule: a sentence ends at a full stop. The last one is held until more text follows."""

    attention: ClassVar[re.Pattern[str]] = re.compile(r"\.")

    def __init__(self, held: str = "", start: int = 0) -> None:
        self.held = held
        self.start = start

    def feed(self, text: str) -> list[SpeechChunk]:
        """Return the sentences that something follows."""
        *whole, self.held = re.findall(r"[^.]*\.|[^.]+", self.held + text)
        return [self._chunk(sentence) for sentence in whole]

    def flush(self, final: bool = True) -> list[SpeechChunk]:  # noqa: ARG002 - a pipeline's interface
        """Return what is held."""
        held, self.held = self.held, ""
        return [self._chunk(held)] if held else []

    def take_removed(self) -> list[RemovedSpan]:
        """Return nothing: nothing is removed."""
        return []

    def _chunk(self, text: str) -> SpeechChunk:
        start, self.start = self.start, self.start + len(text)
        return SpeechChunk(text, start, self.start)
