"""The wheel: what is in it, what it asks for, and that the command runs from it where there is no checkout."""

from __future__ import annotations

import ast
import gc
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from configparser import ConfigParser
from importlib.metadata import Distribution, distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("actors", "protocol")
SETUP = ConfigParser()
SETUP.read(ROOT / "setup.cfg", encoding="utf-8")
CONSOLE = sorted((ROOT / "actors" / "gateway" / "console").iterdir())
SOURCES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build from a copy that holds only what a build may need; it leaves traces where it runs, too."""
    source = tmp_path_factory.mktemp("source")
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    out = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", out, source)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="session")
def core(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return environment(wheel, set(), tmp_path_factory.mktemp("core"))


@pytest.fixture(scope="session")
def with_cli(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return environment(wheel, {"cli"}, tmp_path_factory.mktemp("cli"))


def environment(wheel: Path, extras: set[str], folder: Path) -> Path:
    """Make an environment with the wheel and what it asks for with these extras, and nothing else.

    What it asks for is installed here and need not be fetched again: it is linked.
    """
    environment = folder / "an environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    pip("--python", python, "install", "--no-deps", wheel)
    site = Path(subprocess.check_output([python, "-c", PRINT_SITE_PACKAGES], text=True).strip())
    for dependency in dependencies(next(site.glob("antiphon-*.dist-info")), extras):
        for name in {file.parts[0] for file in dependency.files or ()} - {"..", "__pycache__"}:
            if not (site / name).exists():
                (site / name).symlink_to(Path(str(dependency.locate_file(name))))
    pip("--python", python, "check")
    return environment


def dependencies(metadata: Path, extras: set[str]) -> list[Distribution]:
    """Return all that a distribution asks for, directly or not."""
    found: dict[str, Distribution] = {}
    asking: list[tuple[Distribution, set[str]]] = [(Distribution.at(metadata), extras)]
    while asking:
        one, its_extras = asking.pop()
        for line in one.requires or ():
            wanted = Requirement(line)
            asked_for = any((wanted.marker or ALWAYS).evaluate({"extra": extra}) for extra in {"", *its_extras})
            if asked_for and wanted.name not in found:
                found[wanted.name] = distribution(wanted.name)
                asking.append((found[wanted.name], wanted.extras))
    return list(found.values())


ALWAYS = Marker("python_version > '3'")
PRINT_SITE_PACKAGES = "import sysconfig; print(sysconfig.get_path('purelib'))"


def pip(*arguments: str | Path) -> None:
    quiet = ["--quiet", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", *map(str, arguments[:-1]), *quiet, str(arguments[-1])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_wheel_holds_both_packages_typed_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    info = {name for name in names if ".dist-info/" in name}
    assert names - info == {
        *(str(path.relative_to(ROOT)) for path in SOURCES),
        *(f"{package}/py.typed" for package in PACKAGES),
        *(str(path.relative_to(ROOT)) for path in CONSOLE),
    }
    assert any(name.endswith("/LICENSE") for name in info)


def test_the_command_speaks_outside_the_checkout(with_cli: Path, tmp_path: Path) -> None:
    (tmp_path / "text.md").write_text("# Title\n\nThis is *one* sentence. And another one here.\n")
    done = run(with_cli / "bin" / "antiphon", "speak", "text.md", "--tokens-per-second", "0", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "This is one sentence." in done.stdout
    assert "completed" in done.stdout


def test_the_packages_come_from_the_wheel_and_know_their_version(with_cli: Path, tmp_path: Path) -> None:
    program = "import actors, protocol; print(actors.__file__, protocol.__file__, sep='\\n')"
    done = run(with_cli / "bin" / "python", "-c", program, cwd=tmp_path)
    assert all(line.startswith(str(with_cli)) for line in done.stdout.splitlines()), done.stdout + done.stderr
    version = run(with_cli / "bin" / "antiphon", "--version", cwd=tmp_path).stdout
    assert version == f"antiphon {SETUP['metadata']['version']}\n"


def test_a_turn_needs_nothing_but_the_core(core: Path, tmp_path: Path) -> None:
    done = run(core / "bin" / "python", "-W", "error", "-c", A_TURN, cwd=tmp_path)
    assert done.stderr == ""
    assert done.stdout == "stream_start\ntts_ready_chunk\nstream_end\n"


A_TURN = """
import asyncio
from actors import MessageProcessor

async def main():
    processor = MessageProcessor("c", "u")
    turn_id = await processor.start_turn(session_id="s", user_input="Hi", agent_stream=iter(["Hello ", "there."]))
    async for event in processor.stream_events(turn_id):
        print(event["type"])

asyncio.run(main())
"""


def test_only_what_extras_are_for_needs_them(core: Path, tmp_path: Path) -> None:
    modules = [".".join(source.relative_to(ROOT).with_suffix("").parts) for source in SOURCES]
    done = run(core / "bin" / "python", "-W", "error", "-c", IMPORT_EACH, *modules, cwd=tmp_path)
    missing = dict(line.split() for line in done.stdout.splitlines())
    assert done.stderr == ""
    assert "actors.speak.command" in missing
    assert [module for module in missing if not module.startswith(FOR_EXTRAS)] == []


FOR_EXTRAS = ("actors.speak.", "actors.gateway.", "actors.fleet.", "actors.testing.plugin")
IMPORT_EACH = """
import importlib, sys
for module in sys.argv[1:]:
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as missing:
        print(module, missing.name)
"""


def test_without_its_extra_the_command_names_it(core: Path, tmp_path: Path) -> None:
    for command in ([core / "bin" / "antiphon"], [core / "bin" / "python", "-m", "actors.cli"]):
        done = run(*command, "speak", "-", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == "antiphon: typer is not installed: run  pip install 'antiphon[cli]'\n"


@pytest.mark.parametrize("source", SOURCES, ids=[str(path.relative_to(ROOT)) for path in SOURCES])
def test_what_is_imported_is_asked_for(source: Path) -> None:
    providers = packages_distributions()
    asked = {canonicalize_name(Requirement(line).name) for line in requirements() if line}
    for module in imports(source):
        if module in sys.stdlib_module_names or module in PACKAGES:
            continue
        found = {canonicalize_name(name) for name in providers.get(module, [module])}
        assert found & asked, f"{source} imports {module}, which setup.cfg does not ask for"


def requirements() -> list[str]:
    lines = [SETUP["options"]["install_requires"], *SETUP["options.extras_require"].values()]
    return "\n".join(lines).split("\n")


def imports(source: Path) -> Iterator[str]:
    """Name the top-level modules that a file imports, anywhere in it."""
    gc.collect()  # CPython 3.11's parser fails when a finalizer of earlier garbage runs within it
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.partition(".")[0]


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("ANTIPHON_") and name not in {"PYTHONPATH", "PYTHONHOME"}
    }
    return subprocess.run(
        [*map(str, command)], cwd=cwd, env=clean, capture_output=True, text=True, timeout=60, check=False
    )
