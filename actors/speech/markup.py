"""Markdown (CommonMark with GFM) as a person would read it aloud, while it is still being written.

This module knows lines and blocks: what a line begins, what it goes on, where a block ends. What stands
within a block is `actors.speech.inline`'s. A line is looked at from its start, and no further than is needed
to know what it is: a letter decides at once, `1` waits for what follows, a line of bars waits for the next
one, because only that makes it a table. Fences, math blocks and skipped content are decided where they open
and are never held, however long. The end of a heading, a list item, a table row, a paragraph is a `Break`.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, Literal

from actors.speech.inline import Inline
from actors.speech.pieces import Break, Piece, Removed, Strength, Text

__all__ = ["Markup"]

CODE: Final = "code"
CODE_MARK: Final = "code mark"
TABLE: Final = "table"
LINE_MEMORY: Final = 200  # how much of a line is remembered: for its width, and as a table's header
WRAPPED: Final = 60  # columns: a line as long as this was wrapped, a shorter one was ended
MAX_INDENT: Final = 200

# Characters that mean something to a stage when they stand within a line, or begin one.
_CARES: Final = re.compile(r"[*_~\[`<&\\$\n|]|/|:")
_ENDS: Final = re.compile(r"[.!?…。！？\n]")
_AWAIT_PARTNER: Final = frozenset("[<`$\\")
STARTERS: Final = frozenset("#>-*+=~`|[$\\<_•◦▪▫‣⁃●○■□·–0123456789")

_INDENT: Final = re.compile(r"[ \t]*")
_RULE_LINE: Final = re.compile(r"([-*_])[ \t]*(?:\1[ \t]*){2,}(?=\n|\Z)")
_RULE_BEGIN: Final = re.compile(r"([-*_])[ \t]*(?:\1[ \t]*)*\Z")
_HEADING: Final = re.compile(r"(#{1,6})(?:[ \t]+|(?=\n|\Z))")
_HEADING_END: Final = re.compile(r"[ \t]+#*[ \t]*\Z")
_BULLET: Final = re.compile(r"[-*+][ \t]+(?=[^ \t])|[-*+](?=\n|\Z)|[•◦▪▫‣⁃●○■□·][ \t]*(?=[^ \t])")
_BULLET_BEGIN: Final = re.compile(r"[-*+•◦▪▫‣⁃●○■□·][ \t]*\Z")
_ORDINAL: Final = re.compile(r"(\d{1,9})[.)][ \t]+(?=[^ \t\n])")
_ORDINAL_BEGIN: Final = re.compile(r"\d{1,9}(?:[.)][ \t]*)?\Z")
_TASK: Final = re.compile(r"\[[ xX]\][ \t]")
_TASK_BEGIN: Final = re.compile(r"\[(?:[ xX](?:\][ \t]*)?)?\Z")
_FENCE: Final = re.compile(r"(`{3,})([^`\n]*)(?=\n|\Z)|(~{3,})([^\n]*)(?=\n|\Z)")
_FENCE_BEGIN: Final = re.compile(r"`{1,2}\Z|`{3,}[^`\n]*\Z|~{1,2}\Z|~{3,}[^\n]*\Z")
_UNDERLINE: Final = re.compile(r"(?:=+|-+)[ \t]*(?=\n|\Z)")
_UNDERLINE_BEGIN: Final = re.compile(r"(?:=+|-+)[ \t]*\Z")
_TABLE_RULE: Final = re.compile(
    r"(?=[^\n]*[|])[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*(?=\n|\Z)"
)
_TABLE_RULE_BEGIN: Final = re.compile(r"[ \t|:-]*\Z")
_FOOTNOTE_TEXT: Final = re.compile(r"\[\^[^\]\s]{1,64}\]:")
_LINK_TARGET: Final = re.compile(r"\[[^\]\n]{1,200}\]:[ \t]*\S*[^\n]*(?=\n|\Z)")
_DEFINITION_BEGIN: Final = re.compile(r"\[[^\]\n]{0,200}(?:\](?::[^\n]*)?)?\Z")
_CELLS: Final = re.compile(r"(?<!\\)\|")
_LEADING_MARKS: Final = re.compile(r"[*_~`\"'“‘«(\[]*")


class _Line(Enum):
    """What a line turns out to be."""

    UNKNOWN = 0  # more of it is needed
    TEXT = 1
    BLANK = 2
    HEADING = 3
    RULE = 4
    BULLET = 5
    ORDINAL = 6
    QUOTE = 7
    FENCE = 8
    MATH = 9
    TABLE = 10
    FOOTNOTE = 11
    TARGET = 12
    UNDERLINE = 13


class _In(Enum):
    """Where the stage is."""

    LINE_START = 0
    TEXT = 1
    FENCE = 2
    INDENTED = 3
    MATH = 4
    TABLE = 5  # at the start of a row
    CELL = 6
    DROP_LINE = 7
    FOOTNOTE = 8


class Markup:
    """Turns Markdown into what a person would say; see the settings of `SpeechSettings` for the choices."""

    __slots__ = (
        "_at",
        "_blank",
        "_buffer",
        "_cell",
        "_code",
        "_fence",
        "_headers",
        "_heading",
        "_in",
        "_indent",
        "_inline",
        "_limit",
        "_line",
        "_line_ends",
        "_math",
        "_no_table",
        "_open",
        "_phrase",
        "_quoted",
        "_row_end",
        "_strength",
        "_tables",
        "_task",
    )

    cares = _CARES

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
    ) -> None:
        self._inline = Inline(max_hold=max_hold, urls=urls, math=math)
        self._code = code
        self._phrase = code_announcement
        self._tables = tables
        self._math = math
        self._line_ends = line_ends
        self._limit = max_hold
        self._buffer = ""
        self._at = 0  # source offset of the buffer
        self._in = _In.LINE_START
        self._open = False  # a paragraph, heading or item is open: what comes may go on with it
        self._strength = Strength.BLOCK
        self._heading = False
        self._quoted = False
        self._indent = 0  # where the content of the innermost list item begins
        self._line = ""  # the text of the current line so far, up to LINE_MEMORY
        self._blank = True  # the line before was blank, or there was none
        self._fence = ""  # what closes the fence or the math block we are in
        self._headers: tuple[str, ...] | None = None
        self._cell = 0
        self._row_end = 0
        self._task = False  # right behind a bullet, where a box may stand
        self._no_table = -1  # up to this offset a bar is known to be text

    @property
    def idle(self) -> bool:
        """Within a line of plain text, nothing held: text without any character of `cares` may pass by."""
        return self._in is _In.TEXT and not self._buffer and not self._heading and self._inline.idle

    @property
    def clean(self) -> bool:
        """Nothing at all is held."""
        return not self._buffer and not self._inline.held

    @property
    def urgent(self) -> bool:
        """The next character, whatever it is, may let a sentence go that is held here."""
        buffer = self._buffer
        if not buffer:
            return False
        if buffer[0] == "\n":
            return True
        if self._in is _In.LINE_START:
            return self._code == "announce"
        if self._in is not _In.TEXT or (buffer[0] in _AWAIT_PARTNER and len(buffer) > 1):
            return False
        return self._inline.held or buffer[-1] in ".!?…。！？"

    @property
    def in_rule(self) -> bool:
        """A line with bars, and what may be the rule below it: anything else but a rule decides that it is text."""
        return self._in is _In.LINE_START and "\n" in self._buffer

    @property
    def bracket_room(self) -> int:
        """Behind a bracket that is all that is held: how far its partner may be; else 0."""
        buffer = self._buffer
        if buffer[:1] != "[" or buffer[-1] == "]" or self._in is not _In.TEXT or self._inline.held:
            return 0
        return self._limit - len(buffer)

    @property
    def held(self) -> bool:
        """A mark is open whose partner, or its absence, decides about text that is held."""
        if self._inline.held:
            return True
        return self._in is not _In.LINE_START and _ENDS.search(self._buffer) is not None

    @property
    def hidden(self) -> bool:
        """Within code that is not spoken: nothing can leave before its end."""
        return self._in is _In.FENCE and self._code != "speak" and not self._buffer

    @property
    def in_table(self) -> bool:
        return self._headers is not None

    def paragraph_over(self) -> None:
        """Note that the paragraph ended in text that went by: what comes next stands behind its line end."""
        self._inline.end_block()
        self._open = False
        self._in = _In.LINE_START
        self._strength = Strength.BLOCK
        self._line = ""

    def passed(self, text: str, last: str) -> None:
        """Note text that went by while the stage was idle or new: how it began, and its last character."""
        if self._in is _In.LINE_START:
            body = text.lstrip()
            blanks = text[: len(text) - len(body)]
            if len(blanks) - blanks.rfind("\n") - 1 < self._indent:
                self._indent = 0
            self._begin_text(Strength.BLOCK)
            text = body
        if len(self._line) < LINE_MEMORY:
            self._line += text[:LINE_MEMORY]
        self._inline.last = last

    def feed(self, pieces: list[Piece]) -> list[Piece]:
        inline = self._inline
        for piece in pieces:
            if type(piece) is Text:
                if not self._buffer:
                    self._at = piece.start
                self._buffer += piece.text
                self._work(final=False)
            elif type(piece) is Removed and piece.cut:
                self._work(final=True)
                self._end_block(0)
                self._in = _In.LINE_START
                self._headers = None
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
        inline = self._inline
        inline.base = self._at
        while pos < len(text):
            where = self._in
            if where is _In.TEXT:
                step = self._text(text, pos, final)
            elif where is _In.LINE_START:
                step = self._line_start(text, pos, final)
            elif where is _In.FENCE:
                step = self._in_fence(text, pos, final)
            elif where is _In.CELL:
                step = self._in_cell(text, pos, final)
            elif where is _In.TABLE:
                step = self._row_start(text, pos, final)
            elif where is _In.MATH:
                step = self._in_math(text, pos, final)
            elif where is _In.INDENTED:
                step = self._indented(text, pos, final)
            else:
                step = self._drop_line(text, pos, final)
            if step < 0:
                pos = -step - 1
                break
            pos = step
        self._buffer = text[pos:]
        self._at += pos

    # Each of these gives the position behind what is decided; `-pos - 1` when it needs more text from `pos` on.

    def _text(self, text: str, pos: int, final: bool) -> int:
        inline = self._inline
        if self._heading:
            return self._heading_text(text, pos, final)
        end = inline.scan(text, pos, final, in_cell=True)
        if end > pos and len(self._line) < LINE_MEMORY:
            self._line += text[pos : min(end, pos + LINE_MEMORY)]
        if inline.waiting:
            return -end - 1
        if end < len(text):
            if text[end] == "\n":
                return self._line_end(text, end, final)
            if inline.dropping:
                return end
            return self._bar(text, end, final)
        return end

    def _heading_text(self, text: str, pos: int, final: bool) -> int:
        """The text of a heading, without the marks that may close it."""
        inline = self._inline
        newline = text.find("\n", pos)
        stop = len(text) if newline < 0 else newline
        closed = _HEADING_END.search(text, max(pos, stop - self._limit), stop)
        known = newline >= 0 or final
        if closed is not None and (closed[0].strip() or not known):
            stop = closed.start()
        end = inline.scan(text[:stop], pos, known)
        if inline.waiting or (end == stop < len(text) and not known):
            return -end - 1
        if end < stop:
            return end
        if known and closed is not None:
            line = len(text) if newline < 0 else newline
            inline._remove(stop, line, "heading")
            end = line
        if newline >= 0:
            self._finish(text, newline, newline + 1)
            return newline + 1
        return end

    def _bar(self, text: str, pos: int, final: bool) -> int:
        """A bar within a line: the line is a table's header if the next one is its rule."""
        inline = self._inline
        kind, end = self._classify_bars(text, pos, final)
        if kind is _Line.UNKNOWN:
            return -pos - 1
        if kind is _Line.TEXT:
            inline._literal(text, pos, pos + 1)
            return pos + 1
        newline = text.index("\n", pos)
        cells = _CELLS.split(f"{self._line}{text[pos:newline]}".strip().strip("|"))
        self._headers = tuple(_plain(cell) for cell in cells)
        inline.end_block()
        spoken = [_plain(cell) for cell in _CELLS.split(text[pos + 1 : newline].strip().strip("|"))]
        if self._tables == "skip" or not any(spoken):
            inline._remove(pos, newline + 1, TABLE)
        else:
            inline.put(Text("".join(f", {cell}" for cell in spoken if cell), self._at + pos, self._at + newline + 1))
        self._end_item(newline + 1)
        self._begin_rows(newline + 1, end)
        return end

    def _line_start(self, text: str, pos: int, final: bool) -> int:
        match = _INDENT.match(text, pos, pos + MAX_INDENT)
        begin = match.end() if match else pos
        if begin >= len(text):
            if not final and begin - pos < MAX_INDENT:
                return -pos - 1
            self._blanks(pos, begin, text)
            return begin
        inline = self._inline
        if self._task:
            box = _TASK.match(text, begin)
            if box is None and not final and _TASK_BEGIN.match(text, begin):
                return -pos - 1
            self._task = False
            if box is not None:
                inline._remove(begin, box.end(), "list")
                return box.end()
        kind, end = self._classify(text, begin, final)
        if kind is _Line.UNKNOWN:
            return -pos - 1
        if kind is _Line.BLANK:
            self._blanks(pos, end, text)
            self._blank = True
            self._quoted = False
            return end
        indent = begin - pos + 3 * text.count("\t", pos, begin)
        if indent >= 4 + self._indent and self._blank and not self._open and kind is not _Line.FENCE:
            self._in = _In.INDENTED
            if self._code == "announce":
                return self._announce(text, pos, begin)
            return pos
        if kind is _Line.TEXT and not self._open and indent < self._indent:
            self._indent = 0
        self._blanks(pos, begin, text)
        if kind is _Line.TEXT:
            self._begin_text(self._strength if self._open else Strength.BLOCK)
            return begin
        if kind is _Line.HEADING:
            inline._remove(begin, end, "heading")
            self._begin_text(Strength.BLOCK)
            self._heading = True
            if end >= len(text) or text[end] == "\n":
                self._heading = end < len(text)
            return end
        if kind is _Line.QUOTE:
            inline._remove(begin, end, "quote")
            self._quoted = True
            return end
        if kind is _Line.BULLET or kind is _Line.ORDINAL:
            if kind is _Line.BULLET:
                inline._remove(begin, end, "list")
                self._task = True
            else:
                self._blanks(begin, end, text)
            self._open = True
            self._strength = Strength.ITEM
            self._indent = indent + min(end - begin, 4)
            self._blank = False
            return end
        if kind is _Line.RULE:
            inline._remove(begin, end, "rule")
            self._in = _In.DROP_LINE
            self._fence = "rule"
            self._indent = 0
            return end
        if kind is _Line.FENCE:
            run = text[begin : begin + len(text[begin:end]) - len(text[begin:end].lstrip(text[begin]))]
            self._fence = run
            self._in = _In.FENCE
            self._line = "\n"
            self._end_item(begin)
            if self._code == "announce":
                return self._announce(text, begin, end)
            inline._remove(begin, end, CODE_MARK) if self._code == "speak" else self._cut(begin, end, CODE)
            return end
        if kind is _Line.MATH:
            self._fence = "$$" if text[begin] == "$" else "\\]"
            self._in = _In.MATH
            inline._remove(begin, end, "math mark")
            return end
        if kind is _Line.TABLE:
            return self._table_start(text, begin, end)
        self._in = _In.FOOTNOTE if kind is _Line.FOOTNOTE else _In.DROP_LINE
        self._fence = "footnote" if kind is _Line.FOOTNOTE else "link target"
        inline._remove(begin, end, self._fence)
        return end

    def _classify(self, text: str, pos: int, final: bool, goes_on: bool = False) -> tuple[_Line, int]:
        """What the line is whose first character that is not blank stands at `pos`, and where its mark ends.

        `goes_on`: a paragraph is open, which not everything may interrupt.
        """
        char = text[pos]
        if char == "\n":
            return _Line.BLANK, pos + 1
        if char not in STARTERS:
            return _Line.TEXT, pos
        if char.isdigit():
            match = _ORDINAL.match(text, pos)
            if match is not None:
                if goes_on and self._strength is not Strength.ITEM and match[1] != "1":
                    return _Line.TEXT, pos
                return _Line.ORDINAL, match.end()
            return (_Line.TEXT if final or not _ORDINAL_BEGIN.match(text, pos) else _Line.UNKNOWN), pos
        stop = min(len(text), pos + self._limit)
        near = len(text) < pos + self._limit and not final  # the line may still become something
        if char in "-*_+•◦▪▫‣⁃●○■□·":
            if goes_on and char == "-":
                under = _UNDERLINE.match(text, pos, stop)
                if under is not None and _ends_line(text, under.end(), stop, final):
                    return _Line.UNDERLINE, under.end()
                if near and _UNDERLINE_BEGIN.match(text, pos):
                    return _Line.UNKNOWN, pos
            if char in "-*_":
                rule = _RULE_LINE.match(text, pos, stop)
                if rule is not None and _ends_line(text, rule.end(), stop, final):
                    return _Line.RULE, rule.end()
                if near and _RULE_BEGIN.match(text, pos):
                    return _Line.UNKNOWN, pos
            bullet = _BULLET.match(text, pos, stop)
            if bullet is not None and (bullet.end() < len(text) or final):
                return _Line.BULLET, bullet.end()
            if near and _BULLET_BEGIN.match(text, pos):
                return _Line.UNKNOWN, pos
            return _Line.TEXT, pos
        if char == "#":
            heading = _HEADING.match(text, pos)
            if heading is not None and (heading.end() < len(text) or final):
                return _Line.HEADING, heading.end()
            end = pos
            while end < stop and text[end] in "# \t":
                end += 1
            return (_Line.UNKNOWN if near and end == len(text) else _Line.TEXT), pos
        if char == ">":
            if pos + 1 >= len(text) and not final:
                return _Line.UNKNOWN, pos
            return _Line.QUOTE, pos + (2 if text[pos + 1 : pos + 2] == " " else 1)
        if char in "`~":
            fence = _FENCE.match(text, pos, stop)
            if fence is not None and _ends_line(text, fence.end(), stop, final):
                return _Line.FENCE, fence.end()
            if near and _FENCE_BEGIN.match(text, pos):
                return _Line.UNKNOWN, pos
            return _Line.TEXT, pos
        if char == "=":
            if goes_on:
                under = _UNDERLINE.match(text, pos, stop)
                if under is not None and _ends_line(text, under.end(), stop, final):
                    return _Line.UNDERLINE, under.end()
                if near and _UNDERLINE_BEGIN.match(text, pos):
                    return _Line.UNKNOWN, pos
            return _Line.TEXT, pos
        if char == "|":
            return self._classify_bars(text, pos, final)
        if char == "[":
            return self._classify_bracket(text, pos, stop, near, final)
        if char == "$" or char == "\\":
            follows = text[pos + 1 : pos + 3]
            if len(follows) < 2 and not final and "$$\\[".find(char + follows) in (0, 2):
                return _Line.UNKNOWN, pos
            if (char == "$" and follows[:1] == "$") or (follows[:1] == "[" and follows[1:].isspace()):
                return _Line.MATH, pos + 2
        return _Line.TEXT, pos

    def _classify_bracket(self, text: str, pos: int, stop: int, near: bool, final: bool) -> tuple[_Line, int]:
        note = _FOOTNOTE_TEXT.match(text, pos, stop)
        if note is not None:
            return _Line.FOOTNOTE, note.end()
        target = _LINK_TARGET.match(text, pos, pos + 4 * self._limit)
        close = text.find("]", pos, stop)
        if not 0 < close < stop - 1:
            target = None
        if target is not None and not text.startswith("[^", pos):
            if _ends_line(text, target.end(), pos + 4 * self._limit, final):
                return _Line.TARGET, target.end()
        if near and _DEFINITION_BEGIN.match(text, pos):
            return _Line.UNKNOWN, pos
        if target is not None and not final and len(text) < pos + 4 * self._limit:
            return _Line.UNKNOWN, pos
        return _Line.TEXT, pos

    def _classify_bars(self, text: str, pos: int, final: bool) -> tuple[_Line, int]:
        """A line with bars is a table's header if the next one is its rule."""
        if self._at + pos < self._no_table:
            return _Line.TEXT, pos
        limit = pos + self._limit
        end = text.find("\n", pos, limit)
        if end < 0:
            if len(text) < limit and not final:
                return _Line.UNKNOWN, pos
            self._no_table = self._at + pos + 1
            return _Line.TEXT, pos
        stop = end + 1 + 2 * self._limit
        rule = _TABLE_RULE.match(text, end + 1, stop)
        if rule is not None and _ends_line(text, rule.end(), stop, final):
            return _Line.TABLE, rule.end()
        if not final and len(text) < stop and _TABLE_RULE_BEGIN.match(text, end + 1):
            return _Line.UNKNOWN, pos
        self._no_table = self._at + end
        return _Line.TEXT, pos

    # Text, and what ends its lines.

    def _begin_text(self, strength: Strength) -> None:
        self._in = _In.TEXT
        self._strength = strength
        self._open = True
        self._heading = False
        self._blank = False
        self._line = ""
        self._inline.last = ""
        self._inline.hard = False

    def _line_end(self, text: str, pos: int, final: bool) -> int:
        """At the line end of a paragraph, a heading or an item: does the next line go on with it?"""
        begin = pos + 1
        quoted = False
        while True:
            match = _INDENT.match(text, begin, begin + MAX_INDENT)
            begin = match.end() if match else begin
            if begin >= len(text) and not final and begin - pos < MAX_INDENT:
                return -pos - 1
            if self._quoted and text[begin : begin + 1] == ">":
                quoted = True
                begin += 1
                continue
            break
        if begin >= len(text):
            self._finish(text, pos, pos + 1)
            return pos + 1
        kind, end = self._classify(text, begin, final, goes_on=True)
        if kind is _Line.UNKNOWN:
            return -pos - 1
        if kind is _Line.UNDERLINE:
            self._finish(text, pos, pos + 1)
            self._inline._remove(pos + 1, end, "heading")
            self._in = _In.DROP_LINE
            self._fence = "heading"
            return end
        if kind is not _Line.TEXT:
            self._finish(text, pos, pos + 1)
            return pos + 1
        return self._go_on(text, pos, begin, quoted, final)

    def _go_on(self, text: str, pos: int, begin: int, quoted: bool, final: bool) -> int:
        """The next line goes on with the paragraph: is its beginning a boundary all the same?"""
        inline = self._inline
        first = _LEADING_MARKS.match(text, begin)
        at = first.end() if first else begin
        if at >= len(text) and not final and at - begin < 8:
            return -pos - 1
        wrapped = self._line_ends == "space"
        if self._line_ends == "auto" and not inline.hard and not self._line.endswith("  "):
            line = self._line.rstrip()
            wrapped = (
                line.endswith((",", "，", "、", "،"))
                or text[at : at + 1].islower()
                or len(line) >= WRAPPED
                or (len(line) * 2 >= WRAPPED > 0 and _columns(line) >= WRAPPED)
            )
        inline.put(Text(" ", self._at + pos, self._at + pos + 1))
        if not wrapped:
            inline.put(Break(self._at + pos + 1, self._strength))
        if quoted:
            inline._remove(pos + 1, begin, "quote")
        else:
            self._blanks(pos + 1, begin, text)
        inline.last = "\n"
        inline.hard = False
        self._line = ""
        return begin

    def _finish(self, text: str, pos: int, end: int) -> None:  # noqa: ARG002
        """The block ends with the line end at `pos`."""
        self._inline.put(Text("\n", self._at + pos, self._at + end))
        self._end_block(self._at + end)

    def _end_block(self, at: int) -> None:
        inline = self._inline
        inline.end_block()
        if self._open:
            inline.put(Break(at, self._strength))
        self._open = False
        self._heading = False
        self._in = _In.LINE_START
        self._strength = Strength.BLOCK

    def _end_item(self, pos: int) -> None:
        if self._open:
            self._inline.put(Break(self._at + pos, self._strength))
            self._open = False

    def _blanks(self, begin: int, end: int, text: str) -> None:
        if end > begin:
            self._inline.put(Text(text[begin:end], self._at + begin, self._at + end))

    def _cut(self, begin: int, end: int, rule: str) -> None:
        if end > begin:
            self._inline.put(Removed(self._at + begin, self._at + end, rule, True))

    def _announce(self, text: str, begin: int, end: int) -> int:  # noqa: ARG002
        base = self._at
        self._inline.put(Break(base + begin, Strength.BLOCK))
        self._inline.put(Text(self._phrase, base + begin, base + max(end, begin + 1)))
        self._inline.put(Break(base + end, Strength.BLOCK))
        return max(end, begin + 1)

    # Code, math, and other stretches that are decided where they open.

    def _in_fence(self, text: str, pos: int, final: bool) -> int:
        """Line by line; only what may be the closing line is held."""
        newline = text.find("\n", pos)
        end = len(text) if newline < 0 else newline
        if self._line == "\n":  # still on the opening line
            if newline < 0:
                return end
            self._code_text(text, pos, newline + 1)
            self._line = ""
            return newline + 1
        if not self._line:
            run = self._fence
            match = re.compile(rf"[ \t>]*{re.escape(run)}{re.escape(run[0])}*[ \t\r]*(?=\n|\Z)").match(text, pos, end)
            if match is not None and (newline >= 0 or final):
                self._end_code(text, pos, end)
                return end
            head = text[pos : min(end, pos + self._limit)].lstrip(" \t>")
            if newline < 0 and not final and end - pos < self._limit and not head.strip(run[0]).strip():
                return -pos - 1
        if newline < 0:
            self._line = "+"
            self._code_text(text, pos, end)
            return end
        self._line = ""
        self._code_text(text, pos, newline + 1)
        return newline + 1

    def _code_text(self, text: str, begin: int, end: int) -> None:
        if self._code == "speak":
            run = text[begin:end]
            self._inline.put(Text(run, self._at + begin, self._at + end))
            if run.endswith("\n"):
                self._inline.put(Break(self._at + end, Strength.BLOCK))
        else:
            self._cut(begin, end, CODE)

    def _end_code(self, text: str, begin: int, end: int) -> None:  # noqa: ARG002
        if self._code == "speak":
            self._inline._remove(begin, end, CODE_MARK)
        else:
            self._cut(begin, end, CODE)
        self._in = _In.DROP_LINE
        self._fence = CODE_MARK if self._code == "speak" else CODE
        self._blank = True

    def _indented(self, text: str, pos: int, final: bool) -> int:
        newline = text.find("\n", pos)
        end = len(text) if newline < 0 else newline + 1
        if self._line != "+":
            match = _INDENT.match(text, pos, pos + MAX_INDENT)
            begin = match.end() if match else pos
            if begin >= len(text) and not final and begin - pos < MAX_INDENT:
                return -pos - 1
            if begin < len(text) and text[begin] == "\n":
                self._blanks(pos, begin + 1, text)
                return begin + 1
            indent = begin - pos + 3 * text.count("\t", pos, begin)
            if indent < 4 + self._indent and self._line != "!":
                self._in = _In.LINE_START
                self._line = ""
                self._blank = True
                return pos
        self._code_text(text, pos, end)
        self._line = "" if newline >= 0 else "+"
        return end

    def _in_math(self, text: str, pos: int, final: bool) -> int:
        inline = self._inline
        closer = self._fence
        end = text.find(closer, pos)
        if end < 0:
            stop = len(text)
            if not final and text[stop - 1] == closer[0]:
                stop -= 1
        else:
            stop = end
        if stop > pos:
            if self._math == "skip":
                inline._remove(pos, stop, "math")
            else:
                inline.put(Text(text[pos:stop].replace("\n", " "), self._at + pos, self._at + stop))
        if end < 0:
            return stop if stop == len(text) else -stop - 1
        inline._remove(end, end + 2, "math mark")
        self._begin_text(Strength.BLOCK)
        inline.last = "$"
        return end + 2

    def _drop_line(self, text: str, pos: int, final: bool) -> int:
        """The rest of a line that is removed; a footnote goes on to a blank line or the next block."""
        newline = text.find("\n", pos)
        end = len(text) if newline < 0 else newline
        if end > pos:
            self._inline._remove(pos, end, self._fence)
        if newline < 0:
            return end
        if self._in is _In.FOOTNOTE:
            match = _INDENT.match(text, newline + 1, newline + 1 + MAX_INDENT)
            begin = match.end() if match else newline + 1
            if begin >= len(text) and not final:
                return -newline - 1
            if begin < len(text):
                kind, _ = self._classify(text, begin, final, goes_on=True)
                if kind is _Line.UNKNOWN:
                    return -newline - 1
                if kind is _Line.TEXT:
                    self._inline._remove(newline, begin, self._fence)
                    return begin
        self._blanks(newline, newline + 1, text)
        self._in = _In.LINE_START
        self._open = False
        self._line = ""
        return newline + 1

    # Tables.

    def _table_start(self, text: str, begin: int, end: int) -> int:
        header = text[begin : text.index("\n", begin)]
        cells = _CELLS.split(header.strip().strip("|"))
        self._headers = tuple(_plain(cell) for cell in cells)
        self._end_item(begin)
        self._begin_rows(begin, end)
        return end

    def _begin_rows(self, begin: int, end: int) -> None:
        """Behind the header and the rule, whose line end is still to come."""
        if self._tables == "skip":
            self._cut(begin, end, TABLE)
        else:
            self._inline._remove(begin, end, TABLE)
        self._in = _In.TABLE
        self._blank = False
        self._line = "-"

    def _row_start(self, text: str, pos: int, final: bool) -> int:
        inline = self._inline
        if self._line == "-":
            newline = text.find("\n", pos)
            end = len(text) if newline < 0 else newline + 1
            if self._tables == "skip":
                self._cut(pos, end, TABLE)
            else:
                inline._remove(pos, end, TABLE)
            if newline >= 0:
                self._line = ""
            return end
        match = _INDENT.match(text, pos, pos + MAX_INDENT)
        begin = match.end() if match else pos
        if begin >= len(text) and not final:
            return -pos - 1
        if begin < len(text) and text[begin] == "|":
            if self._tables == "skip":
                self._line = "-"
                return pos
            inline._remove(pos, begin, TABLE)
            self._in = _In.CELL
            self._cell = 0
            return self._cell_start(text, begin, final)
        if begin < len(text):
            kind, _ = self._classify(text, begin, final)
            if kind is _Line.UNKNOWN:
                return -pos - 1
            bar = text.find("|", begin, begin + self._limit)
            newline = text.find("\n", begin, begin + self._limit)
            if kind is _Line.TEXT:
                if bar < 0 and newline < 0 and not final and len(text) < begin + self._limit:
                    return -pos - 1
                if bar >= 0 and (newline < 0 or bar < newline):
                    if self._tables == "skip":
                        self._line = "-"
                        return pos
                    inline._remove(pos, begin, TABLE)
                    self._in = _In.CELL
                    self._cell = 0
                    self._cell_text(begin, begin)
                    return begin
        self._headers = None
        self._in = _In.LINE_START
        self._blank = False
        return pos

    def _cell_start(self, text: str, bar: int, final: bool) -> int:
        """At the bar before a cell, or at the one that ends the row."""
        match = _INDENT.match(text, bar + 1, bar + 1 + MAX_INDENT)
        begin = match.end() if match else bar + 1
        if begin >= len(text) and not final and begin - bar < MAX_INDENT:
            self._row_end = 1
            return -bar - 1
        self._row_end = 0
        inline = self._inline
        follows = text[begin : begin + 1]
        if not follows or follows == "\n":
            inline._remove(bar, begin, TABLE)
            return begin
        headers = self._headers or ()
        if follows == "|" or self._cell >= len(headers) > 0:
            inline._remove(bar, begin, TABLE)
            self._cell += 1
            if follows != "|":
                self._line = "-"
                self._in = _In.TABLE
                self._end_row(begin)
            return begin
        self._cell_text(bar, begin)
        return begin

    def _cell_text(self, bar: int, begin: int) -> None:
        """Say which column the next cell is of."""
        headers = self._headers or ()
        header = headers[self._cell] if self._cell < len(headers) else ""
        spoken = f"{header}: " if header else ""
        inline = self._inline
        if self._open:
            spoken = f", {spoken}"
        inline.end_block()
        if spoken:
            inline.put(Text(spoken, self._at + bar, self._at + begin))
        elif begin > bar:
            inline._remove(bar, begin, TABLE)
        self._open = True
        self._strength = Strength.ITEM
        self._cell += 1
        inline.last = ""

    def _in_cell(self, text: str, pos: int, final: bool) -> int:
        inline = self._inline
        if text[pos] == "|" and (self._row_end or not inline.held):
            pass
        end = inline.scan(text, pos, final, in_cell=True)
        if inline.waiting:
            return -end - 1
        if end >= len(text):
            return end
        if text[end] == "|":
            inline.end_block()
            return self._cell_start(text, end, final)
        inline.put(Text("\n", self._at + end, self._at + end + 1))
        self._end_row(end + 1)
        self._in = _In.TABLE
        self._line = ""
        return end + 1

    def _end_row(self, at: int) -> None:
        inline = self._inline
        inline.end_block()
        if self._open:
            inline.put(Break(self._at + at, Strength.ITEM))
        self._open = False
        self._cell = 0


def _ends_line(text: str, at: int, stop: int, final: bool) -> bool:
    """Whether a line ends at `at`, before `stop`, so that what was found in it is all of it."""
    return text[at] == "\n" if at < min(stop, len(text)) else final and at == len(text) < stop


def _columns(line: str) -> int:
    wide = sum(
        1
        for char in line
        if char >= "\u1100"
        and (
            "\u2e80" <= char <= "\ua4cf"
            or "\uac00" <= char <= "\ud7a3"
            or "\uf900" <= char <= "\ufaff"
            or "\uff00" <= char <= "\uff60"
            or char >= "\U00020000"
        )
    )
    return len(line) + wide


def _plain(cell: str) -> str:
    """A header as it is said: without its marks."""
    inline = Inline()
    inline.base = 0
    text = cell.strip()
    pos = 0
    while pos < len(text):
        pos = inline.scan(text, pos, True)
        if pos < len(text):
            pos += 1
    inline.end_block()
    spoken = "".join(piece.text for piece in inline.take() if type(piece) is Text)
    return " ".join(spoken.split()).rstrip(":")
