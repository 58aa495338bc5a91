"""`ContractChecker`: holds every turn of a system, and the system itself, to the contract.

It is told what happens (`RecordingClient` tells it) and looks at the rest itself. The rules are in `contract`; here
they are applied, and what they find is collected.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from actors.testing.contract import SYSTEM_RULES, TURN_RULES, Point, bounds_of_actor
from actors.testing.leaks import left_behind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from actors import ConversationSystem
    from actors.context import EngineContext
    from actors.runtime import EngineActor
    from actors.testing.history import TurnHistory

__all__ = ["ContractChecker", "ContractViolationError", "Violation"]

SLACK = 0.05
"""How many seconds after its time something may come, on a loop that is not busy."""

SETTLE_BEYOND = 1_000
"""Of how many turns it is remembered how often their outcome was told, before those are forgotten that are gone."""


class Violation(NamedTuple):
    """A point of the contract that was not kept."""

    point: Point
    subject: str
    """The turn, connection or system."""
    what: str

    def __str__(self) -> str:
        return f"{self.point.value}: {self.subject}: {self.what}"


class ContractViolationError(AssertionError):
    """The contract was not kept.

    Args:
        violations: what was found.

    """

    def __init__(self, violations: Iterable[Violation]) -> None:
        self.violations = list(violations)
        super().__init__("\n".join(["the contract was not kept:", *map(str, self.violations)]))


class ContractChecker:
    """Checks one system from its start to its end: `async with ContractChecker(system) as checker`.

    Make it when the system has been started; leave it when the system has been shut down. Leaving raises
    `ContractViolationError` where nothing else was raised.

    Args:
        system: the system.
        slack: seconds that something may be late; more on a machine that is busy, or where timers are made late.
        keep: how many violations are kept; a system that is broken finds no end of them.

    Attributes:
        violations: what was found so far.
        turns: how many turns were checked.

    """

    def __init__(self, system: ConversationSystem, *, slack: float = SLACK, keep: int = 100) -> None:
        self.violations: list[Violation] = []
        self.turns = 0
        self._system = system
        self._context: EngineContext = system.context
        self._settings = system.settings
        self._slack = slack
        self._keep = keep
        self._open: set[TurnHistory] = set()
        self._threads = set(threading.enumerate())
        self._told: Counter[str] = Counter()
        self._ended: Counter[str] = Counter()
        self._unregister: Callable[[EngineActor], None] = self._context.unregister
        setattr(self._context, "unregister", self._actor_ended)  # noqa: B010 - a method, for this one instance
        system.on_turn_finished(self._turn_finished)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: object
    ) -> None:
        await self.close()
        if exc is None:
            self.check()

    def check(self) -> None:
        """Raise `ContractViolationError` if anything was found so far."""
        if self.violations:
            raise ContractViolationError(self.violations)

    # Turns.

    def follow(self, history: TurnHistory) -> None:
        """Take in the history of a turn that begins; whoever drives the turn writes it."""
        self._open.add(history)

    def finish(self, history: TurnHistory) -> None:
        """Judge a turn of which no more will be seen."""
        if history not in self._open:
            return
        self._open.discard(history)
        self.turns += 1
        for point, rule in TURN_RULES.items():
            for what in rule(history, self._settings, self._slack):
                self.report(point, f"turn {history.turn_id}", what)
        if history.last is not None and history.last.status.finished:
            self._ended[history.turn_id] += 1

    def report(self, point: Point, subject: str, what: str) -> None:
        """Add a violation that was found elsewhere."""
        if len(self.violations) < self._keep:
            self.violations.append(Violation(point, subject, what))

    def _turn_finished(self, turn: Any) -> None:
        self._told[turn.turn_id] += 1

    # The system.

    def inspect(self) -> None:
        """Look at the system as it is now; call it in its loop, as often as seems good."""
        if len(self._told) > SETTLE_BEYOND:
            self._settle()
        for point, rule in SYSTEM_RULES.items():
            for what in rule(self._context, self._slack):
                self.report(point, "the system", what)

    def _settle(self) -> None:
        """Forget how often the outcome was told of turns that the system has forgotten, where that was right."""
        known = {turn_id for roster in self._context.rosters.values() for turn_id in roster.turns}
        known.update(history.turn_id for history in self._open)
        for turn_id in [name for name, told in self._told.items() if name not in known]:
            if self._ended[turn_id] in (0, self._told[turn_id]):  # 0: it was nobody's here
                del self._told[turn_id], self._ended[turn_id]

    def _actor_ended(self, actor: EngineActor) -> None:
        self._unregister(actor)
        for what in bounds_of_actor(actor):
            self.report(Point.BOUNDS, "the system", what)

    async def retire(self) -> None:
        """Wait until the retention of every turn is over, and look that nothing of them is left."""
        grace = self._settings.interrupt_wait_timeout + self._slack
        await asyncio.sleep(self._settings.turn_retention_seconds + grace)
        self.inspect()
        context = self._context
        for actor in tuple(context.registry.values()):
            if actor.kind not in ("supervisor", "connection"):
                self.report(Point.CLEANUP, "the system", f"{actor.actor_urn} is there after all retention")
        for roster in tuple(context.rosters.values()):
            for turn_id in roster.turns:
                self.report(Point.CLEANUP, f"turn {turn_id}", "it is there after all retention")
        for what in self._supervised():
            self.report(Point.CLEANUP, "the system", f"the Supervisor still watches {what}")

    async def retire_connection(self, connection_id: str) -> None:
        """Wait until the retention of a connection's turns is over, and look that it has forgotten them."""
        grace = self._settings.interrupt_wait_timeout + self._slack
        await asyncio.sleep(self._settings.turn_retention_seconds + grace)
        roster = self._context.rosters.get(connection_id)
        for turn_id in roster.turns if roster is not None else ():
            self.report(Point.CLEANUP, f"turn {turn_id}", "it is there after all retention")

    def _supervised(self) -> list[str]:
        return list(getattr(self._context.supervisor, "_watched", ()))

    def closed(self, connection_id: str) -> None:
        """Look that nothing is left of a connection that has been shut down."""
        if connection_id in self._context.rosters:
            self.report(Point.CLEANUP, f"connection {connection_id}", "it is there after its shutdown()")
        for actor in tuple(self._context.registry.values()):
            owner = getattr(actor, "record", None)
            if owner is not None and owner.connection_id == connection_id:
                self.report(
                    Point.CLEANUP, f"connection {connection_id}", f"{actor.actor_urn} is there after shutdown()"
                )

    async def shut_down(self) -> None:
        """Shut the system down, in time."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        limit = self._settings.shutdown_timeout_seconds + self._slack
        try:
            async with asyncio.timeout(limit):
                await self._system.shutdown()
        except TimeoutError:
            self.report(Point.CLEANUP, "the system", f"shutdown() was not over after {loop.time() - began:.3f} s")

    async def close(self) -> None:
        """Judge the turns that are still open, shut the system down and look what is left."""
        await self.shut_down()
        for history in tuple(self._open):
            self.finish(history)
        for turn_id, turns in self._ended.items():  # an id may be given again when its turn is forgotten
            if self._told[turn_id] != turns:
                self.report(Point.ONE_WAY, f"turn {turn_id}", f"its outcome was told {self._told[turn_id]} times")
        await asyncio.sleep(0)  # what a shutdown has cancelled ends with the next run
        for what in left_behind(self._context, self._threads):
            self.report(Point.CLEANUP, "the system", f"{what} was left")
