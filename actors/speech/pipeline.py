"""All stages in a row, and how text gets past the ones that have nothing to do with it.

A token of plain prose costs one search: `attention` is one expression for every character that any stage
cares about right now. Text without any is put aside and goes through the stages with the next text that has
some, or when a chunk could become too long. What goes through skips the filters in one step when all of
them are idle and the text holds nothing that concerns them.

Every decision is made by offsets into the text, so neither that nor the way in which the text was cut into
tokens changes what comes out, only when.

A stage that raises is taken out of the row; its text goes on as it was, and `take_faults` tells.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from typing import Final

from actors.speech.chunking import CLAUSES, Chunking
from actors.speech.emoji import RANGES, Emoji
from actors.speech.emotion import Emotion
from actors.speech.markup import Markup
from actors.speech.pieces import Piece, Removed, Stage, Text
from actors.speech.reasoning import Reasoning
from actors.speech.sentences import Sentences
from protocol.speech import RemovedSpan, SpeechChunk, SpeechSettings, StageFault

__all__ = ["SpeechPipeline"]

SLICE: Final = 2048  # longer text goes through in parts, so that no stage copies it more than it must
ASIDE: Final = 240  # how much plain text is put aside at most

_ENDS: Final = ".!?…‼⁇⁈⁉．。！？｡؟۔।॥።፧፨։។៕།•⁃◦▪‣\n"
_FILTERS: Final = r"*_~\[`<&\\$|/(（［【" + RANGES
_ATTENTION: Final = re.compile(f"[<{_ENDS}]")  # what may end a sentence, or hide what follows
_FIRST: Final = re.compile(f"[<{_ENDS}{CLAUSES}]")  # as long as a clause is enough
_PARTNERS: Final = re.compile(rf"[\])>{_ENDS}{_FILTERS}]")  # as long as a mark is open that holds sentences back
_INSIDE: Final = re.compile("[`~>]")  # within code or reasoning: only what may be its end
_AWAITS_MORE: Final = re.compile(  # a mark at the end of the text, which only what comes next can decide
    r"(?:[.!?…؟۔।॥።][.!?…\"'”’»)\]*_`]*[ \t\n]?|(?<=[^ \t\n])\n|[,;:])\Z"
)
_CONCERNS: Final = re.compile(rf"[{_FILTERS}\n]")
_MAY_GO_ON: Final = re.compile(r"[!0-9#]\Z|(?<![A-Za-z0-9])(?:https?|htt?|ht?|ftp?|f|[Ww]{1,3}):?\Z")
_LOG: Final = logging.getLogger("antiphon.speech")


class SpeechPipeline:
    """Text in, chunks out: `feed` as it comes, `flush` at the end, `take_removed` for what is not spoken."""

    __slots__ = (
        "_aside",
        "_aside_chars",
        "_at",
        "_chunking",
        "_faults",
        "_markup",
        "_normalise",
        "_plain",
        "_reasoning",
        "_room",
        "_sentences",
        "_settings",
        "_stages",
        "attention",
    )

    def __init__(
        self,
        settings: SpeechSettings | None = None,
        *,
        stages: Sequence[Stage] = (),
        normalise: Callable[[str, str | None], str] | None = None,
    ) -> None:
        """Args:
        settings: All choices; None: the defaults.
        stages: User-defined stages, asked in their order between the emotion and the sentence stage.
        normalise: Called with each chunk's text and the language; what it returns is spoken.

        """  # noqa: D205
        settings = settings or _DEFAULT
        self.attention: re.Pattern[str] | None = None
        """What the next text has to contain for a chunk to come of it; None: whatever it contains, feed it."""
        self._settings = settings
        row: list[Stage] = []
        self._reasoning: Reasoning | None = None
        self._markup: Markup | None = None
        if settings.markup:
            self._reasoning = Reasoning(
                settings.reasoning_tags,
                max_hold=settings.max_hold_chars,
                starts_inside=settings.starts_in_reasoning,
                speak_unclosed=settings.unclosed_reasoning == "speak",
            )
            self._markup = Markup(
                max_hold=settings.max_hold_chars,
                code=settings.code,
                code_announcement=settings.code_announcement,
                tables=settings.tables,
                urls=settings.urls,
                math=settings.math,
                line_ends=settings.line_ends,
            )
            row = [self._reasoning, self._markup, Emoji(names=settings.emoji == "name")]
            if settings.emotion_tags:
                row.append(Emotion(settings.emotion_tags))
        self._plain = not stages
        row.extend(_Guarded(stage, self._report) for stage in stages)
        self._stages = row
        self._sentences = Sentences(settings.language, lines=not settings.markup)
        self._chunking = Chunking(
            min_chars=settings.min_chunk_chars,
            first_min_chars=settings.first_chunk_min_chars,
            max_chars=settings.max_chunk_chars,
            exact=not settings.markup,
        )
        self._normalise = normalise
        self._aside: list[str] = []
        self._aside_chars = 0
        self._room = ASIDE
        self._at = 0  # source offset behind all that was fed
        self._faults: list[StageFault] | None = None

    def feed(self, text: str) -> list[SpeechChunk]:
        """Take what the agent said next; give the chunks that are complete."""
        if not text:
            return []
        attention = self.attention
        if attention is not None:
            mark = attention.search(text)
            if mark is None or _AWAITS_MORE.match(text, mark.start()) is not None:
                size = self._aside_chars + len(text)
                if size < self._room:
                    self._aside.append(text)
                    self._aside_chars = size
                    if mark is not None:
                        self.attention = None
                    return []
        if self._aside:
            self._aside.append(text)
            text = "".join(self._aside)
            self._aside = []
            self._aside_chars = 0
        if len(text) <= SLICE:
            return self._through(text)
        out: list[SpeechChunk] = []
        for begin in range(0, len(text), SLICE):
            out.extend(self._through(text[begin : begin + SLICE]))
        return out

    def flush(self, final: bool = True) -> list[SpeechChunk]:
        """Give what is left. Not final: what is certain although the agent pauses; all open marks stay open."""
        out: list[SpeechChunk] = []
        if self._aside:
            text = "".join(self._aside)
            self._aside = []
            self._aside_chars = 0
            out = self._through(text)
        pieces: list[Piece] = []
        for index in range(len(self._stages)):
            if pieces:
                pieces = self._ask(index, pieces)
            pieces = pieces + self._drain(index, final)
        pieces = self._sentences.feed(pieces)
        out.extend(self._spoken(self._chunking.feed(pieces)))
        out.extend(self._spoken(self._chunking.feed(self._sentences.flush(final))))
        words = self._markup is None or not self._markup.in_table
        out.extend(self._spoken(self._chunking.flush(final, words)))
        self._look()
        return out

    def take_removed(self) -> list[RemovedSpan]:
        """Hand over, and forget, the complete spans between chunks, in order."""
        return self._chunking.take_removed()

    def take_faults(self) -> list[StageFault]:
        """Hand over, and forget, which stages raised."""
        faults, self._faults = self._faults, None
        return faults or []

    # One stretch of text through all stages.

    def _through(self, text: str) -> list[SpeechChunk]:
        start = self._at
        end = self._at = start + len(text)
        pieces: list[Piece] = [Text(text, start, end)]
        if self._stages and not (self._plain and self._passes(text)):
            pieces = self._filtered(text, pieces)
        chunks = self._chunking.feed(self._sentences.feed(pieces)) if pieces else []
        self._look()
        return self._spoken(chunks) if self._normalise is not None else chunks

    def _passes(self, text: str) -> bool:
        """Whether the filters have nothing to do with this text; if so, they are told that it went by."""
        if _CONCERNS.search(text) is not None or "ww." in text:
            return False
        for stage in self._stages:
            if not stage.idle:  # type: ignore[attr-defined]
                return False
        if _MAY_GO_ON.search(text, len(text) - 6 if len(text) > 6 else 0) is not None:
            return False
        if self._reasoning is not None and self._markup is not None:
            self._reasoning.passed(text)
            self._markup.passed(text)
        return True

    def _filtered(self, text: str, pieces: list[Piece]) -> list[Piece]:
        """The filters, each if it has anything to do with this text."""
        markup, reasoning, stages = self._markup, self._reasoning, self._stages
        stages = self._stages
        if not self._plain:
            for index in range(len(stages)):
                pieces = self._ask(index, pieces)
            return pieces
        reasoning, markup = self._reasoning, self._markup
        assert reasoning is not None and markup is not None  # noqa: PT018
        clean = markup.clean and text.isascii() and "&" not in text
        if reasoning.idle and reasoning.cares.search(text) is None:
            reasoning.passed(text)
        else:
            pieces = self._ask(0, pieces)
        pieces = self._ask(1, pieces)
        # If the markup stage held nothing and holds nothing, this text is all that the next ones get.
        if not (clean and markup.clean and text[-1] not in "0123456789#*" and stages[2].idle):  # type: ignore[attr-defined]
            pieces = self._ask(2, pieces)
        if len(stages) > 3 and not (clean and "(" not in text and "[" not in text and stages[3].idle):  # type: ignore[attr-defined]
            pieces = self._ask(3, pieces)
        return pieces

    def _look(self) -> None:
        """Find out what to look for in the next text: only what can make a chunk leave."""
        chunking = self._chunking
        markup = self._markup
        room = chunking.room
        self._room = min(ASIDE, room)
        reasoning = self._reasoning
        if not self._plain or self._sentences.urgent or chunking.at_clause:
            self.attention = None
        elif markup is None or reasoning is None:
            first = chunking.seeks_clause or self._sentences.ends_with_clause_marks
            self.attention = _FIRST if first else _ATTENTION
        elif markup.urgent or reasoning.urgent:
            self.attention = None
        elif markup.hidden or reasoning.hidden:
            self.attention = _INSIDE
        elif markup.held:
            self.attention = _PARTNERS
        elif chunking.seeks_clause or self._sentences.ends_with_clause_marks:
            self.attention = _FIRST
        else:
            self.attention = _ATTENTION

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
        self._report(type(self._stages[index]).__name__, error)
        self._stages[index] = _Pass()
        self._plain = False
        self._markup = None

    def _report(self, name: str, error: Exception) -> None:
        _LOG.warning("speech stage %s failed and is out for this turn: %s", name, type(error).__name__)
        if self._faults is None:
            self._faults = []
        self._faults.append(StageFault(name, f"{type(error).__name__}: {error}"))

    def _spoken(self, chunks: list[SpeechChunk]) -> list[SpeechChunk]:
        if self._normalise is None or not chunks:
            return chunks
        return [self._normalised(chunk) for chunk in chunks]

    def _normalised(self, chunk: SpeechChunk) -> SpeechChunk:
        if self._normalise is None:  # it has failed at a chunk before this one
            return chunk
        language = self._settings.language
        try:
            text = self._normalise(chunk.text, language)
        except Exception as error:  # noqa: BLE001
            self._report("normalise", error)
            self._normalise = None
            return chunk
        return SpeechChunk(text, chunk.start, chunk.end, chunk.emotion, chunk.removed) if text.strip() else chunk


class _Pass:
    """In the place of a stage that failed."""

    __slots__ = ()

    def feed(self, pieces: list[Piece]) -> list[Piece]:
        return pieces

    def flush(self, final: bool = True) -> list[Piece]:  # noqa: ARG002
        return []


class _Guarded:
    """A user's stage: what went in and has not come out is kept, so that a failure loses nothing."""

    __slots__ = ("_failed", "_inside", "_report", "_stage")

    def __init__(self, stage: Stage, report: Callable[[str, Exception], None]) -> None:
        self._stage = stage
        self._report = report
        self._inside: list[Piece] = []
        self._failed = False

    def feed(self, pieces: list[Piece]) -> list[Piece]:
        if self._failed:
            return pieces
        self._inside.extend(pieces)
        try:
            return self._came_out(self._stage.feed(pieces))
        except Exception as error:  # noqa: BLE001
            return self._fail(error)

    def flush(self, final: bool = True) -> list[Piece]:
        if self._failed:
            return []
        try:
            return self._came_out(self._stage.flush(final))
        except Exception as error:  # noqa: BLE001
            return self._fail(error)

    def _came_out(self, pieces: list[Piece]) -> list[Piece]:
        end = max((piece.end for piece in pieces if type(piece) in _SPANS), default=-1)  # type: ignore[union-attr]
        self._inside = [piece for piece in self._inside if type(piece) in _SPANS and piece.end > end]  # type: ignore[union-attr]
        return pieces

    def _fail(self, error: Exception) -> list[Piece]:
        self._failed = True
        self._report(type(self._stage).__name__, error)
        pieces, self._inside = self._inside, []
        return pieces


_SPANS: Final = frozenset((Text, Removed))
_DEFAULT: Final = SpeechSettings()
