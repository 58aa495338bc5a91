"""The commands `antiphon serve` and `antiphon schema`: their options, and nothing that needs the extra `gateway`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from protocol.schema import as_text, asyncapi, json_schema

__all__ = ["add_commands"]


def add_commands(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command(short_help="Print the protocol of the gateway, for tools.")(schema)


def schema(
    as_asyncapi: Annotated[
        bool, typer.Option("--asyncapi", help="As an AsyncAPI 3.0 document; else as JSON Schema.")
    ] = False,
) -> None:
    """Print the messages that the gateway and its clients exchange, as JSON."""
    sys.stdout.write(as_text(asyncapi() if as_asyncapi else json_schema()))
