"""What no caller should give, but may: any value, what is valid but for one thing, JSON that is nearly JSON.

Whatever reads it has one law, `taken()`: it accepts, or refuses with one typed error of the package that says so in a
line. `effort()` (in `fuzz`) says how often it is tried.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, TypeVar

from hypothesis import strategies as st

from actors.speak.lines import one_line
from protocol.errors import AntiphonError

__all__ = ["ANY_TEXT", "ANY_VALUE", "NUMBERS", "hold_to_law", "json_texts", "mutations", "refusal_of", "taken"]

T = TypeVar("T")


class _Unspeakable:
    """Has no text."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    def __repr__(self) -> str:
        return "<no text>"


ANY_TEXT = st.text(st.characters(), max_size=20) | st.sampled_from(  # lone surrogates too
    [
        "",
        "none",
        "nan",
        "inf",
        "-1",
        "1e400",
        "0",
        "true",
        "\ud800",
        "\udc80",
        "a\nb",
        "\x1b[2J",
        "x" * 5000,
        "9" * 5000,
    ]
)
_INTEGERS = (0, -1, 1, 2**31, 2**53, 2**63, 2**64, 10**9, 10**9 + 1, -(2**63), 10**400, True, False)
_FLOATS = (0.0, -0.0, 0.5, 1e-320, 1e9, 1e10, 1e308, float("nan"), float("inf"), float("-inf"))
NUMBERS = st.sampled_from((*_INTEGERS, *_FLOATS)) | st.integers(-3, 200)
_ENDLESS = st.builds(lambda: 10**5000)  # more digits than Python will write
_LEAVES = st.none() | NUMBERS | ANY_TEXT
_JSON = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3), max_leaves=5
)
_DEEP = st.integers(100, 3000).map(lambda depth: json.loads("[" * min(depth, 900) + "]" * min(depth, 900)))
ANY_VALUE: st.SearchStrategy[Any] = (
    _JSON
    | _DEEP
    | st.binary(max_size=5)
    | st.sampled_from(
        [Decimal("NaN"), Decimal("sNaN"), Fraction(10**400), 1 + 2j, {1: 2}, {(): ()}, {1, 2}, object, ()]
    )
    | st.builds(object)
    | st.builds(_Unspeakable)
    | _ENDLESS
)
"""Any value of any type."""


def mutations(
    valid: Mapping[str, Any], values: st.SearchStrategy[Any] = ANY_VALUE
) -> st.SearchStrategy[dict[str, Any]]:
    """Draw what is valid but for one thing: a field is something else, is not there, or is one too many."""
    changed = st.tuples(st.sampled_from(sorted(valid)), values).map(lambda pair: {**valid, pair[0]: pair[1]})
    nested = [
        mutations(inner, values).map(lambda inner, name=name: {**valid, name: inner})  # type: ignore[misc]
        for name, inner in valid.items()
        if isinstance(inner, dict) and inner
    ]
    without = st.sampled_from(sorted(valid)).map(lambda name: {k: v for k, v in valid.items() if k != name})
    more = st.tuples(ANY_TEXT, values).map(lambda pair: {**valid, pair[0]: pair[1]})
    return st.one_of(changed, changed, without, more, *nested)


def json_texts(value: Any) -> st.SearchStrategy[str]:
    """Draw texts that are this value as JSON, or nearly: numbers beyond bounds, a name twice, cut off, too deep."""
    text = _written(value)
    return st.one_of(
        st.just(text),
        st.sampled_from(
            ["NaN", "-Infinity", "1e400", "9" * 400, "9" * 5000, "-0", "1.0", "[" * 150 + "]" * 150]
        ).flatmap(
            lambda odd: st.sampled_from([text.replace(old, odd, 1) for old in ("0", "1", '"x"', "null", "{}")])
        ),
        st.integers(0, len(text)).map(lambda end: text[:end]),
        st.just(text[:-1] + "," + text[1:]),  # every name twice
        st.just("[" * 100_000),
        st.tuples(st.integers(0, len(text)), st.characters()).map(
            lambda cut: text[: cut[0]] + cut[1] + text[cut[0] :]
        ),
    )


def _written(value: Any) -> str:
    """JSON with what Python's own would not write, in the place of what has no JSON at all."""
    try:
        return json.dumps(value, default=lambda _other: "x", skipkeys=True)
    except ValueError:  # an integer of too many digits
        return json.dumps(str(type(value)))


def refusal_of(call: Callable[[], Any]) -> AntiphonError | None:
    """Make a call; return the error with which it was refused, which is one of the package's and fit to be shown."""
    try:
        call()
    except AntiphonError as error:
        refused = error
    else:
        return None
    hold_to_law(refused)
    return refused


def hold_to_law(refused: AntiphonError) -> None:
    """An error that refuses something says so in one line that can be shown and logged, and has a code."""
    message = str(refused)
    assert message.strip(), refused
    assert message == one_line(message), f"one line: {message!r}"
    assert len(message) < 2000, f"{len(message)} characters"
    message.encode()
    assert type(refused).code != AntiphonError.code, refused


def taken(call: Callable[[], T]) -> T | None:
    """Make a call; None if it was refused as it should be."""
    result: list[T] = []
    return None if refusal_of(lambda: result.append(call())) else result[0]
