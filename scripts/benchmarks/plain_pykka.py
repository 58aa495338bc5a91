"""Plain Pykka beside the bare pipeline: five threads a connection, the design that an actor library suggests.

Connection, turn, producer, chunker and emitter are `ThreadingActor`s; tokens, chunks and events are told. There is
no bound and no interrupt, so this is a lower limit. The agent is a plain iterator, because a thread reads it; a live
one gives the other threads a chance at each token, as `sleep(0)` does in a loop.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pykka

from benchmarks.cpu import CpuLoad, cpu_per_token
from benchmarks.memory import STATM, resident_bytes
from benchmarks.rows import Row, measured
from benchmarks.subjects import BARE, BenchError
from benchmarks.workload import TrivialSplitter, count_chunks, tokens

__all__ = ["measure_pykka", "measure_pykka_memory"]

NAME = "plain Pykka, 5 threads"


def measure_pykka(load: CpuLoad, repeat: int) -> list[Row]:
    """Measure CPU time per token, in turns with the bare pipeline."""
    bare: list[float] = []
    plain: list[float] = []
    for _ in range(repeat):
        gc.collect()
        bare.append(cpu_per_token(BARE, load))
        gc.collect()
        plain.append(_cpu_per_token(load))
    part = "plain Pykka, CPU time per token"
    return [
        measured(part, load.name, BARE.name, "µs", bare, bare=bare),
        measured(part, load.name, NAME, "µs", plain, bare=bare),
    ]


def measure_pykka_memory(connections: int, repeat: int) -> list[Row]:
    """Measure the resident memory of an idle connection, in fresh processes; its stacks are no Python objects."""
    if not STATM.exists():
        return []
    values = []
    for _ in range(repeat):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            values.append(process.submit(_resident_here, connections).result())
    return [measured("plain Pykka, memory per connection", f"idle, {connections:,}, RSS", NAME, "KiB", values)]


def _cpu_per_token(load: CpuLoad) -> float:
    pieces = tokens(load.tokens)
    began = time.process_time()
    connections = [Connection.start(i) for i in range(load.turns)]
    clients = [Client() for _ in connections]
    for connection, client in zip(connections, clients, strict=True):
        agent = _live(pieces) if load.kind == "live" else iter(pieces)
        connection.tell(("start", agent, client))
    for client in clients:
        client.ended.wait()
    for connection in connections:
        connection.stop()
    seconds = time.process_time() - began
    expected = count_chunks(TrivialSplitter, pieces)
    if any(client.chunks != expected for client in clients):
        raise BenchError(f"{NAME}, {load.name}: not every turn gave its {expected} chunks")
    return seconds / (load.turns * load.tokens) * 1e6


def _resident_here(connections: int) -> float:
    before = resident_bytes()
    held = [Connection.start(i) for i in range(connections)]
    for connection in held:
        connection.ask(("ready",))
    grown = resident_bytes() - before
    for connection in held:
        connection.stop()
    return grown / connections / 1024


def _live(pieces: Sequence[str]) -> Iterator[str]:
    for piece in pieces:
        time.sleep(0)
        yield piece


class Client:
    """Counts what it is handed, in the emitter's thread."""

    def __init__(self) -> None:
        self.chunks = 0
        self.ended = threading.Event()

    def send(self, event: dict[str, Any]) -> None:
        """Take an event."""
        if event["type"] == "stream_end":
            self.ended.set()
        elif event["type"] == "tts_ready_chunk":
            self.chunks += 1


class Connection(pykka.ThreadingActor):
    """Owns the four others."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def on_start(self) -> None:
        """Start the others, which wait for a turn."""
        self._emitter = Emitter.start(f"connection-{self._number}")
        self._chunker = Chunker.start(self._emitter)
        self._producer = Producer.start(self._chunker)
        self._turn = Turn.start(self._producer, self._emitter)

    def on_stop(self) -> None:
        """Stop them."""
        for actor in (self._turn, self._producer, self._chunker, self._emitter):
            actor.stop()

    def on_receive(self, message: Any) -> Any:
        """Pass a turn on."""
        if message[0] == "start":
            self._turn.tell(message)


class Turn(pykka.ThreadingActor):
    """Starts the agent for the client."""

    def __init__(self, producer: pykka.ActorRef[Any], emitter: pykka.ActorRef[Any]) -> None:
        super().__init__()
        self._producer, self._emitter = producer, emitter

    def on_receive(self, message: Any) -> Any:
        """Begin a turn."""
        _start, agent, client = message
        self._emitter.tell(client)
        self._producer.tell(agent)


class Producer(pykka.ThreadingActor):
    """Reads the agent."""

    def __init__(self, chunker: pykka.ActorRef[Any]) -> None:
        super().__init__()
        self._chunker = chunker

    def on_receive(self, message: Iterable[str]) -> Any:
        """Read one agent to its end."""
        for piece in message:
            self._chunker.tell(piece)
        self._chunker.tell(None)


class Chunker(pykka.ThreadingActor):
    """Splits."""

    def __init__(self, emitter: pykka.ActorRef[Any]) -> None:
        super().__init__()
        self._emitter = emitter
        self._splitter = TrivialSplitter()

    def on_receive(self, message: str | None) -> Any:
        """Take a token, or None at the end."""
        last = message is None
        for chunk in self._splitter.flush() if message is None else self._splitter.feed(message):
            self._emitter.tell(chunk)
        if last:
            self._emitter.tell(None)


class Emitter(pykka.ThreadingActor):
    """Makes events."""

    def __init__(self, connection_id: str) -> None:
        super().__init__()
        self._connection_id = connection_id
        self._client = Client()
        self._seq = 0

    def on_receive(self, message: Any) -> Any:
        """Take a client, then its chunks, and None at the end."""
        if isinstance(message, Client):
            self._client, self._seq = message, 0
            self._send({"type": "stream_start"})
        elif message is None:
            self._send({"type": "stream_end"})
        else:
            place = {"start": message.start, "end": message.end}
            self._send({"type": "tts_ready_chunk", "chunk": message.text, **place})

    def _send(self, event: dict[str, Any]) -> None:
        ids = {"turn_id": "turn", "connection_id": self._connection_id, "session_id": "bench"}
        self._client.send({**event, **ids, "seq": self._seq})
        self._seq += 1
