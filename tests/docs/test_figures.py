"""Figures that do not depend on the machine are about right; those that do are the same wherever they stand."""

from __future__ import annotations

import asyncio
import re

import pytest
from documents import ROOT

from actors import ConversationSystem

BACKPRESSURE = (ROOT / "docs" / "backpressure.md").read_text(encoding="utf-8")
PERFORMANCE = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (\d+).*\| about (\d+) \|$", re.MULTILINE)
AHEAD = [(int(size), int(ahead)) for size, ahead in ROW.findall(BACKPRESSURE)]


def test_the_page_has_its_figures() -> None:
    assert [size for size, _ahead in AHEAD] == [1, 10, 100]


def test_readme_gives_the_figures_of_the_page_on_performance() -> None:
    section = README.partition("## What it costs")[2].partition("\n## ")[0]
    figures = re.findall(r"\d+\.\d\d", section)
    assert len(figures) > 10
    for row in section.splitlines():
        measured = set(re.findall(r"\d+\.\d\d", row))
        assert any(measured <= set(re.findall(r"\d+\.\d\d", line)) for line in PERFORMANCE.splitlines()), row


@pytest.mark.parametrize(("queue_maxsize", "listed"), AHEAD)
async def test_agent_runs_ahead_as_far_as_the_page_says(queue_maxsize: int, listed: int) -> None:
    written = 0

    async def agent():
        nonlocal written
        while True:
            written += 1
            yield f"This is sentence {written}. "

    async with ConversationSystem() as system:
        processor = system.connect(queue_maxsize=queue_maxsize)
        turn_id = await processor.start_turn(agent_stream=agent())
        events = processor.stream_events(turn_id)
        await anext(events)
        before = -1
        while written != before:
            before = written
            for _ in range(100):
                await asyncio.sleep(0)
        print(f"\nqueue_maxsize={queue_maxsize}: {written} sentences ahead")  # noqa: T201 - for the page
    assert listed / 2 < written < listed * 2
