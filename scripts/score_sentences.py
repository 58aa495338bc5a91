#!/usr/bin/env python3
"""Score the streaming segmenter on a file of sentences, reading it a few characters at a time.

    scripts/score_sentences.py FILE [--chars-per-token N] [--peers] [--misses] [--by source] [--language none]
                                    [--markdown] [--json]

A line of the file is a JSON object with `text`, `sentences`, `lang` and (optionally) `source`. Two scores:
*exact*, the lines whose list of sentences is the given one; and *boundary F1*, where a boundary is the number
of non-blank characters before it, summed over all lines of one source (or language). And how long a listener
waits: how many characters past its end were read when a sentence was recognised.

Beside ours stands the batch segmenter that ours asks (sentencex), on the whole text; with `--peers` also others,
installed for this run alone: some on the whole text, those that read streams at as many characters a token.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from checkout import ROOT

sys.path.insert(0, str(ROOT))

import sentencex
from json_lines import json_lines
from peers.throwaway import Guest, environment

from actors.speech import SpeechPipeline, SpeechSettings

AT_ONCE = "。！？"
PEERS = {
    "pysbd (whole text)": ("pysbd", ("pysbd",)),
    "blingfire (whole text)": ("blingfire", ("livekit-blingfire",)),
    "syntok (whole text)": ("syntok", ("syntok",)),
    "stream2sentence (streaming)": ("stream2sentence", ("stream2sentence",)),
    "sentence-stream (streaming)": ("sentence-stream", ("sentence-stream",)),
    "Pipecat's aggregator (streaming)": ("pipecat", ("pipecat-ai",)),
}
"""By the name in the table: what `peers.segmenters` calls it, and what has to be installed."""

Found = list[list[str]]
"""The sentences of each line."""


@dataclass
class Score:
    """Counts of one group of lines."""

    lines: int = 0
    exact: int = 0
    right: int = 0
    wrong: int = 0
    missed: int = 0

    @property
    def f1(self) -> float:
        total = 2 * self.right + self.wrong + self.missed
        return 1.0 if not total else 2 * self.right / total


@dataclass
class Waits:
    """Characters read past the end of a sentence when it was recognised."""

    all: list[int] = field(default_factory=list)
    at_once: list[int] = field(default_factory=list)


def pipeline(language: str | None) -> SpeechPipeline:
    """The pipeline as a plain sentence segmenter."""
    return SpeechPipeline(
        SpeechSettings(
            language=language, min_chunk_chars=0, first_chunk_min_chars=None, max_chunk_chars=None, markup=False
        )
    )


def stream(text: str, language: str | None, size: int) -> list[str]:
    """Sentences of `text`, fed `size` characters at a time."""
    speech = pipeline(language)
    chunks = []
    for at in range(0, len(text), size):
        chunks += speech.feed(text[at : at + size])
    return [chunk.text for chunk in chunks + speech.flush()]


def measure_waits(text: str, language: str | None, waits: Waits) -> None:
    """Feed one character at a time: a sentence's end is known `wait` characters after it."""
    speech = pipeline(language)
    for at, char in enumerate(text):
        for chunk in speech.feed(char):
            end = chunk.start + len(text[chunk.start : chunk.end].rstrip())
            waits.all.append(at + 1 - end)
            if text[end - 1] in AT_ONCE:
                waits.at_once.append(at + 1 - end)


def boundaries(sentences: Iterable[str]) -> set[int]:
    at, found = 0, set()
    for sentence in sentences:
        at += len("".join(sentence.split()))
        found.add(at)
    return found - {at}


def score(lines: list[dict[str, Any]], found: Found, group: str, misses: bool = False) -> dict[str, Score]:
    """Compare what was found in each line with what is given there."""
    scores: dict[str, Score] = defaultdict(Score)
    for line, sentences in zip(lines, found, strict=True):
        given = [sentence.strip() for sentence in line["sentences"]]
        stripped = [sentence.strip() for sentence in sentences]
        expected, ours = boundaries(given), boundaries(stripped)
        one = scores[line.get(group) or line["lang"]]
        one.lines += 1
        one.exact += given == stripped
        one.right += len(expected & ours)
        one.wrong += len(ours - expected)
        one.missed += len(expected - ours)
        if misses and given != stripped:
            show_miss(line, expected, ours)
    return dict(scores)


def show_miss(line: dict[str, Any], expected: set[int], ours: set[int]) -> None:
    """Print where a cut is missing (`⟨-⟩`) or too much (`⟨+⟩`), with what stands around it."""
    text = line["text"]
    places = [at for at, char in enumerate(text) if not char.isspace()]
    for number in sorted(expected ^ ours):
        at = places[number - 1] + 1 if 0 < number <= len(places) else len(text)
        sign = "⟨+⟩" if number in ours else "⟨-⟩"
        print(f"{line['lang']}  …{text[max(0, at - 70) : at]}{sign}{text[at : at + 40]}…".replace("\n", "⏎"))
    if expected == ours:
        print(f"{line['lang']}  same boundaries, other text: {text[:100]!r}")


def ask_peers(lines: list[dict[str, Any]], size: int) -> dict[str, Found]:
    """What the others find, each installed into the environment that is thrown away."""
    texts = [(line["text"], line["lang"]) for line in lines]
    found = {}
    with ExitStack() as stack:
        python = stack.enter_context(
            environment(*(package for _, packages in PEERS.values() for package in packages))
        )
        guest = stack.enter_context(Guest(python, "peers.segmenters"))
        for name, (segmenter, _) in PEERS.items():
            found[name] = guest.ask({"segmenter": segmenter, "texts": texts, "size": size})
    return found


def percentile(values: list[int], share: float) -> int:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0


def print_scores(rows: dict[str, dict[str, Score]], *, markdown: bool) -> None:
    """A line for each segmenter, a column for each group."""
    groups = sorted({group for scores in rows.values() for group in scores})
    table = [["segmenter", "exact", *groups]]
    for name, scores in rows.items():
        exact = sum(one.exact for one in scores.values())
        table.append([name, str(exact), *(f"{scores[group].f1:.3f}" for group in groups)])
    if markdown:
        table.insert(1, ["---"] * len(table[0]))
    widths = [max(len(row[at]) for row in table) for at in range(len(table[0]))]
    for row in table:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print(f"| {' | '.join(cells)} |" if markdown else "  ".join(cells).rstrip())


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("lines", metavar="FILE", type=json_lines("text", "sentences", "lang"))
    parser.add_argument("--chars-per-token", type=int, default=3)
    parser.add_argument("--peers", action="store_true", help="also other segmenters, installed for this run alone")
    parser.add_argument("--misses", action="store_true", help="print each wrong or missing boundary of ours")
    parser.add_argument("--by", default="source", help="the field to group by (default: source, else lang)")
    parser.add_argument("--language", choices=("given", "none"), default="given", help="none: let it be detected")
    parser.add_argument("--only", help="only lines of this language")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("--json", action="store_true", help="print all counts as JSON")
    options = parser.parse_args(arguments)

    lines = [line for line in options.lines if options.only in {None, line["lang"]}]
    size = options.chars_per_token
    languages = [None if options.language == "none" else line["lang"] for line in lines]

    ours = [stream(line["text"], language, size) for line, language in zip(lines, languages, strict=True)]
    others: dict[str, Found] = {
        "sentencex (whole text)": [list(sentencex.segment(line["lang"], line["text"])) for line in lines]
    }
    if options.peers:
        others |= ask_peers(lines, size)
    rows = {f"Antiphon (streaming, {size} characters a token)": score(lines, ours, options.by, options.misses)}
    rows |= {name: score(lines, found, options.by) for name, found in others.items()}

    waits = Waits()
    for line, language in zip(lines, languages, strict=True):
        measure_waits(line["text"], language, waits)
    summary = {
        "median": statistics.median(waits.all) if waits.all else 0,
        "p95": percentile(waits.all, 0.95),
        "max": max(waits.all, default=0),
        "at_once_zero": sum(1 for wait in waits.at_once if wait == 0),
        "at_once": len(waits.at_once),
    }
    if options.json:
        scores = {
            name: {group: vars(one) | {"f1": one.f1} for group, one in own.items()} for name, own in rows.items()
        }
        print(json.dumps({"scores": scores, "wait": summary}, ensure_ascii=False, indent=1))
        return 0
    print(f"{len(lines)} lines; exact: how many of them; then boundary F1")
    print_scores(rows, markdown=options.markdown)
    print(
        f"recognised after its end, characters: median {summary['median']:g}, p95 {summary['p95']},"
        f" max {summary['max']}; after {AT_ONCE} at once: {summary['at_once_zero']} of {summary['at_once']}"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
