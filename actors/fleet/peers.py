"""`Peers`: the supervisors of other hosts, as one supervisor knows them, and questions that go to all of them.

Thespian's convention says which hosts there are: each host's admin registers with the one that it joined, again and
again, and who has not for a while is taken to be gone, until it comes back. An admin's capabilities have the address
of its supervisor, so the one side finds the other with the registration, and again with each one after a loss. Then
it greets it, because the other's admin may have registered before its supervisor was there.

The hosts form a star, with the one that was joined in the middle: a question of a host at the rim is passed on once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from actors.fleet.mail import Answer, Ask, Elsewhere, Refused
from protocol.errors import FleetConnectionNotFoundError, FleetNotRunningError, NodeNotFoundError

__all__ = ["SUPERVISOR", "Peers", "host_of"]

SUPERVISOR = "antiphon supervisor"
"""The capability with the address of a host's supervisor."""

_NOT_HERE = {error.code for error in (FleetConnectionNotFoundError, FleetNotRunningError, NodeNotFoundError)}
"""The refusals of those who do not know of what they were asked."""

Done = Callable[[list[Any]], None]


@dataclass(eq=False)
class _Question:
    """One that not every peer has answered yet."""

    waiting: int
    wants_all: bool
    done: Done
    answers: list[Any] = field(default_factory=list)
    settled: bool = False

    def settle(self) -> None:
        if not self.settled:
            self.settled = True
            self.done(self.answers)


class Peers:
    """Args:
    send: sends a message to an address.
    later: has something called after so many seconds.

    """  # noqa: D205

    def __init__(self, send: Callable[[Any, Any], None], later: Callable[[float, Callable[[], None]], None]) -> None:
        self._send = send
        self._later = later
        self._supervisors: dict[str, Any] = {}
        """By the admin of their host."""
        self._numbers = count(1)
        self._questions: dict[int, _Question] = {}

    def __len__(self) -> int:
        return len(self._supervisors)

    def hosts(self) -> tuple[str, ...]:
        """Return the control planes of their hosts, as `host:port`."""
        return tuple(self._supervisors)

    def met(self, host: str, supervisor: Any) -> bool:
        """Take note of a host; True if it was not known, or with another supervisor."""
        before = self._supervisors.get(host)
        self._supervisors[host] = supervisor
        return bool(before != supervisor)

    def gone(self, host: str) -> bool:
        """Take note that a host is gone; True if it was known."""
        return self._supervisors.pop(host, None) is not None

    def ask(
        self, question: Any, done: Done, *, seconds: float, hops: int = 0, wants_all: bool = False, but: Any = None
    ) -> None:
        """Ask all, and call `done` with the answers of those who know of what is asked; another refusal is one too.

        Args:
            question: what each is asked.
            done: called once: with the first answer, or when all have answered or the time is over.
            seconds: how long to wait.
            hops: how often it may be passed on from there.
            wants_all: wait for all answers.
            but: a supervisor that is not asked.

        """
        asked = [supervisor for supervisor in self._supervisors.values() if supervisor != but]
        pending = _Question(len(asked), wants_all, done)
        if not asked:
            pending.settle()
            return
        numbers = [next(self._numbers) for _ in asked]
        for number, supervisor in zip(numbers, asked, strict=True):
            self._questions[number] = pending
            self._send(supervisor, Ask(number, Elsewhere(question, hops)))
        self._later(seconds, lambda: self._too_late(pending, numbers))

    def answered(self, message: Answer) -> None:
        """Note an answer."""
        pending = self._questions.pop(message.number, None)
        if pending is None:
            return
        pending.waiting -= 1
        if not (isinstance(message.answer, Refused) and message.answer.code in _NOT_HERE):
            pending.answers.append(message.answer)
        if not pending.waiting or (pending.answers and not pending.wants_all):
            pending.settle()

    def _too_late(self, pending: _Question, numbers: list[int]) -> None:
        for number in numbers:
            self._questions.pop(number, None)
        pending.settle()


def host_of(admin: Any) -> str:
    """Return where the control plane of an admin is, as `host:port`."""
    host, port = admin.addressDetails.sockname
    return f"{host}:{port}"
