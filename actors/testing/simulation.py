"""Plays a `Scenario` against a real `ConversationSystem`, under the eyes of the checker.

The same code runs in virtual time, where a scenario repeats exactly, and in real time.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from actors import ConversationSystem, Settings
from actors.testing.checker import SLACK, ContractChecker, Violation
from actors.testing.contract import Point
from actors.testing.faults import Faults
from actors.testing.outcome import Outcome
from actors.testing.player import Player
from actors.testing.scenario import Scenario, smaller
from actors.testing.sources import CountedIds, VirtualClock
from actors.testing.trace import MessageTrace
from actors.testing.virtual_loop import StandstillError, run_virtual

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SETTINGS", "Stage", "play", "play_virtual", "shrink"]

SETTINGS: dict[str, Any] = {
    "agent_stall_seconds": 4.0,
    "tool_stall_seconds": 6.0,
    "idle_flush_seconds": 1.0,
    "interrupt_wait_timeout": 1.0,
    "loop_watchdog_seconds": None,
    "max_turn_chars": 8_000,
    "reader_grace_seconds": 5.0,
    "turn_retention_seconds": 8.0,
}
"""What a simulation runs with, unless its scenario says otherwise: short, so that time-outs happen."""

LOOK_EVERY = 0.5
"""How often the system is inspected, in seconds."""


def play_virtual(scenario: Scenario, *, trace: int = 0) -> Outcome:
    """Play a scenario in virtual time; the same one gives the same outcome.

    Args:
        scenario: what to play.
        trace: how many messages to keep; 0: none, and no tap is set that the scenario does not need.

    """
    outcome = Outcome(scenario)
    try:
        run_virtual(play(scenario, outcome, trace=trace, virtual=True), scenario.seed, lateness=scenario.lateness)
    except StandstillError as error:
        outcome.violations.append(Violation(Point.ORDER, "the system", str(error)))
    return outcome


def shrink(outcome: Outcome, attempts: int = 300) -> Outcome:
    """Find a smaller scenario that violates the same point of the contract, as far as so many attempts get."""
    points = {violation.point for violation in outcome.violations}
    best = outcome
    progress = True
    while progress and attempts > 0:
        progress = False
        for candidate in smaller(best.scenario):
            attempts -= 1
            tried = play_virtual(candidate)
            if points & {violation.point for violation in tried.violations}:
                best, progress = tried, True
                break
            if attempts <= 0:
                break
    return best


async def play(
    scenario: Scenario,
    outcome: Outcome,
    *,
    trace: int = 0,
    virtual: bool = False,
    slack: float | None = None,
    progress: Callable[[Outcome], None] | None = None,
) -> None:
    """Play a scenario in the running loop and write into `outcome` how it went.

    Args:
        scenario: what to play.
        outcome: is filled as it goes.
        trace: how many messages to keep.
        virtual: whether time and ids shall repeat.
        slack: how late things may be; None: as the scenario's timers are.
        progress: called after every turn.

    """
    settings = Settings(**{**SETTINGS, **scenario.settings})
    sources: dict[str, Any] = {"clock": VirtualClock, "ids": CountedIds()} if virtual else {}
    slack = SLACK + 2 * scenario.lateness if slack is None else slack
    async with ConversationSystem(settings, **sources) as system:
        checker = ContractChecker(system, slack=slack)
        outcome.violations = checker.violations
        faults = Faults(system)
        if scenario.watched:
            system.context.tap = faults.tap
        recorder = MessageTrace(system.context, trace) if trace else None
        if recorder is not None:
            recorder.__enter__()
        looking = asyncio.create_task(_look(checker), name="the inspector")
        try:
            clients = [
                Player(f"c{number}", plan, system, checker, faults, outcome, progress)
                for number, plan in enumerate(scenario.connections)
            ]
            playing = asyncio.gather(*(client.run() for client in clients))
            if scenario.shutdown_at is not None:
                await asyncio.sleep(scenario.shutdown_at)
                for client in clients:
                    client.closing = True
                await checker.shut_down()
            await playing
            if virtual and scenario.shutdown_at is None:
                await checker.retire()
        finally:
            looking.cancel()
            await checker.close()
            outcome.turns = checker.turns
            if recorder is not None:
                outcome.trace = list(recorder.lines)


async def _look(checker: ContractChecker) -> None:
    while True:
        checker.inspect()
        await asyncio.sleep(LOOK_EVERY)


class Stage:
    """One system in which scenario after scenario is played, one over the other, for what only shows with time.

    A scenario's own settings and its shutdown do not count here: the system has its own.

    Args:
        system: has been started.
        checker: of this system.

    """

    def __init__(self, system: ConversationSystem, checker: ContractChecker) -> None:
        self._system = system
        self._checker = checker
        self._faults = Faults(system, self._watch)
        self._clients: set[Player] = set()

    async def play(self, scenario: Scenario, name: str) -> Outcome:
        """Play a scenario to its end, until nothing is left of its connections; their ids begin with `name`."""
        outcome = Outcome(scenario)
        clients = [
            Player(f"{name}c{number}", plan, self._system, self._checker, self._faults, outcome, None)
            for number, plan in enumerate(scenario.connections)
        ]
        self._clients.update(clients)
        try:
            await asyncio.gather(*(client.run(retire=True) for client in clients))
        finally:
            self._clients.difference_update(clients)
        return outcome

    async def shut_down(self) -> None:
        """Shut the system down, whatever goes on."""
        for client in self._clients:
            client.closing = True
        await self._checker.shut_down()

    def _watch(self, armed: bool) -> None:
        # Only while somebody is to be killed: when nobody looks at its messages the engine takes shorter ways.
        self._system.context.tap = self._faults.tap if armed else None
