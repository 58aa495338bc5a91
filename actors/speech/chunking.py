"""Sentences become chunks: short ones merge, long ones are cut, and every character is accounted for.

The stage keeps the pieces of one pending chunk. A `Break` sends it off if it is wide enough for a voice (or
the first of the turn, which should be heard at once); text beyond `max_chars` sends off what stands before
the last clause, else the last word, never inside a grapheme or a number that would fit. What was removed
within a chunk belongs to it, what lies between chunks waits for `take_removed`, with adjacent spans of one
rule as one. Nothing leaves that a voice could not say.
"""

from __future__ import annotations

import re
from typing import Final

import regex

from actors.speech.pieces import Break, Mood, Piece, Removed, Stray, Strength, Text
from protocol.speech import RemovedSpan, SpeechChunk

__all__ = ["BLANK", "CLAUSES", "Chunking", "first_clause", "speakable", "tidy", "width"]

BLANK: Final = "blank"
UNSPEAKABLE: Final = "unspeakable"
LATE: Final = "late mark"
MAX_PIECES: Final = 512  # of one pending chunk: removals that alternate without text between them end it
LITTLE: Final = 16  # how much pending text may leave the stage to go on without it
MAX_MUTE: Final = 240  # how much without anything speakable waits for something that is

_SPEAKABLE: Final = regex.compile(r"[\p{L}\p{N}\p{Sc}\p{Sm}]")
_PLAIN_WORD: Final = re.compile(r"[^\W_]")
_WIDE: Final = re.compile(
    "[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6"
    "\U00020000-\U0003fffd]"
)
CLAUSES: Final = ",;:—–，、；：،؛"
_CLAUSE: Final = re.compile(r"[,;:–،؛](?=\s)|(?<!\d)[，：]|[、；—]")
_AWAITS_BLANK: Final = ",;:–،؛"
_BLANK_RUN: Final = re.compile(r"\s{2,}|[^\S ]")
_GRAPHEME: Final = regex.compile(r"\X")
_CLOSED: Final = ".!?…:;,，、；：。！？।॥።؟۔։,—–-"
_GAP_BEFORE_MARK: Final = re.compile(r" +(?=[,.;:!?](?:\s|\Z))")
_DASHES: Final = "-–—•·"
_LEADING_DASH: Final = re.compile(r"\A[-–—•·]+\s+")
_JOINERS: Final = (  # script, comma, full stop, blank between
    (re.compile(r"[\u3040-\u30ff]"), "、", "。", ""),
    (re.compile(r"[\u4e00-\u9fff]"), "，", "。", ""),
    (re.compile(r"[\u0600-\u06ff]"), "،", ".", " "),
    (re.compile(r"[\u0900-\u097f]"), ",", "।", " "),
    (re.compile(r"[\u0530-\u058f]"), ",", "։", " "),
    (re.compile(r"[\u1200-\u137f]"), "፣", "።", " "),
)


def width(text: str) -> int:
    """Columns: wide characters (CJK) count two."""
    return len(text) + len(_WIDE.findall(text)) if not text.isascii() else len(text)


def speakable(text: str) -> bool:
    """Whether a voice has anything to say: a letter, a digit, or a sign that has a name."""
    return _PLAIN_WORD.search(text) is not None or _SPEAKABLE.search(text) is not None


def tidy(text: str, *, gaps: bool = False) -> str:
    """Text as it is said: single blanks, none before a mark (where something was removed), no dash at its start."""
    text = text.strip()
    if ("  " in text or not text.isprintable()) and _BLANK_RUN.search(text) is not None:
        text = " ".join(text.split())
    if gaps or " ," in text:
        text = _GAP_BEFORE_MARK.sub("", text)
    if text[0] in _DASHES:
        text = _LEADING_DASH.sub("", text, count=1)
    return text


def first_clause(text: str, first_min: int, max_chars: int | None) -> int:
    """How much of a turn's first text may leave at a clause that is wide enough; 0: nothing yet."""
    for clause in _CLAUSE.finditer(text):
        at = clause.end()
        if max_chars is not None and at > max_chars:
            break
        head = text[:at]
        if width(head) >= first_min and speakable(head):
            return at + 1 if clause[0] in _AWAITS_BLANK else at
    return 0


class Chunking:
    """Gathers pieces into chunks; the only stage that makes `SpeechChunk`."""

    __slots__ = (
        "_chars",
        "_exact",
        "_first",
        "_first_min",
        "_gap",
        "_gaps",
        "_joins",
        "_max",
        "_min",
        "_mood",
        "_next_mood",
        "_over",
        "_pieces",
        "_said",
    )

    def __init__(
        self,
        *,
        min_chars: int = 10,
        first_min_chars: int | None = 5,
        max_chars: int | None = 240,
        exact: bool = False,
    ) -> None:
        self._min = min_chars
        self._first_min = first_min_chars
        self._max = max_chars
        self._exact = exact  # the text of a chunk is its span: nothing is joined, nothing tidied
        self._pieces: list[Text | Removed] = []
        self._chars = 0  # of the pending text
        self._said = False  # it holds something speakable
        self._first = True  # no chunk has left yet
        self._mood: str | None = None
        self._next_mood: str | None = None  # a tag was seen; it waits for the text that it belongs to
        self._joins: list[tuple[int, Strength]] = []  # before which piece something ended, and what
        self._over = False  # the pending text is a whole sentence, too short to go alone
        self._gaps: list[RemovedSpan] = []
        self._gap: RemovedSpan | None = None  # the last span between chunks: it may still grow

    @property
    def room(self) -> int:
        """How much more text may come before any of it could be too much for one chunk."""
        return 1 << 30 if self._max is None else self._max - self._chars

    @property
    def seeks_clause(self) -> bool:
        """The first chunk of the turn may still leave at a clause."""
        return self._first and self._first_min is not None

    @property
    def at_clause(self) -> bool:
        """Looking for a first clause, and what is pending ends in what may be one."""
        return self.seeks_clause and bool(self._pieces) and self._last_char() in CLAUSES

    def feed(self, pieces: list[Piece]) -> list[SpeechChunk]:
        out: list[SpeechChunk] = []
        for piece in pieces:
            kind = type(piece)
            if kind is Text:
                self._take(piece, out)  # type: ignore[arg-type]
            elif kind is Break:
                self._end(piece.strength, out)  # type: ignore[union-attr]
            elif kind is Removed:
                self._remove(piece, out)  # type: ignore[arg-type]
            elif kind is Mood:
                self._next_mood = piece.name  # type: ignore[union-attr]
            else:
                self._take_stray(piece, out)  # type: ignore[arg-type]
        return out

    def flush(self, final: bool = True, words: bool = True) -> list[SpeechChunk]:
        """Send off what is pending; not final: whole sentences and (`words`) what stands before the last word."""
        out: list[SpeechChunk] = []
        if final:
            self._adopt_mood()
            self._close(out)
            self._mood = self._next_mood = None
            self._over = False
            if self._gap is not None:
                self._gaps.append(self._gap)
                self._gap = None
        elif self._over and self._said:
            self._emit(out)
            self._mood = None
            self._over = False
        elif words and self._said:
            self._emit_words(out)
        return out

    def take_removed(self) -> list[RemovedSpan]:
        """The spans between chunks that are complete; they are forgotten here."""
        gaps = self._gaps
        if gaps:
            self._gaps = []
        return gaps

    # Plain text that goes past the stage.

    def plain_pending(self) -> str | None:
        """What is pending, if that is a little text in one piece and nothing else is remembered; else None."""
        if self._over or self._joins or self._mood is not None or self._next_mood is not None:
            return None
        pieces = self._pieces
        if not pieces:
            return ""
        text = pieces[0]
        if len(pieces) > 1 or type(text) is not Text or len(text.text) != text.end - text.start:
            return None
        return text.text if len(text.text) <= LITTLE else None

    def let_out(self) -> tuple[bool, bool, RemovedSpan | None, list[RemovedSpan]]:
        """Forget all that `go_on` is told again."""
        first, gap, gaps = self._first, self._gap, self._gaps
        self._reset()
        self._gap, self._gaps = None, []
        return first, False, gap, gaps

    def go_on(self, pending: Text, first: bool, gap: RemovedSpan | None, gaps: list[RemovedSpan]) -> None:
        """Begin with a plain text pending, or none."""
        self._first, self._gap, self._gaps = first, gap, gaps
        if pending.text:
            self._pieces = [pending]
            self._chars = len(pending.text)
            self._said = speakable(pending.text)

    # What comes in.

    def _take(self, piece: Text, out: list[SpeechChunk]) -> None:
        text = piece.text
        if not self._pieces or self._over or self._next_mood is not None:
            body = text.lstrip()
            if not body:
                self._blank(piece)
                return
            if self._pieces and len(body) < len(text):
                verbatim = len(text) == piece.end - piece.start
                middle = piece.start + len(text) - len(body) if verbatim else piece.start
                self._blank(Text(text[: len(text) - len(body)], piece.start, middle))
                piece, text = Text(body, middle, piece.end), body
            mood = self._next_mood or (None if self._over else self._mood)
            if mood != self._mood:
                if self._said:
                    self._emit(out)
                self._mood = mood
            self._next_mood = None
            self._over = False
            if not self._pieces and len(body) < len(text):
                middle = piece.start + len(text) - len(body) if len(text) == piece.end - piece.start else piece.end
                if middle > piece.start:
                    self._add_gap(piece.start, middle, BLANK)
                piece, text = Text(body, middle, piece.end), body
        self._pieces.append(piece)
        self._chars += len(text)
        if not self._said and speakable(text):
            self._said = True
        if self._first and self._first_min is not None:
            self._leave_early(out)
        if self._max is not None:
            while self._chars > self._max - 2 * len(self._joins) and self._cut(out):
                pass
        elif not self._said and self._chars > MAX_MUTE:
            self._dissolve()
        if len(self._pieces) > MAX_PIECES:
            self._close(out)

    def _blank(self, piece: Text) -> None:
        if self._pieces:
            self._pieces.append(piece)
            self._chars += len(piece.text)
            if self._max is not None and self._chars > self._max + MAX_MUTE and self._over:
                self._chars = self._max + MAX_MUTE
                self._pieces[-2:] = _glued(self._pieces[-2:])
        elif piece.end > piece.start:
            self._add_gap(piece.start, piece.end, BLANK)

    def _take_stray(self, piece: Stray, out: list[SpeechChunk]) -> None:
        if self._pieces:
            self._pieces.append(Text(*piece))
            self._chars += len(piece.text)
        elif self._exact:
            self._take(Text(*piece), out)
        else:
            self._add_gap(piece.start, piece.end, LATE)

    def _remove(self, piece: Removed, out: list[SpeechChunk]) -> None:
        if piece.cut:
            self._adopt_mood()
            self._close(out)
            self._mood = None
            self._over = False
        if not self._pieces:
            self._add_gap(piece.start, piece.end, piece.rule)
            return
        last = self._pieces[-1]
        if type(last) is Removed and last.rule == piece.rule and last.end == piece.start:
            self._pieces[-1] = Removed(last.start, piece.end, piece.rule)
            return
        self._pieces.append(piece)
        if len(self._pieces) > MAX_PIECES:
            self._close(out)

    def _end(self, strength: Strength, out: list[SpeechChunk]) -> None:
        if not self._pieces:
            if self._next_mood is None:
                self._mood = None
            return
        self._adopt_mood()
        if not self._said:
            if self._exact:
                return
            if strength is not Strength.SENTENCE:
                self._dissolve()
            return
        if self._first or self._min == 0 or width(self._raw().strip()) >= self._min:
            self._emit(out)
            self._mood = None
            return
        self._over = True
        if strength is not Strength.SENTENCE:
            self._joins.append((len(self._pieces), strength))

    def _adopt_mood(self) -> None:
        """A tag after which its block ended belongs to the sentence before it, if that is still here."""
        if self._next_mood is not None and self._said and not self._over:
            self._mood = self._next_mood
            self._next_mood = None

    # What goes out.

    def _raw(self) -> str:
        return "".join([piece.text for piece in self._pieces if type(piece) is Text])

    def _last_char(self) -> str:
        for piece in reversed(self._pieces):
            if type(piece) is Text and piece.text:
                return piece.text[-1]
        return ""

    def _close(self, out: list[SpeechChunk]) -> None:
        if self._said:
            self._emit(out)
        else:
            self._dissolve()

    def _emit(self, out: list[SpeechChunk]) -> None:
        """Send off all that is pending."""
        pieces = self._pieces
        if len(pieces) == 1:
            only = pieces[0]
            text = only.text  # type: ignore[union-attr]
            start, end = only.start, only.end
            removed: tuple[RemovedSpan, ...] = ()
            size = 1
        else:
            size = len(pieces)
            while type(pieces[size - 1]) is Removed:
                size -= 1
            start, end = pieces[0].start, pieces[size - 1].end
            removed = tuple(RemovedSpan(p.start, p.end, p.rule) for p in pieces[:size] if type(p) is Removed)
            text = self._joined(size) if self._joins and not self._exact else self._raw()
        if self._exact:
            text = text.strip()
        else:
            text = tidy(text, gaps=bool(removed))
        if self._gap is not None:
            self._gaps.append(self._gap)
            self._gap = None
        out.append(SpeechChunk(text, start, end, self._mood, removed))
        self._first = False
        self._reset()
        for piece in pieces[size:]:
            self._add_gap(piece.start, piece.end, piece.rule)  # type: ignore[union-attr]

    def _joined(self, size: int) -> str:
        """The text of several blocks, with a comma or full stop where one ended without any mark."""
        text = ""
        begin = 0
        for at, strength in [*self._joins, (size, Strength.SENTENCE)]:
            block = "".join([p.text for p in self._pieces[begin:at] if type(p) is Text]).strip()
            begin = at
            if not block:
                continue
            text = f"{text}{block}" if not text else text + block
            if at >= size:
                break
            comma, stop, blank = _joiners(block)
            if strength is not Strength.SENTENCE and block[-1] not in _CLOSED:
                text += comma if strength is Strength.ITEM else stop
            text += blank
        return text

    def _dissolve(self) -> None:
        """Nothing in what is pending can be said: all of it is removed."""
        pieces = self._pieces
        self._reset()
        for piece in pieces:
            if piece.end > piece.start:
                self._add_gap(piece.start, piece.end, piece.rule if type(piece) is Removed else UNSPEAKABLE)

    def _reset(self) -> None:
        self._pieces = []
        self._chars = 0
        self._said = False
        if self._joins:
            self._joins = []

    def _add_gap(self, start: int, end: int, rule: str) -> None:
        gap = self._gap
        if gap is not None:
            if gap.rule == rule and gap.end == start:
                self._gap = RemovedSpan(gap.start, end, rule)
                return
            self._gaps.append(gap)
        self._gap = RemovedSpan(start, end, rule)

    def _leave_early(self, out: list[SpeechChunk]) -> None:
        at = first_clause(self._raw(), self._first_min or 0, self._max)
        if at:
            self._split(at, out)

    def _cut(self, out: list[SpeechChunk]) -> bool:
        """Send off the first part of a text that is too long; False if only blanks are too much."""
        limit = (self._max or 0) - 2 * len(self._joins)
        text = self._raw()
        if len(text.rstrip()) <= limit and len(text) <= limit + MAX_MUTE:
            return False
        if not self._said:
            self._dissolve()
            return False
        self._split(_best_cut(text[: limit + 1], limit, self._min), out)
        return True

    def _emit_words(self, out: list[SpeechChunk]) -> None:
        text = self._raw()
        at = len(text)
        while True:
            at = max(text.rfind(" ", 0, at), _last_clause(text, at))
            if at <= 0:
                return
            head = text[:at].rstrip()
            if not head or not speakable(head):
                return
            if not head[-1].isdigit() and head[-1] != ".":
                break
        self._split(at, out)

    def _split(self, at: int, out: list[SpeechChunk]) -> None:
        """Send off the first `at` characters, keep the rest pending."""
        pieces, joins, mood, over = self._pieces, self._joins, self._mood, self._over
        index, rest = self._find(at)
        self._pieces = pieces[:index]
        if rest is not None:
            first, second = rest
            self._pieces.append(first)
            pieces = [second, *pieces[index + 1 :]]
        else:
            pieces = pieces[index:]
        self._joins = [join for join in joins if join[0] < len(self._pieces)]
        later = [join for join in joins if join[0] >= len(self._pieces)]
        self._said = speakable(self._raw())
        self._close(out)
        self._mood = mood
        self._over = False
        for number, piece in enumerate(pieces, index):
            self._joins += [(len(self._pieces), join[1]) for join in later if join[0] == number and self._pieces]
            if type(piece) is Text:
                self._keep(piece)
            elif self._pieces:
                self._pieces.append(piece)
            else:
                self._add_gap(piece.start, piece.end, piece.rule)  # type: ignore[union-attr]
        self._said = bool(self._pieces) and speakable(self._raw())
        self._over = over and self._said

    def _find(self, at: int) -> tuple[int, tuple[Text, Text] | None]:
        """The piece that holds character `at` of the pending text, and its two parts if it is in the middle."""
        for index, piece in enumerate(self._pieces):
            if type(piece) is not Text:
                continue
            text = piece.text
            if at == 0:
                return index, None
            if len(text) > at:
                middle = piece.start + at if len(text) == piece.end - piece.start else piece.end
                return index, (Text(text[:at], piece.start, middle), Text(text[at:], middle, piece.end))
            at -= len(text)
        return len(self._pieces), None

    def _keep(self, piece: Text) -> None:
        """Put text back, as the first of a chunk without the blanks before it."""
        text = piece.text
        if not self._pieces:
            body = text.lstrip()
            middle = piece.end
            if body and len(text) == piece.end - piece.start:
                middle = piece.start + len(text) - len(body)
            if middle > piece.start:
                self._add_gap(piece.start, middle, BLANK)
            if not body:
                return
            piece = Text(body, middle, piece.end)
        self._pieces.append(piece)
        self._chars += len(piece.text)


def _glued(pieces: list[Text | Removed]) -> list[Text | Removed]:
    """Two runs of blanks as one, so that blanks without end take no room."""
    first, second = pieces
    if type(first) is Text and type(second) is Text and first.end == second.start and not first.text.strip():
        return [Text(" ", first.start, second.end)]
    return pieces


def _joiners(text: str) -> tuple[str, str, str]:
    for script, comma, stop, blank in _JOINERS:
        if script.search(text):
            return comma, stop, blank
    return ",", ".", " "


def _last_clause(text: str, end: int) -> int:
    best = -1
    for clause in _CLAUSE.finditer(text, 0, end):
        if clause.end() < end:
            best = clause.end()
    return best


def _best_cut(text: str, limit: int, min_chars: int) -> int:
    """Where to cut a text of `limit` + 1 characters: after a clause, else a word, else a grapheme."""
    best = 0
    for clause in _CLAUSE.finditer(text):
        head = text[: clause.end()]
        if clause.end() <= limit and speakable(head) and width(head) >= min_chars:
            best = clause.end()
    if best:
        return _with_blanks(text, best)
    edges = [0]
    for grapheme in _GRAPHEME.finditer(text):
        edges.append(grapheme.end())
    edges = [edge for edge in edges if 0 < edge <= limit]
    for edge in reversed(edges):
        if _between_words(text, edge) and speakable(text[:edge]):
            return _with_blanks(text, edge)
    for edge in reversed(edges):
        if not _in_number(text, edge):
            return edge
    return edges[-1] if edges else limit


def _between_words(text: str, at: int) -> bool:
    before, after = text[at - 1], text[at : at + 1]
    if after.isspace() or before.isspace():
        return True
    if after in _NO_START or before in _NO_END:
        return False
    return bool(_WIDE.match(before) or _WIDE.match(after)) and not _in_number(text, at)


_NO_START: Final = frozenset("，。！？；：、）」』】》〉”’…,.;:!?)]}%ー々っゃゅょぁぃぅぇぉッャュョァィゥェォ")
_NO_END: Final = frozenset("（「『【《〈“‘([{$€£¥")


def _in_number(text: str, at: int) -> bool:
    return (text[at - 1].isdigit() and _NUMBER_GOES_ON.match(text, at) is not None) or (
        at >= 2 and text[at - 1] in ".,:'’" and text[at - 2].isdigit() and text[at : at + 1].isdigit()
    )


_NUMBER_GOES_ON: Final = re.compile(r"\d|[.,:'’]\d|[.,:'’]\Z|%")


def _with_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at
