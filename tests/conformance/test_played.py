"""Flow `played`: chunks run only so far ahead of the person who listens, and the end waits until all was heard."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from agents import hang, ready
from conversations import chunks_of, end_of, engine, hold_to_contract

from actors import EventStream, MessageProcessor
from actors.testing import virtual
from protocol.errors import BadArgumentError
from protocol.turn import TurnStatus

SENTENCES = ["One. ", "Two. ", "Three. ", "Four. ", "Five. "]


async def _start(processor: MessageProcessor, agent: Any, **arguments: Any) -> tuple[str, EventStream]:
    turn_id = await processor.start_turn(agent_stream=agent, flow="played", **arguments)
    stream = processor.stream_events(turn_id)
    assert (await anext(stream))["type"] == "stream_start"
    return turn_id, stream


async def _nothing_comes(stream: EventStream) -> bool:
    try:
        await asyncio.wait_for(anext(stream), 5.0)
    except TimeoutError:
        return True
    return False


@virtual
async def test_chunks_are_handed_over_only_so_far_ahead_of_what_was_played() -> None:
    async with engine(max_unplayed_chunks=2) as system:
        processor = system.connect()
        turn_id, stream = await _start(processor, ready(SENTENCES))
        first, second = await anext(stream), await anext(stream)
        assert await _nothing_comes(stream)
        await processor.mark_played(turn_id, first["seq"])
        third = await anext(stream)
        assert third["chunk"] == "Three. "
        assert await _nothing_comes(stream)
        await processor.mark_played(turn_id, third["seq"])  # what came before it was heard too
        assert [(await anext(stream))["chunk"] for _ in range(2)] == ["Four. ", "Five. "]
        assert second["seq"] == first["seq"] + 1


@virtual
async def test_the_end_waits_until_the_last_chunk_was_played() -> None:
    async with engine() as system:
        processor = system.connect()
        turn_id, stream = await _start(processor, ready(SENTENCES))
        events = [await anext(stream) for _ in SENTENCES]
        assert await _nothing_comes(stream)
        turn = processor.get_turn(turn_id)
        assert turn is not None
        assert turn.status is TurnStatus.PROCESSING
        await processor.mark_played(turn_id, events[-1]["seq"])
        assert end_of([await anext(stream)]) == ("completed", "completed")
        turn = processor.get_turn(turn_id)
        assert turn is not None
        assert turn.played_text == turn.generated_text


@virtual
async def test_a_turn_can_be_interrupted_for_as_long_as_the_person_listens() -> None:
    async with engine() as system:
        processor = system.connect()
        turn_id, stream = await _start(processor, ready(SENTENCES))
        events = [await anext(stream) for _ in SENTENCES]
        await asyncio.sleep(20)  # all was written long ago, and is being said
        await processor.mark_played(turn_id, events[1]["seq"])
        await processor.mark_played(turn_id, events[2]["seq"], chars=3)
        assert await processor.interrupt_turn(turn_id, reason="barge_in")
        assert end_of([await anext(stream)]) == ("interrupted", "barge_in")
        turn = processor.get_turn(turn_id)
        assert turn is not None
        assert turn.played_text == "One. Two. Thr"
        assert turn.delivered_text == "".join(SENTENCES)


@virtual
async def test_the_error_of_a_failed_turn_waits_with_its_end() -> None:
    """An interrupt may still come, and an interrupted turn has no error."""

    async def agent() -> Any:
        yield "One. "
        raise RuntimeError

    async with engine() as system:
        processor = system.connect()
        turn_id, stream = await _start(processor, agent())
        chunk = await anext(stream)
        assert await _nothing_comes(stream)
        await processor.mark_played(turn_id, chunk["seq"])
        assert [event["type"] async for event in stream] == ["error", "stream_end"]


@virtual
async def test_who_never_acknowledges_is_taken_to_be_gone() -> None:
    async with engine(max_chunk_play_seconds=60.0, reader_grace_seconds=5.0) as system:
        processor = system.connect()
        loop = asyncio.get_running_loop()
        turn_id, stream = await _start(processor, ready(SENTENCES))
        chunks = [await anext(stream) for _ in SENTENCES]
        await asyncio.sleep(50)
        await processor.mark_played(turn_id, chunks[0]["seq"])
        heard = loop.time()
        assert end_of([await anext(stream)]) == ("interrupted", "reader_gone")
        assert loop.time() - heard == pytest.approx(60.0, abs=0.1)


@virtual
async def test_a_reader_that_comes_back_gets_what_was_handed_over_and_the_same_limit() -> None:
    async with engine(max_unplayed_chunks=2) as system:
        processor = system.connect()
        turn_id, stream = await _start(processor, ready(SENTENCES))
        await anext(stream)
        await anext(stream)
        again = processor.stream_events(turn_id, after_seq=-1)
        assert [(await anext(again))["seq"] for _ in range(3)] == [0, 1, 2]
        assert await _nothing_comes(again)


@virtual
async def test_a_turn_of_which_each_chunk_is_acknowledged_keeps_the_contract() -> None:
    async with engine(max_unplayed_chunks=1) as system:
        processor = system.connect(flow="played")
        turn_id = await processor.start_turn(agent_stream=ready(SENTENCES * 20))
        events = []
        async for event in processor.stream_events(turn_id):
            events.append(event)
            await processor.mark_played(turn_id, event["seq"])
        hold_to_contract(events)
        assert len(chunks_of(events)) == 100


@virtual
async def test_without_the_flow_an_acknowledgement_is_for_the_ledger_alone() -> None:
    async with engine() as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=ready(SENTENCES))
        assert end_of([event async for event in processor.stream_events(turn_id)]) == ("completed", "completed")


@virtual
async def test_an_unknown_flow_is_refused() -> None:
    async with engine() as system:
        with pytest.raises(BadArgumentError, match="flow"):
            await system.connect().start_turn(agent_stream=hang(), flow="fast")  # type: ignore[arg-type]  # there is none


@virtual
async def test_a_reader_that_was_away_has_its_time_to_acknowledge_when_it_is_back() -> None:
    """Who is not there cannot say what was played; how long it may be away is the reader's grace."""
    async with engine(max_chunk_play_seconds=10.0, reader_grace_seconds=30.0) as system:
        processor = system.connect()
        loop = asyncio.get_running_loop()
        turn_id, stream = await _start(processor, ready(SENTENCES))
        chunk = await anext(stream)
        await stream.aclose()
        await asyncio.sleep(25)
        again = processor.stream_events(turn_id, after_seq=chunk["seq"])
        back = loop.time()
        assert [(await anext(again))["chunk"] for _ in SENTENCES[1:]] == SENTENCES[1:]
        assert end_of([await anext(again)]) == ("interrupted", "reader_gone")
        assert loop.time() - back == pytest.approx(10, abs=0.5)


@virtual
async def test_an_acknowledgement_is_missed_in_time_however_long_the_grace_of_readers_is() -> None:
    async with engine(max_chunk_play_seconds=10.0, reader_grace_seconds=1_000.0) as system:
        processor = system.connect()
        loop = asyncio.get_running_loop()
        _turn_id, stream = await _start(processor, ready(SENTENCES))
        await asyncio.sleep(5)
        began = loop.time()
        assert [(await anext(stream))["chunk"] for _ in SENTENCES] == SENTENCES
        assert end_of([await anext(stream)]) == ("interrupted", "reader_gone")
        assert loop.time() - began == pytest.approx(10, abs=0.5)
