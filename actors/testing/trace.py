"""`MessageTrace`: what was said to which actor, and when, for the one who must find out why.

It looks through `ActorSystem.tap`, so it sees each message right before it is handled. Lines hold no addresses and
no random ids of their own: the same run gives the same lines.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.runtime import ActorSystem, EngineActor

__all__ = ["MessageTrace", "describe"]


class MessageTrace:
    """The last messages that the actors of a system were given, as lines of text.

    Use it as `with MessageTrace(system.context) as trace`. Where a tap is set already, it is called after this one.

    Args:
        context: of the system.
        keep: how many lines are kept; None: all.

    Attributes:
        lines: one a message: the time, the actor's URN, the message.

    """

    def __init__(self, context: ActorSystem, keep: int | None = None) -> None:
        self.lines: deque[str] = deque(maxlen=keep)
        self._context = context
        self._next: Callable[[EngineActor, Any], None] | None = None

    def __enter__(self) -> Self:
        self._next, self._context.tap = self._context.tap, self._tap
        return self

    def __exit__(self, *_error: object) -> None:
        self._context.tap = self._next

    def _tap(self, actor: EngineActor, mail: Any) -> None:
        name = actor.actor_urn.removeprefix("urn:antiphon:")
        self.lines.append(f"{self._context.clock.now():12.6f}  {name:<16} {describe(mail)}")
        if self._next is not None:
            self._next(actor, mail)


def describe(mail: Any, limit: int = 40) -> str:
    """Return a message as one line: its type and its plain fields, long texts cut."""
    if isinstance(mail, str):
        return repr(mail if len(mail) <= limit else mail[:limit] + "…")
    if mail is None or isinstance(mail, bool | int | float):
        return repr(mail)
    fields = mail._asdict() if hasattr(mail, "_asdict") else getattr(mail, "__dict__", {})
    shown = (f"{name}={describe(value, limit)}" for name, value in fields.items() if value is not None)
    return f"{type(mail).__name__}({', '.join(shown) if hasattr(mail, '_asdict') else ''})"
