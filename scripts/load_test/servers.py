"""The two servers of `load.py`, each a process of its own: the gateway, and a bare Starlette endpoint.

Both run the same agents, token by token, under the same uvicorn, and send the same frames. The bare one joins tokens
with the trivial splitter and has nothing in between: no queue, no interrupt, no limit, no ledger. It is the floor.

    python -m load_test.servers gateway|real|bare INTERVAL TOKENS    (`real`: the gateway with default speech)

Prints its port when it listens.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from itertools import count, cycle
from typing import Any

from checkout import ROOT

sys.path.insert(0, str(ROOT))  # what is measured is this checkout

import uvicorn
from benchmarks.workload import TOKEN, AttentiveSplitter, TrivialSplitter
from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from actors import ConversationSystem, Settings
from actors.gateway import AgentRequest, Gateway, GatewaySettings, gateway
from actors.gateway.server import Server, bind, collect_garbage_rarely

__all__ = ["WORDS"]

WORDS = TOKEN.findall(" The first loaves are on the shelf by six today")
"""Of a sentence; behind them comes the time at which it was due, and a full stop of its own."""


async def agent(delay: float, interval: float, tokens: int) -> AsyncIterator[str]:
    """Give tokens at a steady pace; a sentence says, in microseconds, when its last token was due."""
    loop = asyncio.get_running_loop()
    start = loop.time() + delay
    sentence = len(WORDS) + 2
    words = cycle(WORDS)
    for number in range(tokens):
        due = start + number * interval
        await asyncio.sleep(due - loop.time())
        place = number % sentence
        if place < len(WORDS):
            yield next(words)
        elif place == len(WORDS):
            yield f" {round((due + interval) * 1e6)}"
        else:
            yield "."


def main() -> None:
    subject, interval, tokens = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    settings = GatewaySettings(max_unauthorized=1_000)
    (listening,) = bind("127.0.0.1", 0, settings.send_buffer_bytes)
    listening.listen(2_048)
    collect_garbage_rarely()  # as `antiphon serve` does
    print(listening.getsockname()[1], flush=True)
    options: dict[str, Any] = {
        "loop": "uvloop",
        "http": "h11",
        "ws_ping_interval": None,
        "ws_per_message_deflate": False,
    }
    if subject == "bare":
        config = uvicorn.Config(_bare(interval, tokens), log_level="warning", access_log=False, **options)
        server = uvicorn.Server(config)
    else:
        server = Server(_gateway(subject, interval, tokens, settings), settings)
    server.run(sockets=[listening])


def _gateway(subject: str, interval: float, tokens: int, settings: GatewaySettings) -> Gateway:
    def answer(request: AgentRequest) -> AsyncIterator[str]:
        return agent(request.metadata["delay"], interval, tokens)

    system = ConversationSystem(Settings(), speech=None if subject == "real" else AttentiveSplitter)
    return gateway(system, agent=answer, settings=settings)


def _bare(interval: float, tokens: int) -> Starlette:
    numbers = count()

    async def endpoint(socket: WebSocket) -> None:
        await socket.accept()
        ids = {"connection_id": str(next(numbers)), "session_id": ""}
        try:
            await socket.receive_text()
            await socket.send_text(to_json({"type": "authorize_success", "resume_token": "", **ids}).decode())
            while True:
                order = json.loads(await socket.receive_text())
                if order["type"] == "chat_message":
                    await _speak(socket, {"turn_id": str(next(numbers)), **ids}, order["metadata"]["delay"])
        except WebSocketDisconnect:
            pass

    async def _speak(socket: WebSocket, ids: dict[str, Any], delay: float) -> None:
        async def say(kind: str, **fields: Any) -> None:
            event = {"type": kind, **ids, "seq": next(seq), **fields}
            await socket.send_text(to_json(event).decode())

        seq, splitter, text = count(), TrivialSplitter(), []
        await say("stream_start")
        async for token in agent(delay, interval, tokens):
            text.append(token)
            for chunk in splitter.feed(token):
                await say("tts_ready_chunk", chunk=chunk.text, start=chunk.start, end=chunk.end)
        for chunk in splitter.flush():
            await say("tts_ready_chunk", chunk=chunk.text, start=chunk.start, end=chunk.end)
        await say("stream_end", status="completed", reason="completed", content="".join(text), skipped_events=0)

    return Starlette(routes=[WebSocketRoute("/ws", endpoint)])


if __name__ == "__main__":
    main()
