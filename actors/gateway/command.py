"""The commands `antiphon serve` and `antiphon schema`: their options, and nothing that needs the extra `gateway`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from actors.speak.exit_codes import ExitCode
from protocol.errors import MissingExtraError
from protocol.schema import as_text, asyncapi, json_schema

__all__ = ["add_commands"]


def add_commands(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command(short_help="Let people talk with an agent: a WebSocket service and a console.")(serve)
    app.command(short_help="Print the protocol of the gateway, for tools.")(schema)


def serve(
    host: Annotated[str, typer.Option(metavar="HOST", help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="PORT", help="0 takes a free one.")] = 8000,
    agent: Annotated[
        str,
        typer.Option(
            metavar="AGENT",
            help="echo says what it is told, a file of text is read aloud, module:function is your own.",
        ),
    ] = "echo",
    tokens_per_second: Annotated[
        float, typer.Option(min=0, metavar="N", help="How fast echo and files come; 0 is at once.")
    ] = 50,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
) -> int:
    """Serve conversations: the console at /, the WebSocket at /ws.

    Ctrl-C or SIGTERM lets running turns finish, for ten seconds at the most. Beyond loopback it needs tokens:
    ANTIPHON_GATEWAY_TOKENS=user:token, or ANTIPHON_GATEWAY_TOKENS_FILE.
    """
    try:
        from actors.gateway import server
        from actors.gateway.agents import find_agent
    except ModuleNotFoundError as missing:
        needed = (missing.name or "").partition(".")[0]
        if needed not in {"starlette", "uvicorn", "uvloop", "websockets"}:
            raise
        raise MissingExtraError("gateway", needed) from None
    server.log_to_standard_error(verbose)
    server.serve(find_agent(agent, tokens_per_second), host, port)
    return ExitCode.SPOKEN


def schema(
    as_asyncapi: Annotated[
        bool, typer.Option("--asyncapi", help="As an AsyncAPI 3.0 document; else as JSON Schema.")
    ] = False,
) -> None:
    """Print the messages that the gateway and its clients exchange, as JSON."""
    sys.stdout.write(as_text(asyncapi() if as_asyncapi else json_schema()))
