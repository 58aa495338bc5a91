"""Contract 3: no mailbox, buffer or history exceeds its bound; who finds one full waits."""

from __future__ import annotations

import asyncio
import itertools
import time
import tracemalloc
from typing import Any

import pytest
from agents import endless, hang, prose, ready, say, sentences
from conversations import chunks_of, end_of, engine, hold_to_contract, read, record_of, records_of, talk
from hypothesis import given, settings
from hypothesis import strategies as st
from splitter import AttentiveSplitter, Splitter, Weighed

from actors.chunker import SLICE
from actors.producer import GATHER
from actors.record import OUTBOX_CAPACITY
from actors.testing import run_virtual, virtual
from protocol.errors import ReplayGapError, TurnActiveError

TOOL = {"type": "tool_call", "name": "look"}
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


@virtual
async def test_the_queue_maxsize_of_a_connection_wins_over_the_settings() -> None:
    async with engine(queue_maxsize=10) as system:
        processor = system.connect(queue_maxsize=3)
        await processor.start_turn(agent_stream=endless())
        await asyncio.sleep(1)
        assert {a.capacity for a in system.inspect().actors if a.kind in ("chunker", "emitter")} == {3}


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


@given(
    tokens=st.lists(
        st.sampled_from(["a ", "b. ", "Hello there, my friends. ", "? ", "x" * 30, "y" * 5_000, TOOL]), max_size=80
    ),
    maxsize=st.integers(1, 6),
    pipeline=st.sampled_from([Splitter, AttentiveSplitter, None]),
    live=st.booleans(),
    pauses=st.lists(st.sampled_from([0.0, 0.01, 3.0]), max_size=5),
)
@settings(max_examples=60, derandomize=True, deadline=None, database=None)
def test_no_mailbox_exceeds_its_capacity_whatever_its_size_and_who_is_slow(
    tokens: list[Any], maxsize: int, pipeline: Any, live: bool, pauses: list[float]
) -> None:
    async def run() -> None:
        async with engine(pipeline, queue_maxsize=maxsize) as system:
            processor = system.connect()

            def hold(*_message: Any) -> None:
                for actor in system.inspect().actors:
                    assert max(actor.depth, actor.peak) <= actor.capacity, actor
                assert all(record.outbox_depth <= OUTBOX_CAPACITY + 2 for record in records_of(processor))

            system.context.tap = hold
            turn_id = await processor.start_turn(agent_stream=(say if live else ready)(tokens))
            events, rhythm = [], itertools.cycle(pauses or [0.0])
            async for event in processor.stream_events(turn_id):
                events.append(event)
                hold()
                await asyncio.sleep(next(rhythm))
            hold_to_contract(events)
            turn = processor.get_turn(turn_id)
            assert turn is not None
            texts = [token for token in tokens if isinstance(token, str)]
            assert turn.generated_text == "".join(texts)
            assert turn.tokens == len(texts)
            assert sum(event["type"] == "tool_call" for event in events) == len(tokens) - len(texts)
            if pipeline is not None:
                assert "".join(chunks_of(events)) == "".join(texts)

    run_virtual(run())


@virtual
async def test_20_000_tokens_without_punctuation_are_cut_at_words_and_little_is_held() -> None:
    """Issue, point 8. A pipeline that waits for a full stop holds it all."""
    held: list[int] = []

    async with engine(lambda: Weighed(held)) as system:
        events = await talk(system.connect(), ready(["word "] * 20_000))
    chunks = chunks_of(events)
    assert max(held) <= 240 + 240 + 5  # a chunk, what is put aside to be looked at together, a token
    assert all(0 < len(chunk) <= 240 for chunk in chunks)
    assert all(set(chunk.split()) == {"word"} for chunk in chunks)
    assert " ".join(chunks).split() == ["word"] * 20_000
    assert end_of(events) == ("completed", "completed")


@virtual
async def test_a_forced_cut_prefers_a_clause_to_a_word() -> None:
    clause = "and then we went on along the river for quite a while, "
    async with engine(None) as system:
        events = await talk(system.connect(), ready([clause * 200]))
    assert all(chunk.endswith("while,") for chunk in chunks_of(events))


@virtual
async def test_one_token_of_900_000_characters_with_10_000_sentences_is_fed_in_slices() -> None:
    """Issue, point 9. The bounds of one long token are those of many short ones."""
    text = sentences(10_000)
    assert len(text) == 900_000
    held: list[int] = []
    slices: list[int] = []

    async with engine(lambda: Weighed(held, slices)) as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=ready([text]))
        count, place = 0, 0
        async for event in processor.stream_events(turn_id):
            if event["type"] == "tts_ready_chunk":
                count += 1
                assert len(event["chunk"]) <= 240
                assert place <= event["start"] < event["end"]
                place = event["end"]
                if count % 500 == 0:
                    report = system.inspect()
                    assert all(actor.peak <= actor.capacity for actor in report.actors)
                    # What the pipeline has been fed is what its reader has had, and what the mailboxes hold.
                    assert sum(slices) - place <= 2 * SLICE + 90 * (OUTBOX_CAPACITY + 100)
        turn = processor.get_turn(turn_id)
    assert count == 10_000
    assert max(slices) <= SLICE
    assert max(held) <= 480
    assert turn is not None
    assert (turn.status, turn.generated_text) == ("completed", text)


@pytest.mark.parametrize("pipeline", [Splitter, AttentiveSplitter, None])
@pytest.mark.parametrize("shape", ["words without an end", "sentences in one token", "sentences token by token"])
def test_four_times_the_text_takes_about_four_times_the_time(pipeline: Any, shape: str) -> None:
    tokens = {
        "words without an end": lambda size: ["word "] * (size // 5),
        "sentences in one token": lambda size: [sentences(size // 90)],
        "sentences token by token": lambda size: prose(size // 18),
    }[shape]

    async def turn(size: int) -> None:
        async with engine(pipeline) as system:
            events = await talk(system.connect(), ready(tokens(size)))
            assert end_of(events) == ("completed", "completed")

    def seconds(size: int) -> float:
        began = time.process_time()
        run_virtual(turn(size))
        return time.process_time() - began

    seconds(1_000)
    for _attempt in range(4):  # a busy machine may spoil one measurement, not four
        # Twice what is linear, half of what is quadratic.
        if seconds(80_000) <= 8 * max(seconds(20_000), 0.002):
            return
    pytest.fail("more than linear")


def test_memory_is_flat_until_a_turn_is_too_long() -> None:
    """Issue, point 9: beyond the agent's own text (the ledger) nothing grows with the turn."""

    async def run() -> int:
        async with engine(max_turn_chars=240_000) as system:
            processor = system.connect()
            turn_id = await processor.start_turn(agent_stream=endless("And so on and so forth. "))
            tracemalloc.start()
            marks: list[int] = []
            count = itertools.count(1)
            async for event in processor.stream_events(turn_id):
                last = event
                if next(count) % 2_500 == 0:
                    heard = len(record_of(processor, turn_id).text())
                    marks.append(tracemalloc.get_traced_memory()[0] - heard)
            tracemalloc.stop()
            turn = processor.get_turn(turn_id)
        assert (last["status"], last["reason"]) == ("failed", "turn_too_long")
        assert turn is not None
        assert turn.generated_text == turn.delivered_text == "And so on and so forth. " * 10_000
        assert len(marks) == 4
        return marks[-1] - marks[0]

    # 7,500 chunks between the marks: 16 bytes of each may stay (its number and its place), none of its text.
    assert run_virtual(run()) < 7_500 * 24


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
async def test_the_replay_window_is_bounded() -> None:
    async with engine(replay_window=8) as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=ready(["One. "] * 100))
        events = await read(processor.stream_events(turn_id))
        assert await read(processor.stream_events(turn_id, after_seq=events[-9]["seq"])) == events[-8:]
        with pytest.raises(ReplayGapError):
            processor.stream_events(turn_id, after_seq=events[-10]["seq"])


@virtual
async def test_the_queue_of_turns_is_bounded() -> None:
    async with engine(on_busy="queue", turn_queue_limit=3) as system:
        processor = system.connect()
        for _ in range(4):  # one speaks
            await processor.start_turn(agent_stream=hang())
        with pytest.raises(TurnActiveError):
            await processor.start_turn(agent_stream=hang())
        assert processor.get_stats()["turns_waiting"] == 3


def test_what_is_gathered_is_bounded() -> None:
    assert GATHER <= 64
