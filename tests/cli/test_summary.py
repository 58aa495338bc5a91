"""What is said at the end, and how chunks look on a line."""

from __future__ import annotations

import pytest

from actors.speak.display import chunk_line
from actors.speak.lines import one_line
from actors.speak.summary import Summary, seconds


def test_a_turn_that_completed() -> None:
    summary = Summary(
        status="completed",
        reason="completed",
        tokens=1234,
        chunks=56,
        elapsed=41.234,
        first_token=0.05,
        first_chunk=0.35,
        removed={"emoji": 1, "markup": 2000, "blank": 1},
    )
    assert summary.lines() == [
        "summary",
        "  status       completed",
        "  tokens       1,234",
        "  chunks       56",
        "  first chunk  after 350 ms, 300 ms from the first token",
        "  elapsed      41.23 s",
        "  removed      2,002 characters: markup 2,000, blank 1, emoji 1",
    ]


def test_a_turn_of_which_nothing_was_heard() -> None:
    rows = dict(Summary(status="interrupted", reason="Ctrl-C").rows())
    assert rows["status"] == "interrupted (Ctrl-C)"
    assert rows["first chunk"] == "none"
    assert rows["removed"] == "nothing"


def test_a_voice_that_failed_is_named() -> None:
    assert dict(Summary(voice_failures=1).rows())["voice"] == "failed for 1 chunk"


def test_a_program_gets_the_same_as_data() -> None:
    summary = Summary(
        status="failed", reason="agent_failed", tokens=7, elapsed=1 / 3, removed={"emoji": 2}, exit_code=1
    )
    assert summary.data() == {
        "type": "summary",
        "status": "failed",
        "reason": "agent_failed",
        "tokens": 7,
        "chunks": 0,
        "first_token_seconds": None,
        "first_chunk_seconds": None,
        "elapsed_seconds": 0.333333,
        "removed": {"emoji": 2},
        "voice_failures": 0,
        "exit_code": 1,
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 ms"), (0.0421, "42 ms"), (1, "1.00 s"), (59.994, "59.99 s"), (60, "1 min 00 s"), (3599.9, "60 min 00 s")],
)
def test_durations(value: float, text: str) -> None:
    assert seconds(value) == text


def test_a_line_is_one_line_and_no_command_to_the_terminal() -> None:
    assert one_line("a\nb\x1b[2Jc\x9bd\u2028e") == "a b [2Jc d e"


def test_the_line_of_a_chunk() -> None:
    assert chunk_line({"chunk": "Oh no.", "emotion": "sighs"}, 1.5) == "   1.50 s  (sighs) Oh no."
