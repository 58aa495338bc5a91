"""Contract 3: no mailbox, buffer or history exceeds its bound; who finds one full waits."""

from __future__ import annotations

import asyncio
import itertools
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.producer import GATHER
from actors.record import OUTBOX_CAPACITY
from agents import endless, ready
from conversations import chunks_of, end_of, engine, hold_to_contract, read, record_of, talk
from splitter import AttentiveSplitter, Splitter
from virtual_time import run_virtual, virtual

PIPELINES = pytest.mark.parametrize("pipeline", [Splitter, AttentiveSplitter, None])


@PIPELINES
@virtual
async def test_nothing_grows_while_nobody_reads(pipeline: Any) -> None:
    async with engine(pipeline, queue_maxsize=10) as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=endless("And so on and so forth. "))
        await asyncio.sleep(20)
        report = system.inspect()
        assert all(a.peak <= a.capacity for a in report.actors)
        assert [(a.kind, a.depth) for a in report.actors if a.kind in ("chunker", "emitter")] == [
            ("emitter", 10),
            ("chunker", 10),
        ]
        record = record_of(processor, turn_id)
        assert record.outbox_depth <= OUTBOX_CAPACITY + 2
        heard = record.tokens_heard
        await asyncio.sleep(5)
        assert record.tokens_heard == heard  # the agent waits


@given(maxsize=st.integers(1, 8), pace=st.sampled_from([0.0, 0.01, 1.0]), size=st.integers(1, 60))
@settings(max_examples=40, derandomize=True, deadline=None)
def test_mailboxes_stay_within_their_capacity_whatever_it_is(maxsize: int, pace: float, size: int) -> None:
    async def run() -> None:
        async with engine(queue_maxsize=maxsize) as system:
            processor = system.connect()
            turn_id = await processor.start_turn(agent_stream=ready(["a. b. c. d. "] * size))
            events = []
            async for event in processor.stream_events(turn_id):
                events.append(event)
                assert all(a.peak <= a.capacity == maxsize for a in system.inspect().actors if a.turn_id)
                assert record_of(processor, turn_id).outbox_depth <= OUTBOX_CAPACITY + 2
                await asyncio.sleep(pace)
        assert len(chunks_of(events)) == 4 * size

    run_virtual(run())


@virtual
async def test_the_queue_maxsize_of_a_connection_wins_over_the_settings() -> None:
    async with engine(queue_maxsize=10) as system:
        processor = system.connect(queue_maxsize=3)
        await processor.start_turn(agent_stream=endless())
        await asyncio.sleep(1)
        assert {a.capacity for a in system.inspect().actors if a.kind in ("chunker", "emitter")} == {3}


def _cost(tokens: list[str]) -> tuple[float, int]:
    """Return the CPU time of a turn with default speech, and the longest chunk."""

    async def run() -> tuple[float, int]:
        async with engine(None) as system:
            processor = system.connect()
            began = time.process_time()
            events = await talk(processor, ready(tokens))
            took = time.process_time() - began
        assert end_of(events) == ("completed", "completed")
        turn_text = "".join(tokens)
        assert events[-1]["content"] == turn_text.rstrip()
        assert "".join("".join(chunks_of(events)).split()) == "".join(turn_text.split())
        return took, max(map(len, chunks_of(events)))

    return run_virtual(run())


def test_20_000_tokens_without_punctuation_take_linear_time_in_bounded_chunks() -> None:
    """Issue, point 8. What keeps its pending text in one string and searches it anew is quadratic here."""
    words = [f"word{n % 10} " for n in range(20_000)]
    small = min(_cost(words[:5_000])[0] for _ in range(3))
    large, longest = _cost(words)
    assert longest <= 240
    assert large < 3 * 4 * small + 0.1


@virtual
async def test_text_without_punctuation_is_spoken_before_it_ends() -> None:
    async with engine(None) as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=endless("word ", pause=0.01))
        stream = processor.stream_events(turn_id)
        await anext(stream)
        chunk = await asyncio.wait_for(anext(stream), 5)
        assert 0 < len(chunk["chunk"]) <= 240


@virtual
async def test_a_forced_cut_does_not_split_a_grapheme() -> None:
    family = "\N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN}\N{ZERO WIDTH JOINER}\N{GIRL}"
    accented = "e\N{COMBINING ACUTE ACCENT}"
    async with engine(None) as system:
        for grapheme, count in ((accented, 2_000), ("\N{DEVANAGARI LETTER KA}\N{DEVANAGARI VOWEL SIGN I}", 500)):
            events = await talk(system.connect(), ready(grapheme * count))
            assert all(chunk.startswith(grapheme[0]) for chunk in chunks_of(events))
            assert "".join(chunks_of(events)) == grapheme * count
        events = await talk(system.connect(), ready(f"Hello {family} you. " * 100))
        assert not any("\N{ZERO WIDTH JOINER}" in chunk for chunk in chunks_of(events))


@virtual
async def test_one_token_of_900_000_characters_with_10_000_sentences_keeps_the_same_bounds() -> None:
    """Issue, point 9."""
    sentence = "This sentence, which is not short at all, is one of ten thousand sentences in one single token now. "
    text = (sentence[:89] + " ") * 9_999
    text = text.replace(". ", "  ")
    text = "".join(f"{n:05d} is the number of this sentence, one of ten thousand in a single token, no less." + "  "
                   for n in range(10_000))
    assert len(text) > 850_000
    async with engine(None, queue_maxsize=20) as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=ready([text]))
        events = []
        async for event in processor.stream_events(turn_id):
            events.append(event)
            if len(events) % 500 == 0:
                assert all(a.peak <= a.capacity for a in system.inspect().actors)
    hold_to_contract(events)
    assert end_of(events) == ("completed", "completed")
    assert len(chunks_of(events)) == 10_000
    assert max(map(len, chunks_of(events))) <= 240
    assert all(chunk.startswith(f"{n:05d} is") for n, chunk in enumerate(chunks_of(events)))


@pytest.mark.parametrize("token", ["And so on and so forth. ", "word ", "x" * 10_000])
@virtual
async def test_an_agent_that_never_stops_talking_is_cut_off_after_the_text_so_far(token: str) -> None:
    closed = False

    async def agent() -> Any:
        nonlocal closed
        try:
            while True:
                yield token
        finally:
            closed = True

    async with engine(max_turn_chars=50_000) as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=agent())
        events = await read(processor.stream_events(turn_id))
        turn = processor.get_turn(turn_id)
        assert turn is not None
        assert len(turn.generated_text) == 50_000
        assert turn.error_code == "turn_too_long"
    assert end_of(events) == ("failed", "turn_too_long")
    assert "".join(chunks_of(events)) == (token * 50_000)[:50_000]
    assert closed


def test_memory_is_flat_until_a_turn_is_too_long() -> None:
    """Issue, point 9: beyond the agent's own text (the ledger) nothing grows with the turn."""

    async def run() -> int:
        async with engine(max_turn_chars=400_000) as system:
            processor = system.connect()
            turn_id = await processor.start_turn(agent_stream=endless("And so on and so forth. "))
            tracemalloc.start()
            marks = []
            count = itertools.count()
            async for _event in processor.stream_events(turn_id):
                if next(count) % 4_000 == 2_000:
                    heard = len(record_of(processor, turn_id).text())
                    marks.append(tracemalloc.get_traced_memory()[0] - heard)
            tracemalloc.stop()
        return max(marks) - min(marks[1:])

    # 8,000 chunks between the second mark and the last; their seqs and ends are 16 bytes each.
    assert run_virtual(run()) < 600_000


@virtual
async def test_an_agent_that_gives_only_empty_tokens_does_not_hold_up_the_loop() -> None:
    """The pull loop meets nothing to wait for here, so it has to let go of its own accord."""

    async def agent() -> Any:
        for _ in range(1_000_000):
            yield ""

    async with engine() as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=agent())
        await asyncio.sleep(0)
        assert record_of(processor, turn_id).tokens_heard < 100_000
        assert await processor.interrupt_turn(turn_id)


@virtual
async def test_the_replay_window_and_the_queue_of_turns_are_bounded() -> None:
    async with engine(replay_window=8) as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=ready(["One. "] * 100))
        await read(processor.stream_events(turn_id))
        assert len(record_of(processor, turn_id)._replay) == 8


def test_what_is_gathered_is_bounded() -> None:
    assert GATHER <= 64
