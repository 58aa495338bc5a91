"""A processor on its own, as it is used in code that knows of no system and never calls `shutdown`."""

from __future__ import annotations

import asyncio
import gc
import json
import textwrap
import threading
import uuid
import weakref
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pykka
import pytest
from agents import hang, ready, say
from conversations import chunks_of, end_of, hold_to_contract
from programs import output_of

from actors import ConversationSystem, MessageProcessor
from actors.testing import run_virtual, virtual
from protocol.errors import BadArgumentError, ConnectionExistsError, SystemClosedError
from protocol.mail import StartTurn

SERVICE = """
    import asyncio
    import json
    import uuid
    from actors import MessageProcessor

    class AgentService:
        async def stream(self, messages):
            yield {"type": "stream_start", "turn_id": "the agent's own"}
            for word in "Sure! It is three o'clock now. Is there anything else?".split(" "):
                await asyncio.sleep(0)
                yield {"type": "stream_token", "chunk": word + " "}
            yield {"type": "stream_end"}

    class WebSocket:
        async def send_json(self, event):
            print(json.dumps(event), flush=True)

    agent_service, websocket, connection_uuid = AgentService(), WebSocket(), uuid.uuid4()
"""

PROGRAMS = {
    "with a session id and an interrupt": """
    async def main():
        processor = MessageProcessor(connection_uuid, "user_1")
        turn_id = await processor.start_turn(
            session_id="session_1", user_input="Hello", agent_stream=agent_service.stream("Hello")
        )
        async for event in processor.stream_events(turn_id):
            await websocket.send_json(event)
        await processor.interrupt_turn(turn_id, reason="User Cancelled")
    """,
    "with a conversation id and a cleanup": """
    async def main():
        processor = MessageProcessor(connection_id=connection_uuid, user_id="user123", queue_maxsize=100)
        turn_id = await processor.start_turn(
            conversation_id="session_1", user_input="Hello!", agent_stream=agent_service.stream(["Hello!"])
        )
        async for event in processor.stream_events(turn_id):
            await websocket.send_json(event)
        await processor.interrupt_turn(turn_id, "User requested stop")
        await processor.cleanup(turn_id)
    """,
    "with a processor that outlives its loop": """
    async def main():
        global processor
        processor = MessageProcessor(connection_uuid, "user_1")
        turn_id = await processor.start_turn(session_id="session_1", agent_stream=agent_service.stream("Hello"))
        async for event in processor.stream_events(turn_id):
            await websocket.send_json(event)
    """,
    "with more processors, and turns that nobody ends": """
    async def main():
        async def for_ever():
            while True:
                yield "And so on. "
                await asyncio.sleep(0)

        others = [MessageProcessor(uuid.uuid4(), "user_2") for _ in range(3)]
        for other in others:
            other_turn = await other.start_turn(session_id="x", agent_stream=for_ever())
        streams = [other.stream_events(other_turn)]
        await anext(streams[0])
        processor = MessageProcessor(connection_uuid, "user_1")
        turn_id = await processor.start_turn(session_id="session_1", agent_stream=agent_service.stream("Hello"))
        async for event in processor.stream_events(turn_id):
            await websocket.send_json(event)
    """,
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_the_code_of_the_seeds_runs_as_it_stands(program: str, tmp_path: Path) -> None:
    path = tmp_path / "service.py"
    path.write_text(textwrap.dedent(SERVICE) + textwrap.dedent(program) + "\nasyncio.run(main())\n", encoding="utf-8")
    events = [json.loads(line) for line in output_of(path).splitlines()]
    hold_to_contract(events)
    assert end_of(events) == ("completed", "completed")
    assert chunks_of(events) == ["Sure!", "It is three o'clock now.", "Is there anything else?"]
    assert {event["session_id"] for event in events} == {"session_1"}
    assert uuid.UUID(events[0]["connection_id"])


STRANGERS: weakref.WeakSet[ConversationSystem] = weakref.WeakSet()


@pytest.fixture(autouse=True)
def _systems_of_other_tests() -> None:
    """Somebody may still hold one."""
    STRANGERS.clear()
    STRANGERS.update(systems())


def systems() -> list[ConversationSystem]:
    gc.collect()
    all_systems = [thing for thing in gc.get_objects() if isinstance(thing, ConversationSystem) and thing._context]
    return [system for system in all_systems if system not in STRANGERS]


def actors() -> list[str]:
    return sorted(actor.kind for system in systems() for actor in system.inspect().actors)


async def _passed() -> None:
    """Let what was collected be closed."""
    gc.collect()
    await asyncio.sleep(0.001)
    gc.collect()


@virtual
async def test_the_system_ends_with_its_last_processor_collected_or_shut_down() -> None:
    first = MessageProcessor(uuid.uuid4(), "u")
    second = MessageProcessor(connection_id=7, user_id=8)
    assert (second.connection_id, second.user_id) == ("7", "8")
    assert systems() == []  # not before the first call
    for processor in (first, second):
        turn_id = await processor.start_turn(session_id="s", agent_stream=say(["One. "]))
        events = [event async for event in processor.stream_events(turn_id)]
        assert {event["connection_id"] for event in events} == {processor.connection_id}
    await _passed()
    assert len(systems()) == 1
    assert actors() == ["connection", "connection", "supervisor"]
    del processor, first
    await _passed()
    assert actors() == ["connection", "supervisor"]
    await second.shutdown()
    assert actors() == []
    await _passed()
    assert len(systems()) == 1  # held by the processor in hand
    with pytest.raises(SystemClosedError):
        await second.start_turn(session_id="s", agent_stream=say(["Two. "]))
    del second
    await _passed()
    assert systems() == []
    async with MessageProcessor("again") as third:  # and the next one gets a new one
        assert len(systems()) == 1
        turn_id = await third.start_turn(session_id="s", agent_stream=say(["One. "]))
        assert end_of([event async for event in third.stream_events(turn_id)]) == ("completed", "completed")
    assert actors() == []


@virtual
async def test_a_processor_that_is_collected_in_the_middle_of_a_turn_stops_its_agent() -> None:
    closed: list[bool] = []

    async def agent() -> AsyncIterator[str]:
        try:
            while True:
                yield "And so on. "
                await asyncio.sleep(0.1)
        finally:
            closed.append(True)

    async def opens() -> Any:
        return agent()

    processor = MessageProcessor("c")
    await processor.start_turn(session_id="s", agent_stream=agent())
    await processor.start_turn(session_id="s", agent_stream=opens(), on_busy="queue")
    await asyncio.sleep(1)
    assert not closed
    del processor
    await _passed()
    assert closed == [True]
    assert actors() == []
    await asyncio.sleep(0.1)
    assert systems() == []
    assert asyncio.all_tasks() == {asyncio.current_task()}


@virtual
async def test_a_stream_that_is_read_keeps_its_processor_alive() -> None:
    """The seeds' code returns the generator and forgets the processor."""

    async def events_of() -> Any:
        processor = MessageProcessor("c")
        turn_id = await processor.start_turn(session_id="s", agent_stream=say(["One. "] * 20, pause=0.1))
        return processor.stream_events(turn_id)

    stream = await events_of()
    events = []
    async for event in stream:
        events.append(event)
        if len(events) % 10 == 1:
            gc.collect()
    hold_to_contract(events)
    assert end_of(events) == ("completed", "completed")
    del stream
    await _passed()
    assert systems() == []


@virtual
async def test_a_processor_may_be_collected_in_another_thread() -> None:
    held = [MessageProcessor("c")]
    await held[0].start_turn(session_id="s", agent_stream=hang())
    thread = threading.Thread(target=held.clear)
    thread.start()
    await asyncio.to_thread(thread.join)
    await _passed()
    assert actors() == []


def test_each_loop_has_a_system_of_its_own_and_a_closed_loop_leaves_none_behind() -> None:
    kept: list[MessageProcessor] = []

    async def converse() -> None:
        processor = MessageProcessor("c")
        kept.append(processor)  # never collected, never shut down
        turn_id = await processor.start_turn(session_id="s", agent_stream=say(["One. "]))
        assert end_of([event async for event in processor.stream_events(turn_id)]) == ("completed", "completed")

    for _ in range(5):
        run_virtual(converse())
    assert len(systems()) == 5
    kept.clear()
    gc.collect()

    async def shut_down() -> None:
        async with MessageProcessor("c"):
            pass

    run_virtual(shut_down())
    assert systems() == []


def test_a_processor_of_a_closed_loop_says_so_and_does_not_hang() -> None:
    kept: list[Any] = []

    async def converse() -> None:
        processor = MessageProcessor("c")
        kept.append(processor)
        kept.append(await processor.start_turn(session_id="s", agent_stream=ready(["One. "])))

    run_virtual(converse())
    processor, turn_id = kept
    assert processor.get_turn(turn_id).generated_text == "One. "

    async def later() -> None:
        with pytest.raises(SystemClosedError):
            await processor.start_turn(session_id="s", agent_stream=ready(["One. "]))
        with pytest.raises(SystemClosedError):
            await processor.interrupt_all_active_turns()
        assert await processor.interrupt_turn(turn_id) is False
        await processor.shutdown()

    run_virtual(later())
    with pytest.raises((SystemClosedError, pykka.ActorDeadError)):
        processor.actor_ref.ask(StartTurn(session_id="s"), timeout=5)


@virtual
async def test_the_ids_of_standalone_processors_must_differ() -> None:
    async with MessageProcessor("c") as first, MessageProcessor() as nameless:
        assert first.connection_id != nameless.connection_id
        assert uuid.UUID(nameless.connection_id)
        with pytest.raises(ConnectionExistsError):
            await MessageProcessor("c").start_turn(session_id="s")
    with pytest.raises(BadArgumentError):
        MessageProcessor("c", queue_maxsize=0)


@virtual
async def test_the_settings_of_standalone_processors_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ANTIPHON_AGENT_STALL_SECONDS", "3")
    monkeypatch.setenv("ANTIPHON_LOOP_WATCHDOG_SECONDS", "60")
    async with MessageProcessor("c", queue_maxsize=7) as processor:
        turn_id = await processor.start_turn(session_id="s", agent_stream=hang())
        system: Any = processor._host
        assert {a.capacity for a in system.inspect().actors if a.kind in ("chunker", "emitter")} == {7}
        events = [event async for event in processor.stream_events(turn_id)]
        assert end_of(events) == ("failed", "agent_stalled")
        assert asyncio.get_running_loop().time() == pytest.approx(3, abs=0.1)
