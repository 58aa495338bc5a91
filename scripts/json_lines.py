"""Files that scripts are given to measure on: an object of JSON a line, with the fields that the script needs."""

from __future__ import annotations

import json
from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["json_lines"]


def json_lines(*fields: str) -> Callable[[str], list[dict[str, Any]]]:
    """Return what reads such a file, as the `type` of an option; what is wrong with the file is said in one line."""

    def read(name: str) -> list[dict[str, Any]]:
        try:
            lines = Path(name).read_text(encoding="utf-8").splitlines()
        except OSError as failure:
            raise ArgumentTypeError(f"{name}: {failure.strerror}") from None
        except UnicodeDecodeError:
            raise ArgumentTypeError(f"{name}: not UTF-8 text") from None
        found = [_object(name, number, line) for number, line in enumerate(lines, start=1) if line.strip()]
        if not found:
            raise ArgumentTypeError(f"{name}: there is nothing in it")
        return found

    def _object(name: str, number: int, line: str) -> dict[str, Any]:
        try:
            item = json.loads(line)
        except json.JSONDecodeError:
            item = None
        if not isinstance(item, dict) or not item.keys() >= set(fields):
            raise ArgumentTypeError(f"{name}, line {number}: expected an object of JSON with {', '.join(fields)}")
        return item

    return read
