"""The text of a chunk as it is said: which blanks and dashes go, and the mark between two blocks without one.

This is text alone; spans know nothing of it.
"""

from __future__ import annotations

import re
from typing import Final

from actors.speech.pieces import Strength

__all__ = ["ended", "tidy"]

_BLANK_RUN: Final = re.compile(r"\s{2,}|[^\S ]")
_GAP_BEFORE_MARK: Final = re.compile(r" +(?=[,.;:!?](?:\s|\Z))")
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


def tidy(text: str, *, gaps: bool = False) -> str:
    """Text with single blanks, none before a mark (where something was replaced), and no dash at its start."""
    text = text.strip()
    if ("  " in text or not text.isprintable()) and _BLANK_RUN.search(text) is not None:
        text = " ".join(text.split())
    if gaps or " ," in text:
        text = _GAP_BEFORE_MARK.sub("", text)
    return _LEADING_DASH.sub("", text, count=1) if text[0] in _DASHES else text


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
