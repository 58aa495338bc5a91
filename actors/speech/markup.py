"""Markdown (CommonMark with GFM) as a person would read it aloud, while it is still being written.

This module knows blocks: what a line goes on with, what it begins, where a block ends. What a line begins is read by
`actors.speech.lines`, what stands within a block is `actors.speech.inline`'s, tables and text that is not Markdown
have modules of their own. Nothing is held but the beginning of a line of which it is not known yet what it is, and
an inline mark that waits for its partner. The end of a heading, a list item, a table row, a paragraph is a `Break`.
"""

from __future__ import annotations

import re
from enum import Enum, IntEnum
from typing import Final, Literal

from actors.speech.cuts import CLAUSES, width
from actors.speech.emphasis import SENTENCE_END
from actors.speech.inline import Inline
from actors.speech.lines import MAX_INDENT, Line, behind_blanks, indent_of, kind_of, table_head, task_end
from actors.speech.pieces import Piece, Removed, Strength, Text
from actors.speech.tables import TABLE, Table, cells_of
from actors.speech.verbatim import CODE, CODE_MARK, Kind, Verbatim

__all__ = ["LINE_MEMORY", "MARKS", "Await", "Markup"]

MARKS: Final = r"*_~\[`<&\\$|/"
"""What means something to this stage within a line of text (`/` in a URL), as the inside of a character class."""

LINE_MEMORY: Final = 200  # how much of a line is remembered: for its width, and as a table's header
WRAPPED: Final = 60  # columns: a line as long as this was wrapped, a shorter one was ended
MAX_MARKS: Final = 8  # how many marks before the first letter of a line are looked through

_ENDS: Final = re.compile(r"[.!?…。！？\n]")
_MAY_END: Final = frozenset(".!?…。！？" + CLAUSES)
_AWAIT_PARTNER: Final = frozenset("[<`$\\")
_HEADING_END: Final = re.compile(r"[ \t]+#*[ \t]*\Z")
_LEADING_MARKS: Final = re.compile(rf"[*_~`\"'“‘«(\[]{{0,{MAX_MARKS}}}")
_ITEM_LIKE: Final = re.compile(r"(?:[a-z]|[ivx]{1,4})[.)][ \t]")
_ITEM_LIKE_BEGIN: Final = re.compile(r"(?:[a-z]|[ivx]{1,4})[.)]?\Z")
_GOES_ON: Final = (",", "，", "、", "،")  # a line that ends in one of these was wrapped


class _In(IntEnum):
    """Where the stage is: the number of its step in `_STEPS`."""

    LINE_START = 0
    TEXT = 1
    HEADING = 2
    VERBATIM = 3
    TABLE = 4
    DROP = 5  # the rest of a line that is not spoken
    NOTE = 6  # a footnote's text, to the end of its paragraph


class Await(Enum):
    """What decides about text that the stage holds."""

    NOTHING = 0  # what ends a sentence anywhere
    ANYTHING = 1  # the next character, whatever it is
    NO_RULE = 2  # anything but the rule below what may be a table's header
    END_OF_CODE = 3
    BRACKET = 4  # the partner of a bracket that is all that is held
    EMPHASIS = 5  # the partner of a run whose text is all that is held
    PARTNER = 6  # that of another mark, or what says that none can come


class Markup:
    """Turns Markdown into what a person would say; see the settings of `SpeechSettings` for the choices.

    emoji: They are spoken, so a table's cell of nothing else is not empty.
    """

    __slots__ = (
        "_at",
        "_bars",
        "_blank",
        "_buffer",
        "_in",
        "_indent",
        "_inline",
        "_limit",
        "_line",
        "_line_end",
        "_line_ends",
        "_open",
        "_quoted",
        "_rule",
        "_strength",
        "_table",
        "_task",
        "_verbatim",
    )

    def __init__(
        self,
        *,
        max_hold: int = 200,
        code: Literal["skip", "announce", "speak"] = "skip",
        code_announcement: str = "Code block.",
        tables: Literal["rows", "skip"] = "rows",
        urls: Literal["host", "skip", "speak"] = "host",
        math: Literal["source", "skip"] = "source",
        line_ends: Literal["auto", "space", "boundary"] = "auto",
        emoji: bool = False,
    ) -> None:
        self._inline = inline = Inline(max_hold=max_hold, urls=urls, math=math)
        self._verbatim = Verbatim(inline, code=code, announcement=code_announcement, math=math, max_hold=max_hold)
        self._table = Table(inline, skip=tables == "skip", emoji=emoji, max_hold=max_hold)
        self._line_ends = line_ends
        self._limit = max_hold
        self._buffer = ""
        self._at = 0  # source offset of the buffer
        self._in = _In.LINE_START
        self._open = False  # a paragraph, heading or item is open: what comes may go on with it
        self._strength = Strength.BLOCK  # what it ends with
        self._quoted = False
        self._indent = 0  # where the content of the innermost list item begins
        self._blank = True  # the line before was blank, or there was none
        self._task = False  # right behind an item's mark, where a box may stand
        self._rule = ""  # by which the rest of the line is dropped
        self._line = ""  # the current line so far: its first `LINE_MEMORY` characters
        self._line_end = ""  # and its last three
        self._bars = False  # bars in this line are text

    @property
    def idle(self) -> bool:
        """Within a line of plain text, nothing held: text without a line end or any of `MARKS` may pass by."""
        return self._in is _In.TEXT and not self._buffer and self._inline.idle

    @property
    def clean(self) -> bool:
        """Nothing at all is held."""
        return not self._buffer and not self._inline.held

    @property
    def awaits(self) -> Await:
        """What the text has to hold that comes next, for anything of what is held here to leave."""
        buffer, inside = self._buffer, self._in
        if not buffer:
            if self._inline.held:
                return Await.EMPHASIS
            return Await.END_OF_CODE if inside is _In.VERBATIM and self._verbatim.hidden else Await.NOTHING
        first, last = buffer[0], buffer[-1]
        if first == "\n" or (last == "]" and buffer.lstrip()[0] == "["):
            return Await.ANYTHING
        if inside is _In.LINE_START:
            if self._verbatim.announces:
                return Await.ANYTHING
            if "\n" in buffer:
                return Await.NO_RULE
            return Await.PARTNER if self._inline.held else Await.NOTHING
        if inside is _In.TEXT:
            if first == "[" and not self._inline.held and len(buffer) < self._limit:
                return Await.BRACKET
            if (first not in _AWAIT_PARTNER or len(buffer) == 1) and (self._inline.held or last in _MAY_END):
                return Await.ANYTHING
        if self._inline.held or first == "<" or _ENDS.search(buffer) is not None:  # a tag may end a block
            return Await.PARTNER
        return Await.NOTHING

    @property
    def bracket_room(self) -> int:
        """How far the partner of the bracket may be that is all that is held."""
        return self._limit - len(self._buffer)

    @property
    def in_table(self) -> bool:
        return self._in is _In.TABLE

    @property
    def in_whole(self) -> bool:
        """Within a table or a block that is not Markdown: an agent's pause is no place to stop."""
        return self._in is _In.TABLE or self._in is _In.VERBATIM

    @property
    def at_line_end(self) -> bool:
        """All that is held is a line end, and what may begin the next line."""
        return self._in is _In.TEXT and self._buffer[:1] == "\n" and not self._inline.held

    def paragraph_over(self) -> None:
        """Note that the paragraph ended in text that went by: what comes next stands behind its line end."""
        self._inline.end_block()
        self._open = self._quoted = False
        self._in = _In.LINE_START
        self._strength = Strength.BLOCK

    def passed(self, text: str, last: str) -> None:
        """Note text that went by while the stage was idle or new: how it began, and its last characters."""
        if self._in is _In.LINE_START:
            body = text.lstrip()
            blanks = text[: len(text) - len(body)]
            if len(blanks) - blanks.rfind("\n") - 1 < self._indent:
                self._indent = 0
            self._begin_text(Strength.BLOCK)
            text = body
        self._remember(text, last)
        self._inline.last = last[-1]
        self._inline.hard = False

    def feed(self, pieces: list[Piece]) -> list[Piece]:
        inline = self._inline
        for piece in pieces:
            if type(piece) is Text:
                if not self._buffer:
                    self._at = piece.start
                self._buffer += piece.text.replace("\r", "\t") if "\r" in piece.text else piece.text
                self._work(final=False)
            elif type(piece) is Removed and piece.cut:
                self._work(final=True)
                inline.base = self._at
                self._end_block(0)
                inline.put(piece)
            else:
                inline.put(piece)
        return inline.take()

    def flush(self, final: bool = True) -> list[Piece]:
        if final:
            self._work(final=True)
            self._inline.end_block()
        return self._inline.take()

    def _work(self, final: bool) -> None:
        text, pos = self._buffer, 0
        self._inline.base = self._at
        while pos < len(text):
            step = _STEPS[self._in](self, text, pos, final)
            if step is None:
                break
            pos = step
        self._buffer = text[pos:]
        self._at += pos

    # One step each: gives the position behind what is decided, or None when it needs more text from there on.

    def _line_start(self, text: str, pos: int, final: bool) -> int | None:
        begin = behind_blanks(text, pos)
        inline = self._inline
        if begin >= len(text):
            return inline.text(text, pos, begin) if final or begin - pos >= MAX_INDENT else None
        if self._task:
            box = task_end(text, begin, final)
            if box is None:
                return None
            self._task = False
            if box:
                inline.remove(begin, box, "list")
                return box
        kind, end = kind_of(text, begin, self._limit, final)
        if kind is Line.UNKNOWN:
            return None
        indent = indent_of(text, pos, begin)
        if kind is Line.BLANK:
            self._blank = True
            self._quoted = False
            return inline.text(text, pos, end)
        if indent >= 4 + self._indent and self._blank and not self._open and kind is not Line.FENCE:
            self._in = _In.VERBATIM
            return self._verbatim.open_indented(pos, begin, 4 + self._indent)
        if kind is Line.TEXT and not self._open and indent < self._indent:
            self._indent = 0
        inline.text(text, pos, begin)
        return self._begin(kind, text, begin, end, indent)

    def _begin(self, kind: Line, text: str, begin: int, end: int, indent: int) -> int:
        """A block, or another line of one, from `begin`; what makes it so ends at `end`."""
        inline = self._inline
        if kind is Line.TEXT:
            if not self._open:
                inline.stop(begin, Strength.BLOCK)
            self._begin_text(self._strength if self._open else Strength.BLOCK)
            return begin
        if kind is Line.QUOTE:
            inline.remove(begin, end, "quote")
            self._quoted = True
            return end
        if kind is Line.BULLET or kind is Line.ORDINAL:
            if kind is Line.BULLET:
                inline.remove(begin, end, "list")
            else:
                inline.text(text, begin, end)
            self._open = self._task = True
            self._strength = Strength.ITEM
            self._indent = indent + min(end - begin, 4)
            self._blank = False
            return end
        inline.stop(begin, Strength.BLOCK)
        if kind is Line.HEADING:
            inline.remove(begin, end, "heading")
            self._begin_text(Strength.BLOCK)
            self._in = _In.HEADING
            return end
        if kind is Line.FENCE or kind is Line.MATH:
            self._in = _In.VERBATIM
            self._open = False
            if kind is Line.MATH:
                return self._verbatim.open_math(text, begin, end)
            return self._verbatim.open_fence(text, begin, end, self._quoted)
        if kind is Line.TABLE:
            self._table.open(cells_of(text[begin : text.index("\n", begin)]), self._quoted)
            return self._begin_rows(begin, end)
        if kind is Line.ROW:
            self._table.open_rows(self._quoted)
            self._in = _In.TABLE
            self._open = self._blank = False
            return begin
        self._rule = {Line.FOOTNOTE: "footnote", Line.TARGET: "link target"}.get(kind, "rule")
        self._in = _In.NOTE if kind is Line.FOOTNOTE else _In.DROP
        if kind is Line.RULE:
            self._indent = 0
        inline.remove(begin, end, self._rule)
        return end

    def _begin_rows(self, begin: int, end: int) -> int:
        """Behind a table's header and its rule, whose line end is still to come."""
        self._table.remove(begin, end)
        self._in = _In.TABLE
        self._open = self._blank = False
        return end

    def _begin_text(self, strength: Strength) -> None:
        self._in = _In.TEXT
        self._strength = strength
        self._open = True
        self._blank = False
        self._line = self._line_end = ""
        self._bars = False
        self._inline.last = ""
        self._inline.hard = False

    def _remember(self, text: str, last: str) -> None:
        if len(self._line) < LINE_MEMORY:
            self._line = (self._line + text)[:LINE_MEMORY]
        self._line_end = (self._line_end + last)[-3:]

    def _text(self, text: str, pos: int, final: bool) -> int | None:
        inline = self._inline
        end = inline.scan(text, pos, final)
        if end > pos:
            self._remember(text[pos : min(end, pos + LINE_MEMORY)], text[max(pos, end - 3) : end])
        if inline.waiting or end >= len(text):
            return end if end > pos else None
        if text[end] == "|":
            step = self._bar(text, end, final)
        else:
            step = self._end_line(text, end, final)
        return end if step is None and end > pos else step

    def _heading(self, text: str, pos: int, final: bool) -> int | None:
        """The text of a heading, without the marks that may close it."""
        inline = self._inline
        newline = text.find("\n", pos)
        line = len(text) if newline < 0 else newline
        known = newline >= 0 or final
        closed = _HEADING_END.search(text, max(pos, line - self._limit), line)
        stop = closed.start() if closed is not None and (closed[0].strip() or not known) else line
        end = inline.scan(text[:stop], pos, known)
        while end < stop and not inline.waiting:  # at a bar, which is text here
            end = inline.scan(text[:stop], inline.text(text, end, end + 1), known)
        if end < stop or not known:
            return end if end > pos else None
        inline.remove(stop, line, "heading")
        if newline < 0:
            return line
        return self._finish(text, newline)

    def _bar(self, text: str, pos: int, final: bool) -> int | None:
        """A bar within a line: the line is a table's header if the next one is its rule."""
        kind, end = Line.TEXT, pos
        if not self._bars:
            top = text.find("\n", pos, pos + self._limit)
            if SENTENCE_END.search(text, pos, top if top >= 0 else pos + self._limit) is None:
                kind, end = table_head(text, pos, self._limit, final)
        if kind is Line.UNKNOWN:
            return None
        inline = self._inline
        if kind is Line.TEXT:
            self._bars = True
            self._remember("|", "|")
            return inline.text(text, pos, pos + 1)
        newline = text.index("\n", pos)
        self._table.open(cells_of(self._line + text[pos:newline]), self._quoted)
        inline.end_block()
        spoken = [cell.strip() for cell in cells_of(text[pos + 1 : newline]) if cell.strip()]
        if spoken and not self._table.skip:
            inline.say("".join(f", {cell}" for cell in spoken), pos, newline + 1)
        else:
            inline.remove(pos, newline + 1, TABLE)
        inline.stop(newline + 1, self._strength)
        return self._begin_rows(newline + 1, end)

    def _end_line(self, text: str, pos: int, final: bool) -> int | None:
        """At the line end of a paragraph or an item: does the next line go on with it?"""
        begin, quoted = pos + 1, False
        while True:
            begin = behind_blanks(text, begin)
            if not self._quoted or text[begin : begin + 1] != ">" or begin - pos >= MAX_INDENT:
                break
            quoted = True
            begin += 1
        if begin >= len(text):
            return self._finish(text, pos) if final or begin - pos >= MAX_INDENT else None
        in_item = self._strength is Strength.ITEM
        kind, end = kind_of(text, begin, self._limit, final, goes_on=True, in_item=in_item)
        if kind is Line.UNKNOWN:
            return None
        if kind is Line.UNDERLINE:
            self._finish(text, pos)
            self._inline.remove(pos + 1, end, "heading")
            self._in = _In.DROP
            self._rule = "heading"
            return end
        if kind is not Line.TEXT:
            return self._finish(text, pos)
        return self._go_on(text, pos, begin, quoted, final)

    def _go_on(self, text: str, pos: int, begin: int, quoted: bool, final: bool) -> int | None:
        """The next line goes on with the paragraph: is its beginning a boundary all the same?"""
        inline = self._inline
        marks = _LEADING_MARKS.match(text, begin)
        first = marks.end() if marks else begin
        if not final:
            if first >= len(text) and first - begin < MAX_MARKS:
                return None
            if self._line_ends == "auto" and _ITEM_LIKE_BEGIN.match(text, first):
                return None
        wrapped = self._line_ends == "space"
        if self._line_ends == "auto" and not inline.hard and not self._line_end.rstrip("\t\r").endswith("  "):
            line = self._line.rstrip()
            wrapped = (
                (self._line_end.rstrip() or line).endswith(_GOES_ON)
                or (text[first : first + 1].islower() and not _ITEM_LIKE.match(text, first))
                or width(line) >= WRAPPED
            )
        inline.text(text, pos, pos + 1)
        if not wrapped:
            inline.stop(pos + 1, self._strength)
        if quoted:
            inline.remove(pos + 1, begin, "quote")
        else:
            inline.text(text, pos + 1, begin)
        inline.last = "\n"
        inline.hard = False
        self._line = self._line_end = ""
        self._bars = False
        return begin

    def _finish(self, text: str, pos: int) -> int:
        """The block ends with the line end at `pos`."""
        self._inline.end_block()
        self._inline.text(text, pos, pos + 1)
        self._close(pos + 1)
        return pos + 1

    def _end_block(self, at: int) -> None:
        """Whatever is open ends here."""
        self._table.end(at)
        self._inline.end_block()
        self._close(at)

    def _close(self, at: int) -> None:
        if self._open:
            self._inline.stop(at, self._strength)
        self._open = self._quoted = False
        self._verbatim.closed = True
        self._in = _In.LINE_START
        self._strength = Strength.BLOCK

    def _in_verbatim(self, text: str, pos: int, final: bool) -> int | None:
        verbatim = self._verbatim
        step = verbatim.feed(text, pos, final)
        if verbatim.closed:
            self._quoted = False
            if verbatim.kind is Kind.FORMULA:
                self._begin_text(Strength.BLOCK)
                self._inline.last = "$"
                self._inline.hard = True
            else:
                self._in = _In.DROP if verbatim.kind is Kind.FENCE and step != pos else _In.LINE_START
                self._rule = CODE_MARK if verbatim.speaks else CODE
                self._blank = True
        return step

    def _in_table(self, text: str, pos: int, final: bool) -> int | None:
        step = self._table.feed(text, pos, final)
        if self._table.closed:
            self._in = _In.LINE_START
            self._blank = self._quoted = False
        return step

    def _drop(self, text: str, pos: int, final: bool) -> int | None:
        """The rest of a line that is not spoken; a footnote goes on to a blank line or the next block."""
        inline = self._inline
        newline = text.find("\n", pos)
        if newline < 0:
            inline.remove(pos, len(text), self._rule)
            return len(text)
        if newline > pos:
            inline.remove(pos, newline, self._rule)
            return newline
        if self._in is _In.NOTE:
            begin = behind_blanks(text, newline + 1)
            if begin >= len(text) and not final:
                return None
            if begin < len(text):
                kind, _ = kind_of(text, begin, self._limit, final, goes_on=True)
                if kind is Line.UNKNOWN:
                    return None
                if kind is Line.TEXT:
                    inline.remove(newline, begin, self._rule)
                    return begin
        inline.text(text, newline, newline + 1)
        self._in = _In.LINE_START
        self._open = self._quoted = False
        return newline + 1


_STEPS: Final = (
    Markup._line_start,
    Markup._text,
    Markup._heading,
    Markup._in_verbatim,
    Markup._in_table,
    Markup._drop,
    Markup._drop,
)
