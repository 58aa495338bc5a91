"""`Control`: the outside of a fleet, for the commands and the leader. It asks the supervisor, and raises refusals."""

from __future__ import annotations

import os
import socket
import time
from contextlib import closing, suppress
from datetime import timedelta
from itertools import count
from typing import Any, Self

from thespian.actors import ActorSystem, ActorSystemException

from actors.fleet.mail import Answer, Ask, accepted
from actors.fleet.settings import FleetSettings
from actors.fleet.transport import KEY, FleetBase
from protocol.errors import BadArgumentError, FleetNotRunningError, FleetTimeoutError

__all__ = ["ANSWER_SECONDS", "Control", "is_taken"]

ANSWER_SECONDS = 10.0
"""For questions that are answered at once."""

_ACTOR = "actors.fleet.supervisor.FleetSupervisor"
_SUPERVISOR = "antiphon fleet supervisor"
_LOGGING = {
    "version": 1,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"level": "WARNING", "handlers": ["stderr"]},
    "loggers": {"antiphon": {"level": "INFO"}},
}
"""Of Thespian's logging process, which writes what the supervisor and Thespian itself log."""


class _Named:
    """What Thespian wants of an ActorSystem while it makes a base for one."""

    def __init__(self, capabilities: dict[str, Any]) -> None:
        self.capabilities = capabilities


class Control:
    """A way to the supervisor of this host's fleet.

    Args:
        settings: where its control port is.
        start: start Thespian there, rather than find what runs.

    Raises:
        FleetNotRunningError: nothing runs there.

    """

    def __init__(self, settings: FleetSettings, *, start: bool = False) -> None:
        self._numbers = count(1)
        here = f"{settings.control_host} port {settings.control_port}"
        if not start and not is_taken(settings):
            raise FleetNotRunningError(f"no fleet answers on {here}")
        os.environ["THESPIAN_BASE_IPADDR"] = settings.control_host
        if settings.key is not None:
            os.environ[KEY] = settings.key.get_secret_value()
        capabilities = {"Admin Port": settings.control_port}
        try:
            self._base = FleetBase(_Named(capabilities), _LOGGING, start=start)
            self._system = ActorSystem(self._base, capabilities, transientUnique=True)
            self._supervisor = self._system.createActor(_ACTOR, globalName=_SUPERVISOR)
        except ActorSystemException as failure:
            raise FleetNotRunningError(f"what listens on {here} does not answer as a fleet does: {failure}") from None

    def ask(self, question: Any, seconds: float = ANSWER_SECONDS) -> Any:
        """Ask the supervisor, and return the answer.

        Raises:
            AntiphonError: it was refused, with the error that says why; or there was no answer in time.

        """
        until = time.monotonic() + seconds
        number = next(self._numbers)
        answer = self._system.ask(self._supervisor, Ask(number, question), timedelta(seconds=seconds))
        while not (answer is None or (isinstance(answer, Answer) and answer.number == number)):  # it came too late
            answer = self._system.listen(timedelta(seconds=max(0.0, until - time.monotonic())))
        if answer is None:
            raise FleetTimeoutError(f"the fleet did not answer within {seconds:g} s")
        return accepted(answer.answer)

    def end_thespian(self) -> None:
        """Have Thespian's admin end, with whatever actors are left."""
        self._system.shutdown()

    def close(self) -> None:
        """Let go of it; it runs on."""
        with suppress(AttributeError):  # after `end_thespian()` there is nothing to close
            self._base.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


def is_taken(settings: FleetSettings) -> bool:
    """Whether something listens on the control port.

    Raises:
        BadArgumentError: there is no such host.

    """
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        probe.settimeout(2.0)
        try:
            return probe.connect_ex((settings.control_host, settings.control_port)) == 0
        except (OSError, UnicodeError) as failure:
            why = failure.strerror if isinstance(failure, OSError) else "no host is called so"
            raise BadArgumentError(f"ANTIPHON_FLEET_CONTROL_HOST {settings.control_host!r}: {why}") from None
