"""Variables of the environment that were meant as settings: nothing reads them, so that nothing else would say so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from pydantic_settings import BaseSettings

__all__ = ["misspelt_settings"]

_PREFIX = "ANTIPHON_"
_LIKENESS = 0.85
"""Less than that is a name of somebody else's."""


def misspelt_settings(variables: Iterable[str], *settings: type[BaseSettings]) -> Iterator[tuple[str, str]]:
    """Yield each variable that none of these settings has, with the one of theirs that it is very like."""
    names = [f"{each.model_config['env_prefix']}{name}".upper() for each in settings for name in each.model_fields]
    known = {name.removeprefix(_PREFIX) for name in names}  # in front of which all are alike
    for variable in sorted(variables):
        name = variable.upper().removeprefix(_PREFIX)
        if name == variable.upper() or name in known or "__" in name:  # what is nested is looked at, all of it
            continue
        for meant in get_close_matches(name, known, n=1, cutoff=_LIKENESS):
            yield variable, _PREFIX + meant
