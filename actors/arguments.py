"""What callers give to the embedding API, checked: each returns the argument as it is used, or says what is wrong.

Called where a mistake can still be told to whoever made it: what an actor, a timer or a log finds out later harms
others. A message shows what was given as far as it can be shown.
"""

from __future__ import annotations

from typing import Any, TypeVar

from protocol.agent import well_formed
from protocol.errors import BadArgumentError
from protocol.validity import LARGEST

__all__ = ["as_choice", "as_id", "as_key", "as_seconds", "as_text", "as_whole", "shown"]

_Choice = TypeVar("_Choice", bound=str)
_SHOWN_CHARS = 60


def as_key(name: str, value: Any) -> str:
    """Return the text by which something is looked up: any, also one that nothing has."""
    try:
        return str(value)
    except Exception as failure:  # noqa: BLE001 - of whatever class it was given
        raise BadArgumentError(f"{name} has no text: str() raised {type(failure).__name__}") from None


def as_id(name: str, value: Any) -> str:
    """Return the text that something is known by from now on, in events too: it can be sent as JSON."""
    text = as_key(name, value)
    if text != well_formed(text):
        raise BadArgumentError(f"{name} must be text that UTF-8 can hold, got {shown(text)}")
    return text


def as_text(name: str, value: Any) -> str:
    """Return what a person, or a program, has to say."""
    return well_formed(as_key(name, value))


def as_whole(name: str, value: Any, least: int | None = None) -> int:
    """Return a whole number; with `least`, one that is at least that, and no larger than any setting."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadArgumentError(f"{name} must be a whole number, got {shown(value)}")
    if least is not None and not least <= value <= LARGEST:
        raise BadArgumentError(f"{name} must be at least {least}, and {LARGEST} at the most, got {shown(value)}")
    return value


def as_seconds(name: str, value: Any, *, zero: bool) -> float:
    """Return a time that can be waited for, and perhaps be nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LARGEST:
        raise BadArgumentError(f"{name} must be seconds, {LARGEST} at the most, got {shown(value)}")
    if not value and not zero:
        raise BadArgumentError(f"{name} must be more than 0")
    return float(value)


def as_choice(name: str, value: Any, choices: tuple[_Choice, ...]) -> _Choice:
    """Return one of some words."""
    for choice in choices:
        if isinstance(value, str) and value == choice:
            return choice
    *others, last = map(repr, choices)
    raise BadArgumentError(f"{name} must be {', '.join(others)} or {last}, got {shown(value)}")


def shown(value: Any) -> str:
    """Return a value as it can stand in a message."""
    try:
        text = ascii(value)
    except Exception:  # noqa: BLE001 - what cannot be shown is named
        text = type(value).__name__
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"
