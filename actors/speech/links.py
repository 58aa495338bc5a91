"""Brackets: links, images, footnotes, and the definitions that stand elsewhere for them.

Functions over a text in which a bracket stands: what it belongs to, and where that ends. `None` is "more text is
needed", which is never said of more than `limit` characters; 0 is "nothing of the kind".
"""

from __future__ import annotations

import re
from typing import Final

from actors.speech.code_spans import code_end
from actors.speech.lines import BLOCK_END

__all__ = ["TOO_FAR", "bracket_end", "destination_end", "footnote_end", "label_end"]

TOO_FAR: Final = -1  # the end of a destination that is certainly one

_BRACKET: Final = re.compile(r"\\.|`+|[\[\]]|\n", re.DOTALL)
_FOOTNOTE: Final = re.compile(r"\[\^[^\]\s^]{1,64}\]")
_FOOTNOTE_BEGIN: Final = re.compile(r"\[\^[^\]\s^]{0,64}\Z")
_DESTINATION: Final = re.compile(
    r"\([ \t\n]*(?:<[^<>\n]*>|(?:[^\s()\\]|\\.|\((?:[^\s()\\]|\\.|\([^\s()]*\))*\))*)"
    r"(?:[ \t\n]+(?:\"[^\"]*\"|'[^']*'|\([^()]*\)))?[ \t\n]*\)",
    re.DOTALL,
)
_DESTINATION_MARK: Final = re.compile(r"\\.|[()]|(?<=\s)[\"']", re.DOTALL)
_URL_LIKE: Final = re.compile(r"\(<?(?:[a-z][a-z0-9+.-]*:|[/#.]|www\.)\S*", re.IGNORECASE)


def footnote_end(text: str, pos: int, end: int, final: bool) -> int | None:
    """Behind `[^…]`."""
    note = _FOOTNOTE.match(text, pos, end)
    if note is not None:
        return note.end()
    return None if not final and end == len(text) and _FOOTNOTE_BEGIN.match(text, pos) else 0


def bracket_end(text: str, pos: int, end: int, limit: int, final: bool) -> int | None:
    """Where the partner of the `[` at `pos` stands, in the same block."""
    top = min(end, pos + limit)
    known = final or end < len(text) or len(text) >= pos + limit
    if text.find("]", pos, top) < 0:
        return 0 if known or BLOCK_END.search(text, pos, top) else None
    depth, at = 0, pos
    while True:
        match = _BRACKET.search(text, at, top)
        if match is None:
            return 0 if known else None
        sign = match[0]
        at = match.end()
        if sign == "[":
            depth += 1
            if depth > 8:
                return 0
        elif sign == "]":
            depth -= 1
            if not depth:
                return match.start()
        elif sign[0] == "`":
            if at >= len(text) and not final:
                return None
            closed = code_end(text, at, len(sign), top if known else end, limit, final)
            if closed is None:
                return None
            at = closed or at
        elif sign == "\n" and BLOCK_END.match(text, match.start(), top):
            return 0


def destination_end(text: str, pos: int, end: int, limit: int, final: bool) -> int | None:
    """Behind the `(…)` at `pos`; `TOO_FAR` if it begins as a URL that is longer than `limit`."""
    top = min(end, pos + limit)
    known = final or end < len(text) or len(text) >= pos + limit
    depth, at = 0, pos
    while True:
        match = _DESTINATION_MARK.search(text, at, top)
        if match is None:
            if not known:
                return None
            like = _URL_LIKE.match(text, pos, top)
            return TOO_FAR if like is not None and like.end() == top and top - pos >= limit else 0
        at = match.end()
        sign = match[0]
        if sign == "(":
            depth += 1
        elif sign == ")":
            depth -= 1
            if not depth:
                return at if _DESTINATION.fullmatch(text, pos, at) else 0
        elif sign in "\"'":
            quote = text.find(sign, at, top)
            if quote < 0:
                return 0 if known else None
            at = quote + 1


def label_end(text: str, pos: int, end: int, limit: int, final: bool) -> int | None:
    """Behind the `[label]` at `pos`."""
    top = min(end, pos + limit)
    close = text.find("]", pos + 1, top)
    if close < 0:
        known = final or end < len(text) or len(text) >= pos + limit
        return 0 if known or BLOCK_END.search(text, pos, top) or "[" in text[pos + 1 : top] else None
    return 0 if BLOCK_END.search(text, pos, close) or "[" in text[pos + 1 : close] else close + 1
