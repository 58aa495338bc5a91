"""Logs: every record names connection, turn and trace, and none holds what anybody said."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from agents import hang, ready, say, stubborn
from conversations import end_of, engine, ids_of, read, talk
from splitter import Splitter

from actors.record import TurnRecord
from actors.speech import SpeechPipeline
from actors.testing import virtual
from protocol.speech import SpeechChunk

FORMAT = logging.Formatter("%(levelname)s %(name)s [%(connection_id)s %(turn_id)s %(trace_id)s] %(message)s")
SECRET = "The person said a secret"


class Broken(Splitter):
    def feed(self, text: str) -> list[SpeechChunk]:
        raise ValueError(text)


class BrokenStage:
    """A stage of the real pipeline."""

    def feed(self, pieces: list[Any]) -> list[Any]:
        raise ValueError(str(pieces))

    def flush(self, final: bool = True) -> list[Any]:
        return []


async def broken() -> AsyncIterator[str]:
    yield f"{SECRET}. "
    try:
        dict[str, str]()[SECRET]
    except KeyError as cause:
        raise ValueError(SECRET) from cause


class BrokenAtTheEnd:
    def __aiter__(self) -> BrokenAtTheEnd:
        return self

    async def __anext__(self) -> Any:
        return {"type": "stream_end"}

    async def aclose(self) -> None:
        raise ValueError(SECRET)


async def everything_that_is_logged(caplog: pytest.LogCaptureFixture, **settings: Any) -> list[logging.LogRecord]:
    """Let happen whatever the engine has something to say about."""
    caplog.set_level(logging.DEBUG, "antiphon")

    def listener(turn: Any) -> None:
        raise ValueError(turn.generated_text)

    async def later(turn: Any) -> None:
        raise ValueError(turn.generated_text)

    system = await engine(**settings).start()
    system.on_turn_finished(listener)
    system.on_turn_finished(later)
    said = [f"{SECRET}. ", {"type": "tool_call", "name": SECRET}, {"type": "usage", "text": SECRET}]
    bad = [{"type": "stream_token", "chunk": [SECRET]}, {"type": ["a secret"]}, {"chunk": SECRET}, [SECRET]]
    cases: list[tuple[Any, Any, str]] = [
        (say([*said, *bad]), Splitter, "completed"),
        (say(said), lambda: SpeechPipeline(stages=[BrokenStage()]), "completed"),
        (BrokenAtTheEnd(), Splitter, "completed"),
        (broken(), Splitter, "failed"),
        (say([{"type": "error", "error": SECRET}]), Splitter, "failed"),
        (say(said), Broken, "failed"),
    ]
    processor = system.connect("the connection")
    for number, (agent, speech, status) in enumerate(cases):
        events = await talk(
            processor, agent, speech=speech, user_input=SECRET, turn_id=number, trace_id=f"trace {number}"
        )
        assert end_of(events)[0] == status

    async def start(agent: Any, turn_id: str) -> str:
        return await processor.start_turn(agent_stream=agent, turn_id=turn_id, trace_id=f"trace {turn_id}")

    for kind in ("turn", "emitter"):
        turn_id = await start(hang([f"{SECRET}. "]), kind)
        await asyncio.sleep(0.1)
        next(actor for actor in system.context.registry.values() if actor.kind == kind).kill()
        await read(processor.stream_events(turn_id))
    turn_id = await start(stubborn([SECRET]), "stubborn")
    await asyncio.sleep(0.1)
    assert await processor.interrupt_turn(turn_id)
    await start(stubborn([SECRET]), "last")
    system.context.tap = lambda actor, _message: actor.kill() if actor.kind == "connection" else None
    await system.shutdown()
    return [record for record in caplog.records if record.name.startswith("antiphon")]


@virtual
async def test_every_record_carries_the_ids_of_what_it_is_about(caplog: pytest.LogCaptureFixture) -> None:
    records = await everything_that_is_logged(caplog)
    lines = [FORMAT.format(record) for record in records]  # raises where one is missing
    about_turns = {ids_of(record) for record in records if record.name == "antiphon.turn"}
    turns = {*"012345", "turn", "emitter", "stubborn", "last"}
    assert about_turns == {("the connection", turn, f"trace {turn}") for turn in turns}
    for words in (
        "[the connection 0 trace 0] skipped something",
        "[the connection 0 trace 0] passed on agent event 'tool_call'",
        "[the connection 0 trace 0] dropped agent event 'usage'",
        "[the connection 0 trace 0] turn completed",
        "[the connection 0 trace 0] a callback of on_turn_finished failed: ValueError",
        "[the connection 1 trace 1] speech stage BrokenStage failed and was left out: ValueError",
        "[the connection 2 trace 2] closing the agent's stream failed: ValueError",
        "[the connection 3 trace 3] the agent failed: ValueError",
        "[the connection 5 trace 5] Chunker (urn:antiphon:chunker:",
        "[the connection stubborn trace stubborn] abandoned 'agent of turn stubborn'",
        "[the connection last trace last] turn interrupted: shutdown",
        "[the connection  ] the connection did not shut down in time",
    ):
        assert [line for line in lines if words in line], words
    skipped = [line for line in lines if "skipped something" in line]
    assert len(skipped) == 4


@virtual
async def test_no_record_holds_what_users_or_agents_said(caplog: pytest.LogCaptureFixture) -> None:
    """Not in a message, an argument or a traceback; agents put into an exception what they were working on."""
    records = await everything_that_is_logged(caplog)
    formatter = logging.Formatter("%(message)s")
    for record in records:
        assert "secret" not in formatter.format(record), record
        assert "secret" not in repr(record.__dict__), record
    assert [record for record in records if 'File "' in record.getMessage()]  # where it was raised is said


@virtual
async def test_with_log_user_text_exceptions_are_logged_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    records = await everything_that_is_logged(caplog, log_user_text=True)
    formatter = logging.Formatter("%(message)s")
    agent = next(record for record in records if "the agent failed" in record.getMessage())
    assert f"ValueError: {SECRET}" in formatter.format(agent)
    assert f"KeyError: '{SECRET}'" in formatter.format(agent)
    stage = next(record for record in records if "speech stage" in record.getMessage())
    assert SECRET in stage.getMessage()


@virtual
async def test_a_record_that_somebody_keeps_keeps_nothing_of_the_turn(caplog: pytest.LogCaptureFixture) -> None:
    async with engine(turn_retention_count=0) as system:
        processor = system.connect()
        for _ in range(5):
            await talk(processor, broken())
        await asyncio.sleep(0.001)
        gc.collect()
        assert [thing for thing in gc.get_objects() if isinstance(thing, TurnRecord)] == []
    assert len(caplog.records) >= 5


def test_who_blocks_the_loop_is_logged_with_the_place(caplog: pytest.LogCaptureFixture) -> None:
    def nap_in_the_loop() -> None:
        time.sleep(0.3)

    async def run() -> None:
        async with engine(loop_watchdog_seconds=0.05) as system:
            assert end_of(await talk(system.connect(), ready(["One. "]))) == ("completed", "completed")
            await asyncio.sleep(0.1)
            nap_in_the_loop()

    asyncio.run(run())
    # A machine that is busy with other things may block the loop too.
    blocked = [FORMAT.format(record) for record in caplog.records if record.name == "antiphon.watchdog"]
    assert len([line for line in blocked if "nap_in_the_loop" in line]) == 1
