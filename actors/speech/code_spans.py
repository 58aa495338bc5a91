"""Inline code: a run of backticks up to the next run of the same length, within its block."""

from __future__ import annotations

from actors.speech.lines import BLOCK_END

__all__ = ["code_end", "code_inside"]


def code_end(text: str, pos: int, size: int, end: int, limit: int, final: bool) -> int | None:
    """Behind the run that closes the code that begins at `pos`, 0 if none does, None if that is not known yet.

    size: the length of the run before `pos`. end: where the text ends that counts. limit: how far it may be.
    """
    block = BLOCK_END.search(text, pos, min(end, pos + limit))
    top = min(end, pos + limit, block.start() if block else end)
    at = pos
    while True:
        begin = text.find("`", at, top)
        if begin < 0:
            break
        at = begin
        while at < end and text[at] == "`" and at - begin <= size:
            at += 1
        if at >= len(text) and not final and at - begin <= size:
            return None
        if at - begin == size:
            return at
        while at < end and text[at] == "`":
            at += 1
    known = final or block is not None or len(text) >= pos + limit or end < len(text)
    return 0 if known else None


def code_inside(text: str, begin: int, end: int) -> tuple[int, int]:
    """The code between two runs, without the blank that sets off a backtick on both sides."""
    if end - begin > 2 and text[begin] == " " == text[end - 1] and text[begin:end].strip():
        return begin + 1, end - 1
    return begin, end
