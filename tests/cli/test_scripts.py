"""The scripts that a new user runs first, on machines where something is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from terminal import Open

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


PROGRAMS = sorted(path.name for path in SCRIPTS.glob("*.py") if path.name not in {"checkout.py", "json_lines.py"})


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def make_environment(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPTS / "environment", "cli"],
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "VENV": str(folder / "venv"), **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_script_runs_from_anywhere_and_is_executable(program: str, tmp_path: Path) -> None:
    path = SCRIPTS / program
    command = [sys.executable, str(path), "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: {program}")
    assert path.read_text(encoding="utf-8").startswith("#!/usr/bin/env python3\n")
    assert os.access(path, os.X_OK)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_python_without_the_packages_is_named_with_the_one_to_take(program: str, tmp_path: Path) -> None:
    command = [sys.executable, "-S", str(SCRIPTS / program), "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    says, make, run = done.stderr.splitlines()
    assert says.startswith(f"{program}: {sys.executable} has not all that the scripts need.")
    assert make.split()[:2] == [str(SCRIPTS / "environment"), "cli,gateway"]
    assert run.split() == [str(SCRIPTS.parent / ".venv/bin/python"), str(SCRIPTS / program)]


@pytest.mark.parametrize("program", ["check_streams.py", "score_sentences.py", "simulate.py"])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "No such file or directory"),
        (b"\xff\xfe", ": n"),
        (b"", ": "),
        (b"# Title\n", ": "),
        (b"3\n", ": "),
        (b'{"other": 1}\n', ": "),
    ],
)
def test_a_file_that_is_none_for_a_script_is_one_line(
    program: str, content: bytes | None, says: str, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    option = ["--scenario"] if program == "simulate.py" else []
    command = [sys.executable, str(SCRIPTS / program), *option, str(path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    *_usage, line = done.stderr.splitlines()
    assert line.startswith(f"{program}: error: argument ")
    assert str(path) in line
    assert says in line


@pytest.mark.parametrize("arguments", [[], [""]])
def test_an_environment_of_nothing_is_no_environment(arguments: list[str]) -> None:
    done = subprocess.run([SCRIPTS / "environment", *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "antiphon: which extras? For example: scripts/environment cli,gateway,test\n"


@pytest.mark.parametrize("python", ["/no/such/python", "/bin/ls"])
def test_a_python_that_is_none_is_named(tmp_path: Path, python: str) -> None:
    done = make_environment(tmp_path, PYTHON=python)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"antiphon: PYTHON={python} is not a Python 3.11 or later that runs.\n"


def test_without_venv_the_package_that_has_it_is_named(tmp_path: Path) -> None:
    python = script(tmp_path / "python3", f'case "$*" in *ensurepip*) exit 1;; esac; exec {sys.executable} "$@"')
    done = make_environment(tmp_path, PATH=f"{tmp_path}:/usr/bin:/bin")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"antiphon: {python} has no module venv or ensurepip. ")
    assert "apt install python3-venv" in done.stderr
    assert not (tmp_path / "venv").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_checkout_of_somebody_else_is_named(tmp_path: Path) -> None:
    (tmp_path / "checkout").mkdir()
    shutil.copytree(SCRIPTS, tmp_path / "checkout" / "scripts")
    (tmp_path / "checkout").chmod(0o555)
    done = subprocess.run(
        [tmp_path / "checkout" / "scripts" / "environment", "cli"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert f"{tmp_path / 'checkout'} cannot be written to" in done.stderr


def test_ctrl_c_in_the_demo_ends_with_the_summary_and_its_code(terminal: Open, tmp_path: Path) -> None:
    shutil.copytree(SCRIPTS, tmp_path / "scripts", ignore=shutil.ignore_patterns("environment"))
    script(tmp_path / "scripts" / "environment", f"echo '{tmp_path / 'venv'}'")
    script(tmp_path / "venv" / "bin" / "antiphon", f'exec {sys.executable} -m actors.cli "$@"')
    (tmp_path / "README.md").write_text("This is one more sentence of a long text. " * 1000)
    screen = terminal(command=[tmp_path / "scripts" / "demo"])
    assert "talk with it" not in screen.press_ctrl_c_at("one more sentence")
