"""As much of Django Channels as the documents use: a consumer, and what its client was sent."""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["AsyncJsonWebsocketConsumer"]


class AsyncJsonWebsocketConsumer:
    def __init__(self, scope: dict[str, Any]) -> None:
        self.scope = scope
        self.sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.accepted = False

    async def accept(self) -> None:
        self.accepted = True

    async def send_json(self, content: dict[str, Any]) -> None:
        await asyncio.sleep(0)
        self.sent.put_nowait(content)
