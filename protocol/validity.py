"""What every setting has in common: how large a number may be, and what is said of one that is not valid.

What is said is one line that can be shown and logged: it names settings and variables, never values, for some are
secrets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr, ValidationError
from pydantic_core import PydanticCustomError
from pydantic_settings import SettingsError

__all__ = ["LARGEST", "describe_invalid", "describe_too_deep", "describe_unreadable", "within_reason"]

LARGEST = 1_000_000_000
"""No number is larger, be it a limit or seconds (31 years): timers, threads and buffers take no more."""
_SURROGATE = re.compile("[\ud800-\udfff]")


def within_reason(value: Any) -> Any:
    """Return a setting that has been validated; refuse what nobody could do anything with, such as infinity."""
    if isinstance(value, int | float) and not value <= LARGEST:
        raise PydanticCustomError("too_large", "Input should be 1000000000 or less")
    for part in value if isinstance(value, tuple) else (value,):
        text = part.get_secret_value() if isinstance(part, SecretStr) else part
        if isinstance(text, str) and _SURROGATE.search(text):
            raise PydanticCustomError("no_text", "Input should be text that UTF-8 can hold")
    return value


def describe_invalid(failure: ValidationError, prefix: str | None = None) -> str:
    """Name each setting that is not valid, in one line; with its variable, if there is a prefix."""
    lines = []
    for error in failure.errors(include_url=False, include_context=False, include_input=False):
        names = [step for step in error["loc"] if isinstance(step, str)]
        place = "".join(f"[{step}]" for step in error["loc"] if not isinstance(step, str))
        name = "__".join(names) or "names"
        variable = f" ({prefix}{name.upper()})" if prefix is not None else ""
        lines.append(f"{name}{place}{variable}: {error['msg']}")
    return "invalid settings: " + "; ".join(lines)


def describe_unreadable(failure: SettingsError, prefix: str, variables: Mapping[str, str]) -> str:
    """Name the setting that should have been JSON, with the variables that it may have come from, in one line."""
    name = str(failure).partition('field "')[2].partition('"')[0]
    names = sorted(variable for variable in variables if variable.upper().startswith(prefix + name.upper()))
    return f"""invalid settings: {name} ({", ".join(names)}): no JSON; a list is written as '["one", "two"]'"""


def describe_too_deep(prefix: str, variables: Mapping[str, str]) -> str:
    """Name the variables whose JSON nests deeper than Python reads it."""
    ours = sorted(name for name in variables if name.upper().startswith(prefix) and _too_deep(variables[name]))
    return f"invalid settings: {', '.join(ours)}: JSON that nests too deep"


def _too_deep(text: str) -> bool:
    try:
        json.loads(text)
    except RecursionError:
        return True
    except ValueError:
        pass
    return False
