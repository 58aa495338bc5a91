"""What README shows is what happens: its Python is run, and its output is compared where README gives one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from protocol.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")

BLOCK = re.compile(
    r"^```python\n(?P<code>.*?)^```\n(?:\n?It prints\n\n```text\n(?P<output>.*?)^```\n)?", re.MULTILINE | re.DOTALL
)


class Example(NamedTuple):
    line: int
    code: str
    output: str | None


EXAMPLES = [
    Example(README.count("\n", 0, block.start()) + 2, block["code"], block["output"])
    for block in BLOCK.finditer(README)
]


def test_readme_has_examples_and_says_what_one_prints() -> None:
    assert EXAMPLES
    assert any(example.output for example in EXAMPLES)


@pytest.mark.parametrize("example", EXAMPLES, ids=[f"line {example.line}" for example in EXAMPLES])
def test_example_runs(example: Example, tmp_path: Path) -> None:
    # Padded, so that a traceback names README's own line.
    program = tmp_path / "README.py"
    program.write_text("\n" * (example.line - 1) + example.code, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANTIPHON_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", program],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**environment, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    if example.output is not None:
        assert [line.rstrip() for line in done.stdout.splitlines()] == example.output.splitlines()


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\((?!\w+:|#)([^)#]+)", README))))
def test_link_leads_somewhere(target: str) -> None:
    assert (ROOT / target).exists()


def test_the_settings_that_readme_lists_are_the_settings() -> None:
    table = README[README.index("| setting | default |") :].split("\n\n")[0]
    listed = {name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert listed <= set(Settings.model_fields)
