"""A turn: its status, the snapshot that a caller gets, and the whole logic of its life as one table.

All that decides how a turn goes stands in `TRANSITIONS`: phase → input → next phase and effects. The machine has
no clock, no actor and no text; the Turn actor feeds it inputs and carries out its effects, and a test explores
every order in which inputs can come. An input that a phase does not list changes nothing: it came late.

Theory of operation. Two things must be in before the end may be sent, and they come from two actors: the
Producer's word that the agent is done, and the Chunker's word that the *final* flush has been taken by the
Emitter. They arrive in either order (DRAINING, FLUSHED). Then the Emitter is sent the end and says when it has
placed it behind the last chunk (ENDING → CLOSING). The turn is over when a reader was handed that end: until then
it can be interrupted. An interrupt goes straight to OVER, wherever the turn stands; a child that dies takes the short
way to CLOSING, because what it held is lost and what is in the outbox can still be delivered. (A turn that waits for
another has no machine yet, and its record alone is interrupted.)
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from protocol.errors import FailureCode

__all__ = [
    "TRANSITIONS",
    "ConversationTurn",
    "Effect",
    "Failure",
    "Input",
    "Phase",
    "Step",
    "TurnMachine",
    "TurnStatus",
]


class TurnStatus(StrEnum):
    """Where a turn stands. It only ever moves down this list, and to one of the last three once."""

    PENDING = "pending"
    """Waits for the turn before it."""
    PROCESSING = "processing"
    """Active, until its `stream_end` has been handed over."""
    COMPLETED = "completed"
    INTERRUPTED = "interrupted"
    FAILED = "failed"

    @property
    def finished(self) -> bool:
        """Whether nothing can change any more."""
        return self in _FINISHED


_FINISHED = frozenset({TurnStatus.COMPLETED, TurnStatus.INTERRUPTED, TurnStatus.FAILED})


class Failure(NamedTuple):
    """Why a turn fails: a stable code, and a sentence for people."""

    code: FailureCode
    message: str


class Phase(StrEnum):
    """Where the machine is; finer than `TurnStatus`."""

    QUEUED = "waits for its start"
    STREAMING = "the agent writes"
    STOPPING = "the agent was told to stop"
    DRAINING = "the agent is done, its last text is not through yet"
    FLUSHED = "the last text is through, the Producer has not reported yet"
    ENDING = "the end is on its way to the Emitter"
    CLOSING = "the end is in the outbox, nobody has read it yet"
    OVER = "over"


class Input(StrEnum):
    """What can happen to a turn."""

    START = "it is this turn's time to speak"
    AGENT_DONE = "the Producer will send nothing more"
    FINAL_FLUSH_TAKEN = "the Emitter has taken all that the final flush gave"
    PART_FLUSH_TAKEN = "the same for a flush that is not final"
    TIME_OUT = "the Supervisor found the agent stalled, or past the turn's deadline"
    CHILD_DIED = "a child failed or was killed"
    INTERRUPT = "somebody interrupted the turn"
    END_PLACED = "the Emitter has put the end behind the last chunk"
    END_TAKEN = "a reader was handed the end"


class Effect(StrEnum):
    """What the Turn actor has to do."""

    START_CHILDREN = "start Emitter, Chunker and Producer"
    STOP_AGENT = "tell the Producer to end the agent's stream and flush"
    SEND_END = "send the Emitter the end"
    SEAL = "put the end behind what is in the outbox already"
    STOP_CHILDREN = "stop what is left of the children, the last started first"


class Step(NamedTuple):
    """A row's right side: where the machine goes, and what is to be done, in this order."""

    phase: Phase
    effects: tuple[Effect, ...] = ()


_CUT = Step(Phase.OVER, (Effect.STOP_CHILDREN,))
_BROKEN = Step(Phase.CLOSING, (Effect.SEAL, Effect.STOP_CHILDREN))

TRANSITIONS: dict[Phase, dict[Input, Step]] = {
    Phase.QUEUED: {
        Input.START: Step(Phase.STREAMING, (Effect.START_CHILDREN,)),
    },
    Phase.STREAMING: {
        Input.AGENT_DONE: Step(Phase.DRAINING),
        Input.FINAL_FLUSH_TAKEN: Step(Phase.FLUSHED),
        Input.TIME_OUT: Step(Phase.STOPPING, (Effect.STOP_AGENT,)),
        Input.CHILD_DIED: _BROKEN,
        Input.INTERRUPT: _CUT,
    },
    Phase.STOPPING: {
        Input.AGENT_DONE: Step(Phase.DRAINING),
        Input.FINAL_FLUSH_TAKEN: Step(Phase.FLUSHED),
        Input.CHILD_DIED: _BROKEN,
        Input.INTERRUPT: _CUT,
    },
    Phase.DRAINING: {
        Input.FINAL_FLUSH_TAKEN: Step(Phase.ENDING, (Effect.SEND_END,)),
        Input.CHILD_DIED: _BROKEN,
        Input.INTERRUPT: _CUT,
    },
    Phase.FLUSHED: {
        Input.AGENT_DONE: Step(Phase.ENDING, (Effect.SEND_END,)),
        Input.CHILD_DIED: _BROKEN,
        Input.INTERRUPT: _CUT,
    },
    Phase.ENDING: {
        # Not END_TAKEN: before a reader can be handed the end, END_PLACED is in the Turn's mailbox.
        Input.END_PLACED: Step(Phase.CLOSING, (Effect.STOP_CHILDREN,)),
        Input.CHILD_DIED: _BROKEN,
        Input.INTERRUPT: _CUT,
    },
    Phase.CLOSING: {
        Input.END_TAKEN: Step(Phase.OVER),
        Input.INTERRUPT: Step(Phase.OVER),
    },
    Phase.OVER: {},
}


@dataclass(slots=True)
class TurnMachine:
    """A turn's progress through `TRANSITIONS`, and the first failure that was reported."""

    phase: Phase = Phase.QUEUED
    failure: Failure | None = None

    def feed(self, event: Input, failure: Failure | None = None) -> tuple[Effect, ...]:
        """Take one input; return what must be done now, in order.

        Args:
            event: what happened.
            failure: why the turn fails, where the input says so. The first one counts; later ones, and any that
                comes when the outcome is already on its way to the client, are ignored.

        """
        step = TRANSITIONS[self.phase].get(event)
        if step is None:
            return ()
        if self.failure is None and event is not Input.INTERRUPT:
            self.failure = failure
        self.phase = step.phase
        return step.effects

    @property
    def outcome(self) -> TurnStatus:
        """What the turn ends as when nobody interrupts it."""
        return TurnStatus.FAILED if self.failure else TurnStatus.COMPLETED


class ConversationTurn(BaseModel):
    """A turn as it was at one moment: `get_turn()`, `get_active_turns()`, and what `on_turn_finished` is given.

    `delivered_text` and `played_text` are prefixes of `generated_text`, the agent's own text: whoever cuts a chat
    history after an interrupt cuts it there.
    """

    model_config = ConfigDict(frozen=True)

    turn_id: str
    connection_id: str
    session_id: str
    user_id: str
    user_input: str
    trace_id: str
    status: TurnStatus
    reason: str | None
    """Of the end: `completed`, the reason of the interrupt, or a failure code. None before the end."""
    error_code: FailureCode | None
    error: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    """When its end was decided for everybody: the interrupt, or the hand-over of `stream_end`. UTC."""
    generated_text: str
    """All that the agent wrote."""
    delivered_text: str
    """The part up to the end of the last chunk that was handed over."""
    played_text: str
    """The part up to the end of the last chunk that `mark_played()` acknowledged."""
    tokens: int
    """How many pieces of text the agent gave."""
    chunks: int
    """How many chunks were handed over."""
    skipped_events: int
    """How many things the agent yielded that were no events."""
    removed: dict[str, int]
    """Characters that were not spoken, by the rule that removed them."""
    abandoned: tuple[str, ...]
    """Names of tasks and threads of this turn that did not stop in time."""

    @property
    def conversation_id(self) -> str:
        """The other name of `session_id`."""
        return self.session_id
