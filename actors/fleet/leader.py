"""The leader: the process of `antiphon fleet up`. It starts the fleet of its host, and the fleet ends with it.

It checks what can be checked before anything runs, and holds the shared port without listening on it: so the port is
the fleet's for as long as there is one, also while no node serves, and no second fleet of the same user can slip in
beside it, as SO_REUSEPORT would let it. Then it waits: for a signal, which ends the fleet in good form, or for
Thespian's admin or the supervisor to die, which ends it in bad.

Every other process has the leader under guard (`guard.py`), so none is left when it is killed.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import secrets
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from actors.fleet.control import Control, is_taken
from actors.fleet.guard import end_process, guard
from actors.fleet.mail import Plan, Started, StartFleet, StopFleet, Stopped
from actors.fleet.settings import FleetSettings
from actors.fleet.transport import GUARDED
from actors.gateway.agents import find_agent
from actors.gateway.origins import is_loopback
from actors.gateway.server import bind, gateway_on, name_of
from actors.gateway.settings import GatewaySettings
from protocol.errors import BadArgumentError, FleetBrokenError, FleetRunningError

__all__ = ["Leader"]

_RESUME_KEY = "ANTIPHON_GATEWAY_RESUME_KEY"
_ANY = ("0.0.0.0", "::", "")  # noqa: S104 - addresses that others cannot use
_CONVENTION = {"CONVENTION_REREGISTRATION_PERIOD": "0:10", "CONVENTION_RESTART_PERIOD": "0:10"}
"""Minutes and seconds from one registration with the host that was joined to the next, and to the next try after it
was lost; Thespian takes 7:22 and 3:22. The third that is missed in a row is a loss."""
_START_SECONDS = 90.0
_END_SECONDS = 10.0
"""Beyond the time that turns may take to finish."""
_EXIT_SECONDS = 5.0
"""Python takes a moment to end, and Thespian says that an actor has exited when it is about to."""


class Leader:
    """Args:
    settings: of the control plane.
    host, port: of the service; port 0 takes a free one.
    agent, tokens_per_second: as for `antiphon serve`.
    nodes: how many.
    name: of the nodes: `name-1`, `name-2` …
    join: the control plane of another host, `host:port`, whose fleet this is to be a part of.
    verbose: whether the nodes log more.

    """  # noqa: D205

    def __init__(
        self,
        settings: FleetSettings,
        *,
        host: str,
        port: int,
        agent: str,
        tokens_per_second: float,
        nodes: int,
        name: str = "node",
        join: str | None = None,
        verbose: bool = False,
    ) -> None:
        self._settings = settings
        self._host = host
        self._port = port
        self._agent = agent
        self._tokens_per_second = tokens_per_second
        self._nodes = nodes
        self._name = name
        self._join = join
        self._verbose = verbose

    def run(self, ready: Callable[[str], None]) -> None:
        """Start the fleet, call `ready` with its address once it serves, and return when it was told to end and has.

        Raises:
            AntiphonError: it cannot be started, and nothing of it is left; or it broke.

        """
        gateway = GatewaySettings()
        if self._settings.key is None and not is_loopback(self._settings.control_host):
            raise BadArgumentError(
                f"the control plane can be reached from elsewhere at {self._settings.control_host}, and whoever "
                "reaches it can run code: set ANTIPHON_FLEET_KEY to 32 characters or more that nobody can guess"
            )
        if is_taken(self._settings):
            where = f"{self._settings.control_host} port {self._settings.control_port}"
            raise FleetRunningError(f"a fleet runs already, or something else listens on {where}")
        find_agent(self._agent, self._tokens_per_second)
        held = _hold(self._host, self._port, gateway)
        try:
            gateway_on(held, self._host, _nobody, gateway)
            plan = Plan(
                address=f"http://{name_of(self._host, held)}",
                host=self._host,
                port=held[0].getsockname()[1],
                agent=self._agent,
                tokens_per_second=self._tokens_per_second,
                nodes=self._nodes,
                name=self._name,
                control=_numeric(self._settings),
                join=self._join,
                advertised=self._settings.control_host if self._host in _ANY else self._host,
                drain_seconds=gateway.drain_seconds,
                leader=os.getpid(),
                verbose=self._verbose,
            )
            self._lead(plan, ready)
        finally:
            for bound in held:
                bound.close()

    def _lead(self, plan: Plan, ready: Callable[[str], None]) -> None:
        os.environ[GUARDED] = str(os.getpid())
        os.environ.setdefault(_RESUME_KEY, _resume_key(self._settings))
        for variable, period in _CONVENTION.items():
            os.environ.setdefault(variable, period)
        with Control(self._settings, start=True) as control:
            _forget_forked_half()
            try:
                started: Started = control.ask(StartFleet(plan), _START_SECONDS)
                ready(plan.address)
                if not asyncio.run(self._wait(started)):
                    raise FleetBrokenError("a part of the control plane died, and the fleet ends with it")
                stopped: Stopped = control.ask(StopFleet(), plan.drain_seconds + _END_SECONDS)
                left = [*stopped.pids, started.pid, started.admin]
            finally:
                control.end_thespian()
            for pid in left:
                end_process(pid, _EXIT_SECONDS)

    async def _wait(self, started: Started) -> bool:
        """Wait for a signal (True), or for the death of what the fleet cannot be without."""
        loop = asyncio.get_running_loop()
        end: asyncio.Future[bool] = loop.create_future()

        def settle(meant: bool) -> None:
            if not end.done():
                end.set_result(meant)

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, settle, True)

        def broken() -> None:
            with suppress(RuntimeError):  # the loop has ended: it was meant
                loop.call_soon_threadsafe(settle, False)

        guard([started.pid, started.admin], broken)
        return await end


def _hold(host: str, port: int, settings: GatewaySettings) -> list[socket.socket]:
    """Bind to the shared port, once it is certain that nobody else has it."""
    alone = bind(host, port, settings.send_buffer_bytes)
    chosen = alone[0].getsockname()[1]
    for bound in alone:
        bound.close()
    return bind(host, chosen, settings.send_buffer_bytes, shared=True)


def _numeric(settings: FleetSettings) -> str:
    try:
        return f"{socket.gethostbyname(settings.control_host)}:{settings.control_port}"
    except OSError as failure:
        raise BadArgumentError(f"ANTIPHON_FLEET_CONTROL_HOST={settings.control_host}: {failure.strerror}") from None


def _resume_key(settings: FleetSettings) -> str:
    """Return a key for all nodes of the fleet, on whichever host, if they have one in common already."""
    if settings.key is None:
        return secrets.token_urlsafe(32)
    return hmac.digest(settings.key.get_secret_value().encode(), b"resume", "sha256").hex()


def _forget_forked_half() -> None:
    """Wait for the process that Thespian forked its admin from, which nobody else does."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _nobody(_request: object) -> NoReturn:
    raise AssertionError("the leader serves nobody")
