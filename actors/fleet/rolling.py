"""`Roll`: a restart that goes from node to node, so that the shared port is served all the while."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from actors.fleet.mail import NodeState

if TYPE_CHECKING:
    from actors.fleet.supervisor import FleetSupervisor, Node

__all__ = ["Roll"]


class Roll:
    """A restart that goes from node to node.

    Args:
        fleet: whose nodes they are.
        nodes: in their order.
        done: called with this and with None, or with what kept it from going on.

    """

    def __init__(self, fleet: FleetSupervisor, nodes: list[Node], done: Callable[[Roll, str | None], None]) -> None:
        self._fleet = fleet
        self._nodes = nodes
        self._done = done
        self._starting = False

    def give_up(self, why: str) -> None:
        """Take no further step."""
        self._done(self, why)

    def go_on(self) -> None:
        """Take the next step, if it is time for one."""
        while self._nodes:
            node = self._nodes[0]
            if self._starting:
                if node.state is NodeState.GIVEN_UP:
                    self._done(self, f"{node.name} did not come back")
                    return
                if node.state is not NodeState.SERVING:
                    return
                self._starting = False
                self._nodes.pop(0)
            elif node.state is NodeState.SERVING:
                self._fleet._drain(node)
                return
            elif node.state in (NodeState.DRAINED, NodeState.GIVEN_UP):
                self._starting = True
                node.policy.forgive()  # somebody starts it by hand
                self._fleet._launch(node)
                return
            else:  # it starts or drains: it will be heard of
                return
        self._done(self, None)
