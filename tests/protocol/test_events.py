"""Events as models: what the engine hands over can be read back, and what it never would is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

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
END = {"type": "stream_end", **IDS, "status": "completed", "reason": "completed", "content": "", "skipped_events": 0}


@pytest.mark.parametrize(
    ("event", "model"),
    [
        ({"type": "stream_start", **IDS}, StreamStartEvent),
        (CHUNK, TtsReadyChunkEvent),
        ({**CHUNK, "emotion": "laughs"}, TtsReadyChunkEvent),
        ({"type": "error", **IDS, "code": "agent_failed", "error": "the agent raised"}, ErrorEvent),
        (END, StreamEndEvent),
        ({"type": "tool_call", **IDS, "name": "weather", "args": {"city": "Oslo"}}, PassedThroughEvent),
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
    with pytest.raises(ValidationError):
        read_event(event)
