"""On a terminal: sentences one by one, a status line below them that goes away, Ctrl-C from the keyboard."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\r")


class Terminal:
    """A command on a terminal of its own, its controlling one, so that a typed Ctrl-C is a signal."""

    def __init__(self, arguments: list[str], environment: dict[str, str], columns: int = 80) -> None:
        self.raw = ""
        self._fd, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        environment = {name: value for name, value in environment.items() if name not in {"COLUMNS", "LINES"}}
        # setsid makes the terminal the controlling one; a fork hook of our own would not be safe beside threads.
        self.process = subprocess.Popen(
            ["setsid", "--ctty", "--wait", sys.executable, "-m", "actors.cli", *arguments],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            env=environment,
        )
        os.close(inner)

    def read_until(self, pattern: str) -> str:
        """Read until what is on the screen, without its escapes, matches."""
        while not re.search(pattern, self.text):
            self.raw += self._read() or pytest.fail(f"ended without {pattern!r}: {self.text}")
        return self.text

    def read_to_end(self) -> str:
        while block := self._read():
            self.raw += block
        self.process.wait(10)
        return self.text

    def _read(self) -> str:
        try:
            return os.read(self._fd, 65536).decode(errors="replace")
        except OSError:  # Linux says so when the other end is closed
            return ""

    @property
    def text(self) -> str:
        return ESCAPES.sub("", self.raw)

    def type(self, keys: bytes) -> None:
        os.write(self._fd, keys)

    def close(self) -> None:
        os.close(self._fd)  # hangs up, which ends what runs
        self.process.wait(10)


Open = Callable[..., Terminal]


@pytest.fixture
def terminal(environment: dict[str, str]) -> Iterator[Open]:
    opened: list[Terminal] = []

    def open_it(*arguments: str | Path, columns: int = 80, **extra: str) -> Terminal:
        opened.append(Terminal([str(argument) for argument in arguments], {**environment, **extra}, columns))
        return opened[-1]

    yield open_it
    for each in opened:
        each.close()


def test_sentences_appear_above_a_status_line_and_the_summary_replaces_it(terminal: Open, letter: Path) -> None:
    screen = terminal("speak", letter, "--tokens-per-second", "40")
    screen.read_until("A letter")
    screen.read_until(r"tokens \d+ · chunks 1 · \d\.\d s")
    assert "third" not in screen.text
    text = screen.read_to_end()
    assert screen.process.returncode == 0
    assert re.search(r"\d m?s +Hello there, dear reader\.\s*\n", text)
    assert text.index("And this one is the third.") < text.index("summary")
    assert re.search(r"status +completed", text)
    after = text[text.index("summary") :]
    assert "·" not in after  # the status line has gone


def test_ctrl_c_from_the_keyboard(terminal: Open, long_text: Path) -> None:
    screen = terminal("speak", long_text, "--tokens-per-second", "60")
    screen.read_until("one more sentence")
    screen.type(b"\x03")
    text = screen.read_to_end()
    assert screen.process.returncode == 130
    assert re.search(r"status +interrupted \(Ctrl-C\)", text)
    assert "Traceback" not in text


def test_a_person_may_type_what_is_to_be_spoken(terminal: Open) -> None:
    screen = terminal("speak", "-")
    screen.read_until("tokens 0")
    screen.type(b"Good morning to you all. And\n")
    screen.read_until(r"\d m?s +Good morning to you all\.")
    screen.type(b"\x04")
    text = screen.read_to_end()
    assert screen.process.returncode == 0
    assert re.search(r"chunks +2", text)


def test_a_long_sentence_is_wrapped_and_not_cut(terminal: Open, tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    words = [f"word{number}" for number in range(30)]
    path.write_text(" ".join(words) + ".")
    text = terminal("speak", path, "--tokens-per-second", "0", columns=40).read_to_end()
    assert all(word in text for word in words)


def test_text_cannot_command_the_terminal(terminal: Open, tmp_path: Path) -> None:
    path = tmp_path / "evil.txt"
    path.write_text("Before \x1b]0;owned\x07 and \x1b[2J[bold]after[/bold] this.")
    screen = terminal("speak", path, "--tokens-per-second", "0")
    screen.read_to_end()
    assert screen.process.returncode == 0
    assert "\x1b]0" not in screen.raw
    assert "\x1b[2J" not in screen.raw
    assert "[bold]after" in screen.text


def test_a_terminal_that_knows_only_ascii(terminal: Open, tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("Grüße aus München!", encoding="utf-8")
    screen = terminal("speak", path, "--tokens-per-second", "0", PYTHONIOENCODING="ascii")
    text = screen.read_to_end()
    assert screen.process.returncode == 0
    assert "e aus M" in text
