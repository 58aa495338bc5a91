"""The agents that `antiphon serve` offers: one that says what it was told, one that reads a file, and one's own."""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Iterable
from importlib import import_module
from pathlib import Path
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
        return _own_agent(name, module, function)
    if not os.path.exists(name):  # noqa: PTH110 - any name may be given, also one that no path can have
        raise BadArgumentError(f"--agent {name}: there is no such file; echo, a file of text, or module:function")
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


def _own_agent(name: str, module: str, function: str) -> Callable[[AgentRequest], Any]:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        imported = import_module(module)
    except (Exception, SystemExit) as failure:
        raise BadArgumentError(f"--agent {name}: {_why_not_imported(module, failure, here)}") from failure
    try:
        agent: Callable[[AgentRequest], Any] = getattr(imported, function)
    except Exception as missing:  # noqa: BLE001 - a module may look for it in its own way
        raise BadArgumentError(f"--agent {name}: {missing}") from None
    if not callable(agent):
        raise BadArgumentError(f"--agent {name} cannot be called")
    if not _takes_one_argument(agent):
        raise BadArgumentError(
            f"--agent {name} is called with one argument, the AgentRequest, and takes another number"
        )
    return agent


def _why_not_imported(module: str, failure: Exception | SystemExit, here: str) -> str:
    """Say what is wrong with a module, and where, in one line."""
    if isinstance(failure, ModuleNotFoundError) and f"{module}.".startswith(f"{failure.name}."):
        return f"there is no module {failure.name}, neither installed nor in {here}"
    if isinstance(failure, SyntaxError):
        what, file, line = failure.msg, failure.filename, failure.lineno
    else:
        last = traceback.extract_tb(failure.__traceback__)[-1]
        what, file, line = str(failure), last.filename, last.lineno
    return f"the module raised {type(failure).__name__}: {what} ({file}, line {line})"


def _takes_one_argument(function: Callable[..., Any]) -> bool:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # something that does not say, as of C
        return True
    try:
        signature.bind(None)
    except TypeError:
        return False
    return True
