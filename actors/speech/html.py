"""HTML within text: `<b>` is a tag, `<name>` is a placeholder that somebody wrote, `a<b and c>d` is arithmetic."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import regex

__all__ = ["BLOCK_ELEMENTS", "RAW_ELEMENTS", "Tag", "tag_at"]


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


BLOCK_ELEMENTS: Final = _names(
    "address article aside blockquote body center dd details dialog dir div dl dt fieldset figcaption figure "
    "footer form h1 h2 h3 h4 h5 h6 head header hr html iframe legend li link main menu menuitem meta nav ol "
    "optgroup option p search section summary table tbody td tfoot th thead title tr ul "
)
RAW_ELEMENTS: Final = _names("script style svg")  # their content is not text
_ELEMENTS: Final = (
    BLOCK_ELEMENTS
    | RAW_ELEMENTS
    | _names(
        "a abbr acronym area audio b base bdi bdo big br button canvas caption cite code col colgroup data "
        "datalist del dfn em embed font i img input ins kbd label map mark math meter noscript object output "
        "param picture pre progress q rp rt ruby s samp select slot small source span strike strong sub sup "
        "template textarea time track tt u var video wbr "
    )
)

_VALUE: Final = r"(?:[^\s\"'=<>`]+|'[^'<]*'|\"[^\"<]*\")"
_TAG: Final = regex.compile(
    rf"<(/?)([A-Za-z][A-Za-z0-9-]*)((?:\s+[A-Za-z_:@][A-Za-z0-9_.:@-]*(?:\s*=\s*{_VALUE})?)*+)\s*/?>"
)
_ALT: Final = re.compile(rf"\salt\s*=\s*({_VALUE})", re.IGNORECASE)


class Tag(NamedTuple):
    """A tag of a known element."""

    name: str
    closing: bool
    end: int
    alt: tuple[int, int]  # where the text stands that an image has for those who do not see it


def tag_at(text: str, pos: int, end: int, limit: int, final: bool) -> Tag | int | None:
    """The tag that begins at `pos`; 0 if there is none; None if more text is needed to know."""
    top = min(end, pos + limit)
    known = final or end < len(text) or len(text) >= pos + limit
    match = _TAG.match(text, pos, top, partial=not known)
    if match is None:
        return 0
    if match.partial:
        return None if _may_be_element(text, pos, top) else 0
    name = match[2].lower()
    attributes = match[3]
    if name not in _ELEMENTS or (len(name) == 1 and attributes and "=" not in attributes):
        return 0
    alt = _ALT.search(text, match.start(3), match.end(3)) if name == "img" else None
    span = alt.span(1) if alt else (0, 0)
    if alt and alt[1][0] in "\"'":
        span = (span[0] + 1, span[1] - 1)
    return Tag(name, match[1] == "/", match.end(), span)


def _may_be_element(text: str, pos: int, end: int) -> bool:
    """Whether the name of what may become a tag is one, or may become one."""
    begin = pos + (2 if text[pos + 1 : pos + 2] == "/" else 1)
    name = _NAME.match(text, begin, end)
    return name is None or name.end() == end or name[0].lower() in _ELEMENTS


_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
