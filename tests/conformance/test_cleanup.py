"""Contract 5: what has ended is gone after its retention, shutdown ends in time and starts nothing new."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from agents import Stubborn, endless, hang, ready, say, stubborn
from conversations import end_of, engine, hold_to_contract, read, talk, turn_of

from actors import ConversationSystem
from actors.record import TurnRecord
from actors.runtime import EngineActor, Mailbox
from actors.supervisor import Supervisor
from actors.testing import virtual
from protocol.errors import SystemClosedError, TurnNotFoundError
from protocol.turn import TurnStatus


def now() -> float:
    return asyncio.get_running_loop().time()


def timers_left() -> list[asyncio.TimerHandle]:
    loop: Any = asyncio.get_running_loop()
    return [timer for timer in loop._scheduled if not timer.cancelled()]


def census(system: ConversationSystem) -> dict[str, int]:
    """Count everything that a turn is made of, wherever it may be held, and the memory."""
    gc.collect()
    kinds = Counter(type(thing).__name__ for thing in gc.get_objects() if isinstance(thing, EngineActor | TurnRecord))
    supervisor: Any = system.context.supervisor
    timers = timers_left()
    return {
        **kinds,
        "registered": len(system.context.registry),
        "mailboxes": sum(isinstance(thing, Mailbox) for thing in gc.get_objects()),
        "tasks": len(asyncio.all_tasks()),
        "threads": threading.active_count(),
        "timers": len(timers),
        "watched": len(supervisor._watched),
        "left tasks": len(system.context.left_tasks),
        "abandoned": len(system.context.abandoned_tasks),
        "blocks of memory": sys.getallocatedblocks(),
        "appointments": len(supervisor._heap),
    }


def assert_flat(before: dict[str, int], after: dict[str, int], *, blocks: int) -> None:
    """Assert that nothing has grown; memory and what is swept now and then within narrow bounds."""
    grown = {name: after.get(name, 0) - before.get(name, 0) for name in {*before, *after}}
    assert abs(grown.pop("blocks of memory")) < blocks
    assert grown.pop("appointments") < 140  # those that were called off are swept in batches
    assert {name: growth for name, growth in grown.items() if growth > 0} == {}


# After turns.


@virtual
async def test_10_000_turns_on_one_connection_leave_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Issue, point 12: whatever their ends, and whether they were read."""
    caplog.set_level(logging.CRITICAL, "antiphon")  # pytest keeps what is logged, and with it what it speaks of

    async def broken() -> AsyncIterator[str]:
        yield "One. Two"
        raise LookupError

    async with engine(reader_grace_seconds=1) as system:
        processor = system.connect()

        async def turn(number: int) -> None:
            turn_id = await processor.start_turn(agent_stream=broken() if number % 5 == 1 else ready(["One. Two"]))
            if number % 5 == 2:
                assert await processor.interrupt_turn(turn_id)
            elif number % 50 == 3:
                await asyncio.sleep(1.1)  # nobody comes
            else:
                async for _event in processor.stream_events(turn_id):
                    if number % 5 == 4:
                        await processor.interrupt_turn(turn_id)

        for number in range(2_000):
            await turn(number)
        await asyncio.sleep(0.001)
        before = census(system)
        assert before["TurnRecord"] == 100  # turn_retention_count
        for number in range(2_000, 10_000):
            await turn(number)
        await asyncio.sleep(0.001)
        assert_flat(before, census(system), blocks=2_000)
        assert processor.get_stats()["turns_started"] == 10_000
        assert processor.get_stats()["turns_kept"] == 100
        await asyncio.sleep(301)
        end = census(system)
        assert "TurnRecord" not in end
        assert end["registered"] == 2
        assert (end["tasks"], end["timers"], end["watched"], end["appointments"]) == (1, 0, 0, 0)


@virtual
@pytest.mark.parametrize("end", ["read", "interrupted", "failed", "left"])
async def test_nothing_of_a_turn_waits_for_the_garbage_collector(end: str) -> None:
    """Reference counts take it away: a pass over all objects of thousands of turns can be heard."""

    async def broken() -> AsyncIterator[str]:
        yield "One. Two"
        raise LookupError

    async with engine() as system:
        processor = system.connect()

        async def turn() -> None:
            agent = broken() if end == "failed" else say(["One. "] * 5, 0.1)
            turn_id = await processor.start_turn(agent_stream=agent)
            async with processor.stream_events(turn_id) as events:
                async for event in events:
                    if event["seq"] == 2 and end == "interrupted":
                        await processor.interrupt_turn(turn_id)
                    elif event["seq"] == 2 and end == "left":
                        break
            await processor.cleanup(turn_id)
            await asyncio.sleep(0.001)

        await turn()
        gc.collect()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            await turn()
            gc.collect()
            ours = [type(thing).__name__ for thing in gc.garbage if type(thing).__module__.startswith("actors.")]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
        assert ours == []


@virtual
async def test_connections_that_come_and_go_leave_nothing() -> None:
    async with engine() as system:

        async def come_and_go() -> None:
            async with system.connect() as processor:
                await talk(processor, ready(["One. "]))
                await processor.start_turn(agent_stream=hang())

        for _ in range(300):
            await come_and_go()
        before = census(system)
        for _ in range(1_000):
            await come_and_go()
        assert_flat(before, census(system), blocks=1_000)
        assert system.connections() == []
        assert system.inspect().stats == {"turns_completed": 1_300, "turns_interrupted": 1_300}


@virtual
async def test_a_finished_turn_leaves_its_actors_at_once_and_its_record_for_a_while() -> None:
    async with engine(turn_retention_seconds=60) as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=ready(["One. "]), user_input="Hello")
        events = await read(processor.stream_events(turn_id))
        await asyncio.sleep(0.001)
        assert {actor.kind for actor in system.inspect().actors} == {"supervisor", "connection"}
        assert system.inspect().tasks == []
        await asyncio.sleep(59)
        assert turn_of(processor, turn_id).generated_text == "One. "
        assert await read(processor.stream_events(turn_id, after_seq=-1)) == events
        await asyncio.sleep(1.1)
        assert processor.get_turn(turn_id) is None
        with pytest.raises(TurnNotFoundError):
            processor.stream_events(turn_id)
        assert "TurnRecord" not in census(system)


@virtual
async def test_retention_is_by_time_and_by_count_whichever_comes_first_and_per_connection() -> None:
    async with engine(turn_retention_seconds=60, turn_retention_count=3) as system:
        one, other = system.connect("one"), system.connect("other")
        turns = []
        for number in range(6):
            events = await talk(one, ready([f"{number}. "]))
            turns.append(events[0]["turn_id"])
            await asyncio.sleep(10)
        [theirs] = {event["turn_id"] for event in await talk(other, ready(["Theirs. "]))}
        assert [one.get_turn(turn) is not None for turn in turns] == [False] * 3 + [True] * 3
        assert one.get_stats()["turns_kept"] == 3
        await asyncio.sleep(31)  # the fourth ended 61 s ago
        assert [one.get_turn(turn) is not None for turn in turns] == [False] * 4 + [True] * 2
        assert other.get_turn(theirs) is not None
        await asyncio.sleep(30)
        assert [one.get_turn(turn) for turn in turns] == [None] * 6
        assert other.get_turn(theirs) is None


@pytest.mark.parametrize("limits", [{"turn_retention_count": 0}, {"turn_retention_seconds": 0}])
@virtual
async def test_a_turn_that_is_not_to_be_kept_is_gone_with_its_end_and_its_reader_has_that(limits: Any) -> None:
    async with engine(**limits) as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=endless(pause=1))
        stream = processor.stream_events(turn_id)
        await anext(stream)
        assert await processor.interrupt_turn(turn_id)
        assert end_of(await read(stream)) == ("interrupted", "interrupted")
        assert end_of(await talk(processor, ready(["One. "]))) == ("completed", "completed")
        await asyncio.sleep(0.01)
        assert processor.get_stats()["turns_kept"] == 0


@virtual
async def test_start_turn_forgets_what_is_past_its_retention_also_without_the_supervisor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Supervisor, "_look_at_retention", lambda *_: None)
    async with engine(turn_retention_seconds=60) as system:
        processor = system.connect()
        await talk(processor, ready(["One. "]))
        await asyncio.sleep(61)
        assert processor.get_stats()["turns_kept"] == 1
        await processor.start_turn(agent_stream=hang())
        assert processor.get_stats()["turns_kept"] == 1  # the new one


@virtual
async def test_cleanup_completed_turns_forgets_those_of_an_age() -> None:
    async with engine(turn_retention_seconds=60) as system:
        processor = system.connect()
        for number in range(5):
            await talk(processor, ready([f"{number}. "]))
            await asyncio.sleep(10)
        active = await processor.start_turn(agent_stream=hang())
        assert await processor.cleanup_completed_turns(max_age_seconds=35) == 2
        assert await processor.cleanup_completed_turns(max_age_seconds=35) == 0
        assert await processor.cleanup_completed_turns() == 0
        assert await processor.cleanup_completed_turns(0) == 3
        assert [turn.turn_id for turn in processor.get_active_turns()] == [active]


@virtual
async def test_cleanup_ends_what_is_active_forgets_it_and_does_nothing_the_second_time() -> None:
    finished: list[Any] = []

    async with engine(on_busy="queue") as system:
        system.on_turn_finished(finished.append)
        processor = system.connect()
        assert await processor.cleanup() == 0
        done = (await talk(processor, ready(["One. "])))[0]["turn_id"]
        turns = [await processor.start_turn(agent_stream=endless()) for _ in range(3)]
        streams = [processor.stream_events(turn_id) for turn_id in turns]
        assert await processor.cleanup(done) == 1
        assert await processor.cleanup(done) == 0
        assert await processor.cleanup("nothing") == 0
        assert await processor.cleanup(turns[0]) == 1
        assert processor.get_turn(turns[0]) is None
        assert turn_of(processor, turns[1]).status is TurnStatus.PROCESSING
        assert await processor.cleanup() == 2
        assert await processor.cleanup() == 0
        assert processor.get_stats()["turns_kept"] == 0
        assert [turn.turn_id for turn in finished if turn.started_at] == [
            done,
            *turns[:2],
        ]  # the last never spoke
        for stream in streams:  # who had it before still gets its end
            assert end_of([event async for event in stream]) == ("interrupted", "cleanup")
        assert end_of(await talk(processor, ready(["Next. "]))) == ("completed", "completed")


@virtual
async def test_cleanup_waits_for_a_stubborn_agent_as_long_as_an_interrupt_does() -> None:
    async with engine() as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=Stubborn())
        await asyncio.sleep(0.1)
        began = now()
        assert await processor.cleanup(turn_id) == 1
        assert 1.0 <= now() - began <= 1.1
        assert processor.get_turn(turn_id) is None


# Shutdown.


@virtual
async def test_shutdown_in_the_middle_of_1_000_turns_is_bounded_and_every_reader_gets_its_end() -> None:
    """Issue, point 11."""
    agents = [endless, lambda: hang(["One. "]), lambda: say(["One. "] * 99, pause=0.01), stubborn, lambda: None]
    ends: list[list[dict[str, Any]]] = []
    finished: list[Any] = []

    async def reader(processor: Any, turn_id: str, slow: float) -> None:
        events = []
        async for event in processor.stream_events(turn_id):
            events.append(event)
            await asyncio.sleep(slow)
        ends.append(events)

    async with engine() as system:
        system.on_turn_finished(finished.append)
        readers = []
        for number in range(1_000):
            processor = system.connect()
            turn_id = await processor.start_turn(agent_stream=agents[number % 5]())
            slow = 0.0 if number % 5 == 3 else 0.03
            readers.append(asyncio.create_task(reader(processor, turn_id, slow)))
        await asyncio.sleep(0.5)
        began = now()
        await system.shutdown()
        assert 1.0 <= now() - began <= 1.1  # a fifth of the agents is stubborn
        assert system.inspect().actors == []
        assert system.inspect().stats["turns_interrupted"] == 1_000
        assert system.inspect().stats["abandoned_tasks"] == 200
        await asyncio.gather(*readers)
        assert len(ends) == 1_000
        for events in ends:
            hold_to_contract(events)
            assert end_of(events) == ("interrupted", "shutdown")
        assert len(finished) == 1_000
        await asyncio.sleep(6)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert timers_left() == []


@virtual
async def test_nothing_starts_after_a_shutdown_and_nothing_else_is_an_error() -> None:
    async with engine() as system:
        closed, processor = system.connect("closed"), system.connect("open")
        done = (await talk(closed, ready(["One. "])))[0]["turn_id"]
        await closed.shutdown()
        await closed.shutdown()
        with pytest.raises(SystemClosedError):
            await closed.start_turn(agent_stream=ready(["Two. "]))
        with pytest.raises(RuntimeError):  # which it is too
            await closed.start_turn(agent_stream=ready(["Two. "]))
        assert system.get("closed") is None
        assert system.connections() == [processor]
        again = system.connect("closed")
        assert end_of(await talk(again, ready(["Three. "]))) == ("completed", "completed")
    with pytest.raises(SystemClosedError):
        await processor.start_turn(agent_stream=ready(["Four. "]))
    with pytest.raises(SystemClosedError):
        system.connect()
    with pytest.raises(SystemClosedError):
        await system.start()
    with pytest.raises(SystemClosedError):
        await processor.attach_agent_stream("nothing", ready(["Five. "]))
    with pytest.raises(SystemClosedError):
        await processor.mark_played("nothing", 0)
    await system.shutdown()
    await processor.shutdown()
    assert await processor.cleanup() == 0
    assert await processor.cleanup_completed_turns() == 0
    assert processor.get_active_turns() == []
    assert turn_of(closed, done).status is TurnStatus.COMPLETED
    assert end_of(await read(closed.stream_events(done))) == ("completed", "completed")
    assert system.connections() == []
    assert system.inspect().actors == []


@virtual
async def test_a_system_that_was_never_started_says_so() -> None:
    system = engine()
    with pytest.raises(SystemClosedError):
        system.connect()
    with pytest.raises(SystemClosedError):
        system.inspect()
    await system.shutdown()
    with pytest.raises(SystemClosedError):
        await system.start()


@virtual
async def test_nothing_starts_while_a_shutdown_is_under_way() -> None:
    async with engine(on_busy="queue") as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=stubborn())
        waiting = await processor.start_turn(agent_stream=ready(["Never. "]))
        await asyncio.sleep(0.1)
        closing = asyncio.create_task(system.shutdown())
        await asyncio.sleep(0.5)
        with pytest.raises(SystemClosedError):
            await processor.start_turn(agent_stream=ready(["Never. "]))
        with pytest.raises(SystemClosedError):
            system.connect()
        assert not closing.done()
        assert turn_of(processor, turn_id).status is TurnStatus.INTERRUPTED
        assert turn_of(processor, waiting).status is TurnStatus.INTERRUPTED
        await closing


@virtual
async def test_two_shutdowns_at_once_both_wait_and_one_that_is_cancelled_goes_on() -> None:
    system = await engine().start()
    processor = system.connect()
    await processor.start_turn(agent_stream=stubborn())
    await asyncio.sleep(0.1)
    began = now()
    first, second = (asyncio.create_task(system.shutdown()) for _ in range(2))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(first, 0.2)
    await second
    assert 1.0 <= now() - began <= 1.1
    assert system.inspect().actors == []


@virtual
async def test_a_shutdown_of_a_connection_that_is_cancelled_has_closed_it() -> None:
    async with engine() as system:
        processor = system.connect("c")
        turn_id = await processor.start_turn(agent_stream=stubborn())
        stream = processor.stream_events(turn_id)
        await anext(stream)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(processor.shutdown(), 0.2)
        assert system.get("c") is None
        assert end_of([event async for event in stream]) == ("interrupted", "shutdown")
        await asyncio.sleep(1)
        assert {actor.kind for actor in system.inspect().actors} == {"supervisor"}
        assert system.inspect().abandoned == [f"agent of turn {turn_id}"]


@pytest.mark.parametrize("limit", [0.0, 0.5, 5.0])
@virtual
async def test_shutdown_takes_no_longer_than_it_may(limit: float) -> None:
    async with engine(shutdown_timeout_seconds=limit, interrupt_wait_timeout=60) as system:
        streams = []
        for _ in range(10):
            processor = system.connect()
            turn_id = await processor.start_turn(agent_stream=stubborn(seconds=100))
            streams.append(processor.stream_events(turn_id))
        await asyncio.sleep(0.1)
        began = now()
        await system.shutdown()
        assert now() - began <= limit * 1.1 + 0.01
        assert len(system.inspect().abandoned) == 10
        for stream in streams:
            assert end_of(await read(stream)) == ("interrupted", "shutdown")


@virtual
async def test_shutdown_waits_for_the_callbacks_of_the_turns_that_it_has_ended() -> None:
    """Whoever writes a turn down gets to write the last one down, but not for ever."""
    written: list[str] = []

    async def write_down(turn: Any) -> None:
        await asyncio.sleep(2 if turn.turn_id == "short" else 60)
        written.append(turn.turn_id)

    async with engine() as system:
        system.on_turn_finished(write_down)
        for turn_id in ("short", "long"):
            await system.connect().start_turn(agent_stream=hang(), turn_id=turn_id)
        began = now()
        await system.shutdown()
        assert now() - began <= 5.1
        assert written == ["short"]
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}


@virtual
async def test_a_callback_may_shut_the_system_down() -> None:
    async with engine() as system:

        async def stop(_turn: Any) -> None:
            await system.shutdown()

        system.on_turn_finished(stop)
        await talk(system.connect(), ready(["One. "]))
        began = now()
        await asyncio.sleep(0.1)
        assert system.inspect().actors == []
        assert now() - began < 1
