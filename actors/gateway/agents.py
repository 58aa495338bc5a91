"""The agents that `antiphon serve` offers: one that says what it was told, one that reads a file, and one's own."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from importlib import import_module
from typing import Any

from actors.gateway.request import Agent, AgentRequest
from actors.speak.source import TextSource, tokens_of
from protocol.errors import BadArgumentError

__all__ = ["ECHO", "echo_agent", "find_agent", "reading_agent"]

ECHO = "echo"


def find_agent(name: str, tokens_per_second: float) -> Agent:
    """Return the agent that is meant: `echo`, a file of text, or `module:function`.

    Raises:
        BadArgumentError: it is none of these.
        InputError: the file cannot be read, or is no text.

    """
    if name == ECHO:
        return echo_agent(tokens_per_second)
    module, colon, function = name.partition(":")
    if colon and function.isidentifier() and all(part.isidentifier() for part in module.split(".")):
        return _own_agent(module, function)
    return reading_agent(name, tokens_per_second)


def echo_agent(tokens_per_second: float) -> Agent:
    """Return an agent that says what it is told, at this rate; 0: at once."""
    return lambda request: _paced(tokens_of(request.content), tokens_per_second)


def reading_agent(path: str, tokens_per_second: float) -> Agent:
    """Return an agent that reads a file, whatever it is told.

    Raises:
        InputError: it cannot be read, or is no text.

    """
    with TextSource(path):
        pass

    async def read(_request: AgentRequest) -> AsyncIterator[str]:
        with TextSource(path) as source:
            async for token in source.tokens(tokens_per_second):
                yield token

    return read


async def _paced(tokens: Iterable[str], per_second: float) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    due = loop.time()
    for token in tokens:
        yield token
        if per_second:
            due = max(due + 1 / per_second, loop.time() - 0.1)
            await asyncio.sleep(due - loop.time())


def _own_agent(module: str, function: str) -> Callable[[AgentRequest], Any]:
    if os.getcwd() not in sys.path:  # noqa: PTH109 - entries of the path are strings
        sys.path.insert(0, os.getcwd())  # noqa: PTH109
    try:
        found = getattr(import_module(module), function)
    except (ImportError, AttributeError) as missing:
        raise BadArgumentError(f"--agent {module}:{function}: {missing}") from None
    if not callable(found):
        raise BadArgumentError(f"--agent {module}:{function} cannot be called")
    agent: Callable[[AgentRequest], Any] = found
    return agent
