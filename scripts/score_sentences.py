"""Score the streaming segmenter on a file of sentences, reading it a few characters at a time.

    scripts/score_sentences.py FILE [--chars-per-token N] [--misses] [--by source] [--language none] [--json]

A line of the file is a JSON object with `text`, `sentences`, `lang` and (optionally) `source`. Two scores:
*exact*, the lines whose list of sentences is the given one; and *boundary F1*, where a boundary is the number
of non-blank characters before it, summed over all lines of one source (or language). And how long a listener
waits: how many characters past its end were read when a sentence was recognised.

Beside ours stand the batch segmenters that happen to be installed (sentencex, pysbd), on the whole text.
"""  # noqa: EXE002

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from actors.speech import SpeechPipeline, SpeechSettings

Segmenter = Callable[[str, str], list[str]]
AT_ONCE = "。！？"


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


def score(lines: list[dict[str, Any]], segment: Segmenter, group: str, misses: bool = False) -> dict[str, Score]:
    scores: dict[str, Score] = defaultdict(Score)
    for line in lines:
        given = [sentence.strip() for sentence in line["sentences"]]
        found = [sentence.strip() for sentence in segment(line["text"], line["lang"])]
        expected, ours = boundaries(given), boundaries(found)
        one = scores[line.get(group) or line["lang"]]
        one.lines += 1
        one.exact += given == found
        one.right += len(expected & ours)
        one.wrong += len(ours - expected)
        one.missed += len(expected - ours)
        if misses and given != found:
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


def batch_segmenters() -> dict[str, Segmenter]:
    """Those that are installed."""
    found: dict[str, Segmenter] = {}
    if importlib.util.find_spec("sentencex"):
        import sentencex

        found["sentencex (batch)"] = lambda text, language: list(sentencex.segment(language, text))
    if importlib.util.find_spec("pysbd"):
        import pysbd

        known: dict[str, Any] = {}

        def by_pysbd(text: str, language: str) -> list[str]:
            if language not in known:
                try:
                    known[language] = pysbd.Segmenter(language=language, clean=False)
                except ValueError:
                    known[language] = pysbd.Segmenter(language="en", clean=False)
            return list(known[language].segment(text))

        found["pysbd (batch)"] = by_pysbd
    return found


def percentile(values: list[int], share: float) -> int:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--chars-per-token", type=int, default=3)
    parser.add_argument("--misses", action="store_true", help="print each wrong or missing boundary")
    parser.add_argument("--by", default="source", help="the field to group by (default: source, else lang)")
    parser.add_argument("--language", choices=("given", "none"), default="given", help="none: let it be detected")
    parser.add_argument("--only", help="only lines of this language")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    lines = [json.loads(line) for line in options.file.read_text(encoding="utf-8").splitlines() if line.strip()]
    if options.only:
        lines = [line for line in lines if line["lang"] == options.only]
    size = options.chars_per_token
    detect = options.language == "none"

    def ours(text: str, language: str) -> list[str]:
        return stream(text, None if detect else language, size)

    rows = {f"Antiphon ({size} characters a token)": score(lines, ours, options.by, options.misses)}
    for name, segmenter in batch_segmenters().items():
        rows[name] = score(lines, segmenter, options.by)
    waits = Waits()
    for line in lines:
        measure_waits(line["text"], None if detect else line["lang"], waits)

    summary = {
        "median": statistics.median(waits.all) if waits.all else 0,
        "p95": percentile(waits.all, 0.95),
        "max": max(waits.all, default=0),
        "at_once_zero": sum(1 for wait in waits.at_once if wait == 0),
        "at_once": len(waits.at_once),
    }
    if options.json:
        print(
            json.dumps(
                {
                    "scores": {k: {g: vars(s) | {"f1": s.f1} for g, s in v.items()} for k, v in rows.items()},
                    "wait": summary,
                },
                ensure_ascii=False,
                indent=1,
            )
        )
        return 0
    for name, scores in rows.items():
        exact = sum(one.exact for one in scores.values())
        print(f"{name}: exact {exact} of {len(lines)}")
        print("   " + "  ".join(f"{group} {one.f1:.4f}" for group, one in sorted(scores.items())))
    print(
        f"recognised after its end, characters: median {summary['median']}, p95 {summary['p95']},"
        f" max {summary['max']}; after 。！？ at once: {summary['at_once_zero']} of {summary['at_once']}"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
