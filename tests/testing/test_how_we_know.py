"""docs/how-we-know.md names tests, programs and figures; what it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from testing.mutants import MUTANTS

from actors.testing.scenario import AGENTS, CLIENTS

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = (ROOT / "docs" / "how-we-know.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\b(?:tests|actors|scripts)/[\w./]*\w", PAGE))))
def test_what_the_page_names_is_there(path: str) -> None:
    assert (ROOT / path).exists()


def test_its_figures_on_mutants_are_those_of_the_table() -> None:
    took = sorted(mutant.seeds for mutant in MUTANTS.values())
    first, few = took.count(1), sum(seeds <= 9 for seeds in took)
    assert f"{len(took)} of {len(took)} are found. {first} of them with the first seed, {few} within nine" in PAGE


def test_the_page_counts_the_kinds_that_are_drawn() -> None:
    words = {9: "nine", 10: "ten", 15: "fifteen", 16: "sixteen", 17: "seventeen"}
    assert f"{words[len(AGENTS)]} kinds of agents" in PAGE
    assert f"{words[len(CLIENTS)]} kinds of clients" in PAGE
