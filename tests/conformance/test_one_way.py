"""Contract 7: PENDING, PROCESSING, and then one of three ends; never back, never sideways."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from agents import endless, hang, ready, say
from conversations import chunks_of, end_of, engine, hold_to_contract, read, record_of, talk, turn_of

from actors.testing import run_virtual, virtual
from protocol.errors import FailureCode, TurnFinishedError
from protocol.mail import AgentDone, End, EndPlaced, EndTaken, Flush, FlushAck, Interrupt, Pause, StopAgent, TimeOut
from protocol.speech import SpeechChunk
from protocol.turn import Failure, TurnStatus

RANK = {
    TurnStatus.PENDING: 0,
    TurnStatus.PROCESSING: 1,
    TurnStatus.COMPLETED: 2,
    TurnStatus.INTERRUPTED: 2,
    TurnStatus.FAILED: 2,
}
SEEDS = (None, 1, 2, 3)
FAILURE = Failure(FailureCode.AGENT_FAILED, "late")


async def broken() -> AsyncIterator[str]:
    yield "One. "
    await asyncio.sleep(0.1)
    raise LookupError


class Watch:
    """Looks at a turn between any two messages of any actor, and at each event."""

    def __init__(self, system: Any, processor: Any, turn_id: str) -> None:
        self.processor, self.turn_id = processor, turn_id
        self.seen: list[TurnStatus] = []
        system.context.tap = lambda *_: self.look()

    def look(self) -> None:
        turn = self.processor.get_turn(self.turn_id)
        if turn is not None and (not self.seen or self.seen[-1] is not turn.status):
            self.seen.append(turn.status)

    def hold(self, *expected: TurnStatus) -> None:
        self.look()
        assert tuple(self.seen) == expected
        assert [RANK[status] for status in self.seen] == sorted({RANK[status] for status in self.seen})


P, W = TurnStatus.PENDING, TurnStatus.PROCESSING
ENDS = {
    "completed": (lambda: say(["One. ", "Two. "]), None, (W, TurnStatus.COMPLETED)),
    "failed": (broken, None, (W, TurnStatus.FAILED)),
    "interrupted": (endless, 3, (W, TurnStatus.INTERRUPTED)),
    "interrupted at once": (endless, 0, (W, TurnStatus.INTERRUPTED)),
}


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("waits", [False, True])
@virtual(seeds=SEEDS)
async def test_a_status_only_goes_forward_whenever_it_is_looked_at(how: str, waits: bool) -> None:
    make, interrupt_at, expected = ENDS[how]
    async with engine(on_busy="queue") as system:
        processor = system.connect()
        if waits:
            first = await processor.start_turn(agent_stream=hang())
        watch = Watch(system, processor, "t")
        await processor.start_turn(agent_stream=make(), turn_id="t")
        watch.look()
        if waits:
            assert watch.seen == [P]
            assert turn_of(processor, "t").started_at is None
            await processor.interrupt_turn(first)
        if interrupt_at == 0:
            assert await processor.interrupt_turn("t")
        events = []
        async for event in processor.stream_events("t"):
            events.append(event)
            watch.look()
            if len(events) == interrupt_at:
                assert await processor.interrupt_turn("t")
        hold_to_contract(events)
        await asyncio.sleep(40)
        turn = processor.get_turn("t")
        assert turn is not None
        assert turn.started_at is not None
        assert turn.ended_at is not None
        assert turn.created_at <= turn.started_at <= turn.ended_at
        watch.hold(*((P,) if waits else ()), *expected)


@virtual
async def test_a_turn_has_not_ended_before_its_end_was_handed_over() -> None:
    async with engine() as system:
        finished: list[Any] = []
        system.on_turn_finished(finished.append)
        processor = system.connect()
        for agent, status in ((ready(["One. "]), TurnStatus.COMPLETED), (broken(), TurnStatus.FAILED)):
            turn_id = await processor.start_turn(agent_stream=agent)
            await asyncio.sleep(20)
            turn = processor.get_turn(turn_id)
            assert turn is not None
            assert (turn.status, turn.reason, turn.ended_at) == (W, None, None)
            assert not finished
            events = await read(processor.stream_events(turn_id))
            assert turn_of(processor, turn_id).status is status
            assert end_of(events)[0] == status
            await asyncio.sleep(0.001)
            assert [turn.turn_id for turn in finished] == [turn_id]
            finished.clear()


LATE = [
    AgentDone(None),
    AgentDone(FAILURE),
    FlushAck(99, final=True, chunks=0),
    FlushAck(99, final=False, chunks=0),
    TimeOut(FAILURE),
    EndPlaced(),
    Interrupt(),
    Pause(),
]


CASES = [
    (late, where)
    for late in LATE
    for where in ("its end is in the outbox", "its end was read", "it was interrupted")
    if not (isinstance(late, Interrupt) and where == "its end is in the outbox")  # that is not late
]


@pytest.mark.parametrize(
    ("late", "where"), CASES, ids=[f"{type(mail).__name__} when {where}" for mail, where in CASES]
)
@virtual(seeds=SEEDS)
async def test_a_word_that_comes_late_changes_nothing(late: Any, where: str) -> None:
    """A `complete` that arrives when the turn has been interrupted, a failure when all has been said."""
    async with engine() as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=say(["One. ", "Two. "]))
        turn_actor = next(actor for actor in system.context.registry.values() if actor.kind == "turn")
        stream = processor.stream_events(turn_id)
        events = [await anext(stream)]
        if where == "it was interrupted":
            assert await processor.interrupt_turn(turn_id)
        else:
            await asyncio.sleep(1)
        if where == "its end was read":
            events += [event async for event in stream]
        before = processor.get_turn(turn_id)
        turn_actor.actor_inbox.post(late, "whoever")
        await asyncio.sleep(1)
        assert processor.get_turn(turn_id) == before
        events += [event async for event in stream]
        hold_to_contract(events)
        expected = ("interrupted", "interrupted") if where == "it was interrupted" else ("completed", "completed")
        assert end_of(events) == expected
        turn = processor.get_turn(turn_id)
        assert turn is not None
        assert (turn.status, turn.error) == (expected[0], None)
        assert processor.get_stats()[f"turns_{expected[0]}"] == 1
        assert end_of(await talk(processor, ready(["Next. "]))) == ("completed", "completed")


@virtual
async def test_actors_that_go_on_after_the_end_cannot_add_to_it() -> None:
    """Whatever an actor of the turn might still do with the record that it was lent."""
    async with engine() as system:
        processor = system.connect()
        interrupted = await processor.start_turn(agent_stream=hang(["One. Two"]))
        await asyncio.sleep(0.1)
        await processor.interrupt_turn(interrupted)
        completed = await processor.start_turn(agent_stream=ready(["One. "]))
        events = await read(processor.stream_events(completed))
        assert await read(processor.stream_events(completed, after_seq=-1)) == events
        for turn_id in (interrupted, completed):
            record = record_of(processor, turn_id)
            before = processor.get_turn(turn_id)
            had = await read(processor.stream_events(turn_id))
            record.begin()
            record.place(SpeechChunk("late", 0, 4))
            record.seal(FAILURE)
            assert record.interrupt("late") is False
            assert processor.get_turn(turn_id) == before
            assert await read(processor.stream_events(turn_id)) == had[-1:]
        assert await read(processor.stream_events(completed, after_seq=-1)) == events


@virtual
async def test_what_the_agent_yields_after_its_end_is_not_heard() -> None:
    async with engine() as system:
        processor = system.connect()
        end = {"type": "stream_end"}
        events = await talk(processor, say(["One. ", end, "Two. ", end, {"type": "error"}]))
        assert chunks_of(events) == ["One. "]
        assert end_of(events) == ("completed", "completed")
        turn_id = events[0]["turn_id"]
        assert turn_of(processor, turn_id).generated_text == "One. "
        with pytest.raises(TurnFinishedError):
            await processor.attach_agent_stream(turn_id, say(["Three. "]))
        assert await read(processor.stream_events(turn_id, after_seq=-1)) == events


def test_every_turn_is_counted_and_told_exactly_once() -> None:
    async def run() -> None:
        async with engine(on_busy="queue", turn_queue_limit=50, reader_grace_seconds=5) as system:
            told: list[Any] = []
            system.on_turn_finished(told.append)
            processor = system.connect()
            turns = []
            for number in range(40):
                make = (ready, lambda _: broken(), lambda _: endless(pause=1), lambda _: hang())[number % 4]
                turns.append(await processor.start_turn(agent_stream=make(["One. "])))
            for number, turn_id in enumerate(turns):
                stream = processor.stream_events(turn_id)
                if number % 3 == 0:
                    await anext(stream)
                    await asyncio.gather(processor.interrupt_turn(turn_id), processor.interrupt_turn(turn_id))
                elif number % 4 < 2:
                    await read(stream)
                    await read(processor.stream_events(turn_id))
                else:
                    await stream.aclose()
                    await asyncio.sleep(6)
            await asyncio.sleep(1)
            stats = processor.get_stats()
            assert [turn.turn_id for turn in told] == turns
            assert stats["turns_started"] == 40
            assert stats["turns_active"] == stats["turns_waiting"] == 0
            assert stats["turns_completed"] + stats["turns_failed"] + stats["turns_interrupted"] == 40
            for turn in told:
                assert processor.get_turn(turn.turn_id) == turn
            totals = system.inspect().stats
            assert {name: totals[name] for name in totals} == {name: stats[name] for name in totals}

    run_virtual(run())


@pytest.mark.parametrize("kind", [Flush, FlushAck, AgentDone, End, EndPlaced, EndTaken, StopAgent, TimeOut])
@virtual(seeds=SEEDS)
async def test_what_is_said_twice_has_happened_once(kind: type) -> None:
    """Every message of a turn's end, to whoever gets it, comes a second time: right behind itself, and later."""
    async with engine(agent_stall_seconds=2) as system:
        processor = system.connect()
        doubled: list[Any] = []

        def double(actor: Any, message: Any) -> None:
            if type(message) is kind and message not in doubled:
                doubled.append(message)
                send = actor.actor_inbox.offer if kind in (Flush, End) else actor.actor_inbox.post
                send(message)
                asyncio.get_running_loop().call_later(0.01, send, message)

        system.context.tap = double
        stalls = kind in (StopAgent, TimeOut)
        agent = hang(["One. ", "Two. "]) if stalls else say(["One. ", "Two. "])
        turn_id = await processor.start_turn(agent_stream=agent)
        if kind is not EndTaken:
            await asyncio.sleep(3)
        events = await read(processor.stream_events(turn_id))
        await asyncio.sleep(0.1)
        assert doubled
        assert chunks_of(events) == ["One. ", "Two. "]
        expected = ("failed", "agent_stalled") if stalls else ("completed", "completed")
        assert end_of(events) == expected
        assert processor.get_stats()[f"turns_{expected[0]}"] == 1
        assert system.inspect().stats == {f"turns_{expected[0]}": 1}
        assert end_of(await talk(processor, ready(["Next. "]))) == ("completed", "completed")
