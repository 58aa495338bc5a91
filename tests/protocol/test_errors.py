"""Codes of errors are a promise: they are written down here once more, so that a change of one is no accident."""

from __future__ import annotations

import importlib
import pickle
import pkgutil
from typing import Any

import pytest

import actors
import protocol
from protocol import errors
from protocol.errors import AntiphonError, BadCommandError, FailureCode, GatewayCode, MissingExtraError

CODES: dict[str, tuple[str, type[Exception]]] = {
    "AgentAttachedError": ("agent_attached", RuntimeError),
    "BadAckError": ("bad_ack", ValueError),
    "BadAgentEventError": ("bad_agent_event", ValueError),
    "BadArgumentError": ("bad_argument", ValueError),
    "BadCommandError": ("bad_command", ValueError),
    "BadEventError": ("bad_event", ValueError),
    "BadSettingsError": ("bad_settings", ValueError),
    "BlockingCallError": ("blocking_call", RuntimeError),
    "ConnectionExistsError": ("connection_exists", ValueError),
    "ConnectionGoneError": ("connection_gone", RuntimeError),
    "FleetBrokenError": ("fleet_broken", RuntimeError),
    "FleetConnectionNotFoundError": ("fleet_connection_not_found", LookupError),
    "FleetNotRunningError": ("fleet_not_running", RuntimeError),
    "FleetRunningError": ("fleet_running", RuntimeError),
    "FleetStartError": ("fleet_start", RuntimeError),
    "FleetTimeoutError": ("fleet_timeout", TimeoutError),
    "MailboxFullError": ("mailbox_full", RuntimeError),
    "MissingExtraError": ("missing_extra", ImportError),
    "NodeBusyError": ("node_busy", RuntimeError),
    "NodeNotFoundError": ("node_not_found", LookupError),
    "ReaderBusyError": ("reader_busy", RuntimeError),
    "ReaderReplacedError": ("reader_replaced", RuntimeError),
    "ReplayGapError": ("replay_gap", LookupError),
    "ShadowedPackageError": ("shadowed_package", ImportError),
    "SystemClosedError": ("system_closed", RuntimeError),
    "TurnActiveError": ("turn_active", RuntimeError),
    "TurnFinishedError": ("turn_finished", RuntimeError),
    "TurnNotFoundError": ("turn_not_found", LookupError),
}
"""Code, and the built-in class that it is too."""
FAILURES = {
    "actor_failed",
    "agent_error",
    "agent_failed",
    "agent_stalled",
    "bad_agent_event",
    "turn_deadline",
    "turn_too_long",
}


def all_errors() -> list[type[AntiphonError]]:
    """Every error class of the package, wherever it is defined."""
    for package in (protocol, actors):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            try:
                importlib.import_module(module.name)
            except MissingExtraError:
                continue
    found, waiting = [], [AntiphonError]
    while waiting:
        subclasses = waiting.pop().__subclasses__()
        found += subclasses
        waiting += subclasses
    return [error for error in found if error.__module__.partition(".")[0] in ("protocol", "actors")]


ARGUMENTS: dict[type[AntiphonError], tuple[Any, ...]] = {
    BadCommandError: (GatewayCode.BAD_MESSAGE, "no content", "content"),
    MissingExtraError: ("cli", "typer"),
}
"""Of those that take more than a message."""


@pytest.mark.parametrize("name", CODES)
def test_code_and_built_in_class_stay(name: str) -> None:
    code, built_in = CODES[name]
    error = getattr(errors, name)

    assert error.code == code
    assert issubclass(error, AntiphonError)
    assert issubclass(error, built_in)


def test_every_error_of_the_package_is_listed_here_and_has_a_code_of_its_own() -> None:
    found = all_errors()

    assert {error.__name__ for error in found if error.__module__ == "protocol.errors"} == set(CODES)
    assert all("code" in vars(error) for error in found)
    assert len({error.code for error in found} | {AntiphonError.code}) == len(found) + 1
    assert {*CODES, "AntiphonError", "FailureCode", "GatewayCode"} == set(errors.__all__)


def test_failure_codes_stay() -> None:
    assert {str(code) for code in FailureCode} == FAILURES


@pytest.mark.parametrize("name", CODES)
def test_error_survives_the_way_to_another_process(name: str) -> None:
    error_class = getattr(errors, name)
    error = error_class(*ARGUMENTS.get(error_class, ("what is wrong",)))
    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is type(error)
    assert (str(copy), vars(copy)) == (str(error), vars(error))


def test_missing_extra_says_what_to_install() -> None:
    error = MissingExtraError("cli", "typer")

    assert "typer" in str(error)
    assert "pip install 'antiphon[cli]'" in str(error)
    assert (error.extra, error.module) == ("cli", "typer")
