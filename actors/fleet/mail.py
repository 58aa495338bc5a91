"""The messages of the control plane: plain data, pickled by Thespian. None carries a secret or a token of a turn.

Three parties: the outside (the commands of `antiphon fleet`, and the leader), the supervisor, the nodes. What the
outside asks about one connection the supervisor passes on to its node (`Passed`), which answers the asker itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

__all__ = [
    "AskStatus",
    "Drain",
    "Drained",
    "FleetStatus",
    "Interrupt",
    "Interrupted",
    "LaunchNode",
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
    request: Interrupt
