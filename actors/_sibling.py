"""Looks that the top-level package `protocol` is ours, without needing anything of it to say so."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

__all__ = ["require_protocol"]


def require_protocol(own_init: str) -> None:
    """Raise a `ShadowedPackageError` if `protocol` is not the package beside ours.

    Where it is another package, our error class cannot be imported from it: then an `ImportError` with the same
    `code` is raised.
    """
    expected = Path(own_init).resolve().parent.parent / "protocol" / "__init__.py"
    try:
        spec = find_spec("protocol")
    except ValueError:
        spec = None
    found = spec.origin if spec is not None else None
    if found is not None and Path(found).resolve() == expected:
        return
    raise _ShadowedPackageError(
        f"the package 'protocol' of Antiphon is shadowed: Python finds {found or 'nothing of ours'} in its place, "
        f"expected {expected}. Rename the other package, or put Antiphon first on sys.path."
    )


class _ShadowedPackageError(ImportError):
    """`protocol.errors.ShadowedPackageError`, for when that module cannot be reached."""

    code = "shadowed_package"
