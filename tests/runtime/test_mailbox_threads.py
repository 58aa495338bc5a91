"""The mailbox under threads: those that wait for room, that race with its closing, or that find its loop gone."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from pykka import ActorDeadError, ActorRegistry

from actors.runtime import LoopActor, LoopThread, Mailbox
from actors.testing import virtual
from runtime.owner import Owner, ask, tell


@pytest.fixture
def often_switched() -> Iterator[None]:
    """Let threads take turns as often as they can, so that races show."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


async def test_a_thread_waits_for_room_and_goes_on() -> None:
    owner = Owner(capacity=2)
    owner.mailbox.pause()
    owner.mailbox.offer(1)
    owner.mailbox.offer(2)
    waiting = asyncio.ensure_future(asyncio.to_thread(tell, owner.mailbox, 3))
    await asyncio.wait({waiting}, timeout=0.05)
    assert not waiting.done()
    assert owner.mailbox.depth == 2
    owner.mailbox.resume()
    await waiting
    await asyncio.sleep(0)
    assert owner.data == [1, 2, 3]


@pytest.mark.usefixtures("often_switched")
async def test_many_threads_at_a_small_mailbox_lose_nothing_keep_their_order_and_the_bound() -> None:
    owner = Owner(capacity=3, batch=2)

    def send(sender: int) -> None:
        for number in range(50):
            tell(owner.mailbox, (sender, number))

    async with asyncio.TaskGroup() as threads:
        for sender in range(8):
            threads.create_task(asyncio.to_thread(send, sender))
    owner.run()  # what came last
    by_sender = defaultdict(list)
    for sender, number in owner.data:
        by_sender[sender].append(number)
    assert by_sender == {sender: list(range(50)) for sender in range(8)}
    assert owner.mailbox.peak <= 3


class HookedLock:
    """A lock that lets a test do something at the moment it has been released."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.then: Callable[[], None] | None = None

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        then, self.then = self.then, None
        if then is not None:
            then()


class Watched:
    """A message that notices when the mailbox, which has no room for it, looks whether it is a stop request."""

    def __init__(self, then: Callable[[], None]) -> None:
        self._then = then

    @property  # type: ignore[misc]  # it lies about its class
    def __class__(self) -> type:
        then, self._then = self._then, lambda: None
        then()
        return object


async def test_a_thread_that_finds_the_lane_full_just_before_it_is_emptied_does_not_wait() -> None:
    owner = Owner(capacity=1)
    owner.mailbox.pause()
    owner.mailbox.offer("first")

    def empty() -> None:
        assert owner.mailbox.take() == "first"
        owner.mailbox.rest()

    await asyncio.wait_for(asyncio.to_thread(tell, owner.mailbox, Watched(empty)), 0.5)
    assert owner.mailbox.depth == 1


@virtual
async def test_an_ask_that_is_answered_while_its_sender_still_looks_is_answered_once() -> None:
    lock = HookedLock()
    owner = Owner(lock=lock)

    def handle_and_stop() -> None:
        owner.mailbox.take().reply_to.set("handled")
        owner.mailbox.close()

    lock.then = handle_and_stop
    assert ask(owner.mailbox, "question").get(timeout=0) == "handled"


@virtual
async def test_an_ask_that_the_closing_mailbox_has_taken_is_left_to_it() -> None:
    lock = HookedLock()
    owner = Owner(lock=lock)
    lock.then = owner.mailbox.close
    reply = ask(owner.mailbox, "question")
    assert not reply.answered  # whoever empties the mailbox answers
    owner.mailbox.take().reply_to.set("emptied")
    assert reply.get(timeout=0) == "emptied"


@pytest.mark.usefixtures("often_switched")
async def test_puts_that_race_with_the_closing_are_taken_or_refused() -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
    for _ in range(30):
        owner = Owner(capacity=4)
        refused: list[int] = []

        def send(owner: Owner = owner, refused: list[int] = refused) -> None:
            for number in range(200):
                try:
                    tell(owner.mailbox, number)
                except ActorDeadError:
                    refused.append(number)

        sending = asyncio.ensure_future(asyncio.to_thread(send))
        while len(owner.data) < 20:  # noqa: ASYNC110 - the moment of closing is to be any
            await asyncio.sleep(0)
        owner.mailbox.close()
        await sending
        owner.run()
        assert owner.data + refused == list(range(200))
    assert complaints == []


class News(NamedTuple):
    """Control mail that says good-bye when it is replaced."""

    last_words: Any


class LastWords:
    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox

    def __del__(self) -> None:
        tell(self.mailbox, "collected")


@pytest.mark.timeout(10)
@virtual
async def test_a_finalizer_may_send_mail_at_any_moment() -> None:
    owner = Owner()
    owner.mailbox.post(News(LastWords(owner.mailbox)))
    owner.mailbox.post(News(None))  # drops the first one, inside
    await asyncio.sleep(0)
    assert owner.data == ["collected"]


# Loops that are gone.


class Idle(LoopActor):
    mailbox_capacity = 2

    def on_receive(self, message: Any) -> Any:
        return message


def actor_of_a_closed_loop(then: Callable[[Any], None] = lambda _ref: None) -> Any:
    """Return the reference of an actor whose loop was closed under it, right after `then`."""

    async def main() -> Any:
        ref = Idle.start()
        await ref.ask("ready", block=False)
        then(ref)
        return ref

    return asyncio.run(main())


@pytest.mark.timeout(10)
def test_an_ask_to_a_closed_loop_fails_and_does_not_hang() -> None:
    ref = actor_of_a_closed_loop()
    with pytest.raises(ActorDeadError):
        ref.ask("anybody there?", block=True)
    assert not ref.is_alive()


@pytest.mark.timeout(10)
async def test_a_request_to_a_closed_loop_fails() -> None:
    ref = await asyncio.to_thread(actor_of_a_closed_loop)
    with pytest.raises(ActorDeadError):
        await ref.request("anybody there?")


@pytest.mark.timeout(10)
def test_an_ask_from_another_thread_to_a_closed_loop_fails_too() -> None:
    ref = actor_of_a_closed_loop()
    raised: list[BaseException] = []

    def send() -> None:
        try:
            ref.ask("anybody there?", block=True)
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            raised.append(error)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    thread.join()
    assert [type(error) for error in raised] == [ActorDeadError]


@pytest.mark.timeout(10)
def test_a_tell_to_a_closed_loop_says_that_it_was_not_taken() -> None:
    ref = actor_of_a_closed_loop()
    with pytest.raises(ActorDeadError):
        ref.tell("anybody there?")
    with pytest.raises(ActorDeadError):
        actor_of_a_closed_loop(lambda ref: ref.tell("too late")).tell("anybody there?")


@pytest.mark.timeout(10)
def test_mail_that_waits_when_the_loop_is_closed_does_not_hide_that_it_is_gone() -> None:
    ref = actor_of_a_closed_loop(lambda ref: ref.tell("too late"))
    assert ref.stop() is False
    assert not ref.is_alive()


@pytest.mark.timeout(10)
def test_all_can_be_stopped_after_their_loop_was_closed() -> None:
    refs = [actor_of_a_closed_loop() for _ in range(3)]
    assert ActorRegistry.stop_all() == [False, False, False]
    assert ActorRegistry.get_all() == []
    assert not any(ref.is_alive() for ref in refs)


@pytest.mark.timeout(20)
def test_a_thread_that_waits_for_room_is_let_go_when_the_loop_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.runtime.mailbox.PATIENCE", 0.1)
    loop_thread = LoopThread("soon gone")

    async def start() -> Any:
        ref: Any = Idle.start()
        await ref.ask("ready", block=False)
        ref.actor_inbox.pause()
        return ref

    ref = asyncio.run_coroutine_threadsafe(start(), loop_thread.loop).result()
    ref.tell("one")
    ref.tell("two")
    reply: list[Any] = []
    thread = threading.Thread(target=lambda: reply.append(ref.ask("three", block=False)), daemon=True)
    thread.start()
    thread.join(0.05)
    assert thread.is_alive()
    loop_thread.stop()
    thread.join()
    with pytest.raises(ActorDeadError):
        reply[0].get(timeout=5)
