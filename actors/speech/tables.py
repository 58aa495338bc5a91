"""Tables, said row by row as `header: cell, …`, or left out.

The header has been seen to be one when this begins; rows are scanned as they come, cell by cell, and none is held.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from actors.speech.cuts import speakable
from actors.speech.emoji import only_emoji
from actors.speech.inline import Inline
from actors.speech.lines import MAX_INDENT, Line, behind_blanks, kind_of
from actors.speech.pieces import Strength, Text

__all__ = ["TABLE", "Table", "cells_of"]

TABLE: Final = "table"

_BAR: Final = re.compile(r"(?<!\\)\|")
_QUOTE_MARKS: Final = re.compile(r"[ \t>]*")


class _At(Enum):
    REST = 0  # within a line that is not spoken
    LINE = 1  # at the start of a line
    CELL = 2


class Table:
    """One table at a time: it is opened, and fed until it is `closed` at the start of a line that is not a row."""

    __slots__ = ("_at", "_cell", "_emoji", "_headers", "_inline", "_limit", "_open", "_quoted", "closed", "skip")

    def __init__(self, inline: Inline, *, skip: bool, emoji: bool, max_hold: int) -> None:
        self._inline = inline
        self.skip = skip
        self._emoji = emoji  # they are spoken, so a cell of nothing else is not empty
        self._limit = max_hold
        self._at = _At.REST
        self._headers: tuple[str, ...] = ()
        self._cell = 0
        self._open = False  # some of the row has been said
        self._quoted = False
        self.closed = True

    def open(self, headers: list[str], quoted: bool) -> None:
        """Begin behind the header, within the line of its rule."""
        self._begin(tuple(_plain(header) for header in headers), quoted, _At.REST)

    def open_rows(self, quoted: bool) -> None:
        """Begin at the first of some rows without a header."""
        self._begin((), quoted, _At.LINE)

    def _begin(self, headers: tuple[str, ...], quoted: bool, at: _At) -> None:
        self._headers, self._quoted, self._at = headers, quoted, at
        self._cell = 0
        self._open = self.closed = False

    def feed(self, text: str, pos: int, final: bool) -> int | None:
        """Go on from `pos`; where to go on then, or None for more text."""
        if self._at is _At.CELL:
            return self._in_cell(text, pos, final)
        return self._rest(text, pos) if self._at is _At.REST else self._line(text, pos, final)

    def remove(self, begin: int, end: int) -> None:
        """Part of a table that is not spoken."""
        if self.skip:
            self._inline.cut(begin, end, TABLE)
        else:
            self._inline.remove(begin, end, TABLE)

    def _rest(self, text: str, pos: int) -> int:
        newline = text.find("\n", pos)
        end = len(text) if newline < 0 else newline + 1
        self.remove(pos, end)
        if newline >= 0:
            self._at = _At.LINE
        return end

    def _line(self, text: str, pos: int, final: bool) -> int | None:
        marks = _QUOTE_MARKS.match(text, pos, pos + MAX_INDENT) if self._quoted else None
        begin = marks.end() if marks else behind_blanks(text, pos)
        if begin >= len(text):
            if not final:
                return None
            self.closed = True
            return pos
        row = text[begin] == "|" or self._is_row(text, begin, final)
        if row is None:
            return None
        if not row:
            self.closed = True
            return pos
        if self.skip:
            self._at = _At.REST
            return pos
        self._inline.remove(pos, begin, TABLE)
        self._at = _At.CELL
        self._cell = 0
        if text[begin] == "|":
            return self._next_cell(text, begin, final)
        self._begin_cell(begin, begin)
        return begin

    def _is_row(self, text: str, begin: int, final: bool) -> bool | None:
        """Whether a line that does not begin with a bar has one all the same, and is nothing else."""
        kind, _ = kind_of(text, begin, self._limit, final)
        if kind is Line.UNKNOWN:
            return None
        if kind is not Line.TEXT or not self._headers:
            return False
        top = begin + self._limit
        bar, newline = text.find("|", begin, top), text.find("\n", begin, top)
        if bar < 0 and newline < 0 and not final and len(text) < top:
            return None
        return bar >= 0 and not 0 <= newline < bar

    def _next_cell(self, text: str, bar: int, final: bool) -> int | None:
        """At the bar before a cell, or at the one that ends the row."""
        inline = self._inline
        begin = behind_blanks(text, bar + 1)
        if begin >= len(text) and not final and begin - bar <= MAX_INDENT:
            return None
        follows = text[begin : begin + 1]
        if self._cell >= len(self._headers) > 0 and follows not in ("", "\n"):
            inline.remove(bar, begin, TABLE)
            self._end_row(begin)
            self._at = _At.REST
            return begin
        if follows in ("", "\n", "|"):
            inline.remove(bar, begin, TABLE)
            self._cell += follows == "|"
            return begin
        silent = False if self._emoji else self._is_silent(text, begin, final)
        if silent is None:
            return None
        if silent:
            inline.remove(bar, begin, TABLE)
            self._cell += 1
        else:
            self._begin_cell(bar, begin)
        return begin

    def _is_silent(self, text: str, begin: int, final: bool) -> bool | None:
        """Whether a cell holds nothing but pictures, which are not spoken."""
        if not only_emoji(text[begin]):
            return False
        end = begin
        while end < len(text) and end - begin < self._limit and (text[end] in " \t" or only_emoji(text[end])):
            end += 1
        if end >= len(text) and not final and end - begin < self._limit:
            return None
        return text[end : end + 1] in ("", "|", "\n")

    def _begin_cell(self, bar: int, begin: int) -> None:
        """Say which column the next cell is of."""
        header = self._headers[self._cell] if self._cell < len(self._headers) else ""
        spoken = f"{', ' if self._open else ''}{header}{': ' if header else ''}"
        inline = self._inline
        inline.end_block()
        if spoken:
            inline.say(spoken, bar, begin)
        elif begin > bar:
            inline.remove(bar, begin, TABLE)
        self._open = True
        self._cell += 1
        inline.last = ""

    def _in_cell(self, text: str, pos: int, final: bool) -> int | None:
        inline = self._inline
        end = inline.scan(text, pos, final)
        if inline.waiting or end >= len(text) or inline.dropping:
            return end if end > pos else None
        if text[end] == "|":
            inline.end_block()
            after = self._next_cell(text, end, final)
            return end if after is None and end > pos else after
        inline.say("\n", end, end + 1)
        self._end_row(end + 1)
        self._at = _At.LINE
        return end + 1

    def _end_row(self, at: int) -> None:
        self._inline.end_block()
        if self._open:
            self._inline.stop(at, Strength.ITEM)
        self._open = False
        self._cell = 0

    def end(self, at: int) -> None:
        """Whatever was open ends here."""
        if not self.closed:
            self._end_row(at)
            self.closed = True


def cells_of(line: str) -> list[str]:
    """The cells of a line with bars, as they are written."""
    return _BAR.split(line.strip().strip("|"))


def _plain(cell: str) -> str:
    """A header as it is said: without its marks."""
    inline = Inline()
    text = cell.strip()
    pos = 0
    while pos < len(text):
        pos = inline.scan(text, pos, True)
        if pos < len(text):
            pos = inline.text(text, pos, pos + 1)
    inline.end_block()
    spoken = "".join(piece.text for piece in inline.take() if type(piece) is Text)
    return " ".join(spoken.split()).rstrip(":") if speakable(spoken) else ""
