"""LaTeX between dollars, and what dollars are otherwise: money, variables of a shell.

Functions over a text in which a `$` stands. `None` is "more text is needed", never of more than `limit` characters;
0 is "no formula".
"""

from __future__ import annotations

import re
from typing import Final

from actors.speech.emphasis import SENTENCE_END
from actors.speech.lines import BLOCK_END

__all__ = ["display_end", "formula_end", "latex_end"]

_MONEY: Final = re.compile(
    r"\$\d[\d,.]*(?:[kKmMbBtT]n?)?(?=[.,;:!?)]+\s|([^\w$\\^_{}]+)(?:[^\W\d_]{2}|[^\W\d_][\s,.;!?]))"
)
_OPERATOR: Final = re.compile(r"[+*=<>^]")
_MATH: Final = re.compile(r"\$(?![\s$])((?:\\.|[^$\\])+?)(?<!\s)\$", re.DOTALL)
_SUFFIX: Final = re.compile(r"[A-Za-z]{0,3}")
_SUFFIXES: Final = frozenset(["", "th", "st", "nd", "rd", "s"])  # `the $n$th term`
_WORDS: Final = re.compile(r"(?<![\\A-Za-z{])[A-Za-z]{3,} +[A-Za-z]{2,}")


def formula_end(text: str, pos: int, end: int, limit: int, before: str, final: bool) -> int | None:
    """Behind the `$…$` at `pos`.

    before: the character before it.
    """
    if pos + 1 >= end:
        return None if end == len(text) and not final else 0
    top = min(end, pos + limit)
    known = final or end < len(text) or len(text) >= pos + limit
    following = text[pos + 1]
    if following.isspace() or (following.isdigit() and _is_money(text, pos, top)):
        return 0
    math = _MATH.match(text, pos, top)
    if math is not None:
        inner = math[1]
        words = _WORDS.search(inner) if following.isdigit() or before.isalnum() else None
        if words or SENTENCE_END.search(inner) or BLOCK_END.search(inner):
            return 0
        suffix = _SUFFIX.match(text, math.end(), end)
        after = suffix.end() if suffix else math.end()
        if after == len(text) and after - math.end() < 3 and not final:
            return None
        follows = text[math.end() : after] not in _SUFFIXES or text[after : after + 1].isdigit()
        return 0 if follows else math.end()
    if known or BLOCK_END.search(text, pos, top) or SENTENCE_END.search(text, pos + 1, top):
        return 0
    return None


def display_end(text: str, pos: int, end: int, limit: int, final: bool) -> int | None:
    """Behind the `$$…$$` at `pos`, within a line."""
    return _partner(text, pos, "$$", end, limit, final)


def latex_end(text: str, pos: int, end: int, limit: int, final: bool) -> int | None:
    r"""Behind the `\(…\)` or `\[…\]` at `pos`; brackets that a link follows are escaped ones."""
    square = text[pos + 1] == "["
    close = _partner(text, pos, "\\]" if square else "\\)", end, limit, final)
    if close and square:
        if close >= len(text) and not final:
            return None
        if text[close : close + 1] in ("(", "["):
            return 0
    return close


def _partner(text: str, pos: int, closer: str, end: int, limit: int, final: bool) -> int | None:
    top = min(end, pos + limit)
    close = text.find(closer, pos + 2, top)
    block = BLOCK_END.search(text, pos, close if close > 0 else top)
    if close > 0:
        return 0 if block is not None else close + 2
    known = final or end < len(text) or len(text) >= pos + limit or block is not None
    return 0 if known else None


def _is_money(text: str, pos: int, end: int) -> bool:
    amount = _MONEY.match(text, pos, end)
    if amount is None:
        return False
    return amount[1] is None or not _OPERATOR.search(amount[1])
