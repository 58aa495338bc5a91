"""The messages between actors, and those that plain Pykka code may send to a connection.

Three kinds. *Requests* are asked of a Connection, by the facade or by `connection_ref.ask(...)`; they wait in line
like all data. *Token lane* messages travel Producer → Chunker → Emitter between the text they belong to. *Control*
messages do not stand in that line; a mailbox holds at most one of a kind from a sender, so they are bounded too.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from protocol.settings import Flow, OnBusy
from protocol.turn import Failure

__all__ = [
    "AgentDone",
    "AttachAgent",
    "Claim",
    "Cleanup",
    "CleanupCompleted",
    "Closed",
    "End",
    "EndPlaced",
    "EndTaken",
    "Flush",
    "FlushAck",
    "Forget",
    "Interrupt",
    "InterruptTurn",
    "InterruptTurns",
    "MarkPlayed",
    "Passed",
    "Pause",
    "ReaderGone",
    "Retain",
    "Settled",
    "Shutdown",
    "StartTurn",
    "StopAgent",
    "TaskLeft",
    "TimeOut",
    "Watch",
]


# Requests to a Connection.


class Claim:
    """What came of an order, for the one who gave it and may be cancelled before it is told."""

    __slots__ = ("turn_id", "withdrawn")

    def __init__(self) -> None:
        self.turn_id: str | None = None
        """The turn that was started."""
        self.withdrawn = False
        """Whether none is to be started any more."""


class StartTurn(NamedTuple):
    """Start a turn; the reply is its id. Raises `TurnActiveError`, `SystemClosedError`, `BadArgumentError`."""

    session_id: Any = ""
    user_input: Any = ""
    agent_stream: Any = None
    on_busy: OnBusy | None = None
    flow: Flow | None = None
    speech: Any = None
    turn_id: Any = None
    trace_id: Any = ""
    request_id: Any = ""
    context: Any = None
    """The `contextvars.Context` that the agent's stream runs in."""
    claim: Claim | None = None
    """Lets whoever asks take the order back."""


class AttachAgent(NamedTuple):
    """Give a turn its agent stream. Raises `TurnNotFoundError`, `TurnFinishedError`, `AgentAttachedError`."""

    turn_id: str
    agent_stream: Any


class InterruptTurn(NamedTuple):
    """Interrupt a turn; the reply, when all of it has stopped or was abandoned, is whether this ended it."""

    turn_id: str
    reason: str = "interrupted"


class InterruptTurns(NamedTuple):
    """The same for every turn that is active or waits; the reply is how many this ended."""

    reason: str = "interrupted"


class MarkPlayed(NamedTuple):
    """The client has played the chunk `seq`, or so much of it. Raises `TurnNotFoundError`, `BadAckError`."""

    turn_id: str
    seq: int
    chars: int | None = None


class Cleanup(NamedTuple):
    """Interrupt a turn if it is active, and forget it; `None` means every turn. The reply is how many were there."""

    turn_id: str | None = None
    reason: str = "cleanup"


class CleanupCompleted(NamedTuple):
    """Forget turns that finished at least so many seconds ago (None: the retention). The reply is how many."""

    max_age_seconds: float | None = None


class Shutdown(NamedTuple):
    """Interrupt all turns, take no new one; the reply, when all have stopped, is how many were interrupted."""

    reason: str = "shutdown"


# Token lane.


class Flush(NamedTuple):
    """Speak what is buffered: all of it (final), or what is certain. Answered by one `FlushAck` to the Turn."""

    id: int
    final: bool


class Passed(NamedTuple):
    """An agent event on its way to the client, in its place in the text."""

    event: dict[str, Any]


class End(NamedTuple):
    """Turn → Emitter, behind the last chunk: the turn ends, as failed if there is a failure."""

    failure: Failure | None


# Control.


class FlushAck(NamedTuple):
    """Chunker → Turn: the Emitter has taken all that the flush gave."""

    id: int
    final: bool
    chunks: int


class AgentDone(NamedTuple):
    """Producer → Turn: the agent's stream is closed; why, if it went wrong."""

    failure: Failure | None


class EndPlaced(NamedTuple):
    """Emitter → Turn: the end stands behind the last chunk."""


class EndTaken(NamedTuple):
    """A reader was handed the `stream_end` of this turn (to the Connection, which tells the Turn)."""

    turn_id: str


class Interrupt(NamedTuple):
    """Connection → Turn: the turn has been interrupted."""


class StopAgent(NamedTuple):
    """Turn → Producer: end the agent's stream, for this reason, and flush."""

    failure: Failure


class Pause(NamedTuple):
    """Supervisor → Turn → Producer: the agent pauses; have what is certain spoken."""


class TimeOut(NamedTuple):
    """Supervisor → Turn: the agent took too long."""

    failure: Failure


class ReaderGone(NamedTuple):
    """Supervisor → Connection: nobody reads this turn any more."""

    turn_id: str


class Watch(NamedTuple):
    """Connection → Supervisor: a turn has started."""

    turn_id: str
    connection_id: str


class TaskLeft(NamedTuple):
    """To the Supervisor: a task was cancelled and has not ended; it has until its deadline."""

    left: Any


class Settled(NamedTuple):
    """To the Connection: no task of this turn runs any more, or what does was abandoned."""

    turn_id: str


class Retain(NamedTuple):
    """Connection → Supervisor: this turn has ended and is kept; say when its time is over."""

    connection_id: str
    turn_id: str


class Closed(NamedTuple):
    """To the Supervisor: this connection is closed, and what it kept is forgotten."""

    connection_id: str


class Forget(NamedTuple):
    """Supervisor → Connection: forget the finished turns whose retention is over by `now`, on the system's clock."""

    now: float
