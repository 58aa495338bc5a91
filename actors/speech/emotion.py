"""Stage directions such as `(laughing)` and `[whispers]`: not spoken, but how to speak.

A tag is a bracket, one of the configured words, and the bracket's partner; anything else in brackets is
text. Only what may still become a tag is held: never more than the longest of the words.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from actors.speech.pieces import Mood, Piece, Removed, Text

__all__ = ["TAG_CLOSERS", "Emotion"]

RULE: Final = "emotion"
OPENERS: Final = "([（［【"
TAG_CLOSERS: Final = r")\]）］】"
"""Their partners, as the inside of a character class."""
_CARES: Final = re.compile(f"[{re.escape(OPENERS)}]")
_NONE: Final = "(?!)"  # matches nothing


class _TagSyntax:
    __slots__ = ("longest", "partial", "tag")

    def __init__(self, names: tuple[str, ...]) -> None:
        words = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True)) or _NONE
        prefixes = {name[:size] for name in names for size in range(1, len(name) + 1)}
        starts = "|".join(re.escape(prefix) for prefix in sorted(prefixes, key=len, reverse=True)) or _NONE
        self.tag = re.compile(
            rf"\( ?({words}) ?\)|\[ ?({words}) ?\]|（({words})）|［({words})］|【({words})】", re.IGNORECASE
        )
        self.partial = re.compile(rf"[{re.escape(OPENERS)}] ?(?:(?:{starts}) ?)?\Z", re.IGNORECASE)
        self.longest = max(map(len, names), default=0) + 4


@lru_cache(maxsize=64)
def _syntax(names: tuple[str, ...]) -> _TagSyntax:
    return _TagSyntax(names)


class Emotion:
    """Turns stage tags into `Mood`."""

    __slots__ = ("_at", "_held", "_syntax")

    cares = _CARES

    def __init__(self, tags: tuple[str, ...]) -> None:
        self._syntax = _syntax(tags)
        self._held = ""
        self._at = 0

    @property
    def idle(self) -> bool:
        return not self._held

    def feed(self, pieces: list[Piece]) -> list[Piece]:
        out: list[Piece] = []
        for piece in pieces:
            if type(piece) is not Text or piece.literal or len(piece.text) != piece.end - piece.start:
                self._release(out, len(self._held))
                out.append(piece)
                continue
            if not self._held:
                self._at = piece.start
                if _CARES.search(piece.text) is None:
                    out.append(piece)
                    continue
            self._held += piece.text
            partial = self._syntax.partial.search(self._held, max(0, len(self._held) - self._syntax.longest))
            self._release(out, partial.start() if partial else len(self._held))
        return out

    def flush(self, final: bool = True) -> list[Piece]:
        out: list[Piece] = []
        if final:
            self._release(out, len(self._held))
        return out

    def _release(self, out: list[Piece], end: int) -> None:
        text, base = self._held, self._at
        if not text:
            return
        pos = 0
        for tag in self._syntax.tag.finditer(text, 0, end):
            begin, stop = tag.span()
            if begin > pos:
                out.append(Text(text[pos:begin], base + pos, base + begin))
            out.append(Removed(base + begin, base + stop, RULE))
            out.append(Mood(base + stop, tag[tag.lastindex or 0].lower()))
            pos = stop
        if end > pos:
            out.append(Text(text[pos:end], base + pos, base + end))
        self._held = text[end:]
        self._at = base + end
