"""Every test of the runtime leaves nothing behind: no actor in Pykka's registry, whatever became of its loop."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pykka import ActorRegistry


@pytest.fixture(autouse=True)
def _no_actor_is_left() -> Iterator[None]:
    yield
    ActorRegistry.stop_all(timeout=10)
    assert ActorRegistry.get_all() == []
