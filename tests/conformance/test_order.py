"""Contract 1: events come in order, counted without gaps, with one end, whatever happens."""

from __future__ import annotations

from itertools import pairwise

import pytest
from agents import prose, ready, say
from conversations import chunks_of, end_of, engine, hold_to_contract, read, talk
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.testing import run_virtual, virtual


@virtual
async def test_a_turn_is_start_chunks_in_text_order_and_one_end() -> None:
    async with engine() as system:
        events = await talk(system.connect("c", "u"), say(prose(5)))
    assert [e["type"] for e in events] == ["stream_start", *["tts_ready_chunk"] * 5, "stream_end"]
    assert chunks_of(events) == [f"This is number {n}. " for n in range(5)]
    assert end_of(events) == ("completed", "completed")


@virtual
async def test_the_last_chunk_comes_before_the_end_although_it_waited_for_the_flush() -> None:
    async with engine() as system:
        events = await talk(system.connect(), say(["One. Two. And ", "the rest"]))
    assert chunks_of(events) == ["One. ", "Two. ", "And the rest"]
    assert events[-1]["content"] == "One. Two. And the rest"


@virtual
async def test_a_turn_without_any_text_has_a_start_and_an_end() -> None:
    async with engine() as system:
        events = await talk(system.connect(), say([]))
    assert [e["type"] for e in events] == ["stream_start", "stream_end"]
    assert events[-1]["content"] == ""


@virtual
async def test_a_failed_turn_has_one_error_right_before_its_end() -> None:
    async def agent():
        yield "So far. So"
        raise LookupError

    async with engine() as system:
        events = await talk(system.connect(), agent())
    assert [e["type"] for e in events][-2:] == ["error", "stream_end"]
    assert chunks_of(events) == ["So far. ", "So"]
    assert end_of(events) == ("failed", "agent_failed")


@virtual
async def test_every_event_carries_the_ids_of_its_turn() -> None:
    async with engine() as system:
        processor = system.connect("the connection", "u")
        turn_id = await processor.start_turn(session_id="the session", agent_stream=say(prose(2)))
        events = await read(processor.stream_events(turn_id))
    for event in events:
        assert (event["turn_id"], event["connection_id"], event["session_id"]) == (
            turn_id,
            "the connection",
            "the session",
        )


@virtual
async def test_events_are_the_readers_own_dicts() -> None:
    """What a reader does to an event does not come back in a replay."""
    async with engine() as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=say(prose(1)))
        for event in await read(processor.stream_events(turn_id)):
            event.clear()
        events = await read(processor.stream_events(turn_id, after_seq=-1))
    assert chunks_of(events) == ["This is number 0. "]


@given(
    text=st.text(alphabet="ab .!?\n", max_size=200),
    cuts=st.lists(st.integers(0, 200), max_size=30),
    lazy=st.booleans(),
    maxsize=st.integers(1, 5),
)
@settings(max_examples=120, derandomize=True, deadline=None)
def test_chunks_do_not_depend_on_how_the_agent_cut_its_tokens(
    text: str, cuts: list[int], lazy: bool, maxsize: int
) -> None:
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    tokens = [text[a:b] for a, b in pairwise(places)]

    async def run() -> None:
        async with engine(queue_maxsize=maxsize) as system:
            processor = system.connect()
            whole = await talk(processor, ready([text]))
            cut = await talk(processor, (say if lazy else ready)(tokens))
        assert chunks_of(cut) == chunks_of(whole)
        assert "".join(chunks_of(cut)) == text

    run_virtual(run())


@pytest.mark.parametrize("connections", [50])
@virtual
async def test_turns_side_by_side_do_not_mix(connections: int) -> None:
    async with engine() as system:
        streams = {}
        for number in range(connections):
            processor = system.connect(f"c{number}")
            turn_id = await processor.start_turn(agent_stream=say([f"I am {number}. "] * 20))
            streams[number] = processor.stream_events(turn_id)
        got: dict[int, list[dict[str, object]]] = {number: [] for number in streams}
        for _ in range(22):
            for number, stream in streams.items():
                got[number].append(await anext(stream))
    for number, events in got.items():
        hold_to_contract(events)
        assert chunks_of(events) == [f"I am {number}. "] * 20
