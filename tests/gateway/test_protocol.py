"""The gateway's protocol as data: what is read, what is refused and how, and the documents that describe it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, get_args

import pytest
from fuzz import effort
from gateway.talking import DOCS, schema_of
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft7Validator, Draft202012Validator
from near_valid import ANY_VALUE, json_texts, mutations, taken

from protocol.commands import Command, read_command
from protocol.errors import BadCommandError, GatewayCode
from protocol.messages import ServerMessage, read_message

COMMANDS: list[dict[str, Any]] = [
    {"type": "authorize"},
    {"type": "authorize", "token": "t", "flow": "played"},
    {"type": "chat_message", "content": "Hi", "session_id": "s", "metadata": {"a": [1, None, {"b": 2.5}]}},
    {"type": "interrupt_stream"},
    {"type": "interrupt_stream", "turn_id": "t", "reason": "stop", "playing": {"seq": 3, "chars": 12}},
    {"type": "chunk_played", "turn_id": "t", "seq": 0},
    {"type": "resume", "resume_token": "r", "connection_id": "c", "turn_id": "t", "after_seq": -1, "flow": "free"},
    {"type": "pong"},
    {"type": "pong", "last_seq": 4, "turn_id": "t"},
    {"type": "observe"},
]

WRONG = [
    ("", GatewayCode.BAD_JSON, None),
    ('{"type": "pong"', GatewayCode.BAD_JSON, None),
    ("[" * 100_000, GatewayCode.BAD_JSON, None),
    ('{"type": "chat_message", "content": "\\ud800"}', GatewayCode.BAD_JSON, None),
    ("[]", GatewayCode.BAD_MESSAGE, None),
    ("{}", GatewayCode.BAD_MESSAGE, "type"),
    ('{"type": "nope"}', GatewayCode.UNKNOWN_TYPE, "type"),
    ('{"type": 3}', GatewayCode.UNKNOWN_TYPE, "type"),
    ('{"type": "chat_message"}', GatewayCode.BAD_MESSAGE, "content"),
    ('{"type": "chat_message", "content": ""}', GatewayCode.BAD_MESSAGE, "content"),
    ('{"type": "chat_message", "content": 3}', GatewayCode.BAD_MESSAGE, "content"),
    ('{"type": "chunk_played", "turn_id": "t", "seq": -1}', GatewayCode.BAD_MESSAGE, "seq"),
    ('{"type": "chunk_played", "turn_id": "t", "seq": true}', GatewayCode.BAD_MESSAGE, "seq"),
    ('{"type": "chunk_played", "turn_id": "t", "seq": 1e99}', GatewayCode.BAD_MESSAGE, "seq"),
    ('{"type": "pong", "last_sequence": 1}', GatewayCode.BAD_MESSAGE, "last_sequence"),
    ('{"type": "interrupt_stream", "playing": {"seq": 1}}', GatewayCode.BAD_MESSAGE, "playing.chars"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: f"{command['type']}-{len(command)}")
def test_a_command_is_read_as_it_was_written(command: dict[str, Any]) -> None:
    assert read_command(json.dumps(command)).model_dump(exclude_unset=True) == command


def test_every_command_has_a_case_here() -> None:
    kinds = {model.model_fields["type"].annotation for model in get_args(Command)}
    assert {command["type"] for command in COMMANDS} == {get_args(kind)[0] for kind in kinds}


@pytest.mark.parametrize(("text", "code", "field"), WRONG, ids=[text[:40] for text, _code, _field in WRONG])
def test_what_is_no_command_is_told_by_code_and_field(text: str, code: GatewayCode, field: str | None) -> None:
    with pytest.raises(BadCommandError) as caught:
        read_command(text)
    assert (caught.value.told, caught.value.field) == (code, field)


def test_an_error_never_quotes_what_was_sent() -> None:
    with pytest.raises(BadCommandError) as caught:
        read_command('{"type": "chat_message", "content": ["my secret"]}')
    assert "secret" not in str(caught.value)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda j: st.lists(j) | st.dictionaries(st.text(), j),
)
_TYPES = [get_args(model.model_fields["type"].annotation)[0] for model in get_args(Command)]
_FIELDS = sorted({name for model in get_args(Command) for name in model.model_fields} - {"type"})


@effort(100)
@given(st.text() | st.builds(json.dumps, _JSON))
def test_any_text_is_a_command_or_refused(text: str) -> None:
    assert _command_or_code(text) is not None


@effort(50)
@given(st.sampled_from(_TYPES), st.dictionaries(st.sampled_from(_FIELDS), _JSON))
def test_any_fields_are_refused_or_a_command_to_the_schema_too(kind: str, fields: dict[str, Any]) -> None:
    text = json.dumps({**fields, "type": kind})
    if not isinstance(_command_or_code(text), GatewayCode):
        schema_of("Command").validate(json.loads(text))


@effort(300)
@given(st.sampled_from(COMMANDS).flatmap(lambda command: mutations(command) | st.just(command)).flatmap(json_texts))
@example('{"type": "chat_message", "content": "Hi", "metadata": {"a": NaN}}')
@example('{"type": "chat_message", "content": "Hi", "metadata": {"a": 1e400}}')
def test_what_is_nearly_a_command_is_refused_or_one_that_can_be_written_and_read_again(text: str) -> None:
    command = taken(lambda: read_command(text))
    if command is not None:
        written = command.model_dump_json(exclude_unset=True)
        assert read_command(written) == command
        schema_of("Command").validate(json.loads(written))


@effort(100)
@given(st.binary(max_size=60) | st.sampled_from(COMMANDS).map(lambda command: json.dumps(command).encode("utf-16")))
def test_any_bytes_are_a_command_or_refused(data: bytes) -> None:
    taken(lambda: read_command(data))


def _command_or_code(text: str) -> Command | GatewayCode:
    try:
        return read_command(text)
    except BadCommandError as refused:
        return refused.told


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: f"{command['type']}-{len(command)}")
def test_the_schema_takes_the_commands_that_are_read(command: dict[str, Any]) -> None:
    schema_of("Command").validate(command)


@pytest.mark.parametrize(
    "text", [text for text, code, _field in WRONG if code is not GatewayCode.BAD_JSON], ids=lambda text: text[:40]
)
def test_the_schema_refuses_what_is_no_command(text: str) -> None:
    assert not schema_of("Command").is_valid(json.loads(text))


@pytest.mark.parametrize("model", get_args(ServerMessage), ids=lambda model: model.__name__)
def test_a_servers_message_is_told_apart_by_its_type(model: Any) -> None:
    """Always there, so that a client can be generated that looks at it first; and what is None is left out."""
    definition = _read("protocol.schema.json")["$defs"][model.__name__]
    assert "type" in definition["required"]
    assert '"null"' not in json.dumps(definition)


MESSAGES: list[dict[str, Any]] = [
    {"type": "authorize_success", "connection_id": "c", "resume_token": "r"},
    {"type": "resume_success", "connection_id": "c", "resume_token": "r", "turn_id": "t", "status": "processing"},
    {"type": "resume_error", "code": "resume_too_late", "error": "late", "turn_status": "failed", "played_text": ""},
    {"type": "ping"},
    {
        "type": "interrupted",
        "turn_id": "t",
        "status": "interrupted",
        "delivered_text": "a",
        "played_text": "",
        "elapsed_ms": 0.5,
    },
    {"type": "error", "code": "bad_message", "error": "wrong", "field": "content"},
    {"type": "token", "turn_id": "t", "text": "x", "tokens": 1, "start": 0},
    {"type": "removed", "turn_id": "t", "parts": [{"start": 0, "end": 1, "rule": "code"}]},
    {
        "type": "inspect",
        "actors": [{"kind": "turn", "turn_id": "t", "depth": 0, "peak": 1, "capacity": 100, "paused": False}],
    },
]


@effort(300)
@given(ANY_VALUE | st.sampled_from(MESSAGES).flatmap(mutations) | st.sampled_from(MESSAGES))
@example({"type": []})
@example({"type": "ping", "seq": None})
def test_what_is_nearly_a_message_is_refused_or_read_as_it_was_written(message: Any) -> None:
    read = taken(lambda: read_message(message))
    if read is not None:
        assert read.model_dump(mode="json", exclude_unset=True) == message


def test_an_error_of_the_gateway_and_one_of_a_turn_are_told_apart() -> None:
    own = read_message({"type": "error", "code": "bad_json", "error": "no JSON"})
    turns = read_message(
        {
            "type": "error",
            "turn_id": "t",
            "connection_id": "c",
            "session_id": "s",
            "seq": 1,
            "code": "x",
            "error": "y",
        }
    )
    assert (type(own).__name__, type(turns).__name__) == ("GatewayError", "ErrorEvent")


@pytest.mark.parametrize(
    ("document", "options"), [("protocol.schema.json", []), ("protocol.asyncapi.json", ["--asyncapi"])]
)
def test_the_documents_are_those_of_the_models(document: str, options: list[str]) -> None:
    """After a change:  antiphon schema > docs/protocol.schema.json  and with --asyncapi the other."""
    printed = subprocess.run(
        [sys.executable, "-m", "actors.cli", "schema", *options], capture_output=True, text=True, check=True
    ).stdout
    assert printed == (DOCS / document).read_text(encoding="utf-8")


def _read(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((DOCS / name).read_text(encoding="utf-8"))
    return document


@pytest.mark.parametrize("name", ["protocol.schema.json", "protocol.asyncapi.json"])
def test_every_reference_in_the_documents_leads_somewhere(name: str) -> None:
    document = _read(name)
    for reference in _references(document):
        _follow(document, reference)


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(_read("protocol.schema.json"))


def test_the_asyncapi_document_says_who_sends_what_over_the_socket() -> None:
    """What AsyncAPI 3 asks of a document; its own schema agrees:  npx @asyncapi/cli validate FILE."""
    document = _read("protocol.asyncapi.json")
    assert document["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= set(document["info"])
    assert set(document) <= {"asyncapi", "info", "defaultContentType", "channels", "operations", "components"}
    (channel,) = document["channels"].values()
    said: dict[str, set[str]] = {}
    for operation in document["operations"].values():
        assert _follow(document, operation["channel"]["$ref"]) is channel
        messages = [_follow(document, message["$ref"]) for message in operation["messages"]]
        assert all(message in channel["messages"].values() for message in messages), "only those of its channel"
        said[operation["action"]] = {_follow(document, message["$ref"])["name"] for message in messages}
    assert said == {
        "receive": {model.__name__ for model in get_args(Command)},
        "send": {model.__name__ for model in get_args(ServerMessage)},
    }


def test_the_payloads_of_the_asyncapi_document_are_the_published_schemas() -> None:
    """In the dialect that AsyncAPI has without a word on it, which is JSON Schema's draft 7 and a bit."""
    components = _read("protocol.asyncapi.json")["components"]
    for message in components["messages"].values():
        assert message["payload"] == {"$ref": f"#/components/schemas/{message['name']}"}
    published = _read("protocol.schema.json")["$defs"]
    for name, schema in components["schemas"].items():
        Draft7Validator.check_schema(schema)
        assert json.loads(json.dumps(schema).replace("#/components/schemas/", "#/$defs/")) == published[name]
    assert set(published) - set(components["schemas"]) == {"Command", "ServerMessage"}


def _follow(document: dict[str, Any], reference: str) -> Any:
    place: Any = document
    for step in reference.removeprefix("#/").split("/"):
        place = place[step]
    return place


def _references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [reference for item in node for reference in _references(item)]
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [reference for item in node.values() for reference in _references(item)]
    return []
