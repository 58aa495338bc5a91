"""What the sentence stage knows of languages: their marks, and where the segmenting library is wrong.

`judge` looks at one mark and says whether the sentence ends there. Rules are tables by language; a rule
never names a text, only words and shapes that a language has many of.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache
from typing import Final

import sentencex

from actors.speech.language_tables import NO_WORDS, WORDS, Words

__all__ = ["BULLETS", "CLOSERS", "HEAD", "Language", "Verdict", "detect", "language_of"]

HEAD: Final = 240  # how much of the sentence so far a decision looks at


class Verdict(Enum):  # noqa: D101
    WAIT = 0  # more text is needed
    GO_ON = 1  # no end here
    END = 2
    END_NOW = 3  # an end, decided before anything that follows was seen


AT_ONCE: Final = "。！？｡"
STRONG: Final = "؟۔।॥።፧፨։။៕།"  # marks of scripts that do not use them for anything else
WEAK: Final = ".!?…‼⁇⁈⁉．"
CLOSERS: Final = frozenset("”’»)]}」』）】》〉›!?！？。…｡")
BULLETS: Final = "•⁃◦▪‣"  # written within a line, they begin the next item
_CLOSING: Final = "\"'”’»)]}」』）】》〉›“‘*"
_OPENING: Final = "\"'“‘„«‹([{「『（【《〈¿¡‚‛*_"
MAX_RUN: Final = 32  # of marks, and of closing quotes after them: a longer one is cut
_DASHES: Final = "-–—―"
_NOT_AFTER: Final = ",;:،，、；：/\\=)]}%&+<>|~^"  # what cannot begin a sentence
_DOUBLE: Final = '"“”„‟'
_AFTER_MARK: Final = frozenset(AT_ONCE + _CLOSING + "…")
_PAIRS: Final = {
    "「": "」", "『": "』", "（": "）)", "《": "》", "〈": "〉", "【": "】", "(": ")）", "[": "]］", "«": "»", "‘": "’",  # noqa: E501
}  # fmt: skip
_OPENS: Final = re.compile(f"[{re.escape(''.join(_PAIRS) + _DOUBLE)}]")
_MARKS: Final = re.escape(WEAK + AT_ONCE + STRONG + BULLETS)
_RUN: Final = re.compile(rf"\.(?:[ \u00a0]\.(?![.\w])){{1,{MAX_RUN // 2}}}|[{re.escape(WEAK)}]{{1,{MAX_RUN}}}")
_BLANKS: Final = re.compile(r"\s*")
_BLANK_LINE: Final = re.compile(r"\n[^\S\n]*\n")
_WORD: Final = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_ITEM: Final = re.compile(rf"[{BULLETS}-]?\s*[(\[]?(?:\d{{1,3}}|[a-zA-Z]|[ivxlcIVXLC]{{1,5}})[.)]*")
_BEFORE_WORD: Final = re.compile(r".*[\s(\[{\"'“‘„«»”/–—-]", re.DOTALL)
_ROMAN: Final = re.compile(r"[IVXLC]{1,6}")
_ACRONYM: Final = re.compile(r"(?:[^\W\d_]{1,2}\.[ \u00a0]?)+[^\W\d_]{1,2}\Z")
_SUFFIXES: Final = frozenset(
    [
        "js",
        "ts",
        "net",
        "io",
        "ai",
        "com",
        "org",
        "py",
        "rs",
        "md",
        "txt",
        "json",
        "yaml",
        "html",
        "css",
        "cpp",
        "exe",
        "dll",
    ]
)
_NUMBER: Final = re.compile(r"(?:^|[\s(\[„“\"'–-])(\d{1,2})\Z")
MAX_BLANKS: Final = 32
MAX_QUOTE: Final = 200
MAX_WORD: Final = 24
MAX_GLUED: Final = 4  # how much of a word that follows without a blank is looked at
CONTEXT: Final = 72

_CONTINUES: Final = frozenset("と、，,说說道问問写寫地的等之って")


class Language:
    """One language: its marks as an expression, and its judgement of a mark."""

    __slots__ = ("_words", "code", "has_clause_marks", "line_marks", "marks")

    def __init__(self, code: str) -> None:
        self.code = code
        extra = {"hy": ":", "el": ";"}.get(code, "")
        self.has_clause_marks = bool(extra)  # a colon or a semicolon may end a sentence
        self.marks = re.compile(f"[{_MARKS}{extra}]")
        self.line_marks = re.compile(f"[{_MARKS}{extra}\n]")
        self._words: Words = WORDS.get(code, NO_WORDS)

    def judge(self, head: str, tail: str, begin: int, final: bool = False) -> tuple[Verdict, int]:
        """Whether the sentence `head + tail` ends at the mark at `begin` in `tail`, and where what follows begins.

        `final`: nothing follows `tail` in this block.
        """
        sign = tail[begin]
        if sign in AT_ONCE:
            return self._judge_at_once(head, tail, begin, final)
        if sign == "\n":
            return self._judge_line_end(tail, begin, final)
        if sign in BULLETS:
            before = tail[begin - 1] if begin else head[-1:]
            if before.isspace() and (head + tail[:begin]).strip(" \t\n" + BULLETS):
                return Verdict.END, begin
            return Verdict.GO_ON, begin + 1
        mark_end = end = begin + 1
        if tail[end : end + 1] == " " and tail[end + 1 : end + 2].isalpha():  # as nearly always
            if sign in STRONG:
                return Verdict.END, end + 1
            answer = self._is_end(head, tail, begin, mark_end, end, end + 1, final)
            if answer is None:
                return Verdict.WAIT, begin
            return (Verdict.END, end + 1) if answer else (Verdict.GO_ON, end)
        run = _RUN.match(tail, begin)
        if run is not None:
            mark_end = end = run.end()
        while end < len(tail) and tail[end] in _CLOSING and end - begin < 2 * MAX_RUN:
            end += 1
        if end - begin >= MAX_RUN:
            return Verdict.END, end
        follows = _BLANKS.match(tail, end)
        after = follows.end() if follows else end
        if after >= len(tail):
            if final:
                return Verdict.GO_ON, after
            if after - end > MAX_BLANKS:
                return Verdict.END, end + MAX_BLANKS
            return Verdict.WAIT, begin
        if after - end > MAX_BLANKS:
            return Verdict.END, end + MAX_BLANKS
        if sign in STRONG:
            return Verdict.END, after
        if after == end:
            answer = self._is_end_without_blank(head, tail, begin, mark_end, end, final)
        else:
            answer = self._is_end(head, tail, begin, mark_end, end, after, final)
        if answer is None:
            return Verdict.WAIT, begin
        return (Verdict.END, after) if answer else (Verdict.GO_ON, end)

    def _is_end(
        self, head: str, tail: str, begin: int, mark_end: int, end: int, after: int, final: bool
    ) -> bool | None:
        """A mark, perhaps closing quotes, and a blank: does the character after it begin a sentence?"""  # noqa: D400
        sign = tail[begin:mark_end]
        first = tail[after]
        quoted = False
        if first in _OPENING or first in _DASHES:
            dash = first in _DASHES
            at = after + 1
            while at < len(tail) and (tail[at] in _OPENING or tail[at].isspace()) and at - after < 4:
                at += 1
            if at >= len(tail):
                return False if final else None
            if dash and not tail[after + 1].isspace() and not tail[after + 1].isalpha():
                return False  # a number, a rule, a row of dashes
            first = tail[at]
            quoted = not dash
            if dash and first.isdigit():
                return False
            after = at
        if first in _NOT_AFTER:
            return False
        if first in ".…":
            return True
        if first.islower():
            return False
        before = head[-CONTEXT:] + tail[max(0, begin - CONTEXT) : begin]
        bare = before.strip()
        if len(bare) < 8 and _ITEM.fullmatch(bare):
            return False
        if mark_end > begin + 1 or sign != ".":
            if "." in sign or "…" in sign:
                if bare[-1:] in "[(" or sign.count(" ") == 2:
                    return False
                return first.isupper() and not (self.code == "en" and self._is_i(tail, after))
            if sign == "!":
                return self._ask(before + tail[begin:end] + " ", first + "a")
            return True
        word, pair = _last_words(bare)
        if first.isdigit():
            return self._ends_before_number(word, pair)
        words = self._words
        if words.ordinal and word[-1:].isdigit():
            number = _NUMBER.search(bare)
            if number is not None:
                return self._ends_after_number(bare[: number.start(1)], tail, after, final)
        low = word.lower()
        if low in words.titles or low in words.inner or pair in words.inner:
            return False
        probe = self._ask(before + "." + tail[mark_end:end] + " ", first)
        if probe:
            return True
        if quoted:
            return not (len(word) == 1 and word.isupper())
        following = _WORD.match(tail, after)
        stop = following.end() if following else after + 1
        if stop >= len(tail) and stop - after < MAX_WORD and not final:
            return None
        opener = tail[after:stop]
        if (opener.split("'")[0].split("’")[0].lower() in words.openers and opener != opener.upper()) or (
            opener.lower() in words.openers and len(opener) == 1 and low in words.ends
        ):
            if len(word) == 1 and word.islower():
                return True
            if low in words.ends or pair in words.ends or _ROMAN.fullmatch(word) or _ACRONYM.search(bare):
                return True
        return self._ask(before + "." + tail[mark_end:end] + " ", opener + " x")

    def _is_end_without_blank(
        self, head: str, tail: str, begin: int, mark_end: int, end: int, final: bool
    ) -> bool | None:
        """Nothing between the mark and what follows: `number.Now`, and not `example.com`."""
        first = tail[end]
        if end > mark_end or not first.isalpha() or first.islower() or self.code in ("zh", "ja"):
            return False
        before = head[-CONTEXT:] + tail[max(0, begin - CONTEXT) : begin]
        sign = tail[begin:mark_end]
        cased = first.isupper()
        last = before.rsplit(None, 1)[-1] if before.strip() else ""
        if "." in sign or "…" in sign:
            plain = last.isalpha() and last[-1].islower() and len(last) > 1 if cased else False
            if sign != "." or not (plain or (last.replace(",", "").isdigit() and "," in last)):
                return False
        elif any(char in "/=&@_<" for char in last):
            return False
        elif not cased:
            return True
        following = _WORD.match(tail, end)
        stop = following.end() if following else end + 1
        if stop >= len(tail) and stop - end < MAX_GLUED and not final:
            return None
        stop = min(stop, end + MAX_GLUED)
        ends = stop - end < MAX_GLUED
        if ends and (tail[stop : stop + 1] in ("(", "_", "[", "@") or tail[end:stop].lower() in _SUFFIXES):
            return False
        return tail[end + 1 : stop].islower() or stop == end + 1 or not following or tail[end:stop].isupper()

    def _is_i(self, tail: str, at: int) -> bool:
        """English `I`, which says nothing about a sentence's beginning."""
        return tail[at] == "I" and not tail[at + 1 : at + 2].isalpha()

    def _ends_before_number(self, word: str, pair: str) -> bool:
        """`in 2004. 1987 wurde`, but `No. 5` and `ca. 1600`."""
        words = self._words
        low = word.lower().strip("°º")
        if not word or low in words.before_number or low in words.inner or low in words.titles:
            return False
        if pair in words.inner or ("." in word and not word[-1].isdigit()):
            return False
        return len(word) > 1 or word.isdigit()

    def _ends_after_number(self, lead: str, tail: str, after: int, final: bool) -> bool | None:
        """A number of one or two digits in a language whose ordinals have a full stop."""
        words = self._words
        word = _last_words(lead.rstrip(" ,"))[0].lower()
        if word in words.leads:
            return False
        following = _WORD.match(tail, after)
        stop = following.end() if following else after + 1
        if stop >= len(tail) and stop - after < MAX_WORD and not final:
            known = tail[after:stop].lower()
            if any(noun.startswith(known) for noun in words.nouns):
                return None
        return not tail[after:stop].lower().startswith(words.nouns)

    def _ask(self, before: str, following: str) -> bool:
        """What the library says: does a sentence end between the two?"""  # noqa: D400
        parts = sentencex.segment(self.code, before[-CONTEXT:] + following)
        size = len(parts[-1])
        if len(parts) == 1 or size >= len(following):
            return len(parts) > 1 and size <= len(following) + 3
        size = 0
        for part in reversed(parts[1:]):
            size += len(part)
            if size >= len(following):
                return size <= len(following) + 3
        return False

    def _judge_at_once(self, head: str, tail: str, begin: int, final: bool) -> tuple[Verdict, int]:
        if not _open_bracket((head + tail[:begin])[-HEAD:]):
            return Verdict.END_NOW, begin + 1
        at = begin + 1
        while at < len(tail) and at - begin < MAX_RUN and tail[at] in _AFTER_MARK:
            at += 1
        if at >= len(tail):
            return (Verdict.GO_ON, at) if final else (Verdict.WAIT, begin)
        if _open_bracket((head + tail[:at])[-HEAD:]) or tail[at] in _CONTINUES:
            return Verdict.GO_ON, at
        follows = _BLANKS.match(tail, at, at + MAX_BLANKS)
        return Verdict.END, follows.end() if follows else at

    def _judge_line_end(self, tail: str, begin: int, final: bool) -> tuple[Verdict, int]:
        blank_line = _BLANK_LINE.match(tail, begin, begin + MAX_BLANKS)
        if blank_line is not None:
            return Verdict.END, blank_line.end()
        follows = _BLANKS.match(tail, begin, begin + MAX_BLANKS)
        after = follows.end() if follows else begin
        if after >= len(tail) and after - begin < MAX_BLANKS and not final:
            return Verdict.WAIT, begin
        return Verdict.GO_ON, after

    def ends_on_pause(self, head: str, tail: str) -> bool:
        """Whether what is held is certainly a sentence's end although nothing follows."""
        text = (head + tail).rstrip()
        body = text.rstrip(_CLOSING)
        if not body or body[-1] not in WEAK + AT_ONCE + STRONG:
            return False
        if body[-1] != ".":
            return True
        word = body.rstrip(".")
        if not word or word[-1].isdigit():
            return False
        low = _last_words(word)[0].lower()
        if low in self._words.titles or low in self._words.inner or len(low) == 1:
            return False
        return self._ask(text + " ", "A")


def _open_bracket(text: str) -> bool:
    """Whether a quote or a bracket that opened near enough is still open at the end of `text`."""
    if _OPENS.search(text) is None:
        return False
    stack: list[tuple[str, int]] = []
    for at, char in enumerate(text):
        if char in _PAIRS:
            stack.append((_PAIRS[char], at))
        elif char in _DOUBLE:
            if stack and stack[-1][0] == _DOUBLE:
                stack.pop()
            elif char != "”":
                stack.append((_DOUBLE, at))
        elif stack and char in stack[-1][0]:
            stack.pop()
    return bool(stack) and stack[-1][1] >= len(text) - MAX_QUOTE


def _last_words(text: str) -> tuple[str, str]:
    """The last word, and the last two as one in lower case where a full stop is between: `B` and `z.b` of `z. B`."""
    near = text[-40:]
    parts = near.rsplit(None, 2)
    if not parts:
        return "", ""
    word = parts[-1]
    low = word.lower()
    pair = parts[-2].lower() + low if len(parts) > 1 and parts[-2].endswith(".") else low.lstrip("(\"'„“")
    if not word.isalpha():
        lead = _BEFORE_WORD.match(near)
        word = near[lead.end() :] if lead else near
    return word, pair


@lru_cache(maxsize=512)
def language_of(code: str) -> Language:
    """The language of a code; a regional one (`pt-BR`) is its base language."""
    return Language(code.lower().replace("_", "-").split("-")[0])


_SCRIPTS: Final = (
    (re.compile(r"[\u3040-\u30ff]"), "ja"),
    (re.compile(r"[\uac00-\ud7a3]"), "ko"),
    (re.compile(r"[\u4e00-\u9fff\u3400-\u4dbf]"), "zh"),
    (re.compile(r"[\u0400-\u04ff]"), "ru"),
    (re.compile(r"[\u0900-\u097f]"), "hi"),
    (re.compile(r"[\u0600-\u06ff]"), "ar"),
    (re.compile(r"[\u0530-\u058f]"), "hy"),
    (re.compile(r"[\u1200-\u137f]"), "am"),
    (re.compile(r"[\u0370-\u03ff]"), "el"),
)
_LETTER: Final = re.compile(r"[^\W\d_]")


def detect(text: str) -> str | None:
    """The language to assume for a text of which nothing else is known: by its first letter's script."""
    letter = _LETTER.search(text)
    if letter is None:
        return None
    if letter[0] < "\u0370":
        return "en"
    for pattern, code in _SCRIPTS:
        if pattern.match(letter[0]):
            return code
    return "en"
