"""Pykka on an event loop: actors, mailboxes, futures, and the system that the engine's actors share."""

from actors.runtime.actor import ChildFailed, ChildStopped, LoopActor, LoopRef
from actors.runtime.background import LoopThread
from actors.runtime.engine import ActorKilledError, EngineActor, StopNow, handles
from actors.runtime.future import LoopFuture, Reply
from actors.runtime.log import EngineLog
from actors.runtime.mailbox import NO_MAIL, Mailbox, Room
from actors.runtime.system import ActorSystem, Clock, Ids
from actors.runtime.threads import ThreadedIterator

__all__ = [
    "NO_MAIL",
    "ActorKilledError",
    "ActorSystem",
    "ChildFailed",
    "ChildStopped",
    "Clock",
    "EngineActor",
    "EngineLog",
    "Ids",
    "LoopActor",
    "LoopFuture",
    "LoopRef",
    "LoopThread",
    "Mailbox",
    "Reply",
    "Room",
    "StopNow",
    "ThreadedIterator",
    "handles",
]
