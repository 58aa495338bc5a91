"""`Session`: one authorised connection. It outlives its sockets for the time of its grace.

It holds what a client that comes back must find: its processor with the turns, the order of the last turns, its
limits, and the hash of the one token that opens it again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from actors.gateway.limits import Allowance
from actors.gateway.tokens import Seal, token_hash

if TYPE_CHECKING:
    from actors.gateway.link import Link
    from actors.system import MessageProcessor
    from protocol.settings import Flow
    from protocol.turn import TurnStatus

__all__ = ["Outcome", "Session"]

_TURNS_KNOWN = 64
"""How many of the last turns can be resumed; more than a client starts while it is away."""


class Outcome(NamedTuple):
    """What is kept of a session that was given up, for a client that comes too late."""

    resume_hash: bytes
    turn_id: str | None
    turn_status: TurnStatus | None
    played_text: str | None


class Session:
    """One connection of one user.

    Args:
        processor: of the engine; ends with this session.
        user: as the authenticator named it.
        credential: what it was named by; asked again at a `resume`.
        flow: for its turns.
        turns_per_minute: the limit.

    """

    __slots__ = (
        "_turns",
        "allowance",
        "credential",
        "ended",
        "flow",
        "grace",
        "link",
        "processor",
        "resume_hash",
        "user",
    )

    def __init__(
        self,
        processor: MessageProcessor,
        user: str,
        credential: str | None,
        flow: Flow | None,
        turns_per_minute: int,
    ) -> None:
        self.processor = processor
        self.user = user
        self.credential = credential
        self.flow = flow
        self.allowance = Allowance(turns_per_minute)
        self.link: Link | None = None
        """What it has while a socket is attached."""
        self.grace: asyncio.TimerHandle | None = None
        self.ended = False
        self.resume_hash = b""
        self._turns: deque[str] = deque(maxlen=_TURNS_KNOWN)

    @property
    def connection_id(self) -> str:
        """The connection's id."""
        return self.processor.connection_id

    def new_token(self, seal: Seal) -> str:
        """Make the next resume token; the one before is of no use any more."""
        token = seal.new_token(self.connection_id)
        self.resume_hash = token_hash(token)
        return token

    def started(self, turn_id: str) -> None:
        """Note a turn."""
        self._turns.append(turn_id)

    @property
    def last_turn(self) -> str | None:
        """The turn that was started last."""
        return self._turns[-1] if self._turns else None

    @property
    def active_turn(self) -> str | None:
        """The turn that speaks."""
        active = self.processor.get_active_turns()
        return active[0].turn_id if active else None

    @property
    def turns(self) -> tuple[str, ...]:
        """The turns that can be resumed, the last one last."""
        return tuple(self._turns)

    def turns_after(self, turn_id: str) -> list[str]:
        """Return the turns that were started after this one."""
        turns = list(self._turns)
        return turns[turns.index(turn_id) + 1 :] if turn_id in turns else []

    def outcome(self) -> Outcome:
        """Return what is kept when it is given up."""
        turn = self.processor.get_turn(self.last_turn) if self.last_turn is not None else None
        if turn is None:
            return Outcome(self.resume_hash, None, None, None)
        return Outcome(self.resume_hash, turn.turn_id, turn.status, turn.played_text)
