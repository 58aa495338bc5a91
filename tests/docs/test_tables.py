"""The tables of the documents say what the code says."""

from __future__ import annotations

import gc
import re
import subprocess
import sys

import doc_tables
import pytest
from documents import ROOT

from protocol.errors import AntiphonError
from protocol.settings import Settings
from protocol.speech import SpeechSettings

README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("table", doc_tables.TABLES, ids=lambda table: table.name)
def test_table_is_the_one_that_the_code_gives(table: doc_tables.Table) -> None:
    _before, drawn, _after = table.split()
    assert drawn == table.draw(), "run  scripts/doc_tables.py --write"


@pytest.fixture(autouse=True)
def no_garbage() -> None:
    """Collect what earlier tests left: CPython 3.11's parser fails when a finalizer runs within it."""
    gc.collect()


def test_tables_leave_nothing_out() -> None:
    drawn = {
        table.name: set(re.findall(r"^\| `(\w+)` \|", table.draw(), re.MULTILINE)) for table in doc_tables.TABLES
    }
    assert drawn["settings"] == set(Settings.model_fields) - {"speech"}
    assert drawn["speech settings"] == set(SpeechSettings.model_fields)
    assert drawn["exceptions"] == {error.__name__ for error in subclasses(AntiphonError)}


def test_every_row_says_something() -> None:
    for table in doc_tables.TABLES:
        for row in table.draw().splitlines():
            assert all(cell.strip() for cell in row.strip("|").split("|")), f"{table.name}: {row}"


def subclasses(error: type[AntiphonError]) -> set[type[AntiphonError]]:
    """Return the errors of the protocol, however far down; what a test derives is no part of it."""
    return {sub for sub in error.__subclasses__() if sub.__module__ == "protocol.errors"}


def test_readme_names_settings_that_there_are() -> None:
    table = README[README.index("| setting | default |") :].split("\n\n")[0]
    listed = {name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert listed
    assert listed <= set(Settings.model_fields)


def test_readme_lists_the_options_of_the_command() -> None:
    table = README[README.index("| option | what it does |") :].split("\n\n")[0]
    command = [sys.executable, "-m", "actors.cli", "speak", "--help"]
    text = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout
    options = set(re.findall(r"^  (?:-\w, )?(--[\w-]+)", text, re.MULTILINE))
    assert set(re.findall(r"^\| `(--[\w-]+)", table, re.MULTILINE)) == options - {"--help"}
