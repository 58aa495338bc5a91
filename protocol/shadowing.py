"""Tells a service that has a top-level `actors` or `protocol` package of its own which one Python found.

Both names are Antiphon's given top-level names. Where a service has such a package too, the first on `sys.path`
wins, and the loser's imports fail in ways that take an afternoon to understand. So each of our two packages
looks, when it is imported, whether the other name still leads to its sibling.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from protocol.errors import ShadowedPackageError

__all__ = ["require_sibling"]


def require_sibling(own_init: str, name: str) -> None:
    """Raise `ShadowedPackageError` if the top-level package `name` is not the one beside `own_init`.

    A package that is not there at all is no shadow: a client may install `protocol` alone.
    """
    try:
        spec = find_spec(name)
    except ValueError:  # a module without a spec, put into sys.modules by hand
        spec = None
        found = "a module without a file"
    else:
        if spec is None:
            return
        found = spec.origin or ", ".join(spec.submodule_search_locations or ()) or "an unknown place"
    expected = Path(own_init).resolve().parent.parent / name / "__init__.py"
    if spec is not None and spec.origin is not None and Path(spec.origin).resolve() == expected:
        return
    raise ShadowedPackageError(
        f"the package {name!r} of Antiphon is shadowed: Python finds {found} in its place, expected {expected}. "
        f"Rename the other package, or put Antiphon first on sys.path."
    )
