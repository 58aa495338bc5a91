"""Short sentences merge, so that the voice is not choppy; but the first one of a turn is heard at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from agents import ready, say
from conversations import chunks_of, engine, talk

from actors import ConversationSystem
from actors.testing import virtual
from protocol.settings import Settings
from protocol.speech import SpeechSettings


def tokens(text: str) -> list[str]:
    return [word + " " for word in text.split(" ")]


@pytest.mark.parametrize("live", [False, True])
@virtual
async def test_sentences_of_less_than_ten_characters_merge_with_what_follows(live: bool) -> None:
    """Issue, point 13. A splitter that cuts at every full stop gives eight."""
    text = "Hello there my friend. Yes. No. I see. It is what it is. Oh. Really? That I did not know at all."
    async with engine(None) as system:
        events = await talk(system.connect(), (say if live else ready)(tokens(text)))
    chunks = chunks_of(events)
    assert " ".join(chunks) == text
    assert chunks == [
        "Hello there my friend.",
        "Yes. No. I see.",
        "It is what it is.",
        "Oh. Really?",
        "That I did not know at all.",
    ]


@pytest.mark.parametrize("first", ["Sure!", "Yes.", "Of course.", "Hm, well, it is like this.", "好。"])
@virtual
async def test_the_first_chunk_of_a_turn_is_heard_at_once_however_short(first: str) -> None:
    """It is there before the agent has said anything else than the beginning of the next sentence."""
    go_on = asyncio.Event()

    async def agent() -> AsyncIterator[str]:
        yield f"{first} "
        yield "And"
        await go_on.wait()
        yield " now to something completely different."

    async with engine(None) as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=agent())
        stream = processor.stream_events(turn_id)
        await anext(stream)
        chunk = await asyncio.wait_for(anext(stream), 0.1)
        assert first.startswith(chunk["chunk"])
        go_on.set()
        events = [chunk, *[event async for event in stream]]
        assert "".join(chunks_of(events)).replace(" ", "").startswith(first.replace(" ", ""))


@virtual
async def test_it_is_the_first_of_each_turn_and_none_other() -> None:
    async with engine(None) as system:
        processor = system.connect()
        for _ in range(2):
            events = await talk(processor, ready(tokens("Sure! Yes. No. Maybe. And then it went on.")))
            assert chunks_of(events) == ["Sure!", "Yes. No. Maybe.", "And then it went on."]


@virtual
async def test_what_is_short_at_the_end_is_not_lost() -> None:
    async with engine(None) as system:
        events = await talk(system.connect(), ready(tokens("It is three o'clock. Bye. Bye.")))
        assert " ".join(chunks_of(events)) == "It is three o'clock. Bye. Bye."


@pytest.mark.parametrize(("width", "expected"), [(0, 4), (10, 3), (40, 2)])
@virtual
async def test_the_width_is_a_setting(width: int, expected: int) -> None:
    choice = Settings(loop_watchdog_seconds=None, speech=SpeechSettings(min_chunk_chars=width))
    async with ConversationSystem(choice) as system:
        events: list[dict[str, Any]] = await talk(
            system.connect(), ready(tokens("Hello there my friend. Yes. It is so. And then it went on."))
        )
    assert len(chunks_of(events)) == expected
