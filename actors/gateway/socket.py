"""One WebSocket, as the gateway uses it: whole text messages, one sender at a time, and an end that takes no time.

The only module that speaks ASGI's WebSocket dialect. A server's `send` may wait for ever for a client that does not
read; `sending_since` says since when it has, and `abort()` gives the socket up (the stand-alone server offers the
means; with another one it is closed when its last bytes are through).
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from actors.gateway.origins import is_loopback
from protocol.errors import BadCommandError, GatewayCode
from protocol.messages import SUBPROTOCOL

__all__ = ["ABORT", "NORMAL_CLOSE", "NO_CLOSE", "Socket", "SocketGone"]

ABORT = "antiphon.abort"
"""The ASGI extension of the stand-alone server: a function that cuts the connection."""

NORMAL_CLOSE = 1000
"""The code of a client that takes its leave."""
NO_CLOSE = 1006
"""In the place of a code, where a socket ended without a close."""

_FORWARDED = ("forwarded", "x-forwarded-for", "via")
"""What proxies add to a request."""
_CLOSE_SECONDS = 1.0
"""How long a close may wait for a client that does not read."""

_Message = MutableMapping[str, Any]


class SocketGone(Exception):  # noqa: N818 - it is no error that a client goes
    """The client has gone, or the socket was closed.

    Args:
        code: of the close, or `NO_CLOSE`.

    """

    def __init__(self, code: int = NO_CLOSE) -> None:
        super().__init__(code)
        self.code = code


class Socket:
    """A WebSocket that was asked for; `accept()` or `refuse()` it first."""

    def __init__(
        self,
        scope: _Message,
        receive: Callable[[], Awaitable[_Message]],
        send: Callable[[_Message], Awaitable[None]],
    ) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._lock = asyncio.Lock()
        self._loop = asyncio.get_running_loop()
        self._closing = False
        self._task = asyncio.current_task()
        self.aborted = False
        self.sending_since: float | None = None
        """Since when the message that is being sent waits; None while none is."""
        client = scope.get("client")
        self.address: str | None = client[0] if client else None
        self._headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        self.request_id = _id(self.header("x-request-id")) or uuid.uuid4().hex
        self.trace_id = _trace_id(self.header("traceparent")) or self.request_id
        self.log = self._log()

    def header(self, name: str) -> str:
        """Return a header of the request, empty if it has none of that (lower-case) name."""
        text: str = self._headers.get(name, "")
        return text

    def comes_from(self, address: str) -> None:
        """Believe that the client is at another address than the one that the socket came from."""
        self.address = address

    @property
    def is_local(self) -> bool:
        """Whether the client is on this machine; one behind a proxy is not, wherever the proxy is."""
        return is_loopback(self.address) and not self.forwarded

    @property
    def forwarded(self) -> dict[str, str]:
        """The headers by which a proxy says that it is one."""
        return {name: self._headers[name] for name in _FORWARDED if name in self._headers}

    def _log(self, **ids: str) -> logging.LoggerAdapter[logging.Logger]:
        extra = {"request_id": self.request_id, "trace_id": self.trace_id, **ids}
        return logging.LoggerAdapter(logging.getLogger("antiphon.gateway"), extra)

    def belongs_to(self, connection_id: str) -> None:
        """Have the connection named in every log record from now on."""
        self.log = self._log(connection_id=connection_id)

    async def accept(self) -> None:
        """Take the client in.

        Raises:
            SocketGone: it has gone already.

        """
        first = await self._receive()
        if first["type"] != "websocket.connect":
            raise SocketGone
        chosen = SUBPROTOCOL if SUBPROTOCOL in self._scope.get("subprotocols", ()) else None
        await self._say({"type": "websocket.accept", "subprotocol": chosen, "headers": []})

    async def refuse(self, status: int, code: GatewayCode) -> None:
        """Answer the handshake with an HTTP error instead."""
        await self._receive()
        if "websocket.http.response" in self._scope.get("extensions", {}):
            headers = [(b"content-type", b"application/json")]
            await self._say({"type": "websocket.http.response.start", "status": status, "headers": headers})
            body = f'{{"code":"{code}"}}\n'.encode()
            await self._say({"type": "websocket.http.response.body", "body": body})
        else:
            await self._say({"type": "websocket.close", "code": 1008, "reason": str(code)})

    async def receive(self, limit: int, setting: str = "max_message_bytes") -> str:
        """Return the next text message.

        Args:
            limit: the most bytes that it may have.
            setting: that says so, for whoever is told.

        Raises:
            SocketGone: there will be none.
            BadCommandError: it is no text, or longer than `limit`.

        """
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            raise SocketGone(message.get("code") or NO_CLOSE)
        text: str | None = message.get("text")
        if text is None:
            raise BadCommandError(GatewayCode.BAD_MESSAGE, "messages are JSON in text frames")
        if len(text) > limit or len(text) * 4 > limit < len(text.encode()):
            raise BadCommandError(GatewayCode.MESSAGE_TOO_BIG, f"a message may have {limit} bytes ({setting})")
        return text

    async def send(self, text: str) -> None:
        """Send a text message; waits while the client does not read.

        Raises:
            SocketGone: it cannot be sent any more.

        """
        async with self._lock:
            if self._closing:
                raise SocketGone
            self.sending_since = self._loop.time()
            await self._say({"type": "websocket.send", "text": text})
            self.sending_since = None

    async def close(self, code: int, reason: GatewayCode | str) -> None:
        """Close with a code and a reason, behind what is being sent; cut off a client that does not read."""
        if self._closing:
            return
        self._closing = True
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                async with self._lock:
                    await self._say({"type": "websocket.close", "code": int(code), "reason": str(reason)})
        except TimeoutError:
            self.abort()
        except SocketGone:
            pass

    def abort(self) -> None:
        """Give the socket up, with what it holds."""
        self._closing = self.aborted = True
        cut = self._scope.get("extensions", {}).get(ABORT)
        if cut is not None:
            cut()
        elif self._task is not None:  # a server closes the socket when the application returns
            self._task.cancel()

    async def _say(self, message: _Message) -> None:
        try:
            await self._send(message)
        except (OSError, RuntimeError) as gone:  # what servers raise when the client, or the socket, has gone
            raise SocketGone from gone


def _id(text: str) -> str | None:
    """A client's own id is kept when it can stand in a log line."""
    return text if text and len(text) <= 64 and text.isascii() and text.replace("-", "").isalnum() else None


def _trace_id(traceparent: str) -> str | None:
    parts = traceparent.split("-")
    return _id(parts[1]) if len(parts) == 4 and len(parts[1]) == 32 else None
