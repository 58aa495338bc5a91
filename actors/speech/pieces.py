"""What the stages hand to one another: runs of text that know where they came from, and what lies between.

A stage takes a list of pieces and gives a list of pieces, in the order of the source text. It may split a
`Text`, turn part of it into `Removed`, put a replacement in its place (a `Text` whose length differs from
its span), and add `Break`, `Mood` and `Stray`, which have a place but no width, or are text with a
condition. It lets pass what it does not know. Whatever it does, the spans that come out tile the spans
that went in.

A piece is never changed: another stage may have it too. (They are plain classes and not named tuples because a
pipeline makes twenty of them for a chunk of Markdown, and these take half the time to make, and less to read.)
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol, TypeAlias

__all__ = ["Break", "Mood", "Piece", "Removed", "Stage", "Stray", "Strength", "Text"]


@dataclass(slots=True)
class Text:
    """Text for the voice. Where `len(text) == end - start` each character is its own source."""

    text: str
    start: int
    end: int
    literal: bool = False
    """Code or a formula, all of it: nothing in it is a mark of the text around it."""


@dataclass(slots=True)
class Removed:
    """Text that is not spoken. With `cut` no chunk may span it: hidden reasoning, code, a skipped table."""

    start: int
    end: int
    rule: str
    cut: bool = False


class Strength(IntEnum):
    """What ended, which decides what is said between two things that are merged into one chunk."""

    SENTENCE = 0  # it has its own mark, or needs none
    ITEM = 1  # a list item or a table row: the script's comma
    BLOCK = 2  # a heading, a paragraph, a line of verse: the script's full stop


@dataclass(slots=True)
class Break:
    """Here a sentence ends, whatever the text around it says."""

    at: int
    strength: Strength


@dataclass(slots=True)
class Mood:
    """A stage tag: how the text from here to the end of the sentence is to be spoken."""

    at: int
    name: str


@dataclass(slots=True)
class Stray:
    """A closing mark that came after its sentence was over: spoken only where its sentence is still here."""

    text: str
    start: int
    end: int


Piece: TypeAlias = Text | Removed | Break | Mood | Stray


class Stage(Protocol):
    """One step of the pipeline, usable alone."""

    def feed(self, pieces: list[Piece]) -> list[Piece]:
        """Take what came, give what is certain."""
        ...

    def flush(self, final: bool = True) -> list[Piece]:
        """Give what was held. Not final: only what is certain although nothing follows yet."""
        ...
