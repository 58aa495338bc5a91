"""On a terminal: sentences one by one, a status line below them that goes away, Ctrl-C from the keyboard."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from screen import screen_of
from terminal import Open


def test_sentences_appear_above_a_status_line_and_the_summary_replaces_it(terminal: Open, letter: Path) -> None:
    screen = terminal("speak", letter, "--tokens-per-second", "40")
    screen.read_until("A letter")
    screen.read_until(r"\d+% · tokens \d+ · chunks 1 · \d\.\d s")
    assert "third" not in screen.text
    screen.read_until(r"Hello there, \*d")  # what is written and not certain yet, as it is written
    text = screen.read_to_end()
    assert screen.process.returncode == 0
    assert re.search(r"\d m?s +Hello there, dear reader\.\s*\n", text)
    assert text.index("And this one is the third.") < text.index("summary")
    assert re.search(r"status +completed", text)
    assert [line[11:] for line in screen.lines[:5]] == [
        "A letter",
        "Hello there, dear reader.",
        "This is the second sentence.",
        "And this one is the third.",
        "",
    ]


def test_no_sentence_is_ever_seen_twice(terminal: Open, letter: Path) -> None:
    screen = terminal("speak", letter, "--tokens-per-second", "40")
    screen.read_to_end()
    frames = [screen_of(screen.raw[: end.end()], 80) for end in re.finditer("interrupts", screen.raw)]
    assert any("Hello there" in line for frame in frames for line in frame)
    assert not [frame for frame in frames if sum("Hello there" in line for line in frame) > 1]


def test_ctrl_c_from_the_keyboard(terminal: Open, long_text: Path) -> None:
    screen = terminal("speak", long_text, "--tokens-per-second", "60")
    assert "Traceback" not in screen.press_ctrl_c_at("one more sentence")


def test_a_person_may_type_what_is_to_be_spoken(terminal: Open) -> None:
    screen = terminal("speak", "-")
    screen.read_until("Ctrl-D ends it")
    screen.type(b"Good morning to you all. And\n")
    screen.read_until(r"\d m?s +Good morning to you all\.")
    screen.type(b"\x04")
    text = screen.read_to_end()
    assert screen.process.returncode == 0
    assert re.search(r"chunks +2", text)
    assert "·" not in text  # no status writes over what is being typed


def test_a_long_sentence_is_wrapped_and_not_cut(terminal: Open, tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    words = [f"word{number}" for number in range(30)]
    path.write_text(" ".join(words) + ".")
    text = terminal("speak", path, "--tokens-per-second", "0", columns=40).read_to_end()
    assert all(word in text for word in words)


@pytest.mark.parametrize("columns", [12, 20, 39, 40, 60])
def test_a_narrow_terminal_shows_all_of_it(terminal: Open, letter: Path, columns: int) -> None:
    screen = terminal("speak", letter, "--tokens-per-second", "0", columns=columns)
    screen.read_to_end()
    shown = " ".join(screen.lines)
    for text in ("Hello there, dear reader.", "summary", "completed", "6 characters: emphasis 2, heading 2, blank 1"):
        assert text in re.sub(" +", " ", shown)
    assert "…" not in shown


@pytest.mark.parametrize("columns", [12, 40, 100])
def test_nothing_of_the_status_is_left_after_ctrl_c(terminal: Open, long_text: Path, columns: int) -> None:
    screen = terminal("speak", long_text, columns=columns)
    screen.read_until("sentence")
    screen.type(b"\x03")
    screen.read_to_end()
    assert "^C" in screen.raw  # the keyboard's echo, behind the status
    assert not any("·" in line or "…" in line or "^C" in line for line in screen.lines)


def test_what_the_voice_prints_stands_between_the_sentences(terminal: Open, letter: Path) -> None:
    screen = terminal("speak", letter, "--voice", "sh -c 'echo no device >&2; exit 3'")
    screen.read_to_end()
    assert screen.process.returncode == 1
    assert [line[11:] if line.startswith("  ") else line for line in screen.lines[:5]] == [
        "A letter",
        "no device",
        "antiphon: --voice: sh ended with exit code 3",
        "Hello there, dear reader.",
        "no device",
    ]


def test_the_cursor_stays_so_that_a_stopped_command_leaves_it(terminal: Open, long_text: Path) -> None:
    screen = terminal("speak", long_text)
    screen.read_until("tokens")
    assert screen.raw.rindex("\x1b[?25h") > screen.raw.rindex("\x1b[?25l")


def test_no_color_means_none(terminal: Open, letter: Path) -> None:
    screen = terminal("speak", letter, "--tokens-per-second", "0", NO_COLOR="1")
    screen.read_to_end()
    assert not re.search(r"\x1b\[[0-9;]*(3\d|4\d|9\d|10\d)[0-9;]*m", screen.raw)


def test_a_dumb_terminal_gets_no_escapes(terminal: Open, letter: Path) -> None:
    screen = terminal("speak", letter, "--tokens-per-second", "0", TERM="dumb")
    assert "dear reader." in screen.read_to_end()
    assert "\x1b" not in screen.raw


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
