"""The pipeline, and its short way for plain text.

Most text of most answers is plain: within a line, without a character that any filter cares about. Such text needs
none of the stages, only its sentences cut, and that is done here: what is pending of the next chunk is one string,
and a token costs one search in itself, for `attention`, all that could make a chunk leave right now. When a sentence
may have ended, what is new is searched once for what concerns a filter. If there is something, what is pending goes
into the row of stages (`actors.speech.row`), and everything after it, until the row holds nothing again but the
beginning of a plain sentence. The stages are made when they are needed first, so a turn of plain text never has any.

Both ways decide by offsets into the text and give the same chunks; the way is a matter of cost alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from actors.speech.chunking import BLANK
from actors.speech.cuts import CLAUSES, first_clause, speakable, width
from actors.speech.languages import BULLETS, CLOSERS, ENDS, HEAD, Language, Verdict, detect, language_of, letter_in
from actors.speech.lines import STARTERS
from actors.speech.markup import LINE_MEMORY
from actors.speech.pieces import Stage
from actors.speech.row import ATTENTION, FILTERED, FILTERED_ASCII, FIRST, MAY_GO_ON, Row, Standing, fault
from actors.speech.sentences import ITEM_BEGIN
from actors.speech.wording import tidy
from protocol.speech import RemovedSpan, SpeechChunk, SpeechSettings, StageFault

__all__ = ["SpeechPipeline"]

SLICE: Final = 2048  # longer text goes through in parts, so that nothing copies it more than it must
TEXT_INDENT: Final = 3  # blanks before a line of text; more of them are code
ASIDE: Final = 240  # how much plain text waits for the end of its sentence at most

_CONCERNS: Final = re.compile(rf"[{FILTERED}\n{BULLETS}]")
_ASCII_CONCERNS: Final = re.compile(rf"[{FILTERED_ASCII}\n]")
_LINES: Final = re.compile(rf"[\n{BULLETS}]")  # with the filters off, line ends are the sentence stage's
_MAY_GO_ON_WITH: Final = frozenset("!#0123456789:fhHpPsStTwW")
_MARK: Final = re.compile(rf"[{re.escape(ENDS)}]")
_ASCII_MARKS: Final = re.compile("[.!?]")
_DEFAULT: Final = SpeechSettings()


class SpeechPipeline:
    """Text in, chunks out: `feed` as it comes, `flush` at the end, `take_removed` for what is not spoken."""

    __slots__ = (
        "_after",
        "_faults",
        "_filtering",
        "_first",
        "_gap",
        "_gaps",
        "_known",
        "_language",
        "_last",
        "_lead",
        "_line",
        "_normalise",
        "_paragraph",
        "_room",
        "_row",
        "_seen",
        "_sentence",
        "_settings",
        "_start",
        "_waits",
        "attention",
    )

    def __init__(
        self,
        settings: SpeechSettings | None = None,
        *,
        stages: Sequence[Stage] = (),
        normalise: Callable[[str, str | None], str] | None = None,
    ) -> None:
        """Make a pipeline for one turn.

        Args:
            settings: All choices; None: the defaults.
            stages: User-defined stages, asked in their order between the emotion and the sentence stage.
            normalise: Called with each chunk's text and the language; what it returns is spoken.

        """
        self._settings = settings = settings or _DEFAULT
        self._normalise = normalise
        self.attention: re.Pattern[str] | None = None
        """What the next text has to contain for a chunk to come of it; None: whatever it contains, feed it.

        Where the match has the group `more`, only the text after that one can decide: both may be fed together.
        """
        self._waits = ""  # what waits: for the row, or (on the short way) all that is pending of the next chunk
        self._start = 0  # its source offset
        self._room = 0  # how long it may grow without a look
        self._row: Row | None = None
        self._filtering = False  # text goes through the row
        # Of the short way.
        self._known = 0  # so much of what waits has been in the row
        self._seen = 0  # up to here what waits holds nothing that is undecided
        self._sentence = 0  # where the current sentence begins in it; shorter ones before it go along
        self._lead = ""  # what has left of that sentence
        self._paragraph = False  # a paragraph has ended here, which the row does not know yet
        self._line = ""  # how what has gone the short way since the row, or since that, began
        self._last = ""  # and its last character
        self._language: Language | None = language_of(settings.language) if settings.language else None
        self._first = True  # no chunk has left yet
        self._after = False  # a sentence ended right here, at once: closing marks come too late
        self._gap: RemovedSpan | None = None
        self._gaps: list[RemovedSpan] | None = None
        self._faults: list[StageFault] | None = None
        if stages or settings.starts_in_reasoning:
            self._row = Row(settings, stages)
            self._filtering = True
        elif settings.code != "announce":  # which may be all that the first line is
            self._look()

    def feed(self, text: str) -> list[SpeechChunk]:
        """Take what the agent said next; give the chunks that are complete."""
        held = self._waits + text
        attention = self.attention
        if attention is not None and len(held) < self._room:
            mark = attention.search(text)
            if mark is None:
                self._waits = held
                return []
            if mark.lastgroup is not None:
                self._waits = held
                self.attention = None
                return []
        if len(text) > SLICE:
            parts = (text[at : at + SLICE] for at in range(0, len(text), SLICE))
            return [chunk for part in parts for chunk in SpeechPipeline.feed(self, part)]
        if not text:
            return []
        self._waits = held
        out: list[SpeechChunk] = []
        if self._filtering or not self._cut(out):
            self._filter(out)
        return out if self._normalise is None else self._normalised(out)

    def flush(self, final: bool = True) -> list[SpeechChunk]:
        """Give what is left. Not final: what is certain although the agent pauses; all open marks stay open."""
        out: list[SpeechChunk] = []
        if self._filtering or not (final and self._cut(out, final=True) and self._finish(out)):
            row = self._enter_row()
            out += row.feed(self._take())
            out += row.flush(final)
            self.attention, room = row.look()
            self._room = min(ASIDE, room)
        return out if self._normalise is None else self._normalised(out)

    def take_removed(self) -> list[RemovedSpan]:
        """Hand over, and forget, the complete spans between chunks, in order."""
        if self._filtering and self._row is not None:
            return self._row.take_removed()
        gaps, self._gaps = self._gaps, None
        return gaps or []

    def take_faults(self) -> list[StageFault]:
        """Hand over, and forget, which stages raised."""
        faults, self._faults = self._faults or [], None
        if self._row is not None:
            faults, self._row.faults = faults + self._row.faults, []
        return faults

    # The way through the row.

    def _filter(self, out: list[SpeechChunk]) -> None:
        """Send what waits through the row; what follows may go the short way again."""
        row = self._enter_row()
        out += row.feed(self._take())
        standing = row.leave()
        if standing is None:
            self.attention, room = row.look()
            self._room = min(ASIDE, room)
            return
        self._filtering = False
        self._waits = standing.pending
        self._start -= len(standing.pending)
        self._known = self._seen = len(standing.pending)
        self._sentence = 0
        self._lead, self._language = standing.lead, standing.language
        self._line = ""
        self._paragraph = False
        self._first, self._after = standing.first, standing.after
        self._gap, self._gaps = standing.gap, standing.gaps
        self._look()

    def _enter_row(self) -> Row:
        """The row, with all that it has to know."""
        row = self._row
        if row is None:
            row = self._row = Row(self._settings)
        if not self._filtering:
            self._filtering = True
            known = self._waits[: self._known]
            after = self._after and not self._seen
            standing = Standing(known, self._lead, self._language, self._first, after, self._gap, self._gaps or [])
            self._waits = self._waits[self._known :]
            self._start += self._known
            row.enter(self._start, self._line, self._last, self._paragraph, standing)
        return row

    def _take(self) -> str:
        held, self._waits = self._waits, ""
        self._start += len(held)
        return held

    # The short way.

    def _cut(self, out: list[SpeechChunk], final: bool = False) -> bool:
        """Let the sentences go that are complete. False: what waits needs the row."""
        while True:
            plain = self._cut_paragraph(out, final)
            if plain is not None:
                return plain

    def _cut_paragraph(self, out: list[SpeechChunk], final: bool) -> bool | None:
        """The same for one paragraph. None: it has ended, and what comes next begins a line."""
        if not self._seen and self._paragraph and not self._line and self._waits.isspace():
            self._look(waits=True)
            return len(self._waits) < self._room
        if not self._seen and not self._begin():
            return False
        settings = self._settings
        beyond = self._beyond()
        ends = settings.markup and self._waits.startswith("\n\n", len(self._waits) - beyond)
        if ends:
            beyond -= 1  # its line end belongs to a paragraph
        final = ends or (final and not beyond)
        unsure = 0 if final or not settings.markup else _unsure(self._waits, len(self._waits) - beyond)
        if self._after and self._seen < len(self._waits):
            if self._late(len(self._waits) - beyond - unsure):
                return False
            self._after = False
        language = self._language or self._detected(beyond + unsure)
        if language is None or language.has_clause_marks:
            return False
        marks = _ASCII_MARKS if self._waits.isascii() else language.marks
        while True:
            held, sentence = self._waits, self._sentence
            at = end = len(held) - beyond - unsure
            mark = marks.search(held, self._seen, end)
            verdict = Verdict.GO_ON
            if mark is not None:
                tail = held[sentence:end] if sentence or end < len(held) else held
                lead = "" if sentence else self._lead
                verdict, step = language.judge(lead, tail, mark.start() - sentence, final)
                at = sentence + step
                if verdict is Verdict.GO_ON:
                    self._seen = at
                    continue
            if self._first and settings.first_chunk_min_chars is not None:
                clause = first_clause(held[:at], settings.first_chunk_min_chars, settings.max_chunk_chars)
                if clause:
                    lead = (self._lead + held[:clause])[-HEAD:]
                    self._say(out, clause)
                    self._lead = lead
                    if not self._begin():
                        return False
                    continue
            if verdict is Verdict.GO_ON and ends:
                return None if self._end_paragraph(out, at) else False
            if verdict is Verdict.GO_ON or verdict is Verdict.WAIT:
                self._seen = at
                break
            if not self._end(out, at):
                return False
            if verdict is Verdict.END_NOW:
                end = len(self._waits) - beyond - unsure
                self._after = self._seen == len(self._waits) or self._late(end)
                if self._after and self._waits[self._seen :]:
                    return False
            if not self._begin():
                return False
        self._look(waits=unsure > 0 or verdict is Verdict.WAIT)
        return not beyond and len(self._waits) < self._room

    def _begin(self) -> bool:
        """At the beginning of a chunk: take away the blanks before it. False: it needs the row."""
        held = self._waits
        if not held or self._seen:
            return True
        body = held.lstrip()
        blanks = held[: len(held) - len(body)]
        if not self._line and (self._row is None or self._paragraph):  # a line may begin more than text
            if not body or ITEM_BEGIN.match(body) is not None:
                return False
            if self._settings.markup:
                indent = len(blanks) - blanks.rfind("\n") - 1
                if body[0] in STARTERS or indent > TEXT_INDENT or blanks.strip(" \n"):
                    return False
        else:
            blanks = blanks.partition("\n")[0]
        if blanks:
            self._pass_blanks(len(blanks))
        return True

    def _pass_blanks(self, size: int) -> None:
        self._after = False
        start, gap = self._start, self._gap
        if self._lead:
            self._lead = (self._lead + self._waits[:size])[-HEAD:]
        self._pass(size)
        if gap is not None and gap.rule == BLANK and gap.end == start:
            start = gap.start
        else:
            self._close_gap()
        self._gap = RemovedSpan(start, self._start, BLANK)

    def _beyond(self) -> int:
        """How many characters there are from the first on that concerns a filter."""
        held, seen = self._waits, self._seen
        if not self._settings.markup:
            concern = _LINES.search(held, seen)
            return 0 if concern is None else len(held) - concern.start()
        pattern = _ASCII_CONCERNS if held.isascii() else _CONCERNS
        concern = pattern.search(held, seen)
        while concern is not None and concern[0] == "/" and held[concern.start() - 1 : concern.start()] != ":":
            concern = pattern.search(held, concern.end())
        host = held.find("ww.", max(0, seen - 2))
        if concern is None:
            return 0 if host < 0 else len(held) - host
        return len(held) - (concern.start() if host < 0 else min(concern.start(), host))

    def _detected(self, beyond: int) -> Language | None:
        """The language, by the first letter; None: marks stand before it, which are not in that language yet."""
        plain = self._waits[: len(self._waits) - beyond]
        self._language = language = detect(plain)
        if language is None:
            return language_of("en")
        return language if _MARK.search(plain, 0, letter_in(plain)) is None else None

    def _end(self, out: list[SpeechChunk], at: int) -> bool:
        """A sentence ends: let it go, or wait for more if it is short. False: it needs the row."""
        settings = self._settings
        if settings.max_chunk_chars is not None and at > settings.max_chunk_chars:
            return False
        text = self._waits[:at].strip()
        if not speakable(text):
            return False
        least = settings.min_chunk_chars
        if self._first or least == 0 or len(text) >= least or width(text) >= least:
            self._say(out, at)
        else:
            self._sentence = self._seen = at
        return True

    def _end_paragraph(self, out: list[SpeechChunk], at: int) -> bool:
        """A paragraph ends behind the line end before `at`, and with it what is pending. False: it needs the row."""
        if not at:
            pass  # its line end has left with a clause
        elif self._waits[self._sentence : at].isspace():
            if self._sentence:
                return False
            self._pass_blanks(at)
        elif not self._end(out, at) or self._seen:
            return False
        self._paragraph = True
        self._line = self._last = self._lead = ""
        return True

    def _late(self, end: int) -> bool:
        """Right behind a sentence that ended at once: whether a closing mark comes, or may come, too late.

        end: where what may be removed begins.
        """
        return self._seen >= end or self._waits[self._seen] in CLOSERS

    def _finish(self, out: list[SpeechChunk]) -> bool:
        """Nothing follows what waits. False: it needs the row."""
        if self._waits:
            if not speakable(self._waits):
                return False
            self._say(out, len(self._waits))
        self._close_gap()
        self._after = False
        return True

    def _say(self, out: list[SpeechChunk], at: int) -> None:
        """The chunk is complete: the first `at` characters of what waits."""
        text = self._waits[:at]
        self._close_gap()
        out.append(SpeechChunk(tidy(text) if self._settings.markup else text.strip(), self._start, self._start + at))
        self._first = False
        self._lead = ""
        self._pass(at)

    def _close_gap(self) -> None:
        if self._gap is not None:
            if self._gaps is None:
                self._gaps = []
            self._gaps.append(self._gap)
            self._gap = None

    def _pass(self, size: int) -> None:
        """The first `size` characters have gone the short way."""
        held, known = self._waits, self._known
        if size > known:
            if len(self._line) < LINE_MEMORY:
                self._line += held[known : min(size, known + LINE_MEMORY)]
            self._last = (self._last + held[max(known, size - 3) : size])[-3:]
        self._known = max(0, known - size)
        self._waits = held[size:]
        self._start += size
        self._seen = self._sentence = 0

    def _look(self, *, waits: bool = False) -> None:
        """Find out what to look for in the next text: only what can make a chunk leave."""
        most = self._settings.max_chunk_chars
        self._room = 1 + (ASIDE if most is None else min(ASIDE, most))
        if waits:
            self.attention = None
        elif self._first and self._settings.first_chunk_min_chars is not None:
            self.attention = None if self._waits and self._waits[-1] in CLAUSES else FIRST
        elif self._language is None or self._language.has_clause_marks:
            self.attention = FIRST
        else:
            self.attention = ATTENTION

    # What is spoken instead.

    def _normalised(self, chunks: list[SpeechChunk]) -> list[SpeechChunk]:
        return [self._said_as(chunk) for chunk in chunks]

    def _said_as(self, chunk: SpeechChunk) -> SpeechChunk:
        if self._normalise is None:
            return chunk
        try:
            text = self._normalise(chunk.text, self._settings.language)
            silent = not text.strip()
        except Exception as error:  # noqa: BLE001  (whatever it raises must not end the turn)
            self._normalise = None
            self._faults = [*(self._faults or ()), fault("normalise", error)]
            return chunk
        return chunk if silent else chunk._replace(text=text)


def _unsure(text: str, end: int) -> int:
    """How many characters before `end` begin, or may turn out to begin, something that concerns a filter."""
    if text[end - 1 : end] not in _MAY_GO_ON_WITH:
        return 0
    goes_on = MAY_GO_ON.search(text, max(0, end - 8), end)
    return 0 if goes_on is None else end - goes_on.start()
