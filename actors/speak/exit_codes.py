"""How the command ends, for scripts and shells that call it."""

from __future__ import annotations

from enum import IntEnum
from signal import Signals

__all__ = ["ExitCode", "ended_by"]


class ExitCode(IntEnum):
    """What a shell sees when no signal was the cause."""

    SPOKEN = 0
    """To the end, or to the interrupt that `--interrupt-after` asked for."""
    FAILED = 1
    """The turn failed, the voice did, or the output could not be written."""
    BAD_INPUT = 2
    """What was given makes no sense, or is no text."""


def ended_by(number: Signals) -> int:
    """Return the exit code by which shells know a signal: 130 for Ctrl-C."""
    return 128 + number
