"""`scripts/model_check.py` says how much it explored and replayed, and what it found to be wrong."""

from __future__ import annotations

import sys

import model_check
import pytest

from protocol.turn import TRANSITIONS, Input, Phase


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["model_check.py", *arguments])
    return model_check.main()


def test_it_explores_and_replays_what_it_is_told_to(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--stream", "a.", "TOOL", "--faults", "0") == 0

    out, err = capsys.readouterr()
    assert not err
    assert "The agent gives 'a.' TOOL, 0 of 10 faults:" in out
    assert "The agent gives 'a.' TOOL, lanes 1, outbox 1, 0 of 10 faults:" in out
    assert out.count("replayed every transition") == 2


def test_it_shows_the_way_to_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(TRANSITIONS[Phase.STREAMING], Input.AGENT_DONE)

    assert run(monkeypatch, "--stream", "--faults", "0", "--no-replay") == 1

    err = capsys.readouterr().err
    assert err.startswith("stuck: nothing can happen any more")
    assert " agent\n" in err
