"""The voice: a command for each chunk, one after the other, silent at an interrupt."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from pathlib import Path

import pytest

from actors.speak.voice import BadVoiceError, Voice


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return f"'{path}'"


def test_each_chunk_is_spoken_in_order_one_at_a_time(antiphon, letter: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    voice = script(tmp_path / "my voice", f"echo begin >> '{log}'; cat >> '{log}'; echo end >> '{log}'")
    done = antiphon("speak", letter, "--tokens-per-second", "0", "--voice", voice)
    assert done.returncode == 0
    assert log.read_text().splitlines() == [
        *("begin", "A letter", "end"),
        *("begin", "Hello there, dear reader.", "end"),
        *("begin", "This is the second sentence.", "end"),
        *("begin", "And this one is the third.", "end"),
    ]


def test_what_the_command_prints_is_not_among_the_events(antiphon, letter: Path) -> None:
    done = antiphon("speak", letter, "--tokens-per-second", "0", "--json", "--voice", "cat")
    assert all(line.startswith("{") for line in done.stdout.splitlines())
    assert "Hello there, dear reader." in done.stderr


def test_a_command_that_reads_nothing_is_fine(antiphon, letter: Path) -> None:
    assert antiphon("speak", letter, "--tokens-per-second", "0", "--voice", "true").returncode == 0


def test_a_command_that_fails_is_named_once(antiphon, letter: Path) -> None:
    done = antiphon("speak", letter, "--tokens-per-second", "0", "--voice", "sh -c 'exit 7'")
    assert done.returncode == 1
    assert done.stderr == "antiphon: --voice: sh ended with exit code 7\n"
    assert re.search(r"voice +failed for 4 chunks", done.stdout)
    assert "And this one is the third." in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("obedience", ["", "trap '' TERM; "])
async def test_an_interrupt_ends_what_is_spoken_with_all_its_processes(
    start, letter: Path, tmp_path: Path, number: signal.Signals, obedience: str
) -> None:
    heard = tmp_path / "heard"
    os.mkfifo(heard)
    voice = script(tmp_path / "voice", f"{obedience}cat; sleep 300 & echo $! > '{heard}'; wait; wait")
    process = await start(["speak", letter, "--tokens-per-second", "0", "--voice", voice])
    sleeper = int(await asyncio.to_thread(heard.read_text))
    process.send_signal(number)
    out, _ = await asyncio.wait_for(process.communicate(), 5)
    assert process.returncode == 128 + number
    assert re.search(rb"status +interrupted", out)
    assert b"dear reader" not in out  # the first chunk was still being spoken
    await _gone(sleeper)


async def test_a_reader_that_leaves_silences_the_voice(start, letter: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    read, write = os.pipe()
    os.close(read)
    process = await start(["speak", letter, "--tokens-per-second", "0", "--voice", f"tee -a '{log}'"], stdout=write)
    os.close(write)
    await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode == 128 + signal.SIGPIPE
    assert not log.exists()


async def test_after_a_stop_nothing_is_spoken(tmp_path: Path) -> None:
    log = tmp_path / "log"
    voice = Voice(f"tee -a {log}")
    await voice.stop()
    await voice.say("Too late.", output=2)
    assert not log.exists()


async def test_a_failure_is_told_when_it_happens(start, long_text: Path) -> None:
    process = await start(["speak", long_text, "--tokens-per-second", "100", "--voice", "false"])
    assert await process.stderr.readline() == b"antiphon: --voice: false ended with exit code 1\n"
    process.send_signal(signal.SIGINT)
    _, err = await asyncio.wait_for(process.communicate(), 5)
    assert err == b""
    assert process.returncode == 130


def test_a_voice_that_hangs_does_not_hold_up_the_interrupt(antiphon, letter: Path) -> None:
    done = antiphon("speak", letter, "--voice", "sleep 300", "--interrupt-after", "0.3")
    assert done.returncode == 0
    assert re.search(r"status +interrupted \(--interrupt-after 0.3\)", done.stdout)


def test_a_voice_that_cannot_be_is_refused(letter: Path) -> None:
    with pytest.raises(BadVoiceError, match="empty"):
        Voice("  ")
    with pytest.raises(BadVoiceError, match="is no program that can be run"):
        Voice(str(letter))


async def _gone(pid: int) -> None:
    """Wait until a process that is not our child has ended."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(process, ended.set)
    await ended.wait()
    asyncio.get_running_loop().remove_reader(process)
    os.close(process)
