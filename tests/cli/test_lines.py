"""Lines from other processes, handed over by the loop."""

from __future__ import annotations

import asyncio
import os

from actors.speak.lines import LinePipe


async def test_lines_are_handed_over_as_they_come_and_the_rest_at_the_end() -> None:
    lines: asyncio.Queue[str] = asyncio.Queue()
    pipe = LinePipe(lines.put_nowait)
    os.write(pipe.write_fd, b"one\ntwo\nth")
    assert [await lines.get(), await lines.get()] == ["one", "two"]
    os.write(pipe.write_fd, b"ree\nfo\xff")
    pipe.close()
    assert [lines.get_nowait(), lines.get_nowait()] == ["three", "fo\ufffd"]
    assert lines.empty()


async def test_a_line_without_an_end_comes_in_pieces() -> None:
    lines: asyncio.Queue[str] = asyncio.Queue()
    pipe = LinePipe(lines.put_nowait)
    sent = 0
    while lines.empty():
        sent += os.write(pipe.write_fd, b"x" * 1000)
        await asyncio.sleep(0)
        assert sent < 20_000
    pipe.close()
    assert sum(len(lines.get_nowait()) for _ in range(lines.qsize())) == sent


async def test_a_process_that_keeps_writing_does_not_hold_up_the_close() -> None:
    pipe = LinePipe(lambda _: None)
    other = os.dup(pipe.write_fd)  # as a command has it that outlives its turn
    pipe.close()
    os.close(other)
