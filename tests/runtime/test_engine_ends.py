"""An engine actor that ends, in whichever way, leaves nothing: children, timers, tasks, asks, references."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from pykka import ActorDeadError

from actors.runtime import ActorSystem, ChildFailed, ChildStopped, EngineActor, StopNow, handles
from actors.testing import virtual


class Note(NamedTuple):
    text: Any


class Due(NamedTuple):
    """What a timer sends."""

    text: Any


class Work(NamedTuple):
    """Have the actor run this in a task."""

    work: Callable[[], Any]


class Member(EngineActor):
    """One of a family, which writes its ends into one log."""

    def __init__(self, system: ActorSystem, parent: Any = None, name: str = "root", log: Any = None) -> None:
        super().__init__(system, parent)
        self.name = name
        self.log: list[Any] = [] if log is None else log
        self.words: list[ChildStopped | ChildFailed] = []

    def on_stop(self) -> None:
        self.log.append(self.name)

    def member(self, name: str) -> Member:
        return self.launch_child(Member, name, self.log)

    def child_gone(self, word: ChildStopped | ChildFailed) -> None:
        super().child_gone(word)
        self.words.append(word)

    @handles(Note)
    def _note(self, mail: Note) -> Any:
        self.log.append(mail.text)
        return mail.text

    @handles(Due)
    def _due(self, mail: Due) -> None:
        self.log.append(mail.text)


def family(system: ActorSystem) -> Member:
    root = Member.launch(system)
    for name in ("a", "b", "c"):
        child = root.member(name)
        for grandchild in ("1", "2"):
            child.member(name + grandchild)
    return root


# Children.


@pytest.mark.parametrize("end", [EngineActor.stop_now, EngineActor.kill])
@virtual
async def test_children_stop_with_their_parent_in_the_reverse_order_of_their_start(
    end: Callable[[EngineActor], None],
) -> None:
    system = ActorSystem()
    root = family(system)
    end(root)  # a call: when it returns they are gone
    assert system.registry == {}
    order = ["c2", "c1", "b2", "b1", "a2", "a1"]
    assert [name for name in root.log if name in order] == order
    tops = [name for name in root.log if name in ("a", "b", "c")]
    assert tops == ["c", "b", "a"]


@virtual
async def test_a_parent_is_told_of_the_end_of_a_child_that_it_did_not_stop() -> None:
    root = Member.launch(ActorSystem())
    first, second, third = (root.member(name) for name in "123")
    first.actor_inbox.post(StopNow())
    second.kill()
    await asyncio.sleep(0.1)
    assert {type(word) for word in root.words} == {ChildStopped, ChildFailed}
    assert {word.child for word in root.words} == {first.actor_ref, second.actor_ref}
    assert root.children == (third.actor_ref,)


@virtual
async def test_a_parent_is_not_told_of_the_children_that_it_stops() -> None:
    system = ActorSystem()
    root = family(system)
    root.stop_children()
    await asyncio.sleep(0.1)
    assert root.words == []
    assert root.children == ()
    assert list(system.registry.values()) == [root]


@virtual
async def test_a_child_that_fails_while_it_starts_is_no_child_and_the_parent_is_told() -> None:
    class Stillborn(Member):
        def on_start(self) -> None:
            raise ValueError("on purpose")

    root = Member.launch(ActorSystem())
    child = root.launch_child(Stillborn)
    assert child.stopped
    assert root.children == ()
    await asyncio.sleep(0)
    assert [type(word) for word in root.words] == [ChildFailed]


@virtual
async def test_start_child_is_the_same_by_reference() -> None:
    root = Member.launch(ActorSystem())
    ref = root.start_child(Member, "child", root.log)
    assert root.children == (ref,)
    root.stop_now()
    assert root.log == ["root", "child"]
    assert not ref.is_alive()


@virtual
async def test_a_stopped_actor_begins_nothing_new() -> None:
    root = Member.launch(ActorSystem())
    root.stop_now()

    async def work() -> None:
        pytest.fail("this must not run")

    with pytest.raises(ActorDeadError):
        root.member("late")
    with pytest.raises(ActorDeadError):
        root.after(1, Due("late"))
    with pytest.raises(ActorDeadError):
        root.spawn(work(), "late")
    assert root.tasks == ()
    assert root.children == ()


# Timers.


@virtual
async def test_a_timer_sends_control_mail_at_its_time() -> None:
    root = Member.launch(ActorSystem())
    root.actor_inbox.pause()
    began = root.now
    root.after(5, Due("due"))
    await asyncio.sleep(4.9)
    assert root.log == []
    await asyncio.sleep(0.2)
    assert root.log == ["due"]
    assert root.now == pytest.approx(began + 5.1)


@virtual
async def test_a_cancelled_timer_sends_nothing() -> None:
    root = Member.launch(ActorSystem())
    timer = root.after(5, Due("due"))
    root.cancel_timer(timer)
    await asyncio.sleep(10)
    assert root.log == []
    assert timer.cancelled()


@virtual
async def test_a_timer_leaves_nothing_to_the_garbage_collector() -> None:
    root = Member.launch(ActorSystem())
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        root.after(1, Due("due"))
        root.cancel_timer(root.after(2, Due("never")))
        await asyncio.sleep(3)
        gc.collect()
        left = [thing for thing in gc.garbage if type(thing) is Due or isinstance(thing, asyncio.Handle)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    assert root.log == ["due"]
    assert left == []


@pytest.mark.parametrize("end", [EngineActor.stop_now, EngineActor.kill])
@virtual
async def test_timers_die_with_their_actor(end: Callable[[EngineActor], None]) -> None:
    root = Member.launch(ActorSystem())
    timers = [root.after(seconds, Due(seconds)) for seconds in (1, 2, 3)]
    end(root)
    assert all(timer.cancelled() for timer in timers)


# Tasks.


@virtual
async def test_a_task_ends_with_its_actor() -> None:
    root = Member.launch(ActorSystem())
    task = root.spawn(asyncio.Event().wait(), "waits for ever")  # type: ignore[arg-type]
    assert [t.get_name() for t in root.tasks] == ["waits for ever"]
    await asyncio.sleep(1)
    root.stop_now()
    await asyncio.wait([task])
    assert task.cancelled()
    assert root.tasks == ()


@virtual
async def test_a_task_that_is_done_is_forgotten() -> None:
    root = Member.launch(ActorSystem())

    async def work() -> None:
        root.log.append("worked")

    await root.spawn(work(), "work")
    assert root.log == ["worked"]
    assert root.tasks == ()
    assert not root.stopped


@virtual
async def test_what_a_task_raises_fails_its_actor() -> None:
    root = Member.launch(ActorSystem())
    child = root.member("child")

    async def work() -> None:
        raise ValueError("on purpose")

    child.spawn(work(), "work")
    await asyncio.sleep(0.1)
    (word,) = root.words
    assert isinstance(word, ChildFailed)
    assert isinstance(word.error, ValueError)


@virtual
async def test_a_cancelled_task_fails_nobody() -> None:
    root = Member.launch(ActorSystem())
    task = root.spawn(asyncio.sleep(60), "sleeps")
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.sleep(1)
    assert not root.stopped
    assert root.tasks == ()


async def swallow_and_go_on(seconds: float) -> None:
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        await asyncio.sleep(seconds)


@virtual
async def test_tasks_that_do_not_stop_at_once_are_handed_to_the_system() -> None:
    system = ActorSystem()
    left: list[tuple[EngineActor, asyncio.Task[Any]]] = []
    system.on_task_left = lambda actor, task: left.append((actor, task))
    root = Member.launch(system)
    obedient = root.spawn(asyncio.sleep(60), "obedient")
    stubborn = root.spawn(swallow_and_go_on(6), "stubborn")
    done = root.spawn(asyncio.sleep(0), "done")
    await asyncio.sleep(1)
    root.stop_now()
    assert {(actor, task) for actor, task in left} == {(root, obedient), (root, stubborn)}
    assert done.done()
    await asyncio.sleep(1)
    assert obedient.cancelled()
    assert not stubborn.done()
    await asyncio.sleep(6)
    assert stubborn.done()


@virtual
async def test_a_task_that_was_let_go_can_no_longer_fail_its_actor_but_is_heard_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def refuse() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            raise ValueError("on purpose")

    root = Member.launch(ActorSystem())
    task = root.spawn(refuse(), "the refuser")
    await asyncio.sleep(1)
    root.let_go(task)
    await asyncio.wait([task])
    await asyncio.sleep(0)
    assert not root.stopped
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "the refuser" in record.getMessage()


@virtual
async def test_an_actor_may_be_stopped_by_its_own_task() -> None:
    root = Member.launch(ActorSystem())

    async def work() -> None:
        root.stop_now()
        await asyncio.sleep(1)
        root.log.append("the task went on")

    await root.spawn(work(), "work")
    assert root.log == ["root", "the task went on"]


# Asks.


@virtual
async def test_who_asked_and_was_not_heard_is_told() -> None:
    root = Member.launch(ActorSystem())
    root.actor_inbox.pause()
    asks = [asyncio.ensure_future(root.actor_ref.request(Note(number))) for number in range(3)]
    by_thread = root.actor_ref.ask(Note("thread"), block=False)
    stop = root.actor_ref.stop(block=False)
    await asyncio.sleep(0)
    root.stop_now()
    assert [type(e) for e in await asyncio.gather(*asks, return_exceptions=True)] == [ActorDeadError] * 3
    with pytest.raises(ActorDeadError):
        await by_thread
    assert await stop is True  # that is what it asked for


@virtual
async def test_a_full_mailbox_that_closes_lets_its_requesters_go() -> None:
    root = Member.launch(ActorSystem())
    root.actor_inbox.pause()
    requests = [asyncio.ensure_future(root.actor_ref.request(Note(number))) for number in range(150)]
    await asyncio.sleep(1)
    assert root.actor_inbox.depth == 100
    root.stop_now()
    answers = await asyncio.gather(*requests, return_exceptions=True)
    assert [type(answer) for answer in answers] == [ActorDeadError] * 150


# And then nothing is left.


@virtual
async def test_nothing_refers_to_a_family_that_has_ended() -> None:
    system = ActorSystem()
    root = family(system)
    members = [weakref.ref(actor) for actor in system.registry.values()]
    assert len(members) == 10
    root.after(60, Due("never"))
    root.spawn(asyncio.sleep(60), "sleeps")
    root.actor_inbox.offer(Note("never"))
    unanswered = root.actor_ref.ask(Note("never"), block=False)
    root.stop_now()
    with pytest.raises(ActorDeadError):
        await unanswered
    del root, unanswered
    await asyncio.sleep(0.1)
    gc.collect()
    assert [member() for member in members if member() is not None] == []
    assert asyncio.all_tasks() == {asyncio.current_task()}


@virtual
async def test_a_thousand_actors_come_and_go_and_memory_is_what_it_was() -> None:
    system = ActorSystem()

    def live() -> int:
        gc.collect()
        return sum(isinstance(thing, EngineActor) for thing in gc.get_objects())

    before = live()
    for number in range(1000):
        actor = Member.launch(system)
        actor.after(3600, Due("never"))
        actor.actor_inbox.offer(Note(number))
        await asyncio.sleep(0)
        actor.actor_inbox.post(StopNow())
        await asyncio.sleep(0)
    del actor
    assert live() == before
    assert system.registry == {}
