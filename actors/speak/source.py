"""Where the text comes from: a file or a stream, as an agent that yields it token by token.

A regular file is read twice, a block at a time: once to know that all of it is text before a word is spoken, then to
speak it. A stream (a pipe, a terminal) is spoken as it comes, so what is no text in it can only be reported then.
Every character of the input is in exactly one token.
"""

from __future__ import annotations

import asyncio
import codecs
import os
import re
import stat
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Self

from protocol.errors import AntiphonError

__all__ = ["STANDARD_INPUT", "InputError", "TextSource", "decode", "tokens_of"]

STANDARD_INPUT = "-"
_BLOCK = 65536
_TOKEN = re.compile(r"[ ]?\w{1,4}|[ ]?[^\w\s]{1,3}|\n+|\s")
"""As a language model would cut it, roughly: a few characters of a word, with the blank before it."""
_MAY_LAG_SECONDS = 0.1
"""How much of a delay is made up for; what a slow listener held up longer is not."""
_TAIL = 400
"""How many characters are kept to be looked at: a few lines on the widest terminal."""


class InputError(AntiphonError, ValueError):
    """The input cannot be spoken; the message names it and says why, in one line."""

    code = "bad_input"


class TextSource:
    """One input, opened: `async for token in source.tokens(...)`. Use it as a context manager.

    Args:
        name: a path, or `-` for standard input.

    Raises:
        InputError: it is missing, cannot be read, is a directory, or is no UTF-8 text.

    """

    def __init__(self, name: str) -> None:
        self.name = "standard input" if name == STANDARD_INPUT else name
        if name == STANDARD_INPUT and sys.stdin is None:
            raise InputError("standard input: is closed")
        self._fd = 0 if name == STANDARD_INPUT else self._open(name)
        self._is_ours = name != STANDARD_INPUT
        self.failure: InputError | None = None
        """Set when the input turned out to be no text while it was being spoken."""
        self.length: int | None = None
        """How many characters it has; None for a stream."""
        self.tokens_read = 0
        self.characters_read = 0
        self.tail = ""
        """The last of the characters that were read."""
        try:
            self.is_stream = not stat.S_ISREG(self._mode())
            if self._is_ours and not self.is_stream:
                self.length = sum(map(len, decode(iter(self._read, b""), self.name)))
                os.lseek(self._fd, 0, os.SEEK_SET)
        except BaseException:
            self.close()
            raise

    async def tokens(self, tokens_per_second: float = 0) -> AsyncIterator[str]:
        """Yield the text, token by token, at this rate; 0: as fast as it comes."""
        pace = _Pace(tokens_per_second)
        decoder = _Decoder(self.name)
        try:
            async for block in self._blocks():
                for token in tokens_of(decoder.decode(block)):
                    await pace.wait()
                    self.tokens_read += 1
                    self.characters_read += len(token)
                    self.tail = (self.tail + token)[-_TAIL:]
                    yield token
            decoder.finish()
        except InputError as failure:
            self.failure = failure
            raise

    async def _blocks(self) -> AsyncIterator[bytes]:
        """Read without a thread: one that blocks in `read` could not be stopped at an interrupt."""
        while True:
            if self.is_stream:
                await _readable(self._fd)
            block = self._read()
            if not block:
                return
            yield block

    def _read(self) -> bytes:
        try:
            return os.read(self._fd, _BLOCK)
        except OSError as failure:
            raise InputError(f"{self.name}: {failure.strerror}") from None

    @property
    def is_typed(self) -> bool:
        """Whether a person types it, on a terminal."""
        return os.isatty(self._fd)

    @staticmethod
    def _open(path: str) -> int:
        try:
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as failure:
            raise InputError(f"{path or repr(path)}: {failure.strerror}") from None
        except ValueError:
            raise InputError("the name of a file cannot hold a NUL character") from None

    def _mode(self) -> int:
        try:
            mode = os.fstat(self._fd).st_mode
        except OSError as failure:
            raise InputError(f"{self.name}: {failure.strerror}") from None
        if stat.S_ISDIR(mode):
            raise InputError(f"{self.name}: Is a directory")
        return mode

    def close(self) -> None:
        """Close the file; standard input is left open."""
        if self._is_ours and self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def tokens_of(text: str) -> Iterator[str]:
    """Cut text into pieces like a language model's; together they are the text."""
    return (match.group() for match in _TOKEN.finditer(text))


def decode(blocks: Iterator[bytes], name: str) -> Iterator[str]:
    """Decode UTF-8 that comes in blocks, cut anywhere.

    Raises:
        InputError: it is no text; the message says what was found, and at which byte.

    """
    decoder = _Decoder(name)
    for block in blocks:
        yield decoder.decode(block)
    decoder.finish()


class _Decoder:
    """UTF-8 (a byte order mark at its begin is dropped) without NUL, which no text has and every binary file."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._utf8 = codecs.getincrementaldecoder("utf-8-sig")()
        self._taken = 0

    def decode(self, block: bytes) -> str:
        nul = block.find(0)
        if nul >= 0:
            raise InputError(f"{self._name}: not a text file (a NUL byte at offset {self._taken + nul})")
        return self._decode(block, final=False)

    def finish(self) -> None:
        self._decode(b"", final=True)

    def _decode(self, block: bytes, *, final: bool) -> str:
        held = len(self._utf8.getstate()[0])
        try:
            text = self._utf8.decode(block, final)
        except UnicodeDecodeError as failure:
            offset = self._taken - held + failure.start
            byte = failure.object[failure.start]
            raise InputError(f"{self._name}: not UTF-8 text (byte 0x{byte:02x} at offset {offset})") from None
        self._taken += len(block)
        return text


class _Pace:
    """Lets one caller pass at a steady rate."""

    def __init__(self, per_second: float) -> None:
        self._interval = 1 / per_second if per_second else 0.0
        self._due = 0.0

    async def wait(self) -> None:
        if not self._interval:
            return
        now = asyncio.get_running_loop().time()
        self._due = max(self._due + self._interval, now - _MAY_LAG_SECONDS) if self._due else now
        if self._due > now:
            await asyncio.sleep(self._due - now)


async def _readable(fd: int) -> None:
    """Wait until a read would not block."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    try:
        loop.add_reader(fd, wake)
    except PermissionError:  # a device that cannot be watched never blocks either: /dev/null
        return
    try:
        await ready
    finally:
        loop.remove_reader(fd)
