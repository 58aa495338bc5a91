"""Contract 2: every character is in a chunk, was removed by a named rule, or is in the ledger."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from agents import hang, prose, ready, say
from conversations import actor_of, chunks_of, end_of, engine, hold_to_contract, read, talk, turn_of
from hypothesis import given, settings
from hypothesis import strategies as st
from speech.grammar import cut, texts
from splitter import AttentiveSplitter, Booked, RemovingSplitter, Splitter

from actors.testing import run_virtual, virtual
from protocol.errors import BadAckError, TurnNotFoundError
from protocol.speech import RemovedSpan

PLACES = st.lists(st.integers(0, 400), max_size=20)


def places_of(events: list[dict[str, Any]]) -> set[tuple[int, int]]:
    return {(event["start"], event["end"]) for event in events if event["type"] == "tts_ready_chunk"}


def assert_tiles(spans: list[tuple[int, int]], length: int) -> None:
    place = 0
    for start, end in sorted(spans):
        assert start == place
        place = end
    assert place == length


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


@given(text=texts, places=PLACES, live=st.booleans(), maxsize=st.integers(1, 4), pause=st.sampled_from([0.0, 5.0]))
@settings(max_examples=80, derandomize=True, deadline=None, database=None)
def test_every_character_is_in_a_chunk_or_was_removed_by_a_named_rule(
    text: str, places: list[int], live: bool, maxsize: int, pause: float
) -> None:
    """The accounting law: what the client was sent and what the rules took are all that the agent wrote."""
    spans: list[tuple[int, int]] = []
    removed: list[RemovedSpan] = []

    async def run() -> None:
        async with engine(lambda: Booked(spans, removed), queue_maxsize=maxsize) as system:
            processor = system.connect()
            agent = say(cut(text, places), pause) if live else ready(cut(text, places))
            turn_id = await processor.start_turn(agent_stream=agent)
            events = await read(processor.stream_events(turn_id))
            turn = processor.get_turn(turn_id)
        assert turn is not None
        assert turn.generated_text == text
        assert end_of(events) == ("completed", "completed")
        assert places_of(events) <= set(spans)
        assert_tiles(spans, len(text))
        gaps = set(spans) - places_of(events)
        assert gaps <= {(gap.start, gap.end) for gap in removed}
        by_rule = Counter[str]()
        for gap in removed:
            by_rule[gap.rule] += gap.end - gap.start
        assert turn.removed == dict(by_rule)
        assert system.inspect().removed == turn.removed
        assert all(turn.removed)  # every rule has a name

    run_virtual(run())


@given(
    text=texts,
    places=PLACES,
    taken=st.integers(0, 12),
    how=st.sampled_from(["interrupt", "agent fails", "child dies"]),
    maxsize=st.integers(1, 3),
)
@settings(max_examples=80, derandomize=True, deadline=None, database=None)
def test_after_an_interrupt_or_a_failure_the_rest_is_in_the_ledger(
    text: str, places: list[int], taken: int, how: str, maxsize: int
) -> None:
    spans: list[tuple[int, int]] = []
    removed: list[RemovedSpan] = []
    told: list[str] = []

    async def agent() -> AsyncIterator[str]:
        for token in cut(text, places):
            told.append(token)
            yield token
        if how == "agent fails":
            raise LookupError
        await asyncio.Event().wait()

    async def run() -> None:
        async with engine(lambda: Booked(spans, removed), queue_maxsize=maxsize) as system:
            processor = system.connect()
            turn_id = await processor.start_turn(agent_stream=agent())
            stream = processor.stream_events(turn_id)
            events: list[dict[str, Any]] = []
            while len(events) <= taken and how != "agent fails":
                try:
                    events.append(await asyncio.wait_for(anext(stream), 5))
                except TimeoutError:
                    break
            if how == "interrupt":
                assert await processor.interrupt_turn(turn_id)
            elif how == "child dies":
                actor_of(system, "chunker").kill()
            events += [event async for event in stream]
            turn = processor.get_turn(turn_id)
        hold_to_contract(events)
        assert turn is not None
        assert turn.status == ("interrupted" if how == "interrupt" else "failed")
        # All that was pulled is in the ledger; the last token may have been on its way.
        assert turn.generated_text in ("".join(told), "".join(told[:-1]))
        if how == "agent fails":  # everything pending is flushed first
            assert_tiles(spans, len(text))
        place = len(turn.delivered_text)
        assert events[-1]["content"] == turn.delivered_text == turn.generated_text[:place]
        assert max((end for _start, end in places_of(events)), default=0) == place
        assert_tiles([span for span in spans if span[1] <= place], place)

    run_virtual(run())


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
        assert turn_of(processor, turn_id).played_text == "One. Two. "
        await processor.mark_played(turn_id, 0)  # stream_start is an event, if not a chunk


@virtual
async def test_an_acknowledgement_of_what_was_not_handed_over_is_an_error() -> None:
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
