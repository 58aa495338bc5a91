"""Other sentence segmenters: runs in an environment that has them.

Asked by `score_sentences` over a pipe (see `throwaway`): which one, the texts with their languages, and how many
characters a token has; answers with the sentences of each text. Each is set up as its documentation has it for plain
segmentation, so that it neither joins nor cuts by length.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cache
from typing import Any

from peers.throwaway import answer, requests


@cache
def _pysbd(language: str) -> Any:
    import pysbd

    try:
        return pysbd.Segmenter(language=language, clean=False)
    except ValueError:  # a language that it does not know
        return pysbd.Segmenter(language="en", clean=False)


def pysbd(text: str, language: str, _size: int) -> list[str]:
    """Rules, 22 languages."""
    return list(_pysbd(language).segment(text))


def blingfire(text: str, _language: str, _size: int) -> list[str]:
    """Automata, one for all languages; what LiveKit uses, here on the whole text."""
    from livekit import blingfire

    _, spans = blingfire.text_to_sentences_with_offsets(text)
    return [text[start:end] for start, end in spans]


def syntok(text: str, _language: str, _size: int) -> list[str]:
    """Rules, for English, German and Spanish."""
    from syntok import segmenter

    starts = [sentence[0].offset for paragraph in segmenter.process(text) for sentence in paragraph if len(sentence)]
    return [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]


def stream2sentence(text: str, language: str, size: int) -> list[str]:
    """Reads a stream; its rules."""
    from stream2sentence import generate_sentences

    tokens = (text[at : at + size] for at in range(0, len(text), size))
    return list(generate_sentences(tokens, minimum_sentence_length=1, language=language))


def sentence_stream(text: str, _language: str, size: int) -> list[str]:
    """Reads a stream; Home Assistant's."""
    from sentence_stream import stream_to_sentences

    return list(stream_to_sentences(text[at : at + size] for at in range(0, len(text), size)))


def pipecat(text: str, language: str, size: int) -> list[str]:
    """Reads a stream: Pipecat's simple aggregator, in which sentencex decides."""
    from pipecat.utils.text.simple_text_aggregator import SimpleTextAggregator

    async def run() -> list[str]:
        aggregator = SimpleTextAggregator()
        aggregator.set_language(language)
        pieces = []
        for at in range(0, len(text), size):
            pieces += [piece.text async for piece in aggregator.aggregate(text[at : at + size])]
        rest = await aggregator.flush()
        return [*pieces, rest.text] if rest is not None else pieces

    return asyncio.run(run())


SEGMENTERS: dict[str, Callable[[str, str, int], list[str]]] = {
    "pysbd": pysbd,
    "blingfire": blingfire,
    "syntok": syntok,
    "stream2sentence": stream2sentence,
    "sentence-stream": sentence_stream,
    "pipecat": pipecat,
}

if __name__ == "__main__":
    for request in requests():
        segment, size = SEGMENTERS[request["segmenter"]], request["size"]
        answer([segment(text, language, size) for text, language in request["texts"]])
