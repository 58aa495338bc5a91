"""A synchronous iterator in a thread of its own: bounded, closable, and left behind by name when it is stuck."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.runtime import ThreadedIterator


def threads_named(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


class Counted:
    """An iterable that says how far it has been read, and lets a test wait for that."""

    def __init__(self, items: Iterable[Any]) -> None:
        self._items = iter(items)
        self.read = 0
        self.closed = threading.Event()
        self._progress = threading.Condition()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        item = next(self._items)
        with self._progress:
            self.read += 1
            self._progress.notify_all()
        return item

    def close(self) -> None:
        self.closed.set()

    def wait_until_read(self, count: int) -> bool:
        with self._progress:
            return self._progress.wait_for(lambda: self.read >= count, 5)

    def goes_beyond(self, count: int) -> bool:
        """Whether it is read further than that, given a moment."""
        with self._progress:
            return self._progress.wait_for(lambda: self.read > count, 0.05)


async def test_items_come_in_order_to_the_last() -> None:
    source = Counted(range(1000))
    assert [item async for item in ThreadedIterator(source, 10, "reader")] == list(range(1000))
    assert source.closed.wait(5)


@given(st.lists(st.integers(), max_size=30), st.integers(1, 5))
def test_any_iterable_gives_what_it_has(items: list[int], read_ahead: int) -> None:
    async def main() -> list[int]:
        return [item async for item in ThreadedIterator(items, read_ahead, "reader")]

    assert asyncio.run(main()) == items


async def test_nothing_is_read_before_it_is_asked_for() -> None:
    source = Counted(range(10))
    iterator = ThreadedIterator(source, 5, "reader of nothing")
    assert not source.goes_beyond(0)
    assert threads_named("reader of nothing") == []
    await iterator.aclose()


@pytest.mark.parametrize("read_ahead", [1, 2, 7])
async def test_the_thread_is_never_further_ahead_than_it_may_be(read_ahead: int) -> None:
    source = Counted(range(1000))
    iterator = ThreadedIterator(source, read_ahead, "reader")
    for taken in range(1, 20):
        await anext(iterator)
        assert source.read <= taken + read_ahead
    assert not source.goes_beyond(19 + read_ahead)
    await iterator.aclose()
    assert source.read <= 19 + read_ahead


async def test_the_loop_goes_on_while_the_iterator_takes_its_time() -> None:
    go_on = threading.Event()

    def slow() -> Iterator[str]:
        go_on.wait()
        yield "at last"

    waiting = asyncio.ensure_future(anext(ThreadedIterator(slow(), 5, "reader")))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    go_on.set()
    assert await waiting == "at last"


async def test_what_the_iterator_raises_comes_behind_what_it_gave() -> None:
    def failing() -> Iterator[int]:
        yield from (1, 2)
        raise ValueError("on purpose")

    iterator = ThreadedIterator(failing(), 10, "reader")
    assert [await anext(iterator), await anext(iterator)] == [1, 2]
    with pytest.raises(ValueError, match="on purpose"):
        await anext(iterator)
    with pytest.raises(StopAsyncIteration):
        await anext(iterator)  # as a generator that has raised


async def test_what_is_no_iterable_raises_where_it_is_read() -> None:
    with pytest.raises(TypeError):
        await anext(ThreadedIterator(7, 10, "reader"))  # type: ignore[arg-type]


async def test_it_runs_in_the_context_of_whoever_reads_it() -> None:
    who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")

    def looking() -> Iterator[str]:
        while True:
            yield who.get()

    iterator = ThreadedIterator(looking(), 1, "reader")
    who.set("the reader")
    assert await anext(iterator) == "the reader"
    await iterator.aclose()


async def test_a_cancelled_read_takes_no_item() -> None:
    go_on = threading.Event()

    def slow() -> Iterator[int]:
        go_on.wait()
        yield from range(3)

    iterator = ThreadedIterator(slow(), 1, "reader")
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(iterator), 0.01)
    go_on.set()
    assert [item async for item in iterator] == [0, 1, 2]


# Closing.


async def test_closing_ends_the_thread_and_closes_the_iterator_there() -> None:
    closed_in: list[str] = []

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed_in.append(threading.current_thread().name)

    iterator = ThreadedIterator(endless(), 5, "reader that ends")
    assert await anext(iterator) == 1
    await iterator.aclose()
    assert closed_in == ["reader that ends"]
    with pytest.raises(StopAsyncIteration):
        await anext(iterator)  # what was read ahead is gone too
    await iterator.aclose()  # again is nothing
    for thread in threads_named("reader that ends"):
        thread.join(5)
    assert threads_named("reader that ends") == []


async def test_closing_before_the_first_item_starts_nothing() -> None:
    source = Counted(range(10))
    iterator = ThreadedIterator(source, 5, "reader never")
    await iterator.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(iterator)
    assert source.read == 0
    assert threads_named("reader never") == []


async def test_what_the_iterator_raises_when_it_is_closed_is_raised_by_aclose() -> None:
    def refusing() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            raise ValueError("on purpose")

    iterator = ThreadedIterator(refusing(), 5, "reader")
    await anext(iterator)
    with pytest.raises(ValueError, match="on purpose"):
        await iterator.aclose()


async def test_a_reader_that_waits_is_let_go_when_another_task_closes() -> None:
    go_on = threading.Event()

    def stuck() -> Iterator[int]:
        go_on.wait()
        yield 1

    iterator = ThreadedIterator(stuck(), 5, "reader")
    reader = asyncio.ensure_future(anext(iterator))
    await asyncio.sleep(0.01)
    closing = asyncio.ensure_future(iterator.aclose())
    await asyncio.sleep(0.01)
    go_on.set()
    await closing
    with pytest.raises(StopAsyncIteration):
        await reader


async def test_a_stuck_iterator_is_left_behind_in_a_daemon_thread_of_its_name() -> None:
    go_on = threading.Event()

    def stuck() -> Iterator[int]:
        yield 1
        go_on.wait()
        yield 2

    iterator = ThreadedIterator(stuck(), 5, "agent of turn 7")
    await anext(iterator)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(iterator.aclose(), 0.05)
    (thread,) = threads_named("agent of turn 7")
    assert thread.daemon  # it cannot hold up the exit
    assert await asyncio.to_thread(lambda: "the executor is free") == "the executor is free"
    go_on.set()
    await iterator.aclose()
    thread.join(5)
    assert not thread.is_alive()


@pytest.mark.parametrize("items", [range(3), range(1000)])
def test_a_thread_whose_loop_is_gone_ends(monkeypatch: pytest.MonkeyPatch, items: Iterable[int]) -> None:
    monkeypatch.setattr("actors.runtime.threads.PATIENCE", 0.05)
    source = Counted(items)

    async def leave() -> None:
        await anext(ThreadedIterator(source, 5, "reader without a loop"))

    asyncio.run(leave())
    assert source.closed.wait(5)
    for thread in threads_named("reader without a loop"):
        thread.join(5)
    assert threads_named("reader without a loop") == []


def test_a_thread_that_is_reading_when_its_loop_goes_ends_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.runtime.threads.PATIENCE", 0.05)
    go_on = threading.Event()

    def slow() -> Iterator[int]:
        yield 1
        go_on.wait()
        yield from range(1000)

    async def leave() -> None:
        iterator = ThreadedIterator(slow(), 5, "reader in the dark")
        await anext(iterator)
        waiting = asyncio.ensure_future(anext(iterator))
        await asyncio.sleep(0.01)
        waiting.cancel()

    asyncio.run(leave())
    (thread,) = threads_named("reader in the dark")
    go_on.set()
    thread.join(5)
    assert not thread.is_alive()


@pytest.mark.parametrize("line", range(20))
async def test_the_last_item_is_not_lost_to_the_end_that_follows_it_whenever_they_come(line: int) -> None:
    go_on = threading.Event()

    def last() -> Iterator[int]:
        yield 1
        go_on.wait()
        yield 2

    iterator = ThreadedIterator(last(), 5, "reader")
    assert await anext(iterator) == 1
    lines = 0

    def in_anext(_frame: Any, event: str, _argument: Any) -> Any:
        nonlocal lines
        if event == "line" and (lines := lines + 1) == line:
            go_on.set()
            assert iterator.thread is not None
            iterator.thread.join(5)
        return in_anext

    def trace(frame: Any, _event: str, _argument: Any) -> Any:
        return in_anext if frame.f_code is ThreadedIterator.__anext__.__code__ else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        reading = asyncio.ensure_future(anext(iterator))
        await asyncio.sleep(0)
    finally:
        sys.settrace(before)
    go_on.set()
    assert await reading == 2
    with pytest.raises(StopAsyncIteration):
        await anext(iterator)
