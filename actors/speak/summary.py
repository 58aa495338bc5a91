"""What is said of a turn at its end, to a person or a program. Pure: numbers in, lines or data out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Summary", "seconds"]


@dataclass(slots=True)
class Summary:
    """What happened in one turn, in the words of its command."""

    status: str = "not started"
    reason: str = ""
    tokens: int = 0
    chunks: int = 0
    elapsed: float = 0.0
    first_chunk: float | None = None
    """Seconds from the start of the turn to its first chunk."""
    first_token: float | None = None
    """Seconds from the start of the turn to its first token."""
    removed: Mapping[str, int] = field(default_factory=dict)
    """Characters that were not spoken, by rule."""
    voice_failures: int = 0
    exit_code: int = 0

    def rows(self) -> list[tuple[str, str]]:
        """Return what there is to say, as names and values."""
        rows = [
            ("status", self._status()),
            ("tokens", f"{self.tokens:,}"),
            ("chunks", f"{self.chunks:,}"),
            ("first chunk", self._first_chunk()),
            ("elapsed", seconds(self.elapsed)),
            ("removed", self._removed()),
        ]
        if self.voice_failures:
            rows.append(("voice", f"failed for {_count(self.voice_failures, 'chunk')}"))
        return rows

    def lines(self) -> list[str]:
        """Return the same as plain lines."""
        width = max(len(name) for name, _ in self.rows())
        return ["summary", *(f"  {name:<{width}}  {value}" for name, value in self.rows())]

    def data(self) -> dict[str, Any]:
        """Return the same for a program; times are in seconds, and None where it did not come to that."""
        return {
            "type": "summary",
            "status": self.status,
            "reason": self.reason,
            "tokens": self.tokens,
            "chunks": self.chunks,
            "first_token_seconds": _rounded(self.first_token),
            "first_chunk_seconds": _rounded(self.first_chunk),
            "elapsed_seconds": _rounded(self.elapsed),
            "removed": dict(self.removed),
            "voice_failures": self.voice_failures,
            "exit_code": self.exit_code,
        }

    def _status(self) -> str:
        return self.status if self.reason in {"", self.status} else f"{self.status} ({self.reason})"

    def _first_chunk(self) -> str:
        if self.first_chunk is None:
            return "none"
        after_start = f"after {seconds(self.first_chunk)}"
        if self.first_token is None:
            return after_start
        return f"{after_start}, {seconds(max(self.first_chunk - self.first_token, 0))} from the first token"

    def _removed(self) -> str:
        total = sum(self.removed.values())
        if not total:
            return "nothing"
        by_rule = sorted(self.removed.items(), key=lambda item: (-item[1], item[0]))
        return f"{_count(total, 'character')}: " + ", ".join(f"{rule} {count:,}" for rule, count in by_rule)


def seconds(value: float) -> str:
    """Write a duration as a person reads it: milliseconds below a second, minutes above sixty."""
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 60:
        return f"{value:.2f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02d} s"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
