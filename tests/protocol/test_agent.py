"""Reading what an agent yields: whatever it is, it is an event, or a typed error that does not repeat it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from agents import ready
from conversations import chunks_of, end_of, engine, talk
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.testing import run_virtual, virtual
from protocol.agent import (
    AgentError,
    AgentEvent,
    OtherEvent,
    StreamEnd,
    StreamStart,
    StreamToken,
    ToolCall,
    ToolResult,
    read_agent_event,
    well_formed,
)
from protocol.errors import BadAgentEventError

KNOWN: dict[str, type[AgentEvent]] = {
    "stream_start": StreamStart,
    "stream_token": StreamToken,
    "tool_call": ToolCall,
    "tool_result": ToolResult,
    "error": AgentError,
    "stream_end": StreamEnd,
}
SECRET = "what the person said"
MANY = settings(derandomize=True, deadline=None, database=None)

any_text = st.text(st.characters())  # lone surrogates too: a tokenizer cuts where it likes
plain = st.none() | st.booleans() | st.integers() | any_text
scalars = plain | st.floats() | st.binary() | st.just(object())
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(any_text, inner), max_leaves=8)
fields = st.dictionaries(st.sampled_from(["type", "chunk", "data", "error", "message", "name"]) | any_text, values)
junk = values | fields | st.builds(lambda kind, rest: {**rest, "type": kind}, st.sampled_from([*KNOWN]), fields)
tokens = any_text | st.builds(
    lambda name, text: {"type": "stream_token", name: text}, st.sampled_from(["chunk", "data"]), any_text
)


class Word(str):
    """What some tokenizers give."""

    __slots__ = ()


@MANY
@given(any_text)
def test_well_formed_text_can_be_encoded_and_nothing_else_changes(text: str) -> None:
    made = well_formed(text)

    assert made.encode("utf-8").decode("utf-8") == made
    assert well_formed(made) == made
    whole = re.sub("[\ud800-\udfff]", "", text)
    assert re.sub("[\U00010000-\U0010ffff\ufffd]", "", made) == re.sub("[\U00010000-\U0010ffff\ufffd]", "", whole)


@pytest.mark.parametrize(
    ("tokens", "spoken"),
    [
        (["Hi \ud83d\ude00. "], "Hi \U0001f600. "),
        (["Hi \ud83d", "\ude00. "], "Hi \U0001f600. "),
        (["Hi \ud83d", " there. "], "Hi \ufffd there. "),
        (["Hi \ude00. "], "Hi \ufffd. "),
        (["Hi. ", "\ud83d"], "Hi. \ufffd"),
        (["Hi \ud83d", {"type": "tool_call"}, "\ude00. "], "Hi \U0001f600. "),
    ],
    ids=ascii,
)
def test_characters_that_were_cut_in_half_are_put_together(tokens: list[Any], spoken: str) -> None:
    async def conversation() -> tuple[str, Any]:
        async with engine() as system:
            processor = system.connect()
            events = await talk(processor, ready(tokens))
            return "".join(chunks_of(events)), processor.get_turn(events[0]["turn_id"])

    chunks, turn = run_virtual(conversation())
    assert (chunks, turn.generated_text, turn.delivered_text) == (spoken, spoken, spoken)


@MANY
@given(any_text)
def test_bare_text_is_a_token(text: str) -> None:
    assert read_agent_event(text) == read_agent_event(Word(text)) == StreamToken(chunk=text)


@MANY
@given(any_text, any_text)
def test_token_carries_chunk_and_older_ones_data(text: str, other: str) -> None:
    assert read_agent_event({"type": "stream_token", "chunk": text}) == StreamToken(chunk=text)
    assert read_agent_event({"type": "stream_token", "data": text}) == StreamToken(chunk=text)
    both = read_agent_event({"type": "stream_token", "chunk": text, "data": other})
    assert isinstance(both, StreamToken)
    assert both.chunk == text


def read(item: Any) -> AgentEvent | str:
    try:
        return read_agent_event(item)
    except BadAgentEventError as error:
        return str(error)


@MANY
@given(junk)
def test_anything_at_all_is_an_event_or_a_typed_error(item: Any) -> None:
    assert isinstance(read(item), AgentEvent | str)


def test_error_is_short_however_long_what_was_said() -> None:
    error = read({"type": "heartbeat" * 1_000, 7: "x" * 10_000})

    assert isinstance(error, str)
    assert len(error) < 100


@MANY
@given(st.sampled_from([*KNOWN, "heartbeat"]), st.dictionaries(st.sampled_from(["name", "args", "note"]), plain))
def test_fields_of_an_event_that_are_its_own_are_kept(kind: str, own: dict[str, Any]) -> None:
    event = read_agent_event({"type": kind, "chunk": "Hi", **own})

    assert type(event) is KNOWN.get(kind, OtherEvent)
    assert {name: getattr(event, name) for name in own} == own


@pytest.mark.parametrize(
    "event",
    [
        StreamStart(),
        StreamToken(chunk="Hi"),
        ToolCall.model_validate({"name": "weather"}),
        ToolResult(),
        AgentError(error="no"),
        StreamEnd(),
        OtherEvent(type="heartbeat"),
    ],
    ids=lambda event: event.type,
)
def test_models_are_taken_as_they_are_and_read_back_from_what_they_dump(event: AgentEvent) -> None:
    assert read_agent_event(event) is event
    assert read_agent_event(event.model_dump()) == event


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (None, "expected text, a dict or an event model, got NoneType"),
        (7, "got int"),
        (b"bytes", "got bytes"),
        ([SECRET], "got list"),
        ({}, "a 'type' of NoneType"),
        ({"type": 7}, "a 'type' of int"),
        ({"type": "stream_token"}, "stream_token: chunk: Field required"),
        ({"type": "stream_token", "chunk": [SECRET]}, "stream_token: chunk: Input should be a valid string"),
        (
            {"type": "stream_token", "chunk": None, "data": SECRET},
            "stream_token: chunk: Input should be a valid string",
        ),
        ({"type": "stream_token", "chunk": SECRET.encode()}, "stream_token: chunk: Input should be a valid string"),
        ({"type": "heartbeat", 7: SECRET}, "heartbeat: event: Keys should be strings"),
    ],
    ids=repr,
)
def test_error_says_what_is_wrong_and_not_what_was_said(item: Any, words: str) -> None:
    with pytest.raises(BadAgentEventError, match=words) as caught:
        read_agent_event(item)

    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__, "the context holds what was said"


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ({"error": "out of quota"}, "out of quota"),
        ({"message": "out of quota"}, "out of quota"),
        ({"error": {"message": "out of quota", "code": 429}}, "out of quota"),
        ({"error": {"code": 429}}, "the agent reported an error"),
        ({"error": None}, "the agent reported an error"),
        ({"error": OSError("out of quota")}, "the agent reported an error"),
        ({}, "the agent reported an error"),
    ],
    ids=repr,
)
def test_error_event_is_an_error_in_whatever_form_it_is_told(item: Any, words: str) -> None:
    event = read_agent_event({"type": "error", **item})

    assert isinstance(event, AgentError)
    assert event.error == words


@pytest.mark.parametrize(
    "item",
    [
        "Half \ud83d a character. ",
        {"type": "tool_call", "name": "\ud83d"},
        {"type": "error", "error": "no quota \ud83d"},
    ],
    ids=ascii,
)
def test_every_event_can_be_sent_as_json_whatever_the_agent_said(item: Any) -> None:
    async def conversation() -> list[Any]:
        async with engine() as system:
            return await talk(system.connect(), ready(["Hello. ", item]))

    for event in run_virtual(conversation()):
        assert json.loads(json.dumps(event, ensure_ascii=False, allow_nan=False).encode("utf-8")) == event


@virtual
async def test_error_event_that_is_an_object_fails_the_turn_after_the_text_so_far() -> None:
    async with engine() as system:
        events = await talk(system.connect(), ready(["Hello. ", {"type": "error", "error": {"message": "no quota"}}]))

    assert chunks_of(events) == ["Hello. "]
    assert end_of(events) == ("failed", "agent_error")
    assert events[-2]["error"] == "no quota"


@settings(MANY, max_examples=50)
@given(st.lists(tokens | values, max_size=8))
def test_engines_shorter_way_means_the_same(items: list[Any]) -> None:
    text, skipped = "", 0
    for item in items:
        try:
            event = read_agent_event(item)
        except BadAgentEventError:
            skipped += 1
        else:
            text += event.chunk if isinstance(event, StreamToken) else ""
    text = well_formed(text)

    async def generated() -> tuple[str, int]:
        async with engine() as system:
            processor = system.connect()
            events = await talk(processor, ready(items))
            turn = processor.get_turn(events[0]["turn_id"])
            assert turn is not None
            return turn.generated_text, turn.skipped_events

    assert run_virtual(generated()) == (text, skipped)
