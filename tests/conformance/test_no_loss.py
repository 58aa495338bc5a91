"""Contract 2: every character is in a chunk, was removed by a named rule, or is in the ledger."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from agents import hang, prose, ready, say
from conversations import chunks_of, end_of, engine, hold_to_contract, read, talk
from splitter import AttentiveSplitter, RemovingSplitter, Splitter
from virtual_time import virtual


@virtual
async def test_a_client_that_takes_30_ms_per_event_gets_all_400_sentences_in_order_with_bounded_memory() -> None:
    """Issue, point 2. A queue that drops, or one that grows, shows here."""
    async with engine() as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=ready(prose(400)))
        events, peaks = [], []
        async for event in processor.stream_events(turn_id):
            events.append(event)
            peaks += [(a.kind, a.peak, a.capacity) for a in system.inspect().actors if a.turn_id]
            await asyncio.sleep(0.03)
    hold_to_contract(events)
    assert chunks_of(events) == [f"This is number {n}. " for n in range(400)]
    assert {kind for kind, *_ in peaks} == {"turn", "producer", "chunker", "emitter"}
    assert all(peak <= capacity == 100 for _, peak, capacity in peaks)
    assert max(peak for kind, peak, _ in peaks if kind == "emitter") > 50  # it was slow enough to tell


@virtual
async def test_a_slow_client_holds_the_agent_up_and_loses_nothing() -> None:
    pulled = 0

    async def agent() -> Any:
        nonlocal pulled
        for token in prose(2_000):
            pulled += 1
            yield token

    async with engine(queue_maxsize=10) as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=agent())
        stream = processor.stream_events(turn_id)
        first = await anext(stream)
        for _ in range(50):
            await asyncio.sleep(0)
        assert pulled < 500  # the socket's backpressure has reached the agent
        events = [first, *[event async for event in stream]]
    assert pulled == 10_000
    assert "".join(chunks_of(events)) == "".join(prose(2_000))


@pytest.mark.parametrize("pipeline", [Splitter, AttentiveSplitter])
@virtual
async def test_text_that_waits_for_a_full_stop_is_in_the_ledger_at_once(pipeline: Any) -> None:
    async with engine(pipeline) as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=hang(["No", " end", " yet"]))
        stream = processor.stream_events(turn_id)
        await anext(stream)
        await asyncio.sleep(0.1)
        turn = processor.get_turn(turn_id)
        assert turn is not None
        assert turn.generated_text == "No end yet"
        assert turn.tokens == 3
        assert await processor.interrupt_turn(turn_id)
        events = await read(stream)
    assert end_of(events) == ("interrupted", "interrupted")
    assert events[-1]["content"] == ""


@virtual
async def test_the_text_of_many_gathered_tokens_is_not_lost_at_the_end() -> None:
    tokens = ["word "] * 1_000
    async with engine(AttentiveSplitter) as system:
        for agent in (say(tokens), ready(tokens)):
            events = await talk(system.connect(), agent)
            assert "".join(chunks_of(events)) == "word " * 1_000


@virtual
async def test_text_beyond_the_limit_fails_the_turn_even_when_it_comes_last() -> None:
    """Cut text without a failure would be a silent loss."""
    async with engine(AttentiveSplitter, max_turn_chars=20) as system:
        events = await talk(system.connect(), say(["twelve chars", "and twelve +"]))
    assert "".join(chunks_of(events)) == "twelve charsand twel"
    assert end_of(events) == ("failed", "turn_too_long")


@virtual
async def test_text_that_waited_for_room_is_not_overtaken_when_the_agent_pauses() -> None:
    """A flush for a pause finds the Chunker full; tokens that come then must not get ahead of what waits."""
    resume = asyncio.Event()
    tokens = [f"{n} " for n in range(200)]

    async def agent() -> Any:
        for token in tokens[:150]:
            yield token
        await resume.wait()
        for token in tokens[150:]:
            await asyncio.sleep(0)
            yield token

    async with engine(AttentiveSplitter, queue_maxsize=1, idle_flush_seconds=0.5) as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=agent())
        stream = processor.stream_events(turn_id)
        await anext(stream)
        await asyncio.sleep(3)
        resume.set()
        events = [event async for event in stream]
    assert "".join(chunks_of(events)) == "".join(tokens)


@virtual
async def test_played_text_is_what_was_acknowledged() -> None:
    async with engine() as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=hang(["One. ", "Two. ", "Three. ", "Four"]))
        stream = processor.stream_events(turn_id)
        for _ in range(4):
            event = await anext(stream)
        assert event["chunk"] == "Three. "
        await processor.mark_played(turn_id, 2)
        turn = processor.get_turn(turn_id)
        assert turn is not None
        assert turn.played_text == "One. Two. "
        assert turn.delivered_text == "One. Two. Three. "
        assert turn.generated_text == "One. Two. Three. Four"
        await processor.mark_played(turn_id, 1)  # an older one changes nothing
        assert processor.get_turn(turn_id).played_text == "One. Two. "  # type: ignore[union-attr]
        await processor.mark_played(turn_id, 0)  # stream_start is an event, if not a chunk


@virtual
async def test_an_acknowledgement_of_what_was_not_handed_over_is_an_error() -> None:
    from protocol.errors import BadAckError, TurnNotFoundError  # noqa: PLC0415

    async with engine() as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=hang(["One. ", "Two. "]))
        await anext(processor.stream_events(turn_id))
        for seq in (1, -1, 1_000):
            with pytest.raises(BadAckError):
                await processor.mark_played(turn_id, seq)
        with pytest.raises(TurnNotFoundError):
            await processor.mark_played("nothing", 0)


@virtual
async def test_removed_text_is_counted_by_rule_in_turn_and_system() -> None:
    async with engine(RemovingSplitter) as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=say(["#One#. ", "###"]))
        await read(processor.stream_events(turn_id))
        turn = processor.get_turn(turn_id)
        assert turn is not None
        assert turn.removed == {"hash": 5}
        assert system.inspect().removed == {"hash": 5}
