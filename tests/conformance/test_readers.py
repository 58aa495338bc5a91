"""`EventStream`: who reads a turn, comes back, takes over, leaves, or never came."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from agents import endless, hang, prose, ready, say
from conversations import actor_of, chunks_of, end_of, engine, hold_to_contract, read, talk

from actors import EventStream
from actors.testing import virtual
from protocol.errors import ReaderBusyError, ReaderReplacedError, ReplayGapError, TurnNotFoundError
from protocol.turn import TurnStatus


def now() -> float:
    return asyncio.get_running_loop().time()


def status_of(processor: Any, turn_id: str) -> tuple[TurnStatus, str | None]:
    turn = processor.get_turn(turn_id)
    return turn.status, turn.reason


GONE = (TurnStatus.INTERRUPTED, "reader_gone")
ALIVE = (TurnStatus.PROCESSING, None)


# An object, not a generator.


@virtual
async def test_a_stream_is_an_object_that_ends_once_and_stays_ended() -> None:
    async with engine() as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=ready(["One. "]))
        stream = processor.stream_events(turn_id)
        assert isinstance(stream, EventStream)
        assert not hasattr(stream, "asend")
        assert aiter(stream) is stream
        assert stream.turn_id == turn_id
        events = [event async for event in stream]
        assert json.loads(json.dumps(events)) == events
        for _ in range(2):
            with pytest.raises(StopAsyncIteration):
                await anext(stream)
        for _ in range(2):
            await stream.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(stream)


@pytest.mark.parametrize("patience", [0.01, 0.03, 0.05, 0.1])
@virtual
async def test_a_wait_that_times_out_takes_no_event(patience: float) -> None:
    """Everybody writes `wait_for(anext(events), t)`; a generator is dead after the first time-out."""
    async with engine() as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=say(prose(20), pause=0.01))
        stream = processor.stream_events(turn_id)
        events: list[dict[str, Any]] = []
        time_outs = 0
        while not events or events[-1]["type"] != "stream_end":
            try:
                events.append(await asyncio.wait_for(anext(stream), patience))
            except TimeoutError:
                time_outs += 1
    hold_to_contract(events)
    assert "".join(chunks_of(events)) == "".join(prose(20))
    assert time_outs > 10 or patience > 0.03


@pytest.mark.parametrize("rounds", range(8))
@virtual(seeds=(None, 1, 2, 3))
async def test_a_wait_that_is_cancelled_in_whichever_round_of_the_loop_takes_no_event(rounds: int) -> None:
    speak = asyncio.Event()

    async def agent() -> AsyncIterator[str]:
        await speak.wait()
        yield "One. Two. Three"

    async with engine() as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=agent())
        stream = processor.stream_events(turn_id)
        events = [await anext(stream)]
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(1)
        speak.set()
        for _ in range(rounds):
            await asyncio.sleep(0)
        waiting.cancel()
        try:
            events.append(await waiting)
        except asyncio.CancelledError:
            assert waiting.cancelled()
        events += [event async for event in stream]
    hold_to_contract(events)
    assert chunks_of(events) == ["One. ", "Two. ", "Three"]


@virtual
async def test_two_tasks_that_ask_one_stream_at_once_are_told_so() -> None:
    async with engine() as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=say(["One. ", "Two. "], pause=1))
        stream = processor.stream_events(turn_id)
        events = [await anext(stream)]
        first = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0.1)
        with pytest.raises(ReaderBusyError):
            await anext(stream)
        events += [await first, *[event async for event in stream]]
        hold_to_contract(events)
        assert chunks_of(events) == ["One. ", "Two. "]


@virtual
async def test_a_stream_that_is_closed_ends_for_the_task_that_waits_for_it() -> None:
    async with engine() as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=hang())
        async with processor.stream_events(turn_id) as stream:
            await anext(stream)
            waiting = asyncio.ensure_future(anext(stream, None))
            await asyncio.sleep(1)
        assert await asyncio.wait_for(waiting, 1) is None


@virtual
async def test_there_is_nothing_to_read_of_a_turn_that_is_not_known() -> None:
    async with engine() as system:
        with pytest.raises(TurnNotFoundError):
            system.connect().stream_events("nothing")


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_turn_can_be_read_in_another_loop(interrupted: bool) -> None:
    events: list[dict[str, Any]] = []

    async def run() -> None:
        async with engine() as system:
            processor = system.connect()
            agent = endless(pause=0.0001) if interrupted else say(prose(200))
            turn_id = await processor.start_turn(agent_stream=agent)
            under_way = threading.Event()

            async def reader() -> None:
                async for event in processor.stream_events(turn_id):
                    events.append(event)
                    if len(events) == 10:
                        under_way.set()

            thread = threading.Thread(target=lambda: asyncio.run(reader()))
            thread.start()
            await asyncio.to_thread(under_way.wait)
            if interrupted:
                assert await processor.interrupt_turn(turn_id)
            await asyncio.to_thread(thread.join)

    asyncio.run(run())
    hold_to_contract(events)
    assert end_of(events)[0] == ("interrupted" if interrupted else "completed")
    assert interrupted or "".join(chunks_of(events)) == "".join(prose(200))


# Coming back.


@virtual
async def test_a_later_reader_takes_over_and_the_earlier_one_ends_with_a_clear_error() -> None:
    async with engine() as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=say(prose(4), pause=0.1))
        first = processor.stream_events(turn_id)
        events = [await anext(first), await anext(first)]
        waiting = asyncio.ensure_future(anext(first))
        await asyncio.sleep(0.05)
        second = processor.stream_events(turn_id)
        with pytest.raises(ReaderReplacedError, match=turn_id):
            await asyncio.wait_for(waiting, 0.01)
        with pytest.raises(ReaderReplacedError):
            await anext(first)
        await first.aclose()  # that is the second one's turn now
        events += [event async for event in second]
        hold_to_contract(events)
        assert "".join(chunks_of(events)) == "".join(prose(4))


@virtual
async def test_a_reader_that_comes_back_gets_everything_after_what_it_names_and_goes_on() -> None:
    """For every event that it may name, in the middle of a turn and after it."""
    async with engine() as system:
        processor = system.connect()
        for taken in (1, 4, 6):
            turn_id = await processor.start_turn(
                agent_stream=say(["One. ", {"type": "tool_call", "n": 1}, "Two. ", "Three. "])
            )
            stream = processor.stream_events(turn_id)
            events = [await anext(stream) for _ in range(taken)]
            for after in range(-1, taken):
                again = processor.stream_events(turn_id, after_seq=after)
                assert [await anext(again) for _ in range(taken - after - 1)] == events[after + 1 :]
            events += [event async for event in again]
            hold_to_contract(events)
            assert [event["type"] for event in events] == [
                "stream_start",
                "tts_ready_chunk",
                "tool_call",
                "tts_ready_chunk",
                "tts_ready_chunk",
                "stream_end",
            ]
            for after in range(-1, len(events)):
                assert [e async for e in processor.stream_events(turn_id, after_seq=after)] == events[after + 1 :]
            assert await read(processor.stream_events(turn_id)) == events[-1:]


@virtual
async def test_a_reader_that_is_replaced_while_it_is_given_events_again_leaves_nothing_out() -> None:
    async with engine() as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=say(prose(3)))
        events = await read(processor.stream_events(turn_id))
        again = processor.stream_events(turn_id, after_seq=-1)
        assert [await anext(again), await anext(again)] == events[:2]
        assert [e async for e in processor.stream_events(turn_id, after_seq=events[1]["seq"])] == events[2:]


@virtual
async def test_what_has_left_the_window_is_a_typed_error_and_no_silent_gap() -> None:
    async with engine() as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=ready(["One. "] * 400))
        stream = processor.stream_events(turn_id)
        events = [await anext(stream) for _ in range(300)]
        for after in (-1, 42, -2, 300, 10_000):
            with pytest.raises(ReplayGapError, match=turn_id):
                processor.stream_events(turn_id, after_seq=after)
        events.append(await anext(stream))  # who could not come back has not taken anything over
        again = processor.stream_events(turn_id, after_seq=44)  # 256 of 301
        assert [await anext(again) for _ in range(256)] == events[45:]
        events += [event async for event in again]
        hold_to_contract(events)
        assert len(chunks_of(events)) == 400


@virtual
async def test_after_an_interrupt_a_reader_that_comes_back_gets_what_it_had_and_then_the_end() -> None:
    async with engine() as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=endless())
        stream = processor.stream_events(turn_id)
        events = [await anext(stream) for _ in range(5)]
        again = processor.stream_events(turn_id, after_seq=1)
        assert await anext(again) == events[2]
        assert await processor.interrupt_turn(turn_id)
        rest = [event async for event in again]
        assert rest[:-1] == events[3:]
        assert end_of(rest) == ("interrupted", "interrupted")
        hold_to_contract([*events, rest[-1]])


# Going, and never coming.


@virtual
async def test_a_turn_that_nobody_comes_to_read_is_interrupted_and_cleaned_up() -> None:
    async with engine() as system:
        processor = system.connect()
        for agent in (endless(pause=0.1), hang(), ready(["One. "]), hang(["One. "])):
            turn_id = await processor.start_turn(agent_stream=agent)
            await asyncio.sleep(29.5)
            assert status_of(processor, turn_id) == ALIVE
            await asyncio.sleep(1)
            assert status_of(processor, turn_id) == GONE
            assert {actor.kind for actor in system.inspect().actors} == {"supervisor", "connection"}
            assert system.inspect().tasks == []
            assert end_of(await read(processor.stream_events(turn_id))) == ("interrupted", "reader_gone")


async def _close(stream: EventStream) -> None:
    await stream.aclose()


async def _leave_the_block(stream: EventStream) -> None:
    async with stream:
        pass


async def _forget(stream: EventStream) -> None:
    """Its last reference is the caller's list."""


async def _break(stream: EventStream) -> None:
    async for _event in stream:
        break


async def _raise(stream: EventStream) -> None:
    with suppress(ZeroDivisionError):
        async for _event in stream:
            raise ZeroDivisionError


async def _raise_in_the_block(stream: EventStream) -> None:
    with suppress(ZeroDivisionError):
        async with stream:
            await _raise(stream)
            raise ZeroDivisionError


async def _ask_for_nothing(stream: EventStream) -> None:
    KEPT.append(stream)


KEPT: list[EventStream] = []


LEAVE = [_close, _leave_the_block, _forget, _break, _raise, _raise_in_the_block, _ask_for_nothing]


@pytest.mark.parametrize("leave", LEAVE)
@virtual
async def test_a_turn_whose_reader_has_left_is_interrupted_after_its_grace(leave: Any) -> None:
    async with engine(reader_grace_seconds=10) as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=say(["One. "] * 1_000, pause=0.1))
        streams = [processor.stream_events(turn_id)]
        for _ in range(30):
            await anext(streams[0])
        await leave(streams.pop())
        gc.collect()
        await asyncio.sleep(9.5)
        assert status_of(processor, turn_id) == ALIVE
        await asyncio.sleep(1)
        assert status_of(processor, turn_id) == GONE
        assert {actor.kind for actor in system.inspect().actors} == {"supervisor", "connection"}
        KEPT.clear()


@virtual
async def test_a_connection_may_have_a_grace_of_its_own() -> None:
    async with engine(reader_grace_seconds=10) as system:
        patient, usual = system.connect(reader_grace_seconds=25), system.connect()
        turns = [(each, await each.start_turn(agent_stream=hang(["One. ", "Two"]))) for each in (patient, usual)]
        await asyncio.sleep(11)
        assert [status_of(*turn) for turn in turns] == [ALIVE, GONE]
        await asyncio.sleep(15)
        assert status_of(*turns[0]) == GONE


@pytest.mark.parametrize("leave", [_close, _leave_the_block, _forget])
@virtual
async def test_a_reader_that_has_left_is_missed_even_when_there_is_nothing_to_read(leave: Any) -> None:
    async with engine(reader_grace_seconds=10) as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=hang())
        streams = [processor.stream_events(turn_id)]
        await anext(streams[0])
        await asyncio.sleep(5)
        await leave(streams.pop())
        gc.collect()
        await asyncio.sleep(9.5)
        assert status_of(processor, turn_id) == ALIVE
        await asyncio.sleep(1)
        assert status_of(processor, turn_id) == GONE


@virtual
async def test_a_reader_that_comes_back_within_the_grace_finds_its_turn() -> None:
    async with engine(reader_grace_seconds=10) as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=say(["One. "] * 100, pause=1))
        events: list[dict[str, Any]] = []
        while not events or events[-1]["type"] != "stream_end":
            async with processor.stream_events(turn_id, after_seq=len(events) - 1) as stream:
                async for event in stream:
                    events.append(event)
                    if len(events) in (3, 8, 50):
                        break
            await asyncio.sleep(9)
    hold_to_contract(events)
    assert chunks_of(events) == ["One. "] * 100


@virtual
async def test_a_reader_is_not_gone_while_it_asks_or_is_only_slow() -> None:
    """It waits for an agent that says nothing, or does something else meanwhile; it takes its time; its waits time
    out; it is given events again."""
    async with engine(reader_grace_seconds=10, agent_stall_seconds=None, replay_window=10) as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=say(["One. "] * 5, pause=1_000))
        assert end_of(await read(processor.stream_events(turn_id)))[0] == "completed"

        turn_id = await processor.start_turn(agent_stream=say(["One. "] * 3, pause=200))
        stream = processor.stream_events(turn_id)
        await anext(stream)
        await asyncio.sleep(190)
        events = [event async for event in stream]
        assert end_of(events)[0] == "completed"

        turn_id = await processor.start_turn(agent_stream=ready(["One. "] * 10))
        stream = processor.stream_events(turn_id)
        for _ in range(7):
            await anext(stream)
            await asyncio.sleep(9)
        stream = processor.stream_events(turn_id, after_seq=-1)
        for _ in range(12):
            event = await anext(stream)
            await asyncio.sleep(9)
        assert event["status"] == "completed"

        turn_id = await processor.start_turn(agent_stream=say(["One. "], pause=100))
        stream = processor.stream_events(turn_id)
        await anext(stream)
        for _ in range(40):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(stream), 0.5)
            await asyncio.sleep(1.5)
        assert status_of(processor, turn_id) == ALIVE


@virtual
async def test_the_grace_of_a_turn_that_waits_for_another_begins_when_it_speaks() -> None:
    async with engine(reader_grace_seconds=10, agent_stall_seconds=None, on_busy="queue") as system:
        processor = system.connect()
        first = await processor.start_turn(agent_stream=say(["One. "], pause=60))
        second = await processor.start_turn(agent_stream=ready(["Two. "]))
        await read(processor.stream_events(first))
        await asyncio.sleep(9)
        assert status_of(processor, second) == ALIVE
        await asyncio.sleep(2)
        assert status_of(processor, second) == GONE


@virtual
async def test_who_waits_for_a_pending_turn_reads_it_when_its_time_comes() -> None:
    async with engine(on_busy="queue") as system:
        processor = system.connect()
        first = await processor.start_turn(agent_stream=say(["One. "], pause=20))
        second = await processor.start_turn(agent_stream=say(["Two. "]))
        reading = asyncio.ensure_future(read(processor.stream_events(second)))
        await asyncio.sleep(1)
        assert not reading.done()
        await read(processor.stream_events(first))
        assert chunks_of(await asyncio.wait_for(reading, 1)) == ["Two. "]


@pytest.mark.parametrize("agent", [endless, lambda: say(["One. "] * 5_000)])
@virtual
async def test_a_reader_that_closes_early_with_full_mailboxes_does_not_hold_up_cleanup_or_the_next_turn(
    agent: Any,
) -> None:
    """Issue, point 6. A producer that waits for room in a queue that nobody empties waits for ever."""
    async with engine(queue_maxsize=5) as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=agent())
        async with processor.stream_events(turn_id) as stream:
            for _ in range(4):
                await anext(stream)
            await asyncio.sleep(3)
            assert actor_of(system, "emitter").actor_inbox.depth == 5
            assert actor_of(system, "chunker").actor_inbox.depth == 5
        began = now()
        assert await processor.cleanup(turn_id) == 1
        assert now() == began
        assert processor.get_turn(turn_id) is None
        assert system.inspect().tasks == []
        assert end_of(await talk(processor, ready(["Next. "]))) == ("completed", "completed")
