"""The embedding API beside the life of a turn: what a service asks of a system and its processors."""

from __future__ import annotations

import asyncio
import json
import math
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from agents import endless, hang, ready, say
from conversations import chunks_of, end_of, engine, read, talk
from splitter import RemovingSplitter, Splitter

import actors
from actors import ConversationSystem, ConversationTurn, EventStream, MessageProcessor, Settings, TurnStatus
from actors.runtime import Clock, Ids
from actors.speech import SpeechPipeline, SpeechSettings
from actors.testing import virtual
from protocol.errors import AntiphonError, BadArgumentError, BadSettingsError, ConnectionExistsError, FailureCode
from protocol.events import read_event
from protocol.speech import RemovedSpan, SpeechChunk


class Loud(Splitter):
    def _chunk(self, text: str) -> SpeechChunk:
        return super()._chunk(text)._replace(text=text.upper())


class Moody(Splitter):
    def _chunk(self, text: str) -> SpeechChunk:
        return super()._chunk(text)._replace(emotion="happy" if "!" in text else None)


# A system and its connections.


@virtual
async def test_the_usage_that_a_service_begins_with() -> None:
    sent: list[Any] = []

    async with ConversationSystem(Settings(loop_watchdog_seconds=None)) as system:
        processor = system.connect(connection_id="c", user_id="u")
        turn_id = await processor.start_turn(
            session_id="s", user_input="Hello", agent_stream=ready(["Hello! ", "Hi. "])
        )
        async for event in processor.stream_events(turn_id):
            sent.append(json.loads(json.dumps(event)))
        assert await processor.interrupt_turn(turn_id, reason="user spoke") is False
    assert [event["type"] for event in sent] == ["stream_start", "tts_ready_chunk", "tts_ready_chunk", "stream_end"]
    assert [sorted(event) for event in sent] == [
        ["connection_id", "seq", "session_id", "turn_id", "type"],
        *[["chunk", "connection_id", "end", "seq", "session_id", "start", "turn_id", "type"]] * 2,
        ["connection_id", "content", "reason", "seq", "session_id", "skipped_events", "status", "turn_id", "type"],
    ]


@virtual
async def test_connections_are_found_by_their_ids_and_are_no_more_when_they_are_closed() -> None:
    async with engine() as system:
        one, other, nameless = system.connect("one"), system.connect(2, user_id=3), system.connect()
        assert all(isinstance(processor, MessageProcessor) for processor in (one, other, nameless))
        assert system.connections() == [one, other, nameless]
        assert (other.connection_id, other.user_id) == ("2", "3")
        assert system.get("one") is one
        assert system.get(2) is other
        assert system.get(nameless.connection_id) is nameless
        assert system.get("nobody") is None
        with pytest.raises(ConnectionExistsError):
            system.connect("one")
        with pytest.raises(BadArgumentError):
            system.connect("new", queue_maxsize=0)
        with pytest.raises(BadArgumentError, match="reader_grace_seconds"):
            system.connect("new", reader_grace_seconds=math.inf)
        assert system.get("new") is None
        async with one:
            pass
        assert system.connections() == [other, nameless]
        assert system.get("one") is None
        assert system.connect("one") is not one


@virtual
async def test_every_id_is_a_string_in_events_and_any_object_finds_its_turn() -> None:
    connection, session, turn = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    async with engine() as system:
        processor = system.connect(connection, user_id=7)
        turn_id = await processor.start_turn(conversation_id=session, agent_stream=ready(["One. "]), turn_id=turn)
        assert turn_id == str(turn)
        for event in await read(processor.stream_events(turn)):
            assert (event["connection_id"], event["session_id"], event["turn_id"]) == (
                str(connection),
                str(session),
                str(turn),
            )
        snapshot = processor.get_turn(turn)
        assert snapshot is not None
        assert (snapshot.session_id, snapshot.conversation_id, snapshot.user_id) == (str(session), str(session), "7")
        assert await processor.interrupt_turn(turn) is False
        with pytest.raises(BadArgumentError):
            await processor.start_turn(agent_stream=ready(["Two. "]), turn_id=turn)
        assert await processor.cleanup(turn) == 1
        assert await processor.start_turn(agent_stream=ready(["Two. "]), turn_id=turn) == str(turn)


@virtual
async def test_what_is_said_and_traced_may_be_anything_that_has_a_text() -> None:
    """A snapshot could not be made of anything else, and the Connection would die of it."""
    async with engine() as system:
        finished: list[ConversationTurn] = []
        system.on_turn_finished(finished.append)
        processor = system.connect()
        trace = uuid.uuid4()
        for user_input, text in ((None, ""), (5, "5"), (trace, str(trace))):
            await talk(processor, ready(["One. "]), user_input=user_input, trace_id=trace)
            await asyncio.sleep(0.001)
            assert (finished[-1].user_input, finished[-1].trace_id) == (text, str(trace))


@pytest.mark.parametrize("level", ["system", "connection", "turn"])
@virtual
async def test_speech_is_a_factory_of_pipelines_on_system_connection_or_turn(level: str) -> None:
    """The nearest one counts, and each turn has a pipeline of its own."""
    made: list[Loud] = []

    def loud() -> Loud:
        made.append(Loud())
        return made[-1]

    async with engine(loud if level == "system" else Splitter) as system:
        processor = system.connect(speech=loud if level == "connection" else None)
        for number in range(2):
            events = await talk(processor, ready(["So it is. ", "And so"]), speech=loud if level == "turn" else None)
            assert chunks_of(events) == ["SO IT IS. ", "AND SO"]
            assert len(made) == number + 1
        assert chunks_of(await talk(processor, ready(["No. "]), speech=Splitter)) == ["No. "]


@virtual
async def test_a_pipeline_needs_its_three_methods_and_no_more() -> None:
    class Least:
        def __init__(self) -> None:
            self.at = 0

        def feed(self, text: str) -> list[SpeechChunk]:
            self.at += len(text)
            return [SpeechChunk(text, self.at - len(text), self.at)]

        def flush(self, final: bool = True) -> list[SpeechChunk]:
            return []

        def take_removed(self) -> list[RemovedSpan]:
            return []

    async with engine(Least) as system:
        assert chunks_of(await talk(system.connect(), say(["One", " and two", "."]))) == ["One", " and two", "."]


@virtual
async def test_the_default_speech_takes_its_choices_from_the_settings() -> None:
    settings = Settings(loop_watchdog_seconds=None, speech=SpeechSettings(markup=False))
    async with ConversationSystem(settings) as system:
        assert chunks_of(await talk(system.connect(), ready(["It is *so* good. "]))) == ["It is *so* good."]
        events = await talk(system.connect(), ready(["It is *so* good. "]), speech=SpeechPipeline)
        assert chunks_of(events) == ["It is so good."]


@virtual
async def test_emotion_is_in_the_event_where_the_text_had_such_a_tag_and_only_there() -> None:
    async with engine(Moody) as system:
        events = await talk(system.connect(), ready(["Well. ", "Hurray! "]))
    assert [event.get("emotion", "none") for event in events[1:-1]] == ["none", "happy"]
    async with engine(None) as system:
        events = await talk(system.connect(), ready(["[laughs] That is a good one. ", "And this is not."]))
    assert [event.get("emotion", "none") for event in events[1:-1]] == ["laughs", "none"]


# Looking.


@virtual
async def test_inspect_shows_actors_mailboxes_tasks_and_what_was_removed() -> None:
    async with engine(RemovingSplitter, queue_maxsize=4) as system:
        processor = system.connect("c")
        turn_id = await processor.start_turn(agent_stream=endless("#Well. "))
        await asyncio.sleep(1)
        report = system.inspect()
        by_kind = {actor.kind: actor for actor in report.actors}
        assert sorted(by_kind) == ["chunker", "connection", "emitter", "producer", "supervisor", "turn"]
        assert len({actor.urn for actor in report.actors}) == 6
        for kind, actor in by_kind.items():
            assert actor.connection_id == (None if kind == "supervisor" else "c")
            assert actor.turn_id == (None if kind in ("supervisor", "connection") else turn_id)
        for kind in ("chunker", "emitter"):
            assert (by_kind[kind].depth, by_kind[kind].peak, by_kind[kind].capacity) == (4, 4, 4)
            assert by_kind[kind].paused
        assert report.tasks == [f"agent of turn {turn_id}"]
        assert report.abandoned == []
        assert set(report.removed) == {"hash"}
        assert report.stats == {}
        removed = report.removed["hash"]
        await processor.interrupt_turn(turn_id)
        report = system.inspect()
        assert report.tasks == []
        assert report.removed["hash"] >= removed
        assert report.stats == {"turns_interrupted": 1}
        await talk(processor, ready(["#One. ", "#Two"]))
        await asyncio.sleep(0.001)
        assert system.inspect().removed["hash"] == report.removed["hash"] + 2
        assert system.inspect().stats == {"turns_interrupted": 1, "turns_completed": 1}


@virtual
async def test_callbacks_get_the_snapshot_of_every_turn_when_its_outcome_is_decided() -> None:
    told: list[Any] = []

    async def later(turn: ConversationTurn) -> None:
        await asyncio.sleep(1)
        told.append(("later", turn.turn_id))

    async with engine(on_busy="queue") as system:
        system.on_turn_finished(lambda turn: told.append(("now", turn.turn_id)))
        system.on_turn_finished(later)
        processor = system.connect()
        await processor.start_turn(agent_stream=ready(["One. "]), turn_id="a")
        await processor.start_turn(agent_stream=hang(), turn_id="b")
        await read(processor.stream_events("a"))
        await asyncio.sleep(0.001)
        assert told == [("now", "a")]
        await processor.interrupt_turn("b")
        assert told == [("now", "a"), ("now", "b")]
        await asyncio.sleep(1.1)
        assert told[2:] == [("later", "a"), ("later", "b")]


@virtual
async def test_a_snapshot_has_the_ledger_the_times_and_what_went_wrong() -> None:
    async def agent() -> Any:
        yield "One. "
        yield 5
        await asyncio.sleep(3)
        yield "Two"
        raise LookupError("nothing there")

    async with engine(RemovingSplitter) as system:
        processor = system.connect("c", "u")
        turn_id = await processor.start_turn(
            session_id="s", user_input="Hello", agent_stream=agent(), trace_id="t", turn_id="x"
        )
        stream = processor.stream_events(turn_id)
        await anext(stream)
        early = processor.get_turn(turn_id)
        events = [event async for event in stream]
        await processor.mark_played(turn_id, 1)
        turn = processor.get_turn(turn_id)
        assert early is not None
        assert turn is not None
        assert (early.status, early.reason, early.ended_at) == (TurnStatus.PROCESSING, None, None)
        assert turn.model_dump(
            include=set(turn.model_fields_set) - {"created_at", "started_at", "ended_at", "error"}
        ) == {
            "turn_id": "x",
            "connection_id": "c",
            "session_id": "s",
            "user_id": "u",
            "user_input": "Hello",
            "trace_id": "t",
            "status": TurnStatus.FAILED,
            "reason": "agent_failed",
            "error_code": FailureCode.AGENT_FAILED,
            "generated_text": "One. Two",
            "delivered_text": "One. Two",
            "played_text": "One. ",
            "tokens": 2,
            "chunks": 2,
            "skipped_events": 1,
            "removed": {},
            "abandoned": (),
        }
        assert turn.error == events[-2]["error"]
        assert "LookupError" in (turn.error or "")
        assert turn.started_at is not None
        assert turn.ended_at is not None
        assert turn.created_at <= turn.started_at <= turn.ended_at
        assert json.loads(turn.model_dump_json())["status"] == "failed"
        assert early.generated_text == "One. "  # a snapshot stays as it was


@virtual
async def test_figures_of_a_connection() -> None:
    async with engine(on_busy="queue", turn_retention_count=2) as system:
        processor = system.connect()
        assert set(processor.get_stats().values()) == {0}
        for _ in range(3):
            await talk(processor, ready(["One. "]))
        active = await processor.start_turn(agent_stream=hang())
        await processor.start_turn(agent_stream=hang())
        assert processor.get_stats() == {
            "turns_started": 5,
            "turns_completed": 3,
            "turns_interrupted": 0,
            "turns_failed": 0,
            "turns_kept": 4,
            "turns_waiting": 1,
            "turns_active": 1,
        }
        await processor.interrupt_turn(active)
        assert processor.get_stats()["turns_interrupted"] == 1
        await processor.interrupt_all_active_turns()
        assert processor.get_stats()["turns_active"] == processor.get_stats()["turns_waiting"] == 0


@virtual
async def test_every_event_is_what_its_model_says() -> None:
    async with engine(Moody, forward_events="all") as system:
        agent = say(
            ["Well! ", {"type": "tool_call", "name": "look"}, {"type": "custom"}, {"type": "error", "error": "x"}]
        )
        events = await talk(system.connect(), agent)
    assert {type(read_event(event)).__name__ for event in events} == {
        "StreamStartEvent",
        "TtsReadyChunkEvent",
        "PassedThroughEvent",
        "ErrorEvent",
        "StreamEndEvent",
    }
    assert end_of(events) == ("failed", "agent_error")


# Time, ids and settings.


@virtual
async def test_time_and_ids_come_from_the_system() -> None:
    class Stopped(Clock):
        def wall(self) -> datetime:
            return datetime(2030, 1, 1, tzinfo=UTC)

    class Counted(Ids):
        def new(self, kind: str) -> str:
            self.last = getattr(self, "last", 0) + 1
            return f"{kind} {self.last}"

    system = ConversationSystem(Settings(loop_watchdog_seconds=None), speech=Splitter, clock=Stopped, ids=Counted())
    async with system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=ready(["One. "]))
        assert (processor.connection_id, turn_id) == ("connection 1", "turn 2")
        await read(processor.stream_events(turn_id))
        turn = processor.get_turn(turn_id)
        assert turn is not None
        assert turn.created_at == turn.started_at == turn.ended_at == datetime(2030, 1, 1, tzinfo=UTC)


def test_the_settings_have_the_names_and_values_of_the_contract() -> None:
    settings = Settings()
    assert {
        "queue_maxsize": 100,
        "interrupt_wait_timeout": 1.0,
        "agent_stall_seconds": 30,
        "tool_stall_seconds": 300,
        "turn_deadline_seconds": None,
        "shutdown_timeout_seconds": 5,
        "max_turn_chars": 1_000_000,
        "reader_grace_seconds": 30,
        "replay_window": 256,
        "turn_retention_seconds": 300,
        "turn_retention_count": 100,
        "on_busy": "reject",
        "turn_queue_limit": 10,
        "strict_agent_events": False,
        "log_user_text": False,
    }.items() <= dict(settings).items()


def test_settings_are_read_from_the_environment_where_they_are_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTIPHON_QUEUE_MAXSIZE", "7")
    monkeypatch.setenv("ANTIPHON_ON_BUSY", "queue")
    monkeypatch.setenv("ANTIPHON_TURN_DEADLINE_SECONDS", "12.5")
    monkeypatch.setenv("ANTIPHON_SPEECH__MIN_CHUNK_CHARS", "33")
    settings = Settings(on_busy="interrupt")
    assert (settings.queue_maxsize, settings.on_busy, settings.turn_deadline_seconds) == (7, "interrupt", 12.5)
    assert settings.speech.min_chunk_chars == 33
    monkeypatch.setenv("ANTIPHON_QUEUE_MAXSIZE", "none")
    for call in (Settings, ConversationSystem):
        with pytest.raises(BadSettingsError, match="ANTIPHON_QUEUE_MAXSIZE") as caught:
            call()
        assert isinstance(caught.value, AntiphonError)
    with pytest.raises(BadSettingsError, match=r"queue_maxsize.*reader_grace"):
        Settings(queue_maxsize=0, reader_grace_seconds=-1)
    with pytest.raises(BadSettingsError):
        Settings(no_such_setting=1)  # type: ignore[call-arg]  # there is none


def test_the_package_gives_its_api_and_nothing_else() -> None:
    assert {name: getattr(actors, name).__name__ for name in actors.__all__} == {
        name: name for name in actors.__all__
    }
    assert set(dir(actors)) == set(actors.__all__)
    assert actors.EventStream is EventStream
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = actors.no_such_name


@virtual
async def test_a_connection_without_an_id_of_its_own_is_found_by_the_one_it_gets() -> None:
    async with engine() as system:
        for given in (None, ""):
            processor = system.connect(given)
            assert processor.connection_id
            assert system.get(processor.connection_id) is processor
