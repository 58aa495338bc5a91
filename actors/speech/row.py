"""All stages in a row, and how text gets past those that have nothing to do with it.

Text goes through the stages in the stretches in which it is given; `look` says what the next one has to contain for
anything to come of it, so that whoever has text without it may wait for more. A stretch skips the filters in one
step when all of them are idle and it holds nothing that concerns them.

Every decision is made by offsets into the text, so neither that nor the way in which the text was cut into
tokens changes what comes out, only when.

A stage that raises is taken out of the row; its text goes on as it was, and `faults` tells.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from actors.speech.chunking import Chunking
from actors.speech.cuts import CLAUSES
from actors.speech.emoji import RANGES, Emoji
from actors.speech.emotion import TAG_CLOSERS, Emotion
from actors.speech.languages import ENDS, Language
from actors.speech.markup import MARKS, Await, Markup
from actors.speech.pieces import Break, Mood, Piece, Removed, Stage, Stray, Text
from actors.speech.reasoning import Reasoning
from actors.speech.sentences import Sentences
from protocol.speech import RemovedSpan, SpeechChunk, SpeechSettings, StageFault

__all__ = ["ATTENTION", "FILTERED", "FILTERED_ASCII", "FIRST", "MAY_GO_ON", "Row", "Standing", "fault"]

_ENDS: Final = ENDS + "\n"
FILTERED_ASCII: Final = MARKS + "("
FILTERED: Final = FILTERED_ASCII + "（［【" + RANGES
"""What concerns a filter within a line of text, as the inside of a character class."""
# A mark at the end of the text, which only what comes next can decide: a full stop, a line end with what may begin
# the next list item, a clause mark.
_ITEM: Final = r"[ \t]*(?:[-*+]|\d{1,9}[.)]?)?[ \t]*"
_AWAITS_MORE: Final = (
    rf"(?:(?<=[.!?…؟۔।॥።])[.!?…\"'”’»)\]*_`]*(?:[ \t]?|\n{_ITEM})|(?<=[^ \t\n]\n){_ITEM}|(?<=[,;:]))\Z(?P<more>)"
)
_WITHIN_WORD: Final = r"(?<=\.)[a-z0-9]"  # `3.5`, `example.com`: this full stop decides nothing


def _attention(characters: str) -> re.Pattern[str]:
    """The first of these characters; the group `more` is there if it has to be seen with what comes next."""
    return re.compile(f"[{characters}](?!{_WITHIN_WORD})(?:{_AWAITS_MORE})?")


_DECIDES: Final = f"<{_ENDS}{TAG_CLOSERS}"  # what may end a sentence or a stage tag, or hide what follows
ATTENTION: Final = _attention(_DECIDES)
FIRST: Final = _attention(_DECIDES + CLAUSES)  # as long as a clause is enough
_PARTNERS: Final = _attention(f">{_DECIDES}{FILTERED}")  # as long as a mark is open that holds sentences back
_FIRST_PARTNERS: Final = _attention(f">{_DECIDES}{CLAUSES}{FILTERED}")
_INSIDE: Final = re.compile("[`~>]")  # within code or reasoning: only what may be its end
_BRACKETS: Final = _attention(r"\[\])`\\\n")  # as long as it is a bracket
_UNLIKE_RULE: Final = re.compile(r"[^ \t|:-]")  # below what may be a table's header
_CONCERNS: Final = re.compile(rf"[{FILTERED}\n]")
MAY_GO_ON: Final = re.compile(
    r"[!0-9#]\Z|(?<![A-Za-z0-9])(?:[Hh]ttps?|[Hh]tt?|[Hh]t?|HTTPS?|HTT?|HT|ftp?|f|[Ww]w{0,2}):?\Z"
)
OPEN_ROOM: Final = 64  # how much text waits while a mark is open, which is text when its partner is too far away
_KEYS: Final = frozenset("0123456789#*")  # which may turn out to be the cap of a key, an emoji


@dataclass(slots=True)
class Standing:
    """Where plain text stands between two chunks, when it comes into the row or leaves it."""

    pending: str  # what the row has seen of the chunk that is not complete yet
    lead: str  # what has left of the sentence to which that belongs
    language: Language | None
    first: bool  # no chunk has left yet
    after: bool  # a sentence ended right here: closing marks come too late
    gap: RemovedSpan | None  # the last removed span, which may still grow
    gaps: list[RemovedSpan]  # the complete ones before it


class _Filters(NamedTuple):
    """The stages that take something out; all are there, or (with the filters off, or when one has failed) none."""

    reasoning: Reasoning
    markup: Markup
    emoji: Emoji
    emotion: Emotion

    @property
    def idle(self) -> bool:
        return self.markup.idle and self.reasoning.idle and self.emoji.idle and self.emotion.idle


class Row:
    """Text in, chunks out, through all stages: `feed` and `flush`, and `take_removed` for what is not spoken."""

    __slots__ = (
        "_announces",
        "_at",
        "_chunking",
        "_filters",
        "_pictures",
        "_plain",
        "_sentences",
        "_stages",
        "_tags",
        "faults",
    )

    def __init__(self, settings: SpeechSettings, stages: Sequence[Stage] = ()) -> None:
        self.faults: list[StageFault] = []
        """Which stages raised."""
        self._filters = filters = _filters(settings) if settings.markup else None
        self._plain = not stages
        self._announces = settings.code == "announce"
        self._pictures = self._announces  # something for the emoji stage may be on its way (or in the announcement)
        self._tags = False  # the same for stage tags
        self._stages: list[Stage] = [*(filters or ()), *(_Guarded(stage, self.report) for stage in stages)]
        self._sentences = Sentences(settings.language, lines=not settings.markup)
        self._chunking = Chunking(
            min_chars=settings.min_chunk_chars,
            first_min_chars=settings.first_chunk_min_chars,
            max_chars=settings.max_chunk_chars,
            exact=not settings.markup,
        )
        self._at = 0  # source offset behind all that was fed

    def feed(self, text: str) -> list[SpeechChunk]:
        """Take what the agent said next; give the chunks that are complete."""
        if not text:
            return []
        start = self._at
        end = self._at = start + len(text)
        pieces: list[Piece] = [Text(text, start, end)]
        filters = self._filters
        if filters is None or not self._plain:
            for index in range(len(self._stages)):
                pieces = self._ask(index, pieces)
        elif not self._passes(text, filters):
            pieces = self._filtered(text, pieces, filters)
        return self._chunking.feed(self._sentences.feed(pieces)) if pieces else []

    def flush(self, final: bool = True) -> list[SpeechChunk]:
        """Give what is left. Not final: what is certain although the agent pauses; all open marks stay open."""
        pieces: list[Piece] = []
        for index in range(len(self._stages)):
            if pieces:
                pieces = self._ask(index, pieces)
            pieces = pieces + self._drain(index, final)
        pieces = self._sentences.feed(pieces)
        out = self._chunking.feed(pieces)
        out.extend(self._chunking.feed(self._sentences.flush(final)))
        filters = self._filters
        words = filters is None or not filters.markup.in_whole
        whole = filters is not None and filters.markup.at_line_end
        out.extend(self._chunking.flush(final, words=words, whole=whole))
        return out

    def look(self) -> tuple[re.Pattern[str] | None, int]:
        """What the next text has to contain for a chunk to come of it, and how much text may wait all the same.

        None: whatever it contains, feed it.
        """
        chunking, sentences, filters = self._chunking, self._sentences, self._filters
        room = chunking.room
        awaits = Await.NOTHING
        if filters is not None:
            awaits = filters.markup.awaits
            if filters.reasoning.urgent or not filters.emotion.idle:
                awaits = Await.ANYTHING
            elif filters.reasoning.hidden and awaits is not Await.ANYTHING and awaits is not Await.NO_RULE:
                awaits = Await.END_OF_CODE
        if awaits is Await.ANYTHING or chunking.between_moods or not self._plain:
            return None, room
        if awaits is Await.BRACKET and filters is not None:
            return _BRACKETS, min(room, filters.markup.bracket_room)
        if (sentences.urgent or chunking.at_clause) and awaits is not Await.EMPHASIS:
            return None, room
        if awaits is Await.NO_RULE:
            return _UNLIKE_RULE, room
        if awaits is Await.END_OF_CODE:
            return _INSIDE, room
        first = chunking.seeks_clause or sentences.ends_with_clause_marks
        if awaits is Await.NOTHING:
            return FIRST if first else ATTENTION, room
        return _FIRST_PARTNERS if first else _PARTNERS, min(room, OPEN_ROOM)

    def take_removed(self) -> list[RemovedSpan]:
        """Hand over, and forget, the complete spans between chunks, in order."""
        return self._chunking.take_removed()

    def report(self, name: str, error: Exception) -> None:
        """Note that a stage failed and is out for this turn."""
        self.faults.append(fault(name, error))

    # Plain text may go past the row altogether, between two chunks.

    def leave(self) -> Standing | None:
        """If nothing but a little plain text is held, let it out: the row need not see what follows."""
        filters, sentences, chunking = self._filters, self._sentences, self._chunking
        if not self._plain or (filters is not None and not filters.idle):
            return None
        pending = chunking.plain_pending()
        if pending is None or sentences.urgent or sentences.ends_with_clause_marks:
            return None
        lead = sentences.let_out(pending)
        return None if lead is None else Standing(pending, lead, sentences.language, *chunking.let_out())

    def enter(self, at: int, line: str, last: str, paragraph: bool, standing: Standing) -> None:
        """Go on at source offset `at`.

        What has passed by since `leave` began with `line` and ended with `last`; with `paragraph` that is what has
        passed by since the end of a paragraph, which also passed by.
        """
        self._at = at
        pending = standing.pending
        filters = self._filters
        if filters is not None:
            if paragraph:
                filters.reasoning.passed("\n")
                filters.markup.paragraph_over()
            if line:
                filters.reasoning.passed(line)
                filters.markup.passed(line, last)
        fresh = not at or (paragraph and not line)
        self._sentences.go_on(standing.language, standing.lead + pending, standing.after, fresh=fresh)
        self._chunking.go_on(Text(pending, at - len(pending), at), standing.first, standing.gap, standing.gaps)

    # One stretch of text through the filters.

    def _passes(self, text: str, filters: _Filters) -> bool:
        """Whether the filters have nothing to do with this text; if so, they are told that it went by."""
        if _CONCERNS.search(text) is not None or "ww." in text or not filters.idle:
            return False
        if MAY_GO_ON.search(text, len(text) - 6 if len(text) > 6 else 0) is not None:
            return False
        filters.reasoning.passed(text)
        filters.markup.passed(text, text[-3:])
        return True

    def _filtered(self, text: str, pieces: list[Piece], filters: _Filters) -> list[Piece]:
        """The filters, each if it has anything to do with this text."""
        reasoning, markup, emoji, emotion = filters
        plain = text.isascii()  # it holds nothing of that kind but brackets, and pictures by their code
        self._pictures = self._pictures or "&" in text or not (plain or emoji.cares.search(text) is None)
        self._tags = self._tags or "(" in text or "[" in text or not (plain or emotion.cares.search(text) is None)
        if reasoning.idle and reasoning.cares.search(text) is None:
            reasoning.passed(text)
        else:
            pieces = self._ask(0, pieces)
        pieces = self._ask(1, pieces)
        # What concerns the next two may have come in with an earlier text; when the stages before them hold nothing,
        # all of it has come out. (A table's header is said again with each of its rows.)
        clean = reasoning.idle and markup.clean
        last = pieces[-1] if pieces else None
        keycap = type(last) is Text and last.text[-1:] in _KEYS
        if self._pictures or keycap or not emoji.idle:
            pieces = self._ask(2, pieces)
            self._pictures = self._announces or not clean or markup.in_table
        if self._tags or not emotion.idle:
            pieces = self._ask(3, pieces)
            self._tags = not clean
        return pieces

    def _ask(self, index: int, pieces: list[Piece]) -> list[Piece]:
        stage = self._stages[index]
        try:
            return stage.feed(pieces)
        except Exception as error:  # noqa: BLE001  (whatever a stage raises must not end the turn)
            self._fault(index, error)
            return pieces

    def _drain(self, index: int, final: bool) -> list[Piece]:
        try:
            return self._stages[index].flush(final)
        except Exception as error:  # noqa: BLE001
            self._fault(index, error)
            return []

    def _fault(self, index: int, error: Exception) -> None:
        """A stage of our own failed: it goes out of the row, and text is no longer handed past the others."""
        self.report(type(self._stages[index]).__name__, error)
        self._stages[index] = _Pass()
        self._plain = False
        self._filters = None


def _filters(settings: SpeechSettings) -> _Filters:
    named = settings.emoji == "name"
    return _Filters(
        Reasoning(
            settings.reasoning_tags,
            max_hold=settings.max_hold_chars,
            starts_inside=settings.starts_in_reasoning,
            speak_unclosed=settings.unclosed_reasoning == "speak",
        ),
        Markup(
            max_hold=settings.max_hold_chars,
            code=settings.code,
            code_announcement=settings.code_announcement,
            tables=settings.tables,
            urls=settings.urls,
            math=settings.math,
            line_ends=settings.line_ends,
            emoji=named,
        ),
        Emoji(names=named),
        Emotion(settings.emotion_tags),
    )


def fault(name: str, error: Exception) -> StageFault:
    """What there is to say about something that failed and is out for this turn."""
    return StageFault(name, f"{type(error).__name__}: {error}")


class _Pass:
    """In the place of a stage that failed."""

    __slots__ = ()

    def feed(self, pieces: list[Piece]) -> list[Piece]:
        return pieces

    def flush(self, final: bool = True) -> list[Piece]:  # noqa: ARG002
        return []


class _Guarded:
    """A user's stage: what went in is accounted for, whatever it does.

    What has not come out is kept, so that a failure loses nothing; what is left out is removed by the stage's name.
    """

    __slots__ = ("_at", "_failed", "_inside", "_name", "_report", "_stage")

    def __init__(self, stage: Stage, report: Callable[[str, Exception], None]) -> None:
        self._stage = stage
        self._name = type(stage).__name__
        self._report = report
        self._inside: list[Piece] = []
        self._at = 0  # source offset up to which text came out
        self._failed = False

    def feed(self, pieces: list[Piece]) -> list[Piece]:
        if self._failed:
            return pieces
        self._inside.extend(pieces)
        try:
            return self._came_out(self._stage.feed(list(pieces)))
        except Exception as error:  # noqa: BLE001
            return self._fail(error)

    def flush(self, final: bool = True) -> list[Piece]:
        if self._failed:
            return []
        try:
            out = self._came_out(self._stage.flush(final))
        except Exception as error:  # noqa: BLE001
            return self._fail(error)
        return [*out, *self._left_out()] if final else out

    def _came_out(self, pieces: list[Piece]) -> list[Piece]:
        """What the stage gave, with a removal for each stretch that it left out."""
        out: list[Piece] = []
        at = self._at
        for piece in pieces:
            if type(piece) is Text or type(piece) is Removed:
                if piece.start < at or piece.end < piece.start:
                    raise ValueError(
                        f"a stage gives text in its order, and each character once: {piece.start} after {at}"
                    )
                if piece.start > at:
                    out.append(Removed(at, piece.start, self._name))
                at = piece.end
            elif not isinstance(piece, (Break, Mood, Stray)):
                raise TypeError(f"a stage gives pieces, not {type(piece).__name__}")
            out.append(piece)
        self._at = at
        self._inside = [piece for piece in self._inside if type(piece) in _SPANS and piece.end > at]  # type: ignore[union-attr]
        return out

    def _left_out(self) -> list[Piece]:
        end = max((piece.end for piece in self._inside if type(piece) in _SPANS), default=self._at)  # type: ignore[union-attr]
        begin, self._at, self._inside = self._at, end, []
        return [Removed(begin, end, self._name)] if end > begin else []

    def _fail(self, error: Exception) -> list[Piece]:
        self._failed = True
        self._report(self._name, error)
        pieces, self._inside = self._inside, []
        return [_behind(piece, self._at) for piece in pieces]


def _behind(piece: Piece, at: int) -> Piece:
    """What of a piece stands behind a source offset."""
    if type(piece) is Removed and piece.start < at:
        return replace(piece, start=at)
    if type(piece) is Text and piece.start < at:
        verbatim = len(piece.text) == piece.end - piece.start
        return Text(piece.text[at - piece.start :] if verbatim else piece.text, at, piece.end)
    return piece


_SPANS: Final = frozenset((Text, Removed))
