"""Thespian's TCP transport, as a fleet needs it; every process of a fleet makes one, so what holds for each is here.

- It listens on the address that it gives to others. Thespian's listens on every interface of the machine, whatever
  its address says, and its wire format is pickle: whoever can connect can run code. (See docs/fleet.md.)
- A guard ends the process when the leader, the admin or the parent has ended.
- Nothing is written to `thespian.log` in the folder of temporary files.
- A child gets no list of descriptors to close: they are numbers of the parent's, and in a process that was spawned
  the same numbers are something else.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
from typing import Any

from thespian.system import multiprocCommon
from thespian.system.multiprocCommon import multiprocessCommon
from thespian.system.transport import IPBase
from thespian.system.transport.TCPTransport import TCPEndpoint, TCPTransport
from thespian.system.utilis import thesplog_control

from actors.fleet.guard import guard

__all__ = ["GUARDED", "FleetBase", "FleetTransport"]

GUARDED = "_ANTIPHON_FLEET_GUARDED"
"""The environment variable with the ids of the processes that no process of the fleet outlives."""

_ADMIN_STARTUP = multiprocCommon.timedelta(seconds=30)
"""Thespian gives its admin 5 s to start, which is little on a machine that is busy."""


def _listening_address(self: Any) -> tuple[tuple[Any, ...]]:
    return ((self.sockname[0], *self.bindname[1:]),)


class FleetTransport(TCPTransport):  # type: ignore[misc]  # Thespian has no types
    """See above."""

    def __init__(self, kind: Any, *arguments: Any) -> None:
        IPBase.IPActorAddress.bindArgs = property(_listening_address)
        thesplog_control(logging.WARNING, False, 0)
        super().__init__(kind, *arguments)
        if isinstance(kind, TCPEndpoint):  # not the outside, which may come and go
            _, own, _, admin, *_ = kind.args
            _guard_this_process(is_admin=own == admin)

    def childResetFileNumList(self) -> list[int]:  # noqa: N802 - Thespian's name
        """Return what a child has to close: nothing, see above."""
        return []


class FleetBase(multiprocessCommon):  # type: ignore[misc]  # Thespian has no types
    """Thespian's `multiprocTCPBase` on that transport."""

    transportType = FleetTransport  # noqa: N815 - Thespian's name

    def __init__(self, system: Any, logDefs: Any = None) -> None:  # noqa: N803 - Thespian's name
        multiprocCommon.MAX_ADMIN_STARTUP_DELAY = _ADMIN_STARTUP
        system.capabilities.update(
            {
                "Thespian ActorSystem Name": "multiprocTCPBase",
                "Thespian ActorSystem Version": 2,
                "Thespian Watch Supported": True,
                "Process Startup Method": "spawn",
            }
        )
        super().__init__(system, logDefs)


def _guard_this_process(*, is_admin: bool) -> None:
    watched = [int(pid) for pid in os.environ.get(GUARDED, "").split(",") if pid]
    parent = multiprocessing.parent_process()
    if is_admin:  # its parent was the half of a fork that has ended by now; its children watch it too
        os.environ[GUARDED] = ",".join(map(str, [*watched, os.getpid()]))
    elif parent is not None and parent.pid is not None:
        watched.append(parent.pid)
    guard(watched)
