"""Sentences become chunks: short ones merge, long ones are cut, and every character is accounted for.

The stage keeps the pieces of one pending chunk. A `Break` sends it off if it is wide enough for a voice (or
the first of the turn, which should be heard at once); text beyond `max_chars` sends off what stands before
the cut of `actors.speech.cuts`. What was removed within a chunk belongs to it, what lies between chunks waits
for `take_removed`, with adjacent spans of one rule as one. Nothing leaves that a voice could not say.

Every decision is made on the characters that are pending, counted from their first one, and never on how
they were divided among pieces.
"""

from __future__ import annotations

from typing import Final

from actors.speech.cuts import CLAUSES, MAX_MUTE, best_cut, first_clause, first_speakable, pause_cut, width
from actors.speech.pieces import Break, Mood, Piece, Removed, Stray, Strength, Text
from actors.speech.wording import ended, put_together, tidy
from protocol.speech import RemovedSpan, SpeechChunk

__all__ = ["BLANK", "Chunking"]

BLANK: Final = "blank"
UNSPEAKABLE: Final = "unspeakable"
LATE: Final = "late mark"
MAX_HOLES: Final = 128  # removals within one pending chunk: more of them, without much text between, end it
LITTLE: Final = 16  # how much pending text may leave the stage to go on without it
SMALL: Final = 32  # pieces of text shorter than this are put together, so that few are kept


class Chunking:
    """Gathers pieces into chunks; the only stage that makes `SpeechChunk`."""

    __slots__ = (
        "_chars",
        "_ended",
        "_exact",
        "_first",
        "_first_min",
        "_gap",
        "_gaps",
        "_holes",
        "_joins",
        "_max",
        "_min",
        "_mood",
        "_next_mood",
        "_over",
        "_pieces",
        "_said_at",
        "_sought",
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
        self._pieces: list[Text | Removed] = []  # the first is text that does not begin with a blank
        self._chars = 0  # of the pending text
        self._holes = 0  # removals in it
        self._said_at = -1  # where in it the first speakable character stands, or -1
        self._sought = 0  # up to where it holds no clause that the first chunk could leave at
        self._first = True  # no chunk has left yet
        self._mood: str | None = None
        self._next_mood: str | None = None  # a tag was seen; it waits for the text that it belongs to
        self._joins: list[tuple[int, Strength]] = []  # before which piece something ended, and what
        self._over = False  # the pending text is a whole sentence, too short to go alone
        self._ended = 0  # how much of it is whole sentences that are too short
        self._gaps: list[RemovedSpan] = []
        self._gap: RemovedSpan | None = None  # the last span between chunks: it may still grow

    @property
    def room(self) -> int:
        """How much more text may come before any of it could be too much for one chunk."""
        return 1 << 30 if self._max is None else self._limit() - self._chars

    @property
    def seeks_clause(self) -> bool:
        """The first chunk of the turn may still leave at a clause."""
        return self._first and self._first_min is not None

    @property
    def at_clause(self) -> bool:
        """Looking for a first clause, and what is pending ends in what may be one."""
        return self.seeks_clause and bool(self._pieces) and self._last_char() in CLAUSES

    @property
    def between_moods(self) -> bool:
        """What is pending leaves when text follows, which is of another mood."""
        return self._next_mood is not None or (self._over and self._mood is not None)

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

    def flush(self, final: bool = True, *, words: bool = True, whole: bool = False) -> list[SpeechChunk]:
        """Send off what is pending; not final: whole sentences and (`words`) what stands before the last word.

        whole: That word is certainly over.
        """
        out: list[SpeechChunk] = []
        if final:
            self._adopt_mood()
            self._close(out)
            self._mood = self._next_mood = None
            self._over = False
            if self._gap is not None:
                self._gaps.append(self._gap)
                self._gap = None
        elif self._over:
            self._emit(out)
            self._mood = None
            self._over = False
        elif words and self._said_at >= 0:
            at = self._outside_replacement(min(self._chars, max(self._ended, pause_cut(self._raw() + " " * whole))))
            if at:
                self._split(at, out)
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
            self._keep(pending)

    # What comes in.

    def _take(self, piece: Text, out: list[SpeechChunk]) -> None:
        if not self._pieces or self._over or self._next_mood is not None:
            blank, body = _without_lead(piece)
            if blank is not None:
                self._blank(blank)
                self._settle(out)
            if body is None:
                return
            piece = body
            mood = self._next_mood or (None if self._over else self._mood)
            if mood != self._mood:
                if self._said_at >= 0:
                    self._emit(out)
                self._mood = mood
            self._next_mood = None
            self._over = False
        self._keep(piece)
        self._settle(out)

    def _settle(self, out: list[SpeechChunk]) -> None:
        """Send off what can leave at a clause, and what is too long for one chunk."""
        while self._pieces:
            if self._first and self._first_min is not None and self._leave_early(self._first_min, out):
                continue
            bound = MAX_MUTE if self._max is None else self._limit()
            if self._chars <= bound:
                return
            if self._joins and self._offset(self._joins[0][0]) >= bound:
                self._split(self._offset(self._joins[0][0]), out)  # no room for the marks between the blocks
            elif not 0 <= self._said_at < bound:
                self._split(bound, out)
            elif self._max is None or not self._cut(bound, out):
                return

    def _blank(self, piece: Text) -> None:
        if self._pieces:
            self._keep(piece)
        elif piece.end > piece.start:
            self._add_gap(piece.start, piece.end, BLANK)

    def _take_stray(self, piece: Stray, out: list[SpeechChunk]) -> None:
        if self._exact and not self._pieces:
            self._take(Text(piece.text, piece.start, piece.end), out)
        elif not self._pieces:
            self._add_gap(piece.start, piece.end, LATE)
        else:
            text = piece.text
            size = len(text) if self._exact or self._max is None else max(0, self._limit() - self._chars)
            middle = min(piece.end, piece.start + size)
            if size:
                self._keep(Text(text[:size], piece.start, middle))
                self._settle(out)
            if middle < piece.end:
                self._remove(Removed(middle, piece.end, LATE), out)

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
        self._holes += 1
        if self._holes > MAX_HOLES:
            self._close(out)

    def _end(self, strength: Strength, out: list[SpeechChunk]) -> None:
        if not self._pieces:
            if self._next_mood is None:
                self._mood = None
            return
        self._adopt_mood()
        if self._said_at < 0:
            if strength is not Strength.SENTENCE and not self._exact:
                self._dissolve()
            return
        if self._over:
            if strength is not Strength.SENTENCE:
                self._join(strength)
        elif self._first or self._min == 0 or width(self._raw().strip()) >= self._min:
            self._emit(out)
            self._mood = None
        else:
            self._over = True
            self._ended = self._chars
            if strength is not Strength.SENTENCE:
                self._join(strength)

    def _join(self, strength: Strength) -> None:
        """Note that a block ended here; where several did, it is the strongest that is heard."""
        at = len(self._pieces)
        if self._joins:
            last = self._joins[-1][0]
            if all(piece.text.isspace() for piece in self._pieces[last:] if type(piece) is Text):
                at, strength = last, max(strength, self._joins.pop()[1])
        self._joins.append((at, strength))

    def _adopt_mood(self) -> None:
        """A tag after which its block ended belongs to the sentence before it, if that is still here."""
        if self._next_mood is not None and self._said_at >= 0 and not self._over:
            self._mood = self._next_mood
            self._next_mood = None

    # What is pending.

    def _keep(self, piece: Text) -> None:
        """Add text to what is pending."""
        text, pieces = piece.text, self._pieces
        if self._said_at < 0:
            at = first_speakable(text)
            if at >= 0:
                self._said_at = self._chars + at
        self._chars += len(text)
        if pieces and len(text) < SMALL and not (self._joins and self._joins[-1][0] == len(pieces)):
            last = pieces[-1]
            if (
                type(last) is Text
                and last.end == piece.start
                and len(last.text) < SMALL
                and len(last.text) == last.end - last.start
                and len(text) == piece.end - piece.start
            ):
                pieces[-1] = Text(last.text + text, last.start, piece.end)
                return
        pieces.append(piece)

    def _raw(self, begin: int = 0, end: int | None = None) -> str:
        return "".join([piece.text for piece in self._pieces[begin:end] if type(piece) is Text])

    def _last_char(self) -> str:
        for piece in reversed(self._pieces):
            if type(piece) is Text and piece.text:
                return piece.text[-1]
        return ""

    def _limit(self) -> int:
        """How long the pending text may become, with the marks that are put between its blocks."""
        return (self._max or 0) - 2 * len(self._joins)

    def _reset(self) -> None:
        self._pieces = []
        self._chars = self._holes = self._sought = self._ended = 0
        self._said_at = -1
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

    # What goes out.

    def _close(self, out: list[SpeechChunk]) -> None:
        if self._said_at >= 0:
            self._emit(out)
        else:
            self._dissolve()

    def _emit(self, out: list[SpeechChunk]) -> None:
        """Send off all that is pending."""
        pieces = self._pieces
        size = len(pieces)
        while type(pieces[size - 1]) is Removed:
            size -= 1
        removed: tuple[RemovedSpan, ...] = ()
        if size > 1:
            removed = tuple([RemovedSpan(p.start, p.end, p.rule) for p in pieces[:size] if type(p) is Removed])
        if self._exact:
            text = self._raw().strip()
        else:
            text = tidy(self._joined(size) if self._joins else put_together(pieces))
        if self._gap is not None:
            self._gaps.append(self._gap)
            self._gap = None
        out.append(SpeechChunk(text, pieces[0].start, pieces[size - 1].end, self._mood, removed))
        self._first = False
        self._reset()
        for piece in pieces[size:]:
            self._add_gap(piece.start, piece.end, piece.rule)  # type: ignore[union-attr]

    def _joined(self, size: int) -> str:
        """The text of several blocks, with a comma or full stop where one ended without any mark."""
        text, begin = "", 0
        for at, strength in self._joins:
            block = put_together(self._pieces[begin:at]).strip()
            begin = at
            text += ended(block, strength) if block and at < size else block
        return text + put_together(self._pieces[begin:]).lstrip()

    def _dissolve(self) -> None:
        """Nothing in what is pending can be said: all of it is removed."""
        pieces = self._pieces
        self._reset()
        for piece in pieces:
            if piece.end > piece.start:
                self._add_gap(piece.start, piece.end, piece.rule if type(piece) is Removed else UNSPEAKABLE)

    def _leave_early(self, least: int, out: list[SpeechChunk]) -> bool:
        """Send off the first clause of the turn, if it is there and wide enough."""
        if self._sought >= (MAX_MUTE if self._max is None else self._max):
            return False
        text = self._raw()
        at = first_clause(text, least, self._max, self._sought)
        if at:
            self._split(at, out)
            return True
        self._sought = max(0, len(text) - 1)  # the last character may need the next one to be a clause's end
        return False

    def _cut(self, limit: int, out: list[SpeechChunk]) -> bool:
        """Send off the first part of a text that is too long; False if it only ends in blanks too many."""
        text = self._raw()
        if len(text) <= limit + MAX_MUTE and not text[limit:].strip():
            return False
        self._split(self._outside_replacement(best_cut(text[: limit + 1], limit, self._min)), out)
        return True

    def _offset(self, index: int) -> int:
        """Where in the pending text the piece of that index begins."""
        return sum(len(piece.text) for piece in self._pieces[:index] if type(piece) is Text)

    def _outside_replacement(self, at: int) -> int:
        """A cut within text that stands for other text (a name for an emoji) goes before it, if it can."""
        begin = 0
        for piece in self._pieces:
            if type(piece) is Text:
                end = begin + len(piece.text)
                if begin < at < end:
                    verbatim = len(piece.text) == piece.end - piece.start
                    return at if verbatim or begin <= self._said_at else begin
                begin = end
        return at

    def _split(self, at: int, out: list[SpeechChunk]) -> None:
        """Send off the first `at` characters, keep the rest pending."""
        pieces, joins, mood, over = self._pieces, self._joins, self._mood, self._over
        said_at, left, ended = self._said_at, self._chars - at, self._ended
        index, halves = self._find(at)
        head, tail = pieces[:index], pieces[index:]
        if halves is not None:
            head.append(halves[0])
            tail[0] = halves[1]
        self._pieces = head
        self._joins = [join for join in joins if join[0] < len(head)]
        later = {join[0] - index: join[1] for join in joins if join[0] >= len(head)}
        if said_at >= at:
            self._said_at = -1
        self._close(out)
        self._mood = mood
        self._over = False
        for number, piece in enumerate(tail):
            if number in later and self._pieces:
                self._join(later[number])
            if type(piece) is Text:
                self._put_back(piece)
            elif self._pieces:
                self._pieces.append(piece)
                self._holes += 1
            else:
                self._add_gap(piece.start, piece.end, piece.rule)  # type: ignore[union-attr]
        if len(tail) in later and self._pieces:
            self._join(later[len(tail)])
        self._over = over and self._said_at >= 0
        self._ended = max(0, ended - at - left + self._chars)  # blanks before what is left have gone, too

    def _put_back(self, piece: Text) -> None:
        """Keep what was not sent off; the first of it without the blanks before it."""
        if not self._pieces:
            blank, body = _without_lead(piece)
            if blank is not None and blank.end > blank.start:
                self._add_gap(blank.start, blank.end, BLANK)
            if body is None:
                return
            piece = body
        self._keep(piece)

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


def _without_lead(piece: Text) -> tuple[Text | None, Text | None]:
    """The blanks before a text, and the text without them; None for what is not there."""
    text = piece.text
    body = text.lstrip()
    if not body:
        return piece, None
    size = len(text) - len(body)
    if not size:
        return None, piece
    middle = piece.start + size if len(text) == piece.end - piece.start else piece.start
    return Text(text[:size], piece.start, middle), Text(body, middle, piece.end)
