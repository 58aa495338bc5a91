"""Variables of the environment that were meant as settings: nothing reads them, so that nothing else would say so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from actors.gateway.settings import GatewaySettings
from protocol.settings import Settings

__all__ = ["misspelt_settings"]

_PREFIX = "ANTIPHON_"
_NAMES = {name.upper() for name in Settings.model_fields} | {
    f"GATEWAY_{name.upper()}" for name in GatewaySettings.model_fields
}
_LIKENESS = 0.85
"""Less than that is a name of somebody else's."""


def misspelt_settings(variables: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each variable that no setting has, with the one that it is very like."""
    for variable in sorted(variables):
        name = variable.upper().removeprefix(_PREFIX)
        if name == variable.upper() or name in _NAMES or name.startswith("SPEECH__"):  # those are all looked at
            continue
        for meant in get_close_matches(name, _NAMES, n=1, cutoff=_LIKENESS):
            yield variable, _PREFIX + meant
