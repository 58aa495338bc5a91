"""`here()`: the fleet, for an application's own code that runs in one of its nodes, as its agent does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.fleet.mail import AskStatus, ConnectionReport, FleetStatus, Interrupt, Interrupted, LookUp

if TYPE_CHECKING:
    from actors.fleet.serving import NodeServer

__all__ = ["Here", "here", "this_is"]

_here: list[Here] = []


def here() -> Here | None:
    """Return the node that this process is; None if it is none."""
    return _here[0] if _here else None


def this_is(server: NodeServer) -> None:
    """Let this process be a node."""
    _here[:] = [Here(server)]


class Here:
    """A node, and what can be asked from it. Await its methods in the node's own loop, where agents run.

    Each raises `FleetTimeoutError` when there is no answer.
    """

    def __init__(self, server: NodeServer) -> None:
        self._server = server

    @property
    def node(self) -> str:
        """The name of this node."""
        return self._server.name

    async def status(self) -> FleetStatus:
        """Return how the fleet is."""
        status: FleetStatus = await self._server.ask(AskStatus())
        return status

    async def look_up(self, connection_id: str, turn_id: str | None = None) -> ConnectionReport:
        """Return what is known of a connection, on whichever node it is: its last turns, or this one.

        Raises:
            FleetConnectionNotFoundError: no node has it.

        """
        report: ConnectionReport = await self._server.ask(LookUp(connection_id, turn_id))
        return report

    async def interrupt(self, connection_id: str, reason: str = "operator") -> int:
        """Interrupt the turns of a connection, on whichever node it is; return how many.

        Raises:
            FleetConnectionNotFoundError: no node has it.

        """
        done: Interrupted = await self._server.ask(Interrupt(connection_id, reason))
        return done.turns
