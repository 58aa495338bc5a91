#!/usr/bin/env python3
"""What speech costs: CPU time per token of four characters, of the pipeline, its stages, and others' splitters.

    scripts/bench_speech.py [--quick] [--repeat N] [--tokens N] [--peers] [--markdown] [--json FILE] [--check]

`scripts/bench.py --only speech` measures the same. The baseline is the least that anybody does who splits a stream:
`buffer += token`, a search for the end of a sentence, a cut; on English prose, also where the text beside it is
another. Beside the whole pipeline stand parts of it: with the filters off, as a plain segmenter, each stage alone
as if it had to look at every token (the pipeline spares it most of them), and the segmenting library called once for
each sentence. `--peers` installs LiveKit and Pipecat into an environment that is thrown away, and measures their
splitters, which filter nothing, in turns with ours.

All subjects take their turn in each round, every second round in the opposite order, with the best of three runs; a
ratio is taken within a round.
"""

from __future__ import annotations

import argparse
import gc
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from checkout import ROOT

sys.path.insert(0, str(ROOT))  # what is measured is this checkout

import sentencex
from benchmarks.rows import Row, Target, measured, print_markdown, print_table, write_json
from benchmarks.texts import CHINESE, MARKDOWN, USUAL_MARKDOWN
from benchmarks.workload import BOUNDARY, PROSE
from peers.throwaway import Guest, environment

from actors.speech import Piece, SpeechChunk, SpeechPipeline, SpeechSettings, Stage, Text
from actors.speech.chunking import Chunking
from actors.speech.emoji import Emoji
from actors.speech.emotion import Emotion
from actors.speech.markup import Markup
from actors.speech.reasoning import Reasoning
from actors.speech.sentences import Sentences

__all__ = ["measure_speech"]

PART = "speech, CPU time per token of 4 characters"
SIZE = 4
TURN = 200  # tokens of a usual turn
BEST_OF = 3  # runs in each round: they are short, and what disturbs one of them is not what is measured
PEERS = {
    "LiveKit's blingfire stream": ("livekit", ("livekit-agents", "livekit-blingfire")),
    "Pipecat's text aggregator": ("pipecat", ("pipecat-ai",)),
}

DEFAULT = SpeechSettings()
FILTERS_OFF = SpeechSettings(markup=False)
SEGMENTER = SpeechSettings(min_chunk_chars=0, first_chunk_min_chars=None, max_chunk_chars=None, markup=False)


@dataclass(frozen=True, slots=True)
class Load:
    """A text, its language, and how many times the baseline the pipeline may take for it."""

    name: str
    text: str
    limit: float
    language: str

    def tokens(self, count: int) -> list[str]:
        """Return `count` tokens of it, begun again where it ends."""
        text = self.text.strip() + "\n\n"
        text *= count * SIZE // len(text) + 1
        return [text[at : at + SIZE] for at in range(0, count * SIZE, SIZE)]


def _unwrapped(text: str) -> str:
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n"))


LOADS = (
    Load("plain prose", _unwrapped(PROSE), 4, "en"),
    Load("full of Markdown", MARKDOWN, 10, "en"),
    Load("usual Markdown", USUAL_MARKDOWN, 10, "en"),
    Load("Chinese", CHINESE, 10, "zh"),
)


@dataclass(frozen=True, slots=True)
class Subject:
    """One thing that is measured: `measure` gives the CPU seconds that all tokens took."""

    load: str
    name: str
    measure: Callable[[], float]
    target: Target | None = None


def measure_speech(repeat: int, tokens: int, *, peers: bool = False) -> list[Row]:
    """Measure everything in `repeat` rounds of so many tokens of each text."""
    figures: dict[Subject, list[float]] = {}
    with _peers(tokens) if peers else nullcontext(()) as guests:
        subjects = [
            subject
            for load in LOADS
            for subject in [*_subjects(load, load.tokens(tokens)), *(one for one in guests if one.load == load.name)]
        ]
        for number in range(repeat):
            for subject in subjects if number % 2 == 0 else reversed(subjects):
                gc.collect()
                figures.setdefault(subject, []).append(subject.measure() / tokens * 1e6)
    baseline = figures[subjects[0]]
    return [
        measured(PART, subject.load, subject.name, "µs", figures[subject], bare=baseline, target=subject.target)
        for subject in subjects
    ]


def _subjects(load: Load, tokens: Sequence[str]) -> Iterator[Subject]:
    if load is LOADS[0]:
        yield Subject(load.name, "baseline: search at each token, cut", partial(_timed, partial(_split, tokens)))
    chunks = _chunks(DEFAULT, tokens)
    whole = SpeechPipeline()
    assert chunks == [*whole.feed("".join(tokens)), *whole.flush()], "the tokens must not matter"
    target = Target(load.limit, "ratio")
    pipeline = "pipeline, all stages"
    yield Subject(load.name, pipeline, partial(_timed, partial(_chunks, DEFAULT, tokens)), target)
    turns = [tokens[at : at + TURN] for at in range(0, len(tokens), TURN)]
    yield Subject(
        load.name, f"{pipeline}, a new one each {TURN} tokens", partial(_timed, partial(_turns, turns)), target
    )
    yield Subject(load.name, f"{pipeline}, as the engine feeds it", partial(_timed, partial(_gathered, tokens)))
    yield Subject(load.name, "pipeline, filters off", partial(_timed, partial(_chunks, FILTERS_OFF, tokens)))
    yield Subject(load.name, "pipeline as a plain segmenter", partial(_timed, partial(_chunks, SEGMENTER, tokens)))
    for name, make, fed in _alone(tokens):
        name = f"stage alone, at each token: {name}"  # noqa: PLW2901
        yield Subject(load.name, name, partial(_timed, partial(_feed, make, fed)))
    texts = [chunk.text for chunk in chunks]
    once = partial(_segment_each, load.language, texts)
    yield Subject(load.name, "segmenting library alone, once a sentence", partial(_timed, once))


def _timed(work: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(BEST_OF):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return best


# What is measured.


def _split(tokens: Sequence[str]) -> int:
    """The baseline."""
    buffer, sentences = "", 0
    for token in tokens:
        buffer += token
        match = BASELINE.search(buffer)
        if match is not None:
            sentences += 1
            buffer = buffer[match.end() :]
    return sentences


BASELINE = re.compile(BOUNDARY.pattern.replace("[.!?]", "[.!?。！？]"))


def _chunks(settings: SpeechSettings, tokens: Sequence[str]) -> list[SpeechChunk]:
    pipeline = SpeechPipeline(settings)
    chunks: list[SpeechChunk] = []
    for token in tokens:
        ready = pipeline.feed(token)
        if ready:
            chunks += ready
            pipeline.take_removed()
    chunks += pipeline.flush()
    return chunks


def _turns(turns: Sequence[Sequence[str]]) -> None:
    for tokens in turns:
        _chunks(DEFAULT, tokens)


def _gathered(tokens: Sequence[str]) -> int:
    """As the engine does it: tokens of which nothing can come travel together."""
    pipeline = SpeechPipeline()
    chunks = 0
    held: list[str] = []
    for token in tokens:
        held.append(token)
        attention = pipeline.attention
        if attention is None or len(held) > 32 or attention.search(token) is not None:
            chunks += len(pipeline.feed("".join(held)))
            pipeline.take_removed()
            held.clear()
    return chunks + len(pipeline.feed("".join(held))) + len(pipeline.flush())


def _alone(tokens: Sequence[str]) -> Iterator[tuple[str, Callable[[], Stage | Chunking], list[list[Piece]]]]:
    """Each stage with what the stages before it make of the tokens, a list for each token."""
    stages: dict[str, Callable[[], Stage]] = {
        "reasoning": Reasoning,
        "markup": Markup,
        "emoji": Emoji,
        "emotion": partial(Emotion, DEFAULT.emotion_tags),
        "sentences": partial(Sentences, lines=False),
    }
    fed: list[list[Piece]] = []
    at = 0
    for token in tokens:
        fed.append([Text(token, at, at + len(token))])
        at += len(token)
    for name, make in stages.items():
        yield name, make, fed
        stage = make()
        fed = [stage.feed(pieces) for pieces in fed]
    yield "chunking", Chunking, fed


def _feed(make: Callable[[], Stage | Chunking], fed: Sequence[list[Piece]]) -> None:
    stage = make()
    for pieces in fed:
        stage.feed(pieces)


def _segment_each(language: str, texts: Sequence[str]) -> None:
    for text in texts:
        sentencex.segment(language, text)


# Others.


@contextmanager
def _peers(tokens: int) -> Iterator[list[Subject]]:
    with ExitStack() as stack:
        subjects = []
        for name, (peer, packages) in PEERS.items():
            guest = stack.enter_context(Guest(stack.enter_context(environment(*packages)), "peers.splitters"))
            guest.ask(
                {"peer": peer, "tokens": ["It is", " here. ", "It works. "]}
            )  # what it loads is no token's share
            for load in LOADS:
                request = {"peer": peer, "tokens": load.tokens(tokens)}
                subjects.append(Subject(load.name, f"{name}, no filter", partial(_ask, guest, request)))
        yield subjects


def _ask(guest: Guest, request: object) -> float:
    best = float("inf")
    for _ in range(BEST_OF):
        seconds, pieces = guest.ask(request)
        assert pieces > 1, "it did not split"
        best = min(best, float(seconds))
    return best


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it runs, measures nothing")
    parser.add_argument("--repeat", type=int, help="rounds (5)")
    parser.add_argument("--tokens", type=int, help="tokens of a round (20,000)")
    parser.add_argument("--peers", action="store_true", help="also LiveKit and Pipecat, installed for this run alone")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    parser.add_argument("--check", action="store_true", help="exit code 1 if a target is missed")
    options = parser.parse_args(arguments)
    repeat = options.repeat or (1 if options.quick else 5)
    tokens = options.tokens or (400 if options.quick else 20_000)
    rows = measure_speech(repeat, tokens, peers=options.peers)
    (print_markdown if options.markdown else print_table)(rows)
    if options.json is not None:
        write_json(options.json, rows, repeat=repeat, tokens=tokens)
    missed = [row for row in rows if row.met is False]
    for row in missed:
        print(f"missed: {row.load}, {row.subject}")
    return 1 if options.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
