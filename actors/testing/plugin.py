"""The pytest plugin: fixtures for tests of what is built on Antiphon. Nothing happens in tests that ask for none.

    @virtual
    async def test_the_assistant_says_hello(conversation_system, recording_client, scripted_agent):
        async with conversation_system() as system:
            client = recording_client(system.connect())
            turn = await client.talk(scripted_agent("Hello. ", wait(2), "How are you?"))
            assert turn.chunks == ["Hello.", "How are you?"]

No fixture needs a running loop, so they go with every way to run asynchronous tests: `@virtual`,
`virtual_clock.run()`, pytest-asyncio, anyio. pytest loads this module in every run; what it needs beyond pytest is
loaded by the fixtures.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from actors import MessageProcessor
    from actors.testing.agents import ScriptedAgent, Step
    from actors.testing.client import RecordingClient
    from actors.testing.supervised import SupervisedSystem

__all__ = ["VirtualClockControl", "conversation_system", "recording_client", "scripted_agent", "virtual_clock"]

T = TypeVar("T")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the plugin's options."""
    group = parser.getgroup("antiphon", "tests of what is built on Antiphon")
    group.addoption(
        "--antiphon-deadline",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="when a test's conversation_system is ended with a dump (default: %(default)s)",
    )
    group.addoption(
        "--antiphon-seed",
        type=int,
        default=None,
        metavar="N",
        help="the order of events in virtual_clock.run() (default: asyncio's own)",
    )


@pytest.fixture
def conversation_system(request: pytest.FixtureRequest) -> Iterator[Callable[..., SupervisedSystem]]:
    """Give a function that makes a supervised system, to be used with `async with`.

    Its arguments are fields of `Settings` by name, or one `Settings`, and `speech`, `clock` and `ids` as for
    `ConversationSystem`. At its end it is shut down, held to the contract, and may have left nothing.
    """
    from actors import Settings  # noqa: PLC0415 - loaded when it is used
    from actors.testing.supervised import SupervisedSystem  # noqa: PLC0415

    made: list[SupervisedSystem] = []
    deadline = request.config.getoption("--antiphon-deadline")

    def make(
        settings: Settings | None = None, *, speech: Any = None, clock: Any = None, ids: Any = None, **fields: Any
    ) -> SupervisedSystem:
        settings = settings or Settings(**{"loop_watchdog_seconds": None, **fields})
        supervised = SupervisedSystem(
            settings,
            deadline=deadline,
            last_words=partial(_past_the_capture, request.node),
            speech=speech,
            clock=clock,
            ids=ids,
        )
        made.append(supervised)
        return supervised

    request.node.antiphon_systems = made
    yield make
    for supervised in made:
        running = supervised.system._context
        if running is not None and running.registry and not supervised.deadline.expired:
            pytest.fail(
                f"a conversation_system was never left: use 'async with'; {len(running.registry)} actors live"
            )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Watch a test until all is torn down: a task that will not end keeps its loop from closing."""
    try:
        yield
    finally:
        for supervised in getattr(item, "antiphon_systems", ()):
            supervised.deadline.call_off()


def _past_the_capture(item: pytest.Item, text: str) -> None:
    """Write on the standard error output itself; what pytest has captured so far would be lost with the process."""
    capture = item.config.pluginmanager.getplugin("capturemanager")
    if capture is not None:
        capture.suspend_global_capture(in_=True)
        out, err = capture.read_global_capture()
        text = f"{out}{err}{text}"
    sys.stderr.write(f"\n{item.nodeid}:\n{text}")
    sys.stderr.flush()


def pytest_enter_pdb() -> None:
    """Let a test take as long as it likes when somebody looks at it in a debugger."""
    from actors.testing.deadline import call_off_all  # noqa: PLC0415

    call_off_all()


@pytest.fixture
def scripted_agent() -> Callable[..., ScriptedAgent]:
    """Give a function that makes an agent from texts and steps: `scripted_agent("Hello. ", wait(1), fail())`."""
    from actors.testing.agents import ScriptedAgent  # noqa: PLC0415

    def make(*script: Step | str) -> ScriptedAgent:
        return ScriptedAgent(script)

    return make


@pytest.fixture
def recording_client(request: pytest.FixtureRequest) -> Callable[[MessageProcessor], RecordingClient]:
    """Give a function that makes a client of a connection; what it sees of its turns is held to the contract."""
    from actors.testing.client import RecordingClient  # noqa: PLC0415

    def make(processor: MessageProcessor) -> RecordingClient:
        for supervised in getattr(request.node, "antiphon_systems", ()):
            if supervised.system is processor._host:
                client = RecordingClient(processor, supervised.checker)
                supervised.clients.append(client)
                return client
        return RecordingClient(processor)

    return make


class VirtualClockControl:
    """The clock of the virtual loop that runs the test."""

    def __init__(self, seed: int | None) -> None:
        self._seed = seed

    def run(self, work: Coroutine[Any, Any, T], seed: int | None = None) -> T:
        """Run a coroutine to its end in virtual time, for tests that are plain functions."""
        from actors.testing.virtual_loop import run_virtual  # noqa: PLC0415

        return run_virtual(work, self._seed if seed is None else seed)

    @property
    def now(self) -> float:
        """Seconds since the loop began.

        Raises:
            RuntimeError: the running loop is not a virtual one.

        """
        from actors.testing.virtual_loop import VirtualLoop  # noqa: PLC0415

        loop = asyncio.get_running_loop()
        if not isinstance(loop, VirtualLoop):
            raise RuntimeError(f"time is real in a {type(loop).__name__}: use @virtual, or virtual_clock.run()")  # noqa: TRY004
        return loop.time()

    async def advance(self, seconds: float) -> None:
        """Let so much time pass, and all happen that comes due in it."""
        assert self.now >= 0, "time is virtual"
        await asyncio.sleep(seconds)


@pytest.fixture
def virtual_clock(request: pytest.FixtureRequest) -> VirtualClockControl:
    """Give the clock of virtual time: `run(...)`, `await advance(60)`, `now`."""
    return VirtualClockControl(request.config.getoption("--antiphon-seed"))
