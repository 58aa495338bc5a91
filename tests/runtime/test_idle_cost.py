"""What an actor costs while it has nothing to do: no thread, no task, and a few KiB."""

from __future__ import annotations

import asyncio
import gc
import threading
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from actors.runtime import ActorSystem, EngineActor, LoopActor
from actors.testing import virtual

COUNT = 1000
MAX_KIB: dict[type[Any], float] = {LoopActor: 3.0, EngineActor: 1.0}
"""Measured: 2.0 and 0.6."""


class Deaf(EngineActor):
    """Takes everything and makes nothing of it."""

    def on_receive(self, message: Any) -> None:
        pass


def starter(actor_class: type[Any]) -> Callable[[], Any]:
    if actor_class is LoopActor:
        return LoopActor.start
    system = ActorSystem()
    return lambda: EngineActor.start(system)


@pytest.mark.parametrize("actor_class", [LoopActor, EngineActor])
@virtual
async def test_an_idle_actor_takes_no_thread_no_task_and_little_memory(actor_class: type[Any]) -> None:
    start = starter(actor_class)
    refs = [start()]  # what is made once
    await refs[0].ask("used", block=False)
    threads, tasks = threading.active_count(), len(asyncio.all_tasks())
    gc.collect()
    tracemalloc.start()
    try:
        before, _peak = tracemalloc.get_traced_memory()
        refs += [start() for _ in range(COUNT)]
        await asyncio.sleep(0)
        gc.collect()
        after, _peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    kib = (after - before) / COUNT / 1024
    assert kib < MAX_KIB[actor_class]
    assert threading.active_count() == threads
    assert len(asyncio.all_tasks()) == tasks
    for ref in refs:
        ref.stop(block=False)
    await asyncio.sleep(0.1)
    assert not any(ref.is_alive() for ref in refs)


@virtual
async def test_an_actor_that_has_been_used_is_as_cheap_again() -> None:
    system = ActorSystem()
    actors = [Deaf.launch(system) for _ in range(COUNT)]
    gc.collect()
    tracemalloc.start()
    try:
        before, _peak = tracemalloc.get_traced_memory()
        for actor in actors:
            for number in range(20):
                actor.actor_inbox.offer(number)
            actor.actor_inbox.post("control")
        await asyncio.sleep(0)
        gc.collect()
        after, _peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (after - before) / COUNT < 256
