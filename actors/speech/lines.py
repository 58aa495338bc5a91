"""What a line begins: text, a heading, a list item, a quote, a fence, a table, or something else.

A line is looked at from its first character that is not blank, and no further than is needed to know what it is: a
letter decides at once, `1` waits for what follows, a line of bars waits for the next one, because only that makes it
a table. Nothing here remembers anything; what is open around the line is an argument.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum
from typing import Final, NamedTuple

__all__ = [
    "BLOCK_END",
    "MAX_INDENT",
    "STARTERS",
    "Line",
    "behind_blanks",
    "indent_of",
    "kind_of",
    "table_head",
    "task_end",
]

MAX_INDENT: Final = 200  # so many blanks are looked through
BLOCK_END: Final = re.compile(r"\n[ \t]*(?:\n|(?:[-*+•]|\d{1,9}[.)])[ \t]|#{1,6}[ \t])")
"""A line end behind which another block begins: no mark within text has its partner beyond it."""

_BLANK: Final = frozenset(" \t")
_BLANKS: Final = re.compile(r"[ \t]*")
_BULLETS: Final = "-*+•◦▪▫‣⁃●○■□·–"
STARTERS: Final = frozenset("#>_=~`|[$\\<0123456789" + _BULLETS)
"""A line that begins with any other character is text."""

_RULE: Final = re.compile(r"([-*_=])[ \t]*(?:\1[ \t]*){2,}(?=\n|\Z)")
_RULE_BEGIN: Final = re.compile(r"([-*_=])[ \t]*(?:\1[ \t]*)*\Z")
_UNDERLINE: Final = re.compile(r"(?:=+|-+)[ \t]*(?=\n|\Z)")
_UNDERLINE_BEGIN: Final = re.compile(r"(?:=+|-+)[ \t]*\Z")
_HEADING: Final = re.compile(r"(#{1,6})(?:[ \t]+|(?=\n|\Z))")
_HEADING_BEGIN: Final = re.compile(r"#{1,6}[ \t]*\Z")
_BULLET: Final = re.compile(r"[-*+–][ \t]+(?=[^ \t])|[-*+](?=\n|\Z)|[•◦▪▫‣⁃●○■□·][ \t]*(?=[^ \t])")
_BULLET_BEGIN: Final = re.compile(rf"[{re.escape(_BULLETS)}][ \t]*\Z")
_ORDINAL: Final = re.compile(r"(\d{1,9})[.)][ \t]+(?=[^ \t\n])")
_ORDINAL_BEGIN: Final = re.compile(r"\d{1,9}(?:[.)][ \t]*)?\Z")
_TASK: Final = re.compile(r"\[[ xX]\][ \t]")
_TASK_BEGIN: Final = re.compile(r"\[(?:[ xX]\]?)?\Z")
_FENCE: Final = re.compile(r"(`{3,})([^`\n]*)(?=\n|\Z)|(~{3,})([^\n]*)(?=\n|\Z)")
_FENCE_BEGIN: Final = re.compile(r"`{1,2}\Z|`{3,}[^`\n]*\Z|~{1,2}\Z|~{3,}[^\n]*\Z")
_MATH: Final = re.compile(r"\$\$|\\\[(?=\s)")
_MATH_BEGIN: Final = re.compile(r"\$\Z|\\\[?\Z")
_TABLE_RULE: Final = re.compile(
    r"(?=[^\n]*[|])[ \t>]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*(?=\n|\Z)"
)
_TABLE_RULE_BEGIN: Final = re.compile(r"[ \t>|:-]*\Z")
_ROW: Final = re.compile(r"\|[ \t][^\n]*\|[ \t]*(?=\n|\Z)")
_FOOTNOTE: Final = re.compile(r"\[\^[^\]\s]{1,64}\]:")
_TITLE: Final = r"(?:[ \t]+(?:\"[^\"\n]*\"|'[^'\n]*'|\([^()\n]*\)))?"
_LIKE_URL: Final = r"(?=<|[A-Za-z][A-Za-z0-9+.-]*:|[/#.]|www\.|\S+\.\w+/)"
_TARGET: Final = re.compile(rf"\[[^\]\n]{{1,200}}\]:[ \t]*{_LIKE_URL}(?:<[^<>\n]*>|\S+){_TITLE}[ \t]*(?=\n|\Z)")
_TARGET_BEGIN: Final = re.compile(
    r"\[[^\]\n]{0,200}(?:\](?::[ \t]*(?:<[^\n]*|\S+(?:[ \t]+(?:[\"'(][^\n]*)?)?)?)?)?\Z"
)


class Line(Enum):
    """What a line turns out to be."""

    UNKNOWN = 0  # more of it is needed
    TEXT = 1
    BLANK = 2
    HEADING = 3
    RULE = 4
    BULLET = 5
    ORDINAL = 6
    QUOTE = 7
    FENCE = 8
    MATH = 9
    TABLE = 10  # a header, and the rule below it
    ROW = 11  # as in a table, but without a header
    FOOTNOTE = 12
    TARGET = 13
    UNDERLINE = 14


class _Look(NamedTuple):
    """A line, from its first character that is not blank, and what is open around it."""

    text: str
    pos: int
    limit: int  # how far a line is looked at
    final: bool  # nothing follows the text
    goes_on: bool = False  # a paragraph is open, which not everything may interrupt
    in_item: bool = False  # that paragraph is a list item's

    @property
    def near(self) -> bool:
        """More of the line may come, and may change what it is."""
        return not self.final and len(self.text) <= self.pos + self.limit

    @property
    def stop(self) -> int:
        return min(len(self.text), self.pos + self.limit)

    def whole(self, pattern: re.Pattern[str]) -> int:
        """Behind the match of a pattern, if that is the whole line; else 0."""
        match = pattern.match(self.text, self.pos, self.stop)
        if match is None:
            return 0
        end = match.end()
        ended = self.text[end] == "\n" if end < len(self.text) else self.final
        return end if ended else 0

    def begins(self, pattern: re.Pattern[str]) -> bool:
        """Whether the line is not complete and may still become what the pattern is the beginning of."""
        return self.near and pattern.match(self.text, self.pos) is not None


Found = tuple[Line, int]


def behind_blanks(text: str, pos: int) -> int:
    """Behind the blanks that begin at `pos`, or behind the first `MAX_INDENT` of them."""
    if text[pos : pos + 1] not in _BLANK:
        return pos
    blanks = _BLANKS.match(text, pos, pos + MAX_INDENT)
    return blanks.end() if blanks else pos


def indent_of(text: str, begin: int, end: int) -> int:
    """How many columns the blanks between two positions take."""
    return end - begin + 3 * text.count("\t", begin, end) if end > begin else 0


def kind_of(text: str, pos: int, limit: int, final: bool, *, goes_on: bool = False, in_item: bool = False) -> Found:
    """What the line is whose first character that is not blank stands at `pos`, and where its mark ends.

    limit: how far a line is looked at. final: nothing follows the text. goes_on: a paragraph is open, which not
    everything may interrupt, and (in_item) which is a list item's.
    """
    char = text[pos]
    if char not in STARTERS:
        return (Line.BLANK, pos + 1) if char == "\n" else (Line.TEXT, pos)
    read = _READERS.get(char)
    return (Line.TEXT, pos) if read is None else read(_Look(text, pos, limit, final, goes_on, in_item))


def task_end(text: str, pos: int, final: bool) -> int | None:
    """Behind the box of a task; 0: there is none; None: more text is needed."""
    box = _TASK.match(text, pos)
    if box is not None:
        return box.end()
    return None if not final and _TASK_BEGIN.match(text, pos) else 0


def table_head(text: str, pos: int, limit: int, final: bool) -> Found:
    """A line with bars, from one of them: a table's header if the next one is its rule."""
    newline = text.find("\n", pos, pos + limit)
    if newline < 0:
        return (Line.TEXT if final or len(text) > pos + limit else Line.UNKNOWN), pos
    stop = newline + 1 + 2 * limit
    rule = _TABLE_RULE.match(text, newline + 1, stop)
    if rule is not None and (text[rule.end()] == "\n" if rule.end() < len(text) else final):
        return Line.TABLE, rule.end()
    may_be = not final and len(text) < stop and _TABLE_RULE_BEGIN.match(text, newline + 1)
    return (Line.UNKNOWN if may_be else Line.TEXT), pos


def _digit(look: _Look) -> Found:
    item = _ORDINAL.match(look.text, look.pos, look.stop)
    if item is not None:
        interrupts = not look.goes_on or look.in_item or item[1] == "1"
        return (Line.ORDINAL, item.end()) if interrupts else (Line.TEXT, look.pos)
    return (Line.UNKNOWN if look.begins(_ORDINAL_BEGIN) else Line.TEXT), look.pos


def _bullet(look: _Look) -> Found:
    end = look.whole(_UNDERLINE) if look.goes_on else 0
    if end:
        return Line.UNDERLINE, end
    end = look.whole(_RULE)
    if end:
        return Line.RULE, end
    if look.begins(_RULE_BEGIN) or (look.goes_on and look.begins(_UNDERLINE_BEGIN)):
        return Line.UNKNOWN, look.pos
    item = _BULLET.match(look.text, look.pos, look.stop)
    if item is not None and (item.end() < len(look.text) or look.final):
        return Line.BULLET, item.end()
    return (Line.UNKNOWN if look.begins(_BULLET_BEGIN) else Line.TEXT), look.pos


def _hash(look: _Look) -> Found:
    heading = _HEADING.match(look.text, look.pos, look.stop)
    if heading is not None and (heading.end() < len(look.text) or look.final):
        return Line.HEADING, heading.end()
    return (Line.UNKNOWN if look.begins(_HEADING_BEGIN) else Line.TEXT), look.pos


def _quote(look: _Look) -> Found:
    after = look.text[look.pos + 1 : look.pos + 2]
    if not after and not look.final:
        return Line.UNKNOWN, look.pos
    return Line.QUOTE, look.pos + (2 if after == " " else 1)


def _fence(look: _Look) -> Found:
    end = look.whole(_FENCE)
    if end:
        return Line.FENCE, end
    return (Line.UNKNOWN if look.begins(_FENCE_BEGIN) else Line.TEXT), look.pos


def _bar(look: _Look) -> Found:
    kind, end = table_head(look.text, look.pos, look.limit, look.final)
    return (Line.ROW, look.pos) if kind is Line.TEXT and look.whole(_ROW) else (kind, end)


def _bracket(look: _Look) -> Found:
    note = _FOOTNOTE.match(look.text, look.pos, look.stop)
    if note is not None:
        return Line.FOOTNOTE, note.end()
    long = look._replace(limit=4 * look.limit)  # URLs are
    end = long.whole(_TARGET)
    if end:
        return Line.TARGET, end
    return (Line.UNKNOWN if long.begins(_TARGET_BEGIN) else Line.TEXT), look.pos


def _math(look: _Look) -> Found:
    math = _MATH.match(look.text, look.pos)
    if math is not None:
        return Line.MATH, math.end()
    return (Line.UNKNOWN if look.begins(_MATH_BEGIN) else Line.TEXT), look.pos


_READERS: Final[dict[str, Callable[[_Look], Found]]] = {
    **dict.fromkeys("0123456789", _digit),
    **dict.fromkeys(_BULLETS + "_=", _bullet),
    **dict.fromkeys("`~", _fence),
    **dict.fromkeys("$\\", _math),
    "#": _hash,
    ">": _quote,
    "|": _bar,
    "[": _bracket,
}
