"""The stand-alone server's connections: uvicorn's own, with what a service on the open net needs.

A connection that does not bring a request in time is closed, also one that has brought others. What is written for a
client is bounded in this process too, not only in the kernel; so are the answers to WebSocket pings, which a client
gets unasked. A WebSocket can be cut, for a client that will never read what is before the close, and it is cut when
its conversation has been over for a while: a close alone waits for ever until all is read.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from actors.gateway.socket import ABORT

__all__ = ["CuttableWebSocket", "impatient"]

_WRITE_BUFFER = 16_384
_LINGER_SECONDS = 10.0
"""How long what was written last may take to be read, when the conversation is over."""


def impatient(seconds: float) -> type[H11Protocol]:
    """Return uvicorn's HTTP protocol, for connections whose requests each take no longer than this to come."""

    class ImpatientProtocol(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
            super().connection_made(transport)
            transport.set_write_buffer_limits(high=_WRITE_BUFFER)
            self.loop.call_later(seconds, self._look, self.cycle)

        def on_response_complete(self) -> None:
            # uvicorn waits for the next request until its first byte, and from then on for ever.
            self.loop.call_later(self.timeout_keep_alive + seconds, self._look, self.cycle)
            super().on_response_complete()

        def _look(self, cycle: object) -> None:
            # After an upgrade the transport has another protocol, after a request there is another cycle.
            if self.cycle is cycle and self.transport.get_protocol() is self:
                self.transport.abort()

    return ImpatientProtocol


class CuttableWebSocket(WebSocketsSansIOProtocol):
    """Offers the application `transport.abort`, and ends what the application has ended."""

    async def run_asgi(self) -> None:
        """Run the application, with the means in its scope."""
        extensions: dict[str, Any] = self.scope["extensions"]
        extensions[ABORT] = self.transport.abort
        try:
            await super().run_asgi()
        finally:
            if not self.disconnected:
                self.loop.call_later(_LINGER_SECONDS, self.transport.abort)

    def handle_ping(self) -> None:
        """Answer, unless the client reads nothing: then what it is sent would gather here."""
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()
