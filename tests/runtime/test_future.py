"""The answer to an ask: awaited in a loop, or got in a thread, and never waited for where it cannot come."""

from __future__ import annotations

import asyncio
import gc
import operator
import queue
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pykka
import pytest

from actors.runtime import LoopActor, LoopFuture, LoopThread
from actors.testing import virtual
from protocol.errors import BlockingCallError
from runtime.owner import Owner, ask


class Echo(LoopActor):
    """Answers with what it is asked; raises what can be raised."""

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, BaseException):
            raise message
        return message


def answered(value: Any) -> LoopFuture[Any]:
    future = LoopFuture[Any]()
    future.set(value)
    return future


# In a loop.


@virtual
async def test_awaiting_an_ask_suspends_the_task_and_not_the_loop() -> None:
    owner = Owner()
    owner.mailbox.pause()
    question = ask(owner.mailbox, "question")
    waiting = asyncio.ensure_future(question)
    await asyncio.sleep(1000)  # the loop goes on
    assert not waiting.done()
    question.set("answer")
    assert await waiting == "answer"
    assert await question == "answer"  # as often as one likes


@virtual
async def test_what_the_actor_raises_is_raised_where_it_is_awaited() -> None:
    ref = Echo.start()
    future = ref.ask(ValueError("on purpose"), block=False)
    for _ in range(2):
        with pytest.raises(ValueError, match="on purpose"):
            await future
    await ref.stop(block=False)


@virtual
async def test_many_tasks_may_await_one_answer() -> None:
    future = LoopFuture[int]()
    waiting = [asyncio.ensure_future(future) for _ in range(10)]
    await asyncio.sleep(1)
    future.set(7)
    assert await asyncio.gather(*waiting) == [7] * 10


async def test_an_answer_of_another_loop_may_be_awaited() -> None:
    thread = LoopThread("another loop")

    async def start() -> Any:
        return Echo.start()

    ref = asyncio.run_coroutine_threadsafe(start(), thread.loop).result()
    assert await ref.ask("hello", block=False) == "hello"
    assert await ref.request("hello") == "hello"
    with pytest.raises(ValueError, match="on purpose"):
        await ref.request(ValueError("on purpose"))
    assert await ref.stop(block=False) is True
    thread.stop()


async def test_a_request_from_another_loop_takes_no_thread_while_it_waits() -> None:
    thread = LoopThread("another loop")
    executor_is_free = asyncio.to_thread(int)

    async def start() -> Any:
        ref: Any = Echo.start()
        ref.actor_inbox.pause()
        return ref

    ref = asyncio.run_coroutine_threadsafe(start(), thread.loop).result()
    requests = [asyncio.ensure_future(ref.request(number)) for number in range(130)]  # some wait for room
    assert await asyncio.wait_for(executor_is_free, 5) == 0
    requests.pop().cancel()
    thread.loop.call_soon_threadsafe(ref.actor_inbox.resume)
    assert sorted(await asyncio.gather(*requests)) == list(range(129))
    await ref.stop(block=False)
    thread.stop()


# A blocking wait in the loop that would have to end it.


@pytest.mark.parametrize(
    "blocking_call",
    [
        lambda ref: ref.ask("question", block=False).get(),
        lambda ref: ref.ask("question", block=False).get(timeout=5),
        lambda ref: ref.ask("question"),
        lambda ref: ref.stop(),
        lambda ref: pykka.get_all([ref.ask("question", block=False)]),
        lambda ref: ref.ask([1], block=False).map(len).get(),
        lambda ref: ref.ask(1, block=False).join(ref.ask(2, block=False)).get(),
        lambda ref: setattr(ref.proxy(), "attribute", 1),
    ],
)
@pytest.mark.timeout(10)
@virtual
async def test_a_blocking_wait_in_the_actors_loop_is_an_error_and_no_deadlock(
    blocking_call: Callable[[Any], Any],
) -> None:
    ref = Echo.start()
    with pytest.raises(BlockingCallError, match="'await' the future"):
        blocking_call(ref)
    if ref.is_alive():
        await ref.stop(block=False)


@virtual
async def test_an_answer_that_is_there_can_be_got_in_the_loop_too() -> None:
    ref = Echo.start()
    future: Any = ref.ask("question", block=False)
    with pytest.raises(pykka.Timeout):
        future.get(timeout=0)  # no wait, so no error
    assert not future.answered
    await future
    assert future.answered
    assert future.get() == "question"
    await ref.stop(block=False)


@virtual
async def test_a_blocking_wait_in_a_handler_is_the_same_error() -> None:
    class Asker(Echo):
        def on_receive(self, message: Any) -> Any:
            return self.actor_ref.ask(message)

    ref = Asker.start()
    with pytest.raises(BlockingCallError):
        await ref.ask("myself", block=False)
    await ref.stop(block=False)


# In threads.


def test_plain_pykka_code_gets_answers_by_blocking() -> None:
    refs = [Echo.start() for _ in range(5)]
    assert [ref.ask(number) for number, ref in enumerate(refs)] == list(range(5))
    futures = [ref.ask(number, block=False) for number, ref in enumerate(refs)]
    assert pykka.get_all(futures, timeout=5) == list(range(5))
    with pytest.raises(ValueError, match="on purpose"):
        refs[0].ask(ValueError("on purpose"))
    assert [ref.stop() for ref in refs] == [True] * 5


def test_a_timeout_is_pykkas() -> None:
    with pytest.raises(pykka.Timeout):
        LoopFuture[int]().get(timeout=0.01)


# What can be made of futures.


def got(future: Any) -> Any:
    return future.get(timeout=5)


def awaited(future: Any) -> Any:
    async def wait() -> Any:
        return await future

    return asyncio.run(wait())


@pytest.mark.parametrize("answer_of", [got, awaited])
def test_futures_map_filter_join_and_reduce(answer_of: Callable[[Any], Any]) -> None:
    numbers = answered([1, 2, 3, 4])
    assert answer_of(numbers.map(sum)) == 10
    assert answer_of(numbers.filter(lambda number: number % 2)) == [1, 3]
    assert answer_of(numbers.reduce(operator.mul)) == 24
    assert answer_of(numbers.reduce(operator.mul, 10)) == 240
    assert answer_of(answered(1).join(answered(2), answered(3))) == [1, 2, 3]
    assert answer_of(answered(1).join(answered(2)).map(sum).map(str)) == "3"
    with pytest.raises(ZeroDivisionError):
        answer_of(answered(0).map(lambda zero: 1 / zero))


async def test_what_was_made_of_a_future_can_be_awaited_before_the_answer_is_there() -> None:
    first, second = LoopFuture[int](), LoopFuture[int]()
    waiting: Awaitable[Any] = asyncio.ensure_future(first.join(second).map(sum))
    await asyncio.sleep(0)
    second.set(2)
    first.set(1)
    assert await waiting == 3


@pytest.mark.timeout(20)
def test_what_was_made_of_a_future_that_is_never_answered_does_not_hold_up_the_exit() -> None:
    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(LoopFuture[int]().map(str), 0.01)

    began = time.monotonic()
    asyncio.run(give_up())  # an executor's thread would have to be waited for
    assert time.monotonic() - began < 5


def test_a_future_is_answered_once() -> None:
    future = answered(1)
    with pytest.raises(queue.Full):
        future.set(2)
    assert future.get() == 1


# Giving up.


@virtual
async def test_a_cancelled_await_takes_nothing_and_another_one_gets_the_answer() -> None:
    future = LoopFuture[str]()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(future, 1)
    again = asyncio.ensure_future(future)
    await asyncio.sleep(1)
    future.set("late")
    assert await again == "late"


@virtual
async def test_cancelled_awaits_leave_nothing_with_the_future() -> None:
    def futures() -> int:
        gc.collect()
        return sum(isinstance(thing, asyncio.Future) for thing in gc.get_objects())

    future = LoopFuture[str]()
    before = futures()
    for _ in range(100):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(future, 0.001)
    assert futures() <= before + 5


def test_an_answer_to_a_loop_that_was_closed_meanwhile_harms_nobody() -> None:
    future = LoopFuture[str]()

    async def wait() -> str:
        return await future

    loop = asyncio.new_event_loop()
    waiting = loop.create_task(wait())
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    future.set("too late")
    assert future.get() == "too late"
    waiting._log_destroy_pending = False  # type: ignore[attr-defined]  # this is what the test is about
    del waiting


def test_who_wants_to_know_is_called_once_when_the_answer_is_there() -> None:
    future, calls = LoopFuture[int](), []
    future.when_answered(lambda: calls.append("before"))
    assert calls == []
    future.set(1)
    assert calls == ["before"]
    future.when_answered(lambda: calls.append("after"))
    assert calls == ["before", "after"]
