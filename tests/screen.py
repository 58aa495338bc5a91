"""What a terminal shows after some output: as much of one as the command makes use of."""

from __future__ import annotations

import re

__all__ = ["screen_of"]

_PIECE = re.compile(r"\x1b\[(?P<number>\d*)(?P<letter>[AK])|\x1b\[[0-9;?]*[a-zA-Z]|(?P<character>.)", re.DOTALL)


def screen_of(output: str, columns: int) -> list[str]:
    """Return the lines of an endless screen of this width, without blanks at their ends."""
    rows: list[dict[int, str]] = [{}]
    row = column = 0
    for piece in _PIECE.finditer(output):
        character = piece["character"]
        if piece["letter"] == "A":
            row = max(row - int(piece["number"] or 1), 0)
        elif piece["letter"] == "K":
            rows[row].clear()
        elif character == "\r":
            column = 0
        elif character is not None:
            if character == "\n" or column == columns:
                row, column = row + 1, 0 if character != "\n" else column
                rows.extend({} for _ in range(row + 1 - len(rows)))
            if character != "\n":
                rows[row][column] = character
                column += 1
    return ["".join(line.get(n, " ") for n in range(columns)).rstrip() for line in rows]
