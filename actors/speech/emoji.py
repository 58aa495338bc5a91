"""Emoji and pictographs: dropped, or their name spoken.

What is one comes from Unicode's data through the `regex` library (Extended_Pictographic, regional
indicators, emoji modifiers), kept current by its maintainer; a name comes from the `emoji` library, loaded
only by who wants names. A sequence (skin tones, joiners, flags, keycaps, variation selectors) is one emoji:
the stage waits for the character after it, never for more.
"""

from __future__ import annotations

import re
from typing import Final

import regex

from actors.speech.pieces import Piece, Removed, Text

__all__ = ["RANGES", "Emoji", "only_emoji"]

RULE: Final = "emoji"

# Letters and signs that Unicode also draws as pictures are text: they have a sound, or end a sentence. Some of
# them always; the others unless a variation selector asks for the picture.
_SIGNS: Final = "©®™‼⁉"
_STAYS: Final = "ℹⓂ㊗㊙〰〽"

# The repetitions have limits that nothing anybody draws comes near: a chain without end is many emoji.
_BASE: Final = rf"(?:(?![{_SIGNS}{_STAYS}])\p{{Extended_Pictographic}}|[{_STAYS}]\uFE0F)"
_PART: Final = rf"{_BASE}(?:\uFE0F|\uFE0E|\p{{EMod}}|\u20E3|[\U000E0020-\U000E007F]){{0,8}}+"
_SEQUENCE: Final = regex.compile(
    rf"\p{{RI}}\p{{RI}}?|[0-9#*]\uFE0F?\u20E3|{_PART}(?:\u200D{_PART}){{0,9}}+\u200D?|\p{{EMod}}"
    r"|[\uFE0F\uFE0E\u20E3\U000E0020-\U000E007F]"
)
_ONLY: Final = regex.compile(rf"(?:{_SEQUENCE.pattern}|\u200D)+")
_MAY_BEGIN: Final = regex.compile(rf"(?:[0-9#*]\uFE0F?|[{_STAYS}])\Z")
_PAIR: Final = regex.compile(r"\p{RI}\p{RI}")

# Coarse ranges that hold every pictograph: a superset is enough to know which text needs a look.
RANGES: Final = (
    "\u00a9\u00ae\u2122\u200d\u203c\u2049\u20e3\u2139\u2190-\u21ff\u2300-\u23ff\u24c2\u25a0-\u27bf\u2900-\u297f"
    "\u2b00-\u2bff\u3030\u303d\u3297\u3299\ufe0e\ufe0f\U0001f000-\U0001faff\U000e0020-\U000e007f"
)
_CARES: Final = re.compile(f"[{RANGES}]")


class Emoji:
    """Removes each emoji, or puts its name in its place."""

    __slots__ = ("_at", "_held", "_names")

    cares = _CARES

    def __init__(self, *, names: bool = False) -> None:
        self._names = names
        self._held = ""
        self._at = 0

    @property
    def idle(self) -> bool:
        return not self._held

    def feed(self, pieces: list[Piece]) -> list[Piece]:
        out: list[Piece] = []
        for piece in pieces:
            if type(piece) is not Text:
                self._release(out, final=True)
                out.append(piece)
                continue
            text = piece.text
            if len(text) != piece.end - piece.start:
                self._release(out, final=True)
                out.append(self._without(piece))
                continue
            if piece.literal:  # it comes whole, and stays what it is
                self._release(out, final=True)
                self._held, self._at = text, piece.start
                self._release(out, final=True, literal=True)
                continue
            if not self._held:
                self._at = piece.start
                if _CARES.search(text) is None and text[-1:] not in "0123456789#*":
                    out.append(piece)
                    continue
            self._held += text
            self._release(out, final=False)
        return out

    def flush(self, final: bool = True) -> list[Piece]:
        out: list[Piece] = []
        if final:
            self._release(out, final=True)
        return out

    def _release(self, out: list[Piece], final: bool, *, literal: bool = False) -> None:
        """Give what is held without its emoji; not final: without what may be the first part of one."""
        text, base = self._held, self._at
        if not text:
            return
        pos, end = 0, len(text)
        if not final:
            begun = _MAY_BEGIN.search(text, max(0, end - 2))
            end = begun.start() if begun else end
        if _CARES.search(text) is not None:
            for match in _SEQUENCE.finditer(text):
                begin, stop = match.span()
                if begin >= end:
                    break
                if stop == len(text) and not final and _PAIR.fullmatch(match[0]) is None:
                    end = begin
                    break
                if begin > pos:
                    out.append(Text(text[pos:begin], base + pos, base + begin, literal))
                self._replace(out, match[0], base + begin, base + stop)
                pos = stop
        if end > pos:
            out.append(Text(text[pos:end], base + pos, base + end, literal))
        self._held = text[end:]
        self._at = base + end

    def _replace(self, out: list[Piece], sequence: str, start: int, end: int) -> None:
        name = _name(sequence) if self._names else ""
        if name:
            out.append(Text(f" {name} ", start, end))
        else:
            out.append(Removed(start, end, RULE))

    def _without(self, piece: Text) -> Piece:
        """Text that stands for other text, an entity or the header of a column, without its emoji."""
        if _CARES.search(piece.text) is None:
            return piece
        spoken = _SEQUENCE.sub(lambda match: f" {_name(match[0])} " if self._names else "", piece.text)
        return Text(spoken, piece.start, piece.end) if spoken.strip() else Removed(piece.start, piece.end, RULE)


def only_emoji(text: str) -> bool:
    """Whether a text, or part of one, is nothing but emoji and pictographs."""
    return _CARES.match(text) is not None and _ONLY.fullmatch(text) is not None


def _name(sequence: str) -> str:
    """The English short name, as words; nothing for what has none."""
    import emoji  # its data take a while to load: only who speaks names pays for them  # noqa: PLC0415

    named = emoji.demojize(sequence, delimiters=(":", ":"))
    return named.strip(":").replace("_", " ").replace("::", " ") if named.startswith(":") else ""
