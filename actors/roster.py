"""`Roster`: what a connection knows of its turns, so that it outlives the Connection actor."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.record import TurnRecord
    from actors.runtime import EngineActor
    from actors.turn import Turn
    from protocol.mail import StartTurn
    from protocol.settings import Flow, OnBusy

__all__ = ["Roster"]


class Roster:
    """One connection's turns: the active one, those that wait for it, and those that are kept for a while."""

    __slots__ = (
        "active",
        "closed",
        "connection",
        "connection_id",
        "finished",
        "flow",
        "on_busy",
        "queue_maxsize",
        "reader_grace",
        "speech",
        "stats",
        "turn_actors",
        "turns",
        "user_id",
        "waiting",
    )

    def __init__(
        self,
        connection_id: str,
        user_id: str,
        *,
        queue_maxsize: int,
        on_busy: OnBusy,
        flow: Flow,
        speech: Callable[[], Any] | None,
        reader_grace: float,
    ) -> None:
        self.connection_id = connection_id
        self.user_id = user_id
        self.queue_maxsize = queue_maxsize
        self.on_busy = on_busy
        self.flow = flow
        self.speech = speech
        self.reader_grace = reader_grace
        self.closed = False
        self.connection: EngineActor | None = None
        """The Connection actor that serves it now."""
        self.turns: dict[str, TurnRecord] = {}
        """All turns that can be asked for, in the order they were started."""
        self.turn_actors: dict[str, Turn] = {}
        """The Turn actors that have not stopped yet."""
        self.active: TurnRecord | None = None
        self.waiting: deque[tuple[TurnRecord, StartTurn]] | None = None
        self.finished: deque[TurnRecord] | None = None
        """Turns that have ended, the first ended first."""
        self.stats: dict[str, int] = {}

    def count(self, name: str, by: int = 1) -> None:
        """Add to one of the figures of `get_stats()`."""
        self.stats[name] = self.stats.get(name, 0) + by
