"""URLs: of a bare one a person says the host, and nothing of what is behind it.

Functions over a text: where the host is, how far the rest goes. The rest is never waited for, however long.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["AUTOLINK", "MAIL_LINK", "MAIL_NAME", "MAX_HOST", "SCHEME", "host_end", "tail_end", "without_www"]

MAX_HOST: Final = 253
SCHEME: Final = re.compile(r"[A-Za-z]+:(?://)?")
AUTOLINK: Final = re.compile(r"<([A-Za-z][A-Za-z0-9+.-]{1,31}):([^\s<>]*)>")
MAIL_NAME: Final = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+"
MAIL_LINK: Final = re.compile(rf"<{MAIL_NAME}@[A-Za-z0-9][A-Za-z0-9.-]*>")

_HOST: Final = re.compile(rf"[^\s/?#<>\"'`()\[\]{{}}|\\^*,;!、。，）」』】》“”‘’]{{0,{MAX_HOST}}}")
# Letters of scripts that put blanks between words may be part of a path; after others the text goes on.
_TAIL: Final = re.compile(r"[!-;=?-~\u00c0-\u02af\u0370-\u058a\u05d0-\u05ea\u0620-\u064a\u0904-\u0939\u1e00-\u1fff]*")
_STOP: Final = re.compile(r"[<>\"`|\[\]{}\\^*\s]")
_TRAILING: Final = re.compile(r"[?!.,:;_~'*]+\Z")
_PAREN: Final = re.compile(r"[()]")


def host_end(text: str, pos: int, end: int) -> int:
    """Behind all that may be the host that begins at `pos`, with marks that may turn out to follow it."""
    host = _HOST.match(text, pos, end)
    return host.end() if host else pos


def without_www(host: str) -> tuple[int, int]:
    """Where in a host, with user and port, that begins and ends which is said."""
    begin = host.rfind("@") + 1
    if host[begin : begin + 4].lower() == "www.":
        begin += 4
    port = host.find(":", begin)
    return begin, port if port > 0 else len(host)


def tail_end(text: str, pos: int, end: int, parens: int) -> tuple[int, int, int]:
    """How far a URL goes on from `pos`: without marks that may follow it, with them, and brackets open then.

    parens: how many brackets it has open. One that it did not open is not part of it.
    """
    tail = _TAIL.match(text, pos, end)
    stop = tail.end() if tail else pos
    bad = _STOP.search(text, pos, stop)
    if bad is not None:
        stop = bad.start()
    at = pos
    while True:
        paren = _PAREN.search(text, at, stop)
        if paren is None:
            break
        if paren[0] == ")" and not parens:
            stop = paren.start()
            break
        at = paren.end()
        parens += 1 if paren[0] == "(" else -1
    trailing = _TRAILING.search(text, max(pos, stop - 32), stop)
    return trailing.start() if trailing is not None else stop, stop, parens
