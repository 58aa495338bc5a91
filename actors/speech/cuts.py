"""Where a text may be cut for a voice, and whether there is anything in it to say.

A cut is looked for in a bounded stretch of text and depends on nothing else. The best place is behind a
clause; then between two words; then between two characters as a reader sees them (graphemes), but not within
a number. Where letters are written without blanks (Chinese, Japanese), a word may end behind any of them,
except before a mark that closes and behind one that opens.
"""

from __future__ import annotations

import re
from typing import Final

import regex

__all__ = ["CLAUSES", "MAX_MUTE", "best_cut", "first_clause", "first_speakable", "pause_cut", "speakable", "width"]

CLAUSES: Final = ",;:—–，、；：،؛"
MAX_MUTE: Final = 240  # how much without anything speakable waits for something that is

_AWAITS_BLANK: Final = ",;:–،؛"  # these end a clause only if a blank follows
_CLAUSE: Final = re.compile(r"[,;:–،؛](?=\s)|(?<!\d)[，：]|[、；—]")

_SPEAKABLE: Final = regex.compile(r"[\p{L}\p{N}\p{Sc}\p{Sm}]")
_PLAIN: Final = re.compile(r"[^\W_]")
_WIDE: Final = re.compile(
    "[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6"
    "\U00020000-\U0003fffd]"
)
_UNSPACED: Final = re.compile(
    "[\u3001-\u3020\u3041-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\uff01-\uff0f\uff1a-\uff20\U00020000-\U0003fffd]"
)
_GRAPHEME: Final = regex.compile(r"\X")
_NUMBER_GOES_ON: Final = re.compile(r"\d|[.,:'’]\d|[.,:'’]\Z|%")
_WHOLE: Final = frozenset("!?…")  # a word is over where one of these follows
_NO_START: Final = frozenset("，。！？；：、）」』】》〉”’…,.;:!?)]}%ー々っゃゅょぁぃぅぇぉッャュョァィゥェォ")
_NO_END: Final = frozenset("（「『【《〈“‘([{$€£¥«„¿¡#@&+=/\\<~")


def width(text: str) -> int:
    """Columns: wide characters (CJK) count two."""
    return len(text) if text.isascii() else len(text) + len(_WIDE.findall(text))


def speakable(text: str) -> bool:
    """Whether a voice has anything to say here: a letter, a digit, a sign of currency or mathematics."""
    return _PLAIN.search(text) is not None or _SPEAKABLE.search(text) is not None


def first_speakable(text: str) -> int:
    """Where the first of what a voice can say stands, or -1."""
    if text[:1].isalnum():
        return 0
    found = _SPEAKABLE.search(text)
    return -1 if found is None else int(found.start())


def first_clause(text: str, least: int, max_chars: int | None, begin: int = 0) -> int:
    """How much of a turn's first text may leave at a clause that is wide enough; 0: nothing yet.

    Up to `begin` there is no such clause.
    """
    top = MAX_MUTE if max_chars is None else max_chars
    said = first_speakable(text)
    if said < 0:
        return 0
    for clause in _CLAUSE.finditer(text, max(begin, said)):
        at = clause.end()
        if at > top:
            break
        if width(text[:at]) >= least:
            return at + 1 if clause[0] in _AWAITS_BLANK else at
    return 0


def best_cut(text: str, limit: int, min_chars: int) -> int:
    """Where to cut a text that is too long, given its first `limit` + 1 characters."""
    for clause in reversed(list(_CLAUSE.finditer(text))):
        head = text[: clause.end()]
        if clause.end() <= limit and speakable(head) and width(head) >= min_chars:
            return _with_blanks(text, clause.end())
    edges: list[int] = [edge for edge in (grapheme.end() for grapheme in _GRAPHEME.finditer(text)) if edge <= limit]
    for edge in reversed(edges):
        if _between_words(text, edge) and speakable(text[:edge]):
            return _with_blanks(text, edge)
    for edge in reversed(edges):
        if not _in_number(text, edge):
            return edge
    return edges[-1] if edges else limit


def pause_cut(text: str) -> int:
    """Up to where a text can be said although its sentence is not over, or 0.

    That is behind a clause or a word that is certainly whole: never behind an abbreviation or a digit, and
    never behind what belongs to the word after it.
    """
    at = len(text)
    while at > 0:
        head = text[:at].rstrip()
        if not head:
            break
        last = head[-1]
        whole = len(head) < len(text) or last in _WHOLE or (last in CLAUSES and not head[-2:-1].isdigit())
        if (whole or _UNSPACED.match(last)) and not (last.isdigit() or last == "." or last in _NO_END):
            return _with_blanks(text, len(head)) if speakable(head) else 0
        at = _word_edge(text, len(head))
    return 0


def _word_edge(text: str, at: int) -> int:
    """The last edge of a word before `at`."""
    for edge in range(at - 1, 0, -1):
        if _between_words(text, edge):
            return edge
    return 0


def _between_words(text: str, at: int) -> bool:
    before, after = text[at - 1], text[at]
    if after.isspace() or before.isspace():
        return True
    if after in _NO_START or before in _NO_END:
        return False
    return (_UNSPACED.match(before) or _UNSPACED.match(after)) is not None and not _in_number(text, at)


def _in_number(text: str, at: int) -> bool:
    return (text[at - 1].isdigit() and _NUMBER_GOES_ON.match(text, at) is not None) or (
        at >= 2 and text[at - 1] in ".,:'’" and text[at - 2].isdigit() and text[at : at + 1].isdigit()
    )


def _with_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at
