"""Blocks whose text is not Markdown: fenced code, indented code, display math.

They are decided where they open and are never held, however long: what is not closed goes on to the end. Only what
may be the line that closes is waited for.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, Literal

from actors.speech.inline import Inline
from actors.speech.lines import MAX_INDENT, behind_blanks, indent_of
from actors.speech.pieces import Strength

__all__ = ["CODE", "CODE_MARK", "Kind", "Verbatim"]

CODE: Final = "code"
CODE_MARK: Final = "code mark"
MATH: Final = "math"
MATH_MARK: Final = "math mark"

_RUN: Final = re.compile(r"`+|~+")


class Kind(Enum):
    """What such a block is."""

    FENCE = 0
    INDENTED = 1
    FORMULA = 2


class Verbatim:
    """One such block at a time: it is opened, fed until `closed`, and what is behind it is not its business."""

    __slots__ = (
        "_announcement",
        "_code",
        "_head",
        "_indent",
        "_inline",
        "_limit",
        "_math",
        "_quoted",
        "_run",
        "closed",
        "kind",
    )

    def __init__(
        self,
        inline: Inline,
        *,
        code: Literal["skip", "announce", "speak"],
        announcement: str,
        math: Literal["source", "skip"],
        max_hold: int,
    ) -> None:
        self._inline = inline
        self._code = code
        self._announcement = announcement
        self._math = math
        self._limit = max_hold
        self._run = ""  # what closes the fence or the formula; nothing for indented code
        self._indent = 0  # how far code has to be indented
        self._quoted = False  # it ends with the quote that it stands in
        self._head = False  # at the beginning of a line
        self.kind = Kind.FENCE
        self.closed = True

    @property
    def hidden(self) -> bool:
        """Nothing can leave before the end of the block."""
        return not self.closed and self.kind is Kind.FENCE and self._code != "speak"

    @property
    def speaks(self) -> bool:
        """Code is spoken."""
        return self._code == "speak"

    @property
    def announces(self) -> bool:
        """The beginning of a block is said."""
        return self._code == "announce"

    def open_fence(self, text: str, begin: int, end: int, quoted: bool) -> int:
        run = _RUN.match(text, begin, end)
        self._open(Kind.FENCE, run[0] if run else "", 0, head=False)
        self._quoted = quoted
        if self._code == "announce":
            return self._announce(begin, end)
        if self._code == "speak":
            self._inline.remove(begin, end, CODE_MARK)
        else:
            self._inline.cut(begin, end, CODE)
        return end

    def open_indented(self, begin: int, end: int, indent: int) -> int:
        """Code indented by `indent` at least; `end` is where its first line begins."""
        self._open(Kind.INDENTED, "", indent, head=True)
        if self._code != "announce":
            return begin
        self._head = False
        return self._announce(begin, end)

    def open_math(self, text: str, begin: int, end: int) -> int:
        self._open(Kind.FORMULA, "$$" if text[begin] == "$" else "\\]", 0, head=False)
        self._inline.remove(begin, end, MATH_MARK)
        return end

    def feed(self, text: str, pos: int, final: bool) -> int | None:
        """Go on from `pos`; where to go on then, or None for more text."""
        if self.kind is Kind.FENCE:
            return self._fenced(text, pos, final)
        return self._indented(text, pos, final) if self.kind is Kind.INDENTED else self._formula(text, pos, final)

    def _open(self, kind: Kind, run: str, indent: int, *, head: bool) -> None:
        self.kind, self._run, self._indent, self._head = kind, run, indent, head
        self._quoted = False
        self.closed = False

    def _announce(self, begin: int, end: int) -> int:
        inline = self._inline
        end = max(end, begin + 1)
        inline.stop(begin, Strength.BLOCK)
        inline.say(self._announcement, begin, end)
        inline.stop(end, Strength.BLOCK)
        return end

    def _fenced(self, text: str, pos: int, final: bool) -> int | None:
        newline = text.find("\n", pos)
        end = len(text) if newline < 0 else newline
        if self._head:
            run = self._run
            if self._quoted:
                begin = behind_blanks(text, pos)
                if begin >= len(text) and begin - pos < MAX_INDENT and not final:
                    return None
                if text[begin : begin + 1] != ">":
                    self.closed = True
                    return pos
            close = _closing(run).match(text, pos, end)
            if close is not None and (newline >= 0 or final):
                if self._code == "speak":
                    self._inline.remove(pos, end, CODE_MARK)
                else:
                    self._inline.cut(pos, end, CODE)
                self.closed = True
                return end
            if newline < 0 and not final and end - pos < self._limit:
                if not text[pos:end].lstrip(" \t>").strip(run[0]).strip():
                    return None
        self._head = newline >= 0
        return self._put(text, pos, end + self._head)

    def _indented(self, text: str, pos: int, final: bool) -> int | None:
        newline = text.find("\n", pos)
        if self._head:
            begin = behind_blanks(text, pos)
            if begin >= len(text) and not final and begin - pos < MAX_INDENT:
                return None
            if text[begin : begin + 1] == "\n":
                return self._blank(text, pos, begin + 1)
            if indent_of(text, pos, begin) < self._indent:
                self.closed = True
                return pos
        self._head = newline >= 0
        return self._put(text, pos, len(text) if newline < 0 else newline + 1)

    def _blank(self, text: str, begin: int, end: int) -> int:
        self._inline.say(text[begin:end], begin, end)
        return end

    def _put(self, text: str, begin: int, end: int) -> int:
        """Some of the code, at most to the end of its line."""
        if end > begin and self._code == "speak":
            self._inline.say(text[begin:end], begin, end)
            if text[end - 1] == "\n":
                self._inline.stop(end, Strength.BLOCK)
        else:
            self._inline.cut(begin, end, CODE)
        return end

    def _formula(self, text: str, pos: int, final: bool) -> int | None:
        inline, run = self._inline, self._run
        end = text.find(run, pos)
        stop = end
        if end < 0:
            stop = len(text)
            if not final and text[stop - 1] == run[0]:
                stop -= 1
        if stop > pos:
            if self._math == "skip":
                inline.remove(pos, stop, MATH)
            else:
                inline.say(text[pos:stop].replace("\n", " "), pos, stop)
        if end < 0:
            return stop if stop > pos else None
        inline.remove(end, end + 2, MATH_MARK)
        self.closed = True
        return end + 2


def _closing(run: str) -> re.Pattern[str]:
    """The line that closes a fence: at least as many of its characters, and nothing else."""
    return re.compile(rf"[ \t>]*{re.escape(run)}{re.escape(run[0])}*[ \t]*(?=\n|\Z)")
