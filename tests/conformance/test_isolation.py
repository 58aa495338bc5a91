"""Contract 6: what breaks in a turn, or is killed, ends that turn alone, with its text so far; the next one works."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from agents import hang, ready, say, stubborn
from conversations import chunks_of, end_of, engine, hold_to_contract, read, record_of, talk, turn_of
from splitter import Splitter

from actors import ConversationSystem, MessageProcessor
from actors.testing import run_virtual, virtual
from protocol.errors import ConnectionGoneError, TurnFinishedError
from protocol.speech import RemovedSpan, SpeechChunk
from protocol.turn import TurnStatus

SEEDS = (None, 1, 2)
SPOKEN = ["One. ", "Two. ", "And", " three. ", "Four. ", "And", " five. ", "Six"]


async def agent(between: Callable[[int], None] = lambda _number: None) -> AsyncIterator[Any]:
    """Everything that makes actors talk: text, a tool, a pause, text that waits for room."""
    parts: list[Any] = ["One. Two. And", {"type": "tool_call"}, {"type": "tool_result"}, " three. Four. ", "And", 5.0]
    for number, part in enumerate([*parts, " five. ", "Six"]):
        between(number)
        await asyncio.sleep(part if isinstance(part, float) else 0.01)
        if not isinstance(part, float):
            yield part


async def hold_the_books(system: ConversationSystem, processor: MessageProcessor) -> None:
    """Assert that nothing of a turn is left but its record, and that the next one works."""
    await asyncio.sleep(0.001)
    report = system.inspect()
    own = sorted(actor.kind for actor in report.actors if actor.connection_id in (None, processor.connection_id))
    assert own == ["connection", "supervisor"]
    assert report.tasks == []
    assert report.abandoned == []
    assert processor.get_active_turns() == []
    before = processor.get_stats()
    assert end_of(await talk(processor, ready(["Next. "]))) == ("completed", "completed")
    await asyncio.sleep(0.001)
    assert processor.get_stats()["turns_completed"] == before["turns_completed"] + 1
    # The Supervisor watches nobody and holds no timer but the one for what is kept.
    await processor.cleanup()
    await asyncio.sleep(system.settings.turn_retention_seconds + 1)
    supervisor: Any = system.context.supervisor
    assert supervisor._watched == {}
    assert [entry for entry in supervisor._heap if not getattr(entry[2], "off", False)] == []
    assert system.context.left_tasks == {}


class Killer:
    """Kills the actor of a kind when it is about to handle its message number `at`."""

    def __init__(self, system: ConversationSystem, processor: MessageProcessor, kind: str, at: int) -> None:
        self.system, self.processor, self.kind, self.at = system, processor, kind, at
        self.messages = 0
        self.left: int | None = None
        """How many events there would be when the actor was killed: handed over, and in the outbox."""
        self.decided = False
        """Whether the end was decided by then."""
        system.context.tap = self.tap

    def tap(self, actor: Any, _message: Any) -> None:
        owner = getattr(actor, "record", None) or getattr(actor, "roster", None)
        if actor.kind != self.kind or (owner is not None and owner.connection_id != "c"):
            return
        self.messages += 1
        if self.messages == self.at:
            if "t" in {turn.turn_id for turn in self.processor.get_active_turns()}:
                self.look()
            else:
                self.decided = self.processor.get_turn("t") is not None
            actor.kill()

    def look(self) -> None:
        record = record_of(self.processor, "t")
        self.left, self.decided = record.seq + record.outbox_depth, record.sealed

    def hold(self, events: list[Any]) -> None:
        """Assert that what was in the outbox has been delivered, then the error and the end, and not much else."""
        assert self.left is not None
        more = len(events) - self.left - 2
        # The Emitter may place what it has before the Turn hears that one of its siblings is dead.
        assert 0 <= more <= (2 if self.kind in ("producer", "chunker") else 0)


async def one_turn(kind: str, at: int, *, slow: float) -> int:
    """Let a turn be read in which that actor is killed; return how many messages it would have had."""
    async with engine(queue_maxsize=1, turn_retention_seconds=5) as system:
        processor, other = system.connect("c"), system.connect("other")
        beside = asyncio.ensure_future(talk(other, say(["Untouched. "] * 10, pause=0.5)))
        await asyncio.sleep(0)
        killer = Killer(system, processor, kind, at)
        turn_id = await processor.start_turn(agent_stream=agent(), turn_id="t")
        events = []
        async for event in processor.stream_events(turn_id):
            events.append(event)
            await asyncio.sleep(slow)
        await asyncio.sleep(0.001)
        hold_to_contract(events)
        system.context.tap = None
        turn = processor.get_turn(turn_id)
        assert turn is not None
        assert turn.status == end_of(events)[0]
        assert turn.delivered_text == events[-1]["content"]
        assert "One. Two. And three. Four. And five. Six".startswith(turn.generated_text)
        assert chunks_of(events) == SPOKEN[: len(chunks_of(events))]
        killed = killer.messages >= at > 0
        if not killed or killer.decided or kind == "supervisor" or killer.left is None:
            assert end_of(events) == ("completed", "completed")
            assert chunks_of(events) == SPOKEN
        else:
            assert end_of(events) == ("failed", "actor_failed")
            assert kind in events[-2]["error"]
            killer.hold(events)
        assert processor.get_stats()[f"turns_{turn.status}"] == 1
        await beside
        assert chunks_of(beside.result()) == ["Untouched. "] * 10
        await hold_the_books(system, processor)
    return killer.messages


@pytest.mark.parametrize("slow", [0.0, 0.2])
@pytest.mark.parametrize("kind", ["producer", "chunker", "emitter", "turn", "connection", "supervisor"])
def test_an_actor_may_be_killed_at_any_message(kind: str, slow: float) -> None:
    """Issue, point 14, for the children of the Turn, and for all above them."""
    for seed in SEEDS:
        total = run_virtual(one_turn(kind, 0, slow=slow), seed)
        assert total >= {"producer": 1, "connection": 2}.get(kind, 3)
        for at in range(1, total + 1):
            run_virtual(one_turn(kind, at, slow=slow), seed)


@pytest.mark.parametrize("kind", ["producer", "chunker", "emitter", "turn", "connection", "supervisor"])
@pytest.mark.parametrize("number", range(8))
@virtual(seeds=SEEDS)
async def test_an_actor_may_be_killed_between_any_two_tokens(kind: str, number: int) -> None:
    async with engine() as system:
        processor = system.connect("c")
        killer = Killer(system, processor, kind, 0)

        def between(at: int) -> None:
            if at == number:
                asyncio.get_running_loop().call_soon(kill)

        def kill() -> None:
            killer.look()
            next(actor for actor in system.context.registry.values() if actor.kind == kind).kill()

        turn_id = await processor.start_turn(agent_stream=agent(between), turn_id="t")
        events = await read(processor.stream_events(turn_id))
        assert chunks_of(events) == SPOKEN[: len(chunks_of(events))]
        if kind == "supervisor":
            assert end_of(events) == ("completed", "completed")
        else:
            assert end_of(events) == ("failed", "actor_failed")
            killer.hold(events)
        await hold_the_books(system, processor)


@pytest.mark.parametrize("kind", ["producer", "chunker", "emitter"])
@virtual(seeds=SEEDS)
async def test_a_child_may_stop_of_its_own_accord_and_that_is_a_failure_too(kind: str) -> None:
    async with engine() as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=hang(["One. Two. And"]))
        stream = processor.stream_events(turn_id)
        events = [await anext(stream), await anext(stream)]
        next(actor for actor in system.context.registry.values() if actor.kind == kind).actor_ref.stop(block=False)
        events += [event async for event in stream]
        hold_to_contract(events)
        assert end_of(events) == ("failed", "actor_failed")
        await hold_the_books(system, processor)


@virtual(seeds=SEEDS)
async def test_a_dead_child_takes_its_siblings_and_its_agent_with_it() -> None:
    closed = []

    async def watched() -> AsyncIterator[str]:
        try:
            yield "One. Two. And"
            await asyncio.Event().wait()
        finally:
            closed.append(True)

    for kind in ("chunker", "emitter"):
        async with engine() as system:
            processor = system.connect()
            await processor.start_turn(agent_stream=watched())
            await asyncio.sleep(0.1)
            actors = {actor.kind: actor for actor in system.context.registry.values()}
            actors[kind].kill()
            await asyncio.sleep(0.1)
            assert closed == [True]
            closed.clear()
            assert [actors[name].stopped for name in ("producer", "chunker", "emitter")] == [True] * 3
            assert {actor.kind for actor in system.inspect().actors} == {"supervisor", "connection", "turn"}
            assert system.inspect().tasks == []


@virtual(seeds=SEEDS)
async def test_a_stubborn_agent_of_a_dead_turn_is_abandoned_by_whoever_is_the_supervisor_then() -> None:
    async with engine() as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=stubborn())
        await asyncio.sleep(0.1)
        next(actor for actor in system.context.registry.values() if actor.kind == "turn").kill()
        await asyncio.sleep(0.5)
        supervisor = system.context.supervisor
        assert supervisor is not None
        supervisor.kill()
        assert end_of(await read(processor.stream_events(turn_id))) == ("failed", "actor_failed")
        await asyncio.sleep(0.7)
        assert system.context.supervisor is not supervisor
        assert system.inspect().abandoned == [f"agent of turn {turn_id}"]
        assert turn_of(processor, turn_id).abandoned == (f"agent of turn {turn_id}",)


# What is asked of an actor that dies.


@virtual(seeds=SEEDS)
async def test_a_call_whose_connection_dies_before_it_got_to_it_is_made_again() -> None:
    async with engine(on_busy="queue") as system:
        processor = system.connect("c")
        turn_id = await processor.start_turn(agent_stream=hang(["One. Two. "]))
        stream = processor.stream_events(turn_id)
        await anext(stream)
        await anext(stream)

        async def kill_first(call: Any) -> Any:
            Killer(system, processor, "connection", 1)
            return await call

        pending = await kill_first(processor.start_turn(agent_stream=hang()))
        assert turn_of(processor, pending).status is TurnStatus.PENDING
        assert [event["type"] async for event in stream] == ["error", "stream_end"]  # the dead Connection's turn
        await kill_first(processor.mark_played(turn_id, 1))
        assert turn_of(processor, turn_id).played_text == "One. "
        assert await kill_first(processor.cleanup(turn_id)) == 1
        assert await kill_first(processor.cleanup()) == 1
        assert await kill_first(processor.cleanup_completed_turns()) == 0
        last = await kill_first(processor.start_turn())
        with pytest.raises(TurnFinishedError):  # the turn has died with its Connection
            await kill_first(processor.attach_agent_stream(last, ready(["Three. "])))
        assert end_of(await read(processor.stream_events(last))) == ("failed", "actor_failed")


@virtual(seeds=SEEDS)
async def test_a_turn_that_waits_outlives_its_connections_actor() -> None:
    async with engine(on_busy="queue") as system:
        processor = system.connect()
        first = await processor.start_turn(agent_stream=hang(["One. Two. "]))
        second = await processor.start_turn(agent_stream=ready(["Three. "]))
        await asyncio.sleep(0.1)
        for _ in range(3):
            next(actor for actor in system.context.registry.values() if actor.kind == "connection").kill()
            await asyncio.sleep(0.001)
        assert end_of(await read(processor.stream_events(first))) == ("failed", "actor_failed")
        assert chunks_of(await read(processor.stream_events(second))) == ["Three. "]
        assert processor.get_stats()["turns_failed"] == 1


@virtual(seeds=SEEDS)
async def test_an_interrupt_whose_connection_dies_while_it_waits_returns_and_has_ended_the_turn() -> None:
    async with engine() as system:
        processor = system.connect()
        turn_id = await processor.start_turn(agent_stream=stubborn())
        await asyncio.sleep(0.1)
        interrupt = asyncio.ensure_future(processor.interrupt_turn(turn_id))
        everything = asyncio.ensure_future(processor.interrupt_all_active_turns())
        await asyncio.sleep(0.5)
        next(actor for actor in system.context.registry.values() if actor.kind == "connection").kill()
        await asyncio.wait_for(asyncio.gather(interrupt, everything), 0.6)
        assert (interrupt.result(), everything.result()) == (True, 0)
        assert not await processor.interrupt_turn(turn_id)
        assert end_of(await read(processor.stream_events(turn_id))) == ("interrupted", "interrupted")
        assert end_of(await talk(processor, ready(["Next. "]))) == ("completed", "completed")


@virtual(seeds=SEEDS)
async def test_a_connection_that_dies_again_and_again_is_a_typed_error_and_no_hang() -> None:
    async with engine() as system:
        processor = system.connect()

        def kill(actor: Any, _message: Any) -> None:
            if actor.kind == "connection":
                actor.kill()

        system.context.tap = kill
        with pytest.raises(ConnectionGoneError):
            await processor.start_turn(agent_stream=ready(["One. "]))
        system.context.tap = None
        assert end_of(await talk(processor, ready(["Next. "]))) == ("completed", "completed")


@pytest.mark.parametrize("kind", ["producer", "chunker", "emitter", "turn", "connection", "supervisor"])
@virtual(seeds=SEEDS)
async def test_shutdown_is_not_held_up_by_whoever_dies_meanwhile(kind: str) -> None:
    streams = []
    async with engine() as system:
        processor = system.connect("c")
        for name in ("c", "d"):
            connection = system.get(name) or system.connect(name)
            turn_id = await connection.start_turn(agent_stream=stubborn())
            streams.append(connection.stream_events(turn_id))
        await asyncio.sleep(0.1)
        Killer(system, processor, kind, 1)
        await asyncio.wait_for(system.shutdown(), 1.2)
        assert system.inspect().actors == []
    for stream in streams:
        assert (await read(stream))[-1]["type"] == "stream_end"


@virtual(seeds=SEEDS)
async def test_shutdown_ends_the_turns_of_connections_that_cannot_answer() -> None:
    finished: list[Any] = []

    async with engine(on_busy="queue") as system:
        system.on_turn_finished(finished.append)
        processor = system.connect()
        turns = [await processor.start_turn(agent_stream=hang(), turn_id=number) for number in range(3)]
        streams = [processor.stream_events(turn_id) for turn_id in turns]
        await asyncio.sleep(0.1)

        def kill(actor: Any, _message: Any) -> None:
            if actor.kind == "connection":
                actor.kill()

        system.context.tap = kill
        await asyncio.wait_for(system.shutdown(), 0.1)
        assert system.inspect().actors == []
    assert sorted(turn.turn_id for turn in finished) == ["0", "1", "2"]
    for stream in streams:
        assert end_of(await read(stream)) == ("interrupted", "shutdown")


# What a service plugs in.


class Broken(Splitter):
    """A pipeline that raises where it is told to."""

    def __init__(self, where: str, error: type[BaseException]) -> None:
        super().__init__()
        self.where, self.error = where, error

    def _maybe(self, where: str) -> None:
        if where == self.where:
            raise self.error("because")

    def feed(self, text: str) -> list[SpeechChunk]:
        if "Three" in text:
            self._maybe("feed")
        return super().feed(text)

    def flush(self, final: bool = True) -> list[SpeechChunk]:
        self._maybe("final flush" if final else "flush")
        return super().flush(final)

    def take_removed(self) -> list[RemovedSpan]:
        if self._at > 5:
            self._maybe("take_removed")
        return super().take_removed()


class Unusual(BaseException):
    """No `Exception`."""


ERRORS = pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError, SystemExit, Unusual])


@ERRORS
@pytest.mark.parametrize("where", ["factory", "feed", "flush", "final flush", "take_removed"])
@virtual
async def test_a_pipeline_that_raises_fails_its_turn_alone(where: str, error: type[BaseException]) -> None:
    def factory() -> Splitter:
        if where == "factory":
            raise error("because")
        return Broken(where, error)

    async with engine() as system:
        processor, other = system.connect("c"), system.connect("other")
        beside = asyncio.ensure_future(talk(other, say(["Untouched. "] * 10, pause=0.5)))
        turn_id = await processor.start_turn(
            agent_stream=say(["One. Two. ", {"type": "tool_call"}, "Three. ", "Four. "], pause=0.1), speech=factory
        )
        events = await read(processor.stream_events(turn_id))
        assert end_of(events) == ("failed", "actor_failed")
        assert "chunker" in events[-2]["error"]
        spoken = {"factory": 0, "flush": 1, "final flush": 3}.get(where, 2)
        assert chunks_of(events) == ["One. ", "Two. ", "Three. "][:spoken]
        assert chunks_of(await beside) == ["Untouched. "] * 10
        await hold_the_books(system, processor)


@pytest.mark.parametrize("nonsense", [5, lambda: 5, lambda: None, object])
@virtual
async def test_what_is_no_pipeline_fails_its_turn_alone(nonsense: Any) -> None:
    async with engine() as system:
        processor = system.connect("c")
        assert end_of(await talk(processor, say(["One. "]), speech=nonsense)) == ("failed", "actor_failed")
        await hold_the_books(system, processor)


@pytest.mark.parametrize("chunks", [5, ["text"], [None], [("text", 0, 4)], "text"])
@virtual
async def test_a_pipeline_that_gives_no_chunks_fails_its_turn_alone(chunks: Any) -> None:
    class Wrong(Splitter):
        def feed(self, text: str) -> Any:
            super().feed(text)
            return chunks

    async with engine() as system:
        processor = system.connect("c")
        assert end_of(await talk(processor, say(["One. "]), speech=Wrong)) == ("failed", "actor_failed")
        await hold_the_books(system, processor)


@ERRORS
@virtual
async def test_a_listener_that_raises_disturbs_nobody(error: type[BaseException]) -> None:
    heard: list[str] = []

    def broken(_turn: Any) -> None:
        raise error("because")

    async def broken_later(_turn: Any) -> None:
        await asyncio.sleep(0.1)
        raise error("because")

    async with engine(on_busy="queue") as system:
        system.on_turn_finished(broken)
        system.on_turn_finished(broken_later)
        system.on_turn_finished(lambda turn: heard.append(f"{turn.turn_id} {turn.status}"))
        processor = system.connect("c")
        for number in range(3):
            await processor.start_turn(agent_stream=ready(["One. "]), turn_id=number)
        for number in range(2):
            assert end_of(await read(processor.stream_events(number))) == ("completed", "completed")
        assert await processor.interrupt_turn(2)
        await asyncio.sleep(1)
        assert heard == ["0 completed", "1 completed", "2 interrupted"]
        assert processor.get_stats()["turns_completed"] == 2
        await hold_the_books(system, processor)


@virtual
async def test_a_listener_may_start_the_next_turn_or_interrupt_from_within() -> None:
    async with engine() as system:
        processor = system.connect("c")
        started: list[str] = []

        async def go_on(turn: Any) -> None:
            if len(started) < 3:
                started.append(await processor.start_turn(agent_stream=ready([f"After {turn.turn_id}. "])))

        system.on_turn_finished(go_on)
        await talk(processor, ready(["First. "]), turn_id="first")
        for number in range(3):
            await asyncio.sleep(0.1)
            events = await read(processor.stream_events(started[number]))
            assert chunks_of(events) == [f"After {'first' if number == 0 else started[number - 1]}. "]
