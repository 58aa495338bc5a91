"""A supervised test that hangs is ended at its deadline, whatever hangs, and the run goes on."""

from __future__ import annotations

import re
import sys

import pytest
from testing.projects import Project

from actors.testing.deadline import EXIT_STATUS

pytest_plugins = ["pytester"]

HEAD = """
import asyncio, ctypes, signal, socket, threading, time
from functools import partial

import pytest
from actors.testing import virtual

@pytest.fixture
def engine(conversation_system):
    return partial(conversation_system, shutdown_timeout_seconds=0.1)

@pytest.fixture(autouse=True)
def nothing_is_left_of_the_test_before():
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("antiphon-")]
    assert signal.getsignal(signal.SIGURG) is signal.SIG_DFL

def hang_in_python():
    while True:
        pass

def hang_in_sleep():
    time.sleep(3600)

def hang_on_a_lock():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()

def hang_in_a_read():
    here, there = socket.socketpair()
    with here, there:
        here.recv(1)

def hang_in_c():
    mutex = ctypes.create_string_buffer(256)
    library = ctypes.CDLL(None)
    library.pthread_mutex_lock(mutex)
    library.pthread_mutex_lock(mutex)  # no signal ends this
"""


def run(project: Project, source: str, *arguments: str, deadline: float = 0.3) -> pytest.RunResult:
    return project.run(HEAD + source, f"--antiphon-deadline={deadline}", *arguments)


def test_whatever_blocks_the_loop_is_broken_off_where_it_stands(project: Project) -> None:
    result = run(
        project,
        """
BLOCKS = pytest.mark.parametrize("block", [hang_in_python, hang_in_sleep, hang_on_a_lock, hang_in_a_read])

@BLOCKS
async def test_real(block, engine):
    async with engine() as system:
        system.connect("caller")
        block()

@BLOCKS
@virtual
async def test_virtual(block, engine):
    async with engine() as system:
        system.connect("caller")
        await asyncio.sleep(60)
        block()

async def test_agent(engine):
    async def agent():
        yield "Hello. "
        hang_in_python()
    async with engine() as system:
        client = system.connect()
        async for event in client.stream_events(await client.start_turn(agent_stream=agent())):
            pass

async def test_clearing_up(engine, scripted_agent):
    async with engine() as system:
        system.on_turn_finished(lambda turn: hang_in_sleep())
        await system.connect().start_turn(agent_stream=scripted_agent("Hello. "))

def test_in_another_thread(engine):
    async def work():
        async with engine():
            hang_in_python()
    raised = []
    def thread():
        with pytest.raises(AssertionError) as caught:
            asyncio.run(work())
        raised.append(caught.value)
    running = threading.Thread(target=thread)
    running.start()
    running.join()
    raise raised[0]

async def test_next(engine, recording_client, scripted_agent):
    async with engine() as system:
        turn = await recording_client(system.connect()).talk(scripted_agent("Hello."), faulty=False)
        assert turn.chunks == ["Hello."]
""",
    )
    result.assert_outcomes(failed=11, passed=1)
    wheres = ["while True:|pass", r"time\.sleep\(3600\)", r"lock\.acquire\(\)", r"here\.recv\(1\)"]
    names = ["hang_in_python", "hang_in_sleep", "hang_on_a_lock", "hang_in_a_read"]
    for name, where in zip(names, wheres, strict=True):
        shown = re.findall(rf'File ".*", line \d+, in {name}\nE +(?:{where})\n', result.stdout.str())
        assert len(shown) >= 2, name
    result.stdout.fnmatch_lines(
        [
            "*DeadlineError: the test was not over after 0.3 s",
            "*actors: 2",
            "*urn:antiphon:connection:* of caller: 0 of 100 messages, peak 0",
            "*tasks: *",
            "*test_real*",
            "*thread 'MainThread', the loop's:",
        ]
    )


def test_who_swallows_the_cancellation_is_ended_too(project: Project) -> None:
    result = run(
        project,
        """
async def test_once(engine):
    async with engine():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass

@pytest.mark.parametrize("swallowed", [asyncio.CancelledError, BaseException])
async def test_always(swallowed, engine):
    loop = asyncio.get_running_loop()
    async with engine():
        while not loop.is_closed():
            try:
                await asyncio.sleep(1)
            except swallowed:
                pass

@virtual
async def test_in_virtual_time(engine):
    async with engine():
        while True:
            try:
                await asyncio.sleep(1)
            except asyncio.CancelledError:
                pass

def test_next():
    pass
""",
    )
    outcomes = result.parseoutcomes()
    assert (outcomes["failed"], outcomes["passed"]) == (4, 1)
    assert result.stdout.str().count("DeadlineError: the test was not over after 0.3 s") >= 4


LAST_RESORT = {
    "C code that does not return": """
async def test_blocks(engine):
    async with engine():
        print("this was captured")
        hang_in_c()
""",
    "a system call in another thread": """
def test_blocks(engine):
    async def work():
        async with engine():
            print("this was captured")
            hang_in_sleep()
    running = threading.Thread(target=lambda: asyncio.run(work()))
    running.start()
    running.join()
""",
    "what is raised is caught every time": """
async def test_blocks(engine):
    async with engine():
        print("this was captured")
        while True:
            try:
                hang_in_sleep()
            except BaseException:
                pass
""",
}


@pytest.mark.parametrize("why", LAST_RESORT)
def test_when_nothing_helps_the_process_ends_with_the_dump(project: Project, why: str) -> None:
    result = run(project, LAST_RESORT[why])
    assert result.ret == EXIT_STATUS
    result.stderr.fnmatch_lines(
        [
            "*::test_blocks:",
            "this was captured",
            "the test was not over after 0.3 s",
            "actors: 1",
            "*urn:antiphon:supervisor:*",
            "tasks: 1",
            "*test_blocks*",
            "thread *, the loop's:",
            "*, in hang_in_*",
            "*nothing could end it*",
        ]
    )


def test_it_lives_with_others_who_watch(project: Project) -> None:
    result = run(
        project,
        """
@pytest.mark.timeout(1, func_only=True)
async def test_times_out(engine):
    async with engine():
        hang_in_sleep()

async def test_blocks(engine):
    async with engine():
        hang_in_sleep()

def test_interrupted_from_the_keyboard(engine):
    async def work():
        async with engine():
            signal.raise_signal(signal.SIGINT)
            await asyncio.sleep(60)
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(work())

def test_own_handler(engine):
    heard = []
    def mine(number, frame):
        heard.append(number)
    signal.signal(signal.SIGURG, mine)
    async def work():
        async with engine(), engine():
            signal.raise_signal(signal.SIGURG)
    asyncio.run(work())
    assert heard == [signal.SIGURG]
    assert signal.signal(signal.SIGURG, signal.SIG_DFL) is mine
""",
        "-o",
        "faulthandler_timeout=60",
        deadline=2,
    )
    result.assert_outcomes(failed=2, passed=2)
    result.stdout.fnmatch_lines(["*Timeout (>1* from pytest-timeout.", "*DeadlineError: the test was not over*"])


def test_a_debugger_may_take_its_time(project: Project) -> None:
    project.write(
        HEAD
        + """
async def test_looked_at(engine):
    async with engine():
        breakpoint()
"""
    )
    steps = b"!time.sleep(2)\nc\n"
    result = project.pytester.run(sys.executable, "-m", "pytest", "--antiphon-deadline=0.3", stdin=steps)
    result.assert_outcomes(passed=1)
