"""From plain threads: `ThreadedSystem`, ordinary Pykka, and synchronous agents, also those that never return."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pykka
import pytest
from agents import Stuck, endless, hang, prose, ready, say, stubborn
from conversations import chunks_of, end_of, engine, hold_to_contract, record_of, talk, turn_of
from programs import output_of
from splitter import Splitter

from actors import ConversationSystem, MessageProcessor, Settings, ThreadedProcessor, ThreadedSystem
from protocol.errors import (
    BadAckError,
    BlockingCallError,
    ReaderReplacedError,
    ReplayGapError,
    SystemClosedError,
    TurnActiveError,
    TurnNotFoundError,
)
from protocol.mail import Cleanup, InterruptTurn, MarkPlayed, StartTurn
from protocol.turn import TurnStatus


def threaded(**settings: Any) -> ThreadedSystem:
    return ThreadedSystem(Settings(**{"loop_watchdog_seconds": None, **settings}), speech=Splitter)


def in_threads(count: int, work: Any) -> list[Any]:
    """Run `work(number)` in so many threads at once and return what they return; raise what one raises."""
    results: list[Any] = [None] * count

    def run(number: int) -> None:
        try:
            results[number] = work(number)
        except BaseException as error:  # noqa: BLE001 - raised again by who waits for it
            results[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


# The same methods.


@pytest.mark.parametrize(
    ("blocking", "original", "left_out"),
    [
        (ThreadedSystem, ConversationSystem, {"context"}),
        (ThreadedProcessor, MessageProcessor, set()),
    ],
)
def test_the_methods_are_the_same_with_the_same_arguments(blocking: type, original: type, left_out: set[str]) -> None:
    for name, method in vars(original).items():
        if name.startswith("_") or name in left_out:
            continue
        assert hasattr(blocking, name), name
        if inspect.isfunction(method):
            mine, theirs = (inspect.signature(getattr(cls, name)).parameters for cls in (blocking, original))
            assert [(p.name, p.kind, p.default) for p in mine.values()] == [
                (p.name, p.kind, p.default) for p in theirs.values()
            ], name


def test_a_conversation_without_any_loop() -> None:
    finished: list[Any] = []

    with threaded(on_busy="queue") as system:
        system.on_turn_finished(finished.append)
        with system.connect("c", "u", queue_maxsize=7) as processor:
            assert (processor.connection_id, processor.user_id) == ("c", "u")
            assert [p.connection_id for p in system.connections()] == ["c"]
            assert system.get("c") is processor
            turn_id = processor.start_turn(session_id="s", user_input="Hello", agent_stream=iter(prose(50)))
            events = list(processor.stream_events(turn_id))
            hold_to_contract(events)
            assert "".join(chunks_of(events)) == "".join(prose(50))
            assert list(processor.stream_events(turn_id, after_seq=-1)) == events
            processor.mark_played(turn_id, events[1]["seq"])
            turn = processor.get_turn(turn_id)
            assert turn is not None
            assert (turn.status, turn.user_input, turn.played_text) == ("completed", "Hello", "This is number 0. ")
            with pytest.raises(BadAckError):
                processor.mark_played(turn_id, 10_000)
            with pytest.raises(TurnNotFoundError):
                processor.stream_events("nothing")
            with pytest.raises(ReplayGapError):
                processor.stream_events(turn_id, after_seq=10_000)

            later = processor.start_turn(conversation_id="s")
            waiting = processor.start_turn(conversation_id="s", agent_stream=["Next. "])
            with pytest.raises(TurnActiveError):
                processor.start_turn(conversation_id="s", on_busy="reject")
            assert [t.turn_id for t in processor.get_active_turns()] == [later, waiting]
            processor.attach_agent_stream(later, hang(["One. Two"]))
            with processor.stream_events(later) as stream:
                assert [next(stream)["type"], next(stream)["chunk"]] == ["stream_start", "One. "]
                assert processor.interrupt_turn(later, "enough") is True
                assert processor.interrupt_turn(later) is False
                assert end_of(list(stream)) == ("interrupted", "enough")
            assert chunks_of(list(processor.stream_events(waiting))) == ["Next. "]
            assert {a.capacity for a in system.inspect().actors if a.connection_id} == {7}

            processor.start_turn(agent_stream=endless())
            assert processor.interrupt_all_active_turns() == 1
            assert processor.handle_interrupt() is False
            assert processor.cleanup(turn_id) == 1
            assert processor.cleanup_completed_turns(0) == 3
            assert processor.cleanup() == 0
            assert processor.get_stats()["turns_started"] == 4
        assert system.get("c") is None
        assert system.connections() == []
        assert sorted(str(turn.status) for turn in finished) == [
            "completed",
            "completed",
            "interrupted",
            "interrupted",
        ]


def test_many_threads_hold_conversations_at_once() -> None:
    with threaded() as system:

        def converse(number: int) -> None:
            processor = system.connect(f"c{number}")
            for turn in range(3):
                agent = say(prose(30)) if (number + turn) % 2 else iter(prose(30))
                events = list(processor.stream_events(processor.start_turn(agent_stream=agent)))
                hold_to_contract(events)
                assert "".join(chunks_of(events)) == "".join(prose(30))

        in_threads(8, converse)
        assert system.inspect().stats["turns_completed"] == 24


# Interrupts, readers and the lock between them.


def test_an_interrupt_from_another_thread_leaves_nothing_but_the_end_to_hand_over() -> None:
    """However often: the reader's thread is anywhere when the interrupt returns in another."""
    with threaded() as system:
        for _ in range(30):
            processor = system.connect()
            turn_id = processor.start_turn(agent_stream=endless())
            seen: list[str] = []
            under_way = threading.Event()

            def reader(
                processor: Any = processor, turn_id: str = turn_id, seen: Any = seen, under_way: Any = under_way
            ) -> None:
                for event in processor.stream_events(turn_id):
                    seen.append(event["type"])
                    if len(seen) == 10:
                        under_way.set()

            thread = threading.Thread(target=reader)
            thread.start()
            assert under_way.wait(10)
            assert processor.interrupt_turn(turn_id) is True
            # What was handed over before has a seq; what comes now has a greater one.
            record = record_of(processor._processor, turn_id)
            handed_over = record.seq
            assert record.outbox_depth <= 1
            thread.join(10)
            assert seen[-1] == "stream_end"
            assert seen.count("stream_end") == 1
            assert len(seen) - handed_over <= 1


def test_of_many_threads_that_interrupt_one_has_ended_the_turn() -> None:
    with threaded() as system:
        processor = system.connect()
        turn_id = processor.start_turn(agent_stream=endless())
        answers = in_threads(8, lambda number: processor.interrupt_turn(turn_id, str(number)))
        assert sorted(answers) == [False] * 7 + [True]
        assert end_of(list(processor.stream_events(turn_id)))[1] == str(answers.index(True))


def test_a_reader_in_a_thread_can_be_closed_replaced_and_forgotten() -> None:
    with threaded(reader_grace_seconds=2) as system:
        processor = system.connect()
        turn_id = processor.start_turn(agent_stream=hang(["One. Two"]))
        first = processor.stream_events(turn_id)
        assert [next(first)["type"], next(first)["type"]] == ["stream_start", "tts_ready_chunk"]
        ends: list[Any] = []

        def wait(stream: Any) -> None:
            try:
                ends.append(next(stream, "closed"))
            except ReaderReplacedError as error:
                ends.append(error.code)

        for end in ("reader_replaced", "closed"):
            thread = threading.Thread(target=wait, args=(first,))
            thread.start()
            while record_of(processor._processor, turn_id)._wake is None:
                time.sleep(0.001)
            if end == "closed":
                first.close()
            else:
                second = processor.stream_events(turn_id)
            thread.join(10)
            assert ends.pop() == end
            first = second
        assert list(first) == []
        turn = _when_ended(processor, turn_id)
        assert (turn.status, turn.reason) == (TurnStatus.INTERRUPTED, "reader_gone")


def _when_ended(processor: ThreadedProcessor, turn_id: str) -> Any:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        turn = processor.get_turn(turn_id)
        if turn is None or turn.status.finished:
            return turn
        time.sleep(0.01)
    pytest.fail("the turn has not ended")


def test_a_blocking_call_in_the_loops_own_thread_is_an_error_and_no_deadlock() -> None:
    errors: list[BaseException] = []
    done = threading.Event()

    with threaded() as system:
        processor = system.connect()

        def callback(turn: Any) -> None:
            stream = processor.stream_events(waiting[0])
            for call in (
                lambda: processor.interrupt_turn(turn.turn_id),
                system.inspect,
                system.shutdown,
                lambda: [next(stream), next(stream)],
            ):
                try:
                    call()
                except BlockingCallError as error:
                    errors.append(error)
            done.set()

        system.on_turn_finished(callback)
        waiting = [system.connect().start_turn(agent_stream=hang())]
        processor = system.get(system.connections()[1].connection_id)  # type: ignore[assignment]
        turn_id = system.connections()[0].start_turn(agent_stream=ready(["One. "]))
        list(system.connections()[0].stream_events(turn_id))
        assert done.wait(10)
        assert len(errors) == 4


# The end of the system.


def test_what_is_called_too_early_or_too_late_is_a_typed_error_or_does_nothing() -> None:
    system = threaded()
    with pytest.raises(SystemClosedError):
        system.connect()
    with pytest.raises(SystemClosedError):
        system.inspect()
    with system:
        processor = system.connect()
        turn_id = processor.start_turn(agent_stream=endless())
        stream = processor.stream_events(turn_id)
        next(stream)
    assert end_of(list(stream)) == ("interrupted", "shutdown")
    system.shutdown()
    processor.shutdown()
    with pytest.raises(SystemClosedError):
        system.connect()
    with pytest.raises(SystemClosedError):
        system.start()
    with pytest.raises(SystemClosedError):
        processor.start_turn(agent_stream=ready(["One. "]))
    with pytest.raises(SystemClosedError):
        processor.mark_played(turn_id, 0)
    assert processor.interrupt_turn(turn_id) is False
    assert processor.interrupt_turn("nothing") is False
    assert processor.interrupt_all_active_turns() == 0
    assert processor.handle_interrupt() is False
    assert processor.cleanup() == 0
    assert turn_of(processor, turn_id).status is TurnStatus.INTERRUPTED
    assert end_of(list(processor.stream_events(turn_id))) == ("interrupted", "shutdown")


def test_threads_that_call_while_the_system_ends_get_an_answer_or_an_error_and_never_hang() -> None:
    for _ in range(10):
        system = threaded().start()
        processors = [system.connect() for _ in range(4)]
        begun = threading.Barrier(6)

        def work(number: int, system: Any = system, processors: Any = processors, begun: Any = begun) -> str:
            begun.wait(10)
            if number > 3:
                system.shutdown()
                return "shut down"
            try:
                for _ in range(1_000):
                    turn_id = processors[number].start_turn(agent_stream=iter(["One. ", "Two. "]))
                    events = list(processors[number].stream_events(turn_id))
                    assert events[-1]["type"] == "stream_end"
            except SystemClosedError:
                return "closed"
            return "never closed"

        assert in_threads(6, work) == ["closed"] * 4 + ["shut down"] * 2


@pytest.mark.parametrize("late", [False, True])
def test_a_call_that_comes_between_the_last_round_of_the_loop_and_its_end_is_answered(
    late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop that is closed drops what was scheduled, and whoever waits for it waits for ever."""
    system = threaded().start()
    processor = system.connect()
    assert system._thread is not None
    loop = system._thread.loop
    close, schedule = loop.close, asyncio.run_coroutine_threadsafe
    closing, scheduled = threading.Event(), threading.Event()
    answers: list[Any] = []

    def close_late() -> None:
        closing.set()
        assert scheduled.wait(10)
        while not late and not system._calls:
            time.sleep(0.001)
        close()

    def schedule_now(call: Any, loop: Any) -> Any:
        future = schedule(call, loop)
        if closing.is_set():
            scheduled.set()
            while late and not loop.is_closed():
                time.sleep(0.001)
        return future

    def call() -> None:
        closing.wait(10)
        try:
            processor.start_turn(agent_stream=["One. "])
        except SystemClosedError as error:
            answers.append(error)

    monkeypatch.setattr(loop, "close", close_late)
    monkeypatch.setattr(asyncio, "run_coroutine_threadsafe", schedule_now)
    caller = threading.Thread(target=call, daemon=True)
    caller.start()
    system.shutdown()
    caller.join(10)
    assert len(answers) == 1


def test_the_thread_of_the_loop_ends_with_the_system() -> None:
    before = set(threading.enumerate())
    with threaded(interrupt_wait_timeout=0.05) as system:
        processor = system.connect()
        turn_id = processor.start_turn(agent_stream=stubborn(seconds=60))
        assert next(processor.stream_events(turn_id))["type"] == "stream_start"
    assert set(threading.enumerate()) == before


# Ordinary Pykka.


def test_a_connection_is_an_ordinary_actor_to_plain_pykka_code() -> None:
    with threaded() as system:
        processor = system.connect("c")
        connection_ref = processor.actor_ref
        assert isinstance(connection_ref, pykka.ActorRef)
        assert connection_ref.is_alive()
        turn_id = connection_ref.ask(
            StartTurn(session_id="s", agent_stream=iter(["One. ", "Two. "])), block=False
        ).get()
        assert chunks_of(list(processor.stream_events(turn_id))) == ["One. ", "Two. "]
        assert connection_ref.ask(MarkPlayed(turn_id, 1)) is None
        assert turn_of(processor, turn_id).played_text == "One. "
        second: Any = connection_ref.ask(StartTurn(session_id="s", agent_stream=endless()))
        with pytest.raises(TurnActiveError):
            connection_ref.ask(StartTurn(session_id="s", agent_stream=endless()))
        connection_ref.tell(StartTurn(session_id="s", agent_stream=["Three. "], on_busy="queue", turn_id="third"))
        assert connection_ref.ask(InterruptTurn(second), timeout=5) is True
        assert chunks_of(list(processor.stream_events("third"))) == ["Three. "]
        assert connection_ref.ask(Cleanup()) == 3
    assert not connection_ref.is_alive()
    with pytest.raises(pykka.ActorDeadError):
        connection_ref.ask(StartTurn(session_id="s"))


def test_pykka_code_in_threads_beside_a_service_in_a_loop() -> None:
    async def run() -> None:
        async with engine() as system:
            processor = system.connect()
            ref = processor.actor_ref

            turn_id: Any = await asyncio.to_thread(ref.ask, StartTurn(session_id="s", agent_stream=say(prose(20))))
            events = [event async for event in processor.stream_events(turn_id)]
            hold_to_contract(events)
            assert "".join(chunks_of(events)) == "".join(prose(20))
            # In the loop's own thread a blocking get() is refused, and the future can be awaited.
            future = ref.ask(StartTurn(session_id="s", agent_stream=say(["One. "])), block=False)
            with pytest.raises(BlockingCallError):
                future.get()
            turn_id = await future
            assert chunks_of([event async for event in processor.stream_events(turn_id)]) == ["One. "]

    asyncio.run(run())


# Synchronous agents.


def test_six_synchronous_agents_that_never_return_hold_up_none_of_those_that_do() -> None:
    """Issue, point 3. In the loop's executor, on a small machine, they are all the threads there are."""
    stuck = [Stuck(f"I am {number}. ", "And I") for number in range(6)]

    def good() -> Iterator[str]:
        for token in prose(20):
            time.sleep(0)
            yield token

    async def run() -> None:
        async with engine(interrupt_wait_timeout=0.05) as system:
            turns = {}
            for number, agent in enumerate(stuck):
                processor = system.connect(f"stuck {number}")
                turns[processor] = await processor.start_turn(agent_stream=agent)
            for agent in stuck:
                await asyncio.to_thread(agent.reached.wait, 10)
            beside = [talk(system.connect(), good()) for _ in range(6)]
            for events in await asyncio.wait_for(asyncio.gather(*beside), 20):
                assert "".join(chunks_of(events)) == "".join(prose(20))
            for processor, turn_id in turns.items():
                stream = processor.stream_events(turn_id)
                events = [await anext(stream), await anext(stream)]
                assert await processor.interrupt_turn(turn_id)
                events += [event async for event in stream]
                hold_to_contract(events)
                assert end_of(events) == ("interrupted", "interrupted")
                assert end_of(await talk(processor, iter(["Next. "]))) == ("completed", "completed")
            assert len(system.inspect().abandoned) == 6
            assert system.inspect().stats["abandoned_tasks"] == 6

    try:
        asyncio.run(run())
    finally:
        for agent in stuck:
            agent.released.set()


PROGRAM = """
import asyncio
import gc
import threading

from actors import ConversationSystem, Settings, ThreadedSystem

SETTINGS = Settings(interrupt_wait_timeout=0.1)


def stuck(number):
    yield f"I am {number}. "
    yield "And I "
    threading.Event().wait()


async def stubborn():
    yield "Well. I "
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue


def good():
    yield "One. "
    yield "Two. "


def main_threaded():
    with ThreadedSystem(SETTINGS) as system:
        for number in range(6):
            processor = system.connect()
            turn_id = processor.start_turn(session_id="s", agent_stream=stuck(number))
            stream = processor.stream_events(turn_id)
            print(next(stream)["type"], next(stream)["type"])
        processor = system.connect()
        stream = processor.stream_events(processor.start_turn(session_id="s", agent_stream=stubborn()))
        print(next(stream)["type"], next(stream)["type"])
        processor = system.connect()
        turn_id = processor.start_turn(session_id="s", agent_stream=good())
        print([event["chunk"] for event in processor.stream_events(turn_id) if "chunk" in event])


def main_forgotten():
    system = ThreadedSystem(SETTINGS).start()
    processor = system.connect()
    stream = processor.stream_events(processor.start_turn(session_id="s", agent_stream=stuck(0)))
    print(next(stream)["type"], next(stream)["type"])


async def main_loop():
    async with ConversationSystem(SETTINGS) as system:
        for number in range(6):
            processor = system.connect()
            turn_id = await processor.start_turn(session_id="s", agent_stream=stuck(number))
            stream = processor.stream_events(turn_id)
            print((await anext(stream))["type"], (await anext(stream))["type"])
        processor = system.connect()
        turn_id = await processor.start_turn(session_id="s", agent_stream=good())
        print([event["chunk"] async for event in processor.stream_events(turn_id) if "chunk" in event])
"""
SPOKEN = "stream_start tts_ready_chunk\n"
MAINS = {
    "main_threaded()": SPOKEN * 7 + "['One.', 'Two.']\n",
    "main_forgotten()": SPOKEN,
    "asyncio.run(main_loop())": SPOKEN * 6 + "['One.', 'Two.']\n",
}


@pytest.mark.parametrize("main", MAINS)
def test_the_program_ends_whoever_never_returns(main: str, tmp_path: Path) -> None:
    """Threads of the executor are joined at exit, and an agent that is stuck in one keeps the program from ending."""
    program = tmp_path / "program.py"
    program.write_text(f"{PROGRAM}\n\n{main}\ngc.collect()\n", encoding="utf-8")
    assert output_of(program) == MAINS[main]


def test_an_agent_may_call_the_system_from_its_own_thread() -> None:
    with threaded() as system:
        processor = system.connect()

        def agent() -> Iterator[str]:
            yield "One. "
            yield f"{processor.get_stats()['turns_active']} is active. "
            processor.interrupt_turn("the turn", "by its own agent")
            yield "Two. "

        turn_id = processor.start_turn(agent_stream=agent(), turn_id="the turn")
        events = list(processor.stream_events(turn_id))
        hold_to_contract(events)
        assert end_of(events) == ("interrupted", "by its own agent")


def test_an_agent_may_fail_in_any_way_and_the_loop_of_the_system_goes_on() -> None:
    """A SystemExit out of a task would end the loop, and everybody who waits for it would wait for ever."""

    async def exits() -> AsyncIterator[str]:
        yield "One. "
        raise SystemExit(3)

    def exits_too() -> Iterator[str]:
        yield "One. "
        raise SystemExit(3)

    with threaded() as system:
        processor = system.connect()
        for agent in (exits(), exits_too(), ["Fine. "]):
            events = list(processor.stream_events(processor.start_turn(agent_stream=agent)))
            hold_to_contract(events)
        assert end_of(events) == ("completed", "completed")
