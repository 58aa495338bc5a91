"""`antiphon speak`, run to its end: what goes where, and the exit codes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from protocol.events import read_event
from protocol.settings import Settings


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
    assert done.stderr.count("\n") == 1
    summary = json.loads(done.stderr)
    assert summary["type"] == "summary"
    assert (summary["status"], summary["chunks"], summary["exit_code"]) == ("completed", 4, 0)
    assert summary["removed"]["emoji"] == 1
    assert 0 <= summary["first_chunk_seconds"] <= summary["elapsed_seconds"]


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
        (["speak"], "Missing argument 'FILE'  (see antiphon speak --help)"),
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


def test_a_misspelt_setting_is_named_with_the_one_that_is_meant(antiphon) -> None:
    meant = {"ANTIPHON_QUEUE_MAXSIZE": "9", "ANTIPHON_GATEWAY_TOKENS": "", "ANTIPHON_SPEECH__URLS": "skip"}
    others = {"ANTIPHON_HOME": "/", "ANTIPHON_VERSION": "1", "QUEUE_MAXSISE": "9"}
    assert antiphon("speak", "-", env={**meant, **others}).stderr == ""

    slips = {"ANTIPHON_QUEUE_MAXSISE": "9", "ANTIPHON_GATEWAY_DRAIN_SECOND": "1", "ANTIPHON_FLEET_CONTROLPORT": "1"}
    done = antiphon("speak", "-", env=slips)
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        "antiphon: ANTIPHON_FLEET_CONTROLPORT is no setting: ANTIPHON_FLEET_CONTROL_PORT is meant, perhaps",
        "antiphon: ANTIPHON_GATEWAY_DRAIN_SECOND is no setting: ANTIPHON_GATEWAY_DRAIN_SECONDS is meant, perhaps",
        "antiphon: ANTIPHON_QUEUE_MAXSISE is no setting: ANTIPHON_QUEUE_MAXSIZE is meant, perhaps",
    ]


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


def test_a_file_may_be_longer_than_an_agent_may_write(antiphon, letter: Path) -> None:
    text = "This is one of the many sentences of a whole book. " * 25_000
    letter.write_text(text)
    assert len(text) > Settings().max_turn_chars
    done = antiphon("speak", letter, "--tokens-per-second", "0", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout.splitlines()[-1])["content"] == text


def test_an_empty_text_has_nothing_but_a_summary(antiphon) -> None:
    done = antiphon("speak", "-")
    assert done.returncode == 0
    assert done.stdout.startswith("summary\n  status       completed\n  tokens       0\n")


@pytest.mark.parametrize(
    ("arguments", "redirection", "message", "code"),
    [
        ("--help", ">/dev/full", "cannot write the output: No space left on device", 1),
        ("--version", ">/dev/full", "cannot write the output: No space left on device", 1),
        ("speak FILE", ">&-", "cannot write the output: Bad file descriptor", 1),
        ("speak -", "<&-", "standard input: is closed", 2),
    ],
)
def test_standard_streams_that_cannot_be_used(
    antiphon, letter: Path, arguments: str, redirection: str, message: str, code: int
) -> None:
    done = antiphon(*arguments.replace("FILE", str(letter)).split(), redirection=redirection)
    assert done.stderr == f"antiphon: {message}\n"
    assert done.returncode == code


def test_a_closed_standard_error_takes_nothing_from_the_output(antiphon, letter: Path) -> None:
    done = antiphon("speak", letter, "--tokens-per-second", "0", "--json", "--voice", "cat", redirection="2>&-")
    assert done.returncode == 0
    assert [json.loads(line)["seq"] for line in done.stdout.splitlines()] == list(range(6))


def test_verbose_logs_the_turn_to_standard_error(antiphon, letter: Path) -> None:
    done = antiphon("speak", letter, "--verbose", "--tokens-per-second", "10", "--interrupt-after", "0.2")
    assert re.search(r" INFO antiphon\.turn: turn interrupted: --interrupt-after 0\.2\n$", done.stderr)
    assert "antiphon.turn" not in done.stdout


def test_the_version(antiphon) -> None:
    done = antiphon("--version")
    assert done.returncode == 0
    assert re.match(r"antiphon\b.+\n$", done.stdout)


def test_a_group_of_commands_alone_shows_its_help(antiphon) -> None:
    done = antiphon("fleet")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == antiphon("fleet", "--help").stdout


@pytest.mark.parametrize("arguments", [["--help"], [], ["-h"]])
def test_help_names_the_commands(antiphon, arguments: list[str]) -> None:
    done = antiphon(*arguments)
    assert done.returncode == 0
    assert "speak" in done.stdout


def test_help_names_the_options(antiphon) -> None:
    done = antiphon("speak", "--help")
    for option in ("--tokens-per-second", "--json", "--interrupt-after", "--voice", "FILE"):
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
