"""Element names of HTML: `<b>` is a tag, `<name>` is a placeholder that somebody wrote."""

from __future__ import annotations

from typing import Final

__all__ = ["BLOCK_ELEMENTS", "ELEMENTS", "RAW_ELEMENTS"]

BLOCK_ELEMENTS: Final = frozenset(
    ["address", "article", "aside", "blockquote", "body", "center", "dd", "details", "dialog", "dir", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "head", "header", "hr", "html", "iframe", "legend", "li", "link", "main", "menu", "menuitem", "meta", "nav", "ol", "optgroup", "option", "p", "search", "section", "summary", "table", "tbody", "td", "tfoot", "th", "thead", "title", "tr", "ul"]
)
RAW_ELEMENTS: Final = frozenset(["script", "style"])  # their content is not text
ELEMENTS: Final = (
    BLOCK_ELEMENTS
    | RAW_ELEMENTS
    | frozenset(
        ["a", "abbr", "acronym", "area", "audio", "b", "base", "bdi", "bdo", "big", "br", "button", "canvas", "caption", "cite", "code", "col", "colgroup", "data", "datalist", "del", "dfn", "em", "embed", "font", "i", "img", "input", "ins", "kbd", "label", "map", "mark", "math", "meter", "noscript", "object", "output", "param", "picture", "pre", "progress", "q", "rp", "rt", "ruby", "s", "samp", "select", "slot", "small", "source", "span", "strike", "strong", "sub", "sup", "svg", "template", "textarea", "time", "track", "tt", "u", "var", "video", "wbr"]
    )
)
