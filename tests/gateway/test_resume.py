"""Sockets drop, conversations go on: without a gap, without a double, and only for whom they belong to."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from agents import endless, hang, prose, ready, say, stubborn
from conversations import chunks_of, end_of, hold_to_contract
from gateway.talking import Served, all_gone, closed_with

MINE, HERS = "a-token-of-anna-s", "a-token-of-berta"


def talker(_request: Any) -> Any:
    return say(prose(100))


@pytest.mark.parametrize("after", [1, 7, 60])
async def test_a_resumed_turn_has_no_gap_and_no_double(serve: Any, after: int) -> None:
    """In the middle of a burst: some of what was sent never arrived, and more was said meanwhile."""
    served = await serve(talker)
    async with served.client() as first:
        await first.say("chat_message", content="go")
        events = [await first.hear() for _ in range(after)]
        await first.drop()
    async with served.socket() as second:
        last = events[-1]
        welcome = await second.resume(first, turn_id=last["turn_id"], after_seq=last["seq"])
        assert (welcome["turn_id"], welcome["connection_id"]) == (last["turn_id"], first.connection_id)
        events += await second.until("stream_end")
        hold_to_contract(events)
        assert len(chunks_of(events)) == 100


async def test_a_turn_that_ended_meanwhile_is_told_to_its_end(serve: Any) -> None:
    served = await serve(talker)
    finished: asyncio.Queue[Any] = asyncio.Queue()
    served.gateway.system.on_turn_finished(finished.put_nowait)
    async with served.client() as first:
        events = await first.talk("go")
        await first.drop()
    async with served.socket() as second:
        welcome = await second.resume(first, turn_id=events[0]["turn_id"], after_seq=events[49]["seq"])
        assert welcome["status"] == "completed"
        again = await second.until("stream_end")
        hold_to_contract(events[:50] + again)
        assert (await second.talk("go on"))[-1]["status"] == "completed"


async def test_a_client_that_has_all_of_a_turn_gets_nothing_of_it_again(serve: Any) -> None:
    served = await serve(talker)
    async with served.client() as first:
        end = (await first.talk("go"))[-1]
        await first.drop()
    async with served.socket() as second:
        await second.resume(first, turn_id=end["turn_id"], after_seq=end["seq"])
        await second.say("interrupt_stream")
        answer = await second.hear()
        assert (answer["type"], answer["status"]) == ("interrupted", "completed")


async def test_a_client_that_names_no_turn_gets_the_one_that_speaks(serve: Any) -> None:
    served = await serve(lambda _request: hang(["One. ", "Two. ", "Three"]))
    async with served.client() as first:
        await first.say("chat_message", content="go")
        start = (await first.until("tts_ready_chunk"))[0]
        await first.drop()
    async with served.socket() as second:
        welcome = await second.resume(first)
        assert (welcome["turn_id"], welcome["status"]) == (start["turn_id"], "processing")
        assert (await second.hear())["seq"] == 0
        await second.say("interrupt_stream")
        assert end_of(await second.until("stream_end"))[0] == "interrupted"


async def test_a_connection_without_a_turn_is_resumed_too(serve: Any) -> None:
    served = await serve(talker)
    async with served.client() as first:
        await first.drop()
    async with served.socket() as second:
        welcome = await second.resume(first, flow="played")
        assert "turn_id" not in welcome
        await second.say("chat_message", content="go")
        await second.until("tts_ready_chunk")
        assert served.gateway.sessions[first.connection_id].flow == "played"


async def test_turns_that_the_client_never_heard_of_come_after_the_one_it_knows(serve: Any) -> None:
    served = await serve(lambda request: endless(request.content))
    async with served.client() as first:
        await first.say("chat_message", content="Once. ")
        start = (await first.until("tts_ready_chunk"))[0]
        await first.say("chat_message", content="Twice. ")
        await first.until("stream_end")
        await first.until("tts_ready_chunk")
        await first.drop()
    async with served.socket() as second:
        await second.resume(first, turn_id=start["turn_id"], after_seq=0)
        once = await second.until("stream_end")
        assert (once[0]["seq"], end_of(once)) == (1, ("interrupted", "barge_in"))
        twice = await second.until("tts_ready_chunk")
        assert ([event["seq"] for event in twice[:2]], twice[-1]["chunk"]) == ([0, 1], "Twice. ")
        await second.drop()


async def test_turns_after_the_one_it_knows_that_cannot_be_sent_whole_are_a_gap(serve: Any) -> None:
    served = await serve(talker, replay_window=8)
    async with served.client() as first:
        known = (await first.talk("Once. "))[-1]
        unknown = (await first.talk("Twice. "))[-1]
        await first.drop()
    resume = {"connection_id": first.connection_id, "resume_token": first.resume_token}
    async with served.socket() as second:
        await second.say("resume", **resume, turn_id=known["turn_id"], after_seq=known["seq"])
        answer = await second.hear()
        assert (answer["type"], answer["code"]) == ("resume_error", "replay_gap")
        assert (answer["turn_id"], answer["turn_status"]) == (unknown["turn_id"], "completed")
    async with served.socket() as third:  # the token is still good
        await third.resume(first, turn_id=unknown["turn_id"], after_seq=unknown["seq"])


async def test_what_the_socket_before_still_asked_for_is_heard_on_the_new_one(serve: Any) -> None:
    """It was in line behind an interrupt, which takes as long as the agent takes to stop."""
    served = await serve(
        lambda request: stubborn(["One. ", "Two"], seconds=0.5) if request.content == "once" else ready(["Twice. "])
    )
    async with served.client() as first, served.socket() as second:
        await first.say("chat_message", content="once")
        last = (await first.until("tts_ready_chunk"))[-1]
        await first.say("interrupt_stream")
        await first.say("chat_message", content="twice")
        await first.until("stream_end")
        await second.resume(first, turn_id=last["turn_id"], after_seq=last["seq"])
        await second.until("stream_end")
        again = await second.until("stream_end")
        hold_to_contract(again)
        assert chunks_of(again) == ["Twice. "]


async def test_the_grace_of_a_turn_whose_client_does_not_come_back_ends(serve: Any) -> None:
    served = await serve(lambda _request: hang(["One. ", "Two. ", "Three"]), reconnect_grace_seconds=0.2)
    finished: asyncio.Queue[Any] = asyncio.Queue()
    served.gateway.system.on_turn_finished(finished.put_nowait)
    async with served.client() as first:
        await first.say("chat_message", content="go")
        chunk = (await first.until("tts_ready_chunk"))[-1]
        await first.say("chunk_played", turn_id=chunk["turn_id"], seq=chunk["seq"])
        await first.say("observe")
        await first.until("inspect")
        await first.drop()
    turn = await asyncio.wait_for(finished.get(), 10)
    assert (turn.status, turn.reason) == ("interrupted", "client_gone")
    async with served.socket() as second:  # too late: it is told how it ended
        await second.say("resume", connection_id=first.connection_id, resume_token=first.resume_token)
        answer = await second.hear()
        assert (answer["type"], answer["code"]) == ("resume_error", "resume_too_late")
        assert (answer["turn_id"], answer["turn_status"], answer["played_text"]) == (
            chunk["turn_id"],
            "interrupted",
            "One. ",
        )
        assert (await closed_with(second))[0] == 4401


async def test_who_comes_while_the_connection_is_being_given_up_is_told_how_it_ended(serve: Any) -> None:
    """That takes as long as the agent takes to stop."""
    served = await serve(lambda _request: stubborn(["One. ", "Two"], seconds=0.5), reconnect_grace_seconds=0.05)
    async with served.client() as first:
        await first.say("chat_message", content="go")
        await first.until("tts_ready_chunk")
        await first.drop()
    async with served.socket() as second:
        async with asyncio.timeout(10):
            while first.connection_id in served.gateway.sessions:  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(0.01)
        await second.say("resume", connection_id=first.connection_id, resume_token=first.resume_token)
        answer = await second.hear()
        assert (answer["code"], answer["turn_status"]) == ("resume_too_late", "interrupted")


async def _a_moment_without_a_reader(served: Served) -> None:
    """Wait for as long as the engine by itself gives a turn that nobody reads."""
    finished: asyncio.Queue[Any] = asyncio.Queue()
    served.gateway.system.on_turn_finished(finished.put_nowait)
    await served.gateway.system.connect().start_turn(agent_stream=hang(["One. ", "Two"]))
    assert (await asyncio.wait_for(finished.get(), 20)).reason == "reader_gone"


async def test_a_client_may_be_away_for_as_long_as_the_gateway_says_whatever_the_engine_would(serve: Any) -> None:
    served = await serve(
        lambda _request: hang(["One. ", "Two. ", "Three"]), reader_grace_seconds=0.1, reconnect_grace_seconds=30.0
    )
    async with served.client() as first:
        await first.say("chat_message", content="go")
        last = (await first.until("tts_ready_chunk"))[-1]
        await first.drop()
    await _a_moment_without_a_reader(served)
    async with served.socket() as second:
        welcome = await second.resume(first, turn_id=last["turn_id"], after_seq=last["seq"])
        assert welcome["status"] == "processing"
        assert (await second.hear())["chunk"] == "Two. "
        await second.say("chunk_played", turn_id=last["turn_id"], seq=last["seq"] + 1)
        await second.say("interrupt_stream")
        assert (await second.until("interrupted"))[-1]["played_text"] == "One. Two. "


async def test_who_closes_in_good_form_is_not_waited_for(serve: Any) -> None:
    served = await serve(lambda _request: hang(["One. ", "Two"]))
    finished: asyncio.Queue[Any] = asyncio.Queue()
    served.gateway.system.on_turn_finished(finished.put_nowait)
    async with served.client() as client:
        await client.say("chat_message", content="go")
        await client.until("tts_ready_chunk")
    assert (await asyncio.wait_for(finished.get(), 5)).reason == "client_gone"


async def test_what_has_left_the_window_is_told_by_the_turns_outcome(serve: Any) -> None:
    served = await serve(talker, replay_window=8)
    async with served.client() as first:
        events = await first.talk("go")
        await first.drop()
    for turn_id, code, status in (
        (events[0]["turn_id"], "replay_gap", "completed"),
        ("none", "turn_not_found", None),
    ):
        async with served.socket() as second:  # refused, so the token is still good
            resume = {"connection_id": first.connection_id, "resume_token": first.resume_token}
            await second.say("resume", **resume, turn_id=turn_id, after_seq=3)
            answer = await second.hear()
            assert (answer["type"], answer["code"], answer.get("turn_status")) == ("resume_error", code, status)
    async with served.socket() as third:
        await third.resume(first)


async def test_the_socket_before_is_closed_and_its_connection_goes_on(serve: Any) -> None:
    served = await serve(lambda _request: endless("On. ", 0.001))
    async with served.client() as first, served.socket() as second:
        await first.say("chat_message", content="go")
        last = (await first.until("tts_ready_chunk"))[-1]
        await second.resume(first, turn_id=last["turn_id"], after_seq=last["seq"])
        assert (await second.hear())["seq"] == last["seq"] + 1
        assert await closed_with(first) == (4409, "replaced")
        await second.until("tts_ready_chunk")
        await second.drop()


async def _refused(served: Any, **resume: Any) -> dict[str, Any]:
    async with served.socket() as client:
        await client.say("resume", **resume)
        answer = await client.hear()
        assert answer["type"] == "resume_error"
        assert (await closed_with(client))[1] == answer["code"]
        refusal: dict[str, Any] = answer
        return refusal


async def test_unknown_wrong_and_used_tokens_are_answered_alike(serve: Any) -> None:
    served = await serve(talker)
    async with served.client() as first:
        await first.drop()
    async with served.socket() as second:
        await second.resume(first)
        wrong = [
            {"connection_id": first.connection_id, "resume_token": first.resume_token},  # used
            {"connection_id": first.connection_id, "resume_token": second.resume_token[::-1]},
            {"connection_id": "nobody", "resume_token": second.resume_token},
            {"connection_id": first.connection_id, "resume_token": ""},
        ]
        answers = [await _refused(served, **resume) for resume in wrong]
        assert [answer["code"] for answer in answers] == ["resume_refused"] * 4
        assert all(answer == answers[0] for answer in answers)
        assert (await second.talk("still mine"))[-1]["status"] == "completed"


async def test_a_token_is_good_for_one_of_two_that_come_at_once(serve: Any) -> None:
    served = await serve(talker)
    async with served.client() as first:
        await first.drop()

    async def try_it() -> str:
        async with served.socket() as client:
            await client.say("resume", connection_id=first.connection_id, resume_token=first.resume_token)
            answer = await client.hear()
            kind: str = answer["type"]
            if kind == "resume_success":
                await client.drop()
            return kind

    assert sorted(await asyncio.gather(try_it(), try_it())) == ["resume_error", "resume_success"]


async def test_five_failures_a_minute_are_enough_for_an_address(serve: Any) -> None:
    served = await serve(talker)
    async with served.client() as first:
        await first.drop()
    for _ in range(5):
        await _refused(served, connection_id=first.connection_id, resume_token="guess")
    right = {"connection_id": first.connection_id, "resume_token": first.resume_token}
    assert (await _refused(served, **right))["code"] == "too_many_attempts"


async def test_a_user_who_was_shut_out_meanwhile_does_not_come_back(serve: Any) -> None:
    users = {MINE: "anna", HERS: "berta"}
    served = await serve(talker, authenticator=users.get)
    async with served.client(MINE) as first:
        await first.drop()
    users[MINE] = "berta"  # the token is somebody else's now
    answer = await _refused(served, connection_id=first.connection_id, resume_token=first.resume_token)
    assert answer["code"] == "resume_refused"


async def test_resume_tokens_are_long_random_and_kept_hashed_only(serve: Any) -> None:
    served = await serve(lambda _request: ready(["Yes. "]))
    async with served.client() as first, served.client() as second:
        assert len({first.resume_token, second.resume_token}) == 2
        assert len(first.resume_token) >= 22  # 128 bits in base 64
        session = served.gateway.sessions[first.connection_id]
        held = [getattr(session, name) for name in type(session).__slots__]
        assert first.resume_token not in map(str, held)


async def test_many_clients_that_come_and_go_leave_nothing_behind(serve: Any) -> None:
    served = await serve(lambda _request: endless("On. "), reconnect_grace_seconds=0.05, outcome_seconds=0.05)
    for _ in range(10):
        async with served.client() as client:
            await client.say("chat_message", content="go")
            await client.until("tts_ready_chunk")
            await client.drop()
    await all_gone(served.gateway)
    assert served.gateway.heads.of("local") == 0
