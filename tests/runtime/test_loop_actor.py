"""`LoopActor`: Pykka's rules on an event loop. (`scripts/pykka_conformance` runs Pykka's own suite beside this.)

Most tests run twice: with the actors on the running loop, and on the background loop that they get outside of one.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import threading
import weakref
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import pykka
import pytest
from pykka import ActorDeadError, ActorRegistry

from actors.runtime import LoopActor, LoopRef
from actors.runtime.background import background_loop
from actors.testing import virtual
from protocol.errors import MailboxFullError

Start = Callable[..., Awaitable[Any]]

FATAL = [KeyboardInterrupt, SystemExit, asyncio.CancelledError]


class Recorder(LoopActor):
    """Writes down what it is told and what becomes of it; answers with what it is asked; raises what can be."""

    mailbox_capacity = 5

    def __init__(self, hook: str = "", error: BaseException | None = None) -> None:
        super().__init__()
        self.log: list[Any] = []
        self.threads: dict[str, int] = {"__init__": threading.get_ident()}
        self.hook, self.error = hook, error
        self.ended = threading.Event()
        self.attribute = "value"

    def _enter(self, hook: str) -> None:
        self.threads[hook] = threading.get_ident()
        if hook == self.hook and self.error is not None:
            raise self.error

    def on_start(self) -> None:
        self.log.append("on_start")
        self._enter("on_start")

    def on_stop(self) -> None:
        self.log.append("on_stop")
        self.ended.set()
        self._enter("on_stop")

    def on_failure(self, _type: Any, error: Any, _traceback: Any) -> None:
        self.log.append(("on_failure", error))
        self.ended.set()
        self._enter("on_failure")

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, BaseException):
            raise message
        self.log.append(message)
        return message

    def itself(self) -> weakref.ref[Any]:
        return weakref.ref(self)

    def double(self, number: int) -> int:
        return 2 * number


@pytest.fixture(params=["running loop", "background loop"])
def start(request: pytest.FixtureRequest) -> Start:
    """Start an actor there; return its reference."""

    async def start(actor_class: type[LoopActor] = Recorder, *args: Any) -> Any:
        if request.param == "running loop":
            return actor_class.start(*args)
        return await asyncio.to_thread(actor_class.start, *args)  # a thread without a loop

    return start


# Where it runs.


async def test_it_lives_on_the_running_loop_or_on_the_background_loop(start: Start) -> None:
    ref = await start()
    threads = await ref.proxy().threads
    running = threading.get_ident()
    assert threads["on_start"] in (running, background_loop().ident)
    assert (threads["on_start"] == running) == (threads["__init__"] == running)
    assert await ref.stop(block=False)


def test_plain_pykka_code_needs_no_loop_of_its_own() -> None:
    ref = Recorder.start()
    ref.tell("told")
    assert ref.ask("asked") == "asked"
    proxy = ref.proxy()
    assert proxy.attribute.get() == "value"
    proxy.attribute = "changed"
    assert proxy.attribute.get() == "changed"
    assert proxy.double(4).get() == 8
    proxy.double.defer(4)
    assert proxy.log.get() == ["on_start", "told", "asked"]
    assert ref.stop() is True
    assert ref.stop() is False


# Who may reach it.


def in_a_thread(call: Callable[[], Any]) -> Awaitable[Any]:
    return asyncio.to_thread(call)


def in_another_loop(call: Callable[[], Any]) -> Awaitable[Any]:
    async def main() -> Any:
        return call()

    return asyncio.to_thread(asyncio.run, main())


def in_another_actor(call: Callable[[], Any]) -> Awaitable[Any]:
    class Caller(pykka.ThreadingActor):
        def on_receive(self, _message: Any) -> Any:
            self.stop()
            return call()

    return asyncio.to_thread(lambda: Caller.start().ask("call"))


@pytest.mark.parametrize("somewhere", [in_a_thread, in_another_loop, in_another_actor])
async def test_tell_ask_proxy_and_stop_work_from_anywhere(
    start: Start, somewhere: Callable[[Callable[[], Any]], Awaitable[Any]]
) -> None:
    ref = await start()
    await somewhere(lambda: ref.tell("told"))
    assert await somewhere(lambda: ref.ask("asked")) == "asked"
    assert await somewhere(lambda: ref.proxy().double(21).get()) == 42
    with pytest.raises(ValueError, match="on purpose"):
        await somewhere(lambda: ref.ask(ValueError("on purpose")))
    assert await ref.proxy().log == ["on_start", "told", "asked"]
    assert await somewhere(ref.stop) is True
    with pytest.raises(ActorDeadError):
        await somewhere(lambda: ref.tell("too late"))


async def test_in_a_loop_everything_can_be_awaited(start: Start) -> None:
    ref = await start()
    ref.tell("told")
    assert await ref.ask("asked", block=False) == "asked"
    assert await ref.request("requested") == "requested"
    assert await ref.proxy().double(21) == 42
    assert await ref.proxy().attribute == "value"
    assert await ref.proxy().log == ["on_start", "told", "asked", "requested"]
    assert await ref.stop(block=False) is True
    assert await ref.stop(block=False) is False
    with pytest.raises(ActorDeadError):
        await ref.request("too late")


async def test_one_message_at_a_time_whoever_sends(start: Start) -> None:
    class Careful(LoopActor):
        def __init__(self) -> None:
            super().__init__()
            self.inside = 0
            self.handled = 0

        def on_receive(self, _message: Any) -> int:
            self.inside += 1
            assert self.inside == 1
            self.handled += 1
            self.inside -= 1
            return self.handled

    ref = await start(Careful)

    def send() -> None:
        for _ in range(100):
            ref.tell("message")

    await asyncio.gather(*[asyncio.to_thread(send) for _ in range(4)])
    assert await ref.request("last") == 401
    await ref.stop(block=False)


# Pykka's rules.


async def test_a_stop_request_keeps_its_place_in_the_line(start: Start) -> None:
    ref = await start()
    proxy = ref.proxy()
    log = await proxy.log  # the list itself
    for number in range(3):
        ref.tell(number)
    stopped = ref.stop(block=False)
    too_late = ref.ask("too late", block=False)
    assert await stopped is True
    with pytest.raises(ActorDeadError):
        await too_late
    assert log == ["on_start", 0, 1, 2, "on_stop"]
    assert not ref.is_alive()


async def test_an_actor_may_stop_itself_even_with_a_full_mailbox(start: Start) -> None:
    class Filler(Recorder):
        def on_receive(self, message: Any) -> Any:
            if message == "fill":
                for number in range(self.mailbox_capacity):
                    self.actor_ref.tell(number)
                self.stop()
                return self.actor_inbox.depth
            return super().on_receive(message)

    ref = await start(Filler)
    log = await ref.proxy().log
    assert await ref.request("fill") == Filler.mailbox_capacity + 1
    await ref.stop(block=False)
    assert log == ["on_start", 0, 1, 2, 3, 4, "on_stop"]


async def test_it_is_in_pykkas_registry_while_it_lives(start: Start) -> None:
    ref: Any = await start()
    assert ActorRegistry.get_by_urn(ref.actor_urn) == ref
    assert ActorRegistry.get_by_class(Recorder) == [ref]
    await ref.stop(block=False)
    assert ActorRegistry.get_by_urn(ref.actor_urn) is None


async def test_what_a_told_message_raises_fails_the_actor_alone(start: Start) -> None:
    ref, bystander = await start(), await start()
    log = await ref.proxy().log
    ended = await ref.proxy().ended
    error = ValueError("on purpose")
    ref.tell(error)
    await asyncio.to_thread(ended.wait, 5)
    assert log == ["on_start", ("on_failure", error)]  # and not on_stop
    assert await ref.stop(block=False) is False
    assert await bystander.ask("fine", block=False) == "fine"
    await bystander.stop(block=False)


async def test_what_an_asked_message_raises_is_the_askers_and_the_actor_lives(start: Start) -> None:
    ref = await start()
    with pytest.raises(ValueError, match="on purpose"):
        await ref.ask(ValueError("on purpose"), block=False)
    assert await ref.ask("alive", block=False) == "alive"
    await ref.stop(block=False)


@pytest.mark.parametrize("hook", ["on_start", "on_stop", "on_failure"])
async def test_a_hook_that_raises_ends_the_actor_and_nothing_else(start: Start, hook: str) -> None:
    bystander = await start()
    ref = await start(Recorder, hook, ValueError("on purpose"))
    if hook == "on_stop":
        assert await ref.stop(block=False) is True
    elif hook == "on_failure":
        ref.tell(KeyError("on purpose"))
    with pytest.raises(ActorDeadError):
        await ref.ask("too late", block=False)
    assert await bystander.ask("fine", block=False) == "fine"
    await bystander.stop(block=False)


@pytest.mark.parametrize("where", ["a told message", "an asked message", "on_start", "on_stop", "on_failure"])
@pytest.mark.parametrize("fatal", FATAL)
async def test_a_base_exception_stops_all_actors_and_not_their_loop(
    start: Start, fatal: type[BaseException], where: str
) -> None:
    others = [await start(), await asyncio.to_thread(pykka.ThreadingActor.start)]
    ref = await start(Recorder, where, fatal("on purpose"))
    if where == "a told message":
        ref.tell(fatal("on purpose"))
    elif where == "an asked message":
        with pytest.raises(ActorDeadError, match=fatal.__name__):
            await ref.ask(fatal("on purpose"), block=False)
    elif where == "on_stop":
        assert await ref.stop(block=False) is True
    elif where == "on_failure":
        ref.tell(ValueError("on purpose"))
    while ActorRegistry.get_all():  # noqa: ASYNC110 - Pykka has nothing to wait for
        await asyncio.sleep(0)
    assert not any(other.is_alive() for other in [ref, *others])
    again = await start()  # on the same loop, which runs
    assert await again.ask("fine", block=False) == "fine"
    await again.stop(block=False)


async def test_what_nobody_handles_is_logged(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    ref = await start(LoopActor)
    assert await ref.ask("what is this?", block=False) is None
    assert "Unexpected message" in caplog.text
    await ref.stop(block=False)


# What a loop adds.


class Notice(NamedTuple):
    """Control mail."""

    text: str


async def test_control_mail_comes_before_the_data(start: Start) -> None:
    ref = await start()
    log = await ref.proxy().log
    ref.actor_inbox.pause()
    ref.tell("data")
    ref.actor_inbox.post(Notice("control"))
    await _until(lambda: Notice("control") in log)
    assert log == ["on_start", Notice("control")]  # and a paused lane keeps its data
    _in_its_loop(ref, ref.actor_inbox.resume)
    await _until(lambda: "data" in log)
    assert log == ["on_start", Notice("control"), "data"]
    await ref.stop(block=False)


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110 - what is waited for happens in another thread
            await asyncio.sleep(0.001)


def _in_its_loop(ref: Any, call: Callable[[], None]) -> None:
    ref.actor_inbox._loop.call_soon_threadsafe(call)


async def test_a_request_waits_for_room_where_an_ask_fails(start: Start) -> None:
    ref = await start()
    await ref.ask("ready", block=False)
    _in_its_loop(ref, ref.actor_inbox.pause)
    await _until(lambda: ref.actor_inbox.paused)
    requests = [asyncio.ensure_future(ref.request(number)) for number in range(20)]
    await _until(lambda: ref.actor_inbox.depth == Recorder.mailbox_capacity)
    _in_its_loop(ref, ref.actor_inbox.resume)
    assert await asyncio.gather(*requests) == list(range(20))
    assert ref.actor_inbox.peak == Recorder.mailbox_capacity
    await ref.stop(block=False)


@virtual
async def test_in_its_own_loop_a_tell_to_a_full_mailbox_raises_and_an_ask_fails() -> None:
    ref: Any = Recorder.start()
    for number in range(Recorder.mailbox_capacity):
        ref.tell(number)
    with pytest.raises(MailboxFullError):
        ref.tell("one too many")
    with pytest.raises(MailboxFullError):
        await ref.ask("one too many", block=False)
    await asyncio.sleep(0)
    assert await ref.ask("room again", block=False) == "room again"
    assert await ref.proxy().log == ["on_start", *range(Recorder.mailbox_capacity), "room again"]
    await ref.stop(block=False)


@virtual
async def test_a_thread_that_tells_a_full_mailbox_waits_for_room() -> None:
    ref: Any = Recorder.start()
    await asyncio.to_thread(lambda: [ref.tell(number) for number in range(100)])
    assert (await ref.proxy().log)[1:] == list(range(100))
    assert ref.actor_inbox.peak <= Recorder.mailbox_capacity
    await ref.stop(block=False)


@virtual
async def test_an_actor_that_fills_its_own_mailbox_before_it_runs_is_told_so() -> None:
    class Eager(Recorder):
        def __init__(self) -> None:
            super().__init__()
            for number in range(self.mailbox_capacity + 1):
                self.actor_ref.tell(number)

    with pytest.raises(MailboxFullError):
        Eager.start()


@virtual
async def test_a_run_is_bounded_and_the_loop_goes_on_in_between() -> None:
    class Roomy(Recorder):
        mailbox_capacity = 10_000

    ref = Roomy.start()
    log = await ref.proxy().log
    for number in range(5_000):
        ref.tell(number)
    heights = [len(log)]
    while len(log) <= 5_000:
        await asyncio.sleep(0)
        heights.append(len(log))
    assert log[1:] == list(range(5_000))
    assert max(after - before for before, after in itertools.pairwise(heights)) <= 64
    await ref.stop(block=False)


@virtual
async def test_two_busy_actors_take_turns() -> None:
    turns: list[str] = []

    class Busy(LoopActor):
        mailbox_capacity = 1000

        def on_receive(self, message: str) -> None:
            turns.append(message)

    refs = {name: Busy.start() for name in "ab"}
    for name, ref in refs.items():
        for _ in range(640):
            ref.tell(name)
    for ref in refs.values():
        await ref.stop(block=False)
    runs = [len(list(group)) for _name, group in itertools.groupby(turns)]
    assert runs == [64] * 20


@virtual
async def test_nothing_refers_to_an_actor_that_has_stopped() -> None:
    ref = Recorder.start()
    actor: weakref.ref[Any] = await ref.proxy().itself()
    ref.tell("something")
    assert actor() is not None
    assert await ref.stop(block=False)
    await asyncio.sleep(0)
    gc.collect()
    assert actor() is None  # who holds the reference does not hold the actor
    assert isinstance(ref, LoopRef)
