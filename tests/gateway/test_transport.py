"""What the stand-alone server does to connections that hold more than they may, or for longer."""

from __future__ import annotations

import asyncio
import struct
from contextlib import suppress
from typing import Any

import pytest
from agents import hang, prose, ready
from gateway.raw import connect, frame, upgraded
from gateway.talking import PATIENCE

from actors.gateway import server, transport
from actors.gateway.transport import CuttableWebSocket


class Watched(CuttableWebSocket):
    """Shows what a test cannot see from outside: what is held for the client, and that its connection has gone."""

    last: Watched
    gone: asyncio.Event

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        Watched.last, self.gone = self, asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.gone.set()


@pytest.fixture(autouse=True)
def watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "CuttableWebSocket", Watched)


async def test_answers_to_websocket_pings_are_not_kept_for_a_client_that_does_not_read(serve: Any) -> None:
    served = await serve(lambda _request: hang())
    with await upgraded(served.port) as raw:
        ping = struct.pack("!BB4x", 0x89, 0x80 | 125) + bytes(125)
        async with asyncio.timeout(PATIENCE):
            await asyncio.get_running_loop().sock_sendall(raw, ping * 30_000)
        assert Watched.last.transport.get_write_buffer_size() < 100_000, "of 3,810,000 bytes of pongs"


async def test_a_websocket_ping_is_answered(serve: Any) -> None:
    served = await serve(lambda _request: hang())
    async with served.client() as client:
        await asyncio.wait_for(await client.ws.ping(), PATIENCE)


async def test_a_connection_ends_though_its_client_reads_nothing_of_what_was_before_the_end(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "_LINGER_SECONDS", 0.2)
    served = await serve(lambda _request: ready(prose(20_000)))
    loop = asyncio.get_running_loop()
    with await upgraded(served.port) as raw:
        await loop.sock_sendall(raw, frame({"type": "authorize"}) + frame({"type": "chat_message", "content": "go"}))
        async with asyncio.timeout(PATIENCE):
            while Watched.last.transport.get_write_buffer_size() < 4_096:  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(0.01)
            await loop.sock_sendall(raw, b"\x81\x01x")  # not masked: the protocol is broken, and the server hangs up
            await Watched.last.gone.wait()


async def test_each_request_of_an_http_connection_has_to_come_in_time(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_KEEP_ALIVE_SECONDS", 0.3)
    served = await serve(lambda _request: hang(), handshake_seconds=0.3)
    loop = asyncio.get_running_loop()
    with await connect(served.port) as raw:  # the first is in time
        await loop.sock_sendall(raw, f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n\r\n".encode())
        assert (await loop.sock_recv(raw, 4096)).startswith(b"HTTP/1.1 200")
        async with asyncio.timeout(PATIENCE):
            await loop.sock_sendall(raw, b"GET / HTTP/1.1\r\nX-Slow: ")
            answer = asyncio.ensure_future(loop.sock_recv(raw, 4096))
            with suppress(ConnectionError):
                while not answer.done():
                    await loop.sock_sendall(raw, b"x")
                    await asyncio.wait([answer], timeout=0.05)
                assert await answer == b"", "it was cut off"
