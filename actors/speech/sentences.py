"""Where sentences end, decided as early as it is certain.

The stage lets text pass as long as it holds no mark that could end a sentence, and holds it from such a mark
until what follows has decided: for `.` and its kin that is nearly always a blank and one more character;
`。！？` end a sentence at once unless a quotation or a bracket is open. Every decision is a function of the
text before the mark and of a bounded stretch behind it, so it does not matter how the text was cut.

The question itself goes to `sentencex`, with the sentence so far and what is known of the next one; before
and after it the corrections of `actors.speech.languages` are asked, which know what it gets wrong.
"""

from __future__ import annotations

from actors.speech.languages import CLOSERS, HEAD, Language, Verdict, detect, language_of
from actors.speech.pieces import Break, Mood, Piece, Removed, Stray, Strength, Text

__all__ = ["Sentences"]


class Sentences:
    """Adds a `Break` at the end of each sentence; marks that come too late become `Stray`."""

    __slots__ = ("_after", "_at", "_head", "_language", "_lines", "_queue", "_scan", "_tail")

    def __init__(self, language: str | None = None, *, lines: bool = True) -> None:
        """Args:
        language: A code; None: from the script of the first letter.
        lines: A blank line ends a sentence. (Where a stage before has seen to that, line ends are blanks.)

        """  # noqa: D205, D400, D415
        self._lines = lines
        self._language: Language | None = language_of(language) if language else None
        self._head = ""  # the sentence so far, as passed on
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
        if not head.endswith(pending):
            return None
        self._head = ""
        return head[: len(head) - len(pending)]

    def go_on(self, language: Language | None, head: str, after: bool) -> None:
        """Begin in the midst of a text: behind `head`, or right `after` a sentence."""
        self._language = language
        self._head = head
        self._after = after

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
        text = piece.text
        if self._language is None:
            code = detect(text)
            if code is not None:
                self._language = language_of(code)
        language = self._language or language_of("en")
        if not self._tail and not self._after:
            if (language.line_marks if self._lines else language.marks).search(text) is None:
                self._head = text[-HEAD:] if len(text) >= HEAD else (self._head + text)[-HEAD:]
                out.append(piece)
                return
            self._scan = 0
        self._queue.append(piece)
        self._tail += text
        if self._after:
            self._strays(out)
        self._decide(language, out)

    def _strays(self, out: list[Piece]) -> None:
        """Give closing marks that directly follow a sentence which is already over."""
        tail, size = self._tail, 0
        while size < len(tail) and tail[size] in CLOSERS:
            size += 1
        if size:
            self._release(out, size, stray=True)
            self._head = ""
        self._after = not self._tail

    def _decide(self, language: Language, out: list[Piece]) -> None:
        """Go through the marks in what is held; stop at the first that cannot be decided yet."""
        while self._tail:
            mark = (language.line_marks if self._lines else language.marks).search(self._tail, self._scan)
            if mark is None:
                self._release(out, len(self._tail))
                break
            verdict, at = language.judge(self._head, self._tail, mark.start())
            if verdict is Verdict.WAIT:
                self._release(out, mark.start())
                self._scan = 0
                break
            if verdict is Verdict.GO_ON:
                self._scan = at
                continue
            self._release(out, at)
            self._end(out)
            if verdict is Verdict.END_NOW:
                self._after = True
                self._strays(out)

    def _end(self, out: list[Piece]) -> None:
        out.append(Break(self._at, Strength.SENTENCE))
        self._head = ""
        self._scan = 0

    def _end_block(self, out: list[Piece]) -> None:
        if self._tail:
            language = self._language or language_of("en")
            while True:
                mark = (language.line_marks if self._lines else language.marks).search(self._tail, self._scan)
                if mark is None:
                    break
                verdict, at = language.judge(self._head, self._tail, mark.start(), final=True)
                if verdict is Verdict.GO_ON:
                    self._scan = at
                    continue
                self._release(out, at)
                self._end(out)
            self._release(out, len(self._tail))
        out.extend(self._queue)
        self._queue = []
        self._head = ""
        self._scan = 0
        self._after = False

    def _release(self, out: list[Piece], size: int, stray: bool = False) -> None:
        """Pass on the first `size` characters of what is held, with all that stands before and at their end."""
        if size:
            self._head = (self._head + self._tail[:size])[-HEAD:]
            self._tail = self._tail[size:]
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
                piece = Text(piece.text[:size], piece.start, middle)  # noqa: PLW2901
                out.append(Stray(*piece) if stray else piece)
                self._at = middle
                break
            else:
                break
            out.append(Stray(*piece) if stray else piece)
            self._at = piece.end
        else:
            index = len(queue)
        self._queue = queue[index:]
