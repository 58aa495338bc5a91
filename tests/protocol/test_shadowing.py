"""A service that has a top-level `actors` or `protocol` of its own is told so, by a typed error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import protocol
from protocol.errors import ShadowedPackageError
from protocol.shadowing import require_sibling

OURS = Path(protocol.__file__).parent.parent
REPORT = """
try:
    import {package}
except ImportError as error:
    print(type(error).__name__, error.code, error)
else:
    print("imported", {package}.__file__)
"""


def import_with(path: Path, package: str) -> str:
    """Import a package in a new interpreter, with `path` before the place of ours, and say what came of it."""
    done = subprocess.run(
        [sys.executable, "-c", REPORT.format(package=package)],
        env={**os.environ, "PYTHONPATH": f"{path}{os.pathsep}{OURS}"},
        cwd=path,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def put_package(path: Path, name: str) -> Path:
    (path / name).mkdir()
    (path / name / "__init__.py").write_text("", encoding="utf-8")
    return path / name / "__init__.py"


@pytest.mark.parametrize(("ours", "theirs"), [("protocol.turn", "actors"), ("actors", "protocol")])
def test_package_of_the_same_name_is_named_with_its_place(ours: str, theirs: str, tmp_path: Path) -> None:
    foreign = put_package(tmp_path, theirs)

    report = import_with(tmp_path, ours)

    assert "ShadowedPackageError shadowed_package" in report
    assert str(foreign) in report
    assert f"the package {theirs!r} of Antiphon is shadowed" in report


@pytest.mark.parametrize(("ours", "theirs"), [("protocol.turn", "actors"), ("actors", "protocol")])
def test_module_of_the_same_name_is_named_with_its_place(ours: str, theirs: str, tmp_path: Path) -> None:
    foreign = tmp_path / f"{theirs}.py"
    foreign.write_text("", encoding="utf-8")

    report = import_with(tmp_path, ours)

    assert "ShadowedPackageError shadowed_package" in report
    assert str(foreign) in report


@pytest.mark.parametrize("ours", ["protocol.turn", "actors"])
def test_folder_of_the_same_name_that_is_no_package_does_not_matter(ours: str, tmp_path: Path) -> None:
    (tmp_path / "actors").mkdir()
    (tmp_path / "protocol").mkdir()

    assert import_with(tmp_path, ours).startswith(f"imported {OURS}")


def test_package_that_is_not_there_is_no_shadow() -> None:
    require_sibling(protocol.__file__, "actors_of_a_client_that_needs_only_the_protocol")


def test_module_that_was_put_in_its_place_by_hand_is_a_shadow_too(monkeypatch: pytest.MonkeyPatch) -> None:
    by_hand = ModuleType("actors")
    by_hand.__spec__ = None
    monkeypatch.setitem(sys.modules, "actors", by_hand)

    with pytest.raises(ShadowedPackageError, match="a module without a file"):
        require_sibling(protocol.__file__, "actors")
