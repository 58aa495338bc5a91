"""The gateway's protocol as documents: JSON Schema, and AsyncAPI on top of it.

Both are made from the models in `protocol.commands`, `protocol.messages` and `protocol.events`; a test compares the
copies in `docs/`. `antiphon schema` prints them, and the gateway serves them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from protocol.commands import Command
from protocol.messages import SUBPROTOCOL, CloseCode, ServerMessage

if TYPE_CHECKING:
    from pydantic.json_schema import JsonSchemaMode, JsonSchemaValue
    from pydantic_core import core_schema

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


class _AsItTravels(GenerateJsonSchema):
    """What is read may leave out what has a default; what is sent leaves out what is None, and nothing else."""

    def field_is_required(
        self, field: core_schema.ModelField | core_schema.DataclassField | core_schema.TypedDictField, total: bool
    ) -> bool:
        if self.mode == "serialization" and field["schema"]["type"] == "default":
            return field["schema"].get("default") is not None
        return super().field_is_required(field, total)

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        if self.mode == "serialization":
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        if self.mode == "serialization":
            return self.generate_inner(schema["schema"])
        return super().nullable_schema(schema)


def _definitions(place: str) -> dict[str, Any]:
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        *((model, "validation") for model in _COMMANDS),
        *((model, "serialization") for model in _MESSAGES),
    ]
    _map, schema = models_json_schema(models, ref_template=place, schema_generator=_AsItTravels)
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
