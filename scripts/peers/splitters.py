"""The splitters of LiveKit and Pipecat, fed token by token: runs in an environment that has them.

Asked by `bench_speech` over a pipe (see `throwaway`): which of the two, and the tokens; answers with the CPU seconds
that reading all of them took and the number of pieces that came out. Neither filters anything.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from peers.throwaway import answer, requests


async def livekit(tokens: Sequence[str]) -> int:
    """The default of LiveKit's stream adapter, with what it needs to know that the text is over."""
    from livekit.agents.tokenize import blingfire

    stream = blingfire.SentenceTokenizer().stream()
    for token in tokens:
        stream.push_text(token)
    stream.end_input()
    return len([piece async for piece in stream])


async def pipecat(tokens: Sequence[str]) -> int:
    """Pipecat's simple aggregator, by sentences, as its speech services use it."""
    from pipecat.utils.text.simple_text_aggregator import SimpleTextAggregator

    aggregator = SimpleTextAggregator()
    pieces = 0
    for token in tokens:
        async for _ in aggregator.aggregate(token):
            pieces += 1
    return pieces + (await aggregator.flush() is not None)


PEERS: dict[str, Callable[[Sequence[str]], Awaitable[int]]] = {"livekit": livekit, "pipecat": pipecat}


async def measure(peer: str, tokens: Sequence[str]) -> tuple[float, int]:
    """Feed all tokens once; return CPU seconds and pieces."""
    began = time.process_time()
    pieces = await PEERS[peer](tokens)
    return time.process_time() - began, pieces


if __name__ == "__main__":
    for request in requests():
        answer(asyncio.run(measure(request["peer"], request["tokens"])))
