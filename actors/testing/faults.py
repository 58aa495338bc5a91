"""`Faults`: the faults of a scenario that concern its whole system, made to happen when they are due."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors import ConversationSystem, ConversationTurn
    from actors.runtime import EngineActor
    from actors.testing.scenario import TurnPlan

__all__ = ["Faults"]


class Faults:
    """Carries out the faults of scenarios that concern the whole system; who is killed dies at the `tap`.

    Args:
        system: theirs.
        watch: is told whether the tap is needed, whenever that may have changed.

    """

    def __init__(self, system: ConversationSystem, watch: Callable[[bool], None] = lambda _armed: None) -> None:
        self._watch = watch
        self._kills: dict[tuple[str, str], int] = {}
        """How many messages an actor has left, by its kind and the id that it belongs to."""
        self._listeners: set[str] = set()
        system.on_turn_finished(self._listen)
        system.on_turn_finished(self._listen_later)

    def prepare(self, turn_id: str, connection_id: str, plan: TurnPlan) -> None:
        """Arm what a turn's plan asks for."""
        fault = plan.fault
        if fault is None:
            return
        if fault.kind == "kill":
            owner = {"supervisor": "", "connection": connection_id}.get(fault.target, turn_id)
            self._kills[fault.target, owner] = fault.at
            self._watch(True)
        elif fault.kind == "listener":
            self._listeners.add(turn_id)

    def forget(self, owner: str) -> None:
        """Call off what is still armed for a turn or connection that is over."""
        self._listeners.discard(owner)
        for key in [key for key in self._kills if key[1] == owner]:
            del self._kills[key]
        self._watch(bool(self._kills))

    def tap(self, actor: EngineActor, _mail: Any) -> None:
        """Kill the actor if this message is one too many for it."""
        if not self._kills:
            return
        owner = ""
        if actor.kind == "connection":
            owner = actor.roster.connection_id  # type: ignore[attr-defined]
        elif actor.kind != "supervisor":
            owner = actor.record.turn_id  # type: ignore[attr-defined]
        left = self._kills.get((actor.kind, owner))
        if left is None:
            return
        if left > 1:
            self._kills[actor.kind, owner] = left - 1
        else:
            del self._kills[actor.kind, owner]
            self._watch(bool(self._kills))
            actor.kill()

    def _listen(self, turn: ConversationTurn) -> None:
        if turn.turn_id in self._listeners:
            raise RuntimeError("a listener was told to fail")

    async def _listen_later(self, turn: ConversationTurn) -> None:
        await asyncio.sleep(0)
        self._listen(turn)
