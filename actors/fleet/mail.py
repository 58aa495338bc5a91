"""The messages of the control plane: plain data, pickled by Thespian. None carries a secret or a token of a turn.

Three parties: the outside (the commands of `antiphon fleet`, and the leader), the supervisor, the nodes. What the
outside asks about one connection the supervisor passes on to its node (`Passed`), which answers the asker itself.
Questions have a number (`Ask`, `Answer`), so that an answer that comes late is not taken for that of the next one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from protocol.errors import AntiphonError

__all__ = [
    "Answer",
    "Ask",
    "AskStatus",
    "Asker",
    "ConnectionReport",
    "Drain",
    "Drained",
    "Elsewhere",
    "Find",
    "FleetStatus",
    "Found",
    "Greeting",
    "Interrupt",
    "Interrupted",
    "LaunchNode",
    "LookUp",
    "Moved",
    "NodeFailed",
    "NodeReport",
    "NodeServing",
    "NodeState",
    "NodeStatus",
    "Passed",
    "Plan",
    "Refused",
    "Report",
    "RestartNodes",
    "Restarted",
    "StartFleet",
    "Started",
    "StopFleet",
    "Stopped",
    "TurnReport",
    "accepted",
    "addressed",
]


class NodeState(StrEnum):
    """Where a node stands."""

    STARTING = "starting"
    SERVING = "serving"
    UNRESPONSIVE = "unresponsive"
    """Its process is there, and does not answer."""
    DRAINING = "draining"
    """Takes nobody new; its turns may finish."""
    DRAINED = "drained"
    """Ended because somebody wanted it to."""
    WAITING = "waiting"
    """Died, and will be started again in a moment."""
    GIVEN_UP = "given_up"
    """Died too often."""


@dataclass(frozen=True)
class Plan:
    """What the nodes of a host serve. Limits and secrets are not in it: each reads them from its environment."""

    address: str
    """As people write it, with `http://`."""
    host: str
    port: int
    agent: str
    tokens_per_second: float
    nodes: int
    name: str
    """Of the nodes: `name-1`, `name-2` …"""
    control: str
    """Where the control plane of this host is, `host:port`."""
    join: str | None
    """Another host's control plane, `host:port`."""
    advertised: str
    """The host by which the nodes of other hosts reach these."""
    drain_seconds: float
    leader: int
    """The leader's process."""
    verbose: bool = False


@dataclass(frozen=True)
class NodeStatus:
    """One node, as `fleet status` shows it."""

    name: str
    state: NodeState
    pid: int | None
    address: str | None
    """Its own, beside the shared one."""
    connections: int
    restarts: int
    figures: Mapping[str, int] = field(default_factory=dict)
    """Of its turns, since it was started."""
    last_failure: str | None = None


# From the outside to the supervisor, and its answers.


@dataclass(frozen=True)
class StartFleet:
    """Start all nodes; `Started` once all serve."""

    plan: Plan


@dataclass(frozen=True)
class Started:
    """All serve. The processes of the supervisor, and of Thespian's admin."""

    pid: int
    admin: int


@dataclass(frozen=True)
class AskStatus:
    """How is it going?"""


@dataclass(frozen=True)
class FleetStatus:
    """The answer."""

    address: str
    leader: int
    supervisor: int
    admin: int
    """These three are processes."""
    drain_seconds: float
    """How long its nodes let turns go on when they end."""
    others: tuple[str, ...]
    """The control planes of other hosts that are in touch with this one."""
    nodes: tuple[NodeStatus, ...]
    connections: int
    figures: Mapping[str, int]
    """The sums over all nodes."""


@dataclass(frozen=True)
class Drain:
    """Let a node's turns finish, then end it; `Drained`. To the supervisor with its name."""

    node: str = ""


@dataclass(frozen=True)
class Drained:
    """It has ended."""

    node: str


@dataclass(frozen=True)
class RestartNodes:
    """Drain these, one after the other, and start each again before the next; all if none is named."""

    nodes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Restarted:
    """They serve again."""

    nodes: tuple[str, ...]


@dataclass(frozen=True)
class Interrupt:
    """Interrupt what a connection says."""

    connection_id: str
    reason: str = "operator"


@dataclass(frozen=True)
class Interrupted:
    """So many turns were; from the node itself."""

    connection_id: str
    node: str
    turns: int


@dataclass(frozen=True)
class LookUp:
    """What do you know of a connection, and of this turn of it? `ConnectionReport`."""

    connection_id: str
    turn_id: str | None = None


@dataclass(frozen=True)
class TurnReport:
    """A turn's ledger."""

    turn_id: str
    status: str
    reason: str | None
    generated_text: str
    delivered_text: str
    played_text: str


@dataclass(frozen=True)
class ConnectionReport:
    """A connection, from its node."""

    connection_id: str
    node: str
    address: str
    """Of the node."""
    user_id: str
    attached: bool
    """Whether it has a socket; otherwise its client is waited for."""
    turns: tuple[TurnReport, ...]
    """The last ones, or the one that was asked for; those whose retention is over are not known any more."""


@dataclass(frozen=True)
class Find:
    """Where is a connection? `Found`, or a refusal if nobody knows of it."""

    connection_id: str


@dataclass(frozen=True)
class Found:
    """At the node of this address; None: it died with its node."""

    address: str | None


@dataclass(frozen=True)
class StopFleet:
    """Drain all nodes and end them; `Stopped`."""

    at_once: bool = False


@dataclass(frozen=True)
class Stopped:
    """Every node has ended, or is about to: these were their processes."""

    pids: tuple[int, ...]


@dataclass(frozen=True)
class Refused:
    """It cannot be done. `code` is that of an error in `protocol.errors`, `message` its sentence."""

    code: str
    message: str


# From the supervisor to a node, and its answers.


@dataclass(frozen=True)
class LaunchNode:
    """The first message: serve. `NodeServing`, or `NodeFailed`."""

    name: str
    plan: Plan


@dataclass(frozen=True)
class NodeServing:
    """It serves."""

    name: str
    pid: int
    address: str


@dataclass(frozen=True)
class NodeFailed:
    """It cannot serve, and ends."""

    name: str
    message: str


@dataclass(frozen=True)
class Report:
    """How are you? `survey` comes back in the `NodeReport`."""

    survey: int


@dataclass(frozen=True)
class NodeReport:
    """The figures of a node."""

    name: str
    survey: int
    connections: int
    figures: Mapping[str, int]


@dataclass(frozen=True)
class Moved:
    """Connections that a node has opened and ended, for the directory."""

    name: str
    opened: tuple[str, ...]
    ended: tuple[str, ...]


@dataclass(frozen=True)
class Passed:
    """What somebody outside asks a node about one of its connections; answered to `asker`."""

    asker: Any
    request: Interrupt | LookUp


@dataclass(frozen=True)
class Ask:
    """A question with a number: from outside, from a node, or from another host's supervisor."""

    number: int
    question: Any


@dataclass(frozen=True)
class Greeting:
    """From a supervisor to that of another host: here I am."""

    host: str
    """Where the control plane of its host is, `host:port`."""


@dataclass(frozen=True)
class Elsewhere:
    """What another host's supervisor is asked; it may ask others as many `hops` further."""

    question: Any
    hops: int


@dataclass(frozen=True)
class Answer:
    """The answer to the `Ask` of that number."""

    number: int
    answer: Any


@dataclass(frozen=True)
class Asker:
    """Whoever sent an `Ask`, in the place of the address alone."""

    address: Any
    number: int


def addressed(asker: Any, answer: Any) -> tuple[Any, Any]:
    """Return to whom an answer goes, and what is sent there."""
    return (asker.address, Answer(asker.number, answer)) if isinstance(asker, Asker) else (asker, answer)


def accepted(answer: Any) -> Any:
    """Return an answer that is none of the refusals.

    Raises:
        AntiphonError: it is one; the error that says why.

    """
    if isinstance(answer, Refused):
        raise _REFUSALS.get(answer.code, AntiphonError)(answer.message)
    return answer


_REFUSALS = {error.code: error for error in AntiphonError.__subclasses__() if "__init__" not in vars(error)}
"""By code; those that take a message. A host of another version may know of others."""
