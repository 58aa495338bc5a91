"""The web examples of docs/embedding.md, spoken with as a client speaks with them."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from documents import examples

FAKES = Path(__file__).resolve().parent / "fakes"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch):
    """Import an example that imports this framework."""
    monkeypatch.syspath_prepend(str(FAKES))

    def load(framework: str) -> Any:
        [code] = [one.code for one in examples() if f"from {framework}" in one.code]
        module = ModuleType("example")
        exec(compile(code, "docs/embedding.md", "exec"), vars(module))
        return module

    yield load
    for name in [name for name in sys.modules if name.partition(".")[0] in {"fastapi", "channels"}]:
        del sys.modules[name]


async def endless(question: str):
    number = 0
    while True:
        number += 1
        yield f"This is number {number} of {question}. "
        await asyncio.sleep(0)


async def one_turn(sent: asyncio.Queue[dict[str, Any]]) -> list[dict[str, Any]]:
    events = [await sent.get()]
    while events[-1]["type"] != "stream_end":
        events.append(await sent.get())
    assert [event["seq"] for event in events] == list(range(len(events)))
    return events


async def test_fastapi_speaks_is_interrupted_barged_into_and_left(example) -> None:
    module = example("fastapi")
    app = module.app
    async with app.lifespan(app):
        socket = module.WebSocket(app)
        served = asyncio.create_task(app.routes["/conversation"](socket))

        socket.say(type="chat_message", text="Hello there")
        events = await one_turn(socket.sent)
        assert [event.get("chunk") for event in events[1:-1]] == ["I heard Hello there.", "That is all I know."]
        socket.say(type="played", turn_id=events[0]["turn_id"], seq=2)

        module.answer = endless
        socket.say(type="chat_message", text="a long story")
        await socket.sent.get()
        socket.say(type="interrupt")
        while (event := await socket.sent.get())["type"] != "stream_end":
            assert event["type"] == "tts_ready_chunk"
        assert event["reason"] == "the person spoke"
        [processor] = app.state.conversations.connections()
        assert processor.get_turn(events[0]["turn_id"]).played_text.endswith("all I know.")

        socket.say(type="chat_message", text="one")
        await socket.sent.get()
        socket.say(type="chat_message", text="two")
        seen: list[dict[str, Any]] = []
        while not any("of two" in event.get("chunk", "") for event in seen):
            seen.append(await socket.sent.get())
        assert [event["reason"] for event in seen if event["type"] == "stream_end"] == ["barge_in"]

        socket.leave()
        await served
        assert app.state.conversations.connections() == []
        assert [actor.kind for actor in app.state.conversations.inspect().actors] == ["supervisor"]
    assert len(asyncio.all_tasks()) == 1


async def test_channels_speaks_is_interrupted_and_left(example) -> None:
    module = example("channels.generic.websocket")
    consumer = module.ConversationConsumer({"user": "alice"})
    await consumer.connect()
    await consumer.receive_json({"type": "chat_message", "text": "Hello"})
    events = await one_turn(consumer.sent)
    assert [event["type"] for event in events] == [
        *("stream_start", "tts_ready_chunk", "tts_ready_chunk", "stream_end")
    ]

    module.answer = endless
    await consumer.receive_json({"type": "chat_message", "text": "a long story"})
    await consumer.sent.get()
    await consumer.receive_json({"type": "interrupt"})
    while (event := await consumer.sent.get())["type"] != "stream_end":
        pass
    assert event["status"] == "interrupted"

    await consumer.receive_json({"type": "chat_message", "text": "another"})
    await consumer.disconnect(1000)
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == 1


async def test_generator_that_is_closed_ends_its_turn() -> None:
    [code] = [one.code for one in examples() if "server_sent_events" in one.code]
    definitions = code.partition("with ThreadedSystem() as system:")[0]
    scope: dict[str, Any] = {}
    exec(definitions, scope)
    with scope["ThreadedSystem"]() as system:
        lines = scope["server_sent_events"](system, "Hello")
        await asyncio.to_thread(next, lines)
        assert len(system.connections()) == 1
        await asyncio.to_thread(lines.close)
        assert system.connections() == []
