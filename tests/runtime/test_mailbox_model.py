"""The mailbox against a model that is too simple to be wrong: order, no loss, bounds, no forgotten bell."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from pykka import ActorDeadError
from pykka.messages import _ActorStop

from actors.runtime import NO_MAIL, Mailbox, Room
from protocol.errors import MailboxFullError
from runtime.owner import ask, tell

SENDERS = 3


class News(NamedTuple):
    """A kind of control mail."""

    number: int


class OtherNews(NamedTuple):
    """Another kind."""

    number: int


class HandLoop:
    """A loop that is turned by hand; the mailbox asks no more of one than this."""

    def __init__(self) -> None:
        self.ready: list[Callable[[], None]] = []

    def call_soon(self, callback: Callable[[], None], context: Any = None) -> None:
        self.ready.append(callback)

    call_soon_threadsafe = call_soon

    def is_closed(self) -> bool:
        return False


class MailboxMachine(RuleBasedStateMachine):
    """Rules are what senders and the owner do; the model is a list, a dict and a set."""

    @initialize(capacity=st.integers(1, 5), batch=st.integers(1, 4))
    def start(self, capacity: int, batch: int) -> None:
        self.loop = HandLoop()
        self.mailbox = Mailbox(capacity)
        self.mailbox.bind(self.loop, threading.get_ident(), self.run, None)  # type: ignore[arg-type]
        self.senders = [Mailbox() for _ in range(SENDERS)]
        self.batch = batch
        self.number = 0
        # The model.
        self.data: list[Any] = []
        self.control: dict[Any, Any] = {}
        self.refused: set[int] = set()
        self.peak = 0
        self.paused = self.closed = self.posts_in_run = False

    def new(self) -> int:
        self.number += 1
        return self.number

    @property
    def full(self) -> bool:
        return len(self.data) >= self.mailbox.capacity

    # What senders do.

    @rule(sender=st.integers(0, SENDERS - 1))
    def offer(self, sender: int) -> None:
        mail = self.new()
        taken = self.mailbox.offer(mail, self.senders[sender])
        assert taken == (not self.closed and not self.full)
        if taken:
            self.data.append(mail)
        elif not self.closed:
            self.refused.add(sender)

    @rule()
    def tell(self) -> None:
        mail = self.new()
        if self.closed or self.full:
            with pytest.raises(ActorDeadError if self.closed else MailboxFullError):
                tell(self.mailbox, mail)
        else:
            tell(self.mailbox, mail)
            self.data.append(mail)

    @rule()
    def ask(self) -> None:
        mail = self.new()
        reply = ask(self.mailbox, mail)
        if self.closed or self.full:
            with pytest.raises(ActorDeadError if self.closed else MailboxFullError):
                reply.get(timeout=0)
        else:
            assert not reply.answered
            self.data.append(mail)

    @precondition(lambda self: not self.closed)
    @rule()
    def ask_to_stop(self) -> None:
        stop = _ActorStop()
        tell(self.mailbox, stop)
        self.data.append(stop)

    @rule(kind=st.sampled_from([News, OtherNews]), sender=st.integers(0, SENDERS - 1))
    def post(self, kind: Callable[[int], Any], sender: int) -> None:
        mail = kind(self.new())
        self.mailbox.post(mail, sender)
        if not self.closed:
            self.control[kind, sender] = mail

    # What the owner does.

    def run(self) -> None:
        """A run, as an actor's: all control, a batch of data, rest."""
        while self.control:
            assert self.mailbox.take_control() == self.control.pop(next(iter(self.control)))
        assert self.mailbox.take_control() is NO_MAIL
        for _ in range(self.batch):
            if self.paused:
                break
            self.take_one()
        if self.posts_in_run:
            self.posts_in_run = False
            self.post(News, 0)
        self.mailbox.rest()
        if len(self.data) * 2 <= self.mailbox.capacity:
            self.expect_rooms()

    def take_one(self) -> None:
        self.peak = max(self.peak, len(self.data))
        mail = self.mailbox.take()
        mail = getattr(mail, "message", mail)
        assert mail is NO_MAIL if not self.data else mail == self.data.pop(0)

    def expect_rooms(self) -> None:
        """Whoever was refused since the last time has one word of it now, and nobody else has."""
        for number, sender in enumerate(self.senders):
            room = sender.take_control()
            if number in self.refused:
                assert isinstance(room, Room)
                assert room.mailbox is self.mailbox
                assert sender.take_control() is NO_MAIL
            else:
                assert room is NO_MAIL
        self.refused.clear()

    @rule()
    def post_in_the_next_run(self) -> None:
        self.posts_in_run = True

    @rule()
    def turn_the_loop(self) -> None:
        ready, self.loop.ready = self.loop.ready, []
        for callback in ready:
            callback()

    @precondition(lambda self: not self.closed)
    @rule()
    def pause(self) -> None:
        self.mailbox.pause()
        self.paused = True

    @precondition(lambda self: not self.closed)
    @rule()
    def resume(self) -> None:
        self.mailbox.resume()
        self.paused = False

    @precondition(lambda self: self.data and isinstance(self.data[0], int))
    @rule()
    def take_and_put_back(self) -> None:
        self.peak = max(self.peak, len(self.data))
        self.mailbox.put_back(self.mailbox.take())

    @precondition(lambda self: self.number > 20)
    @rule()
    def close(self) -> None:
        self.mailbox.close()
        self.closed = True
        self.control.clear()
        self.expect_rooms()
        while self.data:
            self.take_one()
        self.take_one()

    # What is always so.

    @invariant()
    def the_figures_are_right(self) -> None:
        if not hasattr(self, "mailbox"):
            return
        self.peak = max(self.peak, len(self.data))
        assert self.mailbox.depth == len(self.data)
        assert self.mailbox.peak == self.peak
        assert self.mailbox.has_control == bool(self.control)
        assert (self.mailbox.paused, self.mailbox.closed) == (self.paused, self.closed)
        stops = sum(isinstance(mail, _ActorStop) for mail in self.data)
        assert len(self.data) - stops <= self.mailbox.capacity

    @invariant()
    def nobody_waits_for_a_bell_that_was_not_rung(self) -> None:
        if not hasattr(self, "mailbox") or self.closed:
            return
        if self.control or (self.data and not self.paused):
            assert self.loop.ready

    def teardown(self) -> None:
        if not hasattr(self, "mailbox") or self.closed:
            return
        self.resume()
        while self.loop.ready:
            self.turn_the_loop()
        assert self.data == []
        assert self.refused == set()


TestMailboxModel = MailboxMachine.TestCase
TestMailboxModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
