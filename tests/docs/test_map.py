"""The documents name files that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from documents import DOCUMENTS, ROOT

PATH = re.compile(r"(?<![\w./-])(?:actors|protocol|scripts|tests|docs)/[\w./-]*\w")
MODULE = re.compile(r"`(\w+\.py)`")
FOLDERS = ("actors", "protocol", "scripts", "tests")
MODULES = {path.name for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_paths_lead_somewhere(document: Path) -> None:
    named = set(PATH.findall(document.read_text(encoding="utf-8")))
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_the_map_names_modules_that_there_are() -> None:
    named = set(MODULE.findall((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")))
    assert len(named) > 50
    assert named - MODULES == set()
