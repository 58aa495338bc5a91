"""A gateway that is one of many: a client that comes back to another one than its connection's."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import Any

import pytest
from agents import endless, hang, prose, say
from conversations import chunks_of, hold_to_contract
from gateway.raw import frame, upgraded
from gateway.talking import PATIENCE, Served, all_gone

from actors.gateway.neighbours import Place
from actors.gateway.relay import RELAYED
from actors.gateway.tokens import Seal
from protocol.messages import CloseCode

KEY = "a key that all gateways of a fleet have"


class Directory:
    """Knows where every connection is: where a test says."""

    def __init__(self, place: Place | None) -> None:
        self.place = place
        self.asked: list[str] = []

    def opened(self, connection_id: str) -> None: ...

    def ended(self, connection_id: str) -> None: ...

    async def find(self, connection_id: str) -> Place | None:
        self.asked.append(connection_id)
        return self.place


@pytest.fixture
async def pair(serve: Any) -> Any:
    """Two gateways: the home of all connections, and another one that can be asked to go on with them."""

    async def start(agent: Any, **settings: Any) -> tuple[Served, Served]:
        home = await serve(agent, resume_key=KEY, **settings)
        away = await serve(agent, resume_key=KEY, **settings)
        away.gateway.neighbours = Directory(Place(f"http://127.0.0.1:{home.port}"))
        return home, away

    return start


@pytest.fixture
def unused_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


@asynccontextmanager
async def dropped(home: Served, **first: Any) -> Any:
    """A client whose socket dropped."""
    async with home.client() as client:
        if first:
            await client.say("chat_message", **first)
            client.heard = await client.until("tts_ready_chunk")  # type: ignore[attr-defined]
        await client.drop()
        yield client


async def test_a_burst_goes_through_without_a_gap(pair: Any) -> None:
    home, away = await pair(lambda _request: say(prose(300)))
    async with dropped(home, content="go") as first, away.socket() as second:
        last = first.heard[-1]
        await second.resume(first, turn_id=last["turn_id"], after_seq=last["seq"])
        events = first.heard + await second.until("stream_end")
        hold_to_contract(events)
        assert len(chunks_of(events)) == 300


async def test_without_the_same_key_nobody_is_asked(pair: Any, serve: Any) -> None:
    home, away = await pair(hang)
    stranger = await serve(hang, resume_key="another key, which is as long as it has to be")
    stranger.gateway.neighbours = away.gateway.neighbours
    async with dropped(home) as first, stranger.socket() as second:
        await second.say("resume", connection_id=first.connection_id, resume_token=first.resume_token)
        [refusal], code, _reason = await second.closed()
        assert (refusal["code"], code) == ("resume_refused", CloseCode.NOT_AUTHORIZED)
        assert stranger.gateway.neighbours.asked == []


@pytest.mark.parametrize("turn_id", [None, "a-turn"])
async def test_what_died_with_its_process_is_told_as_failed(pair: Any, turn_id: str | None) -> None:
    home, away = await pair(hang)
    away.gateway.neighbours.place = Place(None)
    fields = {} if turn_id is None else {"turn_id": turn_id}
    async with dropped(home) as first, away.socket() as second:
        await second.say("resume", connection_id=first.connection_id, resume_token=first.resume_token, **fields)
        [lost], code, reason = await second.closed()
        assert (lost["type"], lost["code"], code, reason) == (
            "resume_error",
            "node_lost",
            CloseCode.NOT_AUTHORIZED,
            "node_lost",
        )
        assert (lost.get("turn_id"), lost.get("turn_status")) == (turn_id, "failed" if turn_id else None)


async def test_a_process_that_nobody_knows_to_be_dead_yet_is_told_as_lost_too(pair: Any, unused_port: int) -> None:
    home, away = await pair(hang)
    away.gateway.neighbours.place = Place(f"http://127.0.0.1:{unused_port}")
    async with dropped(home) as first, away.socket() as second:
        await second.say("resume", connection_id=first.connection_id, resume_token=first.resume_token)
        [lost], _code, _reason = await second.closed()
        assert lost["code"] == "node_lost"


async def test_one_that_cannot_be_reached_for_now_loses_nothing(pair: Any) -> None:
    home, away = await pair(hang)
    home.gateway.settings = home.gateway.settings.model_copy(update={"max_connections": 1})
    # With another client it is full, and refuses the handshake.
    async with dropped(home) as first, home.socket(), away.socket() as second:
        await second.say("resume", connection_id=first.connection_id, resume_token=first.resume_token)
        [later], code, _reason = await second.closed()
        assert (later["code"], code) == ("internal", CloseCode.RESTART)
    home.gateway.settings = home.gateway.settings.model_copy(update={"max_connections": 10})
    async with away.socket() as third:
        assert (await third.resume(first))["connection_id"] == first.connection_id


async def test_a_relay_ends_with_its_gateway_and_the_connection_does_not(pair: Any) -> None:
    home, away = await pair(hang)
    async with dropped(home) as first, away.socket() as second:
        await second.resume(first)
        draining = asyncio.create_task(away.gateway.drain())
        _heard, code, reason = await second.closed()
        assert (code, reason) == (CloseCode.RESTART, "draining")
        await draining
    async with home.socket() as third:
        assert (await third.resume(second))["connection_id"] == first.connection_id


async def test_what_is_no_message_ends_a_relay(pair: Any) -> None:
    home, away = await pair(hang, max_message_bytes=4096)
    async with dropped(home) as first, away.socket() as second:
        await second.resume(first)
        await second.say("chat_message", content="x" * 5000)
        [error], code, _reason = await second.closed()
        assert (error["code"], code) == ("message_too_big", CloseCode.TOO_BIG)


async def test_a_client_that_stops_reading_does_not_hold_its_relay(pair: Any) -> None:
    home, away = await pair(
        lambda _request: endless("x" * 5_000 + ". "), client_stall_seconds=0.5, ping_seconds=0.2, outcome_seconds=0.0
    )
    async with dropped(home) as first:
        with await upgraded(away.port) as raw:
            resume = {"type": "resume", "connection_id": first.connection_id, "resume_token": first.resume_token}
            started = frame(resume) + frame({"type": "chat_message", "content": "go"})
            await asyncio.get_running_loop().sock_sendall(raw, started)
            async with asyncio.timeout(PATIENCE):
                while not away.gateway.heads.sockets:  # noqa: ASYNC110 - nobody tells of it
                    await asyncio.sleep(0.01)
            await all_gone(away.gateway)
            await all_gone(home.gateway)


@pytest.mark.parametrize(("key", "observed"), [(KEY, "observe_refused"), ("x" * 40, None)])
async def test_a_relayed_client_is_who_it_is_and_nobody_else_can_say_so(
    serve: Any, key: str, observed: str | None
) -> None:
    """Sockets between gateways come from loopback, where a client may do more."""
    served = await serve(hang, authenticator=lambda _token: "anna", resume_key=KEY)
    far = "203.0.113.7"
    headers = {RELAYED: f"{far} {Seal(key).of('relayed', far)}"}
    async with served.client(additional_headers=headers) as client:
        await client.say("observe")
        heard = await client.hear()
        assert heard.get("code") == observed


@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "Via"])
async def test_whoever_comes_through_a_proxy_is_not_on_this_machine(pair: Any, serve: Any, header: str) -> None:
    """The proxy is, and its clients would all be `local`, and see of their turns what is not meant to be spoken."""
    proxied = {"additional_headers": {header: "for=127.0.0.1"}}
    alone = await serve(hang)
    async with alone.socket(**proxied) as client:
        await client.say("authorize")
        assert (await client.hear())["code"] == "authorize_refused"
    home, away = await pair(hang, authenticator=lambda _token: "anna")
    async with home.client(**proxied) as first, away.socket(**proxied) as second:
        await first.say("observe")
        assert (await first.hear())["code"] == "observe_refused"
        await first.drop()
        await second.resume(first)
        await second.say("observe")
        assert (await second.hear())["code"] == "observe_refused"


def test_a_token_is_known_to_whoever_has_the_key_and_for_its_connection_alone() -> None:
    token = Seal(KEY).new_token("c1")
    assert Seal(KEY).knows("c1", token)
    assert not Seal(KEY).knows("c2", token)
    assert not Seal().knows("c1", token)
    assert not Seal(KEY).knows("c1", token.partition(".")[0])
    assert not Seal(KEY).knows("c1", token[:-1] + ("0" if token[-1] != "0" else "1"))
    assert not Seal(KEY).knows("c1", "\ud800")
