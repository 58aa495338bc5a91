"""The clock that the other tests rely on."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from conversations import engine
from virtual_time import StandstillError, run_virtual, virtual


def test_a_day_takes_no_time() -> None:
    began = time.monotonic()
    run_virtual(asyncio.sleep(86_400))
    assert time.monotonic() - began < 1


@virtual
async def test_timers_fire_in_their_order_at_their_time() -> None:
    loop = asyncio.get_running_loop()
    fired: list[float] = []
    for seconds in (3.0, 1.0, 2.0):
        loop.call_later(seconds, lambda: fired.append(loop.time()))
    await asyncio.sleep(4)
    assert fired == pytest.approx([1.0, 2.0, 3.0])


def test_a_wait_without_end_is_an_error_and_no_hang() -> None:
    async def wait() -> None:
        await asyncio.Event().wait()

    with pytest.raises(StandstillError, match="nothing will ever happen"):
        run_virtual(wait())


@virtual
async def test_a_thread_may_call_the_loop() -> None:
    loop = asyncio.get_running_loop()
    called = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(called.set))
    thread.start()
    await called.wait()
    assert await asyncio.to_thread(lambda: 7) == 7
    thread.join()


@virtual
async def test_the_engine_takes_its_time_from_the_loop() -> None:
    async with engine() as system:
        clock = system.context.clock
        assert clock.now() == asyncio.get_running_loop().time()
        await asyncio.sleep(1000)
        assert clock.now() == asyncio.get_running_loop().time() >= 1000
