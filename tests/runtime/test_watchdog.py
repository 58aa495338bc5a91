"""Who blocks the loop is named in the log, once."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from actors.runtime.watchdog import LoopWatchdog

SECONDS = 0.05


class Reports(logging.Handler):
    """Collects what the watchdog says, and lets a test wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.one = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())
        self.one.set()


@pytest.fixture
def reports() -> Iterator[Reports]:
    reports = Reports()
    logger = logging.getLogger("antiphon.watchdog")
    logger.addHandler(reports)
    yield reports
    logger.removeHandler(reports)


def watch(work: Callable[[], Any], seconds: float = SECONDS) -> Any:
    """Call something in a loop with a watchdog; return what it returns."""

    async def main() -> Any:
        watchdog = LoopWatchdog(asyncio.get_running_loop(), seconds)
        try:
            result = work()
            return await result if asyncio.iscoroutine(result) else result
        finally:
            watchdog.stop()

    return asyncio.run(main())


def block_until(happened: threading.Event) -> None:
    assert happened.wait(10)


def test_a_blocked_loop_is_logged_with_the_stack_of_who_blocks(reports: Reports) -> None:
    watch(lambda: block_until(reports.one))
    assert f"blocked for {SECONDS:.1f} s" in reports.texts[0]
    assert "block_until" in reports.texts[0]
    assert __file__ in reports.texts[0]


def test_a_loop_that_stays_blocked_is_logged_once(reports: Reports) -> None:
    def stay() -> int:
        block_until(reports.one)
        time.sleep(SECONDS * 5)
        return len(reports.texts)

    assert watch(stay) == 1


def test_it_is_logged_each_time(reports: Reports) -> None:
    async def twice() -> None:
        for _ in range(2):
            reports.one.clear()
            block_until(reports.one)
            await asyncio.sleep(SECONDS * 2)

    watch(twice)
    assert len(reports.texts) >= 2


def test_a_loop_that_goes_on_is_not_logged(reports: Reports) -> None:
    watch(lambda: asyncio.sleep(0.7), seconds=0.5)
    assert reports.texts == []


def test_a_loop_that_does_not_run_is_not_logged(reports: Reports) -> None:
    loop = asyncio.new_event_loop()

    async def start() -> LoopWatchdog:
        return LoopWatchdog(loop, SECONDS)

    async def block() -> None:
        await asyncio.sleep(SECONDS)
        block_until(reports.one)

    watchdog = loop.run_until_complete(start())
    time.sleep(SECONDS * 4)
    assert reports.texts == []
    loop.run_until_complete(block())  # and it is watched again when it does
    assert len(reports.texts) >= 1
    watchdog.stop()
    loop.close()


@pytest.mark.parametrize("blocks_at_the_end", [False, True])
def test_the_thread_ends_with_the_loop(reports: Reports, *, blocks_at_the_end: bool) -> None:
    def watchdogs() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name == "antiphon-loop-watchdog"]

    before = watchdogs()
    loop = asyncio.new_event_loop()

    async def main() -> None:
        LoopWatchdog(loop, SECONDS)
        await asyncio.sleep(0)
        if blocks_at_the_end:
            loop.stop()
            block_until(reports.one)

    task = loop.create_task(main())
    task.add_done_callback(lambda _task: loop.stop())
    loop.run_forever()
    loop.close()
    for thread in watchdogs():
        if thread not in before:
            thread.join(5)
            assert not thread.is_alive()
