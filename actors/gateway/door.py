"""The first message of a socket: `authorize` opens a connection, `resume` goes on with one.

Whatever is wrong with a resume token (unknown, wrong, used, another user's) is answered alike and counts against the
address. Only who has the right one is told more.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from actors.gateway.link import Link
from actors.gateway.relay import Relay, UnreachableError
from actors.gateway.tokens import LOCAL_USER, identify, same, token_hash
from protocol.commands import Authorize, Command, Resume, read_command
from protocol.errors import BadCommandError, GatewayCode, ReplayGapError, TurnNotFoundError
from protocol.messages import (
    AuthorizeError,
    AuthorizeSuccess,
    CloseCode,
    GatewayError,
    ResumeError,
    ResumeSuccess,
)
from protocol.turn import TurnStatus

if TYPE_CHECKING:
    from actors.gateway.application import Gateway
    from actors.gateway.neighbours import Place
    from actors.gateway.session import Session
    from actors.gateway.socket import Socket
    from actors.stream import EventStream

__all__ = ["Door"]

_NO_HASH = token_hash("")


class Door:
    """Lets sockets of a gateway in."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def enter(self, socket: Socket) -> Link | Relay | None:
        """Read the first message and answer it. None: the socket was closed.

        Raises:
            SocketGone: the client has gone.

        """
        settings = self._gateway.settings
        try:
            async with asyncio.timeout(settings.authorize_seconds):
                limit = settings.max_first_message_bytes
                command = read_command(await socket.receive(limit, "max_first_message_bytes"))
        except TimeoutError:
            await _refuse(
                socket,
                CloseCode.TIMED_OUT,
                GatewayError(code=GatewayCode.AUTHORIZE_TIMEOUT, error="send authorize or resume first"),
            )
        except BadCommandError as bad:
            code = CloseCode.TOO_BIG if bad.told is GatewayCode.MESSAGE_TOO_BIG else CloseCode.BAD_MESSAGES
            await _refuse(socket, code, GatewayError(code=bad.told, error=str(bad), field=bad.field))
        else:
            return await self._admit(socket, command)
        return None

    async def _admit(self, socket: Socket, command: Command) -> Link | Relay | None:
        if await self._closed(socket):
            return None
        if isinstance(command, Authorize):
            return await self._authorize(socket, command)
        if isinstance(command, Resume):
            return await self._resume(socket, command)
        first = GatewayError(code=GatewayCode.NOT_AUTHORIZED, error="send authorize or resume first")
        await _refuse(socket, CloseCode.NOT_AUTHORIZED, first)
        return None

    async def _closed(self, socket: Socket) -> bool:
        """Turn the client away if the server is going down; ask again after every wait."""
        if self._gateway.draining:
            going = GatewayError(code=GatewayCode.DRAINING, error="the server is going down")
            await _refuse(socket, CloseCode.RESTART, going)
        return self._gateway.draining

    async def _authorize(self, socket: Socket, command: Authorize) -> Link | None:
        gateway = self._gateway
        user = await self._identify(socket, command.token)
        if await self._closed(socket):
            return None
        if user is None:
            refusal = AuthorizeError(code=GatewayCode.AUTHORIZE_REFUSED, error="the token is not known")
            await _refuse(socket, CloseCode.NOT_AUTHORIZED, refusal)
            return None
        if gateway.full_for(user):
            full = AuthorizeError(code=GatewayCode.TOO_MANY_CONNECTIONS, error="there are too many connections")
            await _refuse(socket, CloseCode.TOO_MANY, full)
            return None
        session = gateway.open(user, command)
        link = gateway.attach(session, socket)
        socket.log.info("opened")
        token = session.new_token(gateway.seal)
        answer = AuthorizeSuccess(connection_id=session.connection_id, resume_token=token)
        await self._welcome(link, answer)
        return link

    async def _welcome(self, link: Link, answer: AuthorizeSuccess | ResumeSuccess) -> None:
        try:
            await link.socket.send(answer.to_json())
        except BaseException:
            self._gateway.detach(link.session, link)
            raise

    async def _identify(self, socket: Socket, token: str | None) -> str | None:
        gateway = self._gateway
        if gateway.authenticator is None:
            return LOCAL_USER if socket.is_local else None
        try:
            async with asyncio.timeout(gateway.settings.authorize_seconds):
                return await identify(gateway.authenticator, token)
        except Exception:
            socket.log.exception("the authenticator failed")
            return None

    async def _resume(self, socket: Socket, command: Resume) -> Link | Relay | None:
        gateway = self._gateway
        now, address = asyncio.get_running_loop().time(), socket.address or ""
        if gateway.attempts.exhausted(address, now):
            many = ResumeError(code=GatewayCode.TOO_MANY_ATTEMPTS, error="too many attempts; wait a minute")
            await _refuse(socket, CloseCode.TOO_MANY, many)
            return None
        given = token_hash(command.resume_token)
        session = gateway.sessions.get(command.connection_id)
        right = same(session.resume_hash if session is not None else _NO_HASH, given)
        late = await gateway.outcome_of(command.connection_id) if session is None else None
        if late is not None and same(late.resume_hash, given):
            error = ResumeError(
                code=GatewayCode.RESUME_TOO_LATE,
                error="the connection was given up",
                turn_id=late.turn_id,
                turn_status=late.turn_status,
                played_text=late.played_text,
            )
            await _refuse(socket, CloseCode.NOT_AUTHORIZED, error)
            return None
        if (
            session is None
            and gateway.neighbours is not None
            and gateway.seal.knows(command.connection_id, command.resume_token)
        ):
            place = await gateway.neighbours.find(command.connection_id)
            if place is not None:
                return await self._go_elsewhere(socket, command, place)
        # The authenticator may take its time, and somebody else may come with the same token meanwhile.
        known = session is not None and right and await self._still_known(socket, session, given)
        if await self._closed(socket):
            return None
        if session is None or not known:
            gateway.attempts.failed(address, now)
            refusal = ResumeError(code=GatewayCode.RESUME_REFUSED, error="no such connection, or not with this token")
            await _refuse(socket, CloseCode.NOT_AUTHORIZED, refusal)
            return None
        return await self._go_on(socket, session, command)

    async def _go_elsewhere(self, socket: Socket, command: Resume, place: Place) -> Relay | None:
        """Reach the gateway that has the connection, or say that there is none any more."""
        gateway = self._gateway
        if place.address is not None:
            limit = gateway.settings.max_message_bytes
            try:
                return await Relay.open(socket, place.address, command, gateway.seal, limit)
            except UnreachableError as unreachable:
                if not unreachable.gone:
                    socket.log.warning("%s is out of reach", place.address, exc_info=True)
                    later = ResumeError(code=GatewayCode.INTERNAL, error="out of reach for now; come again")
                    await _refuse(socket, CloseCode.RESTART, later)
                    return None
        lost = ResumeError(
            code=GatewayCode.NODE_LOST,
            error="the process that had the connection has died",
            turn_id=command.turn_id,
            turn_status=None if command.turn_id is None else TurnStatus.FAILED,
        )
        await _refuse(socket, CloseCode.NOT_AUTHORIZED, lost)
        return None

    async def _still_known(self, socket: Socket, session: Session, given: bytes) -> bool:
        user = await self._identify(socket, session.credential)
        return user == session.user and not session.ended and same(session.resume_hash, given)

    async def _go_on(self, socket: Socket, session: Session, command: Resume) -> Link | None:
        turn_id, after_seq = command.turn_id or session.active_turn, -1
        if command.turn_id is not None and command.after_seq is not None:
            after_seq = command.after_seq
        speeches = _speeches(session, turn_id, after_seq)
        if isinstance(speeches, ResumeError):
            await _refuse(socket, CloseCode.NOT_AUTHORIZED, speeches)
            return None
        if command.flow is not None:
            session.flow = command.flow
        turn = None if turn_id is None else session.processor.get_turn(turn_id)
        answer = ResumeSuccess(
            connection_id=session.connection_id,
            resume_token=session.new_token(self._gateway.seal),
            turn_id=turn_id,
            status=turn.status if turn is not None else None,
        )
        link = self._gateway.attach(session, socket)
        socket.log.info("resumed")
        for speech in speeches:  # now, so that what is started from here on comes behind them
            link.speak(*speech)
        await self._welcome(link, answer)  # it has the socket before the task that speaks
        return link


def _speeches(session: Session, turn_id: str | None, after_seq: int) -> list[tuple[EventStream, int]] | ResumeError:
    """Read the turn that the client knows, from where it is, and the turns after it; or say of which it has a gap."""
    if turn_id is None:
        return []
    processor = session.processor
    later = [turn for turn in session.turns_after(turn_id) if processor.get_turn(turn) is not None]
    speeches = []
    for wanted_id, after in [(turn_id, after_seq), *((turn, -1) for turn in later)]:
        turn = processor.get_turn(wanted_id)
        try:
            speeches.append((processor.stream_events(wanted_id, after), after))
        except (TurnNotFoundError, ReplayGapError) as failure:
            return ResumeError(
                code=GatewayCode(failure.code),
                error="those events cannot be sent again",
                turn_id=wanted_id,
                turn_status=turn.status if turn is not None else None,
                played_text=turn.played_text if turn is not None else None,
            )
    return speeches


async def _refuse(socket: Socket, code: CloseCode, answer: AuthorizeError | ResumeError | GatewayError) -> None:
    socket.log.info("refused: %s", answer.code)
    await socket.send(answer.to_json())
    await socket.close(code, answer.code)
