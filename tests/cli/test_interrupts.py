"""What a person or the shell does to a command that runs: Ctrl-C, a pipe that closes, a pipe that nobody reads."""

from __future__ import annotations

import array
import asyncio
import fcntl
import json
import os
import re
import signal
import termios
from pathlib import Path

import pytest


async def test_ctrl_c_ends_the_turn_and_the_summary_comes(start, long_text: Path) -> None:
    process = await start(["speak", long_text, "--tokens-per-second", "100"])
    await process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = await asyncio.wait_for(process.communicate(), 5)
    assert process.returncode == 130
    assert re.search(rb"status +interrupted \(Ctrl-C\)", out)
    assert err == b""


async def test_ctrl_c_while_standard_input_gives_nothing(start) -> None:
    process = await start(["speak", "-"])
    process.stdin.write(b"Hello world. And then")
    await process.stdin.drain()
    await process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out = await asyncio.wait_for(process.stdout.read(), 5)
    assert await asyncio.wait_for(process.wait(), 5) == 130
    assert re.search(rb"status +interrupted", out)


async def test_sigterm_ends_it_the_same_way(start, long_text: Path) -> None:
    process = await start(["speak", long_text, "--tokens-per-second", "100", "--json"])
    await process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    out, err = await asyncio.wait_for(process.communicate(), 5)
    assert process.returncode == 128 + signal.SIGTERM
    assert b'"status": "interrupted"' in out.splitlines()[-1]
    summary = json.loads(err)
    assert (summary["status"], summary["reason"]) == ("interrupted", "terminated")
    assert summary["exit_code"] == process.returncode


@pytest.mark.parametrize("options", [[], ["--json"]])
async def test_a_reader_that_leaves_ends_it_quietly(start, long_text: Path, options: list[str]) -> None:
    read, write = os.pipe()
    process = await start(["speak", long_text, "--tokens-per-second", "0", *options], stdout=write)
    os.close(write)
    await asyncio.get_running_loop().run_in_executor(None, os.read, read, 100)
    os.close(read)
    err = await asyncio.wait_for(process.stderr.read(), 10)
    assert await process.wait() == 128 + signal.SIGPIPE
    assert err == b"" if not options else b"Traceback" not in err


async def test_a_reader_that_stops_reading_holds_up_nothing_but_the_turn(start, long_text: Path) -> None:
    read, write = os.pipe()
    process = await start(["speak", long_text, "--tokens-per-second", "0", "--json"], stdout=write)
    os.close(write)
    os.read(read, 10)
    await _until_full(read, process.pid)
    process.send_signal(signal.SIGINT)
    # The pipe is still full: what was interrupted cannot say so yet, and says it as soon as there is room.
    text = b""
    loop = asyncio.get_running_loop()
    while block := await loop.run_in_executor(None, os.read, read, 65536):
        text += block
    os.close(read)
    assert await asyncio.wait_for(process.wait(), 5) == 130
    assert b'"status": "interrupted"' in text.splitlines()[-1]


async def test_a_second_ctrl_c_leaves_at_once(start, long_text: Path) -> None:
    read, write = os.pipe()
    process = await start(["speak", long_text, "--tokens-per-second", "0", "--json"], stdout=write)
    os.close(write)
    os.read(read, 10)
    await _until_full(read, process.pid)
    process.send_signal(signal.SIGINT)
    loop = asyncio.get_running_loop()
    end = loop.create_task(process.wait())
    while not end.done():  # two signals that come together are one
        process.send_signal(signal.SIGINT)
        await asyncio.wait({end}, timeout=0.1)
    os.close(read)
    assert await end == 130


async def test_a_full_disk_is_named(start, letter: Path) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    process = await start(["speak", letter, "--tokens-per-second", "0"], stdout=full)
    os.close(full)
    _, err = await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode == 1
    assert err == b"antiphon: cannot write the output: No space left on device\n"


async def _until_full(pipe: int, pid: int) -> None:
    """Wait until the command has filled the pipe and waits for room, using no processor."""

    def state() -> tuple[int, str]:
        pending = array.array("i", [0])
        fcntl.ioctl(pipe, termios.FIONREAD, pending)
        return pending[0], " ".join(Path(f"/proc/{pid}/stat").read_text().split()[13:15])

    before = None
    while (now := state()) != before:
        before = now
        await asyncio.sleep(0.2)
