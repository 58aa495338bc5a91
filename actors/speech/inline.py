"""The marks within a block: emphasis, code, links, URLs, tags, entities, escapes, math.

One forward scan. Text before the next special character passes; a special character is looked at with what
follows it, and where that is not there yet, the scan waits (`waiting`). Brackets, code, math and tags wait for
their partner in place, a bounded distance within the block; what each of them is, and where it ends, is in a module
of its own. Emphasis does not stop the scan (`actors.speech.emphasis`), and neither does what is removed up to an end
that may be far away: the rest of a URL, a comment, a script.
"""

from __future__ import annotations

import re
from html import unescape
from html.entities import html5
from typing import Final, Literal

from actors.speech.code_spans import code_end, code_inside
from actors.speech.emphasis import PUNCTUATION, Emphasis
from actors.speech.formulas import display_end, formula_end, latex_end
from actors.speech.html import BLOCK_ELEMENTS, RAW_ELEMENTS, Tag, tag_at
from actors.speech.lines import BLOCK_END
from actors.speech.links import TOO_FAR, bracket_end, destination_end, footnote_end, label_end
from actors.speech.pieces import Break, Piece, Removed, Strength, Text
from actors.speech.urls import AUTOLINK, MAIL_LINK, MAIL_NAME, MAX_HOST, SCHEME, host_end, tail_end, without_www

__all__ = ["Inline"]

# Each alternative begins with a character of its own: such an expression finds its place several times faster.
_SPECIAL: Final = re.compile(r"\||\*|_|~|\[|`|<|&|\\|\$|\n|!\[|https?://|Https?://|HTTPS?://|ftp://|Www\.|www\.")
_OPEN_END: Final = re.compile(  # what may become special
    r"(?:!|(?<![A-Za-z0-9])(?:[Hh](?:tt?|ttps?:?/?)?|HT{0,2}|HTTPS?:?/?|ft?|ftp:?/?|[Ww]w{0,2}))\Z"
)
_ENTITY: Final = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_ENTITY_BEGIN: Final = re.compile(r"&(?:#[xX]?[0-9A-Fa-f]{0,7}|[A-Za-z][A-Za-z0-9]{0,31})?\Z")
_LINK_BEGIN: Final = re.compile(rf"<(?:[A-Za-z][A-Za-z0-9+.-]{{1,31}}:[^\s<>]*|{MAIL_NAME}(?:@[A-Za-z0-9.-]*)?)\Z")


class Inline:
    """Scans the text of one block after the other; `scan` stops at line ends and bars for its caller."""

    __slots__ = ("_limit", "_links", "_math", "_out", "_parens", "_until", "_urls", "base", "hard", "last", "waiting")

    def __init__(
        self,
        *,
        max_hold: int = 200,
        urls: Literal["host", "skip", "speak"] = "host",
        math: Literal["source", "skip"] = "source",
    ) -> None:
        self.base = 0  # source offset of the first character of the text given to `scan`
        self.waiting = False  # the scan stopped for want of text
        self.last = ""  # the character before
        self.hard = False  # a backslash, a tag or a formula has ended the line on purpose, if nothing follows in it
        self._out = Emphasis(max_hold)
        self._limit = max_hold
        self._urls = urls
        self._math = math
        self._links: list[tuple[int, int, str]] | None = None  # close bracket, end, rule; innermost last
        self._until = ""  # what ends a stretch that is being removed: "url", ")", "-->", "</script"
        self._parens = 0  # how many brackets the URL that is being removed has open

    @property
    def idle(self) -> bool:
        return not (self._out.held or self._until or self._links)

    @property
    def dropping(self) -> bool:
        """Within a stretch that is being removed."""
        return bool(self._until)

    @property
    def held(self) -> bool:
        return self._out.held

    def take(self) -> list[Piece]:
        return self._out.take()

    def end_block(self) -> None:
        """No partner can come any more."""
        self._out.end_block()
        self._links = None
        self.last = ""
        if self._until != "-->":
            self._until = ""

    # What its caller adds, by positions in the text that is being scanned.

    def put(self, piece: Piece) -> None:
        self._out.put(piece)

    def text(self, text: str, begin: int, end: int) -> int:
        """Text as it stands there, in which sentences may end."""
        if end > begin:
            run = text[begin:end]
            self._out.text(run, self.base + begin)
            self.last = run[-1]
            if self.hard and not run.isspace():
                self.hard = False
        return end

    def say(self, spoken: str, begin: int, end: int, *, literal: bool = False) -> None:
        """Text that stands for what is there."""
        self._out.put(Text(spoken, self.base + begin, self.base + end, literal))
        self.hard = False

    def remove(self, begin: int, end: int, rule: str) -> None:
        if end > begin:
            self._out.remove(self.base + begin, self.base + end, rule)

    def cut(self, begin: int, end: int, rule: str) -> None:
        """Something removed that no chunk may span."""
        if end > begin:
            self._out.put(Removed(self.base + begin, self.base + end, rule, True))

    def stop(self, at: int, strength: Strength) -> None:
        """A sentence ends here, whatever the text says."""
        self._out.put(Break(self.base + at, strength))

    # The scan.

    def scan(self, text: str, pos: int, final: bool) -> int:
        """Go on from `pos`; back at a line end, a bar, the end, or where more text is needed."""
        self.waiting = False
        while pos < len(text):
            if self._until:
                pos = self._drop(text, pos, final)
                if self.waiting or self._until:
                    return pos
                continue
            end = len(text)
            if self._links:
                end = self._links[-1][0] - self.base
                if pos >= end:
                    pos = self._end_link(pos)
                    continue
            match = _SPECIAL.search(text, pos, end)
            if match is None:
                stop = end if final or self._links else self._before_open_end(text, pos, end)
                pos = self.text(text, pos, stop)
                if stop < end:
                    self.waiting = True
                    return pos
                continue
            pos = self.text(text, pos, match.start())
            char = text[pos]
            if char == "\n" or char == "|":
                return pos
            step = _HANDLERS.get(char, Inline._url)(self, text, pos, end, final)
            if step is None:
                self.waiting = True
                return pos
            pos = step
        return pos

    def _before_open_end(self, text: str, pos: int, end: int) -> int:
        """The end, or where something begins that may become special."""
        begun = _OPEN_END.search(text, max(pos, end - 7), end)
        if begun is None:
            return end
        at = begun.start()
        return end if at == pos and text[at] != "!" and _ascii_word(self.last) else at

    # Special characters: each gives the position behind what it has decided, or None for "more text".

    def _run(self, text: str, pos: int, end: int, final: bool) -> int | None:
        char = text[pos]
        stop = pos + 1
        top = min(end, pos + self._limit)
        while stop < top and text[stop] == char:
            stop += 1
        if stop - pos >= self._limit:
            return self.text(text, pos, stop)
        if stop >= len(text) and not final:
            return None
        after = text[stop] if stop < len(text) else ""
        self._out.run(char, stop - pos, self.base + pos, self.last, after)
        self.last = char
        return stop

    def _code(self, text: str, pos: int, end: int, final: bool) -> int | None:
        stop = pos + 1
        while stop < end and text[stop] == "`" and stop - pos < self._limit:
            stop += 1
        size = stop - pos
        if size >= self._limit:
            return self.text(text, pos, stop)
        if stop >= len(text) and not final:
            return None
        close = code_end(text, stop, size, end, self._limit, final)
        if not close:
            return self.text(text, pos, stop) if close == 0 else None
        inner, outer = code_inside(text, stop, close - size)
        self.remove(pos, inner, "code mark")
        self.say(text[inner:outer].replace("\n", " "), inner, outer, literal=True)
        self.remove(outer, close, "code mark")
        self.last = "`"
        return close

    def _image(self, text: str, pos: int, end: int, final: bool) -> int | None:
        return self._bracket(text, pos, end, final, image=True)

    def _bracket(self, text: str, pos: int, end: int, final: bool, *, image: bool = False) -> int | None:
        bracket = pos + 1 if image else pos
        limit = self._limit
        note = footnote_end(text, bracket, end, final) if text.startswith("^", bracket + 1) else 0
        if note is None:
            return None
        if note:
            self.remove(pos, note, "footnote")
            return note
        close = bracket_end(text, bracket, end, limit, final)
        if close is None or (close and close + 1 >= len(text) and not final):
            return None
        following = text[close + 1] if close and close + 1 < end else ""
        after: int | None = 0
        if following == "(":
            after = destination_end(text, close + 1, end, limit, final)
        elif following == "[" and not (self.last.isalnum() or self.last == "]"):
            after = label_end(text, close + 1, end, limit, final)
        if after is None:
            return None
        if not after:
            return self.text(text, pos, bracket + 1)
        rule = "image" if image else "link"
        self.remove(pos, bracket + 1, rule)
        self._links = self._links or []
        self._links.append((self.base + close, TOO_FAR if after == TOO_FAR else self.base + after, rule))
        self.last = "["
        return bracket + 1

    def _end_link(self, pos: int) -> int:
        """At the bracket that closes the text of a link."""
        assert self._links is not None
        _, after, rule = self._links.pop()
        if after == TOO_FAR:
            end = pos + 2
            self._until = ")"
        else:
            end = after - self.base
        self.remove(pos, end, rule)
        self.last = ")"
        return end

    def _angle(self, text: str, pos: int, end: int, final: bool) -> int | None:
        """Links, tags, comments, or less-than."""
        if pos + 1 >= end:
            return None if end == len(text) and not final else self.text(text, pos, pos + 1)
        following = text[pos + 1]
        if following in "!?":
            return self._declaration(text, pos, end, final)
        top = min(end, pos + self._limit)
        link = AUTOLINK.match(text, pos, top)
        if link is not None:
            return self._autolink(text, link, pos)
        mail = MAIL_LINK.match(text, pos, top)
        if mail is not None:
            return self._without_brackets(text, pos, pos + 1, mail.end())
        if not final and end == len(text) < pos + self._limit and _LINK_BEGIN.match(text, pos):
            return None
        tag = tag_at(text, pos, end, self._limit, final) if following.isalpha() or following == "/" else 0
        if tag is None:
            return None
        return self._tag(text, tag, pos) if isinstance(tag, Tag) else self.text(text, pos, pos + 1)

    def _declaration(self, text: str, pos: int, end: int, final: bool) -> int | None:
        """`<!-- … -->`, `<!DOCTYPE …>`, `<?xml …>`."""
        if text.startswith("<!--", pos):
            self.remove(pos, pos + 4, "html")
            self._until = "-->"
            return pos + 4
        if not final and end - pos < 4 and "<!--".startswith(text[pos:]):
            return None
        top = min(end, pos + self._limit)
        close, other = text.find(">", pos, top), text.find("<", pos + 1, top)
        block = BLOCK_END.search(text, pos, close if close > 0 else top)
        if close > 0 and not 0 < other < close and block is None:
            self.remove(pos, close + 1, "html")
            return close + 1
        known = final or end < len(text) or len(text) >= pos + self._limit or other > 0
        return self.text(text, pos, pos + 1) if known or block else None

    def _tag(self, text: str, tag: Tag, pos: int) -> int:
        begin, end = tag.alt
        if begin < end:
            self.remove(pos, begin, "html")
            self.text(text, begin, end)
            self.remove(end, tag.end, "html")
        else:
            self.remove(pos, tag.end, "html")
        if tag.name == "br" or tag.name in BLOCK_ELEMENTS:
            self.stop(tag.end, Strength.ITEM if tag.name == "br" else Strength.BLOCK)
            self.hard = True
        elif tag.name in RAW_ELEMENTS and not tag.closing:
            self._until = f"</{tag.name}"
        return tag.end

    def _autolink(self, text: str, link: re.Match[str], pos: int) -> int:
        end = link.end()
        if link[1].lower() in ("mailto", "tel"):
            return self._without_brackets(text, pos, link.start(2), end)
        begin = link.start(2)
        while begin < end - 1 and text[begin] == "/":
            begin += 1
        if self._urls == "speak":
            return self._without_brackets(text, pos, pos + 1, end)
        stop = host_end(text, begin, end - 1)
        self._host(text, pos, begin, stop)
        self.remove(stop, end, "url")
        return end

    def _without_brackets(self, text: str, pos: int, begin: int, end: int) -> int:
        self.remove(pos, begin, "url")
        self.text(text, begin, end - 1)
        self.remove(end - 1, end, "url")
        return end

    def _url(self, text: str, pos: int, end: int, final: bool) -> int | None:
        """A bare URL."""
        if _ascii_word(self.last) or self.last == "@":
            return self.text(text, pos, pos + 1)
        scheme = SCHEME.match(text, pos)
        begin = scheme.end() if scheme else pos
        stop = host_end(text, begin, end)
        if stop >= len(text) and not final and stop - begin < MAX_HOST:
            return None
        bare = text[begin:stop].rstrip(".:_~'?!")
        if not bare.strip("wW."):
            return self.text(text, pos, max(begin, pos + 1))
        stop = begin + len(bare)
        self._host(text, pos, begin, stop)
        self._until = "url"
        self._parens = 0
        return stop

    def _host(self, text: str, pos: int, begin: int, stop: int) -> None:
        """Say the host of a URL that begins at `pos` and whose host is `text[begin:stop]`."""
        if self._urls == "speak":
            self.text(text, pos, stop)
            return
        if self._urls == "host":
            first, last = without_www(text[begin:stop])
            self.remove(pos, begin + first, "url")
            self.text(text, begin + first, begin + last)
            pos = begin + last
        self.remove(pos, stop, "url")
        self.last = "/"

    def _entity(self, text: str, pos: int, _end: int, final: bool) -> int | None:
        match = _ENTITY.match(text, pos)
        if match is None:
            if not final and _ENTITY_BEGIN.match(text, pos):
                return None
            return self.text(text, pos, pos + 1)
        if match[0][1] != "#" and match[0][1:] not in html5:
            return self.text(text, pos, pos + 1)
        char = unescape(match[0])
        self.say(char, pos, match.end())
        self.last = char[-1:]
        return match.end()

    def _backslash(self, text: str, pos: int, end: int, final: bool) -> int | None:
        if pos + 1 >= len(text):
            return self.text(text, pos, pos + 1) if final else None
        following = text[pos + 1]
        if following == "\n":
            self.remove(pos, pos + 1, "escape")
            self.hard = True
            return pos + 1
        if following in "([":
            close = latex_end(text, pos, end, self._limit, final)
            if close is None:
                return None
            if close:
                return self._formula(text, pos, 2, close)
        if following in PUNCTUATION:
            self.remove(pos, pos + 1, "escape")
            return self.text(text, pos + 1, pos + 2)
        return self.text(text, pos, pos + 1)

    def _dollar(self, text: str, pos: int, end: int, final: bool) -> int | None:
        size = 2 if text.startswith("$$", pos) else 1
        if size == 2:
            close = display_end(text, pos, end, self._limit, final)
        else:
            close = formula_end(text, pos, end, self._limit, self.last, final)
        if close is None:
            return None
        return self._formula(text, pos, size, close) if close else self.text(text, pos, pos + size)

    def _formula(self, text: str, pos: int, size: int, end: int) -> int:
        """A formula with marks of `size` characters around it."""
        begin, stop = pos + size, end - size
        if self._math == "skip" or begin == stop:
            self.remove(pos, end, "math")
        else:
            self.remove(pos, begin, "math mark")
            self.say(text[begin:stop].replace("\n", " "), begin, stop, literal=True)
            self.remove(stop, end, "math mark")
        self.last = "$"
        return end

    # Stretches that are removed (or let through) until something ends them, without being held.

    def _drop(self, text: str, pos: int, final: bool) -> int:
        until = self._until
        if until == "url":
            return self._drop_url(text, pos, final)
        if until == ")":
            return self._drop_destination(text, pos)
        at = text.find(until, pos)
        if at < 0:
            at = len(text) if final else max(pos, len(text) - len(until) + 1)
            self.waiting = at < len(text)
            self.remove(pos, at, "html")
            return at
        if until == "-->":
            at += 3
        self.remove(pos, at, "html")
        self._until = ""
        return at

    def _drop_destination(self, text: str, pos: int) -> int:
        """The rest of a link's target that was too long to be waited for, at most to the end of the line."""
        at = pos
        while at < len(text) and text[at] not in ")\n":
            at += 1
        if at < len(text):
            self._until = ""
            at += text[at] == ")"
        self.remove(pos, at, "link")
        return at

    def _drop_url(self, text: str, pos: int, final: bool) -> int:
        end = self._links[-1][0] - self.base if self._links else len(text)
        keep, stop, self._parens = tail_end(text, pos, end, self._parens)
        if self._urls == "speak":
            self.text(text, pos, keep)
        else:
            self.remove(pos, keep, "url")
            self.last = "/"
        if stop >= len(text) and not final and end == len(text):
            self.waiting = keep < len(text)
        else:
            self._until = ""
        return keep


def _ascii_word(char: str) -> bool:
    return char.isascii() and char.isalnum()


_HANDLERS: Final = {
    **dict.fromkeys("*_~", Inline._run),
    "`": Inline._code,
    "[": Inline._bracket,
    "!": Inline._image,
    "<": Inline._angle,
    "&": Inline._entity,
    "\\": Inline._backslash,
    "$": Inline._dollar,
}
