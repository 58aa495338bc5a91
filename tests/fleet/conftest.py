"""Fleets for tests, which end with them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fleet.running import Fleet, fleet_in


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """A fleet that has not been started."""
    with fleet_in(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A fleet of two nodes, for the tests of a module."""
    with fleet_in(tmp_path_factory.mktemp("fleet")) as made:
        made.up(nodes=2)
        yield made
