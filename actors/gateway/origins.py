"""Who may talk to the gateway, judged by the `Host` and `Origin` headers before anything is accepted.

Any page in a person's browser can open a socket to a port of their own machine, and DNS rebinding gives it a name
that looks right to the browser. So both headers are compared with literal strings: the loopback addresses with the
port that the request came in on, and what the application allows. A missing `Origin` is no browser; `null` is one
that hides.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

from protocol.errors import GatewayCode

__all__ = ["OriginCheck", "is_loopback"]


class OriginCheck:
    """Looks at the headers of requests.

    Args:
        origins, hosts: allowed beside those of loopback, literally.

    """

    def __init__(self, origins: Iterable[str] = (), hosts: Iterable[str] = ()) -> None:
        self._origins = frozenset(origins)
        self._hosts = frozenset(hosts)

    def refusal(self, scope: Any) -> GatewayCode | None:
        """Return why a request, as an ASGI scope, is refused; None if it is not."""
        names = _loopback_names(scope["server"][1] if scope.get("server") else None)
        hosts = _values(scope, b"host")
        if len(hosts) != 1 or not (hosts[0] in names or hosts[0] in self._hosts):
            return GatewayCode.HOST_REFUSED
        origins = _values(scope, b"origin")
        if not origins:
            return None
        own = origins[0].removeprefix("http://")
        if len(origins) == 1 and (origins[0] in self._origins or (own != origins[0] and own in names)):
            return None
        return GatewayCode.ORIGIN_REFUSED


def is_loopback(address: str | None) -> bool:
    """Whether an address is this machine's own."""
    try:
        return address is not None and ip_address(address).is_loopback
    except ValueError:
        return False


def _values(scope: Any, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name]


@lru_cache(maxsize=16)
def _loopback_names(port: int | None) -> frozenset[str]:
    names = ("127.0.0.1", "localhost", "[::1]")
    return frozenset(f"{name}:{port}" for name in names) | (frozenset(names) if port == 80 else frozenset())
