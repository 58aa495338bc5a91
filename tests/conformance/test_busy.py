"""A second turn while one is active: rejected, let in, or queued; by the settings, the connection or the call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from agents import endless, hang, ready, say, stubborn
from conversations import actor_of, chunks_of, end_of, engine, read, talk, turn_of

from actors.testing import virtual
from protocol.errors import AntiphonError, BadArgumentError, BadSettingsError, TurnActiveError
from protocol.settings import Settings
from protocol.turn import TurnStatus


def now() -> float:
    return asyncio.get_running_loop().time()


# Who decides.


@pytest.mark.parametrize("by", ["settings", "connection", "call"])
@pytest.mark.parametrize("on_busy", ["reject", "interrupt", "queue"])
@virtual
async def test_the_call_wins_over_the_connection_and_that_over_the_settings(by: str, on_busy: Any) -> None:
    other = "queue" if on_busy == "reject" else "reject"
    async with engine(on_busy=on_busy if by == "settings" else other) as system:
        processor = system.connect(on_busy={"settings": None, "connection": on_busy, "call": other}[by])
        first = await processor.start_turn(agent_stream=hang())
        given = {"on_busy": on_busy} if by == "call" else {}
        if on_busy == "reject":
            with pytest.raises(TurnActiveError):
                await processor.start_turn(agent_stream=hang(), **given)
            return
        second = await processor.start_turn(agent_stream=hang(), **given)
        status = {turn: turn_of(processor, turn).status for turn in (first, second)}
        assert status == (
            {first: TurnStatus.INTERRUPTED, second: TurnStatus.PROCESSING}
            if on_busy == "interrupt"
            else {first: TurnStatus.PROCESSING, second: TurnStatus.PENDING}
        )


@virtual
async def test_what_is_none_of_the_three_is_an_error_that_changes_nothing() -> None:
    async with engine() as system:
        processor = system.connect()
        first = await processor.start_turn(agent_stream=hang())
        with pytest.raises(BadArgumentError, match="on_busy"):
            await processor.start_turn(agent_stream=hang(), on_busy="wait")  # type: ignore[arg-type]  # there is none
        assert [turn.turn_id for turn in processor.get_active_turns()] == [first]
    with pytest.raises(BadSettingsError, match="on_busy"):
        Settings(on_busy="wait")  # type: ignore[arg-type]  # there is none


# Reject.


@virtual
async def test_a_rejected_turn_leaves_no_trace_and_the_active_one_alone() -> None:
    stream = say(["Mine. "])
    async with engine() as system:
        processor = system.connect("c")
        first = await processor.start_turn(agent_stream=say(["One. ", "Two. "], pause=1))
        with pytest.raises(RuntimeError) as caught:
            await processor.start_turn(agent_stream=stream)
        assert isinstance(caught.value, AntiphonError)
        assert caught.value.code == "turn_active"
        assert first in str(caught.value)
        assert "c" in str(caught.value)
        assert processor.get_stats()["turns_started"] == 1
        assert chunks_of(await read(processor.stream_events(first))) == ["One. ", "Two. "]
        assert chunks_of(await talk(processor, stream)) == ["Mine. "]  # it is the caller's still


@virtual
async def test_a_turn_is_active_until_its_end_was_read_and_the_next_may_start_right_then() -> None:
    async with engine() as system:
        processor = system.connect()
        first = await processor.start_turn(agent_stream=ready(["One. "]))
        await asyncio.sleep(20)  # the agent has long finished
        with pytest.raises(TurnActiveError):
            await processor.start_turn(agent_stream=hang())
        async for event in processor.stream_events(first):
            if event["type"] == "stream_end":
                second = await processor.start_turn(agent_stream=ready(["Two. "]))
        assert chunks_of(await read(processor.stream_events(second))) == ["Two. "]


# Interrupt.


@virtual
async def test_barge_in_ends_the_active_turn_and_starts_at_once_whoever_does_not_stop() -> None:
    async with engine() as system:
        processor = system.connect()
        first = await processor.start_turn(agent_stream=stubborn(["One. ", "Two. "]))
        stream = processor.stream_events(first)
        await anext(stream)
        await anext(stream)
        began = now()
        events = await talk(processor, ready(["Stop! "]), on_busy="interrupt")
        assert now() == began
        assert end_of(events) == ("completed", "completed")
        assert end_of([event async for event in stream]) == ("interrupted", "barge_in")
        await asyncio.sleep(1.1)
        assert turn_of(processor, first).abandoned


@virtual
async def test_barge_in_means_also_what_waits() -> None:
    async with engine(on_busy="queue") as system:
        processor = system.connect()
        turns = [await processor.start_turn(agent_stream=endless()) for _ in range(3)]
        last = await processor.start_turn(agent_stream=ready(["Stop! "]), on_busy="interrupt")
        for turn_id in turns:
            assert end_of(await read(processor.stream_events(turn_id))) == ("interrupted", "barge_in")
        assert chunks_of(await read(processor.stream_events(last))) == ["Stop! "]


@virtual
async def test_barge_in_again_and_again_leaves_one_active_turn() -> None:
    async with engine(on_busy="interrupt") as system:
        processor = system.connect()
        turns = await asyncio.gather(*(processor.start_turn(agent_stream=endless()) for _ in range(50)))
        assert [turn.turn_id for turn in processor.get_active_turns()] == [turns[-1]]
        assert processor.get_stats()["turns_interrupted"] == 49
        await asyncio.sleep(0.01)
        assert len([actor for actor in system.inspect().actors if actor.kind == "turn"]) == 1


# Queue.


@virtual
async def test_queued_turns_get_their_ids_at_once_and_speak_one_after_the_other() -> None:
    speaking: list[str] = []

    async def agent(name: str) -> AsyncIterator[str]:
        speaking.append(name)
        assert speaking == [name]  # nobody else does
        yield f"{name}. "
        await asyncio.sleep(1)
        speaking.remove(name)

    async with engine(on_busy="queue") as system:
        processor = system.connect()
        turns = [await processor.start_turn(agent_stream=agent(f"Turn {number}")) for number in range(5)]
        assert now() == 0
        assert [turn.turn_id for turn in processor.get_active_turns()] == turns
        assert [turn.status for turn in processor.get_active_turns()] == ["processing"] + ["pending"] * 4
        for number, turn_id in enumerate(turns):
            assert processor.get_stats()["turns_waiting"] == 4 - number
            assert chunks_of(await read(processor.stream_events(turn_id))) == [f"Turn {number}. "]
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("limit", [0, 1, 10])
@virtual
async def test_a_full_queue_is_an_error_and_has_room_again(limit: int) -> None:
    async with engine(on_busy="queue", turn_queue_limit=limit) as system:
        processor = system.connect()
        active = await processor.start_turn(agent_stream=hang())
        for _ in range(limit):
            await processor.start_turn(agent_stream=hang())
        with pytest.raises(TurnActiveError):
            await processor.start_turn(agent_stream=hang())
        assert processor.get_stats()["turns_started"] == limit + 1
        await processor.interrupt_turn(active)
        await processor.start_turn(agent_stream=hang())
        assert processor.get_stats()["turns_waiting"] == limit


async def _fails() -> AsyncIterator[str]:
    yield "So far. "
    raise LookupError


@pytest.mark.parametrize("end", ["completes", "fails", "is interrupted", "is killed", "nobody reads", "is forgotten"])
@virtual
async def test_however_a_turn_ends_the_next_in_the_queue_speaks(end: str) -> None:
    agent = {"completes": ready(["One. "]), "fails": _fails()}.get(end, hang(["One. "]))
    async with engine(on_busy="queue", reader_grace_seconds=5) as system:
        processor = system.connect()
        first = await processor.start_turn(agent_stream=agent)
        second = await processor.start_turn(agent_stream=ready(["Two. "]))
        await asyncio.sleep(1)
        if end == "is interrupted":
            await processor.interrupt_turn(first)
        elif end == "is killed":
            actor_of(system, "turn").kill()
        elif end == "is forgotten":
            await processor.cleanup(first)
        if end == "nobody reads":
            await asyncio.sleep(5)
        elif end != "is forgotten":
            await read(processor.stream_events(first))
        assert chunks_of(await read(processor.stream_events(second))) == ["Two. "]


@virtual
async def test_turns_of_different_connections_do_not_wait_for_each_other() -> None:
    async with engine(on_busy="queue") as system:
        await system.connect("one").start_turn(agent_stream=hang())
        assert end_of(await talk(system.connect("other"), ready(["Hello. "]))) == ("completed", "completed")


@virtual
async def test_many_calls_at_once_are_taken_in_their_order() -> None:
    """More than the Connection's mailbox holds."""
    async with engine(on_busy="queue", turn_queue_limit=500, queue_maxsize=3) as system:
        processor = system.connect()
        turns = await asyncio.gather(
            *(processor.start_turn(agent_stream=ready([f"{number}. "]), turn_id=number) for number in range(200))
        )
        assert turns == [str(number) for number in range(200)]
        assert [turn.turn_id for turn in processor.get_active_turns()] == turns
        for number, turn_id in enumerate(turns):
            assert chunks_of(await read(processor.stream_events(turn_id))) == [f"{number}. "]


# Who changes their mind.


@pytest.mark.parametrize("on_busy", ["reject", "queue"])
@pytest.mark.parametrize("runs", range(1, 6))
@virtual
async def test_a_cancelled_start_has_started_nothing(runs: int, on_busy: Any) -> None:
    """Cancelled at any step between the call and its return; the agent's stream is let go as well."""

    async def opens() -> AsyncIterator[str]:
        return say(["Never. "])

    async with engine(on_busy=on_busy) as system:
        processor = system.connect()
        before = []
        if on_busy == "queue":
            before.append(await processor.start_turn(agent_stream=hang()))
        start = asyncio.ensure_future(processor.start_turn(agent_stream=opens()))
        for _ in range(runs):
            await asyncio.sleep(0)
        if start.cancel():
            with pytest.raises(asyncio.CancelledError):
                await start
            await asyncio.sleep(0.001)
        else:
            await processor.cleanup(await start)
        assert [turn.turn_id for turn in processor.get_active_turns()] == before
        assert processor.get_stats()["turns_kept"] == len(before)
        await processor.cleanup()
        assert chunks_of(await talk(processor, ready(["Next. "]))) == ["Next. "]


@virtual
async def test_a_cancelled_start_leaves_others_alone_that_have_the_same_name() -> None:
    async with engine() as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=ready(["Mine. "]), turn_id="mine")
        for runs in range(4):
            start = asyncio.ensure_future(processor.start_turn(agent_stream=ready(["Yours. "]), turn_id="mine"))
            for _ in range(runs):
                await asyncio.sleep(0)
            start.cancel()
            with pytest.raises((asyncio.CancelledError, BadArgumentError)):
                await start
        assert chunks_of(await read(processor.stream_events(turn_id))) == ["Mine. "]
