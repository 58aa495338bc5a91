"""The mailbox: two bounded lanes and a bell."""

from __future__ import annotations

import asyncio
import gc
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pykka import ActorDeadError
from pykka.messages import _ActorStop

from actors.runtime import NO_MAIL, Mailbox, Room
from actors.testing import virtual
from protocol.errors import MailboxFullError
from runtime.owner import Owner, ask, tell


class News(NamedTuple):
    """A kind of control mail."""

    what: int = 0


class OtherNews(NamedTuple):
    """Another kind."""

    what: int = 0


def fill(mailbox: Mailbox) -> None:
    while mailbox.offer(f"filler {mailbox.depth}"):
        pass


# Data.


@virtual
async def test_data_keeps_its_order_whichever_way_it_came() -> None:
    owner = Owner()
    for number in range(0, 90, 3):
        owner.mailbox.offer(number)
        tell(owner.mailbox, number + 1)
        await asyncio.to_thread(tell, owner.mailbox, number + 2)
    await asyncio.sleep(0)
    assert owner.data == list(range(90))


@virtual
async def test_none_and_empty_messages_are_mail_like_any_other() -> None:
    owner = Owner()
    sent: list[Any] = [None, "", 0, False, ()]
    for mail in sent:
        assert owner.mailbox.offer(mail)
    await asyncio.sleep(0)
    assert owner.data == sent


@virtual
async def test_depth_peak_and_capacity_can_be_seen() -> None:
    owner = Owner(capacity=5)
    mailbox = owner.mailbox
    assert (mailbox.depth, mailbox.peak, mailbox.capacity) == (0, 0, 5)
    for number in range(4):
        mailbox.offer(number)
    assert (mailbox.depth, mailbox.peak) == (4, 4)
    assert repr(mailbox) == "<Mailbox 4/5, peak 4>"
    await asyncio.sleep(0)
    assert (mailbox.depth, mailbox.peak) == (0, 4)
    mailbox.offer("one more")
    await asyncio.sleep(0)
    assert (mailbox.depth, mailbox.peak) == (0, 4)


@virtual
async def test_the_bell_rings_once_for_however_much_mail() -> None:
    owner = Owner()
    for number in range(50):
        owner.mailbox.offer(number)
        owner.mailbox.post(News(number))
        tell(owner.mailbox, number)
    await asyncio.sleep(0)
    assert owner.runs == 1
    await asyncio.sleep(0)
    assert owner.runs == 1


@virtual
async def test_what_a_run_leaves_rings_again() -> None:
    owner = Owner(batch=10)
    for number in range(35):
        owner.mailbox.offer(number)
    await asyncio.sleep(0.1)
    assert owner.data == list(range(35))
    assert owner.runs == 4


@virtual
async def test_a_message_put_back_is_the_next() -> None:
    mailbox = Mailbox()
    mailbox.put_back("only")
    assert mailbox.take() == "only"
    mailbox.offer("second")
    mailbox.put_back("first")
    assert mailbox.oldest() == "first"
    assert [mailbox.take(), mailbox.take(), mailbox.take()] == ["first", "second", NO_MAIL]
    assert mailbox.oldest() is NO_MAIL


# A full lane.


@virtual
async def test_a_full_mailbox_refuses_an_offer_and_keeps_what_it_has() -> None:
    owner = Owner(capacity=3)
    assert [owner.mailbox.offer(number) for number in range(5)] == [True, True, True, False, False]
    await asyncio.sleep(0)
    assert owner.data == [0, 1, 2]
    assert owner.mailbox.peak == 3


@virtual
async def test_a_refused_sender_is_sent_one_room_for_however_many_refusals() -> None:
    owner, sender = Owner(capacity=4), Owner()
    owner.mailbox.pause()
    fill(owner.mailbox)
    for _ in range(3):
        assert not owner.mailbox.offer("late", sender.mailbox)
    await asyncio.sleep(1)
    assert sender.control == []  # not before there is room
    owner.mailbox.resume()
    await asyncio.sleep(1)
    (room,) = sender.control
    assert isinstance(room, Room)
    assert room.mailbox is owner.mailbox
    assert sender.runs == 1
    assert owner.mailbox.offer("late", sender.mailbox)
    await asyncio.sleep(1)
    assert len(sender.control) == 1  # it was not refused again


@virtual
async def test_each_refused_sender_is_sent_a_room_of_its_own() -> None:
    owner, senders = Owner(capacity=1), [Owner() for _ in range(3)]
    fill(owner.mailbox)
    for sender in senders:
        assert not owner.mailbox.offer("late", sender.mailbox)
    await asyncio.sleep(1)
    assert [len(sender.control) for sender in senders] == [1, 1, 1]


@virtual
async def test_one_sender_refused_by_two_mailboxes_hears_of_both() -> None:
    owners, sender = [Owner(capacity=1), Owner(capacity=1)], Owner()
    for owner in owners:
        fill(owner.mailbox)
        assert not owner.mailbox.offer("late", sender.mailbox)
    await asyncio.sleep(1)
    assert [room.mailbox for room in sender.control] == [owner.mailbox for owner in owners]


@virtual
async def test_who_was_never_refused_is_sent_nothing() -> None:
    owner, sender = Owner(capacity=2), Owner()
    for number in range(2):
        assert owner.mailbox.offer(number, sender.mailbox)
    await asyncio.sleep(1)
    assert sender.control == []


@virtual
async def test_room_comes_when_half_of_the_lane_is_free() -> None:
    owner, sender = Owner(capacity=10, batch=3), Owner()
    owner.mailbox.pause()
    fill(owner.mailbox)
    owner.mailbox.offer("late", sender.mailbox)
    owner.mailbox.resume()
    await asyncio.sleep(0)
    assert (owner.mailbox.depth, sender.control) == (7, [])  # sending one by one would cost a run each
    await asyncio.sleep(1)
    assert len(sender.control) == 1


@virtual
async def test_room_waits_until_there_is_some() -> None:
    owner = Owner(capacity=2)
    await owner.mailbox.room()  # there is some: at once
    owner.mailbox.pause()
    fill(owner.mailbox)
    waiter = asyncio.ensure_future(owner.mailbox.room())
    await asyncio.sleep(1)
    assert not waiter.done()
    owner.mailbox.resume()
    await waiter
    assert owner.mailbox.offer("now")


@virtual
async def test_of_many_that_wait_for_room_nobody_is_forgotten_and_the_bound_holds() -> None:
    owner = Owner(capacity=2)

    async def send(number: int) -> None:
        while not owner.mailbox.offer(number):
            await owner.mailbox.room()

    async with asyncio.TaskGroup() as senders:
        for number in range(50):
            senders.create_task(send(number))
    await asyncio.sleep(0)
    assert sorted(owner.data) == list(range(50))
    assert owner.mailbox.peak == 2


@virtual
async def test_waits_for_room_that_were_given_up_leave_nothing() -> None:
    owner = Owner(capacity=1)
    owner.mailbox.pause()
    fill(owner.mailbox)

    def futures() -> int:
        gc.collect()
        return sum(isinstance(thing, asyncio.Future) for thing in gc.get_objects())

    before = futures()
    for _ in range(100):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(owner.mailbox.room(), 0.001)
    assert futures() <= before + 5


@virtual
async def test_a_tell_from_the_loop_to_a_full_mailbox_raises_and_an_ask_fails() -> None:
    owner = Owner(capacity=2)
    fill(owner.mailbox)
    with pytest.raises(MailboxFullError, match="holds 2 messages"):
        tell(owner.mailbox, "told")
    reply = ask(owner.mailbox, "asked")
    with pytest.raises(MailboxFullError):
        reply.get(timeout=0)
    await asyncio.sleep(0)
    assert owner.data == ["filler 0", "filler 1"]  # neither was taken


@virtual
async def test_a_mailbox_that_nobody_runs_yet_never_makes_its_owner_wait() -> None:
    mailbox = Mailbox(capacity=1)
    tell(mailbox, "first")
    with pytest.raises(MailboxFullError):
        tell(mailbox, "second")


@virtual
async def test_a_stop_request_keeps_its_place_and_never_waits_for_room() -> None:
    owner = Owner(capacity=2)
    fill(owner.mailbox)
    stop = _ActorStop()
    tell(owner.mailbox, stop)
    await asyncio.sleep(0)
    assert owner.data == ["filler 0", "filler 1", stop]


# Control.


@virtual
async def test_control_does_not_stand_in_the_line_of_a_full_mailbox() -> None:
    owner = Owner(capacity=3, batch=1)
    fill(owner.mailbox)
    await asyncio.sleep(0)
    owner.mailbox.post(News())
    await asyncio.sleep(0)
    assert owner.control == [News()]
    assert owner.data == ["filler 0", "filler 1"]


@virtual
async def test_control_keeps_one_of_a_kind_from_a_sender_and_it_is_the_newest() -> None:
    owner = Owner()
    for number in range(1000):
        owner.mailbox.post(News(number), sender="a")
    owner.mailbox.post(News(1), sender="b")
    owner.mailbox.post(OtherNews(2), sender="a")
    owner.mailbox.post(News(3))
    assert owner.mailbox.has_control
    await asyncio.sleep(0)
    assert owner.control == [News(999), News(1), OtherNews(2), News(3)]
    assert not owner.mailbox.has_control


@virtual
async def test_control_from_other_threads_arrives_too() -> None:
    owner = Owner()
    await asyncio.to_thread(owner.mailbox.post, News(7))
    await asyncio.sleep(0)
    assert owner.control == [News(7)]


# Pausing.


@virtual
async def test_a_paused_lane_keeps_its_mail_and_does_not_ring() -> None:
    owner = Owner()
    owner.mailbox.pause()
    owner.mailbox.offer("first")
    tell(owner.mailbox, "second")
    await asyncio.to_thread(tell, owner.mailbox, "third")
    await asyncio.sleep(1)
    assert owner.runs == 0
    assert owner.mailbox.paused
    owner.mailbox.resume()
    await asyncio.sleep(0)
    assert owner.data == ["first", "second", "third"]
    assert owner.runs == 1


@virtual
async def test_control_rings_for_a_paused_mailbox_and_leaves_its_data_where_it_is() -> None:
    owner = Owner()
    owner.mailbox.pause()
    owner.mailbox.offer("data")
    owner.mailbox.post(News())
    await asyncio.sleep(1)
    assert (owner.control, owner.data, owner.runs) == ([News()], [], 1)


@virtual
async def test_resuming_what_is_empty_or_was_not_paused_rings_for_nothing() -> None:
    owner = Owner()
    owner.mailbox.resume()
    owner.mailbox.pause()
    owner.mailbox.resume()
    await asyncio.sleep(1)
    assert owner.runs == 0


@virtual
async def test_idle_says_whether_a_message_would_be_the_next_thing_done() -> None:
    mailbox = Owner().mailbox
    seen = [mailbox.idle]
    mailbox.offer("waits")
    seen.append(mailbox.idle)
    await asyncio.sleep(0)
    seen.append(mailbox.idle)
    mailbox.pause()
    seen.append(mailbox.idle)
    mailbox.resume()
    mailbox.post(News())
    seen.append(mailbox.idle)
    await asyncio.sleep(0)
    seen.append(mailbox.idle)
    mailbox.close()
    seen.append(mailbox.idle)
    assert seen == [True, False, True, False, False, True, False]


# Closing.


@virtual
async def test_a_closed_mailbox_takes_nothing_and_gives_what_it_has() -> None:
    owner = Owner(capacity=3)
    owner.mailbox.offer("before")
    owner.mailbox.close()
    assert owner.mailbox.closed
    assert not owner.mailbox.offer("after")
    owner.mailbox.post(News())
    assert not owner.mailbox.has_control
    with pytest.raises(ActorDeadError):
        tell(owner.mailbox, "after")
    with pytest.raises(ActorDeadError):
        ask(owner.mailbox, "after").get(timeout=0)
    assert [owner.mailbox.take(), owner.mailbox.take()] == ["before", NO_MAIL]


async def test_closing_lets_go_of_everybody_who_waits_for_room() -> None:
    owner, sender = Owner(capacity=1), Owner()
    owner.mailbox.pause()
    fill(owner.mailbox)
    owner.mailbox.offer("late", sender.mailbox)
    waiter = asyncio.ensure_future(owner.mailbox.room())
    thread = asyncio.ensure_future(asyncio.to_thread(tell, owner.mailbox, "late"))
    await asyncio.wait({waiter, thread}, timeout=0.05)
    assert not waiter.done()
    assert not thread.done()
    owner.mailbox.close()
    await waiter
    with pytest.raises(ActorDeadError):
        await thread
    await asyncio.sleep(0)
    assert [type(mail) for mail in sender.control] == [Room]


# Text.


def test_waiting_texts_are_taken_joined_up_to_a_limit() -> None:
    mailbox = Mailbox()
    for text in ("one ", "two ", "three ", "four"):
        mailbox.offer(text)
    assert mailbox.take_text(10) == "one two "
    assert mailbox.take_text(100) == "three four"
    assert mailbox.take_text(100) == ""
    assert mailbox.peak == 4


def test_a_text_beyond_the_limit_is_taken_in_slices() -> None:
    mailbox = Mailbox()
    mailbox.offer("abcdefghij")
    mailbox.offer("k")
    assert [mailbox.take_text(4) for _ in range(4)] == ["abcd", "efgh", "ijk", ""]


def test_text_is_not_taken_across_what_stands_between() -> None:
    mailbox = Mailbox()
    for mail in ("a", "b", 1, "c"):
        mailbox.offer(mail)
    assert mailbox.take_text(10) == "ab"
    assert mailbox.take_text(10) == ""
    assert mailbox.take() == 1
    assert mailbox.take_text(10) == "c"


@given(
    st.lists(st.one_of(st.text("abc", min_size=1, max_size=30), st.integers(0, 9)), max_size=30),
    st.integers(min_value=1, max_value=12),
)
def test_slices_join_to_what_was_sent_and_none_is_beyond_the_limit(mails: list[str | int], limit: int) -> None:
    mailbox = Mailbox()
    for mail in mails:
        mailbox.offer(mail)
    taken: list[str | int] = []
    while mailbox.depth:
        text = mailbox.take_text(limit)
        assert len(text) <= limit
        taken.append(text or mailbox.take())
    assert "".join(map(str, taken)) == "".join(map(str, mails))
    assert [mail for mail in taken if isinstance(mail, int)] == [mail for mail in mails if isinstance(mail, int)]
