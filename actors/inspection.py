"""What a running system looks like: `ConversationSystem.inspect()`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from actors.context import EngineContext

__all__ = ["ActorReport", "SystemReport", "inspect_system"]


class ActorReport(NamedTuple):
    """One actor that lives."""

    urn: str
    kind: str
    connection_id: str | None
    turn_id: str | None
    depth: int
    """Messages in its mailbox."""
    peak: int
    """The most there ever were."""
    capacity: int
    paused: bool
    """Whether it takes no data for now, because what comes after it is full."""


class SystemReport(NamedTuple):
    """A system at one moment."""

    actors: list[ActorReport]
    tasks: list[str]
    """Names of tasks that run on behalf of a turn."""
    abandoned: list[str]
    """Names of tasks and threads that were given up and still run."""
    removed: dict[str, int]
    """Characters that were not spoken, by rule, over all finished turns and those that are kept."""
    stats: dict[str, int]
    """Turns by outcome and abandoned tasks, since the start of the system."""


def inspect_system(context: EngineContext) -> SystemReport:
    """Describe a system; call it in its loop, or from a thread for a rough picture."""
    actors = []
    tasks = []
    removed = dict(context.totals.removed)
    for actor in tuple(context.registry.values()):
        record = getattr(actor, "record", None)
        roster = getattr(actor, "roster", None)
        owner = record or roster
        mailbox = actor.actor_inbox
        actors.append(
            ActorReport(
                urn=actor.actor_urn,
                kind=actor.kind,
                connection_id=owner.connection_id if owner is not None else None,
                turn_id=record.turn_id if record is not None else None,
                depth=mailbox.depth,
                peak=mailbox.peak,
                capacity=mailbox.capacity,
                paused=mailbox.paused,
            )
        )
        tasks += [task.get_name() for task in actor.tasks]
    for roster in tuple(context.rosters.values()):
        active = roster.active
        if active is not None:  # in the totals once the Connection has heard of its end
            for rule, size in dict(active.removed or {}).items():
                removed[rule] = removed.get(rule, 0) + size
    return SystemReport(
        actors=actors,
        tasks=[*tasks, *(left.task.get_name() for left in tuple(context.left_tasks.values()))],
        abandoned=sorted(
            [*context.abandoned_tasks.values(), *(thread.name for thread in context.abandoned_threads())],
        ),
        removed=removed,
        stats=dict(context.totals.stats),
    )
