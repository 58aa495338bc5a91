"""Stages on their own: what they give, and what they keep."""

from __future__ import annotations

import gc
import re
import sys
from collections.abc import Iterable, Iterator
from types import FunctionType, ModuleType

from actors.speech import Break, Mood, Piece, Removed, SpeechSettings, Stage, Stray, Text
from actors.speech.languages import Language


def texts_of(tokens: Iterable[str]) -> Iterator[list[Piece]]:
    """The tokens as the first stage gets them."""
    at = 0
    for token in tokens:
        yield [Text(token, at, at + len(token))]
        at += len(token)


def through(stage: Stage, tokens: Iterable[str]) -> list[Piece]:
    """All that a stage gives for a text in tokens."""
    out = [piece for pieces in texts_of(tokens) for piece in stage.feed(pieces)]
    return out + stage.flush()


def said(pieces: Iterable[Piece]) -> str:
    """Their text; `/` where a sentence ends."""
    return "".join(_SAID[type(piece)](piece) for piece in pieces)


_SAID = {
    Text: lambda piece: piece.text,
    Stray: lambda piece: f"<{piece.text}>",
    Break: lambda _: "/",
    Mood: lambda piece: f"{{{piece.name}}}",
    Removed: lambda _: "",
}


def assert_tiles(text: str, pieces: Iterable[Piece]) -> None:
    """Assert that the spans are those of the text, in its order, and each character is there once."""
    at = 0
    for piece in pieces:
        if isinstance(piece, (Text, Removed, Stray)):
            assert piece.start == at
            at = piece.end
        else:
            assert piece.at <= at
    assert at == len(text)


def size(thing: object) -> int:
    """How many bytes an object keeps, with all that it refers to, but not what all share."""
    seen: set[int] = set()
    todo, total = [thing], 0
    while todo:
        one = todo.pop()
        if id(one) not in seen and not isinstance(one, _SHARED):
            seen.add(id(one))
            total += sys.getsizeof(one)
            todo += gc.get_referents(one)
    return total


_SHARED = (type, ModuleType, FunctionType, re.Pattern, Language, SpeechSettings)
