"""`TurnHistory`: all that was seen of one turn from outside, in the order in which it was seen.

Whoever drives a turn writes it down here (`RecordingClient` does); the rules of the contract read it. Nothing here
judges.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from protocol.speech import RemovedSpan, SpeechChunk
    from protocol.turn import ConversationTurn, TurnStatus

__all__ = [
    "HandedOver",
    "Interrupted",
    "Interrupting",
    "IterationOver",
    "Opened",
    "Said",
    "Seen",
    "TurnHistory",
    "Witness",
]


class Said(Protocol):
    """An agent that knows what it has said: `ScriptedAgent`, or one of a user's own."""

    @property
    def text(self) -> str:
        """All text that was yielded so far."""

    @property
    def running(self) -> bool:
        """Whether its code runs, or waits to go on."""

    @property
    def beside(self) -> Sequence[tuple[int, Any]]:
        """What was yielded beside text, each with the length of the text before it. Need not be there."""


class Opened(NamedTuple):
    """A reader began to read."""

    at: float
    after_seq: int | None


class HandedOver(NamedTuple):
    """A reader got an event."""

    at: float
    event: dict[str, Any]


class Interrupting(NamedTuple):
    """`interrupt_turn()` was called."""

    at: float


class Interrupted(NamedTuple):
    """`interrupt_turn()` has returned."""

    at: float
    since: float
    """When it was called."""
    ended: bool
    """What it returned: whether this ended the turn."""
    agent_runs: bool
    """Whether the agent was still running."""
    abandoned: tuple[str, ...]


class Seen(NamedTuple):
    """Somebody looked how the turn stands."""

    at: float
    status: TurnStatus
    reason: str | None


class IterationOver(NamedTuple):
    """A reader's iteration came to its end."""

    at: float


Entry = Opened | HandedOver | Interrupting | Interrupted | Seen | IterationOver


@dataclass(eq=False)
class TurnHistory:
    """One turn, as seen from outside.

    Args:
        turn_id, connection_id: whose history it is; the id of a turn that is being started may come later.
        agent: what its agent has said, where that is known.
        faulty: whether anything was done to make it fail; None: not known.
        harmed: whether something was done to its actors, so that text may be lost between them when it fails.

    """

    turn_id: str
    connection_id: str
    agent: Said | None = None
    faulty: bool | None = None
    harmed: bool = False
    log: list[Entry] = field(default_factory=list)
    witness: Witness | None = None
    """Of its speech pipeline, where one was asked for."""
    last: ConversationTurn | None = None
    """How it stood when it was last looked at in full."""

    def speech(self, factory: Callable[[], Any]) -> Callable[[], Any]:
        """Return a speech factory for this turn whose pipeline is witnessed."""

        def witnessed() -> Witness:
            self.witness = Witness(factory())
            return self.witness

        return witnessed

    def events(self) -> list[dict[str, Any]]:
        """Return each event once, in the order in which it was handed over for the first time."""
        events = []
        top = -1
        for entry in self.log:
            if type(entry) is HandedOver and entry.event["seq"] > top:
                top = entry.event["seq"]
                events.append(entry.event)
        return events


class Witness:
    """Stands before a speech pipeline and notes what goes in and what comes out.

    Attributes:
        fed: the texts, as they came.
        chunks: what came out, in order.
        removed: what it said it had removed between the chunks.
        flushes: for each flush, how many characters had been fed, and how many chunks had come out after it.

    """

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline
        self.fed: list[str] = []
        self.chunks: list[SpeechChunk] = []
        self.removed: list[RemovedSpan] = []
        self.flushes: list[tuple[int, int]] = []
        self._length = 0

    def feed(self, text: str) -> list[SpeechChunk]:
        """Feed the pipeline."""
        self.fed.append(text)
        self._length += len(text)
        chunks: list[SpeechChunk] = self._pipeline.feed(text)
        self.chunks.extend(chunks)
        return chunks

    def flush(self, final: bool = True) -> list[SpeechChunk]:
        """Flush the pipeline."""
        chunks: list[SpeechChunk] = self._pipeline.flush(final)
        self.chunks.extend(chunks)
        self.flushes.append((self._length, len(self.chunks)))
        return chunks

    def take_removed(self) -> list[RemovedSpan]:
        """Take what the pipeline has removed."""
        removed: list[RemovedSpan] = self._pipeline.take_removed()
        self.removed.extend(removed)
        return removed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipeline, name)  # `attention`, where there is one
