"""What docs/speech.md says is said, is said, however the text comes."""

from __future__ import annotations

import re

import pytest
from documents import ROOT

from actors.speech import SpeechPipeline

PAGE = (ROOT / "docs" / "speech.md").read_text(encoding="utf-8")
TABLE = PAGE.partition("<!-- what is said;")[2].partition("<!-- end of what is said -->")[0]
CELL = re.compile(r"(?<!\\)\|")


def rows() -> list[tuple[str, str, str]]:
    found = []
    for line in TABLE.splitlines()[3:]:
        rule, written, said, _setting = (cell.strip().replace("\\|", "|") for cell in CELL.split(line)[1:-1])
        found.append((rule.strip("`"), re.sub(r"^(`+) ?(.*?) ?\1$", r"\2", written).replace("⏎", "\n"), said))
    return found


def test_the_page_has_its_table() -> None:
    assert len(rows()) > 20


@pytest.mark.parametrize(("rule", "written", "said"), rows(), ids=[row[1] for row in rows()])
def test_what_is_written_is_said_as_the_page_has_it(rule: str, written: str, said: str) -> None:
    for tokens in ([written], list(written)):
        pipeline = SpeechPipeline()
        chunks = [chunk for token in tokens for chunk in pipeline.feed(token)] + pipeline.flush()
        removed = [span for chunk in chunks for span in chunk.removed] + pipeline.take_removed()

        assert " / ".join(chunk.text for chunk in chunks) == said
        assert not rule or rule in {span.rule for span in removed}
