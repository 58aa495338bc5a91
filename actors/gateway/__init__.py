"""The gateway: conversations over WebSockets, as an ASGI application on the embedding API.

    from actors.gateway import gateway

    app = Starlette(routes=[Mount("/voice", voice := gateway(system, agent=answer))], lifespan=voice.lifespan)

Needs the extra `gateway`. `antiphon serve` runs it alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from protocol.errors import MissingExtraError

if TYPE_CHECKING:
    from actors.gateway.application import Gateway, gateway
    from actors.gateway.request import AgentRequest
    from actors.gateway.settings import GatewaySettings

__all__ = ["AgentRequest", "Gateway", "GatewaySettings", "gateway"]

_HOMES = {
    "AgentRequest": "actors.gateway.request",
    "Gateway": "actors.gateway.application",
    "GatewaySettings": "actors.gateway.settings",
    "gateway": "actors.gateway.application",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(home)
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] != "starlette":
            raise
        raise MissingExtraError("gateway", "starlette") from None
    return getattr(module, name)
