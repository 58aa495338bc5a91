"""Virtual time and seeded order: what the rest of the evidence stands on."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from functools import partial
from typing import Any

import pytest
from agents import say
from conversations import read
from splitter import Splitter

from actors import ConversationSystem, Settings
from actors.testing import CountedIds, MessageTrace, StandstillError, VirtualClock, VirtualLoop, run_virtual, virtual

SEEDS = (None, 1, 2)


def test_a_day_takes_no_time() -> None:
    began = time.monotonic()
    run_virtual(asyncio.sleep(86_400))
    assert time.monotonic() - began < 1


@virtual(seeds=SEEDS)
async def test_timers_fire_in_their_order_at_their_time() -> None:
    loop = asyncio.get_running_loop()
    fired: list[float] = []
    for seconds in (3.0, 1.0, 2.0):
        loop.call_later(seconds, lambda: fired.append(loop.time()))
    await asyncio.sleep(4)
    assert fired == pytest.approx([1.0, 2.0, 3.0])


@virtual(seeds=SEEDS)
async def test_time_passes_also_for_those_who_wait_for_less_than_the_clock_tells_apart() -> None:
    """A loop runs such a timer early; if there is always another one, its clock would never come so far."""
    loop = asyncio.get_running_loop()
    until = loop.time() + 1e-12

    async def wait(steps: int) -> None:
        for _ in range(steps):
            await asyncio.sleep(0)
        for _ in range(1_000):
            if loop.time() >= until:
                return
            await asyncio.sleep(until - loop.time())
        pytest.fail("time stood still")

    async with asyncio.TaskGroup() as group:
        for steps in range(5):
            group.create_task(wait(steps))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_wait_without_end_says_at_once_who_waits_for_what(seed: int | None) -> None:
    async def never(event: asyncio.Event) -> None:
        await event.wait()

    async def wait() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(never(asyncio.Event()), name="the reader")

    began = time.monotonic()
    with pytest.raises(StandstillError) as caught:
        run_virtual(wait(), seed)
    assert time.monotonic() - began < 5
    said = str(caught.value)
    assert "the reader: " in said
    assert "never (" in said
    assert "Event.wait" in said
    assert "for <Future pending" in said


@virtual(seeds=SEEDS)
async def test_calls_from_threads_are_taken_in() -> None:
    loop = asyncio.get_running_loop()
    called = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(called.set))
    thread.start()
    await called.wait()
    thread.join()


@virtual(seeds=SEEDS)
async def test_work_in_an_executor_is_done_before_a_virtual_timeout_is_up() -> None:
    release = threading.Event()
    threading.Timer(0.1, release.set).start()
    assert await asyncio.wait_for(asyncio.to_thread(release.wait), 1)


@virtual(seeds=range(10))
async def test_sockets_work() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"line\n")
        assert await reader.read() == b"line\n"
        writer.close()
        await writer.wait_closed()


async def interleaving(tasks: int, steps: int) -> tuple[tuple[int, int], ...]:
    done: list[tuple[int, int]] = []

    async def work(number: int) -> None:
        for step in range(steps):
            done.append((number, step))
            await asyncio.sleep(0)

    await asyncio.gather(*map(work, range(tasks)))
    return tuple(done)


def test_seeds_reach_every_order_of_three_tasks_and_each_task_keeps_its_own() -> None:
    seen = {run_virtual(interleaving(3, 1), seed) for seed in range(100)}
    assert seen == {tuple((number, 0) for number in order) for order in itertools.permutations(range(3))}
    for seed in range(50):
        steps = run_virtual(interleaving(3, 4), seed)
        for number in range(3):
            assert [step for who, step in steps if who == number] == [0, 1, 2, 3]


def test_a_seed_lets_a_task_be_overtaken_more_than_once() -> None:
    def lead(steps: tuple[tuple[int, int], ...]) -> int:
        done = [0, 0, 0]
        most = 0
        for number, _step in steps:
            done[number] += 1
            most = max(most, max(done) - min(done))
        return most

    assert lead(run_virtual(interleaving(3, 20))) == 1
    assert max(lead(run_virtual(interleaving(3, 20), seed)) for seed in range(20)) >= 3


def test_the_same_seed_gives_the_same_order_and_without_one_it_is_asyncios() -> None:
    for seed in SEEDS:
        assert run_virtual(interleaving(5, 5), seed) == run_virtual(interleaving(5, 5), seed)
    assert run_virtual(interleaving(5, 5)) == asyncio.run(interleaving(5, 5))


@virtual(seeds=range(50))
async def test_callbacks_of_one_object_and_plain_functions_keep_their_order() -> None:
    class Inbox:
        def __init__(self) -> None:
            self.got: list[int] = []

        def take(self, item: int) -> None:
            self.got.append(item)

    loop = asyncio.get_running_loop()
    inboxes = [Inbox(), Inbox()]
    plain: list[int] = []
    called: list[str] = []
    future: asyncio.Future[None] = loop.create_future()
    future.add_done_callback(lambda _future: called.append("first"))
    future.add_done_callback(lambda _future: called.append("second"))
    future.set_result(None)
    for item in range(10):
        loop.call_soon(inboxes[item % 2].take, item)
        loop.call_soon(partial(plain.append, item))
    await asyncio.sleep(1)
    assert inboxes[0].got == [0, 2, 4, 6, 8]
    assert inboxes[1].got == [1, 3, 5, 7, 9]
    assert plain == list(range(10))
    assert called == ["first", "second"]


def test_late_timers_are_never_early_and_no_later_than_said() -> None:
    async def lateness() -> list[float]:
        loop = asyncio.get_running_loop()
        late = []
        for _ in range(50):
            before = loop.time()
            await asyncio.sleep(1)
            late.append(loop.time() - before - 1)
        return late

    late = run_virtual(lateness(), seed=1, lateness=0.5)
    assert all(-1e-9 <= seconds <= 0.5 for seconds in late)
    assert max(late) > 0.25


def test_what_a_seeded_test_raises_names_the_seed() -> None:
    @virtual(seeds=(7,))
    async def fails() -> None:
        raise AssertionError("no")

    with pytest.raises(AssertionError) as caught:
        fails()
    assert caught.value.__notes__ == ["in virtual time, with seed=7"]


async def conversation() -> tuple[list[str], list[dict[str, Any]], list[Any]]:
    """Two connections with an interrupt in the middle; return what was said, handed over and noted."""
    settings = Settings(loop_watchdog_seconds=None)
    async with ConversationSystem(settings, speech=Splitter, ids=CountedIds(), clock=VirtualClock) as system:
        with MessageTrace(system.context) as trace:
            events: list[dict[str, Any]] = []
            turns = []

            async def client(number: int) -> None:
                processor = system.connect()
                for turn in range(3):
                    turn_id = await processor.start_turn(agent_stream=say(["One. ", "Two. ", "Three. "] * 5, 0.1))
                    stream = processor.stream_events(turn_id)
                    if turn == number:
                        events.append(await anext(stream))
                        await asyncio.sleep(0.45)
                        await processor.interrupt_turn(turn_id)
                    events.extend(await read(stream))
                    turns.append(processor.get_turn(turn_id))

            await asyncio.gather(client(0), client(1))
        return list(trace.lines), events, turns


def test_the_same_seed_gives_the_same_messages_events_and_times() -> None:
    runs = {seed: run_virtual(conversation(), seed) for seed in SEEDS}
    assert all(len(lines) > 100 for lines, _events, _turns in runs.values())
    for seed in SEEDS:
        assert run_virtual(conversation(), seed) == runs[seed]
    assert len({tuple(lines) for lines, _events, _turns in runs.values()}) == len(SEEDS)


@virtual
async def test_the_engine_takes_its_time_from_the_loop() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    async with ConversationSystem(Settings(loop_watchdog_seconds=None), clock=VirtualClock) as system:
        clock = system.context.clock
        before = clock.wall()
        await asyncio.sleep(1000)
        assert clock.now() == loop.time() == 1000
        assert (clock.wall() - before).total_seconds() == 1000
