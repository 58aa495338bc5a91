"""A server for a test, which ends with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from gateway.serving import running
from gateway.talking import Served


@pytest.fixture
async def serve() -> AsyncIterator[Any]:
    """Start a server: `await serve(agent, **settings)`, of the gateway and of the engine."""
    async with AsyncExitStack() as stack:

        async def start(agent: Any, **settings: Any) -> Served:
            return await stack.enter_async_context(running(agent, **settings))

        yield start
