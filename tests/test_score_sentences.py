"""The script that scores segmentation counts right: what is exact, where boundaries are, how long they take."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "score_sentences.py"


def score(tmp_path: Path, *lines: Mapping[str, object]) -> dict[str, Any]:
    file = tmp_path / "lines.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(file), "--json"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_right_wrong_and_missed_boundaries_are_counted(tmp_path: Path) -> None:
    text = "It rains. We stay in. The stove is on."
    right = {"lang": "en", "source": "right", "text": text, "sentences": text.replace(". ", ".|").split("|")}
    odd = {"lang": "en", "source": "odd", "text": text, "sentences": ["It rains.", "We", "stay in. The stove is on."]}

    scores = score(tmp_path, right, odd)["scores"]

    assert set(scores) == {"Antiphon (streaming, 3 characters a token)", "sentencex (whole text)"}
    for groups in scores.values():
        assert groups["right"] == {"lines": 1, "exact": 1, "right": 2, "wrong": 0, "missed": 0, "f1": 1.0}
        assert groups["odd"] == {"lines": 1, "exact": 0, "right": 1, "wrong": 1, "missed": 1, "f1": 0.5}


def test_the_wait_is_what_was_read_past_the_end(tmp_path: Path) -> None:
    english = {"lang": "en", "text": "It rains. We stay in.", "sentences": ["It rains.", "We stay in."]}
    chinese = {"lang": "zh", "text": "下雨了。我们在家。", "sentences": ["下雨了。", "我们在家。"]}

    assert score(tmp_path, english)["wait"] == {"median": 2, "p95": 2, "max": 2, "at_once_zero": 0, "at_once": 0}
    assert score(tmp_path, chinese)["wait"] == {"median": 0.0, "p95": 0, "max": 0, "at_once_zero": 2, "at_once": 2}
