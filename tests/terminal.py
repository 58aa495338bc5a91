"""A command on a terminal, and what a person sees and types there."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Callable

import pytest
from screen import screen_of

__all__ = ["Open", "Terminal"]

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\r")


class Terminal:
    """A command on a terminal of its own, its controlling one, so that a typed Ctrl-C is a signal."""

    def __init__(self, command: list[str], environment: dict[str, str], columns: int = 80) -> None:
        self.raw = ""
        self._columns = columns
        self._fd, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        environment = {name: value for name, value in environment.items() if name not in {"COLUMNS", "LINES"}}
        # setsid makes the terminal the controlling one; a fork hook of our own would not be safe beside threads.
        self.process = subprocess.Popen(
            ["setsid", "--ctty", "--wait", *command],
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

    @property
    def lines(self) -> list[str]:
        """What is on the screen now."""
        return screen_of(self.raw, self._columns)

    def press_ctrl_c_at(self, pattern: str) -> str:
        """Interrupt the command when this is on the screen; return all that was there when it had ended."""
        self.read_until(pattern)
        self.type(b"\x03")
        text = self.read_to_end()
        assert self.process.returncode == 130
        assert re.search(r"status +interrupted \(Ctrl-C\)", text)
        return text

    def type(self, keys: bytes) -> None:
        os.write(self._fd, keys)

    def close(self) -> None:
        os.close(self._fd)  # hangs up, which ends what runs
        self.process.wait(10)


Open = Callable[..., Terminal]
