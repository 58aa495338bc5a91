"""As much of FastAPI as the documents use: an application of WebSocket routes, and sockets to talk to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import SimpleNamespace
from typing import Any

__all__ = ["FastAPI", "WebSocket", "WebSocketDisconnect"]


class WebSocketDisconnect(Exception):  # noqa: N818 - its name in Starlette
    """The client has gone."""


class FastAPI:
    def __init__(self, lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]]) -> None:
        self.state = SimpleNamespace()
        self.lifespan = lifespan
        self.routes: dict[str, Callable[[WebSocket], Awaitable[None]]] = {}

    def websocket(self, path: str) -> Callable[[Any], Any]:
        def register(handler: Callable[[WebSocket], Awaitable[None]]) -> Any:
            self.routes[path] = handler
            return handler

        return register


class WebSocket:
    """Both ends of a socket: the application's, and in `sent`, `say` and `leave` the client's."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        self.sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._messages: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._gone = False
        self.accepted = False

    async def accept(self) -> None:
        self.accepted = True

    async def iter_json(self) -> AsyncIterator[dict[str, Any]]:
        while (message := await self._messages.get()) is not None:
            yield message

    async def send_json(self, event: dict[str, Any]) -> None:
        await asyncio.sleep(0)
        if self._gone:
            raise WebSocketDisconnect
        self.sent.put_nowait(event)

    def say(self, **message: Any) -> None:
        self._messages.put_nowait(message)

    def leave(self) -> None:
        self._gone = True
        self._messages.put_nowait(None)
