"""The stand-alone server's connections: uvicorn's own, with three things that a service on the open net needs.

A connection that does not bring its request in time is closed. What is written for a client is bounded in this
process too, not only in the kernel. And a WebSocket can be cut, for a client that will never read what is before the
close.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from actors.gateway.socket import ABORT

__all__ = ["CuttableWebSocket", "impatient"]

_WRITE_BUFFER = 16_384


def impatient(seconds: float) -> type[H11Protocol]:
    """Return uvicorn's HTTP protocol, for connections whose first request takes no longer than this."""

    class ImpatientProtocol(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
            super().connection_made(transport)
            transport.set_write_buffer_limits(high=_WRITE_BUFFER)
            self.loop.call_later(seconds, self._look)

        def _look(self) -> None:
            # After an upgrade the transport has another protocol, after a request there was a cycle.
            if getattr(self, "cycle", None) is None and self.transport.get_protocol() is self:
                self.transport.abort()

    return ImpatientProtocol


class CuttableWebSocket(WebSocketsSansIOProtocol):
    """Offers the application `transport.abort`."""

    async def run_asgi(self) -> None:
        """Run the application, with the means in its scope."""
        extensions: dict[str, Any] = self.scope["extensions"]
        extensions[ABORT] = self.transport.abort
        await super().run_asgi()
