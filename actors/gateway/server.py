"""The stand-alone server: uvicorn with the gateway in it, for `antiphon serve`.

It binds its own sockets, so that it knows whether they are loopback before anything listens, and so that what the
kernel holds for a client is bounded. SIGTERM and SIGINT drain: nobody new is let in, turns may finish within a limit,
every client gets its `stream_end` and a close; then the process ends with 0. A second signal ends it at once.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn

from actors.gateway.application import Gateway
from actors.gateway.origins import is_loopback
from actors.gateway.settings import GatewaySettings
from actors.gateway.tokens import TokenTable
from actors.gateway.transport import CuttableWebSocket, impatient
from actors.system import ConversationSystem
from protocol.errors import BadArgumentError

if TYPE_CHECKING:
    from actors.gateway.neighbours import Neighbours
    from actors.gateway.request import Agent
    from actors.gateway.tokens import Authenticator

__all__ = [
    "LOG_FORMAT",
    "Server",
    "bind",
    "collect_garbage_rarely",
    "gateway_on",
    "listen",
    "log_to_standard_error",
    "name_of",
    "serve",
]

LOG_FORMAT = (
    "%(asctime)s %(levelname)s %(name)s request=%(request_id)s trace=%(trace_id)s "
    "connection=%(connection_id)s turn=%(turn_id)s: %(message)s"
)
_NAMELESS = {"request_id": "-", "trace_id": "-", "connection_id": "-", "turn_id": "-"}
_CLOSING_SECONDS = 2
_KEEP_ALIVE_SECONDS = 5
_BACKLOG = 2048


def serve(agent: Agent, host: str, port: int, settings: GatewaySettings | None = None) -> None:
    """Serve until a signal comes.

    Args:
        agent: of the application.
        host, port: where to listen; port 0 takes a free one.
        settings: of the gateway; read from the environment if left out.

    Raises:
        BadArgumentError: the address cannot be used, or may not be without tokens; the tokens make no sense.

    """
    settings = settings or GatewaySettings()
    sockets = bind(host, port, settings.send_buffer_bytes)
    try:
        app = gateway_on(sockets, host, agent, settings)
        server = Server(app, settings)
        listen(sockets)
        collect_garbage_rarely()
        print(f"Antiphon listens on http://{name_of(host, sockets)}", flush=True)
        server.run(sockets=sockets)
    finally:
        for listening in sockets:
            listening.close()


def gateway_on(
    sockets: Sequence[socket.socket],
    host: str,
    agent: Agent,
    settings: GatewaySettings,
    neighbours: Neighbours | None = None,
) -> Gateway:
    """Return a gateway with a system of its own for sockets that were bound to a host.

    Raises:
        BadArgumentError: the addresses may not be served without tokens, or the tokens make no sense.

    """
    authenticator = _authenticator(settings)
    if authenticator is None and not all(is_loopback(bound.getsockname()[0]) for bound in sockets):
        raise BadArgumentError(
            f"{host} can be reached from elsewhere, and there are no tokens: set ANTIPHON_GATEWAY_TOKENS or "
            "ANTIPHON_GATEWAY_TOKENS_FILE, or listen on 127.0.0.1"
        )
    names = dict.fromkeys(name_of(host, [bound]) for bound in sockets)
    own = {
        "allowed_hosts": (*settings.allowed_hosts, *names),
        "allowed_origins": (*settings.allowed_origins, *(f"http://{name}" for name in names)),
    }
    return Gateway(ConversationSystem(), agent, authenticator, settings.model_copy(update=own), neighbours)


def name_of(host: str, sockets: Sequence[socket.socket]) -> str:
    """Return `host:port` as it stands in an address."""
    port = sockets[0].getsockname()[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def listen(sockets: Sequence[socket.socket]) -> None:
    """Let clients come."""
    for bound in sockets:
        bound.listen(_BACKLOG)


def bind(host: str, port: int, send_buffer: int, *, shared: bool = False) -> list[socket.socket]:
    """Bind to every address of a host; what clients do not read is held up to `send_buffer` bytes by the kernel.

    Args:
        host, port: port 0 takes a free one.
        send_buffer: see above.
        shared: with other processes of the same user that say so too; the kernel deals clients out among them.

    Raises:
        BadArgumentError: the host is not known, or the port cannot be had.

    """
    sockets: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, _type, _protocol, _name, address in dict.fromkeys(found):
            listening = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(listening)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
            if shared:
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            chosen = sockets[0].getsockname()[1] if len(sockets) > 1 else port
            listening.bind((address[0], chosen, *address[2:]))
            listening.setblocking(False)
    except (OSError, OverflowError, UnicodeError) as failure:  # a port beyond all, or a name that none can be
        for listening in sockets:
            listening.close()
        why = failure.strerror if isinstance(failure, OSError) else str(failure)
        in_use = isinstance(failure, OSError) and failure.errno == errno.EADDRINUSE
        advice = " (--port N takes another, 0 a free one)" if in_use else ""
        raise BadArgumentError(f"cannot listen on {host} port {port}: {why}{advice}") from None
    return sockets


def collect_garbage_rarely() -> None:
    """Have Python's garbage collector look less often at all that lives; for a process that only serves.

    With thousands of conversations each full look takes a tenth of a second and more, in which nobody hears
    anything. A turn leaves it nothing to find; so what an agent leaves may gather for longer, by the million before
    a full look, where Python's own limits begin at seventy thousand. What is loaded by now stays, and is left out.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 20)


def log_to_standard_error(verbose: bool) -> None:
    """Write what happens to standard error, each line with its ids."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(LOG_FORMAT, defaults=_NAMELESS))
    logging.getLogger().addHandler(handler)
    logging.getLogger("antiphon").setLevel(logging.DEBUG if verbose else logging.INFO)
    # At INFO it logs every request's address with its query, and what it logs of its life is said here.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


def _authenticator(settings: GatewaySettings) -> Authenticator | None:
    if settings.tokens is not None and settings.tokens_file is not None:
        raise BadArgumentError("ANTIPHON_GATEWAY_TOKENS and ANTIPHON_GATEWAY_TOKENS_FILE are both set: take one")
    if settings.tokens is not None:
        return TokenTable.read(settings.tokens.get_secret_value(), "ANTIPHON_GATEWAY_TOKENS")
    if settings.tokens_file is not None:
        source = f"ANTIPHON_GATEWAY_TOKENS_FILE ({settings.tokens_file})"
        try:
            text = settings.tokens_file.read_text(encoding="utf-8")
        except OSError as failure:
            raise BadArgumentError(f"{source}: {failure.strerror}") from None
        except UnicodeDecodeError:
            raise BadArgumentError(f"{source}: not UTF-8 text") from None
        except ValueError:
            raise BadArgumentError(f"{source}: the name of a file cannot hold a NUL character") from None
        return TokenTable.read(text, source)
    return None


class Server(uvicorn.Server):
    """uvicorn, but for signals: its own would close every socket first, and end the process with 143."""

    def __init__(self, app: Gateway, settings: GatewaySettings) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="uvloop",
                http=impatient(settings.handshake_seconds),
                ws=CuttableWebSocket,
                ws_max_size=4
                * settings.max_message_bytes,  # beyond the limit there is an answer; here there is an end
                ws_ping_interval=None,  # the protocol has its own, which say more
                ws_per_message_deflate=settings.compression,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # or a client could claim to be on loopback
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=_CLOSING_SECONDS,
                backlog=_BACKLOG,
            )
        )
        self._app = app
        self._draining: asyncio.Task[None] | None = None

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle the signals in the loop, for as long as it serves."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    def _signalled(self) -> None:
        if self._draining is None:
            self._draining = asyncio.ensure_future(self._drain())
        else:
            self.should_exit = self.force_exit = True
            # What it breaks off, its lifespan too, it would log as errors with their tracebacks.
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)

    async def _drain(self) -> None:
        logging.getLogger("antiphon.gateway").info("draining")
        try:
            await self._app.drain()
        finally:
            self.should_exit = True
