"""What is measured: one conversation in bare asyncio, and one in the engine, behind the same few methods.

The bare one is what somebody writes who needs a spoken turn and has no actor engine: the agent's generator, a
queue of 100, a task that splits, a queue of 100, and the reader. Its events carry what the engine's carry. It has
no interrupt contract, no replay, no ledger, no watchdog and no books: that is the point of the comparison.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol

from actors import ConversationSystem, MessageProcessor
from actors.speech import SpeechPipeline
from benchmarks.workload import BOUNDARY, AttentiveSplitter, TrivialSplitter

__all__ = ["BARE", "DEFAULT_SPEECH", "PLAIN_SPLITTER", "SPLITTER", "BenchError", "Conversation", "Subject", "World"]


class BenchError(Exception):
    """A measurement that is worthless, because the turn did not do its work."""


class Conversation(Protocol):
    """One client's side of a subject."""

    async def speak(self, agent: AsyncIterator[str]) -> int:
        """Run a turn and read it to its end; return how many chunks there were."""

    async def idle(self) -> None:
        """Hold what is held between two turns, until cancelled."""

    async def interrupt(self) -> None:
        """End the turn that is being spoken; back when all of it has stopped."""


# Bare asyncio.


class BareConversation:
    """Two queues and three tasks; the third is the caller of `speak`."""

    def __init__(self, number: int) -> None:
        self.connection_id = f"connection-{number}"
        self._tasks: tuple[asyncio.Task[Any], ...] = ()

    async def speak(self, agent: AsyncIterator[str]) -> int:
        """Run the turn."""
        pieces: asyncio.Queue[str | None] = asyncio.Queue(100)
        events: asyncio.Queue[dict[str, Any]] = asyncio.Queue(100)
        produce = asyncio.create_task(self._produce(agent, pieces))
        split = asyncio.create_task(self._split(pieces, events))
        reader = asyncio.current_task()
        assert reader is not None
        self._tasks = (produce, split, reader)
        seen = 0
        while (await events.get())["type"] != "stream_end":
            seen += 1
        await produce
        await split
        return seen - 1  # the start is no chunk

    async def _produce(self, agent: AsyncIterator[str], pieces: asyncio.Queue[str | None]) -> None:
        async for piece in agent:
            await pieces.put(piece)
        await pieces.put(None)

    async def _split(self, pieces: asyncio.Queue[str | None], events: asyncio.Queue[dict[str, Any]]) -> None:
        buffer, at, seq = "", 0, 1
        await events.put(self._event("stream_start", 0))
        while (piece := await pieces.get()) is not None:
            buffer += piece
            while (match := BOUNDARY.search(buffer)) is not None:
                end = match.end()
                await events.put(self._chunk(seq, buffer[:end], at))
                buffer, at, seq = buffer[end:], at + end, seq + 1
        if buffer.strip():
            await events.put(self._chunk(seq, buffer, at))
            seq += 1
        await events.put(self._event("stream_end", seq))

    def _chunk(self, seq: int, text: str, start: int) -> dict[str, Any]:
        return {
            "type": "tts_ready_chunk",
            "turn_id": "turn",
            "connection_id": self.connection_id,
            "session_id": "bench",
            "seq": seq,
            "chunk": text.strip(),
            "start": start,
            "end": start + len(text),
        }

    def _event(self, kind: str, seq: int) -> dict[str, Any]:
        return {
            "type": kind,
            "turn_id": "turn",
            "connection_id": self.connection_id,
            "session_id": "bench",
            "seq": seq,
        }

    async def idle(self) -> None:
        """Wait with all three tasks for an agent that has nothing to say yet."""
        await self.speak(_silent())

    async def interrupt(self) -> None:
        """Cancel the three tasks and wait for them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)


async def _silent() -> AsyncIterator[str]:
    await asyncio.Event().wait()
    yield ""


# The engine.


class EngineConversation:
    """A connection of a system."""

    def __init__(self, processor: MessageProcessor) -> None:
        self._processor = processor
        self._turn_id = ""

    async def speak(self, agent: AsyncIterator[str]) -> int:
        """Run the turn."""
        processor = self._processor
        turn_id = self._turn_id = await processor.start_turn(session_id="bench", agent_stream=agent)
        seen = 0
        last: dict[str, Any] = {}
        async for event in processor.stream_events(turn_id):
            seen += 1
            last = event
        if last.get("type") != "stream_end" or last["status"] == "failed":
            raise BenchError(f"the turn ended with {last}")
        return seen - 2  # the start and the end are no chunks

    async def idle(self) -> None:
        """Hold nothing but the connection: between turns the engine has no task."""

    async def interrupt(self) -> None:
        """Interrupt the turn."""
        if not await self._processor.interrupt_turn(self._turn_id, reason="bench"):
            raise BenchError("there was no turn to interrupt")


# Subjects.


@dataclass(frozen=True, slots=True)
class World:
    """What conversations live in, while it is open."""

    connect: Callable[[], Conversation]
    left: Callable[[], int]
    """How much still runs of turns that have ended."""

    async def settle(self) -> None:
        """Wait until nothing runs of turns that have ended, so that tidying up is measured, too."""
        for _ in range(10_000):
            if not self.left():
                return
            await asyncio.sleep(0)
        raise BenchError(f"{self.left()} actors are left of turns that have ended")


@dataclass(frozen=True, slots=True)
class Subject:
    """One of the things that are compared."""

    name: str
    splitter: Callable[[], Any]
    """Makes the pipeline that it splits with, or one that splits alike."""
    bare: bool = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator[World]:
        """Open a world of this subject: for the engine a `ConversationSystem` with its default settings."""
        numbers = count()
        if self.bare:
            yield World(lambda: BareConversation(next(numbers)), lambda: 0)
            return
        speech = None if self.splitter is SpeechPipeline else self.splitter
        async with ConversationSystem(speech=speech) as system:
            actors = system.context.registry

            def connect() -> EngineConversation:
                return EngineConversation(system.connect(f"connection-{next(numbers)}"))

            yield World(connect, lambda: len(actors) - len(system.context.rosters) - 1)


BARE = Subject("bare asyncio", TrivialSplitter, bare=True)
SPLITTER = Subject("engine, trivial splitter", AttentiveSplitter)
PLAIN_SPLITTER = Subject("engine, trivial splitter without attention", TrivialSplitter)
DEFAULT_SPEECH = Subject("engine, default speech", SpeechPipeline)
