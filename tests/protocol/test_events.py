"""Events as models: what the engine hands over can be read back, and what it never would is refused."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest
from fuzz import effort
from hypothesis import example, given
from hypothesis import strategies as st
from near_valid import ANY_VALUE, mutations, taken

from protocol.errors import BadEventError
from protocol.events import (
    ErrorEvent,
    PassedThroughEvent,
    StreamEndEvent,
    StreamStartEvent,
    TtsReadyChunkEvent,
    read_event,
)

IDS = {"turn_id": "t", "connection_id": "c", "session_id": "s", "seq": 3}
CHUNK = {"type": "tts_ready_chunk", **IDS, "chunk": "Hello.", "start": 0, "end": 6}
TOOL = {"type": "tool_call", **IDS, "name": "weather", "args": {"city": "Oslo"}}
END = {"type": "stream_end", **IDS, "status": "completed", "reason": "completed", "content": "", "skipped_events": 0}


@pytest.mark.parametrize(
    ("event", "model"),
    [
        ({"type": "stream_start", **IDS}, StreamStartEvent),
        (CHUNK, TtsReadyChunkEvent),
        ({**CHUNK, "emotion": "laughs"}, TtsReadyChunkEvent),
        ({"type": "error", **IDS, "code": "agent_failed", "error": "the agent raised"}, ErrorEvent),
        (END, StreamEndEvent),
        (TOOL, PassedThroughEvent),
    ],
    ids=lambda value: value.get("type") if isinstance(value, dict) else "",
)
def test_event_is_read_back_as_it_was(event: dict[str, Any], model: type) -> None:
    read = read_event(event)

    assert type(read) is model
    assert read.model_dump(mode="json", exclude_unset=True) == event


@pytest.mark.parametrize(
    "event",
    [
        {**CHUNK, "seq": -1},
        {**CHUNK, "chunk": ""},
        {**CHUNK, "volume": 11},
        {name: value for name, value in CHUNK.items() if name != "end"},
        {**END, "status": "processing"},
        {"type": "error", **IDS, "code": "agent_failed"},
        {"type": "tool_call", "name": "weather"},
        {**IDS},
    ],
    ids=repr,
)
def test_event_that_the_engine_would_never_hand_over_is_refused(event: dict[str, Any]) -> None:
    with pytest.raises(BadEventError):
        read_event(event)


@effort(300)
@given(
    ANY_VALUE
    | st.sampled_from([CHUNK, END, TOOL, {"type": "error", **IDS, "code": "x", "error": "y"}]).flatmap(
        lambda event: mutations(event) | st.just(event)
    )
)
@example(None)
@example({"type": []})
@example({**CHUNK, "seq": "3"})
@example({**TOOL, "args": Fraction(10**400)})
def test_anything_is_an_event_that_is_read_as_it_was_or_refused(event: Any) -> None:
    read = taken(lambda: read_event(event))
    if read is not None and _is_json(event):  # a passed-through event may hold anything else, and nobody sends that
        assert read.model_dump(exclude_unset=True) == event


def _is_json(event: Any) -> bool:
    try:
        return bool(json.loads(json.dumps(event)) == event)
    except (TypeError, ValueError):
        return False


def test_refusal_says_where_it_is_wrong_and_not_what_was_said() -> None:
    with pytest.raises(BadEventError) as caught:
        read_event({**CHUNK, "chunk": ["secret"]})

    assert str(caught.value) == "tts_ready_chunk: chunk: Input should be a valid string"
