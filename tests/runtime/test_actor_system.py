"""What the engine's actors share: loop, clock, ids, registry."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC

import pytest

from actors.runtime import ActorSystem, Clock, EngineActor, Ids
from actors.testing import virtual


@virtual
async def test_the_time_is_the_loops_own() -> None:
    system = ActorSystem()
    actor = EngineActor.launch(system)
    before = system.clock.now()
    await asyncio.sleep(3600)
    assert system.clock.now() - before == pytest.approx(3600)
    assert system.clock.now() == asyncio.get_running_loop().time() == actor.now
    actor.stop_now()


async def test_on_a_plain_loop_too() -> None:
    clock = ActorSystem().clock
    before, now, after = asyncio.get_running_loop().time(), clock.now(), asyncio.get_running_loop().time()
    assert before <= now <= after
    assert clock.wall().tzinfo is UTC
    assert abs(clock.wall().timestamp() - time.time()) < 5


@virtual
async def test_time_and_ids_can_be_put_in() -> None:
    class Counted(Ids):
        def new(self, kind: str) -> str:
            return f"the {kind}"

    class Stopped(Clock):
        def __init__(self) -> None:
            super().__init__(asyncio.get_running_loop())
            self.now = lambda: 42.0

    system = ActorSystem(clock=Stopped(), ids=Counted())
    assert system.ids.new("turn") == "the turn"
    assert EngineActor.launch(system).now == 42.0


@virtual
async def test_ids_are_unique_and_urns_repeat_from_run_to_run() -> None:
    first, second = ActorSystem(), ActorSystem()
    assert len({first.ids.new("turn") for _ in range(1000)}) == 1000
    urns = [EngineActor.launch(first).actor_urn for _ in range(3)]
    assert urns == ["urn:antiphon:actor:1", "urn:antiphon:actor:2", "urn:antiphon:actor:3"]
    assert EngineActor.launch(second).actor_urn == urns[0]


@virtual
async def test_a_call_is_made_in_the_loops_thread() -> None:
    system = ActorSystem()
    called: list[int] = []
    system.call(lambda: called.append(threading.get_ident()))
    assert called == [threading.get_ident()]  # at once
    await asyncio.to_thread(system.call, lambda: called.append(threading.get_ident()))
    await asyncio.sleep(0)
    assert called == [threading.get_ident()] * 2


def test_a_call_to_a_loop_that_is_gone_is_nothing() -> None:
    async def make() -> ActorSystem:
        return ActorSystem()

    system = asyncio.run(make())
    thread = threading.Thread(target=system.call, args=(pytest.fail, "who ran this?"))
    thread.start()
    thread.join(5)
    assert not thread.is_alive()
