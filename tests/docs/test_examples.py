"""What the documents show is what happens: their Python is run, and its output compared where they give one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from documents import DOCUMENTS, Example, examples
from programs import output_of

FAKES = Path(__file__).resolve().parent / "fakes"
"""As much of the web frameworks as the examples use."""
LINK = re.compile(r"\]\((?!\w+:)([^)\s]*)\)")


@pytest.mark.parametrize("name", ["README.md", "embedding.md", "interruption.md", "backpressure.md", "memory.md"])
def test_document_has_examples_and_says_what_one_prints(name: str) -> None:
    assert any(example.output for example in examples() if example.document.name == name)


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.name)
def test_example_runs(example: Example, tmp_path: Path) -> None:
    # Padded, so that a traceback names the document's own line.
    program = tmp_path / example.document.with_suffix(".py").name
    program.write_text("\n" * (example.line - 1) + example.code, encoding="utf-8")
    printed = output_of(program, FAKES)
    if example.output is not None:
        assert [line.rstrip() for line in printed.splitlines()] == example.output.splitlines()


def headings(document: Path) -> set[str]:
    """Return the names by which a page's headings can be linked to."""
    titles = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in LINK.findall(document.read_text(encoding="utf-8")):
        path, _, heading = target.partition("#")
        page = document.parent / path if path else document
        assert page.exists(), target
        assert not heading or heading in headings(page), target
