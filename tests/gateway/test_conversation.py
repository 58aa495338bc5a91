"""What two sides say to each other when all goes well, and what ends a turn before its time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from agents import endless, hang, prose, ready, say, stubborn
from conversations import chunks_of, end_of, hold_to_contract

from actors.gateway import AgentRequest
from actors.speech import SpeechPipeline


async def echo(request: AgentRequest) -> AsyncIterator[str]:
    for word in request.content.split(" "):
        yield word + " "


async def test_a_message_is_answered_by_the_events_of_a_turn(serve: Any) -> None:
    served = await serve(echo)
    async with served.client() as client:
        assert client.ws.subprotocol == "antiphon.v1"
        events = await client.talk("One. Two. Three.")
        hold_to_contract(events)
        assert "".join(chunks_of(events)) == "One. Two. Three. "
        assert end_of(events) == ("completed", "completed")
        assert {event["connection_id"] for event in events} == {client.connection_id}


async def test_a_connection_takes_one_turn_after_the_other(serve: Any) -> None:
    served = await serve(echo)
    async with served.client() as client:
        turns = [await client.talk(f"Number {n}.") for n in range(5)]
        assert ["".join(chunks_of(events)).strip() for events in turns] == [f"Number {n}." for n in range(5)]


async def test_two_clients_at_once_hear_each_their_own(serve: Any) -> None:
    served = await serve(echo)
    async with served.client() as one, served.client() as two:
        first, second = await asyncio.gather(one.talk("First. " * 50), two.talk("Second. " * 50))
        for events, word in ((first, "First"), (second, "Second")):
            hold_to_contract(events)
            assert set("".join(chunks_of(events)).replace(".", "").split()) == {word}


async def test_the_agent_is_told_whose_message_it_is(serve: Any) -> None:
    asked: list[AgentRequest] = []

    def agent(request: AgentRequest) -> Any:
        asked.append(request)
        return ready(["Yes. "])

    served = await serve(agent, authenticator=lambda token: {"secret-of-anna": "anna"}.get(token or ""))
    async with served.client(token="secret-of-anna") as client:
        events = await client.talk("Hi", session_id="s1", metadata={"mood": ["good", 1]})
        assert asked == [
            AgentRequest("Hi", "anna", "s1", client.connection_id, events[0]["turn_id"], {"mood": ["good", 1]})
        ]
        assert {event["session_id"] for event in events} == {"s1"}


@pytest.mark.parametrize("kind", ["coroutine", "synchronous"])
async def test_an_agent_may_be_of_any_kind(serve: Any, kind: str) -> None:
    async def coroutine(_request: AgentRequest) -> Any:
        return ready(["Hello. "])

    agents = {"coroutine": coroutine, "synchronous": lambda _request: iter(["Hello. "])}
    served = await serve(agents[kind])
    async with served.client() as client:
        assert chunks_of(await client.talk()) == ["Hello. "]


async def test_an_agent_that_raises_fails_its_turn_alone(serve: Any) -> None:
    def agent(request: AgentRequest) -> Any:
        if request.content == "raise":
            raise RuntimeError("no")
        return ready(["Fine. "])

    served = await serve(agent)
    async with served.client() as client:
        events = await client.talk("raise")
        hold_to_contract(events)
        assert end_of(events) == ("failed", "agent_failed")
        assert end_of(await client.talk("go on")) == ("completed", "completed")


async def test_text_that_utf_8_cannot_hold_reaches_the_client_with_a_mark_in_its_place(serve: Any) -> None:
    served = await serve(lambda _request: ready(["Half \ud83d of it. "]))
    async with served.client() as client:
        assert chunks_of(await client.talk()) == ["Half \ufffd of it. "]


async def test_interrupted_comes_right_before_the_end_and_tells_what_was_heard(serve: Any) -> None:
    served = await serve(lambda _request: hang(["One. ", "Two. ", "Three"]))
    async with served.client() as client:
        await client.say("chat_message", content="go")
        first = (await client.until("tts_ready_chunk"))[-1]
        await client.say("chunk_played", turn_id=first["turn_id"], seq=first["seq"])
        await client.say("interrupt_stream", turn_id=first["turn_id"], reason="button")
        *_others, answer, end = await client.until("stream_end")
        assert answer["type"] == "interrupted"
        assert (answer["turn_id"], answer["status"]) == (first["turn_id"], "interrupted")
        assert answer["played_text"] == "One. "
        assert answer["delivered_text"] == end["content"]
        assert 0 < answer["elapsed_ms"] < 1000
        assert (end["status"], end["reason"]) == ("interrupted", "button")


async def test_an_interrupt_is_answered_at_once_though_the_agent_does_not_stop(serve: Any) -> None:
    served = await serve(lambda _request: stubborn(["One. ", "Two"], seconds=3.0), interrupt_wait_timeout=2.0)
    async with served.client() as client:
        await client.say("chat_message", content="go")
        await client.until("tts_ready_chunk")
        await client.say("interrupt_stream")
        answer = (await client.until("stream_end"))[-2]
        assert answer["type"] == "interrupted"
        assert answer["elapsed_ms"] < 1000


async def test_to_interrupt_a_turn_that_is_over_tells_its_outcome(serve: Any) -> None:
    served = await serve(echo)
    async with served.client() as client:
        end = (await client.talk("All of it."))[-1]
        await client.say("interrupt_stream")
        answer = await client.hear()
        assert (answer["type"], answer["turn_id"], answer["status"]) == ("interrupted", end["turn_id"], "completed")
        assert answer["delivered_text"].strip() == "All of it."


async def test_an_interrupt_of_a_turn_that_is_not_kept_is_answered_too(serve: Any) -> None:
    """It is there when the command comes, and gone when it has been carried out."""
    served = await serve(lambda _request: hang(["One. ", "Two"]), turn_retention_count=0)
    async with served.client() as client:
        await client.say("chat_message", content="go")
        await client.until("tts_ready_chunk")
        await client.say("interrupt_stream")
        answer, end = (await client.until("stream_end"))[-2:]
        assert (answer["type"], answer["code"], answer["turn_id"]) == ("error", "turn_not_found", end["turn_id"])
        assert end["status"] == "interrupted"


async def test_each_of_two_interrupts_is_answered_and_one_right_before_the_end(serve: Any) -> None:
    """The window is closed, so that the end cannot be sent before the second comes."""
    served = await serve(lambda _request: say(prose(100)), replay_window=4)
    async with served.client() as client:
        client.answers_pings = False
        await client.say("chat_message", content="go")
        for _ in range(4):
            while (await client.hear())["type"] == "ping":
                pass
        await client.say("interrupt_stream")
        await client.say("interrupt_stream")
        await client.say("pong")
        client.answers_pings = True
        heard = [message["type"] for message in await client.until("stream_end") if message["type"] != "ping"]
        assert heard == ["interrupted", "interrupted", "stream_end"]


async def test_what_the_voice_was_saying_cuts_the_text_that_was_heard(serve: Any) -> None:
    served = await serve(lambda _request: ready(["One. ", "Two. ", "Three. "]))
    async with served.client(flow="played") as client:
        await client.say("chat_message", content="go")
        chunks = [(await client.until("tts_ready_chunk"))[-1] for _ in range(3)]
        turn_id = chunks[0]["turn_id"]
        await client.say("interrupt_stream", playing={"seq": chunks[1]["seq"], "chars": 2})
        answer = (await client.until("stream_end"))[-2]
        assert answer["played_text"] == "One. Tw"
        turn = served.gateway.system.get(client.connection_id).get_turn(turn_id)
        assert turn.played_text == "One. Tw"


async def test_flow_played_holds_the_end_until_all_was_heard(serve: Any) -> None:
    served = await serve(lambda _request: ready(prose(20)), max_unplayed_chunks=2)
    async with served.client(flow="played") as client:
        await client.say("chat_message", content="go")
        events: list[dict[str, Any]] = []
        unplayed = most = 0
        while not events or events[-1]["type"] != "stream_end":
            if unplayed == 2 or (len(chunks_of(events)) == 20 and unplayed):
                turn = served.gateway.system.get(client.connection_id).get_turn(events[0]["turn_id"])
                assert turn.status == "processing"
                await client.say("chunk_played", turn_id=events[0]["turn_id"], seq=events[-1]["seq"])
                unplayed = 0
            events.append(await client.hear())
            unplayed += events[-1]["type"] == "tts_ready_chunk"
            most = max(most, unplayed)
        hold_to_contract(events)
        assert most == 2
        assert len(chunks_of(events)) == 20


async def test_a_message_while_a_turn_speaks_is_barge_in(serve: Any) -> None:
    served = await serve(lambda request: endless(request.content) if request.content == "On. " else ready(["Yes. "]))
    async with served.client() as client:
        await client.say("chat_message", content="On. ")
        await client.until("tts_ready_chunk")
        await client.say("chat_message", content="stop")
        first = await client.until("stream_end")
        assert end_of(first) == ("interrupted", "barge_in")
        second = await client.until("stream_end")
        hold_to_contract(second)
        assert chunks_of(second) == ["Yes. "]


async def test_the_application_is_handed_the_ledger_of_every_turn(serve: Any) -> None:
    served = await serve(lambda _request: hang(["One. ", "Two. ", "Three"]))
    finished: asyncio.Queue[Any] = asyncio.Queue()
    served.gateway.system.on_turn_finished(finished.put_nowait)
    async with served.client() as client:
        await client.say("chat_message", content="go", session_id="s")
        chunk = (await client.until("tts_ready_chunk"))[-1]
        await client.say("interrupt_stream", playing={"seq": chunk["seq"], "chars": 3})
        await client.until("stream_end")
        turn = await asyncio.wait_for(finished.get(), 10)
        assert (turn.user_id, turn.session_id, turn.status) == ("local", "s", "interrupted")
        assert turn.played_text == "One"


async def test_an_observer_sees_tokens_what_is_not_spoken_and_the_actors(serve: Any) -> None:
    text = "This is **important** news. And here is more of it. "
    served = await serve(lambda _request: ready([text]), speech=SpeechPipeline)
    async with served.client() as client:
        await client.say("observe")
        await client.until("inspect")
        await client.say("chat_message", content="go")
        heard = await client.until("token")
        while not any(m["type"] == "stream_end" for m in heard) or not any(m["type"] == "removed" for m in heard):
            heard.append(await client.hear())
        token = next(m for m in heard if m["type"] == "token")
        assert (token["text"], token["tokens"], token["start"]) == (text, 1, 0)
        parts = [part for m in heard if m["type"] == "removed" for part in m["parts"]]
        assert {text[part["start"] : part["end"]] for part in parts} >= {"**"}
        hold_to_contract([m for m in heard if "seq" in m])


async def test_an_observer_sees_a_character_whole_that_came_in_halves(serve: Any) -> None:
    served = await serve(lambda _request: ready(["Wave \ud83d", "\udc4b and \ud83d half. "]))
    async with served.client() as client:
        await client.say("observe")
        await client.until("inspect")
        await client.say("chat_message", content="go")
        heard = await client.until("token")
        assert heard[-1]["text"] == "Wave \U0001f44b and \ufffd half. "
        end = next((m for m in heard if m["type"] == "stream_end"), None) or (await client.until("stream_end"))[-1]
        assert end["content"] == heard[-1]["text"]


async def test_an_observer_is_idle_when_nothing_happens_however_short_its_turns_were(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = await serve(lambda _request: ready(["Yes. "]))
    looks = 0
    inspect = served.gateway.system.inspect

    def counted() -> Any:
        nonlocal looks
        looks += 1
        return inspect()

    monkeypatch.setattr(served.gateway.system, "inspect", counted)
    async with served.client() as client:
        await client.say("observe")
        await client.until("inspect")
        for _ in range(20):
            await client.talk()
        before = -1
        async with asyncio.timeout(5):
            while looks != before:
                before = looks
                await asyncio.sleep(0.5)  # four looks, if there are any


async def test_an_observer_sees_every_actor_of_its_own_connection_and_no_other(serve: Any) -> None:
    served = await serve(lambda _request: hang(["One. ", "Two"]))
    async with served.client() as other, served.client() as client:
        await other.say("chat_message", content="go")
        await other.until("tts_ready_chunk")
        await client.say("observe")
        assert [actor["kind"] for actor in (await client.until("inspect"))[-1]["actors"]] == ["connection"]
        await client.say("chat_message", content="go")
        kinds: set[str] = set()
        while len(kinds) < 5:
            actors = (await client.until("inspect"))[-1]["actors"]
            kinds |= {actor["kind"] for actor in actors}
            assert len(actors) <= 5
            assert all(actor["depth"] <= actor["capacity"] for actor in actors)
        assert kinds == {"connection", "turn", "producer", "chunker", "emitter"}
        await client.say("interrupt_stream")
        while len((await client.until("inspect"))[-1]["actors"]) > 1:
            pass
