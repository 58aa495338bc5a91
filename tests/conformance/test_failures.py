"""Whatever the agent does or fails to do, the turn has an end, and its text so far comes before that."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from agents import Stubborn, Stuck, endless, hang, ready, say, stubborn
from conversations import chunks_of, end_of, engine, hold_to_contract, ids_of, read, talk
from hypothesis import given, settings
from hypothesis import strategies as st
from splitter import Splitter

from actors.testing import run_virtual, virtual
from protocol.agent import StreamEnd
from protocol.turn import TurnStatus


class Unusual(BaseException):
    """No `Exception`, and none that Python knows."""


RAISED = [ValueError, asyncio.CancelledError, GeneratorExit, SystemExit, Unusual, StopIteration, MemoryError]

NO_EVENTS: list[Any] = [
    5,
    None,
    b"bytes",
    ["a secret"],
    object(),
    {},
    {"chunk": "a secret"},
    {"type": None, "chunk": "a secret"},
    {"type": "stream_token"},
    {"type": "stream_token", "chunk": None},
    {"type": "stream_token", "chunk": 5},
    {"type": "stream_token", "chunk": ["a secret"]},
    {"type": "stream_token", "chunk": b"a secret"},
    {"type": "tool_call", "arguments": object()},  # nothing that JSON knows
]


def now() -> float:
    return asyncio.get_running_loop().time()


def error_of(events: list[dict[str, Any]]) -> str:
    assert events[-2]["type"] == "error"
    text: str = events[-2]["error"]
    return text


# It ends, one way or the other.


@pytest.mark.parametrize("last", [[], [StreamEnd()], [{"type": "stream_end", "turn_id": "another"}]])
@virtual
async def test_a_stream_that_just_ends_has_ended_as_one_that_says_so(last: list[Any]) -> None:
    async with engine() as system:
        events = await talk(system.connect(), say(["One. ", "Two", *last]))
    assert chunks_of(events) == ["One. ", "Two"]
    assert end_of(events) == ("completed", "completed")


@virtual
async def test_what_comes_after_the_agents_own_end_is_not_read() -> None:
    read_on = False

    async def agent() -> AsyncIterator[Any]:
        nonlocal read_on
        yield "One. "
        yield {"type": "stream_end"}
        read_on = True
        yield "Two. "
        yield {"type": "stream_end"}

    async with engine() as system:
        events = await talk(system.connect(), agent())
    assert chunks_of(events) == ["One. "]
    assert not read_on


@pytest.mark.parametrize("error", RAISED)
@pytest.mark.parametrize("live", [False, True])
@virtual
async def test_an_agent_that_raises_fails_its_turn_alone_after_its_text_so_far(
    error: type[BaseException], live: bool
) -> None:
    """Issue, point 3, for whatever can be raised. Half a sentence is text too."""

    class Agent:
        """No generator: those turn a StopIteration into something else."""

        def __init__(self) -> None:
            self.items = iter(["One. ", "Two. And half"])

        def __aiter__(self) -> Agent:
            return self

        async def __anext__(self) -> str:
            if live:
                await asyncio.sleep(0.1)
            for item in self.items:
                return item
            raise error("because")

    async with engine() as system:
        processor = system.connect()
        other = asyncio.create_task(talk(system.connect(), say(["Untouched. "] * 20, pause=0.1)))
        await asyncio.sleep(0)
        events = await talk(processor, Agent())
        assert chunks_of(events) == ["One. ", "Two. ", "And half"]
        assert end_of(events) == ("failed", "agent_failed")
        name = "RuntimeError" if error is StopIteration else error.__name__
        assert name in error_of(events) or "cancelled" in error_of(events)
        turn = processor.get_turn(events[0]["turn_id"])
        assert turn is not None
        assert (turn.status, turn.error_code, turn.error) == (TurnStatus.FAILED, "agent_failed", error_of(events))
        assert end_of(await talk(processor, ready(["Next. "]))) == ("completed", "completed")
        assert chunks_of(await other) == ["Untouched. "] * 20


@pytest.mark.parametrize("error", [*RAISED, KeyboardInterrupt])
@virtual
async def test_a_synchronous_agent_that_raises_fails_its_turn_alone(error: type[BaseException]) -> None:
    def agent() -> Iterator[str]:
        yield "One. And half"
        raise error("because")

    async with engine() as system:
        processor = system.connect()
        events = await talk(processor, agent())
        assert chunks_of(events) == ["One. ", "And half"]
        assert end_of(events) == ("failed", "agent_failed")
        assert end_of(await talk(processor, iter(["Next. "]))) == ("completed", "completed")


def test_ctrl_c_in_a_loop_that_does_not_know_it_is_for_the_program() -> None:
    """And the turn has failed all the same, for whoever looks afterwards."""
    seen: list[Any] = []

    async def agent() -> AsyncIterator[str]:
        yield "One. "
        await asyncio.sleep(0.01)  # after the start has returned
        raise KeyboardInterrupt

    async def run() -> None:
        system = await engine().start()
        processor = system.connect()
        seen.append(processor)
        await processor.start_turn(agent_stream=agent(), turn_id="t")
        await asyncio.Event().wait()

    with pytest.raises(KeyboardInterrupt):
        run_virtual(run())
    assert seen[0].get_turn("t").generated_text == "One. "


@pytest.mark.parametrize("error", RAISED)
@virtual
async def test_an_agent_that_raises_while_it_is_closed_has_completed(error: type[BaseException]) -> None:
    """Nothing of its text is missing; `stream_end` has said that it is done."""

    class Agent:
        def __init__(self) -> None:
            self.items = iter(["One. And half", {"type": "stream_end"}])

        def __aiter__(self) -> Agent:
            return self

        async def __anext__(self) -> Any:
            return next(self.items)

        async def aclose(self) -> None:
            await asyncio.sleep(0)
            raise error("because")

    async with engine() as system:
        processor = system.connect()
        events = await talk(processor, Agent())
        assert chunks_of(events) == ["One. ", "And half"]
        assert end_of(events) == ("completed", "completed")
        assert end_of(await talk(processor, ready(["Next. "]))) == ("completed", "completed")


@virtual
async def test_an_agent_that_hangs_while_it_is_closed_holds_nothing_up() -> None:
    class Agent(Stubborn):
        async def __anext__(self) -> Any:
            for item in self._items:
                return item
            return {"type": "stream_end"}

    async with engine() as system:
        processor = system.connect()
        events = await talk(processor, Agent(["One. "], closing=1_000))
        assert end_of(events) == ("completed", "completed")
        assert end_of(await talk(processor, ready(["Next. "]))) == ("completed", "completed")
        assert now() == 0
        await asyncio.sleep(2)
        assert system.inspect().abandoned == [f"agent of turn {events[0]['turn_id']}"]


@virtual
async def test_an_agent_that_reports_an_error_fails_with_its_message() -> None:
    async with engine() as system:
        for event, message in (
            ({"type": "error", "error": "no more credit", "code": "x"}, "no more credit"),
            ({"type": "error", "message": "overloaded"}, "overloaded"),
            ({"type": "error"}, "the agent reported an error"),
        ):
            events = await talk(system.connect(), say(["One. And half", event, "Not read. "]))
            assert chunks_of(events) == ["One. ", "And half"]
            assert end_of(events) == ("failed", "agent_error")
            assert error_of(events) == message


# It says nothing.


@pytest.mark.parametrize("agent", [hang, stubborn, Stubborn])
@virtual
async def test_an_agent_that_never_yields_again_has_stalled(agent: Any) -> None:
    """Issue, point 3: pending text flushed, `error` with code `agent_stalled`, then the end; the next turn starts."""
    async with engine(idle_flush_seconds=None) as system:
        processor = system.connect()
        events = await talk(processor, agent(["One. And half"]))
        assert chunks_of(events) == ["One. ", "And half"]
        assert end_of(events) == ("failed", "agent_stalled")
        assert "30 s" in error_of(events)
        assert now() == pytest.approx(30, abs=0.1)
        assert end_of(await talk(processor, ready(["Next. "]))) == ("completed", "completed")
        assert now() < 31


@virtual
async def test_what_never_begins_has_stalled_too() -> None:
    async def never() -> AsyncIterator[str]:
        await asyncio.Event().wait()
        return ready(["unreachable"])

    async with engine(agent_stall_seconds=7) as system:
        processor = system.connect()
        for number, agent in enumerate([hang(), never(), None], 1):
            events = await talk(processor, agent)
            assert [event["type"] for event in events] == ["stream_start", "error", "stream_end"]
            assert end_of(events) == ("failed", "agent_stalled")
            assert now() == pytest.approx(7 * number, abs=0.1)


@virtual
async def test_a_synchronous_agent_that_never_returns_has_stalled() -> None:
    agent = Stuck("One. And half")
    async with engine(agent_stall_seconds=7) as system:
        processor = system.connect()
        try:
            events = await talk(processor, agent)
            assert chunks_of(events) == ["One. ", "And half"]
            assert end_of(events) == ("failed", "agent_stalled")
        finally:
            agent.released.set()


@virtual
async def test_the_stall_clock_stands_still_while_a_slow_client_holds_the_agent_up() -> None:
    """Who measures from one token to the next fails this turn, whose agent never made anybody wait."""
    longest = 0.0

    async def agent() -> AsyncIterator[str]:
        nonlocal longest
        for number in range(100):
            before = now()
            yield f"Sentence {number}. "
            longest = max(longest, now() - before)

    async with engine(agent_stall_seconds=5, queue_maxsize=2) as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=agent())
        events = []
        async for event in processor.stream_events(turn_id):
            events.append(event)
            await asyncio.sleep(9)
    assert longest > 5
    assert end_of(events) == ("completed", "completed")
    assert len(chunks_of(events)) == 100


@virtual
async def test_an_agent_that_is_slow_has_not_stalled() -> None:
    async with engine(agent_stall_seconds=5) as system:
        events = await talk(system.connect(), say(["Slow. "] * 20, pause=4.5))
    assert end_of(events) == ("completed", "completed")


@virtual
async def test_what_keeps_coming_but_is_no_text_is_no_stall() -> None:
    async with engine(agent_stall_seconds=5) as system:
        events = await talk(system.connect(), say([{"type": "ping"}, "", 5] * 5, pause=4.5))
    assert end_of(events) == ("completed", "completed")


@virtual
async def test_while_a_tool_works_another_clock_runs() -> None:
    """Issue: `tool_stall_seconds` in the place of `agent_stall_seconds` while a `tool_call` is unanswered."""

    def agent(*pauses: float) -> Any:
        async def stream() -> AsyncIterator[Any]:
            yield "Let me look. "
            for kind, pause in zip(("call", "call", "result", "result"), pauses, strict=False):
                yield {"type": f"tool_{kind}"}
                await asyncio.sleep(pause)
            yield "There."

        return stream()

    async with engine(agent_stall_seconds=5, tool_stall_seconds=60) as system:
        processor = system.connect()
        began = now()
        # Both calls are open, then one, then none.
        assert end_of(await talk(processor, agent(50, 50, 50, 4))) == ("completed", "completed")
        assert now() - began == pytest.approx(154, abs=0.1)
        for pauses, waited in (((50, 99), 110), ((4, 4, 99), 68), ((4, 4, 4, 99), 17)):
            began = now()
            events = await talk(processor, agent(*pauses))
            assert end_of(events) == ("failed", "agent_stalled")
            assert ("tool" in error_of(events)) is (len(pauses) < 4)
            assert now() - began == pytest.approx(waited, abs=0.1)


@virtual
async def test_an_agent_may_be_given_all_the_time_in_the_world() -> None:
    async with engine(agent_stall_seconds=None, tool_stall_seconds=None) as system:
        agent = say(["One. ", {"type": "tool_call"}, {"type": "tool_result"}, "Two. "], pause=1_000)
        assert end_of(await talk(system.connect(), agent)) == ("completed", "completed")


@virtual
async def test_a_pause_of_the_agent_lets_the_text_so_far_be_spoken() -> None:
    async with engine(None) as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=hang(["I am looking that up for you right now."]))
        stream = processor.stream_events(turn_id)
        await anext(stream)
        chunk = await asyncio.wait_for(anext(stream), 2.5)
        assert chunk["chunk"] == "I am looking that up for you right now."
        assert await processor.interrupt_turn(turn_id)


# It says too much, for too long.


@virtual
async def test_a_turn_past_its_deadline_fails_after_its_text_so_far() -> None:
    async with engine(turn_deadline_seconds=10, idle_flush_seconds=None) as system:
        processor = system.connect()
        events = await talk(processor, endless("And so", pause=3))
        assert now() == pytest.approx(10, abs=0.1)
        assert chunks_of(events) == ["And soAnd soAnd so"]
        assert end_of(events) == ("failed", "turn_deadline")
        assert end_of(await talk(processor, ready(["Next. "]))) == ("completed", "completed")


@pytest.mark.parametrize("sentences", range(14, 24))
@virtual
async def test_an_event_that_waits_for_room_at_the_deadline_is_not_lost(sentences: int) -> None:
    """Wherever between the agent and its client that room is missing."""
    said: list[Any] = []

    async def agent() -> AsyncIterator[Any]:
        for item in [*["A sentence. "] * sentences, {"type": "tool_call"}, "Another. "]:
            said.append(item)
            yield item

    async with engine(turn_deadline_seconds=10, queue_maxsize=1) as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=agent())
        await asyncio.sleep(20)
        events = await read(processor.stream_events(turn_id))
        assert "".join(chunks_of(events)) == "".join(item for item in said if isinstance(item, str))
        assert [event for event in events if event["type"] == "tool_call"] != [] or {"type": "tool_call"} not in said


@virtual
async def test_the_deadline_is_for_the_agent_and_not_for_a_slow_client_or_the_time_in_the_queue() -> None:
    async with engine(turn_deadline_seconds=10, on_busy="queue") as system:
        processor = system.connect()
        first = await processor.start_turn(agent_stream=ready(["One. "] * 20))
        second = await processor.start_turn(agent_stream=say(["Two. "] * 9, pause=1))
        for turn_id in (first, second):
            events = []
            async for event in processor.stream_events(turn_id):
                events.append(event)
                await asyncio.sleep(2)
            hold_to_contract(events)
            assert end_of(events) == ("completed", "completed")


@virtual
async def test_a_turn_that_is_too_long_ends_exactly_at_the_limit() -> None:
    """Issue, point 9: `turn_too_long`, after the text so far."""
    for speech in (Splitter, None):
        async with engine(speech, max_turn_chars=1_000) as system:
            for agent in (
                endless("One more. "),
                ready(["x" * 5_000]),
                ready(["One two. "] * 200),
                ready(["y"] * 2_000),
            ):
                processor = system.connect()
                events = await talk(processor, agent)
                turn = processor.get_turn(events[0]["turn_id"])
                assert turn is not None
                assert len(turn.generated_text) == 1_000
                assert end_of(events) == ("failed", "turn_too_long")
                assert len(turn.delivered_text) >= 999
            for agent in (ready(["x" * 1_000]), ready(["y"] * 1_000)):
                assert end_of(await talk(system.connect(), agent)) == ("completed", "completed")


# It says what is no event.


@virtual
async def test_what_is_no_event_is_skipped_counted_and_logged_and_the_rest_is_spoken(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Issue, point 7."""
    caplog.set_level(logging.DEBUG, "antiphon")
    items = [part for n, bad in enumerate(NO_EVENTS) for part in (f"Before {n}. ", bad)]
    async with engine() as system:
        processor = system.connect("c")
        turn_id = await processor.start_turn(agent_stream=say([*items, "And half"]), trace_id="t")
        events = await read(processor.stream_events(turn_id))
        turn = processor.get_turn(turn_id)
    assert chunks_of(events) == [*(f"Before {n}. " for n in range(len(NO_EVENTS))), "And half"]
    assert end_of(events) == ("completed", "completed")
    assert events[-1]["skipped_events"] == len(NO_EVENTS)
    assert turn is not None
    assert turn.skipped_events == len(NO_EVENTS)
    skipped = [record for record in caplog.records if "skipped" in record.getMessage()]
    assert len(skipped) == len(NO_EVENTS)
    assert {ids_of(record) for record in skipped} == {("c", turn_id, "t")}
    assert "secret" not in caplog.text


@pytest.mark.parametrize("bad", NO_EVENTS, ids=[str(n) for n in range(len(NO_EVENTS))])
@virtual
async def test_with_strict_agent_events_it_fails_the_turn_after_the_text_so_far(bad: Any) -> None:
    async with engine(strict_agent_events=True) as system:
        processor = system.connect()
        events = await talk(processor, say(["One. And half", bad, "Not read. "]))
        assert chunks_of(events) == ["One. ", "And half"]
        assert end_of(events) == ("failed", "bad_agent_event")
        assert "secret" not in error_of(events)
        assert end_of(await talk(processor, ready(["Next. "]))) == ("completed", "completed")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
TYPES = st.sampled_from(["stream_token", "tool_call", "tool_result", "stream_start", "tts_ready_chunk", "x", ""])
ITEMS = JSON | st.fixed_dictionaries({"type": TYPES | JSON}, optional={"chunk": JSON, "data": JSON, "seq": JSON})


@given(items=st.lists(ITEMS, max_size=12), forward=st.sampled_from(["none", "tools", "all"]))
@settings(max_examples=100, derandomize=True, deadline=None, database=None)
def test_no_item_that_an_agent_can_yield_breaks_a_turn(items: list[Any], forward: str) -> None:
    async def run() -> None:
        async with engine(forward_events=forward) as system:
            processor = system.connect()
            events = await talk(processor, say(["Before. ", *items, " After."]))
            turn = processor.get_turn(events[0]["turn_id"])
        assert end_of(events) == ("completed", "completed")
        assert turn is not None
        assert turn.generated_text == "".join(chunks_of(events))
        assert turn.generated_text.startswith("Before. ")
        assert turn.generated_text.endswith(" After.")
        ours = {"stream_start", "tts_ready_chunk", "stream_end"}
        passed = [event["type"] for event in events if event["type"] not in ours]
        assert forward != "none" or not passed
        assert forward == "all" or set(passed) <= {"tool_call", "tool_result"}

    run_virtual(run())
