"""The engine's actors: what they do with their mail, and where they differ from Pykka's."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import logging
from typing import Any, NamedTuple

import pytest
from pykka import ActorDeadError, ActorRegistry

from actors.runtime import (
    ActorKilledError,
    ActorSystem,
    ChildFailed,
    ChildStopped,
    EngineActor,
    LoopActor,
    Reply,
    StopNow,
    handles,
)
from actors.testing import virtual

FATAL = [ValueError, asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit]


class Raise(NamedTuple):
    """Data: have the actor raise this."""

    error: BaseException


class Note(NamedTuple):
    """Data: have it written down."""

    text: Any


class Notice(NamedTuple):
    """Control: have it written down."""

    text: Any


class Later(NamedTuple):
    """A question that is answered later."""


class Worker(EngineActor):
    """Writes down what happens to it."""

    kind = "worker"

    def __init__(self, system: ActorSystem, parent: Any = None, log: list[Any] | None = None) -> None:
        super().__init__(system, parent)
        self.log: list[Any] = [] if log is None else log
        self.replies: list[Reply | None] = []
        self.asked = asyncio.Event()

    def on_stop(self) -> None:
        self.log.append("on_stop")

    def on_failure(self, _type: Any, error: Any, _traceback: Any) -> None:
        self.log.append(("on_failure", error))

    @handles(Raise)
    def _raise(self, mail: Raise) -> None:
        raise mail.error

    @handles(Note)
    def _note(self, mail: Note) -> Any:
        self.log.append(mail.text)
        return mail.text

    @handles(Notice)
    def _notice(self, mail: Notice) -> None:
        self.log.append(mail.text)

    @handles(Later)
    def _later(self, _mail: Later) -> str:
        self.replies.append(self.defer())
        self.asked.set()
        return "too early"

    def child_gone(self, word: ChildStopped | ChildFailed) -> None:
        super().child_gone(word)
        self.log.append(word)


# Difference 1: a control message that stops now.


@virtual
async def test_stop_now_comes_before_the_data_that_waits() -> None:
    worker = Worker.launch(ActorSystem())
    for number in range(50):
        worker.actor_inbox.offer(Note(number))
    worker.actor_inbox.post(StopNow())
    await asyncio.sleep(0)
    assert worker.stopped
    assert worker.log == ["on_stop"]


@virtual
async def test_a_full_and_paused_mailbox_can_be_stopped() -> None:
    worker = Worker.launch(ActorSystem())
    while worker.actor_inbox.offer(Note("waits")):
        pass
    worker.actor_inbox.pause()
    await asyncio.sleep(1)
    worker.actor_inbox.post(StopNow())
    await asyncio.sleep(0)
    assert worker.stopped


@virtual
async def test_pykkas_stop_keeps_its_place_in_the_line() -> None:
    worker = Worker.launch(ActorSystem())
    for number in range(3):
        worker.actor_inbox.offer(Note(number))
    stopped = worker.actor_ref.stop(block=False)
    too_late = worker.actor_ref.ask(Note("too late"), block=False)
    assert await stopped is True
    assert worker.log == [0, 1, 2, "on_stop"]
    with pytest.raises(ActorDeadError):
        await too_late
    assert not worker.actor_ref.is_alive()
    assert await worker.actor_ref.stop(block=False) is False


# Difference 2: a registry of its own.


@virtual
async def test_an_actor_is_in_the_registry_of_its_system_alone() -> None:
    system, other = ActorSystem(), ActorSystem()
    worker = Worker.launch(system)
    assert system.registry == {worker.actor_urn: worker}
    assert other.registry == {}
    assert ActorRegistry.get_all() == []
    worker.stop_now()
    assert system.registry == {}


@virtual
async def test_start_gives_a_reference_that_pykka_code_can_use() -> None:
    ref = Worker.start(ActorSystem())
    proxy = ref.proxy()
    assert await proxy.kind == "worker"
    await asyncio.to_thread(setattr, proxy, "log", ["by proxy"])
    assert await proxy.log == ["by proxy"]
    assert await asyncio.to_thread(ref.ask, Note("from a thread")) == "from a thread"
    assert await ref.request(Note("from the loop")) == "from the loop"
    assert await asyncio.to_thread(ref.stop) is True


# Difference 3: what goes wrong fails this actor alone.


@pytest.mark.parametrize("lane", ["data", "control", "in the sender's step", "on_start", "on_stop", "on_failure"])
@pytest.mark.parametrize("fatal", FATAL)
@virtual
async def test_any_exception_fails_that_actor_alone(fatal: type[BaseException], lane: str) -> None:
    system = ActorSystem()
    error = fatal("on purpose")

    class Hooked(Worker):
        def on_start(self) -> None:
            if lane == "on_start":
                raise error

        def on_stop(self) -> None:
            if lane == "on_stop":
                raise error

        def on_failure(self, _type: Any, _error: Any, _traceback: Any) -> None:
            if lane == "on_failure":
                raise KeyError

    parent, bystander, pykkas = Worker.launch(system), Worker.launch(system), LoopActor.start()
    worker = parent.launch_child(Hooked)
    if lane in ("data", "on_failure"):
        worker.actor_inbox.offer(Raise(error))
    elif lane == "control":
        worker.actor_inbox.post(Raise(error))
    elif lane == "in the sender's step":
        worker.actor_inbox.offer(Note("alone"))
        await asyncio.sleep(0)
        worker.found(1)
        assert worker.deliver(Raise(error))  # and the sender is none the worse
        assert worker.stopped
    elif lane == "on_stop":
        worker.actor_inbox.post(StopNow())
    await asyncio.sleep(0.1)

    assert worker.stopped
    (word,) = parent.log
    assert word == ChildFailed(worker.actor_ref, error)
    assert parent.children == ()
    assert await bystander.actor_ref.request(Note("fine")) == "fine"
    assert list(system.registry.values()) == [parent, bystander]
    assert pykkas.is_alive()  # nobody called ActorRegistry.stop_all()
    assert await pykkas.stop(block=False)


@virtual
async def test_on_failure_is_told_of_the_error_and_on_stop_is_not_called() -> None:
    worker = Worker.launch(ActorSystem())
    error = ValueError("on purpose")
    worker.actor_inbox.offer(Raise(error))
    await asyncio.sleep(0)
    assert worker.log == [("on_failure", error)]


@virtual
async def test_what_a_handler_raises_is_the_askers_and_the_actor_lives() -> None:
    worker = Worker.launch(ActorSystem())
    with pytest.raises(ValueError, match="on purpose"):
        await worker.actor_ref.request(Raise(ValueError("on purpose")))
    assert await worker.actor_ref.request(Note("alive")) == "alive"


@pytest.mark.parametrize("fatal", FATAL[1:])
@virtual
async def test_an_asker_is_not_cancelled_or_interrupted_in_the_actors_place(fatal: type[BaseException]) -> None:
    worker = Worker.launch(ActorSystem())
    with pytest.raises(ActorDeadError) as raised:
        await worker.actor_ref.request(Raise(fatal()))
    assert type(raised.value.__cause__) is fatal
    assert worker.stopped


# Handling.


@virtual
async def test_control_is_handled_before_data() -> None:
    worker = Worker.launch(ActorSystem())
    worker.actor_inbox.offer(Note("data"))
    worker.actor_inbox.post(Notice("control"))
    await asyncio.sleep(0)
    assert worker.log == ["control", "data"]


@virtual
async def test_control_that_comes_while_data_is_handled_is_handled_before_the_rest_of_it() -> None:
    class Stopper(Worker):
        @handles(Note)
        def _note(self, mail: Note) -> None:
            self.log.append(mail.text)
            self.actor_inbox.post(Notice(f"after {mail.text}"))
            if mail.text == 2:
                self.actor_inbox.post(StopNow())

    worker = Stopper.launch(ActorSystem())
    for number in range(1, 10):
        worker.actor_inbox.offer(Note(number))
    await asyncio.sleep(1)
    assert worker.log == [1, "after 1", 2, "after 2", "on_stop"]


@pytest.mark.timeout(10)
@virtual
async def test_an_actor_that_sends_itself_control_for_ever_does_not_hold_up_the_loop() -> None:
    class Busy(Worker):
        @handles(Notice)
        def _notice(self, mail: Notice) -> None:
            self.log.append(mail.text)
            self.actor_inbox.post(Notice(mail.text + 1))

    busy = Busy.launch(ActorSystem())
    busy.actor_inbox.post(Notice(0))
    await asyncio.sleep(0)
    assert 1 <= len(busy.log) <= 64
    busy.stop_now()


@virtual
async def test_a_paused_actor_handles_control_alone() -> None:
    worker = Worker.launch(ActorSystem())
    worker.actor_inbox.pause()
    worker.actor_inbox.offer(Note("data"))
    worker.actor_inbox.post(Notice("control"))
    await asyncio.sleep(1)
    assert worker.log == ["control"]
    worker.actor_inbox.resume()
    await asyncio.sleep(0)
    assert worker.log == ["control", "data"]


@virtual
async def test_a_run_is_bounded_and_the_loop_goes_on_in_between() -> None:
    worker = Worker.launch(ActorSystem())
    worker.actor_inbox.capacity = 10_000
    for number in range(10_000):
        worker.actor_inbox.offer(Note(number))
    worker.actor_inbox.offer(Note("last"))
    heights = [0]
    while len(worker.log) < 10_000:
        await asyncio.sleep(0)
        heights.append(len(worker.log))
    assert worker.log == list(range(10_000))
    assert max(after - before for before, after in itertools.pairwise(heights)) <= 64


@virtual
async def test_a_subclass_handles_what_its_bases_handle_and_may_do_it_its_way() -> None:
    class Louder(Worker):
        @handles(Note)
        def _louder(self, mail: Note) -> None:
            self.log.append(mail.text.upper())

    louder, worker = Louder.launch(ActorSystem()), Worker.launch(ActorSystem())
    for actor in (louder, worker):
        actor.actor_inbox.offer(Note("note"))
        actor.actor_inbox.post(Notice("notice"))
    await asyncio.sleep(0)
    assert louder.log == ["notice", "NOTE"]
    assert worker.log == ["notice", "note"]


@virtual
async def test_what_nobody_handles_is_logged_and_nothing_worse(caplog: pytest.LogCaptureFixture) -> None:
    worker = Worker.launch(ActorSystem())
    worker.actor_inbox.offer("what is this?")
    await asyncio.sleep(0)
    assert not worker.stopped
    assert "Unexpected message" in caplog.text


@virtual
async def test_handlers_run_in_the_context_of_the_system_whoever_sends() -> None:
    who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")
    who.set("the system's maker")

    class Looker(Worker):
        @handles(Note)
        def _note(self, _mail: Note) -> None:
            self.log.append(who.get())

    looker = Looker.launch(ActorSystem())
    who.set("a sender")
    looker.actor_inbox.offer(Note("by a task"))
    await asyncio.sleep(0)
    await asyncio.to_thread(looker.actor_ref.tell, Note("by a thread"))
    await asyncio.sleep(0)
    assert looker.log == ["the system's maker"] * 2


@virtual
async def test_a_tap_sees_each_message_before_it_is_handled_and_may_kill_there() -> None:
    system = ActorSystem()
    worker = Worker.launch(system)
    seen: list[Any] = []

    def tap(actor: EngineActor, mail: Any) -> None:
        seen.append((actor, mail))
        if mail == Note("fatal"):
            actor.kill()

    system.tap = tap
    for text in ("harmless", "fatal", "never seen"):
        worker.actor_inbox.offer(Note(text))
    await asyncio.sleep(0)
    assert seen == [(worker, Note("harmless")), (worker, Note("fatal"))]
    assert worker.log == ["harmless"]
    assert worker.stopped


# Answers that take their time.


@virtual
async def test_a_deferred_answer_is_given_when_it_is_there() -> None:
    worker = Worker.launch(ActorSystem())
    answer = asyncio.ensure_future(worker.actor_ref.request(Later()))
    await asyncio.sleep(1)
    assert not answer.done()
    assert await worker.actor_ref.request(Note("meanwhile")) == "meanwhile"
    worker.answer(worker.replies[0], "now")
    assert await answer == "now"


@virtual
async def test_a_deferred_answer_reaches_a_thread_too() -> None:
    worker = Worker.launch(ActorSystem())
    answer = asyncio.ensure_future(asyncio.to_thread(worker.actor_ref.ask, Later()))
    await worker.asked.wait()
    worker.answer(worker.replies[0], "now")
    assert await answer == "now"


@virtual
async def test_who_waits_for_a_deferred_answer_is_told_of_the_actors_end() -> None:
    worker = Worker.launch(ActorSystem())
    answers = [asyncio.ensure_future(worker.actor_ref.request(Later())) for _ in range(3)]
    await asyncio.sleep(1)
    worker.answer(worker.replies[0], "in time")
    worker.stop_now()
    outcome = await asyncio.gather(*answers, return_exceptions=True)
    assert outcome[0] == "in time"
    assert [type(error) for error in outcome[1:]] == [ActorDeadError] * 2


@virtual
async def test_an_answer_after_the_end_is_nothing() -> None:
    worker = Worker.launch(ActorSystem())
    asked: list[Any] = [
        worker.actor_ref.ask(Later(), block=False),
        asyncio.ensure_future(worker.actor_ref.request(Later())),
    ]
    await asyncio.sleep(1)
    worker.stop_now()
    for reply in worker.replies:
        worker.answer(reply, "too late")
    for question in asked:
        with pytest.raises(ActorDeadError):
            await question


@virtual
async def test_there_is_nothing_to_defer_when_nobody_asked() -> None:
    worker = Worker.launch(ActorSystem())
    worker.actor_inbox.offer(Later())
    await asyncio.sleep(0)
    assert worker.replies == [None]
    worker.answer(None, "to nobody")


@virtual
async def test_an_asker_that_gave_up_holds_up_nothing() -> None:
    worker = Worker.launch(ActorSystem())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(worker.actor_ref.request(Later()), 1)
    worker.answer(worker.replies[0], "too late")
    assert await worker.actor_ref.request(Note("fine")) == "fine"


# Kill.


@virtual
async def test_kill_calls_no_hook_and_the_parent_is_told() -> None:
    system = ActorSystem()
    parent = Worker.launch(system)
    child = parent.launch_child(Worker)
    child.actor_inbox.offer(Note("never handled"))
    child.kill()
    child.kill()
    await asyncio.sleep(0)
    assert child.log == []
    (word,) = parent.log
    assert isinstance(word, ChildFailed)
    assert isinstance(word.error, ActorKilledError)
    assert list(system.registry.values()) == [parent]


@virtual
async def test_a_function_can_be_the_parent() -> None:
    words: list[Any] = []
    worker = Worker.launch(ActorSystem(), words.append)
    worker.stop_now()
    assert words == [ChildStopped(worker.actor_ref)]


# Without Pykka's logger being asked for anything: the engine has its own.


@virtual
async def test_a_failure_is_logged_once_with_its_stack(caplog: pytest.LogCaptureFixture) -> None:
    worker = Worker.launch(ActorSystem())
    worker.actor_inbox.offer(Raise(ValueError("on purpose")))
    await asyncio.sleep(0)
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.name == "antiphon.runtime"
    assert f"{worker} failed: ValueError" in record.getMessage()
    assert 'File "' in record.getMessage()
    assert "on purpose" not in record.getMessage()
