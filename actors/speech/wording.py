"""The text of a chunk as it is said: which blanks and dashes go, and the mark between two blocks without one.

This is text alone; spans know nothing of it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from actors.speech.pieces import Removed, Strength, Text

__all__ = ["ended", "put_together", "tidy"]

_BLANK_RUN: Final = re.compile(r"\s{2,}|[^\S ]")
_GAP_BEFORE_COMMA: Final = re.compile(r" +(?=,(?:\s|\Z))")
_MARKS_AFTER_GAP: Final = frozenset(",.;:!?")
_DASHES: Final = "-–—•·"
_LEADING_DASH: Final = re.compile(rf"\A[{_DASHES}]+\s+")
_CLOSED: Final = ".!?…:;,，、；：。！？।॥።፣؟۔،؛։—–-"  # after one of these a block needs no other mark
_CLOSERS: Final = "\"'”’»)]}」』）】》〉"
_MARKS: Final = (  # script, comma, full stop, blank behind them
    (re.compile(r"[\u3040-\u30ff]"), "、", "。", ""),
    (re.compile(r"[\u4e00-\u9fff]"), "，", "。", ""),
    (re.compile(r"[\u0600-\u06ff]"), "،", ".", " "),
    (re.compile(r"[\u0900-\u097f]"), ",", "।", " "),
    (re.compile(r"[\u0530-\u058f]"), ",", "։", " "),
    (re.compile(r"[\u1200-\u137f]"), "፣", "።", " "),
)


def tidy(text: str) -> str:
    """Text with single blanks, none before a comma, and no dash at its start."""
    text = text.strip()
    if ("  " in text or not text.isprintable()) and _BLANK_RUN.search(text) is not None:
        text = " ".join(text.split())
    if " ," in text:
        text = _GAP_BEFORE_COMMA.sub("", text)
    return _LEADING_DASH.sub("", text, count=1) if text[0] in _DASHES else text


def put_together(pieces: Sequence[Text | Removed]) -> str:
    """The text of some pieces, without the blank before a mark where what stood between the two is left out."""
    text, gap = "", False
    for piece in pieces:
        if type(piece) is not Text:
            gap = True
            continue
        part = piece.text
        replaces = len(part) != piece.end - piece.start
        if (gap or replaces) and part[:1] in _MARKS_AFTER_GAP and not part[1:2].strip() and not piece.literal:
            text = text.rstrip(" ")
        text += part
        gap = replaces
    return text


def ended(block: str, strength: Strength) -> str:
    """A block as it is said before another: if it has no mark, with its script's comma or full stop."""
    comma, stop, blank = _marks_of(block)
    if (block.rstrip(_CLOSERS) or block)[-1] in _CLOSED:
        return block + blank
    return block + (comma if strength is Strength.ITEM else stop) + blank


def _marks_of(text: str) -> tuple[str, str, str]:
    for script, comma, stop, blank in _MARKS:
        if script.search(text):
            return comma, stop, blank
    return ",", ".", " "
