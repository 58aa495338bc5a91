"""`antiphon speak`, run to its end: what goes where, and the exit codes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from protocol.events import read_event


def test_a_file_comes_as_plain_lines_with_their_times_and_a_summary(antiphon, letter: Path) -> None:
    done = antiphon("speak", letter, "--tokens-per-second", "0")
    assert done.returncode == 0
    assert done.stderr == ""
    chunks, summary = done.stdout.split("\n\n")
    assert [line.split(maxsplit=2)[2] for line in chunks.splitlines()] == [
        "A letter",
        "Hello there, dear reader.",
        "This is the second sentence.",
        "And this one is the third.",
    ]
    assert all(re.match(r" *[\d.]+ m?s  \S", line) for line in chunks.splitlines())
    assert re.search(r"status +completed\n", summary)
    assert re.search(r"chunks +4\n", summary)
    assert re.search(r"tokens +\d\d\n", summary)
    assert re.search(r"first chunk +after ", summary)
    assert re.search(r"removed +\d+ characters: .*emoji 1", summary)


def test_json_is_the_events_and_nothing_else(antiphon, letter: Path) -> None:
    done = antiphon("speak", letter, "--tokens-per-second", "0", "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [read_event(event).type for event in events] == [
        *("stream_start", "tts_ready_chunk", "tts_ready_chunk", "tts_ready_chunk", "tts_ready_chunk", "stream_end")
    ]
    assert [event["seq"] for event in events] == list(range(6))
    assert events[-1]["content"] == letter.read_text()
    assert "status       completed" in done.stderr


def test_standard_input_is_spoken_as_it_comes(antiphon) -> None:
    done = antiphon("speak", "-", stdin="Grüße aus München. Und tschüss!")
    assert done.returncode == 0
    assert "Grüße aus München." in done.stdout


def test_standard_input_may_be_a_file(environment: dict[str, str], letter: Path) -> None:
    with letter.open("rb") as file:
        done = subprocess.run(
            [sys.executable, "-m", "actors.cli", "speak", "-"],
            stdin=file,
            capture_output=True,
            env=environment,
            check=False,
        )
    assert done.returncode == 0
    assert b"dear reader." in done.stdout


async def test_a_sentence_from_a_pipe_is_spoken_before_the_next_comes(start) -> None:
    process = await start(["speak", "-"])
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"Hello world. Caf\xc3")
    await process.stdin.drain()
    assert b"Hello world." in await process.stdout.readline()
    process.stdin.write(b"\xa9 au lait. And")
    await process.stdin.drain()
    assert "Café au lait." in (await process.stdout.readline()).decode()
    process.stdin.close()
    rest = (await process.stdout.read()).decode()
    assert "And\n" in rest
    assert await process.wait() == 0


def test_nothing_at_all_is_a_turn_without_chunks(antiphon) -> None:
    done = antiphon("speak", "-")
    assert done.returncode == 0
    assert re.search(r"chunks +0\n", done.stdout)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["speak", "missing.md"], "missing.md: No such file or directory"),
        (["speak", "."], ".: Is a directory"),
        (["speak", ""], "'': No such file or directory"),
        (["speak", sys.executable], "a NUL byte at offset"),
        (["speak"], "Missing argument 'FILE|-'"),
        (["speak", "-", "--frequency", "3"], "No such option: --frequency"),
        (["speak", "-", "--tokens-per-second", "-1"], "'--tokens-per-second'"),
        (["speak", "-", "--tokens-per-second", "nan"], "'--tokens-per-second'"),
        (["speak", "-", "--tokens-per-second", "many"], "'--tokens-per-second'"),
        (["speak", "-", "--interrupt-after", "-1"], "'--interrupt-after'"),
        (["speak", "-", "--voice", "no-such-voice -x"], "there is no program 'no-such-voice'"),
        (["speak", "-", "--voice", ""], "the command is empty"),
        (["speak", "-", "--voice", "say 'hi"], "No closing quotation"),
        (["sing"], "No such command 'sing'"),
    ],
)
def test_bad_input_gets_one_line_and_exit_code_2(antiphon, arguments: list[str], message: str) -> None:
    done = antiphon(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("antiphon: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr


def test_a_file_that_is_not_utf_8(antiphon, tmp_path: Path) -> None:
    path = tmp_path / "latin.txt"
    path.write_bytes("Ein schöner Tag.".encode("latin-1"))
    done = antiphon("speak", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"antiphon: {path}: not UTF-8 text (byte 0xf6 at offset 7)\n"


async def test_a_pipe_that_turns_out_to_be_no_text_ends_the_turn_after_what_was(start) -> None:
    process = await start(["speak", "-"])
    process.stdin.write(b"Hello world. And ")
    await process.stdin.drain()
    assert b"Hello world." in await process.stdout.readline()
    out, err = await process.communicate(b"\xff\xfe")
    assert process.returncode == 2
    assert err == b"antiphon: standard input: not UTF-8 text (byte 0xff at offset 17)\n"
    assert re.search(rb"status +failed", out)


def test_bad_settings_in_the_environment_get_one_line_too(antiphon, letter: Path) -> None:
    done = antiphon("speak", letter, env={"ANTIPHON_QUEUE_MAXSIZE": "none"})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "ANTIPHON_QUEUE_MAXSIZE" in done.stderr


def test_a_turn_that_fails_says_why_in_one_line(antiphon, letter: Path) -> None:
    done = antiphon("speak", letter, "--tokens-per-second", "0", env={"ANTIPHON_MAX_TURN_CHARS": "40"})
    assert done.returncode == 1
    assert done.stderr.startswith("antiphon: the turn failed: ")
    assert done.stderr.endswith("(turn_too_long)\n")
    assert done.stderr.count("\n") == 1
    assert "A letter" in done.stdout
    assert re.search(r"status +failed \(turn_too_long\)", done.stdout)


def test_interrupt_after_is_an_end_that_was_asked_for(antiphon, long_text: Path) -> None:
    done = antiphon("speak", long_text, "--interrupt-after", "0.5")
    assert done.returncode == 0
    assert re.search(r"status +interrupted \(--interrupt-after 0.5\)", done.stdout)
    assert done.stderr == ""


def test_the_version(antiphon) -> None:
    done = antiphon("--version")
    assert done.returncode == 0
    assert re.match(r"antiphon\b.+\n$", done.stdout)


@pytest.mark.parametrize("arguments", [["--help"], [], ["-h"]])
def test_help_names_the_commands(antiphon, arguments: list[str]) -> None:
    done = antiphon(*arguments)
    assert done.returncode == 0
    assert "speak" in done.stdout


def test_help_names_the_options(antiphon) -> None:
    done = antiphon("speak", "--help")
    for option in ("--tokens-per-second", "--json", "--interrupt-after", "--voice", "FILE|-"):
        assert option in done.stdout


def test_without_its_extra_the_command_names_it(environment: dict[str, str]) -> None:
    program = (
        "import sys; sys.modules['typer'] = None; sys.argv[1:] = ['--help']; import actors.cli; actors.cli.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "antiphon: typer is not installed: run  pip install 'antiphon[cli]'\n"
