"""Whatever bytes come, the server answers, or closes, and serves the next one."""

from __future__ import annotations

import asyncio
import json
from typing import Any, get_args

from agents import say
from gateway.serving import running
from gateway.talking import Client, Served, hold_to_schema
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed

from protocol.commands import Command
from protocol.errors import GatewayCode
from protocol.messages import CloseCode

_BOUNDED = settings(max_examples=20, deadline=None)

_VALUES: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers(-2, 2**60) | st.floats() | st.text(max_size=20) | st.just({})
)
_FIELDS = sorted({name for model in get_args(Command) for name in model.model_fields} - {"type"})
_KINDS = [get_args(model.model_fields["type"].annotation)[0] for model in get_args(Command)]
_COMMANDS = st.builds(
    lambda kind, fields: json.dumps({**fields, "type": kind}),
    st.sampled_from(_KINDS),
    st.dictionaries(st.sampled_from(_FIELDS), _VALUES, max_size=4),
)
_RIGHT = st.sampled_from(
    [
        '{"type": "chat_message", "content": "One. Two. Three."}',
        '{"type": "interrupt_stream"}',
        '{"type": "pong"}',
        '{"type": "observe"}',
    ]
)
_MESSAGES = st.lists(_COMMANDS | _RIGHT | st.text(max_size=50) | st.binary(max_size=50), max_size=12)


def _agent(request: Any) -> Any:
    return say([request.content[:10], " and more. "])


def _on_a_server(scenario: Any) -> None:
    async def run() -> None:
        async with running(_agent) as served:
            await scenario(served)
            async with served.client() as client:
                assert (await client.talk("Still there?"))[-1]["status"] == "completed"

    asyncio.run(run())


@_BOUNDED
@given(_MESSAGES)
def test_any_messages_are_answered_or_end_in_a_close(messages: list[str | bytes]) -> None:
    async def scenario(served: Served) -> None:
        async with served.client() as client:
            closed = await _say_all(client, [*messages, "the end"])
            assert closed in {None, *CloseCode}

    _on_a_server(scenario)


async def _say_all(client: Client, messages: list[str | bytes]) -> int | None:
    """Send these; read until the last was answered, or return the code of the close."""
    try:
        for message in messages:
            await client.ws.send(message)
        while (await client.hear()).get("code") != GatewayCode.BAD_JSON:
            pass
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd is not None else -1
    return None


@_BOUNDED
@given(st.text(max_size=60) | st.binary(max_size=60) | _COMMANDS)
def test_any_first_message_is_answered(message: str | bytes) -> None:
    async def scenario(served: Served) -> None:
        async with served.socket() as client:
            await client.ws.send(message)
            hold_to_schema(json.loads(await asyncio.wait_for(client.ws.recv(), 10)))

    _on_a_server(scenario)


@_BOUNDED
@given(st.binary(min_size=1, max_size=400), st.booleans())
def test_any_bytes_on_the_wire_harm_nobody(noise: bytes, upgraded: bool) -> None:
    async def scenario(served: Served) -> None:
        if upgraded:
            async with served.client() as client:
                client.ws.transport.write(noise)
                client.ws.transport.write_eof()
                await asyncio.wait_for(client.ws.wait_closed(), 10)
            return
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        try:
            writer.write(noise)
            writer.write_eof()
            await asyncio.wait_for(reader.read(), 10)
            writer.close()
            await writer.wait_closed()
        except ConnectionError:
            pass

    _on_a_server(scenario)
