"""The pytest plugin, as a project that builds on Antiphon sees it; the docs' example is one of its tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from testing.projects import Project

pytest_plugins = ["pytester"]

DOCS = Path(__file__).resolve().parent.parent.parent / "docs" / "testing.md"
HEAD = """
import asyncio, time, threading
import pytest
from actors.testing import virtual
from actors.testing.agents import fail, hang, wait
"""


def run(project: Project, source: str, *arguments: str) -> pytest.RunResult:
    return project.run(HEAD + source, *arguments)


def test_the_example_in_the_docs_passes(project: Project) -> None:
    (source,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    run(project, source).assert_outcomes(passed=2)


def test_the_fixtures_go_with_every_way_to_run_a_test(project: Project) -> None:
    run(
        project,
        """
async def converse(conversation_system, recording_client, agent):
    async with conversation_system() as system:
        turn = await recording_client(system.connect()).talk(agent, faulty=False)
        assert turn.chunks == ["Hello there."]

def test_plain(virtual_clock, conversation_system, recording_client, scripted_agent):
    virtual_clock.run(converse(conversation_system, recording_client, scripted_agent(wait(20), "Hello there.")))

@virtual
async def test_virtual(virtual_clock, conversation_system, recording_client, scripted_agent):
    await converse(conversation_system, recording_client, scripted_agent(wait(20), "Hello there."))
    assert 20 <= virtual_clock.now < 21

async def test_asyncio(conversation_system, recording_client, scripted_agent):
    await converse(conversation_system, recording_client, scripted_agent("Hello there."))
""",
    ).assert_outcomes(passed=3)


def test_a_test_beyond_its_deadline_ends_with_a_dump(project: Project) -> None:
    result = run(
        project,
        """
async def test_hangs(conversation_system, scripted_agent):
    async with conversation_system(queue_maxsize=2) as system:
        await system.connect("caller").start_turn(turn_id="t", agent_stream=scripted_agent(*["A word. "] * 1000))
        await asyncio.Event().wait()
""",
        "--antiphon-deadline=1",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*DeadlineError: the test was not over after 1 s",
            "*actors: 6",
            "*urn:antiphon:connection:* of caller: 0 of 2 messages*",
            "*urn:antiphon:emitter:* of t: 2 of 2 messages, peak 2, paused, oldest SpeechChunk(text='A word.*",
            "*test_hangs*Event.wait*",
            "*agent of turn t: *_wait_for_room*",
        ]
    )


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("task = asyncio.create_task(asyncio.sleep(1000), name='the housekeeping')", "*the housekeeping: sleep*"),
        (
            "await recording_client(system.connect()).talk(scripted_agent(fail('broken')), faulty=False)",
            "*6 Isolation: turn *: a turn with which nothing was wrong has failed: agent_failed: *broken*",
        ),
        (
            "threading.Thread(target=time.sleep, args=(2,), name='antiphon-made-up', daemon=True).start()",
            "*antiphon-made-up*",
        ),
    ],
)
def test_what_is_left_or_wrong_is_named(project: Project, body: str, named: str) -> None:
    result = run(
        project,
        f"""
async def test_leaves_something(conversation_system, recording_client, scripted_agent):
    async with conversation_system() as system:
        {body}
""",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([named])


def test_a_failing_test_is_reported_as_it_failed(project: Project) -> None:
    result = run(
        project,
        """
@virtual
async def test_fails(conversation_system):
    async with conversation_system() as system:
        asyncio.create_task(asyncio.sleep(1000))
        assert 1 == 2
""",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*assert 1 == 2*"])


def test_real_time_is_not_taken_for_virtual(project: Project) -> None:
    result = run(project, "async def test_time(virtual_clock):\n    await virtual_clock.advance(1)\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*time is real in a *use @virtual*"])


def test_it_loads_nothing_of_the_engine_where_it_is_not_used(project: Project) -> None:
    run(
        project,
        """
import sys
def test_nothing():
    assert not {"actors.system", "actors.testing.checker"} & set(sys.modules)
""",
    ).assert_outcomes(passed=1)
