"""`Gateway`: the ASGI application. It owns the sessions, and ends them.

A service mounts it (`app.mount("/voice", gateway(system, agent=...))`); the lifespan of a mounted application does
not run, so the first request starts what is to be started, and `gateway.lifespan` is there for the service's own.
Every socket is served by the task that the server gives it; beside those runs one, the heartbeat, that looks for
clients that have gone quiet.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute

from actors.gateway.door import Door
from actors.gateway.limits import Attempts, Heads
from actors.gateway.link import Link
from actors.gateway.origins import OriginCheck
from actors.gateway.page import console_routes
from actors.gateway.relay import Relay, relayed_from
from actors.gateway.session import Outcome, Session
from actors.gateway.settings import GatewaySettings
from actors.gateway.socket import NO_CLOSE, NORMAL_CLOSE, Socket, SocketGone
from actors.gateway.tokens import Seal
from actors.system import ConversationSystem
from protocol.commands import read_command
from protocol.errors import AntiphonError, BadCommandError, GatewayCode, SystemClosedError
from protocol.messages import CloseCode
from protocol.schema import as_text, asyncapi, json_schema

if TYPE_CHECKING:
    from starlette.requests import Request

    from actors.gateway.neighbours import Neighbours
    from actors.gateway.request import Agent
    from actors.gateway.tokens import Authenticator
    from protocol.commands import Authorize

__all__ = ["Gateway", "gateway"]

_PROBES = ("/healthz", "/readyz")
"""They say nothing that anybody could want, and whoever asks them may know the server by another name."""
_Scope = Any
_Receive = Callable[[], Awaitable[Any]]
_Send = Callable[[Any], Awaitable[None]]


def gateway(
    system: ConversationSystem | None = None,
    *,
    agent: Agent,
    authenticator: Authenticator | None = None,
    settings: GatewaySettings | None = None,
) -> Gateway:
    """Return an ASGI application that lets clients talk with an agent.

    Args:
        system: where the conversations run; started with the gateway if it has not been, and then shut down with it.
            Left out, the gateway has one of its own.
        agent: called with an `AgentRequest` for each message; gives an agent stream, or a coroutine that does.
        authenticator: gives the user of a token, or None. Left out, everybody on this machine is `local`, and nobody
            else is let in; give one behind a proxy on this machine, which may not say that it is one.
        settings: limits and time-outs; read from `ANTIPHON_GATEWAY_…` where not given.

    """
    return Gateway(system or ConversationSystem(), agent, authenticator, settings or GatewaySettings())


class Gateway:
    """See `gateway()`, which makes one."""

    def __init__(
        self,
        system: ConversationSystem,
        agent: Agent,
        authenticator: Authenticator | None,
        settings: GatewaySettings,
        neighbours: Neighbours | None = None,
    ) -> None:
        self.system = system
        self.agent = agent
        self.authenticator = authenticator
        self.settings = settings
        self.neighbours = neighbours
        self.seal = Seal(None if settings.resume_key is None else settings.resume_key.get_secret_value())
        self.draining = False
        self.sessions: dict[str, Session] = {}
        self.outcomes: OrderedDict[str, Outcome] = OrderedDict()
        self._ending: dict[str, asyncio.Event] = {}
        self.heads = Heads()
        self.attempts = Attempts(settings.resume_failures_per_minute)
        self._door = Door(self)
        self._check = OriginCheck(settings.allowed_origins, settings.allowed_hosts)
        self._owns_system = False
        self._heartbeat: asyncio.Task[None] | None = None
        self._relays: set[Relay] = set()
        self._chores: set[asyncio.Task[None]] = set()
        self._app = Starlette(
            routes=[
                WebSocketRoute("/ws", _Served(self._converse)),
                Route("/healthz", self._healthz),
                Route("/readyz", self._readyz),
                Route("/schema", self._schema),
                Route("/schema/asyncapi", self._schema),
                *(console_routes() if settings.console else ()),
            ],
            lifespan=self.lifespan,
        )

    # Life.

    async def start(self) -> None:
        """Start what is to be started; the first request does it too."""
        if self._heartbeat is not None:
            return
        self._heartbeat = asyncio.create_task(self._beat(), name="gateway heartbeat")
        try:
            self.system.context  # noqa: B018 - raises when it has not been started
        except SystemClosedError:
            await self.system.start()
            self._owns_system = True

    @asynccontextmanager
    async def lifespan(self, _app: Any = None) -> AsyncIterator[None]:
        """Run the gateway: for the lifespan of the service that it is mounted into."""
        await self.start()
        try:
            yield
        finally:
            await self.drain(0.0)
            if self._heartbeat is not None:
                self._heartbeat.cancel()
            if self._owns_system:
                await self.system.shutdown()

    async def drain(self, seconds: float | None = None) -> None:
        """Take nothing new, let running turns finish, interrupt the rest, and close every socket with 1012.

        Args:
            seconds: how long turns may go on; by default as in the settings.

        """
        self.draining = True
        links = [session.link for session in self.sessions.values() if session.link is not None]
        for link in links:
            link.draining = True
        for relay in tuple(self._relays):
            self._chore(relay.here.close(CloseCode.RESTART, GatewayCode.DRAINING))
        speaking = [link.speaking for link in links if link.speaking is not None]
        for session in tuple(self.sessions.values()):
            if session.link is None or session.link.speaking is None:
                self.end(session, "draining", CloseCode.RESTART, GatewayCode.DRAINING)
        if speaking:
            patience = self.settings.drain_seconds if seconds is None else seconds
            _done, late = await asyncio.wait(speaking, timeout=patience)
            if late:
                await self._cut_short(late)
        for session in tuple(self.sessions.values()):
            self.end(session, "draining", CloseCode.RESTART, GatewayCode.DRAINING)
        while self._chores:
            await asyncio.wait(self._chores)

    async def _cut_short(self, speaking: set[asyncio.Task[None]]) -> None:
        processors = [session.processor for session in self.sessions.values()]
        await asyncio.gather(*(processor.interrupt_all_active_turns("draining") for processor in processors))
        await asyncio.wait(speaking, timeout=self.system.settings.interrupt_wait_timeout)

    # Sessions.

    def full_for(self, user: str) -> bool:
        """Whether this user may not open one more connection."""
        if len(self.sessions) >= self.settings.max_connections:
            return True
        if self.authenticator is None:  # then everybody has the same name
            return False
        return self.heads.of(user) >= self.settings.max_connections_per_user

    def open(self, user: str, command: Authorize) -> Session:
        """Open a connection for a user."""
        grace = self.settings.reader_grace_seconds
        processor = self.system.connect(user_id=user, on_busy=self.settings.on_busy, reader_grace_seconds=grace)
        session = Session(processor, user, command.token, command.flow, self.settings.turns_per_minute)
        self.sessions[session.connection_id] = session
        self.heads.enter(user)
        if self.neighbours is not None:
            self.neighbours.opened(session.connection_id)
        return session

    def attach(self, session: Session, socket: Socket) -> Link:
        """Tie a session to a socket, in the place of the one before."""
        if session.grace is not None:
            session.grace.cancel()
            session.grace = None
        before = session.link
        if before is not None:
            before.detach()
            self._chore(before.socket.close(CloseCode.REPLACED, GatewayCode.REPLACED))
        socket.belongs_to(session.connection_id)
        allowed = self.settings.observe
        session.link = Link(
            session,
            socket,
            self.settings,
            self.system,
            self.agent,
            observing=socket.is_local if allowed is None else allowed,
        )
        return session.link

    def detach(self, session: Session, link: Link, code: int = NO_CLOSE) -> None:
        """The socket has gone: wait for the client, unless it took its leave."""
        link.detach()
        if session.link is not link or session.ended:
            return
        session.link = None
        grace = self.settings.reconnect_grace_seconds
        if code == NORMAL_CLOSE or self.draining or not grace:
            self.end(session, "client_gone")
        else:
            session.grace = asyncio.get_running_loop().call_later(grace, self.end, session, "client_gone")

    def end(
        self, session: Session, reason: str, code: CloseCode | None = None, word: GatewayCode | None = None
    ) -> None:
        """Give a connection up: interrupt its turns, and close its socket if it has one."""
        if session.ended:
            return
        session.ended = True
        if session.grace is not None:
            session.grace.cancel()
        self.sessions.pop(session.connection_id, None)
        self._ending[session.connection_id] = asyncio.Event()
        self.heads.leave(session.user)
        self._chore(self._end(session, reason, code, word))

    async def _end(self, session: Session, reason: str, code: CloseCode | None, word: GatewayCode | None) -> None:
        link, connection_id = session.link, session.connection_id
        try:
            with suppress(AntiphonError):  # it was shut down by somebody else; then nothing speaks
                await session.processor.interrupt_all_active_turns(reason)
            self.outcomes[connection_id] = session.outcome()
        finally:
            self._ending.pop(connection_id).set()
        while len(self.outcomes) > self.settings.max_outcomes:
            self._forget(next(iter(self.outcomes)))
        asyncio.get_running_loop().call_later(self.settings.outcome_seconds, self._forget, connection_id)
        if link is not None and code is not None:
            await link.socket.close(code, word or "")
            link.detach()
        await session.processor.shutdown()

    async def outcome_of(self, connection_id: str) -> Outcome | None:
        """Return what is kept of a connection that was given up; wait for it if that is under way."""
        ending = self._ending.get(connection_id)
        if ending is not None:
            await ending.wait()
        return self.outcomes.get(connection_id)

    def _forget(self, connection_id: str) -> None:
        if self.outcomes.pop(connection_id, None) is not None and self.neighbours is not None:
            self.neighbours.ended(connection_id)

    def _chore(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)

    # The heartbeat.

    async def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self.settings.heartbeat_seconds)
            now = loop.time()
            for session in tuple(self.sessions.values()):
                if session.link is not None:
                    self._look_at(session, session.link, now)
            for relay in tuple(self._relays):  # the gateway beyond it cannot cut off a client of this one
                since = relay.here.sending_since
                if since is not None and now - since > self.settings.client_stall_seconds:
                    self._chore(relay.here.close(CloseCode.TIMED_OUT, GatewayCode.CLIENT_STALLED))

    def _look_at(self, session: Session, link: Link, now: float) -> None:
        if link.stalled(now):
            link.socket.log.info("the client stalled")
            self.end(session, "client_stalled", CloseCode.TIMED_OUT, GatewayCode.CLIENT_STALLED)
        elif link.idle(now):
            self.end(session, "idle", CloseCode.TIMED_OUT, GatewayCode.IDLE)
        elif link.quiet(now) and link.socket.sending_since is None:
            self._chore(_quietly(link.ping()))

    # Requests.

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """Serve a request, as any ASGI application does."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = self._check.refusal(scope)
        if scope["type"] == "websocket":
            await self._meet(scope, receive, send, refusal)
        elif refusal is GatewayCode.HOST_REFUSED and not scope["path"].endswith(_PROBES):
            await JSONResponse({"code": refusal}, status_code=403)(scope, receive, send)
        else:
            await self.start()
            await self._app(scope, receive, send)

    async def _meet(self, scope: _Scope, receive: _Receive, send: _Send, refusal: GatewayCode | None) -> None:
        settings, heads = self.settings, self.heads
        if refusal is not None:
            await _turn_away(Socket(scope, receive, send), 403, refusal)
        elif self.draining:
            await _turn_away(Socket(scope, receive, send), 503, GatewayCode.DRAINING)
        elif heads.sockets >= settings.max_connections or heads.unauthorized >= settings.max_unauthorized:
            await _turn_away(Socket(scope, receive, send), 503, GatewayCode.TOO_MANY_CONNECTIONS)
        else:
            await self.start()
            await self._app(scope, receive, send)

    async def _converse(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """Serve one socket, from its handshake to its end."""
        socket = Socket(scope, receive, send)
        client = relayed_from(socket, self.seal)
        if client is not None:
            socket.comes_from(client)
        self.heads.sockets += 1
        try:
            link = await self._let_in(socket)
            if isinstance(link, Relay):
                await self._relay(link)
            elif link is not None:
                await self._listen(link)
        except SocketGone:
            pass
        except AntiphonError:
            socket.log.exception("the socket could not be served")
            await socket.close(CloseCode.INTERNAL, GatewayCode.INTERNAL)
        except asyncio.CancelledError:
            if not socket.aborted:
                raise
        finally:
            self.heads.sockets -= 1

    async def _relay(self, relay: Relay) -> None:
        self._relays.add(relay)
        try:
            await relay.run()
        finally:
            self._relays.discard(relay)

    async def _let_in(self, socket: Socket) -> Link | Relay | None:
        self.heads.unauthorized += 1
        try:
            await socket.accept()
            return await self._door.enter(socket)
        finally:
            self.heads.unauthorized -= 1

    async def _listen(self, link: Link) -> None:
        socket, session = link.socket, link.session
        errors = 0
        code = NO_CLOSE
        try:
            while errors < self.settings.max_errors_in_row:
                try:
                    command = read_command(await socket.receive(self.settings.max_message_bytes))
                except BadCommandError as bad:
                    errors += 1
                    await link.complain(bad.told, str(bad), bad.field)
                    if bad.told is GatewayCode.MESSAGE_TOO_BIG:
                        await socket.close(CloseCode.TOO_BIG, bad.told)
                else:
                    errors = 0
                    await link.obey(command)
            await link.complain(GatewayCode.TOO_MANY_ERRORS, "too many messages in a row that are none")
            await socket.close(CloseCode.BAD_MESSAGES, GatewayCode.TOO_MANY_ERRORS)
        except SocketGone as gone:
            code = gone.code
        except AntiphonError:
            socket.log.exception("a command failed")
            await socket.close(CloseCode.INTERNAL, GatewayCode.INTERNAL)
        finally:
            socket.log.info("the socket has gone (%d)", code)
            self.detach(session, link, code)

    async def _healthz(self, _request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def _readyz(self, _request: Request) -> Response:
        if self.draining:
            return PlainTextResponse("draining\n", status_code=503)
        if self.heads.sockets >= self.settings.max_connections:
            return PlainTextResponse("full\n", status_code=503)
        return PlainTextResponse("ready\n")

    async def _schema(self, request: Request) -> Response:
        document = asyncapi() if request.url.path.endswith("asyncapi") else json_schema()
        return Response(as_text(document), media_type="application/json")


class _Served:
    """An ASGI application, so that Starlette adds nothing of its own to a socket."""

    def __init__(self, serve: Callable[[_Scope, _Receive, _Send], Awaitable[None]]) -> None:
        self._serve = serve

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        await self._serve(scope, receive, send)


async def _turn_away(socket: Socket, status: int, code: GatewayCode) -> None:
    socket.log.info("refused: %s", code)
    await _quietly(socket.refuse(status, code))


async def _quietly(saying: Awaitable[None]) -> None:
    with suppress(SocketGone):
        await saying
