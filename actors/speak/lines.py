"""Lines in and out of the process, without ever blocking the loop.

A pipe that nobody empties must not block the loop, or Ctrl-C would go unheard: `LineWriter` writes no more than fits.
`LinePipe` is the way back: what a command writes into it is handed over line by line.
"""

from __future__ import annotations

import asyncio
import os
import re
import select
import sys
from collections.abc import Callable
from contextlib import suppress

__all__ = ["LinePipe", "LineWriter", "complain", "one_line"]

_BLOCK = 4096
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class LineWriter:
    """Writes lines to a file descriptor.

    Raises (from `write`):
        BrokenPipeError: nobody reads any more.
        OSError: the lines cannot be written, for example to a full disk.

    """

    def __init__(self, fd: int) -> None:
        self._fd = fd

    async def write(self, text: str) -> None:
        """Write the text and a line end."""
        rest = memoryview((text + "\n").encode("utf-8", "replace"))
        while rest:
            await self._room()
            # What a poll calls writable takes this much for sure, also where the descriptor blocks.
            rest = rest[os.write(self._fd, rest[: select.PIPE_BUF]) :]

    async def _room(self) -> None:
        if select.select([], [self._fd], [], 0)[1]:
            return
        loop = asyncio.get_running_loop()
        room = loop.create_future()

        def wake() -> None:
            if not room.done():
                room.set_result(None)

        loop.add_writer(self._fd, wake)
        try:
            await room
        finally:
            loop.remove_writer(self._fd)


class LinePipe:
    """A pipe of which the running loop hands every line to `take`, for as long as it is open.

    Its end for writing is inherited by commands that may outlive the pipe, so that nobody waits for its end of file.
    """

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take = take
        self._rest = b""
        self._read_fd, self.write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._read_fd, self._read)

    def close(self) -> None:
        """Hand over what is left, and close both ends."""
        self._loop.remove_reader(self._read_fd)
        os.close(self.write_fd)
        self._read()
        if self._rest:
            self._take(self._rest.decode("utf-8", "replace"))
        os.close(self._read_fd)

    def _read(self) -> None:
        try:
            block = os.read(self._read_fd, _BLOCK)
        except BlockingIOError:
            return
        *lines, self._rest = (self._rest + block).split(b"\n")
        if len(self._rest) > _BLOCK:  # a line without an end is handed over in pieces
            lines.append(self._rest)
            self._rest = b""
        for line in lines:
            self._take(line.decode("utf-8", "replace"))


def one_line(text: str) -> str:
    """Return text that a terminal shows on one line and does not obey: a model can write escape sequences too."""
    return _CONTROL.sub(" ", text)


def complain(message: str) -> None:
    """Write one line to standard error."""
    if sys.stderr is not None:
        with suppress(OSError):  # nobody reads that either
            print(f"antiphon: {one_line(message)}", file=sys.stderr, flush=True)
