"""Thespian's TCP transport, as a fleet needs it; every process of a fleet makes one, so what holds for each is here.

- It listens on the address that it gives to others. Thespian's listens on every interface of the machine, whatever
  its address says, and its wire format is pickle: whoever can connect can run code. (See docs/fleet.md.)
- With a key in the environment, every message is sealed, and one whose seal does not fit is never unpickled. (Nothing
  is encrypted, and who can listen could send an old message again.)
- A guard ends the process when the leader, the admin or the parent has ended.
- Nothing is written to `thespian.log` in the folder of temporary files.
- A child gets no list of descriptors to close: they are numbers of the parent's, and in a process that was spawned
  the same numbers are something else.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import multiprocessing
import os
import pickle
from typing import Any

from thespian.actors import InvalidActorAddress
from thespian.system import multiprocCommon, systemBase
from thespian.system.multiprocCommon import multiprocessCommon
from thespian.system.transport import IPBase
from thespian.system.transport import TCPTransport as tcp  # noqa: N813 - a module
from thespian.system.transport.streamBuffer import ackDataErrPacket, ackPacket
from thespian.system.utilis import thesplog_control

from actors.fleet.guard import guard

__all__ = ["GUARDED", "KEY", "FleetBase", "FleetTransport"]

GUARDED = "_ANTIPHON_FLEET_GUARDED"
"""The environment variable with the ids of the processes that no process of the fleet outlives."""

KEY = "ANTIPHON_FLEET_KEY"
"""The environment variable with the key; `FleetSettings.key`."""

_ADMIN_STARTUP = multiprocCommon.timedelta(seconds=30)
"""Thespian gives its admin 5 s to start, which is little on a machine that is busy."""
_FIND = multiprocCommon.timedelta(seconds=1)
"""How long to look for an admin that does not answer; Thespian tries for 11 s."""


class _Sealed:
    """In the place of `pickle`, as Thespian calls it: a seal before every message."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def dumps(self, message: Any) -> bytes:
        text = pickle.dumps(message)
        return self._seal(text) + text

    def loads(self, sealed: bytes) -> Any:
        if sealed in _RECEIPTS:
            return _RECEIPTS[sealed]
        seal, text = sealed[:_SEAL_BYTES], sealed[_SEAL_BYTES:]
        if not hmac.compare_digest(seal, self._seal(text)):
            raise pickle.UnpicklingError("a message whose seal does not fit")
        return pickle.loads(text)  # noqa: S301 - who sealed it could run anything anyway

    def _seal(self, text: bytes) -> bytes:
        return hmac.digest(self._key, text, hashlib.sha256)


_SEAL_BYTES = 32
_RECEIPTS = {pickle.dumps(packet): packet for packet in (ackPacket, ackDataErrPacket)}
"""What Thespian answers to each message: pickled before anybody could say how, always the same, and harmless."""


def _listening_address(self: Any) -> tuple[tuple[Any, ...]]:
    return ((self.sockname[0], *self.bindname[1:]),)


class FleetTransport(tcp.TCPTransport):  # type: ignore[misc]  # Thespian has no types
    """See above."""

    def __init__(self, kind: Any, *arguments: Any) -> None:
        IPBase.IPActorAddress.bindArgs = property(_listening_address)
        thesplog_control(logging.WARNING, False, 0)
        tcp.serializer = _Sealed(key) if (key := os.environ.get(KEY)) else pickle
        super().__init__(kind, *arguments)
        if isinstance(kind, tcp.TCPEndpoint):  # not the outside, which may come and go
            _, own, _, admin, *_ = kind.args
            _guard_this_process(is_admin=own == admin)

    def close(self) -> None:
        """Close every socket; Thespian leaves open the one that it listens on, and those that it might use again."""
        here = vars(self)
        left = [here.get("socket"), *(idle.socket for idle in here.get("_openSockets", {}).values())]
        super().close()
        for each in left:
            if each is not None:
                each.close()

    def external_transport_clone(self) -> FleetTransport:
        """Return another one of this kind, for one request; Thespian's would be of its own."""
        return FleetTransport(tcp.ExternalTransportCopy(), self._adminAddr, self.txOnly, False)

    def childResetFileNumList(self) -> list[int]:  # noqa: N802 - Thespian's name
        """Return what a child has to close: nothing, see above."""
        return []


class FleetBase(multiprocessCommon):  # type: ignore[misc]  # Thespian has no types
    """Thespian's `multiprocTCPBase` on that transport.

    Args:
        system: has the capabilities.
        logging_of_its_logger: as for `logging.config.dictConfig()`.
        start: start Thespian's admin if there is none; otherwise only find it, where Thespian always starts one.

    """

    transportType = FleetTransport  # noqa: N815 - Thespian's name

    def __init__(self, system: Any, logging_of_its_logger: Any, *, start: bool) -> None:
        self._may_start = start
        multiprocCommon.MAX_ADMIN_STARTUP_DELAY = _ADMIN_STARTUP
        if not start:
            systemBase.MAX_SYSTEM_SHUTDOWN_DELAY = _FIND
        system.capabilities.update(
            {
                "Thespian ActorSystem Name": "multiprocTCPBase",
                "Thespian ActorSystem Version": 2,
                "Thespian Watch Supported": True,
                "Process Startup Method": "spawn",
            }
        )
        super().__init__(system, logging_of_its_logger)

    def _startAdmin(self, address: Any, *arguments: Any) -> None:  # noqa: N802 - Thespian's name
        if not self._may_start:
            raise InvalidActorAddress(address, "nobody is there")
        super()._startAdmin(address, *arguments)


def _guard_this_process(*, is_admin: bool) -> None:
    watched = [int(pid) for pid in os.environ.get(GUARDED, "").split(",") if pid]
    parent = multiprocessing.parent_process()
    if is_admin:  # its parent was the half of a fork that has ended by now; its children watch it too
        os.environ[GUARDED] = ",".join(map(str, [*watched, os.getpid()]))
    elif parent is not None and parent.pid is not None:
        watched.append(parent.pid)
    guard(watched)
