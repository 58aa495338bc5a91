"""Antiphon: an actor system for the spoken side of an LLM agent.

The embedding API is here, loaded when first used, so that importing a part does not import the whole:

    from actors import ConversationSystem, MessageProcessor, ThreadedSystem
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

from actors._sibling import require_protocol

require_protocol(__file__)

# A library says nothing on its own: who wants the records adds a handler.
logging.getLogger("antiphon").addHandler(logging.NullHandler())

if TYPE_CHECKING:
    from actors.processor import MessageProcessor
    from actors.stream import EventStream
    from actors.system import ConversationSystem
    from actors.threaded import ThreadedProcessor, ThreadedSystem
    from protocol.errors import AntiphonError
    from protocol.settings import Settings
    from protocol.turn import ConversationTurn, TurnStatus

__all__ = [
    "AntiphonError",
    "ConversationSystem",
    "ConversationTurn",
    "EventStream",
    "MessageProcessor",
    "Settings",
    "ThreadedProcessor",
    "ThreadedSystem",
    "TurnStatus",
]

_HOMES = {
    "AntiphonError": "protocol.errors",
    "ConversationSystem": "actors.system",
    "ConversationTurn": "protocol.turn",
    "EventStream": "actors.stream",
    "MessageProcessor": "actors.system",
    "Settings": "protocol.settings",
    "ThreadedProcessor": "actors.threaded",
    "ThreadedSystem": "actors.threaded",
    "TurnStatus": "protocol.turn",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
