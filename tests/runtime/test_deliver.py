"""Eager delivery: a message handled in its sender's step is handled in its turn, alone, and not without bound."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.runtime import ActorSystem, EngineActor, Mailbox, Room
from actors.testing import run_virtual, virtual


class Listener(EngineActor):
    """Writes down what it gets; as the actors of a turn do, it says how many messages each run found."""

    def __init__(self, system: ActorSystem, parent: Any = None, capacity: int = 100) -> None:
        super().__init__(system, parent)
        self.actor_inbox.capacity = capacity
        self.heard: list[Any] = []

    def run_data(self, mailbox: Mailbox) -> None:
        self.found(mailbox.depth)
        super().run_data(mailbox)

    def on_receive(self, message: Any) -> None:
        self.heard.append(message)


async def eager(listener: Listener) -> None:
    """Have it get one message alone: from then on it takes what comes at once."""
    listener.deliver("first")
    await asyncio.sleep(0)
    assert listener.heard.pop() == "first"


@virtual
async def test_messages_that_come_one_by_one_are_handled_at_once() -> None:
    listener = Listener.launch(ActorSystem())
    assert listener.deliver(0)
    assert listener.heard == []  # nothing is known yet: a run has to look
    await asyncio.sleep(0)
    for number in range(1, 50):
        assert listener.deliver(number)
        assert listener.heard == list(range(number + 1))
        await asyncio.sleep(0)


@virtual
async def test_a_sender_that_never_yields_is_not_served_without_bound() -> None:
    listener = Listener.launch(ActorSystem())
    await eager(listener)
    taken = 0
    while listener.deliver(taken):
        taken += 1
    assert len(listener.heard) <= 64
    assert listener.actor_inbox.depth == 100
    await asyncio.sleep(1)
    assert listener.heard == list(range(taken))


@virtual
async def test_messages_that_come_together_are_left_to_a_run() -> None:
    listener = Listener.launch(ActorSystem())
    for number in range(3):
        listener.deliver(number)
    await asyncio.sleep(0)
    listener.deliver(3)
    assert listener.heard == [0, 1, 2]


@virtual
async def test_nothing_overtakes_what_waits() -> None:
    listener = Listener.launch(ActorSystem())
    await eager(listener)
    listener.actor_inbox.offer("before")
    listener.deliver("after")
    assert listener.heard == []
    await asyncio.sleep(0)
    assert listener.heard == ["before", "after"]


@virtual
async def test_control_that_waits_is_handled_first() -> None:
    class Word(NamedTuple):
        pass

    listener = Listener.launch(ActorSystem())
    await eager(listener)
    listener.actor_inbox.post(Word())
    listener.deliver("after")
    await asyncio.sleep(0)
    assert listener.heard == [Word(), "after"]


@virtual
async def test_a_paused_actor_gets_nothing_and_a_full_one_refuses() -> None:
    system = ActorSystem()
    listener, sender = Listener.launch(system, capacity=2), Listener.launch(system)
    await eager(listener)
    listener.actor_inbox.pause()
    assert [listener.deliver(number, sender.actor_inbox) for number in range(3)] == [True, True, False]
    assert listener.heard == []
    listener.actor_inbox.resume()
    await asyncio.sleep(1)
    assert listener.heard == [0, 1]
    (room,) = sender.heard
    assert isinstance(room, Room)


@virtual
async def test_a_stopped_actor_takes_nothing() -> None:
    listener = Listener.launch(ActorSystem())
    await eager(listener)
    listener.stop_now()
    assert not listener.deliver("late")
    assert listener.heard == []


@virtual
async def test_a_tap_sees_everything_so_nothing_goes_past_it() -> None:
    system = ActorSystem()
    listener = Listener.launch(system)
    await eager(listener)
    seen: list[Any] = []
    system.tap = lambda _actor, mail: seen.append(mail)
    listener.deliver("tapped")
    await asyncio.sleep(0)
    assert seen == listener.heard == ["tapped"]


@virtual
async def test_an_actor_handles_one_message_at_a_time_even_when_its_own_work_comes_back_to_it() -> None:
    class Echo(Listener):
        listener: Listener

        def on_receive(self, message: Any) -> None:
            self.listener.deliver(message + 1)

    class Counter(Listener):
        echo: Echo

        def on_receive(self, message: Any) -> None:
            self.heard.append(f"begin {message}")
            if 0 < message < 3:
                self.echo.deliver(message)
            self.heard.append(f"end {message}")

    system = ActorSystem()
    counter, echo = Counter.launch(system), Echo.launch(system)
    counter.echo, echo.listener = echo, counter
    for actor in (counter, echo):
        actor.deliver(-1)
        await asyncio.sleep(0.1)
    counter.heard.clear()
    counter.deliver(1)
    await asyncio.sleep(1)
    assert counter.heard == ["begin 1", "end 1", "begin 2", "end 2", "begin 3", "end 3"]


@given(st.lists(st.sampled_from(["deliver", "offer", "yield", "pause", "resume"]), max_size=60))
@pytest.mark.filterwarnings("error")
def test_whatever_the_mixture_order_is_kept_and_nothing_is_lost(steps: list[str]) -> None:
    async def main() -> None:
        listener = Listener.launch(ActorSystem(), capacity=3)
        sent: list[int] = []
        for number, step in enumerate(steps):
            if step in ("deliver", "offer"):
                send = listener.deliver if step == "deliver" else listener.actor_inbox.offer
                if send(number):
                    sent.append(number)
            elif step == "yield":
                await asyncio.sleep(0)
            else:
                getattr(listener.actor_inbox, step)()
        listener.actor_inbox.resume()
        await asyncio.sleep(1)
        assert listener.heard == sent
        assert listener.actor_inbox.peak <= 3

    run_virtual(main())
