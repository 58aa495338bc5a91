#!/usr/bin/env python3
"""Check recorded answers of models: is what would be spoken clean, whatever the tokens were?

    scripts/check_streams.py FILE [--show N]

A line of the file is a JSON object with `tokens` (the text pieces as they came). An answer is clean if in its
chunks no mark-up, URL, tag, emoji, empty or over-long chunk is left, if its chunks are the same for the
recorded tokens, one character at a time and the whole at once, and if chunks and removed spans tile the text.
Exit code 1 if any answer is not.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable

from checkout import ROOT

sys.path.insert(0, str(ROOT))

import regex
from json_lines import json_lines

from actors.speech import RemovedSpan, SpeechChunk, SpeechPipeline, SpeechSettings

Spoken = tuple[list[SpeechChunk], list[RemovedSpan]]

LEFT_OVERS = {
    "strong": r"\*\*|__(?=\w)|(?<=\w)__",
    "emphasis": r"(?:^|\s)\*(?=\w)",
    "strikethrough": r"~~",
    "heading": r"^\s*#{1,6}\s",
    "bullet": r"^\s*[-*+•]\s",
    "quote": r"^\s*>\s",
    "code": r"`",
    "table": r"\|\s*:?-{2,}|^\s*\||\|\s*$",
    "link": r"\]\(|!\[",
    "footnote": r"\[\^",
    "url": r"https?://|www\.",
    "tag": r"</?[a-zA-Z][\w-]*(?:\s[^<>]*)?/?>",
    "comment": r"<!--",
    "entity": r"&(?:#\d+|#x[0-9a-fA-F]+|amp|lt|gt|quot|nbsp);",
    "math": r"\$\$|\\\(|\\\)|\\\[|\\\]",
    "emoji": r"(?![©®™‼⁉ℹ〰])\p{Extended_Pictographic}|\p{RI}|\uFE0F|\u20E3",
    "rule": r"^\s*(?:-{3,}|\*{3,}|_{3,})\s*$",
}
PATTERNS = {name: regex.compile(pattern, regex.MULTILINE) for name, pattern in LEFT_OVERS.items()}
SPEAKABLE = regex.compile(r"[\p{L}\p{N}\p{Sc}\p{Sm}]")


def speak(tokens: Iterable[str], settings: SpeechSettings) -> Spoken:
    pipeline = SpeechPipeline(settings)
    chunks: list[SpeechChunk] = []
    removed: list[RemovedSpan] = []
    for token in tokens:
        chunks += pipeline.feed(token)
        removed += pipeline.take_removed()
    return chunks + pipeline.flush(), removed + pipeline.take_removed()


def faults(tokens: list[str], settings: SpeechSettings) -> list[str]:
    """All that is wrong with how this answer would be spoken."""
    text = "".join(tokens)
    spoken = speak(tokens, settings)
    found = []
    for name, cut in (("one character at a time", list(text)), ("at once", [text])):
        if speak(cut, settings) != spoken:
            found.append(f"other chunks {name}")
    chunks, removed = spoken
    for chunk in chunks:
        found += [f"{name} in {chunk.text!r}" for name, pattern in PATTERNS.items() if pattern.search(chunk.text)]
        if not SPEAKABLE.search(chunk.text):
            found.append(f"nothing to say in {chunk.text!r}")
        if settings.max_chunk_chars and len(chunk.text) > settings.max_chunk_chars:
            found.append(f"too long: {chunk.text!r}")
    at = 0
    for start, end in sorted([(c.start, c.end) for c in chunks] + [(r.start, r.end) for r in removed]):
        if start != at:
            found.append(f"hole or overlap at {at}")
            break
        at = end
    if at != len(text) and not any(fault.startswith("hole") for fault in found):
        found.append(f"{len(text) - at} characters unaccounted for at the end")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("answers", metavar="FILE", type=json_lines("tokens"))
    parser.add_argument("--show", type=int, help="print the chunks of this answer (0, 1, …)")
    options = parser.parse_args()
    settings = SpeechSettings()
    clean = 0
    for number, answer in enumerate(options.answers):
        if options.show == number:
            for chunk in speak(answer["tokens"], settings)[0]:
                print(f"  [{chunk.start}:{chunk.end}] {chunk.text}")
        found = faults(answer["tokens"], settings)
        clean += not found
        for fault in found[:5]:
            print(f"{number} ({answer.get('model', '?')}): {fault}")
    print(f"clean: {clean} of {len(options.answers)}")
    return 0 if clean == len(options.answers) else 1


if __name__ == "__main__":
    raise SystemExit(main())
