"""What has been scanned, and the runs of `*`, `_` and `~` in it that wait for their partner.

Emphasis does not stop the scan: a run that may open goes into a queue, with all that follows, until its partner
comes, its block ends, or it is too far away; then it is removed or text, and the queue runs free. Whether a run
opens or closes are CommonMark's flanking rules, with three exceptions that a listener needs: a double run closes an
open one whatever stands around it, it opens between wide characters, and a star between two digits is a sign of
arithmetic. A double run that opens before a letter and is still open when its sentence ends is removed and
remembered, so that the sentence can leave; its partner goes too when it comes.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from actors.speech.pieces import Break, Piece, Removed, Text

__all__ = ["PUNCTUATION", "SENTENCE_END", "Emphasis"]

PUNCTUATION: Final = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
SENTENCE_END: Final = re.compile(r"[.!?…][\"'”’»)\]]*\s|[。！？]")

SHORT: Final = 64  # text shorter than this is put together with what follows
_CLOSERS: Final = "\"'”’»)]"
_ENDING: Final = re.compile(r"[.!?…][\"'”’»)\]]*\Z")  # a sentence end if a blank follows
_WIDE_LETTER: Final = re.compile(r"[\u2e80-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff00-\uffef\u3000-\u303f]")


class _Run:
    """A run in the queue that may open. What is used of it, counted from its end, is removed."""

    __slots__ = ("both", "char", "letter", "size", "start", "used")

    def __init__(self, char: str, size: int, start: int, both: bool, letter: bool) -> None:
        self.char = char
        self.size = size  # what is left of it
        self.used = 0
        self.start = start
        self.both = both  # it may close, too
        self.letter = letter  # a letter follows


class Emphasis:
    """Takes pieces in the order of the text, and gives them when no open run can change them any more."""

    __slots__ = ("_ending", "_limit", "_lost", "_open", "_out", "_queue")

    def __init__(self, max_hold: int) -> None:
        self._limit = max_hold
        self._out: list[Piece] = []
        self._queue: list[Piece | _Run] | None = None
        self._open: list[_Run] | None = None
        self._lost: dict[str, int] | None = None  # double runs that were removed before their partner came
        self._ending = False  # behind the last open run, the text ends in what a blank would make a sentence end

    @property
    def held(self) -> bool:
        return bool(self._queue)

    def take(self) -> list[Piece]:
        """What is certain; it is forgotten here."""
        out = self._out
        self._out = []
        return out

    def put(self, piece: Piece) -> None:
        """Add what emphasis does not look into: code, a formula, a break."""
        if self._open and type(piece) is Break:
            self._pass_sentence_end(piece.at)
        if self._queue:
            self._queue.append(piece)
            self._ending = False
        else:
            self._out.append(piece)

    def remove(self, start: int, end: int, rule: str) -> None:
        """Add something removed: it changes nothing about where a sentence ends."""
        (self._queue or self._out).append(Removed(start, end, rule))

    def text(self, run: str, start: int) -> None:
        """Add text as it stands at `start`, in which sentences may end."""
        end = start + len(run)
        if self._queue:
            self._queue.append(Text(run, start, end))
            if self._open:
                self._pass_sentence_ends(run, start)
                self._expire(end)
            return
        out = self._out
        last = out[-1] if out else None
        if type(last) is Text and last.end == start and len(last.text) == start - last.start < SHORT:
            out[-1] = Text(last.text + run, last.start, end)  # what is short goes along with what follows
        else:
            out.append(Text(run, start, end))

    def end_block(self) -> None:
        """No partner can come any more: what is queued is text."""
        if self._queue:
            self._open = None
            self._run_queue()
        self._lost = None

    def run(self, char: str, size: int, start: int, before: str, after: str) -> None:
        """Add a run of `size` times `char` that stands between two characters."""
        opens, closes = _flanking(char, size, before, after)
        self._expire(start)
        used = 0
        if self._open and (closes or (size >= 2 and char != "_")):
            used = self._close(char, size, closes, opens)
        if used and not opens:
            used = size  # what is left over of a run that found its partner is nobody's text
        elif not used and size >= 2:
            lost = self._lost.get(char) if self._lost else 0
            if self._lost and lost and (closes or (char != "_" and before and not before.isspace())):
                self._lost[char] = lost - 1
                used = size
            elif closes and not opens and char == "*":
                used = size  # a partner of none: no text either
        if used:
            self.remove(start, start + used, "emphasis")
            if self._queue and not self._open:
                self._run_queue()
        left = size - used
        if left and opens:
            run = _Run(char, left, start + used, closes, after.isalpha())
            self._queue = self._queue or []
            self._open = self._open or []
            self._queue.append(run)
            self._open.append(run)
            self._ending = False
        elif left:
            self.text(char * left, start + used)

    def _close(self, char: str, size: int, closes: bool, opens: bool) -> int:
        """Match a closing run with open ones; how many of its characters found a partner."""
        openers = self._open
        used = 0
        while openers and used < size:
            left = size - used
            for index in range(len(openers) - 1, -1, -1):
                opener = openers[index]
                if opener.char != char:
                    continue
                if char == "~":
                    if opener.size == left and closes:
                        break
                    continue
                if not closes and opener.size < 2:
                    continue
                if opener.size >= 2 and left >= 2:
                    break
                if closes and (opener.both or opens) and (opener.size + left) % 3 == 0 and opener.size % 3:
                    continue
                if closes:
                    break
            else:
                return used
            many = opener.size if char == "~" else 2 if opener.size >= 2 and left >= 2 else 1
            opener.size -= many
            opener.used += many
            used += many
            del openers[index + 1 if opener.size else index :]
        return used

    def _pass_sentence_ends(self, run: str, start: int) -> None:
        """Note where sentences end in text that is behind an open run."""
        ending = self._ending
        rest = run.lstrip(_CLOSERS) if ending else ""
        if rest and rest[0].isspace():
            self._pass_sentence_end(start + len(run) - len(rest) + 1)
        for match in SENTENCE_END.finditer(run):
            if not self._open:
                break
            self._pass_sentence_end(start + match.end())
        self._ending = (ending and not rest) or _ENDING.search(run, max(0, len(run) - 32)) is not None

    def _pass_sentence_end(self, at: int) -> None:
        kept: list[_Run] = []
        for opener in self._open or ():
            if opener.size >= 2 and opener.letter and opener.start < at <= opener.start + self._limit:
                opener.used += opener.size
                opener.size = 0
                if self._lost is None:
                    self._lost = {}
                self._lost[opener.char] = self._lost.get(opener.char, 0) + 1
            else:
                kept.append(opener)
        self._open = kept
        if not kept:
            self._run_queue()

    def _expire(self, at: int) -> None:
        """Runs that opened too long ago are text."""
        openers = self._open
        if openers and openers[0].start < at - self._limit:
            self._open = [opener for opener in openers if opener.start >= at - self._limit]
            self._run_queue()

    def _run_queue(self) -> None:
        """Let go all that stands before the first run that may still close."""
        queue = self._queue or []
        first = self._open[0] if self._open else None
        out = self._out
        for index, piece in enumerate(queue):
            if piece is first:
                self._queue = queue[index:]
                return
            if type(piece) is _Run:
                middle = piece.start + piece.size
                if piece.used:  # what is left of it is nobody's text
                    out.append(Removed(piece.start, middle + piece.used, "emphasis"))
                else:
                    out.append(Text(piece.char * piece.size, piece.start, middle))
            else:
                out.append(piece)  # type: ignore[arg-type]
        self._queue = None
        self._open = None


def _flanking(char: str, size: int, before: str, after: str) -> tuple[bool, bool]:
    """Whether a run between two characters may open, and may close."""
    blank_before = not before or before.isspace()
    blank_after = not after or after.isspace()
    mark_before = not blank_before and _is_mark(before)
    mark_after = not blank_after and _is_mark(after)
    left = not blank_after and (not mark_after or blank_before or mark_before)
    right = not blank_before and (not mark_before or blank_after or mark_after)
    if char == "_":
        return left and (not right or mark_before), right and (not left or mark_after)
    if size == 1 and before.isdigit() and after.isdigit():
        return False, False
    if char == "~" and size > 2:
        return False, False
    if size >= 2 and not left and not blank_after and before and _WIDE_LETTER.match(before):
        left = True
    return left, right


def _is_mark(char: str) -> bool:
    return not char.isalnum() and (char in PUNCTUATION or unicodedata.category(char)[0] in "PS")
