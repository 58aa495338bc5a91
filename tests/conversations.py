"""What most tests of the engine do: run a system with a trivial pipeline, read a turn, hold it to the contract."""

from __future__ import annotations

from logging import LogRecord
from typing import Any

from splitter import Splitter

from actors import ConversationSystem, EventStream, MessageProcessor, Settings
from actors.record import TurnRecord
from actors.threaded import ThreadedProcessor
from protocol.events import read_event
from protocol.turn import ConversationTurn

__all__ = [
    "actor_of",
    "chunks_of",
    "end_of",
    "engine",
    "hold_to_contract",
    "ids_of",
    "read",
    "record_of",
    "records_of",
    "talk",
    "turn_of",
]

Event = dict[str, Any]


def engine(speech: Any = Splitter, **settings: Any) -> ConversationSystem:
    """Return a system, to be used with `async with`; without a watchdog thread, which has its own tests."""
    return ConversationSystem(Settings(**{"loop_watchdog_seconds": None, **settings}), speech=speech)


async def read(stream: EventStream) -> list[Event]:
    """Read a turn to its end and hold its events to the contract, if it is read from the beginning."""
    events = [event async for event in stream]
    if events and events[0]["seq"] == 0:
        hold_to_contract(events)
    return events


async def talk(processor: MessageProcessor, agent: Any, **arguments: Any) -> list[Event]:
    """Start a turn and read it to its end."""
    turn_id = await processor.start_turn(session_id="s", agent_stream=agent, **arguments)
    return await read(processor.stream_events(turn_id))


def chunks_of(events: list[Event]) -> list[str]:
    return [event["chunk"] for event in events if event["type"] == "tts_ready_chunk"]


def end_of(events: list[Event]) -> tuple[str, str]:
    """Return status and reason."""
    assert events[-1]["type"] == "stream_end", events[-1]
    return events[-1]["status"], events[-1]["reason"]


def hold_to_contract(events: list[Event]) -> None:
    """Assert what is true of the events of every turn, however it went (contract 1)."""
    types = [event["type"] for event in events]
    assert [event["seq"] for event in events] == list(range(len(events)))
    assert types[0] == "stream_start"
    assert types.count("stream_start") == 1
    assert types[-1] == "stream_end"
    assert types.count("stream_end") == 1
    assert len({(e["turn_id"], e["connection_id"], e["session_id"]) for e in events}) == 1
    assert all(isinstance(e[name], str) for e in events for name in ("turn_id", "connection_id", "session_id"))
    if events[-1]["status"] == "failed":
        assert types[-2] == "error"
        assert events[-2]["code"] == events[-1]["reason"]
        assert types.count("error") == 1
    else:
        assert "error" not in types
    place = 0
    for event in events:
        read_event(event)
        if event["type"] == "tts_ready_chunk":
            assert place <= event["start"] < event["end"]
            place = event["end"]
    assert len(events[-1]["content"]) == place


def turn_of(processor: MessageProcessor | ThreadedProcessor, turn_id: str) -> ConversationTurn:
    """Return the snapshot of a turn that is known."""
    turn = processor.get_turn(turn_id)
    assert turn is not None
    return turn


def ids_of(record: LogRecord) -> tuple[str, str, str]:
    """Return whom a log record is about: connection, turn and trace."""
    fields = vars(record)
    return fields["connection_id"], fields["turn_id"], fields["trace_id"]


def actor_of(system: ConversationSystem, kind: str) -> Any:
    """Return the one living actor of a kind."""
    (actor,) = [actor for actor in system.context.registry.values() if actor.kind == kind]
    return actor


def record_of(processor: MessageProcessor, turn_id: str) -> TurnRecord:
    """Return a turn's record, for what a snapshot does not show."""
    assert processor._roster is not None
    return processor._roster.turns[turn_id]


def records_of(processor: MessageProcessor) -> list[TurnRecord]:
    """Return the records of all turns that are kept."""
    return [] if processor._roster is None else list(processor._roster.turns.values())
