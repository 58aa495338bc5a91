"""What an application's agent is asked, and how its answer becomes an agent stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import isawaitable
from typing import Any

__all__ = ["Agent", "AgentRequest", "open_stream"]


@dataclass(frozen=True, slots=True)
class AgentRequest:
    """One `chat_message`, with whose it is."""

    content: str
    user_id: str
    session_id: str
    """In the user's own name space: what is kept under it belongs under `(user_id, session_id)`."""
    connection_id: str
    turn_id: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


Agent = Callable[[AgentRequest], Any]
"""Gives an agent stream (see `start_turn`), or a coroutine that does."""


async def open_stream(agent: Agent, request: AgentRequest, tap: Callable[[Any], Any] | None = None) -> Any:
    """Call the agent. Runs inside the turn, so that an agent that raises fails its turn, as any other does.

    Args:
        agent, request: who is asked what.
        tap: put around the stream that comes of it.

    """
    stream = agent(request)
    if isawaitable(stream):
        stream = await stream
    return stream if tap is None else tap(stream)
