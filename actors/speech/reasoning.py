"""Hidden reasoning: `<think>…</think>` and its kin, removed however the tags were cut into tokens.

Outside, the text passes as it comes; only what may still become a tag is held, and never more than a tag's
length. Inside, nothing is held and nothing passes. A tag within code is text, so the stage follows fences
(by lines) and inline code (by its opening run of backticks): a tag behind an open run waits until that run
has found its partner, or until it is certain that it finds none (the end of the block, or `max_hold`). Three
backticks at the start of a line are a fence if no other follows in that line. Inside, a tag between two
backticks is spoken of and neither opens nor closes anything.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from actors.speech.pieces import Piece, Removed, Text

__all__ = ["Reasoning"]

RULE: Final = "reasoning"
LINE_HEAD: Final = 48  # a fence further into its line than this is no fence

_CARES: Final = re.compile(r"[<`~\\]")
_FENCE_PREFIX: Final = re.compile(rf"(?=.{{0,{LINE_HEAD - 1}}}\Z)[ \t>]*(?:(?:[-*+]|\d{{1,9}}[.)])[ \t]+)?[ \t>]*")
_FENCE_CLOSE: Final = re.compile(r"[ \t>]*(`{3,}|~{3,})[ \t\r]*")
_BLANK_LINE: Final = re.compile(r"\n[ \t]*\n")


class _TagSyntax:
    """The expressions for one set of tag names: made once, shared by all turns."""

    __slots__ = ("partial", "tag", "token")

    def __init__(self, names: tuple[str, ...], limit: int) -> None:
        alternatives = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
        tag = rf"<(/?)(?:{alternatives})(?:\s[^<>]{{0,{limit}}})?/?>"
        self.tag = re.compile(tag, re.IGNORECASE)
        # Literal beginnings: several times faster.
        self.token = re.compile(rf"{tag}|``*|~~*|\\\\|\\`|\\\Z|\n", re.IGNORECASE)
        prefixes = sorted({name[:size] for name in names for size in range(len(name) + 1)}, key=len, reverse=True)
        starts = "|".join(re.escape(prefix) for prefix in prefixes)
        self.partial = re.compile(
            rf"<(?:/?(?:{starts})|/?(?:{alternatives})(?:\s[^<>]{{0,{limit}}}|/))?\Z", re.IGNORECASE
        )


@lru_cache(maxsize=64)
def _syntax(names: tuple[str, ...], limit: int) -> _TagSyntax:
    return _TagSyntax(names, limit)


class Reasoning:
    """Removes reasoning elements; nested ones count, stray closing tags go, code keeps its tags."""

    __slots__ = (
        "_at",
        "_code",
        "_code_at",
        "_depth",
        "_fence",
        "_held",
        "_last",
        "_limit",
        "_line",
        "_may_fence",
        "_speak",
        "_syntax",
    )

    cares = _CARES

    def __init__(
        self,
        tags: tuple[str, ...] = ("think", "thinking", "reasoning"),
        *,
        max_hold: int = 200,
        starts_inside: bool = False,
        speak_unclosed: bool = False,
    ) -> None:
        self._syntax = _syntax(tags, max_hold)
        self._limit = max_hold
        self._speak = speak_unclosed
        self._depth = 1 if starts_inside else 0
        self._held = ""  # text not yet decided, or (inside, when the end may be spoken) the last of what was hidden
        self._at = 0  # source offset of what is held
        self._line = ""  # the head of the current line, up to LINE_HEAD
        self._fence = ""  # the run that opened the fence we are in
        self._code = 0  # length of an open run of backticks, 0 when there is none
        self._code_at = 0  # where that run opened
        self._may_fence = False  # it stands at the start of its line, and is a fence if no other follows there
        self._last = ""  # inside: the character before what is held

    @property
    def idle(self) -> bool:
        """Text without any character of `cares` may pass by, if `passed` is told of it."""
        return not (self._depth or self._held or self._fence or self._code)

    @property
    def urgent(self) -> bool:
        """The next character, whatever it is, may decide about a tag."""
        return bool(self._held) and not self._depth

    @property
    def hidden(self) -> bool:
        """Inside reasoning: nothing can leave before its end."""
        return self._depth > 0

    def passed(self, text: str) -> None:
        """Note text that went by while the stage was idle: where lines begin matters for fences."""
        newline = text.rfind("\n")
        if newline >= 0:
            self._line = text[newline + 1 : newline + 1 + LINE_HEAD]
        elif len(self._line) < LINE_HEAD:
            self._line = (self._line + text)[:LINE_HEAD]

    def feed(self, pieces: list[Piece]) -> list[Piece]:
        out: list[Piece] = []
        for piece in pieces:
            if type(piece) is not Text:
                out.append(piece)
                continue
            if not self._held:
                if self.idle and self._syntax.token.search(piece.text) is None and "<" not in piece.text:
                    self.passed(piece.text)
                    out.append(piece)
                    continue
                self._at = piece.start
            self._held += piece.text
            self._work(out, final=False)
        return out

    def flush(self, final: bool = True) -> list[Piece]:
        out: list[Piece] = []
        if final and (self._held or self._depth):
            if self._depth:
                if self._speak and self._held:
                    out.append(Text(self._held, self._at, self._at + len(self._held)))
                elif self._held:
                    out.append(Removed(self._at, self._at + len(self._held), RULE, True))
                self._held = ""
            else:
                self._work(out, final=True)
        return out

    # What is held is worked off from its start: `pos` is how far decisions have come.

    def _work(self, out: list[Piece], final: bool) -> None:
        text, base = self._held, self._at
        pos = 0
        while pos < len(text):
            if self._depth:
                step = self._inside(text, pos, base, out, final)
            elif self._fence:
                step = self._in_fence(text, pos, base, out)
            else:
                step = self._outside(text, pos, base, out, final)
            if step == pos:
                break
            pos = step
        self._held = text[pos:]
        self._at = base + pos

    def _inside(self, text: str, pos: int, base: int, out: list[Piece], final: bool) -> int:
        at = pos
        while True:
            tag = self._syntax.tag.search(text, at)
            if tag is None or (text[tag.start() - 1] if tag.start() else self._last) != "`":
                break
            if tag.end() == len(text) and not final:
                return self._hide(text, pos, self._unheard(text, pos, tag.start()), base, out)
            if text[tag.end() : tag.end() + 1] != "`":
                break
            at = tag.end()
        if tag is not None:
            if text[tag.end() - 2] != "/":
                self._depth += -1 if tag[1] else 1
            self._hide(text, pos, tag.end(), base, out)
            if not self._depth:
                self._line = ""
            return tag.end()
        if final:
            return self._hide(text, pos, len(text), base, out)
        partial = self._syntax.partial.search(text, max(pos, text.rfind("<")))
        end = partial.start() if partial else len(text)
        return self._hide(text, pos, self._unheard(text, pos, end), base, out)

    def _unheard(self, text: str, pos: int, end: int) -> int:
        """Up to where, at most `end`, what is hidden can be forgotten: what is never closed may be spoken."""
        return min(end, max(pos, len(text) - self._limit)) if self._speak else end

    def _hide(self, text: str, pos: int, end: int, base: int, out: list[Piece]) -> int:
        if end > pos:
            out.append(Removed(base + pos, base + end, RULE, True))
            self._last = text[end - 1]
        return end

    def _outside(self, text: str, pos: int, base: int, out: list[Piece], final: bool) -> int:
        start = pos
        while True:
            token = self._syntax.token.search(text, pos)
            if token is None:
                partial = None if final else self._syntax.partial.search(text, max(pos, text.rfind("<")))
                return self._emit(text, start, partial.start() if partial else len(text), base, out)
            begin, end = token.span()
            mark = text[begin]
            less = -1 if final or mark == "<" else text.rfind("<", pos, begin)
            if less >= 0 and self._syntax.partial.match(text, less) is not None:
                return self._emit(text, start, less, base, out)
            if mark == "<":
                if self._code:
                    closed = self._code_closes(text, end, base, final)
                    if closed is None:
                        return self._emit(text, start, begin, base, out)
                    if closed:
                        pos = closed
                        continue
                    self._code = 0
                self._emit(text, start, begin, base, out)
                if not token[1] and text[end - 2] != "/":
                    self._depth = 1
                out.append(Removed(base + begin, base + end, RULE, True))
                self._last = ">"
                self._line = ""
                return end
            if mark == "\n":
                if self._code and self._may_fence:
                    self._fence, self._code = "`" * self._code, 0
                    return self._emit(text, start, end, base, out)
                if self._code and not self._line_so_far(text, start, begin).strip():
                    self._code = 0
                pos = end
                continue
            if mark == "\\":
                if end == begin + 1 and not final:
                    return self._emit(text, start, begin, base, out)
                pos = begin + 1 if self._code else end  # within code it escapes nothing
                continue
            if end == len(text) and not final and end - begin < self._limit:
                return self._emit(text, start, begin, base, out)  # the run may go on
            size = end - begin
            if size >= 3 and _FENCE_PREFIX.fullmatch(self._line_so_far(text, start, begin)):
                if mark == "~":
                    self._fence, self._code = token[0], 0
                    self._emit(text, start, end, base, out)
                    self._line = "+"  # the opening line does not close it
                    return end
                self._code, self._code_at, self._may_fence = size, base + begin, True
            elif mark == "`":
                self._inline_run(size, base + begin)
            pos = end

    def _inline_run(self, size: int, at: int) -> None:
        """A run of backticks within a line opens a code span, or closes the open one if it is as long."""
        if not self._code or (self._code != size and at - self._code_at > self._limit):
            self._code, self._code_at = size, at
        elif self._code == size:
            self._code = 0
        self._may_fence = False

    def _in_fence(self, text: str, pos: int, base: int, out: list[Piece]) -> int:
        newline = text.find("\n", pos)
        end = len(text) if newline < 0 else newline
        line = (self._line + text[pos : min(end, pos + LINE_HEAD)])[:LINE_HEAD]
        if newline < 0:
            self._line = line
            out.append(Text(text[pos:end], base + pos, base + end))
            return end
        close = _FENCE_CLOSE.fullmatch(line)
        if close is not None and close[1][0] == self._fence[0] and len(close[1]) >= len(self._fence):
            self._fence = ""
        self._line = ""
        out.append(Text(text[pos : end + 1], base + pos, base + end + 1))
        return end + 1

    def _emit(self, text: str, start: int, end: int, base: int, out: list[Piece]) -> int:
        if end > start:
            run = text[start:end]
            self.passed(run)
            out.append(Text(run, base + start, base + end))
        return end

    def _line_so_far(self, text: str, start: int, end: int) -> str:
        """What the current line holds up to `end`, its first `LINE_HEAD` characters."""
        newline = text.rfind("\n", start, end)
        if newline >= 0:
            return text[newline + 1 : min(end, newline + 1 + LINE_HEAD)]
        return (self._line + text[start : min(end, start + LINE_HEAD)])[:LINE_HEAD]

    def _code_closes(self, text: str, pos: int, base: int, final: bool) -> int | None:
        """Where the open code ends (behind its closing run), 0 if it is none, None if that is not known."""
        limit = self._code_at + self._limit - base  # index in `text` up to which it may close
        blank = _BLANK_LINE.search(text, pos)
        end = min(limit, blank.start() if blank else len(text))
        if self._may_fence:
            newline = text.find("\n", pos, max(pos, limit))
            if newline >= 0 and text.find("`", pos, newline) < 0:
                return newline
        while True:
            begin = text.find("`", pos, max(pos, end))
            if begin < 0:
                break
            pos = begin
            while pos < len(text) and text[pos] == "`":
                pos += 1
            if pos == len(text) and not final and pos - begin <= self._code:
                return None
            if pos - begin == self._code:
                self._code = 0
                return pos
        known = final or blank is not None or len(text) >= limit
        return 0 if known else None
