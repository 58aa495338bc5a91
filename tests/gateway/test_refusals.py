"""Everything that the gateway refuses, each by its code, and what it does to the socket."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from agents import hang, ready
from gateway.talking import Client, Served, all_gone, closed_with
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from protocol.errors import GatewayCode

MINE = "a-token-of-anna-s"


def quiet(_request: Any) -> Any:
    return ready(["Yes. "])


def waiting(_request: Any) -> Any:
    return hang(["One. ", "Two"])


async def _error(client: Client, kind: str, **fields: Any) -> tuple[str, str | None]:
    await client.say(kind, **fields)
    answer = await client.hear()
    assert answer["type"] == "error"
    return answer["code"], answer.get("field")


@pytest.mark.parametrize(
    ("text", "code", "field"),
    [
        ("{", "bad_json", None),
        ('{"type": "nope"}', "unknown_type", "type"),
        ('{"content": "Hi"}', "bad_message", "type"),
        ('{"type": "chat_message", "content": 1}', "bad_message", "content"),
        ('{"type": "chat_message", "content": "Hi", "session": "s"}', "bad_message", "session"),
        (b"{}", "bad_message", None),
    ],
)
async def test_a_message_that_is_none_is_answered_and_the_connection_goes_on(
    serve: Any, text: Any, code: str, field: str | None
) -> None:
    served = await serve(quiet)
    async with served.client() as client:
        await client.ws.send(text)
        answer = await client.hear()
        assert (answer["type"], answer["code"], answer.get("field")) == ("error", code, field)
        assert (await client.talk())[-1]["status"] == "completed"


async def test_five_of_them_in_a_row_close_the_socket(serve: Any) -> None:
    served = await serve(quiet)
    async with served.client() as client:
        for _ in range(4):
            await client.ws.send("nonsense")
        await client.say("pong")  # one that is right begins the count anew
        for _ in range(5):
            await client.ws.send("nonsense")
        heard, code, reason = await client.closed()
        assert [message["code"] for message in heard] == ["bad_json"] * 9 + ["too_many_errors"]
        assert (code, reason) == (4400, "too_many_errors")


async def test_text_and_metadata_have_limits(serve: Any) -> None:
    served = await serve(quiet, max_text_chars=10, max_metadata_bytes=20)
    async with served.client() as client:
        assert await _error(client, "chat_message", content="x" * 11) == ("text_too_long", "content")
        assert await _error(client, "chat_message", content="x", metadata={"a": "x" * 20}) == (
            "metadata_too_big",
            "metadata",
        )
        assert (await client.talk("x" * 10, metadata={"a": "x"}))[-1]["status"] == "completed"


@pytest.mark.parametrize("letter", ["x", "ü"])
async def test_a_message_has_a_limit_in_bytes(serve: Any, letter: str) -> None:
    served = await serve(quiet, max_message_bytes=400)
    async with served.client() as client:
        assert (await client.talk("x" * 300))[-1]["status"] == "completed"
        await client.ws.send('{"type": "chat_message", "content": "' + letter * (380 // len(letter.encode())) + '"}')
        heard, code, reason = await client.closed()
        assert [message["code"] for message in heard] == ["message_too_big"]
        assert (code, reason) == (1009, "message_too_big")


async def test_the_answer_to_what_is_beyond_a_limit_names_its_setting(serve: Any) -> None:
    """A text within `max_text_chars` can be beyond `max_message_bytes`, when its characters take three bytes each."""
    served = await serve(quiet)
    for content, setting in (("x" * 32_001, "max_text_chars"), ("字" * 32_000, "max_message_bytes")):
        async with served.client() as client:
            await client.ws.send(json.dumps({"type": "chat_message", "content": content}, ensure_ascii=False))
            assert setting in (await client.hear())["error"]
    async with served.client() as client:
        await client.say("chat_message", content="x", metadata={"a": "x" * 5_000})
        assert "max_metadata_bytes" in (await client.hear())["error"]
    async with served.socket() as client:
        await client.say("authorize", token="x" * 5_000)
        assert "max_first_message_bytes" in (await client.hear())["error"]


async def test_a_frame_that_is_far_too_big_is_not_even_read(serve: Any) -> None:
    served = await serve(quiet, max_message_bytes=1000)
    async with served.client() as client:
        await client.ws.send("x" * 100_000)
        heard, code, _reason = await client.closed()
        assert (heard, code) == ([], 1009)


async def test_the_first_message_has_a_limit_of_its_own(serve: Any) -> None:
    served = await serve(quiet, max_first_message_bytes=100)
    async with served.socket() as client:
        await client.say("authorize", token="x" * 100)
        heard, code, reason = await client.closed()
        assert [message["code"] for message in heard] == ["message_too_big"]
        assert (code, reason) == (1009, "message_too_big")


async def test_nothing_is_done_before_authorize(serve: Any) -> None:
    served = await serve(quiet)
    async with served.socket() as client:
        await client.say("chat_message", content="Hi")
        heard, code, reason = await client.closed()
        assert [message["code"] for message in heard] == ["not_authorized"]
        assert (code, reason) == (4401, "not_authorized")


async def test_what_comes_first_and_is_nothing_closes_the_socket(serve: Any) -> None:
    served = await serve(quiet)
    async with served.socket() as client:
        await client.ws.send("GET / HTTP/1.1")
        assert await closed_with(client) == (4400, "bad_json")


async def test_authorize_must_come_in_time(serve: Any) -> None:
    served = await serve(quiet, authorize_seconds=0.1)
    async with served.socket() as client:
        heard, code, reason = await client.closed()
        assert [message["code"] for message in heard] == ["authorize_timeout"]
        assert (code, reason) == (4408, "authorize_timeout")
    assert served.gateway.heads.unauthorized == 0


@pytest.mark.parametrize("token", [None, "", "wrong", MINE + " "])
async def test_a_token_that_is_not_known_is_refused(serve: Any, token: str | None) -> None:
    served = await serve(quiet, authenticator={MINE: "anna"}.get)
    async with served.socket() as client:
        await client.say("authorize", **({} if token is None else {"token": token}))
        answer = await client.hear()
        assert (answer["type"], answer["code"]) == ("authorize_error", "authorize_refused")
        assert await closed_with(client) == (4401, "authorize_refused")


async def test_an_authenticator_that_fails_lets_nobody_in(serve: Any) -> None:
    async def broken(_token: str | None) -> str | None:
        raise ConnectionError("no database")

    served = await serve(quiet, authenticator=broken)
    async with served.socket() as client:
        await client.say("authorize", token=MINE)
        assert await closed_with(client) == (4401, "authorize_refused")


async def test_an_authenticator_that_does_not_answer_lets_nobody_in_and_holds_no_place(serve: Any) -> None:
    served = await serve(quiet, authenticator=lambda _token: asyncio.Event().wait(), authorize_seconds=0.2)
    async with served.socket() as client:
        await client.say("authorize", token=MINE)
        assert await closed_with(client) == (4401, "authorize_refused")
    assert served.gateway.heads.unauthorized == 0


async def test_a_socket_is_authorised_once(serve: Any) -> None:
    served = await serve(quiet)
    async with served.client() as client:
        assert (await _error(client, "authorize"))[0] == "already_authorized"
        again = {"connection_id": client.connection_id, "resume_token": client.resume_token}
        assert (await _error(client, "resume", **again))[0] == "already_authorized"
        assert (await client.talk())[-1]["status"] == "completed"


async def test_an_acknowledgement_from_the_future_is_an_error_and_changes_nothing(serve: Any) -> None:
    served = await serve(waiting)
    async with served.client() as client:
        await client.say("chat_message", content="go")
        chunk = (await client.until("tts_ready_chunk"))[-1]
        turn_id = chunk["turn_id"]
        assert await _error(client, "chunk_played", turn_id=turn_id, seq=999) == ("bad_ack", "seq")
        assert await _error(client, "pong", last_seq=999) == ("bad_ack", "last_seq")
        assert await _error(client, "interrupt_stream", playing={"seq": 999, "chars": 1}) == ("bad_ack", "seq")
        answer = (await client.until("stream_end"))[-2]
        assert (answer["type"], answer["played_text"]) == ("interrupted", "")


async def test_only_turns_of_this_connection_can_be_named(serve: Any) -> None:
    served = await serve(waiting)
    async with served.client() as other, served.client() as client:
        assert (await _error(client, "interrupt_stream"))[0] == "turn_not_found"
        await other.say("chat_message", content="go")
        turn_id = (await other.until("tts_ready_chunk"))[-1]["turn_id"]
        assert (await _error(client, "interrupt_stream", turn_id=turn_id))[0] == "turn_not_found"
        assert (await _error(client, "chunk_played", turn_id=turn_id, seq=0))[0] == "turn_not_found"
        turn = served.gateway.system.get(other.connection_id).get_turn(turn_id)
        assert (turn.status, turn.played_text) == ("processing", "")


async def test_a_gateway_that_is_set_to_refuse_a_second_turn_does(serve: Any) -> None:
    served = await serve(waiting, on_busy="reject")
    async with served.client() as client:
        await client.say("observe")
        await client.until("inspect")
        await client.say("chat_message", content="go")
        await client.until("tts_ready_chunk")
        await client.say("chat_message", content="once more")
        assert (await client.until("error"))[-1]["code"] == "turn_active"


async def test_turns_a_minute_have_a_limit(serve: Any) -> None:
    served = await serve(quiet, turns_per_minute=2)
    async with served.client() as client, served.client() as other:
        for _ in range(2):
            await client.talk()
        assert (await _error(client, "chat_message", content="third"))[0] == "too_many_turns"
        await other.talk()


async def test_a_user_has_only_so_many_connections(serve: Any) -> None:
    served = await serve(quiet, authenticator=lambda token: token, max_connections_per_user=2, outcome_seconds=0)
    async with served.client("anna"), served.client("anna"), served.client("berta"), served.socket() as client:
        await client.say("authorize", token="anna")
        answer = await client.hear()
        assert (answer["type"], answer["code"]) == ("authorize_error", "too_many_connections")
        assert await closed_with(client) == (4429, "too_many_connections")
    await all_gone(served.gateway)
    async with served.client("anna"):
        pass


async def test_only_who_was_not_asked_for_a_name_is_not_counted_by_it(serve: Any) -> None:
    """Everybody on loopback is `local`, many people as it may be; a user whom an authenticator calls so is one."""
    open_to_all = await serve(quiet, max_connections_per_user=1)
    async with open_to_all.client(), open_to_all.client():
        pass
    served = await serve(quiet, authenticator=lambda token: token, max_connections_per_user=1)
    async with served.client("local"), served.socket() as client:
        await client.say("authorize", token="local")
        assert await closed_with(client) == (4429, "too_many_connections")


async def _turned_away(served: Served, **options: Any) -> tuple[int, str]:
    with pytest.raises(InvalidStatus) as caught:
        async with connect(served.url, proxy=None, **options):
            pass
    return caught.value.response.status_code, (caught.value.response.body or b"").decode()


async def test_a_full_server_says_so_before_it_accepts(serve: Any) -> None:
    served = await serve(quiet, max_connections=2)
    async with served.client(), served.client():
        assert await _turned_away(served) == (503, '{"code":"too_many_connections"}\n')


async def test_sockets_that_say_nothing_have_a_limit_of_their_own(serve: Any) -> None:
    served = await serve(quiet, max_unauthorized=2)
    async with served.client(), served.socket() as one, served.socket():
        assert await _turned_away(served) == (503, '{"code":"too_many_connections"}\n')
        await one.authorize()
        async with served.socket():
            pass


async def test_observe_can_be_off(serve: Any) -> None:
    served = await serve(quiet, observe=False)
    async with served.client() as client:
        assert (await _error(client, "observe"))[0] == "observe_refused"


async def test_a_server_that_goes_down_takes_nothing_new(serve: Any) -> None:
    served = await serve(lambda _request: hang(["One. ", "Two"]), drain_seconds=0.3)
    async with served.client() as idle, served.socket() as late, served.client() as client:
        await client.say("chat_message", content="go")
        await client.until("tts_ready_chunk")
        draining = asyncio.create_task(served.gateway.drain())
        assert await closed_with(idle) == (1012, "draining")
        assert await _turned_away(served) == (503, '{"code":"draining"}\n')
        await late.say("authorize")
        assert await closed_with(late) == (1012, "draining")
        assert (await _error(client, "chat_message", content="more"))[0] == "draining"
        await client.drained()
        await draining


@pytest.mark.parametrize("resumes", [False, True])
async def test_who_is_still_being_asked_for_when_the_server_goes_down_is_not_let_in(
    serve: Any, resumes: bool
) -> None:
    asked, answer = asyncio.Event(), asyncio.Event()
    answer.set()

    async def slow(token: str | None) -> str | None:
        asked.set()
        await answer.wait()
        return token

    served = await serve(waiting, authenticator=slow, drain_seconds=5.0)
    async with served.client("anna") as speaker, served.client("anna") as dropped, served.socket() as late:
        await speaker.say("chat_message", content="go")
        await speaker.until("tts_ready_chunk")
        await dropped.drop()
        asked.clear()
        answer.clear()
        resume = {"connection_id": dropped.connection_id, "resume_token": dropped.resume_token}
        await late.say("resume", **resume) if resumes else await late.say("authorize", token="anna")
        await asyncio.wait_for(asked.wait(), 10)
        draining = asyncio.create_task(served.gateway.drain())
        await asyncio.sleep(0)
        answer.set()
        assert await closed_with(late) == (1012, "draining")
        assert not draining.done(), "it was let in, and sent away at the end"
        await speaker.say("interrupt_stream")
        await draining


async def test_a_turn_that_ends_in_time_is_not_cut_short_by_a_drain(serve: Any) -> None:
    go_on = asyncio.Event()

    async def agent(_request: Any) -> Any:
        yield "One. "
        await go_on.wait()
        yield "Two. "

    served = await serve(agent)
    async with served.client() as client:
        await client.say("chat_message", content="go")
        await client.until("stream_start")
        draining = asyncio.create_task(served.gateway.drain())
        await asyncio.sleep(0)
        go_on.set()
        heard, code, _reason = await client.closed()
        assert (heard[-1]["status"], code) == ("completed", 1012)
        await draining


def test_every_code_is_in_a_test() -> None:
    """As the text that a client gets, somewhere in this folder."""
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    assert [code for code in GatewayCode if not re.search(rf'"{code}\\?"', tests)] == []
