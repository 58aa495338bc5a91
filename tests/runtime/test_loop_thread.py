"""A loop in a thread, for programs that have none."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator

from actors.runtime import LoopActor, LoopThread
from actors.runtime.background import background_loop


def test_the_loop_runs_when_the_constructor_returns_and_ends_with_stop() -> None:
    thread = LoopThread("a loop")
    assert thread.loop.is_running()
    ran_in = asyncio.run_coroutine_threadsafe(_where(), thread.loop).result(5)
    assert ran_in == (thread.ident, "a loop", True)
    thread.stop()
    assert thread.loop.is_closed()
    assert "a loop" not in {other.name for other in threading.enumerate()}


async def _where() -> tuple[int, str, bool]:
    current = threading.current_thread()
    return threading.get_ident(), current.name, current.daemon


def test_stopping_twice_or_from_many_threads_is_stopping() -> None:
    thread = LoopThread("a loop")
    stoppers = [threading.Thread(target=thread.stop) for _ in range(5)]
    for stopper in stoppers:
        stopper.start()
    for stopper in stoppers:
        stopper.join(5)
    thread.stop()
    assert thread.loop.is_closed()


def test_asynchronous_generators_are_closed_with_their_loop() -> None:
    closed = threading.Event()

    async def numbers() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    async def first(of: AsyncIterator[int]) -> int:
        return await anext(of)

    thread, unfinished = LoopThread("a loop"), numbers()
    assert asyncio.run_coroutine_threadsafe(first(unfinished), thread.loop).result(5) == 1
    thread.stop()
    assert closed.is_set()


def test_there_is_one_background_loop_and_a_new_one_when_it_has_ended() -> None:
    first = background_loop()
    assert background_loop() is first
    first.stop()
    second = background_loop()
    assert second is not first
    assert second.loop.is_running()
    ref = LoopActor.start()
    assert ref.stop() is True


def test_actors_started_outside_a_loop_share_one_thread() -> None:
    before = threading.active_count()
    refs = [LoopActor.start() for _ in range(50)]
    assert threading.active_count() <= before + 1
    assert all(ref.stop() for ref in refs)


FORK = """
import os
from actors.runtime import LoopActor

class Echo(LoopActor):
    def on_receive(self, message):
        return message

assert Echo.start().ask("in the parent") == "in the parent"
child = os.fork()
if child == 0:
    answer = Echo.start().ask("in the child", timeout=10)
    os._exit(0 if answer == "in the child" else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


def test_a_forked_process_gets_a_background_loop_of_its_own() -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", FORK], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
