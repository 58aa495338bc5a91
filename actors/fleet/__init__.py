"""The fleet: many gateways as one service, in many processes and on many hosts, placed and watched by Thespian.

Thespian is the control plane alone. A turn lives and ends in its node's process; no token ever crosses it.

    leader ─ the process of `antiphon fleet up`: starts the rest, holds the port, and ends the rest
      admin ─ Thespian's
        logger ─ Thespian's
        supervisor ─ `FleetSupervisor`: starts nodes, hears of their death, knows which connection is where
          node-1, node-2 … ─ `NodeActor`: an event loop in a thread, with a ConversationSystem and a gateway

Needs the extra `fleet`. `antiphon fleet up` starts one.
"""

from __future__ import annotations

from actors.fleet.here import Here, here

__all__ = ["Here", "here"]
