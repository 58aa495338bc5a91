#!/usr/bin/env python3
"""Draw the tables of settings and of errors from the code, for docs/settings.md and docs/errors.md.

    scripts/doc_tables.py            print the tables
    scripts/doc_tables.py --write    put each into its document, between its two comments

What a row says is the docstring of what it is about.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import sys
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, get_args

from checkout import ROOT

sys.path.insert(0, str(ROOT))

from protocol import errors, settings
from protocol.errors import AntiphonError
from protocol.settings import Settings
from protocol.speech import SpeechSettings

__all__ = ["TABLES", "Table"]

DOCS = ROOT / "docs"


class Table(NamedTuple):
    """A table of a document, and how it is drawn."""

    document: Path
    name: str
    draw: Callable[[], str]

    @property
    def begin(self) -> str:
        """The comment before it."""
        return f"<!-- {self.name}, drawn by scripts/doc_tables.py -->\n"

    @property
    def end(self) -> str:
        """The comment behind it."""
        return f"<!-- end of {self.name} -->\n"

    def split(self) -> tuple[str, str, str]:
        """Return the document's text before the table, the table that it has, and the text behind."""
        before, begin, rest = self.document.read_text(encoding="utf-8").partition(self.begin)
        drawn, end, after = rest.partition(self.end)
        if not begin or not end:
            raise SystemExit(f"{self.document} has lost the comments around its {self.name}")
        return before + begin, drawn, end + after


def draw(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a markdown table."""
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def settings_table() -> str:
    """Draw what `ConversationSystem(settings)` takes."""
    meanings = attribute_docstrings(settings, "Settings")
    return draw(
        ("setting", "default", "what it is"),
        (
            (f"`{name}`", default_of(field), meanings[name] + choices_of(field))
            for name, field in Settings.model_fields.items()
            if name != "speech"
        ),
    )


def speech_table() -> str:
    """Draw what `Settings(speech=...)` takes."""
    return draw(
        ("setting", "default", "what it is"),
        (
            (f"`{name}`", default_of(field), (field.description or "") + choices_of(field))
            for name, field in SpeechSettings.model_fields.items()
        ),
    )


def default_of(field: Any) -> str:
    """Return a default as one would write it."""
    value = field.get_default(call_default_factory=True)
    if isinstance(value, tuple):
        return ", ".join(f"`{word}`" for word in value) if len(value) <= 5 else f"{len(value)} words"
    return f"`{value:,}`" if isinstance(value, int) and not isinstance(value, bool) else f"`{value}`"


def choices_of(field: Any) -> str:
    """Return the values that a field may have, where they are a few words."""
    words = [word for word in get_args(field.annotation) if isinstance(word, str)]
    return f" ({', '.join(f'`{word}`' for word in words)})" if words else ""


def exceptions_table() -> str:
    """Draw the exceptions that calls raise."""
    classes = [vars(errors)[name] for name in errors.__all__]
    return draw(
        ("exception", "`code`", "is also a", "when"),
        (
            (f"`{error.__name__}`", f"`{error.code}`", also(error), paragraph(error))
            for error in classes
            if issubclass(error, AntiphonError) and error is not AntiphonError
        ),
    )


def also(error: type[AntiphonError]) -> str:
    """Name the built-in class of an error."""
    return ", ".join(f"`{base.__name__}`" for base in error.__bases__ if base is not AntiphonError)


def paragraph(documented: object) -> str:
    """Return the first paragraph of a docstring, on one line."""
    return " ".join((inspect.getdoc(documented) or "").split("\n\n")[0].split())


def codes_table(name: str) -> Callable[[], str]:
    """Draw the codes of an enum of `protocol.errors`."""

    def codes() -> str:
        meanings = attribute_docstrings(errors, name)
        return draw(
            ("code", "what has happened"), ((f"`{code}`", meanings[code.name]) for code in vars(errors)[name])
        )

    return codes


def attribute_docstrings(module: Any, class_name: str) -> dict[str, str]:
    """Return the docstrings that stand below the attributes of a class, on one line each."""
    tree = ast.parse(inspect.getsource(module))
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == class_name)
    found: dict[str, str] = {}
    for before, node in pairwise(body):
        target: ast.expr | None = None
        if isinstance(before, ast.AnnAssign):
            target = before.target
        elif isinstance(before, ast.Assign):
            target = before.targets[0]
        if isinstance(target, ast.Name) and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            found[target.id] = " ".join(str(node.value.value).split())
    return found


TABLES = (
    Table(DOCS / "settings.md", "settings", settings_table),
    Table(DOCS / "settings.md", "speech settings", speech_table),
    Table(DOCS / "errors.md", "exceptions", exceptions_table),
    Table(DOCS / "errors.md", "failure codes", codes_table("FailureCode")),
    Table(DOCS / "errors.md", "gateway codes", codes_table("GatewayCode")),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put them into their documents")
    write = parser.parse_args().write
    for table in TABLES:
        if write:
            before, _, after = table.split()
            table.document.write_text(before + table.draw() + after, encoding="utf-8")
        else:
            print(f"{table.document.name}: {table.name}\n\n{table.draw()}")


if __name__ == "__main__":
    main()
