"""Imports point one way: what is below knows nothing of what is above, and there are no circles."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import actors
import protocol

PACKAGES = [Path(package.__file__).parent for package in (actors, protocol) if package.__file__]
ABOVE = {"actors.agents", "actors.cli", "actors.fleet", "actors.gateway", "actors.speak", "actors.testing"}
"""What stands on the embedding API."""
FACADE = {"actors.system", "actors.processor", "actors.threaded", "actors.stream", "actors.inspection"}


def part(module: str) -> str:
    """Return the part of the map that a module is in: `protocol`, or a package or module of `actors`."""
    return module if module == "actors" else ".".join(module.split(".")[: 2 if module.startswith("actors.") else 1])


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield what is imported when the program runs, so not for annotations alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        else:
            yield from imported(node)


def parts() -> dict[str, set[str]]:
    """Return for each part the others that it imports."""
    found: dict[str, set[str]] = {}
    for package in PACKAGES:
        for path in package.rglob("*.py"):
            names = path.relative_to(package.parent).with_suffix("").parts
            module = ".".join(name for name in names if name != "__init__")
            if module == "actors":
                continue  # the API's names, found when they are asked for
            others = found.setdefault(part(module), set())
            tree = ast.parse(path.read_text(encoding="utf-8"))
            others |= {part(name) for name in imported(tree) if name.split(".")[0] in {"actors", "protocol"}}
    return {name: others - {name} for name, others in found.items()}


def test_there_are_no_circles() -> None:
    assert len(list(TopologicalSorter(parts()).static_order())) > 15


def test_what_is_below_knows_nothing_of_what_is_above() -> None:
    for name, others in parts().items():
        if name == "protocol":
            assert others == set()
        elif name in {"actors.runtime", "actors.speech", "actors.agents"}:
            assert others <= {"protocol"}, name
        elif name in FACADE:
            assert not others & ABOVE, name
        elif name not in ABOVE:
            assert not others & (ABOVE | FACADE), name
