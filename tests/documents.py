"""The project's documents, and the programs that stand in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

__all__ = ["DOCUMENTS", "ROOT", "Example", "examples"]

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]

_BLOCK = re.compile(
    r"^```python\n(?P<code>.*?)^```\n(?:\n?It prints\n\n```text\n(?P<output>.*?)^```\n)?", re.MULTILINE | re.DOTALL
)


class Example(NamedTuple):
    """A block of Python, and what the document says that it prints."""

    document: Path
    line: int
    code: str
    output: str | None

    @property
    def name(self) -> str:
        return f"{self.document.name}:{self.line}"


def examples() -> list[Example]:
    """Return every block of Python of every document."""
    found = []
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        for block in _BLOCK.finditer(text):
            found.append(Example(document, text.count("\n", 0, block.start()) + 2, block["code"], block["output"]))
    return found
