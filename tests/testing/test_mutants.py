"""The checker is held to its word: every engine that is wrong on purpose is found, the right one is not."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from testing.mutants import MUTANTS

from actors.testing.contract import Point
from actors.testing.scenario import draw
from actors.testing.simulation import play_virtual

CONNECTIONS, TURNS = 3, 4


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL + 1, "antiphon")  # faults are made on purpose, thousands of them


@pytest.mark.parametrize("name", MUTANTS)
def test_the_simulation_finds_an_engine_that_is_wrong(
    name: str, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    mutant = MUTANTS[name]
    mutant.make(monkeypatch)
    limit = 4 * mutant.seeds + 6  # another engine takes other seeds
    for seed in range(limit):
        found = play_virtual(draw(seed, CONNECTIONS, TURNS)).violations
        if any(violation.point is mutant.point for violation in found):
            record_property("seeds", seed + 1)
            return
    pytest.fail(f"{name}: not found as {mutant.point.value} with {limit} seeds")


def test_the_right_engine_is_not_found() -> None:
    found = [play_virtual(draw(seed, CONNECTIONS, TURNS)).violations for seed in range(60)]
    assert found == [[]] * 60


def test_each_point_of_the_contract_has_its_mutants() -> None:
    assert {mutant.point for mutant in MUTANTS.values()} == set(Point)
