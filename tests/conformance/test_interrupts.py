"""Contract 4: when an interrupt has returned nothing but the end is to come, and it returns in time."""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from agents import Stubborn, Stuck, endless, hang, ready, say, stubborn
from conversations import actor_of, chunks_of, end_of, engine, hold_to_contract, ids_of, read, talk, turn_of

from actors.testing import run_virtual, virtual
from protocol.mail import InterruptTurn, InterruptTurns
from protocol.turn import TurnStatus

LONG = ["Well. "] * 1_000
SEEDS = (None, 1, 2, 3)
IN_TIME = 1.1  # the 1.0 s, and 10 %


def now() -> float:
    return asyncio.get_running_loop().time()


def only_the_end(events: list[dict[str, Any]], had_start: bool) -> bool:
    return [event["type"] for event in events] == ["stream_start", "stream_end"][had_start:]


# In time, whoever does not play along.


@pytest.mark.parametrize("taken", [0, 1, 5])
@pytest.mark.parametrize("agent", [endless, partial(stubborn, LONG), partial(Stubborn, LONG)])
@virtual
async def test_interrupt_returns_in_time_with_both_mailboxes_full_and_nobody_reading(agent: Any, taken: int) -> None:
    """Issue, point 1. An end that has to find room in a full queue never comes."""
    async with engine() as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=agent())
        stream = processor.stream_events(turn_id)
        for _ in range(taken):
            await anext(stream)
        await asyncio.sleep(3)
        full = {actor.kind for actor in system.inspect().actors if actor.depth == actor.capacity}
        assert full == {"emitter", "chunker"}
        began = now()
        assert await processor.interrupt_turn(turn_id, reason="user spoke")
        assert now() - began <= IN_TIME
        turn = processor.get_turn(turn_id)
        assert turn is not None
        assert turn.status is TurnStatus.INTERRUPTED
        late = await read(processor.stream_events(turn_id))
        assert only_the_end(late, had_start=taken > 0)
        assert end_of(late) == ("interrupted", "user spoke")


@pytest.mark.parametrize("limit", [0.0, 0.2, 1.0])
@virtual
async def test_the_time_is_one_number_for_the_whole_interrupt(limit: float) -> None:
    """The pull and then the closing of the stream swallow their cancellation: not once for each."""
    async with engine(interrupt_wait_timeout=limit) as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=Stubborn(["Well. "], seconds=4, closing=4))
        await anext(processor.stream_events(turn_id))
        began = now()
        assert await processor.interrupt_turn(turn_id)
        assert limit <= now() - began <= limit * 1.1 + 0.01


@virtual
async def test_an_agent_that_stops_when_told_costs_no_time() -> None:
    async with engine() as system:
        processor = system.connect()
        for agent in (hang(["Well. "]), endless(), say(["Well. "] * 9, pause=5), ready(["No stop"]), None):
            turn_id = await processor.start_turn(agent_stream=agent)
            await asyncio.sleep(1)
            began = now()
            assert await processor.interrupt_turn(turn_id)
            assert now() == began
            assert turn_of(processor, turn_id).abandoned == ()


@virtual
async def test_an_interrupt_waits_for_an_agent_that_cleans_up_in_time() -> None:
    """It gets the time that there is: its last lines have run when the interrupt returns."""
    cleaned = False

    async def agent() -> AsyncIterator[str]:
        nonlocal cleaned
        try:
            yield "Well. "
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.5)
            cleaned = True

    async with engine() as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=agent())
        await asyncio.sleep(1)
        assert await processor.interrupt_turn(turn_id)
        assert cleaned
        assert turn_of(processor, turn_id).abandoned == ()
        assert system.inspect().tasks == []


@virtual
async def test_a_stubborn_agent_is_named_in_report_and_log_and_holds_nothing_else_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Issue, point 3: its cleanup swallows `CancelledError` and sleeps 6 s."""
    async with engine() as system:
        processor, other = system.connect("one"), system.connect("other")
        turn_id = await processor.start_turn(agent_stream=stubborn(), trace_id="a trace")
        name = f"agent of turn {turn_id}"
        assert (await anext(processor.stream_events(turn_id)))["type"] == "stream_start"
        began = now()
        interrupt = asyncio.create_task(processor.interrupt_turn(turn_id))
        await asyncio.sleep(0.5)
        # Neither others nor the next turn of the same connection wait for it.
        assert end_of(await talk(other, ready(["Hello. "]))) == ("completed", "completed")
        assert end_of(await talk(processor, ready(["Hello. "]))) == ("completed", "completed")
        assert now() - began == pytest.approx(0.5)
        assert system.inspect().abandoned == []
        assert system.inspect().tasks == [name]
        assert await interrupt
        assert 1.0 <= now() - began <= IN_TIME
        turn = processor.get_turn(turn_id)
        assert turn is not None
        assert turn.abandoned == (name,)
        assert system.inspect().abandoned == [name]
        assert system.inspect().stats["abandoned_tasks"] == 1
        (record,) = [record for record in caplog.records if name in record.getMessage()]
        assert record.levelno == logging.WARNING
        assert ids_of(record) == ("one", turn_id, "a trace")
        await asyncio.sleep(7)
        assert system.inspect().abandoned == []
        assert system.inspect().tasks == []


def test_a_synchronous_agent_that_is_stuck_is_abandoned_and_named() -> None:
    agent = Stuck("Well. ")

    async def run() -> None:
        async with engine(interrupt_wait_timeout=0.05) as system:
            processor = system.connect()
            turn_id = await processor.start_turn(agent_stream=agent)
            await asyncio.to_thread(agent.reached.wait)
            began = now()
            assert await processor.interrupt_turn(turn_id)
            assert now() - began < 1.0
            assert turn_of(processor, turn_id).abandoned == (f"agent of turn {turn_id}",)
            (name,) = system.inspect().abandoned
            assert turn_id in name
            await asyncio.sleep(0)
            assert system.inspect().abandoned == [name]  # for as long as it is stuck
            agent.released.set()
            thread = next((t for t in threading.enumerate() if turn_id in t.name), None)
            if thread is not None:
                await asyncio.to_thread(thread.join)
            await asyncio.sleep(0)
            assert system.inspect().abandoned == []

    asyncio.run(run())


# Nothing comes any more.


@pytest.mark.parametrize("rate", [1, 30, 1_000, 100_000, None])
@pytest.mark.parametrize("client", [0.0, 0.03, None])
@virtual
async def test_no_chunk_is_handed_over_after_an_interrupt_has_returned(
    rate: float | None, client: float | None
) -> None:
    """Issue, point 4: agents from 1 to 100,000 tokens a second, clients from instant to stuck."""
    agent = endless("So it is. ", pause=1 / rate) if rate else ready("So it is. " for _ in range(10_000))
    events: list[dict[str, Any]] = []
    under_way = asyncio.Event()

    async with engine() as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=agent)
        stream = processor.stream_events(turn_id)

        async def reader() -> None:
            async for event in stream:
                events.append(event)
                if len(events) == 40:
                    under_way.set()
                    if client is None:
                        await asyncio.Event().wait()
                await asyncio.sleep(client or 0)

        reading = asyncio.create_task(reader())
        await under_way.wait()
        assert await processor.interrupt_turn(turn_id)
        had = len(events)
        await asyncio.sleep(100)
        if client is None:
            reading.cancel()
            events += [event async for event in stream]
        else:
            await reading
    hold_to_contract(events)
    assert had >= 40
    assert end_of(events) == ("interrupted", "interrupted")
    assert len(events) - had <= 1  # a reader that waited has the end already


@pytest.mark.parametrize("rounds", range(12))
@virtual(seeds=SEEDS)
async def test_a_chunk_that_a_reader_is_on_its_way_to_is_not_handed_over_any_more(rounds: int) -> None:
    """The agent speaks, and so many rounds of the loop later somebody interrupts, wherever the chunk has got to."""
    speak = asyncio.Event()
    seen: list[str] = []

    async def agent() -> AsyncIterator[str]:
        await speak.wait()
        yield "One. Two. Three"
        await asyncio.Event().wait()

    async with engine() as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=agent())

        async def reader() -> None:
            async for event in processor.stream_events(turn_id):
                seen.append(event["type"])

        reading = asyncio.create_task(reader())
        await asyncio.sleep(1)
        speak.set()
        for _ in range(rounds):
            await asyncio.sleep(0)
        assert await processor.interrupt_turn(turn_id)
        seen.append("returned")
        await reading
    assert "tts_ready_chunk" not in seen[seen.index("returned") :]
    assert set(seen[-2:]) == {"returned", "stream_end"}


def test_an_interrupt_at_any_message_leaves_a_whole_turn() -> None:
    """Between any two messages of any actor, for a reader that waits and one that comes late."""

    async def run(at: int, late: bool) -> int:
        messages = 0
        async with engine(queue_maxsize=2) as system:
            processor = system.connect()
            interrupts: list[asyncio.Task[bool]] = []
            turn_id = "the turn"

            def tap(_actor: Any, _message: Any) -> None:
                nonlocal messages
                messages += 1
                if messages == at:
                    interrupts.append(asyncio.ensure_future(processor.interrupt_turn(turn_id)))

            system.context.tap = tap
            await processor.start_turn(agent_stream=say(["One. Two.", " Three. ", "Four"]), turn_id=turn_id)
            if late:
                await asyncio.sleep(1)
            events = await read(processor.stream_events(turn_id))
            await asyncio.sleep(1)
            turn = processor.get_turn(turn_id)
            assert turn is not None
            hit = bool(interrupts) and await interrupts[0]
            assert turn.status is (TurnStatus.INTERRUPTED if hit else TurnStatus.COMPLETED)
            assert end_of(events)[0] == turn.status
            assert turn.generated_text.startswith("".join(chunks_of(events)))
            assert hit or turn.delivered_text == "One. Two. Three. Four"
            assert {actor.kind for actor in system.inspect().actors} == {"supervisor", "connection"}
            assert end_of(await talk(processor, ready(["Next. "]))) == ("completed", "completed")
        return messages

    for late, seed in itertools.product((False, True), SEEDS[:2]):
        total = run_virtual(run(0, late), seed)
        assert total > 15
        for at in range(1, total + 1):
            run_virtual(run(at, late), seed)


# Who reads, and who interrupts.


@virtual(seeds=SEEDS)
async def test_the_end_reaches_a_reader_that_is_itself_a_task_of_the_turn() -> None:
    """Issue, point 5. Who cancels all tasks of a turn and then looks for its reader has cancelled it."""
    events: list[dict[str, Any]] = []
    turn_id = "the turn"

    async with engine() as system:
        processor = system.connect()

        async def reader() -> None:
            events.extend([event async for event in processor.stream_events(turn_id)])

        async def agent() -> AsyncIterator[str]:
            reading = asyncio.create_task(reader())  # in the agent's context, started by the agent
            yield "One. Two"
            await asyncio.wait({reading})

        await processor.start_turn(agent_stream=agent(), turn_id=turn_id)
        await asyncio.sleep(1)
        assert await processor.interrupt_turn(turn_id)
        await asyncio.sleep(0.1)
    assert chunks_of(events) == ["One. "]
    assert end_of(events) == ("interrupted", "interrupted")


@virtual(seeds=SEEDS)
async def test_the_end_reaches_a_reader_that_runs_in_the_very_task_that_is_stopped() -> None:
    events: list[dict[str, Any]] = []
    turn_id = "the turn"

    async with engine() as system:
        processor = system.connect()

        async def agent() -> AsyncIterator[str]:
            yield "One. Two"
            stream = processor.stream_events(turn_id)
            try:
                while True:
                    events.append(await anext(stream))
            except asyncio.CancelledError:
                events.extend([event async for event in stream])
                raise

        await processor.start_turn(agent_stream=agent(), turn_id=turn_id)
        await asyncio.sleep(1)
        assert await processor.interrupt_turn(turn_id)
    assert chunks_of(events) == ["One. "]
    assert end_of(events) == ("interrupted", "interrupted")


@virtual
async def test_a_reader_may_interrupt_the_turn_that_it_reads() -> None:
    async with engine() as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=endless())
        events = []
        async for event in processor.stream_events(turn_id):
            events.append(event)
            if len(events) == 4:
                assert await processor.interrupt_turn(turn_id, "enough")
    assert end_of(events) == ("interrupted", "enough")
    assert len(events) == 5


@virtual
async def test_an_agent_may_interrupt_its_own_turn() -> None:
    turn_id = "the turn"

    async with engine() as system:
        processor = system.connect()

        async def agent() -> AsyncIterator[str]:
            yield "One. Two. "
            await asyncio.sleep(0.1)
            await processor.interrupt_turn(turn_id, "the agent has changed its mind")
            yield "Three. "

        await processor.start_turn(agent_stream=agent(), turn_id=turn_id)
        began = now()
        events = await read(processor.stream_events(turn_id))
        assert end_of(events) == ("interrupted", "the agent has changed its mind")
        assert now() - began < 0.2
        await asyncio.sleep(2)
        assert {actor.kind for actor in system.inspect().actors} == {"supervisor", "connection"}


# Twice, at once, from elsewhere, too late.


@virtual
async def test_only_the_first_of_two_interrupts_has_ended_the_turn() -> None:
    async with engine() as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=endless())
        assert await processor.interrupt_turn(turn_id, "first") is True
        assert await processor.interrupt_turn(turn_id, "second") is False
        assert end_of(await read(processor.stream_events(turn_id))) == ("interrupted", "first")
        assert await processor.interrupt_turn(turn_id, "third") is False


@pytest.mark.parametrize("agent", [endless, stubborn])
@virtual
async def test_of_many_interrupts_at_once_exactly_one_has_ended_the_turn(agent: Any) -> None:
    async with engine() as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=agent())
        await asyncio.sleep(0.1)
        began = now()
        answers = await asyncio.gather(
            *(processor.interrupt_turn(turn_id, str(number)) for number in range(150)),  # more than its mailbox takes
            processor.interrupt_all_active_turns(),
            processor.handle_interrupt(),
        )
        assert now() - began <= IN_TIME
        assert answers == [True, *[False] * 149, 0, False]
        assert end_of(await read(processor.stream_events(turn_id))) == ("interrupted", "0")


@virtual
async def test_an_interrupt_of_a_turn_that_is_unknown_or_has_ended_is_false_and_no_error() -> None:
    async def broken() -> AsyncIterator[str]:
        yield "So far. "
        raise LookupError

    processor = None
    async with engine() as system:
        processor = system.connect()
        assert await processor.interrupt_turn("nothing") is False
        assert await processor.interrupt_all_active_turns() == 0
        assert await processor.handle_interrupt() is False
        for agent, status in ((ready(["One. "]), "completed"), (broken(), "failed")):
            turn_id = await processor.start_turn(agent_stream=agent)
            events = await read(processor.stream_events(turn_id))
            assert await processor.interrupt_turn(turn_id) is False
            assert turn_of(processor, turn_id).status == status
            assert await read(processor.stream_events(turn_id)) == events[-1:]  # nothing was added
        await processor.cleanup(turn_id)
        assert await processor.interrupt_turn(turn_id) is False
        turn_id = await processor.start_turn(agent_stream=endless())
        await processor.shutdown()
        assert await processor.interrupt_turn(turn_id) is False
        assert await processor.interrupt_all_active_turns() == 0
        assert await processor.handle_interrupt() is False
    assert await processor.interrupt_turn(turn_id) is False


@virtual
async def test_a_turn_can_be_interrupted_until_its_end_was_handed_over() -> None:
    """However long ago the agent has finished, or failed."""

    async def broken() -> AsyncIterator[str]:
        yield "One. Two. "
        raise LookupError

    async with engine() as system:
        processor = system.connect()
        for agent in (ready(["One. Two. "]), broken()):
            turn_id = await processor.start_turn(agent_stream=agent)
            stream = processor.stream_events(turn_id)
            events = [await anext(stream), await anext(stream)]
            await asyncio.sleep(20)
            assert turn_of(processor, turn_id).status is TurnStatus.PROCESSING
            assert await processor.interrupt_turn(turn_id)
            events += [event async for event in stream]
            hold_to_contract(events)
            assert end_of(events) == ("interrupted", "interrupted")
            turn = processor.get_turn(turn_id)
            assert turn is not None
            assert (turn.delivered_text, turn.generated_text) == ("One. ", "One. Two. ")
            assert (turn.error, turn.error_code) == (None, None)


@virtual
async def test_a_pending_turn_is_removed_by_an_interrupt_and_the_next_one_gets_its_place() -> None:
    pulled = []

    async def agent(name: str) -> AsyncIterator[str]:
        pulled.append(name)
        yield f"{name}. "

    async with engine(on_busy="queue") as system:
        processor = system.connect()
        first = await processor.start_turn(agent_stream=hang())
        second = await processor.start_turn(agent_stream=agent("second"))
        third = await processor.start_turn(agent_stream=agent("third"))
        assert turn_of(processor, second).status is TurnStatus.PENDING
        assert await processor.interrupt_turn(second, "not now") is True
        assert await processor.interrupt_turn(second) is False
        turn = processor.get_turn(second)
        assert turn is not None
        assert (turn.status, turn.started_at) == (TurnStatus.INTERRUPTED, None)
        assert turn.ended_at is not None
        events = await read(processor.stream_events(second))
        assert only_the_end(events, had_start=False)
        assert end_of(events) == ("interrupted", "not now")
        assert await processor.interrupt_turn(first)
        assert chunks_of(await read(processor.stream_events(third))) == ["third. "]
        assert pulled == ["third"]


@virtual
async def test_interrupting_all_ends_what_is_active_and_what_waits() -> None:
    async with engine(on_busy="queue") as system:
        processor = system.connect()
        turns = [await processor.start_turn(agent_stream=endless()) for _ in range(4)]
        assert await processor.interrupt_all_active_turns("everything") == 4
        assert processor.get_active_turns() == []
        for turn_id in turns:
            assert end_of(await read(processor.stream_events(turn_id))) == ("interrupted", "everything")
        turn_id = await processor.start_turn(agent_stream=endless())
        assert await processor.handle_interrupt("the client says so") is True
        assert end_of(await read(processor.stream_events(turn_id))) == ("interrupted", "the client says so")


def test_an_interrupt_from_another_thread_is_as_good() -> None:
    """By a request of plain Pykka; the reader is in the loop and never waits for the thread."""

    async def run() -> None:
        async with engine() as system:
            processor = system.connect()
            for request in (InterruptTurn("the turn", "from a thread"), InterruptTurns("from a thread")):
                turn_id = await processor.start_turn(agent_stream=endless(), turn_id="the turn")
                returned = threading.Event()
                answer: list[Any] = []

                def interrupt(request: Any = request, returned: Any = returned, answer: Any = answer) -> None:
                    answer.append(processor.actor_ref.ask(request))
                    returned.set()

                events: list[dict[str, Any]] = []
                thread = threading.Thread(target=interrupt)
                async for event in processor.stream_events(turn_id):
                    if len(events) == 20:
                        thread.start()
                    if returned.is_set():
                        assert event["type"] == "stream_end"
                    events.append(event)
                await asyncio.to_thread(thread.join)
                assert answer == [1]  # True is 1
                assert end_of(events) == ("interrupted", "from a thread")
                await processor.cleanup()

    asyncio.run(run())


@virtual
async def test_a_cancelled_interrupt_has_still_ended_the_turn() -> None:
    async with engine() as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=stubborn())
        await asyncio.sleep(0.1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(processor.interrupt_turn(turn_id), 0.2)
        assert end_of(await read(processor.stream_events(turn_id))) == ("interrupted", "interrupted")
        await asyncio.sleep(1)
        assert turn_of(processor, turn_id).abandoned


@virtual
async def test_a_reason_may_be_anything_that_has_a_text() -> None:
    async with engine() as system:
        snapshots: list[Any] = []
        system.on_turn_finished(snapshots.append)
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=endless())
        assert await processor.interrupt_turn(turn_id, reason=404)  # type: ignore[arg-type]  # no text
        assert end_of(await read(processor.stream_events(turn_id))) == ("interrupted", "404")
        assert turn_of(processor, turn_id).reason == "404"
        assert [snapshot.reason for snapshot in snapshots] == ["404"]


@virtual
async def test_a_coroutine_that_was_to_give_the_stream_leaves_no_warning_when_it_never_ran() -> None:
    """Warnings are errors here: 'coroutine … was never awaited' would be one."""

    async def opens() -> AsyncIterator[str]:
        return say(["Hello. "])

    async with engine(on_busy="queue") as system:
        processor = system.connect()
        first = await processor.start_turn(agent_stream=opens())
        waiting = await processor.start_turn(agent_stream=opens())
        assert await processor.interrupt_turn(waiting)
        assert await processor.interrupt_turn(first)
        last = await processor.start_turn(agent_stream=opens())
        assert actor_of(system, "producer").tasks
        actor_of(system, "turn").kill()
        assert end_of(await read(processor.stream_events(last))) == ("failed", "actor_failed")
