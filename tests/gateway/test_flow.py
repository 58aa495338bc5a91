"""Clients that read slowly, or not at all: bounded memory, and an end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from agents import hang, prose, ready
from conversations import chunks_of, hold_to_contract
from gateway.raw import frame, upgraded
from gateway.talking import Served, all_gone, closed_with
from splitter import Splitter

from actors.gateway.server import bind
from actors.gateway.socket import Socket
from actors.gateway.window import FlowWindow
from actors.speech import SpeechPipeline
from protocol.speech import SpeechChunk


class Counted:
    """Never stops talking, and counts what it was asked for."""

    def __init__(self, text: str = "And so on. ") -> None:
        self.text = text
        self.said = 0

    async def __call__(self, _request: Any) -> AsyncIterator[str]:
        while True:
            await asyncio.sleep(0)
            self.said += 1
            yield self.text


async def _stuck(served: Served) -> socket.socket:
    """Start a turn over a raw socket that nobody ever reads again."""
    raw = await upgraded(served.port)
    start = frame({"type": "authorize"}) + frame({"type": "chat_message", "content": "go"})
    await asyncio.get_running_loop().sock_sendall(raw, start)
    return raw


@pytest.mark.parametrize("text", ["And so on. ", "x" * 20_000 + ". "], ids=["many small events", "few large ones"])
async def test_a_client_that_never_reads_costs_little_and_is_given_up(serve: Any, text: str) -> None:
    agent = Counted(text)
    served = await serve(agent, client_stall_seconds=0.6, reader_grace_seconds=0.1, outcome_seconds=0.0)
    finished: asyncio.Queue[Any] = asyncio.Queue()
    served.gateway.system.on_turn_finished(finished.put_nowait)
    raw = await _stuck(served)
    turn = await asyncio.wait_for(finished.get(), 20)
    assert (turn.status, turn.reason) == ("interrupted", "client_stalled")
    assert turn.chunks <= 256, "sent ahead of what was received"
    assert agent.said <= 256 + 16 + 4 * 100 + 10, "the agent was not held up"
    await all_gone(served.gateway)
    raw.close()


@pytest.mark.parametrize("text", ["and ", "*x* " * 4_000], ids=["tokens", "tokens and what is removed"])
async def test_an_observer_that_never_reads_costs_little_and_is_given_up(
    serve: Any, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """No event of a turn counts here: no sentence ever ends, or few do."""
    most = sent = 0
    send = Socket.send

    async def counted(self: Socket, message: str) -> None:
        nonlocal most, sent
        most, sent = max(most, len(message)), sent + len(message)
        await send(self, message)

    monkeypatch.setattr(Socket, "send", counted)
    agent = Counted(text)
    served = await serve(
        agent, speech=SpeechPipeline, client_stall_seconds=1.5, ping_seconds=0.5, outcome_seconds=0.0, observe=True
    )
    finished: asyncio.Queue[Any] = asyncio.Queue()
    served.gateway.system.on_turn_finished(finished.put_nowait)
    with await upgraded(served.port) as raw:
        said = ({"type": "authorize"}, {"type": "observe"}, {"type": "chat_message", "content": "go"})
        await asyncio.get_running_loop().sock_sendall(raw, b"".join(map(frame, said)))
        turn = await asyncio.wait_for(finished.get(), 20)
        assert (turn.status, turn.reason) == ("interrupted", "client_stalled")
        assert most < 40_000, "one message"
        assert sent < 200_000, "before the client answered anything"
        await all_gone(served.gateway)


async def test_others_feel_nothing_of_a_client_that_does_not_read(serve: Any) -> None:
    served = await serve(lambda request: Counted()(request) if request.content == "go" else ready(prose(300)))
    raws = [await _stuck(served) for _ in range(5)]
    async with served.client() as client:
        events = await client.talk("mine")
        hold_to_contract(events)
        assert len(chunks_of(events)) == 300
    for raw in raws:
        raw.close()


async def test_nothing_is_sent_beyond_the_window_until_the_client_says_that_it_has_received(serve: Any) -> None:
    served = await serve(lambda _request: ready(prose(100)), replay_window=20)
    async with served.client() as client:
        client.answers_pings = False
        await client.say("chat_message", content="go")
        heard: list[dict[str, Any]] = []
        while len([m for m in heard if m["type"] != "ping"]) < 20:
            heard.append(await client.hear())
        assert [m["type"] for m in heard].index("ping") == 10  # asked when half of the window is used
        link = served.gateway.sessions[client.connection_id].link
        assert not link.window.open
        await client.say("nothing")  # what comes next is no event
        assert (await client.hear())["type"] == "error"
        last = heard[-1]
        await client.say("pong", turn_id=last["turn_id"], last_seq=last["seq"] - 3)
        assert [(await client.hear()).get("seq") for _ in range(17)].count(None) <= 2
        client.answers_pings = True
        await client.say("pong")
        await client.until("stream_end")


async def test_played_chunks_open_the_window_too(serve: Any) -> None:
    served = await serve(lambda _request: ready(prose(200)), replay_window=8)
    async with served.client(flow="played") as client:
        client.answers_pings = False
        await client.say("chat_message", content="go")
        events: list[dict[str, Any]] = []
        while not events or events[-1]["type"] != "stream_end":
            message = await client.hear()
            if message["type"] == "tts_ready_chunk":
                await client.say("chunk_played", turn_id=message["turn_id"], seq=message["seq"])
            if "seq" in message:
                events.append(message)
        hold_to_contract(events)


async def test_a_client_that_answers_no_ping_is_given_up(serve: Any) -> None:
    served = await serve(lambda _request: hang(["One. ", "Two"]), ping_seconds=0.1, client_stall_seconds=0.3)
    async with served.client() as client:
        client.answers_pings = False
        heard, code, reason = await client.closed()
        assert [message["type"] for message in heard] == ["ping"]
        assert (code, reason) == (4408, "client_stalled")


async def test_a_client_that_answers_stays(serve: Any) -> None:
    served = await serve(lambda _request: ready(["Yes. "]), ping_seconds=0.05, client_stall_seconds=0.4)
    async with served.client() as client:
        client.answers_pings = False
        for _ in range(10):
            assert (await client.hear())["type"] == "ping"
            await client.say("pong")
        client.answers_pings = True
        assert (await client.talk())[-1]["status"] == "completed"


async def test_a_client_that_says_nothing_for_long_is_asked_to_leave(serve: Any) -> None:
    served = await serve(lambda _request: ready(["Yes. "]), idle_seconds=0.2)
    async with served.client() as client:
        assert await closed_with(client) == (4408, "idle")


async def test_the_time_in_which_a_turn_speaks_is_not_idle(serve: Any) -> None:
    go_on = asyncio.Event()

    async def agent(_request: Any) -> AsyncIterator[str]:
        await go_on.wait()
        yield "Yes. "

    served = await serve(agent, idle_seconds=1.0)
    async with served.client() as client:
        await client.say("chat_message", content="go")
        await client.until("stream_start")
        link = served.gateway.sessions[client.connection_id].link
        link.busy_at -= 60.0
        go_on.set()
        await client.until("stream_end")
        assert not link.idle(asyncio.get_running_loop().time()), "it went the moment that the turn ended"
        assert await closed_with(client) == (4408, "idle")


async def test_a_gateway_that_fails_says_so_and_closes(serve: Any) -> None:
    served = await serve(lambda _request: ready(["Yes. "]))
    async with served.client() as client:
        await served.gateway.system.get(client.connection_id).shutdown()
        await client.say("chat_message", content="go")
        assert await closed_with(client) == (1011, "internal")


async def test_events_that_cannot_be_sent_close_the_socket(serve: Any) -> None:
    """A pipeline of the application's own makes the chunks: here of text that UTF-8 cannot hold."""

    class Broken(Splitter):
        def feed(self, text: str) -> list[SpeechChunk]:
            return [chunk._replace(text="\ud800") for chunk in super().feed(text)]

    served = await serve(lambda _request: hang(["One. ", "Two"]), speech=Broken)
    async with served.client() as client:
        await client.say("chat_message", content="go")
        heard, code, reason = await client.closed()
        assert ([message["type"] for message in heard], code, reason) == (["stream_start"], 1011, "internal")


async def test_a_pong_says_no_more_than_its_last_seq(serve: Any) -> None:
    """Sent unasked while a ping is on its way, it does not answer: what came before that may be lost."""
    served = await serve(lambda _request: ready(prose(100)), replay_window=20)
    async with served.client() as client:
        client.answers_pings = False
        await client.say("chat_message", content="go")
        heard = (await client.until("ping"))[:-1]
        first = heard[0]
        await client.say("pong", turn_id=first["turn_id"], last_seq=first["seq"])
        while len(heard) < 21:
            heard.append(await client.hear())
        await client.say("nothing")  # what comes next is no event: the ping is not answered, and the window closed
        assert (await client.hear())["type"] == "error"
        client.answers_pings = True
        await client.say("pong", turn_id=first["turn_id"], last_seq=heard[-1]["seq"])
        await client.until("stream_end")


async def test_a_ping_from_before_a_burst_does_not_hold_it_up(serve: Any) -> None:
    """Its answer covers nothing of the burst, so the client has to be asked again, and at once."""
    served = await serve(lambda _request: ready(prose(20)), replay_window=8, ping_seconds=3600.0)
    async with served.client() as client:
        client.answers_pings = False
        await served.gateway.sessions[client.connection_id].link.ping()  # as the heartbeat does when all is quiet
        assert (await client.hear())["type"] == "ping"
        await client.say("chat_message", content="go")
        burst = [await client.hear() for _ in range(8)]
        client.answers_pings = True
        await client.say("pong")
        hold_to_contract(burst + await client.until("stream_end"))


async def test_a_pong_about_a_turn_of_the_socket_before_is_a_pong(serve: Any) -> None:
    served = await serve(lambda _request: ready(["Yes. "]), ping_seconds=0.05)
    async with served.client() as first:
        end = (await first.talk())[-1]
        await first.drop()
    async with served.socket() as second:
        await second.resume(first)
        second.answers_pings = False
        for _ in range(3):
            assert (await second.hear())["type"] == "ping"
            await second.say("pong", turn_id=end["turn_id"], last_seq=end["seq"])


def test_the_window_counts_over_turns_and_forgets_those_long_past() -> None:
    window = FlowWindow(10)
    assert window.received(None, -1)
    assert not window.received(None, 0)
    window.begin("a", -1)
    for _ in range(6):
        window.count()
    assert (window.ahead, window.open, window.wants_ping) == (6, True, True)
    window.ping()
    assert not window.wants_ping
    window.begin("b", 3)  # resumed behind its event 3
    window.count()
    assert window.ahead == 7
    window.pong()
    assert window.ahead == 1
    assert window.received("b", 4)
    assert window.ahead == 0
    assert not window.received("b", 5)
    assert window.received("a", 5)
    assert not window.received("a", 7)
    window.begin("c", -1)
    assert window.received("a", 999), "nothing is known of it any more"


async def test_who_never_says_that_a_chunk_was_played_has_stalled(serve: Any) -> None:
    """It answers every ping, so that it is missed by its acknowledgements alone."""
    served = await serve(lambda _request: ready(prose(20)), max_chunk_play_seconds=0.3, client_stall_seconds=20.0)
    async with served.client(flow="played") as client:
        end = (await client.talk())[-1]
        assert (end["status"], end["reason"]) == ("interrupted", "reader_gone")
        assert await closed_with(client) == (4408, "client_stalled")


async def test_a_long_chunk_may_be_said_for_longer_than_a_client_may_stall(serve: Any) -> None:
    served = await serve(lambda _request: ready(["A long one. "]), ping_seconds=0.05, client_stall_seconds=0.4)
    async with served.client(flow="played") as client:
        client.answers_pings = False
        await client.say("chat_message", content="go")
        pings = 0
        chunk: dict[str, Any] = {}
        while pings < 12:  # each at least 0.05 s after the pong before
            message = await client.hear()
            if message["type"] == "ping":
                pings += 1
                await client.say("pong")
            elif message["type"] == "tts_ready_chunk":
                chunk = message
        await client.say("chunk_played", turn_id=chunk["turn_id"], seq=chunk["seq"])
        client.answers_pings = True
        assert (await client.until("stream_end"))[-1]["status"] == "completed"


def test_the_kernel_holds_little_for_a_client_that_does_not_read() -> None:
    (listening,) = bind("127.0.0.1", 0, 16_384)
    with listening:
        assert listening.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 2 * 16_384  # Linux doubles it, for itself


@pytest.mark.parametrize("compression", [False, True])
async def test_messages_are_compressed_only_where_that_was_asked_for(serve: Any, compression: bool) -> None:
    served = await serve(lambda _request: ready(prose(5)), compression=compression)
    async with served.client() as client:
        assert bool(client.ws.protocol.extensions) is compression
        hold_to_contract(await client.talk())
