"""What may be an agent stream, and what its events become."""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from agents import prose, ready, say
from conversations import chunks_of, end_of, engine, hold_to_contract, ids_of, read, talk, turn_of

from actors.testing import virtual
from protocol.agent import AgentError, OtherEvent, StreamEnd, StreamStart, StreamToken, ToolCall, ToolResult
from protocol.errors import (
    AgentAttachedError,
    BadArgumentError,
    TurnFinishedError,
    TurnNotFoundError,
)


class Text(str):
    """Text is whatever is a string."""

    __slots__ = ()


class Fields(dict[str, Any]):
    """And a dict whatever is one."""


async def gives(stream: Any) -> Any:
    await asyncio.sleep(0.1)
    return stream


def generator() -> Iterator[str]:
    yield "One. "
    yield "Two. "


class OnlyNext:
    """An async iterator without `aclose`, as many clients of services have it."""

    def __init__(self) -> None:
        self.items = iter(["One. ", "Two. "])

    def __aiter__(self) -> OnlyNext:
        return self

    async def __anext__(self) -> str:
        for item in self.items:
            return item
        raise StopAsyncIteration


STREAMS = {
    "async generator": lambda: ready(["One. ", "Two. "]),
    "async iterator": OnlyNext,
    "generator": generator,
    "list": lambda: ["One. ", "Two. "],
    "iterator": lambda: iter(["One. ", "Two. "]),
    "coroutine that gives an async generator": lambda: gives(ready(["One. ", "Two. "])),
    "coroutine that gives a generator": lambda: gives(generator()),
    "coroutine that gives a list": lambda: gives(["One. ", "Two. "]),
    "task that gives one": lambda: asyncio.ensure_future(gives(ready(["One. ", "Two. "]))),
    "bare strings": lambda: say(["One. ", Text("Two. ")]),
    "dicts": lambda: say([{"type": "stream_token", "chunk": "One. "}, {"type": "stream_token", "data": "Two. "}]),
    "dicts and text of other classes": lambda: say(
        [
            Fields(type="stream_token", chunk=Text("One. ")),
            {"type": Text("stream_token"), "chunk": Text("Two")},
            {"type": "stream_token", "data": Text(". ")},
        ]
    ),
    "models": lambda: say([StreamStart(), StreamToken(chunk="One. "), StreamToken(data="Two. "), StreamEnd()]),  # type: ignore[call-arg]  # the older name is an alias
    "all of them": lambda: say(
        ["One", {"type": "stream_start"}, StreamToken(chunk=". T"), "", {"type": "stream_token", "data": "wo. "}]
    ),
}


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
@virtual
async def test_this_is_an_agent_stream(stream: Any) -> None:
    async with engine() as system:
        processor = system.connect()
        events = await talk(processor, stream())
        turn = processor.get_turn(events[0]["turn_id"])
    assert chunks_of(events) == ["One. ", "Two. "]
    assert end_of(events) == ("completed", "completed")
    assert turn is not None
    assert turn.skipped_events == 0
    assert type(turn.generated_text) is str
    assert all(type(chunk) is str for chunk in chunks_of(events))


@pytest.mark.parametrize("nothing", ["text", b"bytes", {"type": "stream_token"}, 5, object(), say, OnlyNext])
@virtual
async def test_this_is_none_and_starts_nothing(nothing: Any) -> None:
    async with engine() as system:
        processor = system.connect()
        with pytest.raises(BadArgumentError, match=type(nothing).__name__):
            await processor.start_turn(agent_stream=nothing)
        assert processor.get_stats()["turns_started"] == 0
        turn_id = await processor.start_turn()
        with pytest.raises(BadArgumentError):
            await processor.attach_agent_stream(turn_id, nothing)
        await processor.attach_agent_stream(turn_id, ready(["One. "]))
        assert chunks_of(await read(processor.stream_events(turn_id))) == ["One. "]
        # What a coroutine gives is looked at when it has.
        events = await talk(processor, gives(nothing))
        assert end_of(events) == ("failed", "agent_failed")


@virtual
async def test_a_stream_may_be_attached_later_once_to_a_turn_that_is_still_there() -> None:
    async with engine(on_busy="queue") as system:
        processor = system.connect()
        first = await processor.start_turn()
        pending = await processor.start_turn()
        for turn_id in (pending, first):
            await processor.attach_agent_stream(turn_id, say(["One. "]))
            with pytest.raises(AgentAttachedError):
                await processor.attach_agent_stream(turn_id, say(["Two. "]))
        for turn_id in (first, pending):
            assert chunks_of(await read(processor.stream_events(turn_id))) == ["One. "]
            with pytest.raises(TurnFinishedError):
                await processor.attach_agent_stream(turn_id, say(["Three. "]))
        with pytest.raises(TurnNotFoundError):
            await processor.attach_agent_stream("nothing", say(["Four. "]))
        interrupted = await processor.start_turn()
        assert await processor.interrupt_turn(interrupted)
        with pytest.raises(TurnFinishedError):
            await processor.attach_agent_stream(interrupted, say(["Five. "]))


@virtual
async def test_each_synchronous_stream_has_a_daemon_thread_of_its_own_that_ends_with_it() -> None:
    threads: list[threading.Thread] = []

    def agent() -> Iterator[str]:
        threads.append(threading.current_thread())
        yield from prose(30)

    async with engine(queue_maxsize=3) as system:
        turns = [asyncio.ensure_future(talk(system.connect(), agent())) for _ in range(5)]
        for events in await asyncio.gather(*turns):
            assert "".join(chunks_of(events)) == "".join(prose(30))
    assert len(set(threads)) == 5
    assert all(thread.daemon for thread in threads)
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()


@virtual
async def test_a_synchronous_stream_reads_ahead_only_so_far() -> None:
    pulled = 0
    released = threading.Event()

    def agent() -> Iterator[str]:
        nonlocal pulled
        for _ in range(1_000):
            pulled += 1
            yield "One. "
        released.set()

    async with engine(queue_maxsize=4) as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=agent())
        stream = processor.stream_events(turn_id)
        await anext(stream)
        for _ in range(20):  # whatever would run, runs
            await asyncio.sleep(0.1)
        had = pulled
        # The outbox, three mailboxes of four, what is in somebody's hands, and four read ahead.
        assert had <= 16 + 3 * 4 + 4 + 4
        await asyncio.sleep(1)
        assert pulled == had
        assert await processor.interrupt_turn(turn_id)
        assert turn_of(processor, turn_id).abandoned == ()  # it was not stuck


@virtual
async def test_an_agent_runs_in_the_context_of_who_started_its_turn() -> None:
    who = contextvars.ContextVar("who", default="nobody")

    async def agent() -> AsyncIterator[str]:
        yield f"{who.get()}. "

    async with engine(on_busy="queue") as system:
        processor = system.connect()
        who.set("Ada")
        first = await processor.start_turn(agent_stream=agent())
        who.set("Grace")
        second = await processor.start_turn(agent_stream=agent())
        who.set("nobody in particular")
        assert chunks_of(await read(processor.stream_events(first))) == ["Ada. "]
        assert chunks_of(await read(processor.stream_events(second))) == ["Grace. "]


# Events beside the text.


@virtual
async def test_the_agents_own_ids_do_not_replace_the_turns() -> None:
    own = {"turn_id": "mine", "connection_id": "mine", "session_id": "mine", "seq": 99}
    agent = say(
        [
            {"type": "stream_start", **own},
            {"type": "stream_token", "chunk": "One. ", **own},
            {"type": "tool_call", "name": "look", **own},
            {"type": "custom", **own},
            {"type": "stream_end", "status": "failed", "content": "mine", **own},
        ]
    )
    async with engine(forward_events="all") as system:
        events = await talk(system.connect(), agent)  # where they are held to the contract
    assert [event["type"] for event in events] == [
        "stream_start",
        "tts_ready_chunk",
        "tool_call",
        "custom",
        "stream_end",
    ]
    assert "mine" not in json.dumps(events)
    assert events[-1]["content"] == "One. "
    assert end_of(events) == ("completed", "completed")


TOOLS = ["tool_call", "tool_result"]


@pytest.mark.parametrize(("forward", "passed"), [("none", []), ("tools", TOOLS), ("all", [*TOOLS, "usage"])])
@virtual
async def test_tool_events_and_unknown_ones_pass_or_are_dropped_as_the_setting_says_and_logged_either_way(
    forward: str, passed: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "antiphon")
    beside = [
        ToolCall(name="look", arguments={"q": ["a secret", None]}),  # type: ignore[call-arg]  # the agent's own fields
        {"type": "tool_result", "content": None},
        OtherEvent(type="usage", tokens=5),  # type: ignore[call-arg]  # the same
    ]
    own_fields: dict[str, dict[str, Any]] = {
        "tool_call": {"name": "look", "arguments": {"q": ["a secret", None]}},
        "tool_result": {"content": None},
        "usage": {"tokens": 5},
    }
    async with engine(forward_events=forward) as system:
        processor = system.connect("c")
        turn_id = await processor.start_turn(
            agent_stream=say(["Before. And", *beside, " after."]), trace_id="t", session_id="s"
        )
        events = await read(processor.stream_events(turn_id))
    got = [event for event in events if event["type"] in [*TOOLS, "usage"]]
    assert [event["type"] for event in got] == passed
    for event in got:
        assert event == {
            "type": event["type"],
            "turn_id": turn_id,
            "connection_id": "c",
            "session_id": "s",
            "seq": event["seq"],
            **own_fields[event["type"]],
        }
    assert "".join(chunks_of(events)) == "Before. And after."
    said = [record for record in caplog.records if "agent event" in record.getMessage()]
    assert [("passed on" in record.getMessage()) for record in said] == [True] * len(passed) + [False] * (
        3 - len(passed)
    )
    assert {ids_of(record) for record in said} == {("c", turn_id, "t")}
    assert "secret" not in caplog.text


@pytest.mark.parametrize("forward", ["none", "tools", "all"])
@virtual
async def test_a_tool_call_lets_what_is_pending_be_spoken_before_the_tool_runs(forward: str) -> None:
    """Otherwise the person is left with half a sentence for as long as it takes."""
    async with engine(forward_events=forward, idle_flush_seconds=None) as system:
        processor = system.connect()

        async def agent() -> AsyncIterator[Any]:
            yield "Let me look"
            yield {"type": "tool_call"}
            await asyncio.sleep(60)
            yield {"type": "tool_result"}
            yield " here it is."

        turn_id = await processor.start_turn(agent_stream=agent())
        stream = processor.stream_events(turn_id)
        events = [await anext(stream), await asyncio.wait_for(anext(stream), 0.1)]
        assert chunks_of(events) == ["Let me look"]
        if forward != "none":
            events.append(await asyncio.wait_for(anext(stream), 0.1))
            assert events[-1]["type"] == "tool_call"  # in its place: behind the text before it
        events += [event async for event in stream]
    hold_to_contract(events)
    assert chunks_of(events)[-1] == " here it is."


@virtual
async def test_an_agent_cannot_say_what_only_the_engine_says() -> None:
    """A passed-through event of one of those types would be a chunk out of order."""
    fake = {"type": "tts_ready_chunk", "chunk": "Fake. ", "start": 0, "end": 5}
    async with engine(forward_events="all") as system:
        events = await talk(system.connect(), say(["One. ", fake, AgentError(error="over")]))
    assert chunks_of(events) == ["One. "]
    assert end_of(events) == ("failed", "agent_error")


@virtual
async def test_events_between_tokens_stay_between_their_texts_however_full_it_is() -> None:
    items = [part for n in range(60) for part in (f"Text {n}. ", {"type": "tool_call", "n": n}, ToolResult())]
    async with engine(queue_maxsize=1) as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=ready(items))
        await asyncio.sleep(1)
        events = await read(processor.stream_events(turn_id))
    line = [(event["type"], event.get("n", event.get("chunk"))) for event in events[1:-1]]
    assert line == [
        entry
        for n in range(60)
        for entry in (("tts_ready_chunk", f"Text {n}. "), ("tool_call", n), ("tool_result", None))
    ]
