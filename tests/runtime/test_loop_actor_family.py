"""Children and timers of a `LoopActor`: they end with it, in order, and it is told of those that end before."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import pytest
from pykka import ActorDeadError, ActorRegistry

from actors.runtime import ChildFailed, ChildStopped, LoopActor
from actors.testing import virtual


class Start(NamedTuple):
    """Have it start a child of this name."""

    name: str


class Due(NamedTuple):
    text: str


class Member(LoopActor):
    """One of a family, which writes its ends into one log; takes messages that are calls."""

    def __init__(self, name: str, log: list[Any]) -> None:
        super().__init__()
        self.name, self.log = name, log
        self.words: list[Any] = []

    def on_stop(self) -> None:
        self.log.append(self.name)

    def on_receive(self, message: Any) -> Any:
        match message:
            case Start(name):
                return self.start_child(Member, name, self.log)
            case ChildStopped() | ChildFailed():
                self.words.append(message)
            case BaseException():
                raise message
            case Due(text):
                self.log.append(text)
        return None

    def known(self) -> tuple[tuple[Any, ...], list[Any]]:
        return self.children, list(self.words)

    def remind(self, seconds: float, text: str) -> asyncio.TimerHandle:
        return self.after(seconds, Due(text))

    def forget(self, timer: asyncio.TimerHandle) -> None:
        self.cancel_timer(timer)

    def time(self) -> float:
        return self.now


async def ended(*refs: Any) -> None:
    """Wait until these have stopped, and their parents have heard of it."""
    async with asyncio.timeout(5):
        while any(ref.is_alive() for ref in refs):  # noqa: ASYNC110 - Pykka has nothing to wait for
            await asyncio.sleep(0.001)
    await asyncio.sleep(0.01)


async def family(log: list[Any]) -> tuple[Any, dict[str, Any]]:
    root = Member.start("root", log)
    members = {name: await root.ask(Start(name), block=False) for name in ("a", "b", "c")}
    for name in ("a1", "a2", "c1"):
        members[name] = await members[name[0]].ask(Start(name), block=False)
    return root, members


@virtual
async def test_children_stop_with_their_parent_the_last_started_first() -> None:
    log: list[Any] = []
    root, members = await family(log)
    assert await root.stop(block=False) is True
    await ended(*members.values())
    assert sorted(log) == ["a", "a1", "a2", "b", "c", "c1", "root"]
    assert [name for name in log if len(name) == 1] == ["c", "b", "a"]
    assert log.index("a2") < log.index("a1")
    assert ActorRegistry.get_all() == []


@virtual
async def test_a_child_that_is_busy_does_not_change_the_order() -> None:
    log: list[Any] = []
    root, members = await family(log)
    for name in ("b", "c"):
        for number in range(90):  # more than a run handles, and keeps its place before the stop
            members[name].tell(Due(f"{name} {number}"))
    await root.stop(block=False)
    await ended(*members.values())
    assert [name for name in log if len(name) == 1] == ["c", "b", "a"]
    assert sum(name.startswith(("b ", "c ")) for name in log) == 180


@virtual
async def test_a_child_that_has_just_died_does_not_change_it_either() -> None:
    log: list[Any] = []
    root, members = await family(log)
    members["b"].tell(ValueError("on purpose"))
    root.stop(block=False)
    await ended(*members.values())
    assert [name for name in log if len(name) == 1] == ["c", "a"]


@virtual
async def test_a_parent_is_told_of_what_becomes_of_its_children() -> None:
    log: list[Any] = []
    root, members = await family(log)
    error = ValueError("on purpose")
    await members["a"].stop(block=False)
    members["b"].tell(error)
    await ended(members["a"], members["b"])
    children, words = await root.proxy().known()
    assert children == (members["c"],)
    assert words == [ChildStopped(members["a"]), ChildFailed(members["b"], error)]
    await root.stop(block=False)
    await ended(*members.values())


@virtual
async def test_a_parent_is_told_once_even_of_a_child_that_was_over_before_it_began() -> None:
    class Brief(LoopActor):
        def __init__(self) -> None:
            super().__init__()
            self.stop()

    class Parent(Member):
        def on_start(self) -> None:
            self.start_child(Brief)

    root = Parent.start("root", [])
    for _ in range(5):
        await asyncio.sleep(0)
        children, words = await root.proxy().known()
    assert children == ()
    assert [type(word) for word in words] == [ChildStopped]
    await root.stop(block=False)


@virtual
async def test_mail_without_an_envelope_does_not_disturb_the_end() -> None:
    log: list[Any] = []
    root = Member.start("root", log)
    child: Any = await root.ask(Start("child"), block=False)
    child.stop(block=False)
    child.actor_inbox.offer("not an envelope")
    asked = child.ask("too late", block=False)
    with pytest.raises(ActorDeadError):
        await asked
    await asyncio.sleep(0.1)
    children, words = await root.proxy().known()
    assert children == ()
    assert words == [ChildStopped(child)]
    await root.stop(block=False)


@pytest.mark.parametrize("hook", ["on_start", "on_stop"])
@virtual
async def test_a_child_whose_hook_raises_has_failed(hook: str) -> None:
    error = ValueError("on purpose")

    class Failing(Member):
        def on_start(self) -> None:
            if hook == "on_start":
                raise error

        def on_stop(self) -> None:
            raise error

    class Parent(Member):
        def on_start(self) -> None:
            self.start_child(Failing, "failing", self.log)

    root = Parent.start("root", [])
    children, _words = await root.proxy().known()
    for child in children:
        await child.stop(block=False)
    await asyncio.sleep(0.1)
    ((), words) = await root.proxy().known()
    assert [word.error for word in words] == [error]
    await root.stop(block=False)


@virtual
async def test_a_child_that_stopped_everything_has_failed() -> None:
    class Parent(Member):
        def on_stop(self) -> None:
            self.log.extend(self.words)

    log: list[Any] = []
    root = Parent.start("root", log)
    child = await root.ask(Start("child"), block=False)
    child.tell(KeyboardInterrupt())
    await ended(child, root)
    assert [type(word) for word in log if not isinstance(word, str)] == [ChildFailed]


@virtual
async def test_who_is_stopping_takes_no_child_and_no_timer() -> None:
    refused: list[type] = []

    class Late(Member):
        def on_stop(self) -> None:
            for begin in (lambda: self.start_child(Member, "late", self.log), lambda: self.after(1, Due("late"))):
                try:
                    begin()
                except ActorDeadError as error:
                    refused.append(type(error))

    root = Late.start("root", [])
    await root.stop(block=False)
    assert refused == [ActorDeadError, ActorDeadError]
    assert ActorRegistry.get_all() == []


@virtual
async def test_a_parent_that_does_not_care_for_its_childrens_ends_need_not(caplog: pytest.LogCaptureFixture) -> None:
    class Careless(LoopActor):
        def begin(self) -> Any:
            return self.start_child(LoopActor)

    root = Careless.start()
    child = await root.proxy().begin()
    await child.stop(block=False)
    await asyncio.sleep(0.1)
    assert root.is_alive()
    assert "Unexpected" not in caplog.text
    await root.stop(block=False)


def test_a_family_lives_on_the_background_loop_too() -> None:
    log: list[Any] = []
    root = Member.start("root", log)
    children = [root.ask(Start(name)) for name in ("a", "b")]
    assert root.stop() is True
    for child in reversed(children):
        child.stop()  # if it is not done yet
    assert log == ["root", "b", "a"]


# Timers.


@virtual
async def test_a_timer_sends_its_message_at_its_time_as_control() -> None:
    log: list[Any] = []
    root: Any = Member.start("root", log)
    proxy = root.proxy()
    before = await proxy.time()
    await proxy.remind(10, "due")
    root.actor_inbox.pause()
    await asyncio.sleep(9.9)
    assert log == []
    await asyncio.sleep(0.2)
    assert log == ["due"]
    root.actor_inbox.resume()
    assert await proxy.time() - before == pytest.approx(10.1)
    await root.stop(block=False)


@virtual
async def test_a_cancelled_timer_sends_nothing() -> None:
    log: list[Any] = []
    root = Member.start("root", log)
    timer = await root.proxy().remind(10, "never")
    await root.proxy().forget(timer)
    await asyncio.sleep(20)
    assert log == []
    await root.stop(block=False)


@pytest.mark.parametrize("end", ["stops", "fails"])
@virtual
async def test_timers_die_with_their_actor(end: str) -> None:
    log: list[Any] = []
    root = Member.start("root", log)
    timers = [await root.proxy().remind(seconds, "never") for seconds in (10, 20)]
    if end == "stops":
        await root.stop(block=False)
    else:
        root.tell(ValueError("on purpose"))
        await ended(root)
    assert all(timer.cancelled() for timer in timers)


@virtual
async def test_of_timers_that_come_due_before_they_are_handled_the_newest_counts() -> None:
    log: list[Any] = []
    root = Member.start("root", log)
    loop = asyncio.get_running_loop()
    await root.proxy().remind(1, "first")
    await root.proxy().remind(1, "second")
    assert loop.time() < 1
    await asyncio.sleep(2)
    assert log == ["second"]
    await root.stop(block=False)
