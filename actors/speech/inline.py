"""The marks within a block: emphasis, code, links, URLs, tags, entities, escapes, math.

One forward scan. Text before the next special character passes; a special character is looked at with what
follows it, and where that is not there yet, the scan waits (`waiting`). Brackets, code, math and tags wait
for their partner in place, a bounded distance. Emphasis does not stop the scan: an opening run goes into a
queue, with all that follows, until its partner comes, its block ends, or it is too far away; then it is
removed or text, and the queue runs free. Whether a run opens or closes are CommonMark's flanking rules, with
two exceptions that a reader needs: a double run closes an open one whatever stands around it, and opens
between wide characters.
"""

from __future__ import annotations

import re
import unicodedata
from html import unescape
from html.entities import html5
from typing import Final

from actors.speech.html_names import BLOCK_ELEMENTS, ELEMENTS, RAW_ELEMENTS
from actors.speech.pieces import Break, Piece, Removed, Strength, Text

__all__ = ["Inline"]

# Each alternative begins with a character of its own: such an expression finds its place several times faster.
SPECIAL: Final = re.compile(r"\*|_|~|\[|`|<|&|\\|\$|\n|!\[|https?://|ftp://|Www\.|www\.")
SPECIAL_IN_CELL: Final = re.compile(rf"\||{SPECIAL.pattern}")
_OPEN_END: Final = re.compile(r"(?:!|(?<![A-Za-z0-9])(?:ht{0,2}|https?:?/?|ft?|ftp:?/?|[Ww]{1,3}))\Z")
_SENTENCE_END: Final = re.compile(r"[.!?…][\"'”’»)\]]*\s|[。！？]")
_SENTENCE_ENDING: Final = re.compile(r"[.!?…][\"'”’»)\]]*\Z")  # an end if a blank follows
_CLOSERS: Final = "\"'”’»)]"
_BLANK_LINE: Final = re.compile(r"\n[ \t]*\n")
_BRACKET: Final = re.compile(r"\\.|`+|[\[\]]|\n[ \t]*\n", re.DOTALL)
_FOOTNOTE: Final = re.compile(r"\[\^[^\]\s^]{1,64}\]")
_FOOTNOTE_BEGIN: Final = re.compile(r"\[\^[^\]\s^]{0,64}\Z")
_DESTINATION: Final = re.compile(
    r"\([ \t\n]*(?:<[^<>\n]*>|(?:[^\s()\\]|\\.|\((?:[^\s()\\]|\\.|\([^\s()]*\))*\))*)"
    r"(?:[ \t\n]+(?:\"[^\"]*\"|'[^']*'|\([^()]*\)))?[ \t\n]*\)",
    re.DOTALL,
)
_DESTINATION_MARK: Final = re.compile(r"\\.|[()]|(?<=\s)[\"']", re.DOTALL)
_URL_LIKE: Final = re.compile(r"\(<?(?:[a-z][a-z0-9+.-]*:|[/#.]|www\.)\S*", re.IGNORECASE)
_HOST: Final = re.compile(r"[^\s/?#<>\"'`()\[\]{}|\\^*,;!、。，）」』】》“”‘’]{0,253}")
_URL_TAIL: Final = re.compile(r"[!-;=?-~]*")
_URL_STOP: Final = re.compile(r"[<>\"`|\[\]{}\\^*\s]")
_URL_TRAILING: Final = re.compile(r"[?!.,:;_~'*]+\Z")
_PAREN: Final = re.compile(r"[()]")
_AUTOLINK: Final = re.compile(r"<([A-Za-z][A-Za-z0-9+.-]{1,31}):([^\s<>]*)>")
_MAIL_LINK: Final = re.compile(r"<([^\s<>@/]+@[^\s<>@]+)>")
_TAG: Final = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9-]*)((?:[\s/][^<>]*)?)>")
_DECLARATION: Final = re.compile(r"<[?!][^<>]*>")
_ENTITY: Final = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_ENTITY_BEGIN: Final = re.compile(r"&(?:#[xX]?[0-9A-Fa-f]{0,7}|[A-Za-z][A-Za-z0-9]{0,31})?\Z")
_MONEY: Final = re.compile(
    r"\$\d[\d,.]*(?:[kKmMbBtT]n?)?(?=[.,;:!?)]+\s|([^\w$\\^_{}]+)(?:[^\W\d_]{2}|[^\W\d_][\s,.;!?]))"
)
_OPERATOR: Final = re.compile(r"[+*=<>^]")
_SCHEME: Final = re.compile(r"[A-Za-z]+:(?://)?")
_TAG_BEGIN: Final = re.compile(r"</?([A-Za-z][A-Za-z0-9+.:@_-]*)?")
_MATH: Final = re.compile(r"\$(?![\s$])((?:\\.|[^$\\])+?)(?<!\s)\$(?![\dA-Za-z])", re.DOTALL)
_WORDS: Final = re.compile(r"(?<![\\A-Za-z{])[A-Za-z]{3,} +[A-Za-z]{2,}")
_PUNCTUATION: Final = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
_WIDE_LETTER: Final = re.compile(r"[\u2e80-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff00-\uffef\u3000-\u303f]")


class Delimiter:
    """A run of `*`, `_` or `~` in the queue that may open. What is used of it, counted from its end, is removed."""

    __slots__ = ("both", "char", "letter", "size", "start", "used")

    def __init__(self, char: str, size: int, start: int, both: bool, letter: bool) -> None:
        self.char = char
        self.size = size  # what is left of it
        self.used = 0
        self.start = start
        self.both = both
        self.letter = letter


class Inline:
    """Scans the text of one block after the other; `scan` stops at line ends (and cell borders) for its caller."""

    __slots__ = (
        "_ending",
        "_limit",
        "_links",
        "_lost",
        "_math",
        "_open",
        "_out",
        "_parens",
        "_queue",
        "_until",
        "_urls",
        "base",
        "hard",
        "last",
        "waiting",
    )

    def __init__(self, *, max_hold: int = 200, urls: str = "host", math: str = "source") -> None:
        self.base = 0  # source offset of the first character of the text given to `scan`
        self.waiting = False  # the scan stopped for want of text
        self.last = ""  # the character before
        self.hard = False  # a backslash or a tag ended the line on purpose
        self._out: list[Piece] = []
        self._limit = max_hold
        self._urls = urls
        self._math = math
        self._queue: list[Piece | Delimiter] | None = None
        self._open: list[Delimiter] | None = None
        self._lost: dict[str, int] | None = None  # double runs that were removed before their partner came
        self._links: list[tuple[int, int, str]] | None = None  # close bracket, end, rule; innermost last
        self._until = ""  # what ends a stretch that is being removed: "url", ")", "-->", "</script"
        self._ending = False  # behind the last open run, the text ends in what a blank would make a sentence end
        self._parens = 0  # how many brackets the URL that is being removed has open

    @property
    def idle(self) -> bool:
        return not self._queue and not self._until and not self._links

    @property
    def dropping(self) -> bool:
        """Within a stretch that is being removed."""
        return bool(self._until)

    @property
    def held(self) -> bool:
        return bool(self._queue)

    def take(self) -> list[Piece]:
        out = self._out
        self._out = []
        return out

    def put(self, piece: Piece) -> None:
        """Add a piece of the caller's in its place."""
        if self._queue:
            self._queue.append(piece)
        else:
            self._out.append(piece)

    def end_block(self) -> None:
        """No partner can come any more: what is queued is text."""
        if self._queue:
            self._open = None
            self._run_queue()
        self._lost = None
        self._links = None
        self.last = ""
        if self._until != "-->":
            self._until = ""

    def scan(self, text: str, pos: int, final: bool, in_cell: bool = False) -> int:
        """Go on from `pos`; back at a line end, a cell border, the end, or where more text is needed."""
        special = SPECIAL_IN_CELL if in_cell else SPECIAL
        self.waiting = False
        while pos < len(text):
            if self._until:
                pos = self._drop(text, pos, final)
                if self.waiting or self._until:
                    return pos
                continue
            links = self._links
            end = len(text)
            if links:
                close, after, rule = links[-1]
                end = close - self.base
                if pos >= end:
                    links.pop()
                    if after < 0:
                        self._remove(pos, pos + 2, rule)
                        self._until = ")"
                        pos += 2
                    else:
                        self._remove(pos, after - self.base, rule)
                        pos = after - self.base
                    self.last = ")"
                    continue
            match = special.search(text, pos, end)
            if match is None:
                stop = end
                if not final and not links:
                    open_end = _OPEN_END.search(text, max(pos, end - 7), end)
                    if open_end is not None and (
                        open_end.start() > pos or text[open_end.start()] == "!" or not _ascii_word(self.last)
                    ):
                        stop = open_end.start()
                self._text(text, pos, stop)
                pos = stop
                if stop < end:
                    self.waiting = True
                    return pos
                continue
            begin = match.start()
            if begin > pos:
                self._text(text, pos, begin)
                pos = begin
            char = text[pos]
            if char == "\n" or char == "|":
                return pos
            step = self._special(char, text, pos, end, final)
            if step < 0:
                self.waiting = True
                return pos
            pos = step
        return pos

    # Output.

    def _text(self, text: str, begin: int, end: int) -> None:
        if end <= begin:
            return
        run = text[begin:end]
        base = self.base
        piece = Text(run, base + begin, base + end)
        if self._queue:
            self._queue.append(piece)
            if self._open:
                self._pass_sentence_ends(run, base + begin)
                self._expire(base + end)
        else:
            self._out.append(piece)
        self.last = run[-1]

    def _put_text(self, run: str, begin: int, end: int) -> None:
        self.put(Text(run, self.base + begin, self.base + end))
        self._ending = False
        self.last = run[-1:] or self.last

    def _remove(self, begin: int, end: int, rule: str) -> None:
        if end > begin:
            self.put(Removed(self.base + begin, self.base + end, rule))

    # Special characters: each method gives the position behind what it has decided, or -1 for "more text".

    def _special(self, char: str, text: str, pos: int, end: int, final: bool) -> int:
        if char in "*_~":
            return self._delimiter(char, text, pos, end, final)
        if char == "[":
            return self._bracket(text, pos, pos, end, final)
        if char == "!":
            return self._bracket(text, pos, pos + 1, end, final)
        if char == "`":
            return self._code(text, pos, end, final)
        if char == "<":
            return self._angle(text, pos, end, final)
        if char == "&":
            return self._entity(text, pos, final)
        if char == "\\":
            return self._backslash(text, pos, end, final)
        if char == "$":
            return self._dollar(text, pos, end, final)
        return self._url(text, pos, end, final)

    def _literal(self, text: str, begin: int, end: int) -> int:
        self._text(text, begin, end)
        return end

    # Emphasis.

    def _delimiter(self, char: str, text: str, pos: int, end: int, final: bool) -> int:
        stop = pos + 1
        top = min(end, pos + self._limit)
        while stop < top and text[stop] == char:
            stop += 1
        size = stop - pos
        if size >= self._limit:
            return self._literal(text, pos, stop)
        if stop >= len(text) and not final:
            return -1
        after = text[stop] if stop < len(text) else ""
        if char == "~" and size > 2:
            return self._literal(text, pos, stop)
        opens, closes = _flanking(char, size, self.last, after)
        start = self.base + pos
        self._expire(start)
        used = 0
        openers = self._open
        if openers and (closes or (size >= 2 and char != "_")):
            used = self._close(char, size, closes, opens)
        if used and not opens:
            used = size  # what is left over of a run that found its partner is nobody's text
        elif size >= 2 and not used and closes and not opens and char == "*":
            used = size  # the partner of one that went with its sentence, or of none: no text either
        elif not used and size >= 2 and self._lost and self._lost.get(char) and closes:
            self._lost[char] -= 1
            used = size
        if used:
            self.put(Removed(start, start + used, "emphasis"))
            if self._queue and not self._open:
                self._run_queue()
        left = size - used
        if left:
            if opens:
                delimiter = Delimiter(char, left, start + used, closes, after.isalpha())
                if self._queue is None:
                    self._queue = []
                if self._open is None:
                    self._open = []
                self._queue.append(delimiter)
                self._open.append(delimiter)
                self._ending = False
                self.last = char
            else:
                self._text(text, stop - left, stop)
        else:
            self.last = char
        return stop

    def _close(self, char: str, size: int, closes: bool, opens: bool) -> int:
        """Match a closing run with open ones; how many of its characters found a partner."""
        openers = self._open
        used = 0
        while openers and used < size:
            left = size - used
            for index in range(len(openers) - 1, -1, -1):
                opener = openers[index]
                if opener.char != char:
                    continue
                if char == "~":
                    if opener.size == left and closes:
                        break
                    continue
                if not closes and opener.size < 2:
                    continue
                if opener.size >= 2 and left >= 2:
                    break
                if closes and (opener.both or opens) and (opener.size + left) % 3 == 0 and opener.size % 3:
                    continue
                if closes:
                    break
            else:
                return used
            many = 2 if opener.size >= 2 and left >= 2 else 1
            opener.size -= many
            opener.used += many
            used += many
            del openers[index + 1 if opener.size else index :]
        return used

    def _pass_sentence_ends(self, run: str, start: int) -> None:
        """Note where sentences end in text that is behind an open run."""
        ending = self._ending
        rest = run.lstrip(_CLOSERS) if ending else ""
        if rest and rest[0].isspace():
            self._pass_sentence_end(start + len(run) - len(rest) + 1)
        for match in _SENTENCE_END.finditer(run):
            if not self._open:
                break
            self._pass_sentence_end(start + match.end())
        self._ending = (ending and not rest) or _SENTENCE_ENDING.search(run, max(0, len(run) - 32)) is not None

    def _pass_sentence_end(self, at: int) -> None:
        """A double run that opened before a letter and is open when its sentence ends goes, so that it can leave."""
        kept: list[Delimiter] = []
        for opener in self._open or ():
            if opener.size >= 2 and opener.letter and opener.start < at <= opener.start + self._limit:
                opener.used += opener.size
                opener.size = 0
                if self._lost is None:
                    self._lost = {}
                self._lost[opener.char] = self._lost.get(opener.char, 0) + 1
            else:
                kept.append(opener)
        self._open = kept
        if not kept:
            self._run_queue()

    def _expire(self, at: int) -> None:
        """Runs that opened too long ago are text."""
        openers = self._open
        if openers and openers[0].start < at - self._limit:
            self._open = [opener for opener in openers if opener.start >= at - self._limit]
            self._run_queue()

    def _run_queue(self) -> None:
        """Let go all that stands before the first run that may still close."""
        queue = self._queue or []
        first = self._open[0] if self._open else None
        out = self._out
        for index, piece in enumerate(queue):
            if piece is first:
                self._queue = queue[index:]
                return
            if type(piece) is Delimiter:
                middle = piece.start + piece.size
                if piece.used:
                    out.append(Removed(piece.start, middle + piece.used, "emphasis"))
                else:
                    out.append(Text(piece.char * piece.size, piece.start, middle))
            else:
                out.append(piece)  # type: ignore[arg-type]
        self._queue = None
        self._open = None

    # Code.

    def _code(self, text: str, pos: int, end: int, final: bool) -> int:
        stop = pos + 1
        while stop < end and text[stop] == "`" and stop - pos < self._limit:
            stop += 1
        size = stop - pos
        if size >= self._limit:
            return self._literal(text, pos, stop)
        if stop >= len(text) and not final:
            return -1
        close = self._code_end(text, stop, size, end, final)
        if close is None:
            return -1
        if not close:
            return self._literal(text, pos, stop)
        inner, outer = stop, close - size
        if outer - inner > 2 and text[inner] == " " == text[outer - 1] and text[inner:outer].strip():
            inner, outer = inner + 1, outer - 1
        self._remove(pos, inner, "code mark")
        self._put_text(text[inner:outer].replace("\n", " "), inner, outer)
        self._remove(outer, close, "code mark")
        self.last = "`"
        return close

    def _code_end(self, text: str, pos: int, size: int, end: int, final: bool) -> int | None:
        """Behind the run that closes a code span, 0 if none does, None if that is not known yet."""
        limit = pos + self._limit
        blank = _BLANK_LINE.search(text, pos, min(end, limit))
        top = min(end, limit, blank.start() if blank else end)
        at = pos
        while True:
            begin = text.find("`", at, top)
            if begin < 0:
                break
            at = begin
            while at < end and text[at] == "`":
                at += 1
            if at - begin == size and (at < len(text) or final or end < len(text)):
                return at
            if at >= len(text) and not final:
                return None
        if final or blank is not None or len(text) >= limit or end < len(text):
            return 0
        return None

    # Links and images.

    def _bracket(self, text: str, pos: int, bracket: int, end: int, final: bool) -> int:
        """`[` at `bracket`; for an image `pos` is at its `!`."""
        if text.startswith("[^", bracket):
            note = _FOOTNOTE.match(text, bracket, end)
            if note is not None:
                self._remove(pos, note.end(), "footnote")
                return note.end()
            if not final and end == len(text) and _FOOTNOTE_BEGIN.match(text, bracket):
                return -1
        close = self._bracket_end(text, bracket, end, final)
        if close < 0:
            return -1
        if not close:
            return self._literal(text, pos, bracket + 1)
        if close + 1 >= len(text):
            if not final:
                return -1
            return self._literal(text, pos, bracket + 1)
        rule = "link" if pos == bracket else "image"
        following = text[close + 1] if close + 1 < end else ""
        if following == "(":
            after = self._destination_end(text, close + 1, end, final)
            if after == -1:
                return -1
            if after:
                return self._link(pos, bracket, close, after, rule)
        elif following == "[" and not (self.last.isalnum() or self.last == "]"):
            label = text.find("]", close + 2, min(end, close + 2 + self._limit))
            if label < 0 and not final and end == len(text) and len(text) < close + 2 + self._limit:
                return -1
            if label > 0 and "\n\n" not in text[close:label] and "[" not in text[close + 2 : label]:
                return self._link(pos, bracket, close, label + 1, rule)
        return self._literal(text, pos, bracket + 1)

    def _link(self, pos: int, bracket: int, close: int, after: int, rule: str) -> int:
        self._remove(pos, bracket + 1, rule)
        if self._links is None:
            self._links = []
        self._links.append((self.base + close, self.base + after if after > 0 else -1, rule))
        self.last = "["
        return bracket + 1

    def _bracket_end(self, text: str, bracket: int, end: int, final: bool) -> int:
        """Where the partner of `[` stands, 0 if it has none near enough, -1 if that is not known yet."""
        limit = min(end, bracket + self._limit)
        known = final or end < len(text) or len(text) >= bracket + self._limit
        if text.find("]", bracket, limit) < 0:
            return 0 if known or _BLANK_LINE.search(text, bracket, limit) else -1
        depth, at = 0, bracket
        while True:
            match = _BRACKET.search(text, at, limit)
            if match is None:
                return 0 if known else -1
            sign = match[0]
            at = match.end()
            if sign == "[":
                depth += 1
                if depth > 8:
                    return 0
            elif sign == "]":
                depth -= 1
                if not depth:
                    return match.start()
            elif sign[0] == "`":
                if at >= len(text) and not final:
                    return -1
                code = self._code_end(text, at, len(sign), limit if known else end, final)
                if code is None:
                    return -1
                at = code or at
            elif sign[0] == "\n":
                return 0

    def _destination_end(self, text: str, paren: int, end: int, final: bool) -> int:
        """Behind `(…)`; 0: no destination; -1: not known yet; -2: one whose end is too far to wait for."""
        limit = min(end, paren + self._limit)
        known = final or end < len(text) or len(text) >= paren + self._limit
        depth, at = 0, paren
        while True:
            match = _DESTINATION_MARK.search(text, at, limit)
            if match is None:
                if not known:
                    return -1
                like = _URL_LIKE.match(text, paren, limit)
                return -2 if like is not None and like.end() == limit and limit - paren >= self._limit else 0
            at = match.end()
            sign = match[0]
            if sign == "(":
                depth += 1
            elif sign == ")":
                depth -= 1
                if not depth:
                    return at if _DESTINATION.fullmatch(text, paren, at) else 0
            elif sign in "\"'":
                quote = text.find(sign, at, limit)
                if quote < 0:
                    return 0 if known else -1
                at = quote + 1

    # `<`: links, tags, comments, or less-than.

    def _angle(self, text: str, pos: int, end: int, final: bool) -> int:
        if pos + 1 >= end:
            return -1 if end == len(text) and not final else self._literal(text, pos, pos + 1)
        following = text[pos + 1]
        if not (following.isalpha() or following in "/!?"):
            return self._literal(text, pos, pos + 1)
        if following == "!":
            if text.startswith("<!--", pos):
                self._remove(pos, pos + 4, "html")
                self._until = "-->"
                return pos + 4
            if not final and "<!--".startswith(text[pos:]):
                return -1
        limit = min(end, pos + self._limit)
        close = text.find(">", pos, limit)
        other = text.find("<", pos + 1, limit)
        if close < 0 or 0 <= other < close:
            known = final or end < len(text) or len(text) >= pos + self._limit or other > 0
            if not known and _BLANK_LINE.search(text, pos, limit) is None and self._may_be_tag(text, pos):
                return -1
            return self._literal(text, pos, pos + 1)
        if _BLANK_LINE.search(text, pos, close) is not None:
            return self._literal(text, pos, pos + 1)
        close += 1
        link = _AUTOLINK.fullmatch(text, pos, close)
        if link is not None:
            return self._autolink(link, text, pos, close)
        mail = _MAIL_LINK.fullmatch(text, pos, close)
        if mail is not None:
            self._remove(pos, pos + 1, "url")
            self._text(text, pos + 1, close - 1)
            self._remove(close - 1, close, "url")
            return close
        tag = _TAG.fullmatch(text, pos, close)
        if tag is not None and tag[2].lower() in ELEMENTS:
            return self._tag(tag[2].lower(), bool(tag[1]), pos, close)
        if _DECLARATION.fullmatch(text, pos, close):
            self._remove(pos, close, "html")
            return close
        return self._literal(text, pos, pos + 1)

    def _may_be_tag(self, text: str, pos: int) -> bool:
        """Whether `<` with what is known of it can become a tag or a link, so that waiting makes sense."""
        name = _TAG_BEGIN.match(text, pos, pos + 80)
        if name is None or not name[1] or name.end() == len(text):
            return True
        follows = text[name.end()]
        if follows.isspace() or follows == "/":
            return name[1].lower() in ELEMENTS or ":" in name[1]
        return ":" in name[1] or "@" in name[1]

    def _tag(self, name: str, closing: bool, pos: int, end: int) -> int:
        self._remove(pos, end, "html")
        if name == "br":
            self.put(Break(self.base + end, Strength.ITEM))
            self.hard = True
        elif name in BLOCK_ELEMENTS:
            self.put(Break(self.base + end, Strength.BLOCK))
            self.hard = True
        elif name in RAW_ELEMENTS and not closing:
            self._until = f"</{name}"
        return end

    def _autolink(self, link: re.Match[str], text: str, pos: int, end: int) -> int:
        scheme = link[1].lower()
        if scheme in ("mailto", "tel"):
            begin = pos + len(scheme) + 2
            self._remove(pos, begin, "url")
            self._text(text, begin, end - 1)
            self._remove(end - 1, end, "url")
            return end
        begin = link.start(2)
        while begin < end - 1 and text[begin] == "/":
            begin += 1
        host = _HOST.match(text, begin, end - 1)
        stop = host.end() if host else begin
        self._host(text, pos, begin, stop)
        if self._urls == "speak":
            self._text(text, stop, end - 1)
            stop = end - 1
        self._remove(stop, end, "url")
        return end

    # Bare URLs.

    def _url(self, text: str, pos: int, end: int, final: bool) -> int:
        if _ascii_word(self.last) or self.last == "@":
            return self._literal(text, pos, pos + 1)
        scheme = _SCHEME.match(text, pos)
        begin = scheme.end() if scheme else pos
        host = _HOST.match(text, begin, end)
        stop = host.end() if host else begin
        if stop >= len(text) and not final and stop - begin < 253:
            return -1
        bare = text[begin:stop].rstrip(".:_~'?!")
        if not bare or not bare.strip("w."):
            return self._literal(text, pos, max(begin, pos + 1))
        stop = begin + len(bare)
        self._host(text, pos, begin, stop)
        self._until = "url"
        self._parens = 0
        return stop

    def _host(self, text: str, pos: int, begin: int, stop: int) -> None:
        """Speak the host of a URL that begins at `pos` and whose host is `text[begin:stop]`."""
        if self._urls == "speak":
            self._text(text, pos, stop)
            return
        host = text[begin:stop]
        if self._urls == "skip":
            self._remove(pos, stop, "url")
            self.last = "/"
            return
        skip = host.rfind("@") + 1
        if host[skip : skip + 4].lower() == "www.":
            skip += 4
        port = host.find(":", skip)
        size = port if port > 0 else len(host)
        self._remove(pos, begin + skip, "url")
        self._text(text, begin + skip, begin + size)
        self._remove(begin + size, stop, "url")
        self.last = "/"

    # Stretches that are removed (or let through) until something ends them, without being held.

    def _drop(self, text: str, pos: int, final: bool) -> int:
        until = self._until
        if until == "url":
            return self._drop_url(text, pos, final)
        if until == ")":
            at = pos
            while at < len(text) and text[at] not in ")\n":
                at += 1
            if at < len(text):
                self._until = ""
                if text[at] == ")":
                    at += 1
            self._remove(pos, at, "link")
            return at
        at = text.find(until, pos)
        if at < 0:
            at = len(text) if final else max(pos, len(text) - len(until) + 1)
            self.waiting = at < len(text)
            self._remove(pos, at, "html")
            return at
        if until == "-->":
            at += 3
        self._remove(pos, at, "html")
        self._until = ""
        return at

    def _drop_url(self, text: str, pos: int, final: bool) -> int:
        links = self._links
        end = links[-1][0] - self.base if links else len(text)
        tail = _URL_TAIL.match(text, pos, end)
        stop = tail.end() if tail else pos
        bad = _URL_STOP.search(text, pos, stop)
        if bad is not None:
            stop = bad.start()
        at = pos
        while True:  # a bracket that the URL did not open is not part of it
            paren = _PAREN.search(text, at, stop)
            if paren is None:
                break
            if paren[0] == ")" and not self._parens:
                stop = paren.start()
                break
            at = paren.end()
            self._parens += 1 if paren[0] == "(" else -1
        trailing = _URL_TRAILING.search(text, max(pos, stop - 32), stop)
        keep = trailing.start() if trailing is not None else stop
        if stop >= len(text) and not final and end == len(text):
            self._url_part(text, pos, keep)
            self.waiting = keep < len(text)
            return keep
        self._url_part(text, pos, keep)
        self._until = ""
        return keep

    def _url_part(self, text: str, begin: int, end: int) -> None:
        if self._urls == "speak":
            self._text(text, begin, end)
        else:
            self._remove(begin, end, "url")
            self.last = "/"

    # Entities, escapes, math.

    def _entity(self, text: str, pos: int, final: bool) -> int:
        match = _ENTITY.match(text, pos)
        if match is None:
            if not final and _ENTITY_BEGIN.match(text, pos):
                return -1
            return self._literal(text, pos, pos + 1)
        if match[0][1] != "#" and match[0][1:] not in html5:
            return self._literal(text, pos, pos + 1)
        char = unescape(match[0])
        self.put(Text(char, self.base + pos, self.base + match.end()))
        self.last = char[-1:]
        return match.end()

    def _backslash(self, text: str, pos: int, end: int, final: bool) -> int:
        if pos + 1 >= len(text):
            return self._literal(text, pos, pos + 1) if final else -1
        following = text[pos + 1]
        if following == "\n":
            self._remove(pos, pos + 1, "escape")
            self.hard = True
            return pos + 1
        if following in "([":
            closer = "\\)" if following == "(" else "\\]"
            limit = min(end, pos + self._limit)
            close = text.find(closer, pos + 2, limit)
            blank = _BLANK_LINE.search(text, pos, close if close > 0 else limit)
            if close > 0 and blank is None:
                if close + 2 >= len(text) and not final:
                    return -1
                if following == "(" or text[close + 2 : close + 3] not in ("(", "["):
                    return self._formula(text, pos, pos + 2, close, close + 2)
            elif not final and blank is None and end == len(text) < pos + self._limit:
                return -1
        if following in _PUNCTUATION:
            self._remove(pos, pos + 1, "escape")
            self._text(text, pos + 1, pos + 2)
            return pos + 2
        return self._literal(text, pos, pos + 1)

    def _formula(self, text: str, pos: int, begin: int, close: int, end: int) -> int:
        if self._math == "skip" or begin == close:
            self._remove(pos, end, "math")
            self.last = "$"
            return end
        self._remove(pos, begin, "math mark")
        self._put_text(text[begin:close].replace("\n", " "), begin, close)
        self._remove(close, end, "math mark")
        self.last = "$"
        return end

    def _dollar(self, text: str, pos: int, end: int, final: bool) -> int:
        if pos + 1 >= end:
            return -1 if end == len(text) and not final else self._literal(text, pos, pos + 1)
        limit = min(end, pos + self._limit)
        known = final or end < len(text) or len(text) >= pos + self._limit
        following = text[pos + 1]
        if following == "$":
            close = text.find("$$", pos + 2, limit)
            blank = _BLANK_LINE.search(text, pos, close if close > 0 else limit)
            if close > 0 and blank is None:
                return self._formula(text, pos, pos + 2, close, close + 2)
            if not known and blank is None:
                return -1
            return self._literal(text, pos, pos + 2)
        if following.isspace():
            return self._literal(text, pos, pos + 1)
        if following.isdigit() and self._is_money(text, pos, limit):
            return self._literal(text, pos, pos + 1)
        math = _MATH.match(text, pos, limit)
        whole = limit < pos + self._limit and (final or end < len(text))
        if math is not None and (math.end() < limit or whole):
            inner = math[1]
            words = _WORDS.search(inner) if following.isdigit() or self.last.isalnum() else None
            if words is None and not _SENTENCE_END.search(inner) and "\n\n" not in inner:
                return self._formula(text, pos, pos + 1, math.end() - 1, math.end())
            return self._literal(text, pos, pos + 1)
        if known or _BLANK_LINE.search(text, pos, limit) or _SENTENCE_END.search(text, pos + 1, limit):
            return self._literal(text, pos, pos + 1)
        return -1

    def _is_money(self, text: str, pos: int, limit: int) -> bool:
        amount = _MONEY.match(text, pos, limit)
        if amount is None:
            return False
        return amount[1] is None or not _OPERATOR.search(amount[1])


def _flanking(char: str, size: int, before: str, after: str) -> tuple[bool, bool]:
    """Whether a run between two characters may open, and may close."""
    blank_before = not before or before.isspace()
    blank_after = not after or after.isspace()
    mark_before = not blank_before and _is_mark(before)
    mark_after = not blank_after and _is_mark(after)
    left = not blank_after and (not mark_after or blank_before or mark_before)
    right = not blank_before and (not mark_before or blank_after or mark_after)
    if char == "_":
        return left and (not right or mark_before), right and (not left or mark_after)
    if size >= 2 and not left and not blank_after and before and _WIDE_LETTER.match(before):
        left = True
    return left, right


def _ascii_word(char: str) -> bool:
    return char.isascii() and char.isalnum()


def _is_mark(char: str) -> bool:
    if char.isalnum():
        return False
    return char in _PUNCTUATION or unicodedata.category(char)[0] in "PS"
