"""Any value in any argument of the embedding API: the call does what it says, or is refused, and loses nothing else.

Each call is made while a turn speaks, of which every event can still be sent as JSON; the connection takes its next
turn, and another connection hears nothing of it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from inspect import isawaitable
from typing import Any

import pytest
from agents import ready
from conversations import engine, talk
from fuzz import effort
from hypothesis import example, given
from near_valid import ANY_TEXT, ANY_VALUE, NUMBERS, hold_to_law

from actors import ConversationSystem, MessageProcessor
from actors.testing import run_virtual
from protocol.errors import AntiphonError

Call = Callable[[ConversationSystem, MessageProcessor, str, Any], Any]


def _start(name: str) -> Call:
    async def start(_system: ConversationSystem, processor: MessageProcessor, _turn: str, value: Any) -> None:
        given = {"agent_stream": ready(["Mine. "]), "on_busy": "interrupt", name: value}
        turn_id = await processor.start_turn(**given)
        assert turn_id
        if given["agent_stream"] is not None:  # otherwise it waits for one
            await _read_on(processor, turn_id)

    return start


def _connect(name: str) -> Call:
    async def connect(system: ConversationSystem, _processor: MessageProcessor, _turn: str, value: Any) -> None:
        processor = system.connect(**{name: value})
        assert processor.connection_id
        turn_id = await processor.start_turn("s", "", ready(["Mine. "]))
        await _read_on(processor, turn_id)
        await processor.shutdown()

    return connect


CALLS: dict[str, Call] = {
    "mark_played(turn_id)": lambda _s, processor, _turn, value: processor.mark_played(value, 0),
    "mark_played(seq)": lambda _s, processor, turn, value: processor.mark_played(turn, value),
    "mark_played(chars)": lambda _s, processor, turn, value: processor.mark_played(turn, 1, value),
    "stream_events(turn_id)": lambda _s, processor, _turn, value: processor.stream_events(value),
    "stream_events(after_seq)": lambda _s, processor, turn, value: processor.stream_events(turn, value),
    "interrupt_turn(turn_id)": lambda _s, processor, _turn, value: processor.interrupt_turn(value),
    "interrupt_turn(reason)": lambda _s, processor, turn, value: processor.interrupt_turn(turn, value),
    "handle_interrupt(reason)": lambda _s, processor, _turn, value: processor.handle_interrupt(value),
    "attach_agent_stream(turn_id)": lambda _s, processor, _t, value: processor.attach_agent_stream(value, ready([])),
    "attach_agent_stream(stream)": lambda _s, processor, turn, value: processor.attach_agent_stream(turn, value),
    "cleanup(turn_id)": lambda _s, processor, _turn, value: processor.cleanup(0 if value is None else value),
    "cleanup_completed_turns(age)": lambda _s, processor, _turn, value: processor.cleanup_completed_turns(value),
    "get_turn(turn_id)": lambda _s, processor, _turn, value: processor.get_turn(value),
    "get(connection_id)": lambda system, _processor, _turn, value: system.get(value),
    **{
        f"start_turn({name})": _start(name)
        for name in (
            *("session_id", "user_input", "agent_stream", "conversation_id", "on_busy", "flow", "speech", "turn_id"),
            *("trace_id", "request_id"),
        )
    },
    **{
        f"connect({name})": _connect(name)
        for name in ("connection_id", "user_id", "queue_maxsize", "on_busy", "flow", "speech", "reader_grace_seconds")
    },
}


async def _read_on(processor: MessageProcessor, turn_id: str) -> None:
    """Read a turn to its end; every event of it can be sent."""
    async with asyncio.timeout(100):
        async for event in processor.stream_events(turn_id, -1):
            if event["type"] == "tts_ready_chunk":
                await processor.mark_played(turn_id, event["seq"])
            json.dumps(event, ensure_ascii=False, allow_nan=False).encode()


@pytest.mark.parametrize("name", CALLS)
def test_any_argument_is_taken_or_refused_and_harms_no_turn(name: str) -> None:
    @effort(40)
    @given(ANY_VALUE | NUMBERS | ANY_TEXT)
    @example(float("nan"))
    @example(10**5000)
    @example("\ud800")
    @example(10**400)
    def try_it(value: Any) -> None:
        run_virtual(_try(CALLS[name], value))

    try_it()


async def _try(call: Call, value: Any) -> None:
    async with engine(queue_maxsize=4) as system:
        bystander = asyncio.ensure_future(talk(system.connect("b"), ready(["Hello. "] * 20), on_busy="reject"))
        processor = system.connect("c")
        turn_id = await processor.start_turn("s", "", ready(["One. ", "Two. "]), flow="played")
        events = processor.stream_events(turn_id)
        for _ in range(2):
            await anext(events)
        try:
            async with asyncio.timeout(20):
                result = call(system, processor, turn_id, value)
                if isawaitable(result):
                    await result
        except AntiphonError as refused:
            hold_to_law(refused)
        if processor.get_turn(turn_id) is not None:
            await _read_on(processor, turn_id)
            turn = processor.get_turn(turn_id)
            assert turn is not None
            assert turn.status != "failed", turn
        assert (await talk(processor, ready(["Once more. "]), on_busy="interrupt"))[-1]["status"] == "completed"
        assert (await bystander)[-1]["status"] == "completed"
