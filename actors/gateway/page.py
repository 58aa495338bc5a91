"""The console: one page, from the package, with headers that let it do what it needs and nothing else."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["console_routes"]

_KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_PAGE = "console.html"

_HEADERS = {
    # Only the server's own files and socket; no inline script or style, no form, no frame.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",
}


def console_routes() -> list[Route]:
    """Return the routes of the page and its parts."""
    folder = files("actors.gateway").joinpath("console")
    names = [part.name for part in folder.iterdir() if part.name.rpartition(".")[2] in _KINDS]
    return [_route("" if name == _PAGE else name, folder.joinpath(name).read_bytes(), name) for name in sorted(names)]


def _route(path: str, content: bytes, name: str) -> Route:
    kind = _KINDS[name.rpartition(".")[2]]

    async def serve(_request: Request) -> Response:
        return Response(content, media_type=kind, headers=_HEADERS)

    return Route(f"/{path}", serve, name=f"console/{name}")
