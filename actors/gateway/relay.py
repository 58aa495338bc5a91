"""`Relay`: a socket whose connection lives in another gateway: what either side says is passed on to the other.

A client that resumes on a shared port lands on any of the gateways behind it. Sending it to the right one's own port
would need every client to understand that, and every load balancer and firewall to let it; so the gateway that it
reached opens a socket to the one that has the connection, and stands between them. Messages are not looked at. Each
direction waits while the other side does not read, so that backpressure reaches from the client to the agent as ever;
a client that reads nothing for too long is cut off here, by the heartbeat of the gateway.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

from actors.gateway.socket import NO_CLOSE, NORMAL_CLOSE, Socket, SocketGone
from protocol.errors import BadCommandError, GatewayCode
from protocol.messages import SUBPROTOCOL, CloseCode, GatewayError

if TYPE_CHECKING:
    from actors.gateway.tokens import Seal
    from protocol.commands import Resume

__all__ = ["RELAYED", "Relay", "UnreachableError", "relayed_from"]

RELAYED = "x-antiphon-relayed"
"""The header that says whose socket it really is: the client's address, and its seal."""

_OPEN_SECONDS = 5.0
_GOING_AWAY = 1001


class UnreachableError(Exception):
    """The other gateway does not answer.

    Args:
        gone: nobody listens there any more: its process has ended.

    """

    def __init__(self, *, gone: bool) -> None:
        super().__init__()
        self.gone = gone


class Relay(NamedTuple):
    """Made by `open()`."""

    here: Socket
    there: ClientConnection
    limit: int

    @classmethod
    async def open(cls, socket: Socket, address: str, first: Resume, seal: Seal, limit: int) -> Self:
        """Reach the other gateway, and say there what the client said here.

        Args:
            socket: the client's.
            address: of the other gateway, `http://host:port`.
            first: the client's message.
            seal: vouches for the client's address.
            limit: bytes of a message.

        Raises:
            UnreachableError: it cannot be reached.

        """
        client = socket.address or ""
        try:
            there = await connect(
                f"ws{address.removeprefix('http')}/ws",
                subprotocols=[Subprotocol(SUBPROTOCOL)],
                additional_headers={
                    RELAYED: f"{client} {seal.of('relayed', client)}",
                    "X-Request-ID": socket.request_id,
                    **socket.forwarded,
                },
                compression=None,
                ping_interval=None,
                proxy=None,
                max_size=None,
                open_timeout=_OPEN_SECONDS,
                close_timeout=1.0,
            )
            await there.send(first.model_dump_json(exclude_none=True))
        except ConnectionRefusedError:
            raise UnreachableError(gone=True) from None
        except (OSError, InvalidHandshake, ConnectionClosed) as failure:  # a TimeoutError is an OSError
            raise UnreachableError(gone=False) from failure
        return cls(socket, there, limit)

    async def run(self) -> None:
        """Pass messages on until either side has gone."""
        upwards = asyncio.create_task(self._upwards(), name="relay upwards")
        try:
            async for text in self.there:
                await self.here.send(text if isinstance(text, str) else text.decode())
        except ConnectionClosed:
            pass  # without a close: its process has died
        finally:
            upwards.cancel()
            self.there.transport.abort()
        code = self.there.close_code
        if code is None or code == NO_CLOSE:
            await self.here.close(CloseCode.RESTART, GatewayCode.NODE_LOST)
        else:
            await self.here.close(code, self.there.close_reason or "")

    async def _upwards(self) -> None:
        try:
            while True:
                await self.there.send(await self.here.receive(self.limit))
        except SocketGone as gone:
            await self.there.close(NORMAL_CLOSE if gone.code == NORMAL_CLOSE else _GOING_AWAY)
        except BadCommandError as bad:
            with suppress(SocketGone):
                await self.here.send(GatewayError(code=bad.told, error=str(bad)).to_json())
            big = bad.told is GatewayCode.MESSAGE_TOO_BIG
            await self.here.close(CloseCode.TOO_BIG if big else CloseCode.BAD_MESSAGES, bad.told)
            await self.there.close(_GOING_AWAY)
        except ConnectionClosed:
            pass  # the other direction sees to it


def relayed_from(socket: Socket, seal: Seal) -> str | None:
    """Return the address of the client for whom another gateway opened this socket; None if none did."""
    address, _blank, given = socket.header(RELAYED).partition(" ")
    return address if given and seal.fits(given, "relayed", address) else None
