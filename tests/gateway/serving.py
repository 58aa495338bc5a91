"""A server on a free port of loopback, in the test's own loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from gateway.talking import Served
from splitter import Splitter

from actors import ConversationSystem, Settings
from actors.gateway import GatewaySettings, gateway
from actors.gateway.server import Server, bind

__all__ = ["running"]

ENGINE = set(Settings.model_fields)


class _InTest(Server):
    """Leaves the signals to pytest."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def running(
    agent: Any, authenticator: Any = None, speech: Any = Splitter, **settings: Any
) -> AsyncIterator[Served]:
    engine = {name: settings.pop(name) for name in tuple(settings) if name in ENGINE and name != "on_busy"}
    system = ConversationSystem(Settings(loop_watchdog_seconds=None, **engine), speech=speech)
    chosen = GatewaySettings(**{"heartbeat_seconds": 0.05, **settings})
    app = gateway(system, agent=agent, authenticator=authenticator, settings=chosen)
    sockets = bind("127.0.0.1", 0, chosen.send_buffer_bytes)
    for listening in sockets:
        listening.listen()
    server = _InTest(app, chosen)
    task = asyncio.create_task(server.serve(sockets))
    try:
        yield Served(app, sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        await asyncio.wait_for(task, 20)
