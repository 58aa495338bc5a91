"""Who stands in for an actor where a mailbox is tested alone: runs when it is rung for, and takes what there is."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from pykka._envelope import Envelope

from actors.runtime import NO_MAIL, LoopFuture, Mailbox

__all__ = ["Owner", "ask", "tell"]


class Owner:
    """Made in a running loop, which runs it.

    Args:
        capacity: of its mailbox.
        batch: how many data messages it takes in one run.

    Attributes:
        runs: how often the mailbox had it run.
        control, data: what it took, in that order.

    """

    def __init__(self, capacity: int = 100, batch: int = 1000, lock: Any = None) -> None:
        self.mailbox = Mailbox(capacity, lock)
        self.batch = batch
        self.runs = 0
        self.control: list[Any] = []
        self.data: list[Any] = []
        self.mailbox.bind(asyncio.get_running_loop(), threading.get_ident(), self.run, None)

    def run(self) -> None:
        self.runs += 1
        while (mail := self.mailbox.take_control()) is not NO_MAIL:
            self.control.append(mail)
        for _ in range(self.batch):
            if self.mailbox.paused or (mail := self.mailbox.take()) is NO_MAIL:
                break
            self.data.append(mail.message if isinstance(mail, Envelope) else mail)
        self.mailbox.rest()


def tell(mailbox: Mailbox, message: Any) -> None:
    """Put a message as Pykka's `tell` does."""
    mailbox.put(Envelope(message))


def ask(mailbox: Mailbox, message: Any) -> LoopFuture[Any]:
    """Put a message as Pykka's `ask` does."""
    reply = LoopFuture[Any]()
    mailbox.put(Envelope(message, reply_to=reply))
    return reply
