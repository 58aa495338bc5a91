"""What the sentence stage knows of languages: their marks, and where the segmenting library is wrong.

`judge` looks at one mark and says whether the sentence ends there. Rules are tables by language; a rule
never names a text, only words and shapes that a language has many of. What it answers depends on the last
`HEAD` characters of the sentence before the mark and on as much of what follows as it takes: a blank and
a letter nearly always, a word where an abbreviation stands before the mark.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache
from typing import Final

import sentencex

from actors.speech.language_tables import NO_WORDS, WORDS, Words

__all__ = ["BULLETS", "CLOSERS", "ENDS", "HEAD", "Language", "Verdict", "detect", "language_of", "letter_in"]


class Verdict(Enum):
    """What is known of a mark."""

    WAIT = 0  # more text is needed
    GO_ON = 1  # no end here
    END = 2
    END_NOW = 3  # an end, decided before anything that follows was seen


AT_ONCE: Final = "。！？｡"
STRONG: Final = (  # marks of scripts that do not use them for anything else
    "؟۔।॥།༎։՜፧፨።។៕။᠃᠉᭟᭞᱾꓿꘎꣎꧉꩝᥄᥅"
)
WEAK: Final = ".!?…‼⁇⁈⁉．"
BULLETS: Final = "•⁃◦▪‣"  # written within a line, they begin the next item
ENDS: Final = WEAK + AT_ONCE + STRONG + BULLETS
CLOSERS: Final = frozenset("”’»)]}」』）】》〉›!?！？。…｡")  # too late behind a sentence that is already over

HEAD: Final = 240  # how much of the sentence before a mark an answer depends on
NEAR: Final = 72  # how much of it the library is shown
MAX_RUN: Final = 32  # of marks, and of closing quotes after them: a longer one is cut
_ANY_BLANK: Final = re.compile(r"\s")
MAX_BLANKS: Final = 32
MAX_QUOTE: Final = 200
MAX_WORD: Final = 24
MAX_GLUED: Final = 4  # how much of a word that follows without a blank is looked at
EARLY: Final = 3  # so many letters of a word are enough, where they are in `Words.early`

_CLOSING: Final = "\"'”’»)]}」』）】》〉›“‘*"
_OPENING: Final = "\"'“‘„«‹([{「『（【《〈¿¡‚‛*_"
_DASHES: Final = "-–—―"
_NOT_AFTER: Final = ",;:،،、；：/\\=)]}%&+<>|~^"  # what cannot begin a sentence
_DOUBLE: Final = '"“”„‟'
_SURE_ENDS: Final = "!?‼⁇⁈⁉"
_AFTER_MARK: Final = frozenset(AT_ONCE + _CLOSING + "…")
_PAIRS: Final = dict(zip("「『《〈【«‘", "」』》〉】»’", strict=True)) | {"(": ")）", "（": "）)", "[": "]］"}
_OPENS: Final = re.compile(f"[{re.escape(''.join(_PAIRS) + _DOUBLE)}]")
_CONTINUES: Final = frozenset("と、，,说說道问問写寫喊叫称稱地的得等之而就便也是和与與及或って")
_EXTRA_MARKS: Final = {"hy": ":", "el": ";"}  # read as full stop and question mark behind a word of that script
_OWN_LETTERS: Final = {
    "hy": re.compile("[\u0531-\u0587][՛՜՞»)]*\\Z"),
    "el": re.compile("[\u0370-\u03ff\u1f00-\u1fff]{2}[»)]*\\Z"),
}

_RUN: Final = re.compile(rf"\.(?:[ \u00a0]\.(?![.\w])){{1,{MAX_RUN // 2}}}|[{re.escape(WEAK)}]{{1,{MAX_RUN}}}")
_BLANKS: Final = re.compile(r"\s*")
_BLANK_LINE: Final = re.compile(r"\n[^\S\n]*\n")
_WORD: Final = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_ITEM: Final = re.compile(rf"[{BULLETS}-]?\s*[(\[]?(?:\d{{1,3}}|[a-zA-Z]|[ivxlcIVXLC]{{1,5}})[.)]*")
_BEFORE_WORD: Final = re.compile(r".*[\s(\[{\"'“‘„«»”/–—-]", re.DOTALL)
_ROMAN: Final = re.compile(r"[IVXLC]{1,6}")
_ACRONYM: Final = re.compile(r"(?:[^\W\d_]{1,2}\.[ \u00a0]?)+[^\W\d_]{1,2}\Z")
_ASIDE: Final = re.compile(r"\(([^\W\d_a-z][^()]* [^()]*)\Z")  # a sentence in brackets, up to its full stop
_BEFORE_APOSTROPHE: Final = re.compile("['’]")
_NUMBER: Final = re.compile(r"(?:^|[\s(\[„“\"'–-])(\d{1,2})\Z")
_WITHIN_NAME: Final = frozenset("([_@")  # behind a word, they say that it is part of a program
_SUFFIXES: Final = frozenset(
    [
        *("js", "ts", "net", "io", "ai", "com", "org", "py", "rs", "md", "txt", "json", "yaml", "html", "css", "cpp"),
        *("exe", "dll"),
    ]
)


class Language:
    """One language: its marks as an expression, and its judgement of a mark."""

    __slots__ = ("_own", "_words", "code", "has_clause_marks", "line_marks", "marks")

    def __init__(self, code: str, *, guessed: bool = False) -> None:
        self.code = code
        ends = re.escape(ENDS + _EXTRA_MARKS.get(code, ""))
        self.has_clause_marks = code in _EXTRA_MARKS  # a colon or a semicolon may end a sentence
        self.marks = re.compile(f"[{ends}]")
        self.line_marks = re.compile(f"[{ends}\n]")
        self._own = _OWN_LETTERS.get(code) if guessed else None
        self._words: Words = WORDS.get(code, NO_WORDS)

    def judge(self, head: str, tail: str, begin: int, final: bool = False) -> tuple[Verdict, int]:
        """Whether the sentence `head + tail` ends at the mark at `begin` in `tail`, and where what follows begins.

        `final`: nothing follows `tail` in this block.
        """
        sign = tail[begin]
        before = tail[begin - HEAD : begin] if begin >= HEAD else (head + tail[:begin])[-HEAD:]
        if sign in AT_ONCE:
            return self._judge_at_once(before, tail, begin, final)
        if sign == "\n":
            return self._judge_line_end(tail, begin, final)
        if sign in BULLETS:
            if before[-1:].isspace() and before.strip(" \t\n" + BULLETS):
                return Verdict.END, begin
            return Verdict.GO_ON, begin + 1
        if sign in ":;" and self._own is not None and self._own.search(before[-4:]) is None:
            return Verdict.GO_ON, begin + 1
        mark_end = end = begin + 1
        if tail[end : end + 1] == " " and tail[end + 1 : end + 2].isalpha():  # as nearly always
            if sign in STRONG:
                return Verdict.END, end + 1
            answer = self._is_end(before, tail, begin, mark_end, end, end + 1, final)
            if answer is None:
                return Verdict.WAIT, begin
            return (Verdict.END, end + 1) if answer else (Verdict.GO_ON, end)
        run = _RUN.match(tail, begin)
        if run is not None:
            mark_end = run.end()
        end, after = self._behind_closers(before, tail, mark_end, begin + 2 * MAX_RUN)
        if end - begin >= MAX_RUN:
            return Verdict.END, end
        if after - end > MAX_BLANKS:
            return Verdict.END, end + MAX_BLANKS
        if after >= len(tail):
            return (Verdict.GO_ON, after) if final else (Verdict.WAIT, begin)
        if sign in STRONG:
            return Verdict.END, after
        if after == end:
            answer = self._is_end_without_blank(before, tail, begin, mark_end, end, final)
        else:
            answer = self._is_end(before, tail, begin, mark_end, end, after, final)
        if answer is None:
            return Verdict.WAIT, begin
        return (Verdict.END, after) if answer else (Verdict.GO_ON, end)

    def _behind_closers(self, before: str, tail: str, end: int, stop: int) -> tuple[int, int]:
        """Behind the marks and closing quotes from `end` on, and behind the blanks after those.

        In French a blank stands before the quote that closes.
        """
        while True:
            while end < len(tail) and tail[end] in _CLOSING and end < stop:
                end += 1
            follows = _BLANKS.match(tail, end)
            after = follows.end() if follows else end
            if not (
                end < after <= end + 2 and tail[after : after + 1] == "»" and before.rfind("«") > before.rfind("»")
            ):
                return end, after
            end = after + 1
            before = ""

    def _is_end(
        self, before: str, tail: str, begin: int, mark_end: int, end: int, after: int, final: bool
    ) -> bool | None:
        """A mark, perhaps closing quotes, and a blank: does the character after it begin a sentence?"""
        sign = tail[begin:mark_end]
        first, quoted = tail[after], False
        if first in _OPENING or first in _DASHES:
            dash = first in _DASHES
            at = after + 1
            while at < len(tail) and (tail[at] in _OPENING or tail[at].isspace()) and at - after < 4:
                at += 1
            if at >= len(tail):
                return False if final else None
            if dash and not tail[after + 1].isspace() and not tail[after + 1].isalpha():
                return False  # a number, a rule, a row of dashes
            first, quoted = tail[at], not dash
            if dash and first.isdigit():
                return False
            after = at
        if first in _NOT_AFTER:
            return False
        if first == ".":  # an ellipsis or `.env`, but not the stop behind a closing quote
            if after + 1 >= len(tail) and not final:
                return None
            return tail[after + 1 : after + 2].strip(_CLOSING) not in ("", ",")
        if first == "…":
            return True
        if first.islower() and not _uncased(first):
            if after + 1 >= len(tail) and not final:
                return None
            follows = tail[after + 1 : after + 2]
            if not follows.isupper() and not (self.code == "nl" and quoted and follows.isspace()):
                return False  # `iPhone` begins a sentence, and so does `'s Avonds`
        bare = before[-NEAR:].strip()
        if len(bare) < 8 and _ITEM.fullmatch(bare):
            return False
        if sign == "!":
            return self._ask(before + tail[begin:end] + " ", first + "a")
        if sign == ".":
            return self._is_end_at_stop(before, bare, tail[mark_end:end], tail, after, first, quoted, final)
        if sign[-1] in ".…":
            if bare[-1:] in "[(" or sign.count(" ") == 2:
                return False
            if not first.isupper():
                return first.isalpha() and not before[-1:].isspace()  # a script without capitals
            if self.code != "en" or first != "I":
                return True  # the English `I` says nothing about where a sentence begins
            return None if after + 1 >= len(tail) and not final else tail[after + 1 : after + 2].isalpha()
        return True

    def _is_end_at_stop(
        self, before: str, bare: str, closers: str, tail: str, after: int, first: str, quoted: bool, final: bool
    ) -> bool | None:
        """One full stop: an abbreviation, an initial, a number, or the end?"""
        words = self._words
        word, pair = _last_words(bare)
        if first.isdigit():
            return self._ends_before_number(word, pair)
        if words.ordinal and word[-1:].isdigit():
            number = _NUMBER.search(bare)
            if number is not None:
                return self._ends_after_number(bare[: number.start(1)], tail, after, final)
        low = word.lower()
        if low in words.titles or low in words.inner or pair in words.inner:
            return False
        if quoted and self.code == "hy":
            return False  # here the full stop is a colon; this one announces what is said
        if low in words.lists or pair in words.lists:
            return True
        aside = _ASIDE.search(before) if closers == ")" else None
        lead = f"{aside[1]}. " if aside else f"{before}.{closers} "
        if self._ask(lead, first):
            return True
        if quoted:
            return not (len(word) == 1 and word.isupper())
        following = _WORD.match(tail, after)
        stop = following.end() if following else after + 1
        opener = tail[after:stop]
        early = opener[:EARLY].lower() in words.early and opener[1:EARLY].islower()
        if stop >= len(tail) and stop - after < MAX_WORD and not final and not early:
            return None
        opener = opener[:MAX_WORD]
        if early or self._opens(opener, low):
            if len(word) == 1 and word.islower():
                return True
            if low in words.ends or pair in words.ends or _ROMAN.fullmatch(word) or _ACRONYM.search(bare):
                return True
        if early:
            opener = opener[:EARLY]
        return self._ask(lead, opener + " x")

    def _opens(self, opener: str, abbreviation: str) -> bool:
        """Whether a word is capitalised only because a sentence begins."""
        words = self._words
        if opener == opener.upper():
            return len(opener) == 1 and opener.lower() in words.openers and abbreviation in words.ends
        return _BEFORE_APOSTROPHE.split(opener, 1)[0].lower() in words.openers

    def _is_end_without_blank(
        self, before: str, tail: str, begin: int, mark_end: int, end: int, final: bool
    ) -> bool | None:
        """Nothing between the mark and what follows: `number.Now`, and not `example.com`."""
        first = tail[end]
        sign = tail[begin:mark_end]
        if self.code in ("zh", "ja"):
            return sign[-1] in _SURE_ENDS and end == mark_end and _WIDE_LETTER.match(first) is not None
        if end > mark_end or not first.isalpha() or first.islower():
            return False
        cased = first.isupper()
        near = before[-NEAR:]
        last = near.rsplit(None, 1)[-1] if near.strip() else ""
        if "." in sign or "…" in sign:
            plain = cased and last.isalpha() and last[-1].islower() and len(last) > 1
            if sign != "." or not (plain or (last.replace(",", "").isdigit() and "," in last)):
                return False
        elif any(char in "/=&@_<" for char in last):
            return False
        elif not cased:
            return True
        following = _WORD.match(tail, end)
        stop = following.end() if following else end + 1
        word = tail[end : min(stop, end + MAX_WORD)]
        named = sign == "." and last.isalpha() and (last[0].isupper() or (last + word).isascii())
        if stop >= len(tail) and stop - end < (MAX_WORD if named else MAX_GLUED) and not final:
            return None
        follows = tail[stop : stop + 1]
        if named and not self._opens_without_blank(word, follows):
            return False
        stop = min(stop, end + MAX_GLUED)
        if stop - end < MAX_GLUED:
            follows = tail[stop : stop + 1]
            if follows in _WITHIN_NAME or tail[end:stop].lower() in _SUFFIXES:
                return False
            if stop == end + 1 and follows == ".":
                return False  # `Ph.D.`
        return tail[end + 1 : stop].islower() or stop == end + 1 or not following or tail[end:stop].isupper()

    def _opens_without_blank(self, word: str, follows: str) -> bool:
        """The second of two words with a full stop between: `Paris.Then`, but `Console.Write` and `queue.Queue`."""
        begin = _BEFORE_APOSTROPHE.split(word, 1)[0]
        if follows in _WITHIN_NAME or (len(begin) > 1 and begin.isupper()):
            return False
        words, low = self._words, begin.lower()
        return low in words.openers or low in words.titles or low in words.replies

    def _ends_before_number(self, word: str, pair: str) -> bool:
        """`in 2004. 1987 wurde`, but `No. 5` and `ca. 1600`."""
        words = self._words
        low = word.lower().strip("°º")
        if not word or low in words.before_number or low in words.inner or low in words.titles:
            return False
        if words.compounds and low.endswith(words.compounds):
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
        """What the library says: does a sentence end between the two?"""
        text = before[-NEAR:] + following
        if not text.isascii():
            text = _ANY_BLANK.sub(" ", text)  # it falls over a capital letter before a blank of several bytes
        parts = sentencex.segment(self.code, text)
        size = len(parts[-1])
        if len(parts) == 1 or size >= len(following):
            return len(parts) > 1 and size <= len(following) + 3
        size = 0
        for part in reversed(parts[1:]):
            size += len(part)
            if size >= len(following):
                return size <= len(following) + 3
        return False

    def _judge_at_once(self, before: str, tail: str, begin: int, final: bool) -> tuple[Verdict, int]:
        if not _open_bracket(before):
            return Verdict.END_NOW, begin + 1
        at = begin + 1
        while at < len(tail) and at - begin < MAX_RUN and tail[at] in _AFTER_MARK:
            at += 1
        if at >= len(tail):
            return (Verdict.GO_ON, at) if final else (Verdict.WAIT, begin)
        if _open_bracket((before + tail[begin:at])[-HEAD:]) or tail[at] in _CONTINUES:
            return Verdict.GO_ON, at
        return Verdict.END, at + tail[at].isspace()

    def _judge_line_end(self, tail: str, begin: int, final: bool) -> tuple[Verdict, int]:
        blank_line = _BLANK_LINE.match(tail, begin, begin + MAX_BLANKS)
        if blank_line is not None:
            return Verdict.END, blank_line.end()
        follows = _BLANKS.match(tail, begin, begin + MAX_BLANKS)
        after = follows.end() if follows else begin
        if after >= len(tail) and after - begin < MAX_BLANKS and not final:
            return Verdict.WAIT, begin
        return Verdict.GO_ON, after

    def ends_on_pause(self, before: str, tail: str) -> bool:
        """Whether what is held is certainly a sentence's end although nothing follows."""
        text = (before + tail).rstrip()
        body = text.rstrip(_CLOSING)
        if not body or body[-1] not in ENDS or body[-1] in BULLETS:
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


_WIDE_LETTER: Final = re.compile(r"[\u3041-\u30ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff]")


def _uncased(char: str) -> bool:
    """Georgian has one case, which Unicode calls the lower one."""
    return "\u10d0" <= char <= "\u10ff"


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
def language_of(code: str, guessed: bool = False) -> Language:
    """The language of a code; a regional one (`pt-BR`) is its base language.

    guessed: the text may be in another one that only uses the same letters.
    """
    return Language(code.lower().replace("_", "-").split("-")[0], guessed=guessed)


_SCRIPTS: Final = (
    (re.compile(r"[\u3040-\u30ff]"), "ja"),
    (re.compile(r"[\uac00-\ud7a3]"), "ko"),
    (re.compile(r"[\u4e00-\u9fff\u3400-\u4dbf]"), "zh"),
    (re.compile(r"[\u0400-\u04ff]"), "ru"),
    (re.compile(r"[\u0900-\u097f]"), "hi"),
    (re.compile(r"[\u0600-\u06ff]"), "ar"),
    (re.compile(r"[\u0530-\u058f]"), "hy"),
    (re.compile(r"[\u1200-\u137f]"), "am"),
    (re.compile(r"[\u0370-\u03ff\u1f00-\u1fff]"), "el"),
)
_LETTER: Final = re.compile(r"[^\W\d_]")


def letter_in(text: str) -> int:
    """Where the first letter of a text stands, or -1."""
    letter = _LETTER.search(text)
    return -1 if letter is None else letter.start()


def detect(text: str) -> Language | None:
    """The language to assume for a text of which nothing else is known: by its first letter's script."""
    letter = _LETTER.search(text)
    if letter is None:
        return None
    if letter[0] >= "\u0370":
        for pattern, code in _SCRIPTS:
            if pattern.match(letter[0]):
                return language_of(code, guessed=True)
    return language_of("en")
