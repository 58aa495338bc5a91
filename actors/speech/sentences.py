"""Where sentences end, decided as early as it is certain.

The stage lets text pass as long as it holds no mark that could end a sentence, and holds it from such a mark
until what follows has decided: for `.` and its kin that is nearly always a blank and one more character;
`。！？` end a sentence at once unless a quotation or a bracket is open. Items that stand in one line, after a number
each, are sentences. Every decision is a function of the last `HEAD` characters of the
sentence before the mark and of a bounded stretch behind it, so it does not matter how the text was cut. No mark of
code ends a sentence, and code may begin one.

The question itself goes to `actors.speech.languages`, which knows what is particular to a language.
"""

from __future__ import annotations

import re
from typing import Final

from actors.speech.languages import CLOSERS, HEAD, Language, Verdict, detect, language_of, letter_in
from actors.speech.pieces import Break, Mood, Piece, Removed, Stray, Strength, Text

__all__ = ["ITEM_BEGIN", "Sentences"]

ITEM_BEGIN: Final = re.compile(r"\s*(?:(?:\d{1,3}|[a-y])(?:\.?\)?)?)?\Z|\s*(?:\d{1,3}|[a-y])(?:\.\)|[.)])\s")
"""What a block begins with that may be an enumeration in one line."""
_ITEM: Final = re.compile(r"\s*(?:(\d{1,3})|([a-y]))(\.\)|[.)])\s")
_MARK: Final = re.compile(r"[^\w\s]")
MAX_BLANKS: Final = 32


class Sentences:
    """Adds a `Break` at the end of each sentence; marks that come too late become `Stray`.

    Args:
        language: A code; None: from the script of the first letter.
        lines: A blank line ends a sentence. (Where a stage before has seen to that, line ends are blanks.)

    """

    __slots__ = (
        "_after",
        "_at",
        "_fresh",
        "_head",
        "_language",
        "_lines",
        "_next_item",
        "_queue",
        "_scan",
        "_tail",
    )

    def __init__(self, language: str | None = None, *, lines: bool = True) -> None:
        self._lines = lines
        self._language: Language | None = language_of(language) if language else None
        self._fresh = True  # at the beginning of a block, of which too little is known to say that it is no item
        self._next_item: re.Pattern[str] | None = None  # what would begin the next item of an enumeration
        self._head = ""  # the sentence so far, as passed on, the last `HEAD` characters of it
        self._queue: list[Piece] = []  # what is held since an undecided mark
        self._tail = ""  # the text of the queue
        self._scan = 0  # how far decisions have come in it
        self._at = 0  # source offset up to which text was passed on
        self._after = False  # a sentence ended right here, at once: closing marks come too late

    @property
    def urgent(self) -> bool:
        """The next character, whatever it is, may end a sentence."""
        return bool(self._tail) or self._after

    @property
    def ends_with_clause_marks(self) -> bool:
        """In Armenian and Greek a colon or semicolon may end a sentence."""
        return self._language is not None and self._language.has_clause_marks

    @property
    def language(self) -> Language | None:
        """What it is taken for; None as long as there was no letter."""
        return self._language

    def let_out(self, pending: str) -> str | None:
        """Forget `pending`, if the sentence ends with it, and give what stands before it in the sentence."""
        head = self._head
        if self._fresh or self._next_item is not None or not head.endswith(pending):
            return None
        self._head = ""
        return head[: len(head) - len(pending)]

    def go_on(self, language: Language | None, head: str, after: bool, fresh: bool) -> None:
        """Begin in the midst of a text: behind `head`, or right `after` a sentence, or (`fresh`) with a block."""
        self._language = language
        self._head = head
        self._after = after
        self._fresh = fresh
        self._scan = 0

    def feed(self, pieces: list[Piece]) -> list[Piece]:
        out: list[Piece] = []
        for piece in pieces:
            kind = type(piece)
            if kind is Text:
                self._take(piece, out)  # type: ignore[arg-type]
            elif kind is Break or (kind is Removed and piece.cut):  # type: ignore[union-attr]
                self._end_block(out)
                out.append(piece)
            elif self._queue:
                self._queue.append(piece)
            else:
                out.append(piece)
        return out

    def flush(self, final: bool = True) -> list[Piece]:
        out: list[Piece] = []
        if final:
            self._end_block(out)
        elif self._tail:
            language = self._language or language_of("en")
            if language.ends_on_pause(self._head, self._tail):
                self._release(out, len(self._tail))
                self._end(out)
                self._after = True
        return out

    def _take(self, piece: Text, out: list[Piece]) -> None:
        text = _word_for(piece.text) if piece.literal else piece.text
        if self._language is None and not piece.literal and (language := detect(text)) is not None:
            letter = letter_in(text)
            if letter and len(text) == piece.end - piece.start:  # what stands before it is in no language yet
                middle = piece.start + letter
                self._take(Text(text[:letter], piece.start, middle), out)
                piece, text = Text(text[letter:], middle, piece.end), text[letter:]
            self._language = language
        if not self._tail and not self._after:
            language = self._language or _DEFAULT
            if self._fresh:
                self._begin(self._head + text)
            if (
                self._next_item is None
                and (language.line_marks if self._lines else language.marks).search(text) is None
            ):
                self._head = text[-HEAD:] if len(text) >= HEAD else (self._head + text)[-HEAD:]
                self._at = piece.end
                out.append(piece)
                return
            self._scan = 0
        self._queue.append(piece)
        self._tail += text
        if self._after:
            self._strays(out)
        self._decide(out)

    def _begin(self, text: str) -> None:
        """Learn from the beginning of a block whether it is the first item of an enumeration."""
        item = _ITEM.match(text)
        if item is not None:
            self._next_item = _item(str(int(item[1]) + 1) if item[1] else chr(ord(item[2]) + 1), item[3])
            self._fresh = False
        elif ITEM_BEGIN.match(text) is None or len(text) > MAX_BLANKS:
            self._fresh = False

    def _strays(self, out: list[Piece]) -> None:
        """Give closing marks that directly follow a sentence which is already over."""
        tail, size = self._tail, 0
        while size < len(tail) and tail[size] in CLOSERS:
            size += 1
        if size:
            self._release(out, size, stray=True)
            self._head = ""
        self._after = not self._tail

    def _decide(self, out: list[Piece], final: bool = False) -> None:
        """Go through the marks in what is held; stop at the first that cannot be decided yet."""
        language = self._language or _DEFAULT
        while self._tail:
            tail = self._tail
            if self._fresh:
                self._begin(self._head + tail)
            mark = (language.line_marks if self._lines else language.marks).search(tail, self._scan)
            begin = len(tail) if mark is None else mark.start()
            item = self._item_before(begin)
            if item is not None:
                begin = item.start()
                if item[1] is None or final:
                    verdict, at = (Verdict.GO_ON, item.end()) if item[1] else (Verdict.END, begin)
                else:
                    verdict, at = Verdict.WAIT, begin
            elif mark is None:
                self._release(out, len(tail))
                break
            else:
                verdict, at = language.judge(self._head, tail, begin, final)
            if verdict is Verdict.WAIT:
                self._release(out, begin)
                self._scan = 0
                break
            if verdict is Verdict.GO_ON:
                self._scan = at
                continue
            self._release(out, min(at, self._mood_behind(begin)))
            self._end(out)
            if item is not None:
                self._fresh = True
            if verdict is Verdict.END_NOW and not final:
                self._after = True
                self._strays(out)

    def _mood_behind(self, mark: int) -> int:
        """Where in what is held the first stage tag behind a mark stands: the sentence ends before it."""
        at = 0
        for piece in self._queue:
            if type(piece) is Text:
                at += len(piece.text)
            elif type(piece) is Mood and at > mark:
                return at
        return at

    def _item_before(self, end: int) -> re.Match[str] | None:
        """The number of the next item, whole or (group 1) perhaps, if it stands before `end` in what is held."""
        if self._next_item is None:
            return None
        item = self._next_item.search(self._tail, self._scan)
        if item is not None and not item.start() and not self._head[-1:].isspace():
            item = self._next_item.search(self._tail, 1)
        return item if item is not None and item.start() < end else None

    def _end(self, out: list[Piece]) -> None:
        out.append(Break(self._at, Strength.SENTENCE))
        self._head = ""
        self._scan = 0
        self._next_item = None

    def _end_block(self, out: list[Piece]) -> None:
        self._decide(out, final=True)
        out.extend(self._queue)
        self._queue = []
        self._head = ""
        self._scan = 0
        self._after = False
        self._fresh = True
        self._next_item = None

    def _release(self, out: list[Piece], size: int, stray: bool = False) -> None:
        """Pass on the first `size` characters of what is held, with all that stands before and at their end."""
        if size:
            self._head = (self._head + self._tail[:size])[-HEAD:]
            self._tail = self._tail[size:]
        kind = Stray if stray else Text
        queue = self._queue
        index = 0
        for index, piece in enumerate(queue):
            if type(piece) is not Text:
                if not size and type(piece) is Mood and self._tail:
                    break
                out.append(piece)
                continue
            length = len(piece.text)
            if length <= size:
                size -= length
            elif size:
                middle = piece.start + size if length == piece.end - piece.start else piece.end
                queue[index] = Text(piece.text[size:], middle, piece.end)
                out.append(kind(piece.text[:size], piece.start, middle))
                self._at = middle
                break
            else:
                break
            out.append(Stray(piece.text, piece.start, piece.end) if stray else piece)
            self._at = piece.end
        else:
            index = len(queue)
        self._queue = queue[index:]


_DEFAULT: Final = language_of("en")


def _word_for(literal: str) -> str:
    """What stands for code where sentences are sought: a word of its length, without marks, that may begin one."""
    word = _MARK.sub("_", literal)
    return f"X{word[1:]}" if len(word) > 1 and not word[0].isdigit() else word


def _item(number: str, sign: str) -> re.Pattern[str]:
    """What begins the next item: its number with the sign that the first had, whole or (group 1) cut off."""
    begun = "|".join(re.escape(sign[:size]) for size in range(len(sign), 0, -1))
    return re.compile(rf"(?<!\S){number}(?:{re.escape(sign)}(?=\s)|((?:{begun})?)\Z)")
