"""The gateway's protocol as documents: JSON Schema, and AsyncAPI on top of it.

Both are made from the models in `protocol.commands`, `protocol.messages` and `protocol.events`; a test compares the
copies in `docs/`. `antiphon schema` prints them, and the gateway serves them.
"""

from __future__ import annotations

import json
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from protocol.commands import Command
from protocol.messages import SUBPROTOCOL, CloseCode, ServerMessage

__all__ = ["as_text", "asyncapi", "json_schema"]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_COMMANDS: tuple[type[BaseModel], ...] = get_args(Command)
_MESSAGES: tuple[type[BaseModel], ...] = get_args(ServerMessage)


def json_schema() -> dict[str, Any]:
    """Return the schema of all messages; `$defs` has `Command` and `ServerMessage` beside each single one."""
    definitions = _definitions("#/$defs/{model}")
    definitions["Command"] = _any_of("#/$defs/", _COMMANDS)
    definitions["ServerMessage"] = _any_of("#/$defs/", _MESSAGES)
    return {
        "$schema": _DIALECT,
        "title": SUBPROTOCOL,
        "description": "JSON messages over a WebSocket: Command from the client, ServerMessage from the server.",
        "anyOf": [{"$ref": "#/$defs/Command"}, {"$ref": "#/$defs/ServerMessage"}],
        "$defs": dict(sorted(definitions.items())),
    }


def asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI 3.0 description of the WebSocket."""
    models = (*_COMMANDS, *_MESSAGES)
    closes = "; ".join(f"{code.value} {code.name.lower()}" for code in CloseCode)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Antiphon gateway",
            "version": SUBPROTOCOL.removeprefix("antiphon.v") + ".0.0",
            "description": f"Subprotocol {SUBPROTOCOL}. Close codes: {closes}.",
        },
        "defaultContentType": "application/json",
        "channels": {
            "conversation": {
                "address": "/ws",
                "messages": {_name(model): {"$ref": f"#/components/messages/{_name(model)}"} for model in models},
                "bindings": {"ws": {"method": "GET"}},
            }
        },
        "operations": {
            "receiveCommand": _operation("receive", _COMMANDS),
            "sendMessage": _operation("send", _MESSAGES),
        },
        "components": {
            "messages": {
                _name(model): {
                    "name": model.__name__,
                    "summary": (model.__doc__ or "").split("\n", maxsplit=1)[0],
                    "payload": {"$ref": f"#/components/schemas/{model.__name__}"},
                }
                for model in models
            },
            "schemas": dict(sorted(_definitions("#/components/schemas/{model}").items())),
        },
    }


def as_text(document: dict[str, Any]) -> str:
    """Return a document as it is printed, served and checked in."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _definitions(place: str) -> dict[str, Any]:
    inputs = [(model, "validation") for model in (*_COMMANDS, *_MESSAGES)]
    _map, schema = models_json_schema(inputs, ref_template=place)  # type: ignore[arg-type]  # a literal in a list
    definitions: dict[str, Any] = schema["$defs"]
    return definitions


def _any_of(place: str, models: tuple[type[BaseModel], ...]) -> dict[str, Any]:
    return {"anyOf": [{"$ref": place + model.__name__} for model in models]}


def _name(model: type[BaseModel]) -> str:
    return model.__name__[0].lower() + model.__name__[1:]


def _operation(action: str, models: tuple[type[BaseModel], ...]) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": "#/channels/conversation"},
        "messages": [{"$ref": f"#/channels/conversation/messages/{_name(model)}"} for model in models],
    }
