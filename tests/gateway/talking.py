"""Clients of the gateway, as tests use them: what they are sent is held to its model and to the published schema."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Self

from jsonschema import Draft202012Validator
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from actors.gateway import Gateway
from protocol.messages import SUBPROTOCOL, read_message

__all__ = ["DOCS", "PATIENCE", "Client", "Served", "all_gone", "closed_with", "hold_to_schema", "schema_of"]

DOCS = Path(__file__).resolve().parents[2] / "docs"

PROTOCOL = Subprotocol(SUBPROTOCOL)
PATIENCE = 20.0
"""Seconds for anything to happen on a machine that is busy; what should come comes at once."""

Message = dict[str, Any]


@cache
def schema_of(name: str) -> Draft202012Validator:
    """Return what judges messages by one definition of the published schema."""
    document = json.loads((DOCS / "protocol.schema.json").read_text(encoding="utf-8"))
    return Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": document["$defs"]})


def hold_to_schema(message: Message) -> None:
    """A message of the server is one by its model, and by the schema that others read."""
    schema_of(type(read_message(message)).__name__).validate(message)


class Served(NamedTuple):
    """A server that runs."""

    gateway: Gateway
    port: int

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    @asynccontextmanager
    async def socket(self, **options: Any) -> AsyncIterator[Client]:
        """Open a socket, and say nothing yet."""
        async with connect(self.url, subprotocols=[PROTOCOL], ping_interval=None, proxy=None, **options) as ws:
            yield Client(ws)

    @asynccontextmanager
    async def client(
        self, token: str | None = None, flow: str | None = None, **options: Any
    ) -> AsyncIterator[Client]:
        """Open a socket and authorise."""
        async with self.socket(**options) as client:
            fields = {name: value for name, value in (("token", token), ("flow", flow)) if value is not None}
            await client.authorize(**fields)
            yield client


class Client:
    """One socket's client end."""

    def __init__(self, ws: ClientConnection) -> None:
        self.ws = ws
        self.connection_id = ""
        self.resume_token = ""
        self.answers_pings = True

    async def say(self, kind: str, **fields: Any) -> None:
        await self.ws.send(json.dumps({"type": kind, **fields}))

    async def hear(self) -> Message:
        """Return the next message; a ping is answered and passed over."""
        while True:
            text = await asyncio.wait_for(self.ws.recv(), PATIENCE)
            message: Message = json.loads(text)
            hold_to_schema(message)
            if message["type"] != "ping" or not self.answers_pings:
                return message
            await self.say("pong")

    async def until(self, kind: str) -> list[Message]:
        """Return what comes up to the next message of a type."""
        heard = [await self.hear()]
        while heard[-1]["type"] != kind:
            heard.append(await self.hear())
        return heard

    async def authorize(self, **fields: Any) -> Self:
        await self.say("authorize", **fields)
        return await self._welcomed("authorize_success")

    async def resume(self, before: Client, **fields: Any) -> Message:
        """Go on with another socket's connection."""
        await self.say("resume", connection_id=before.connection_id, resume_token=before.resume_token, **fields)
        await self._welcomed("resume_success")
        return self.welcome

    async def _welcomed(self, kind: str) -> Self:
        self.welcome = await self.hear()
        assert self.welcome["type"] == kind, self.welcome
        self.connection_id, self.resume_token = self.welcome["connection_id"], self.welcome["resume_token"]
        return self

    async def talk(self, content: str = "Hello", **fields: Any) -> list[Message]:
        """Say something and hear the turn to its end."""
        await self.say("chat_message", content=content, **fields)
        return await self.until("stream_end")

    async def drop(self) -> None:
        """Lose the socket, without a close."""
        self.ws.transport.abort()
        await self.ws.wait_closed()

    async def closed(self) -> tuple[list[Message], int, str]:
        """Wait for the close; return what came before it, the code and the reason."""
        heard = []
        try:
            while True:
                heard.append(await self.hear())
        except ConnectionClosed as closed:
            received = closed.rcvd
            assert received is not None, "the connection was cut"
            return heard, received.code, received.reason

    async def drained(self) -> list[Message]:
        """Wait for the close by a server that goes down while a turn speaks; return what came before it."""
        heard, code, reason = await self.closed()
        end = heard[-1]
        assert (end["type"], end["status"], end["reason"]) == ("stream_end", "interrupted", "draining")
        assert (code, reason) == (1012, "draining")
        return heard


async def all_gone(gateway: Gateway) -> None:
    """Wait until the server has nothing left of any client."""
    async with asyncio.timeout(PATIENCE):
        while (  # noqa: ASYNC110 - what is waited for is that nothing is left in several places
            gateway.sessions or gateway.heads.sockets or gateway.outcomes or gateway.system.connections()
        ):
            await asyncio.sleep(0.01)


async def closed_with(client: Client) -> tuple[int, str]:
    _heard, code, reason = await client.closed()
    return code, reason
