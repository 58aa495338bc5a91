"""Who blocks the loop is named in the log, once."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator

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


Watched = Callable[[Callable[[], object]], list[str]]


@pytest.fixture
def reports() -> Iterator[Reports]:
    reports = Reports()
    logger = logging.getLogger("antiphon.watchdog")
    logger.addHandler(reports)
    yield reports
    logger.removeHandler(reports)


@pytest.fixture
def watched(reports: Reports) -> Watched:
    """Run something in a loop with a watchdog; return what was reported."""

    def run(work: Callable[[], object]) -> list[str]:
        async def main() -> None:
            watchdog = LoopWatchdog(asyncio.get_running_loop(), SECONDS)
            work()
            await asyncio.sleep(SECONDS * 3)
            watchdog.stop()

        asyncio.run(main())
        return reports.texts

    return run


def block_until(happened: threading.Event) -> None:
    assert happened.wait(10)


def test_a_blocked_loop_is_logged_with_the_stack_of_who_blocks(watched: Watched, reports: Reports) -> None:
    (text,) = watched(lambda: block_until(reports.one))
    assert f"blocked for {SECONDS:.1f} s" in text
    assert "block_until" in text
    assert __file__ in text


def test_a_loop_that_stays_blocked_is_logged_once(watched: Watched, reports: Reports) -> None:
    def stay() -> None:
        block_until(reports.one)
        time.sleep(SECONDS * 5)

    assert len(watched(stay)) == 1


def test_each_time_is_logged(reports: Reports) -> None:
    async def main() -> None:
        watchdog = LoopWatchdog(asyncio.get_running_loop(), SECONDS)
        for _ in range(2):
            reports.one.clear()
            block_until(reports.one)
            await asyncio.sleep(SECONDS * 2)
        watchdog.stop()

    asyncio.run(main())
    assert len(reports.texts) == 2


def test_a_loop_that_goes_on_is_not_logged(watched: Watched) -> None:
    assert watched(lambda: None) == []


def test_a_loop_that_does_not_run_is_not_logged(reports: Reports) -> None:
    loop = asyncio.new_event_loop()

    async def start() -> LoopWatchdog:
        return LoopWatchdog(loop, SECONDS)

    watchdog = loop.run_until_complete(start())
    time.sleep(SECONDS * 4)
    assert reports.texts == []
    loop.run_until_complete(_block(reports))  # and it is watched again when it does
    assert len(reports.texts) == 1
    watchdog.stop()
    loop.close()


async def _block(reports: Reports) -> None:
    await asyncio.sleep(SECONDS)
    block_until(reports.one)


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
