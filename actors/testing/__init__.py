"""Tools to test what is built on Antiphon, and Antiphon itself: the suite of this package uses the same.

Loaded when first used, like the embedding API:

    from actors.testing import VirtualLoop, run_virtual, virtual

Nothing in the engine imports anything from here.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actors.testing.agents import ScriptedAgent
    from actors.testing.checker import ContractChecker, ContractViolationError
    from actors.testing.client import RecordedTurn, RecordingClient
    from actors.testing.contract import Point
    from actors.testing.deadline import DeadlineError
    from actors.testing.scenario import Scenario
    from actors.testing.sources import CountedIds, VirtualClock
    from actors.testing.supervised import LeftBehindError, SupervisedSystem
    from actors.testing.trace import MessageTrace
    from actors.testing.virtual_loop import StandstillError, VirtualLoop, run_virtual, virtual

__all__ = [
    "ContractChecker",
    "ContractViolationError",
    "CountedIds",
    "DeadlineError",
    "LeftBehindError",
    "MessageTrace",
    "Point",
    "RecordedTurn",
    "RecordingClient",
    "Scenario",
    "ScriptedAgent",
    "StandstillError",
    "SupervisedSystem",
    "VirtualClock",
    "VirtualLoop",
    "run_virtual",
    "virtual",
]

_HOMES = {
    "ContractChecker": "checker",
    "ContractViolationError": "checker",
    "CountedIds": "sources",
    "DeadlineError": "deadline",
    "LeftBehindError": "supervised",
    "MessageTrace": "trace",
    "Point": "contract",
    "RecordedTurn": "client",
    "RecordingClient": "client",
    "Scenario": "scenario",
    "ScriptedAgent": "agents",
    "StandstillError": "virtual_loop",
    "SupervisedSystem": "supervised",
    "VirtualClock": "sources",
    "VirtualLoop": "virtual_loop",
    "run_virtual": "virtual_loop",
    "virtual": "virtual_loop",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
