"""What a node's process is there for: a gateway with its ConversationSystem, on an event loop in a thread.

The main thread belongs to Thespian, which knows nothing of event loops. Each side may call the other from its own
thread: `NodeServer.post()` runs something in the loop, and what the loop has to say is given to `say`, which may be
called from any thread. If the thread ends unasked, so does the process: whoever watches it is to see that the node
is dead.

The shared port belongs to all nodes of the host (SO_REUSEPORT). Who drains closes its half of it first, so that the
kernel sends nobody new; the port of its own stays open until the last turn has ended.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

from actors.fleet.here import this_is
from actors.fleet.mail import (
    Answer,
    Ask,
    ConnectionReport,
    Drained,
    Find,
    Found,
    Interrupt,
    Interrupted,
    LaunchNode,
    LookUp,
    Moved,
    NodeFailed,
    NodeReport,
    NodeServing,
    Refused,
    TurnReport,
    accepted,
)
from actors.gateway.agents import find_agent
from actors.gateway.application import Gateway
from actors.gateway.neighbours import Place
from actors.gateway.server import Server, bind, collect_garbage_rarely, gateway_on, listen, name_of
from actors.gateway.session import Session
from actors.gateway.settings import GatewaySettings
from protocol.errors import AntiphonError, FleetConnectionNotFoundError, FleetTimeoutError

__all__ = ["NodeServer"]

_GATHER_SECONDS = 0.01
"""How long what the directory is to know may gather before it is sent."""
_FIND_PAUSES = (0.0, 0.02, 0.1, 0.3)
_ANSWER_SECONDS = 5.0
_TURNS_SHOWN = 10
_BROKEN = 70
"""The exit code of a node whose thread failed."""

_log = logging.getLogger("antiphon.fleet")


class NodeServer:
    """Serves in a thread of its own, and tells about it.

    Args:
        launch: the node's name, and what it serves.
        say: takes what is to be sent to the supervisor; called in the loop's thread.

    """

    def __init__(self, launch: LaunchNode, say: Callable[[Any], None]) -> None:
        self.name = launch.name
        self._plan = launch.plan
        self._say = say
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._opened: dict[str, None] = {}
        self._ended: dict[str, None] = {}
        self._gathering = False
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}

    def start(self) -> None:
        """Begin to serve: `NodeServing` or `NodeFailed` will be said."""
        threading.Thread(target=self._run, name=self.name, daemon=True).start()

    def post(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a coroutine in the loop; from any thread, once `NodeServing` was said. In vain after `Drained`."""
        self._call(self._begin, work)

    def _call(self, function: Callable[[Any], None], argument: Any) -> None:
        assert self._loop is not None, "it serves"
        with suppress(RuntimeError):  # the loop has ended, and the process is about to
            self._loop.call_soon_threadsafe(function, argument)

    def _begin(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        task = asyncio.ensure_future(work())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _run(self) -> None:
        try:
            settings = GatewaySettings()
            sockets = self._bind(settings)
            reached_at = self._address.removeprefix("http://")
            settings = settings.model_copy(update={"allowed_hosts": (*settings.allowed_hosts, reached_at)})
            agent = find_agent(self._plan.agent, self._plan.tokens_per_second)
            self._app = gateway_on(sockets, self._plan.host, agent, settings, self)
        except AntiphonError as failure:
            self._say(NodeFailed(self.name, str(failure)))
            return
        try:
            self._server = _Server(self._app, settings, self._serving)
            collect_garbage_rarely()
            with asyncio.Runner(loop_factory=self._server.config.get_loop_factory()) as runner:
                runner.run(self._server.serve(sockets))
        except BaseException:  # noqa: BLE001 - also SystemExit, with which uvicorn gives up
            _log.exception("%s: its thread failed", self.name)
            os._exit(_BROKEN)
        self._say(Drained(self.name))

    def _bind(self, settings: GatewaySettings) -> list[socket.socket]:
        host = self._plan.host
        self._shared = bind(host, self._plan.port, settings.send_buffer_bytes, shared=True)
        own = bind(host, 0, settings.send_buffer_bytes)
        self._address = f"http://{name_of(self._plan.advertised, own)}"
        sockets = [*self._shared, *own]
        listen(sockets)
        return sockets

    def _serving(self) -> None:
        self._loop = asyncio.get_running_loop()
        this_is(self)
        self._say(NodeServing(self.name, os.getpid(), self._address))

    # What the supervisor asks.

    async def report(self, survey: int) -> None:
        """Say how it is going."""
        app: Gateway = self._app
        figures = {"sockets": app.heads.sockets, **app.system.inspect().stats}
        self._say(NodeReport(self.name, survey, len(app.sessions), figures))

    async def drain(self) -> None:
        """Let turns finish, then stop serving; `Drained` will be said."""
        self._server.close(self._shared)
        await self._app.drain()
        self._server.should_exit = True

    async def answer(self, request: Interrupt | LookUp) -> Interrupted | ConnectionReport | Refused:
        """Do what somebody elsewhere wants of a connection that is here."""
        session = self._app.sessions.get(request.connection_id)
        if session is None:
            missing = f"connection {request.connection_id} is not on {self.name} any more"
            return Refused(FleetConnectionNotFoundError.code, missing)
        if isinstance(request, Interrupt):
            turns = await session.processor.interrupt_all_active_turns(request.reason)
            return Interrupted(request.connection_id, self.name, turns)
        return self._look_up(session, request.turn_id)

    def _look_up(self, session: Session, turn_id: str | None) -> ConnectionReport:
        wanted = session.turns[-_TURNS_SHOWN:] if turn_id is None else (turn_id,)
        turns = [turn for turn in map(session.processor.get_turn, wanted) if turn is not None]
        return ConnectionReport(
            connection_id=session.connection_id,
            node=self.name,
            address=self._address,
            user_id=session.user,
            attached=session.link is not None,
            turns=tuple(
                TurnReport(
                    turn.turn_id,
                    str(turn.status),
                    turn.reason,
                    turn.generated_text,
                    turn.delivered_text,
                    turn.played_text,
                )
                for turn in turns
            ),
        )

    # What this node asks.

    async def ask(self, question: Any) -> Any:
        """Ask the supervisor, as `Control.ask()` does from outside.

        Raises:
            AntiphonError: it was refused, or there was no answer in time.

        """
        number = next(self._numbers)
        waiting = self._waiting[number] = asyncio.get_running_loop().create_future()
        self._say(Ask(number, question))
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return accepted(await waiting)
        except TimeoutError:
            raise FleetTimeoutError(f"the fleet did not answer within {_ANSWER_SECONDS:g} s") from None
        finally:
            del self._waiting[number]

    def answered(self, answer: Answer) -> None:
        """Give an answer to whoever waits for it; from any thread."""
        self._call(self._settle, answer)

    def _settle(self, answer: Answer) -> None:
        waiting = self._waiting.get(answer.number)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer.answer)

    # What the gateway tells (`Neighbours`).

    def opened(self, connection_id: str) -> None:
        """See `Neighbours`."""
        self._opened[connection_id] = None
        self._gather()

    def ended(self, connection_id: str) -> None:
        """See `Neighbours`."""
        if self._opened.pop(connection_id, self) is self:  # or nobody has heard of it yet
            self._ended[connection_id] = None
            self._gather()

    async def find(self, connection_id: str) -> Place | None:
        """See `Neighbours`."""
        try:
            for pause in _FIND_PAUSES:
                await asyncio.sleep(pause)  # a client may come back before the directory has heard of it
                with suppress(FleetConnectionNotFoundError):
                    found: Found = await self.ask(Find(connection_id))
                    return Place(found.address)
        except FleetTimeoutError:
            _log.warning("%s: the supervisor did not say where connection %s is", self.name, connection_id)
        return None

    def _gather(self) -> None:
        if not self._gathering:
            self._gathering = True
            asyncio.get_running_loop().call_later(_GATHER_SECONDS, self._tell)

    def _tell(self) -> None:
        self._gathering = False
        opened, ended = tuple(self._opened), tuple(self._ended)
        self._opened.clear()
        self._ended.clear()
        if opened or ended:
            self._say(Moved(self.name, opened, ended))


class _Server(Server):
    """Leaves signals to the main thread, says when it serves, and can close a part of its sockets."""

    def __init__(self, app: Gateway, settings: GatewaySettings, serving: Callable[[], None]) -> None:
        super().__init__(app, settings)
        self._serving = serving

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._serving()

    def close(self, sockets: list[socket.socket]) -> None:
        """Take nobody any more on these."""
        names = {listening.getsockname() for listening in sockets}
        for server in self.servers:
            if {listening.getsockname() for listening in server.sockets} <= names:
                server.close()
        for listening in sockets:
            listening.close()
