"""Contract 3: no mailbox, buffer or history exceeds its bound; who finds one full waits."""

from __future__ import annotations

import asyncio
import itertools
import tracemalloc
from typing import Any

import pytest
from agents import endless, ready
from conversations import chunks_of, engine, read, record_of, talk
from splitter import AttentiveSplitter, Splitter
from virtual_time import run_virtual, virtual

from actors.producer import GATHER
from actors.record import OUTBOX_CAPACITY

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
