"""`MessageProcessor` with all its methods in any order and with any arguments: it answers, or raises what it says.

Hypothesis draws the calls; after each the system is inspected, and at the end the whole history is held to the
contract. `FUZZ=50` draws fifty times as many.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from conversations import engine
from fuzz import ANY_AGENT_ITEM, ANY_ARGUMENT, effort
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from near_valid import hold_to_law, refusal_of

from actors.testing import ContractChecker, RecordedTurn, RecordingClient, ScriptedAgent, VirtualLoop
from actors.testing.agents import fail, hang, swallow, talk_on, wait, yields
from protocol.errors import AntiphonError

SCRIPTS = st.lists(
    st.one_of(
        st.text(max_size=20),
        st.just(wait(0.5)),
        st.just(fail()),
        st.just(hang()),
        st.just(swallow(2.0)),
        st.just(talk_on("On and on. ", 0.2)),
        ANY_AGENT_ITEM.map(yields),
    ),
    max_size=6,
)
STREAMS = st.one_of(SCRIPTS.map(ScriptedAgent), st.none(), ANY_ARGUMENT)
TURN_IDS = st.one_of(st.none(), st.sampled_from(["t1", "t2", "t3"]))
BUSY = st.sampled_from(["reject", "interrupt", "queue", None])
PICK = st.integers(min_value=0, max_value=5)


has_turns = precondition(lambda calls: bool(calls.client.turns))


class Calls(RuleBasedStateMachine):
    """One connection in virtual time; each rule is a call, which gets a while and may not raise just anything."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop(seed=1)
        self.ids = 0
        self.run(self._begin())

    async def _begin(self) -> None:
        self.system = await engine(
            None,
            queue_maxsize=3,
            turn_retention_count=3,
            turn_retention_seconds=5,
            turn_queue_limit=2,
            replay_window=4,
        ).start()
        self.checker = ContractChecker(self.system, slack=0.1)
        self.processor = self.system.connect("c")
        self.client = RecordingClient(self.processor, self.checker)

    def run(self, work: Any) -> Any:
        async def bounded() -> Any:
            async with asyncio.timeout(20):  # no call takes longer, whatever it is given
                return await work

        try:
            return self.loop.run_until_complete(bounded())
        except AntiphonError as refused:
            hold_to_law(refused)

    def turn(self, pick: int) -> RecordedTurn | None:
        turns = self.client.turns
        return turns[pick % len(turns)] if turns else None

    def id_of(self, pick: int) -> str:
        turn = self.turn(pick)
        return turn.turn_id if turn is not None else "no such turn"

    @rule(script=SCRIPTS, busy=BUSY)
    def start(self, script: Any, busy: Any) -> None:
        self.run(self.client.start(ScriptedAgent(script), on_busy=busy))

    @rule(script=SCRIPTS, events=st.integers(0, 4), then=st.sampled_from(["read", "interrupt", "leave", "again"]))
    def talk(self, script: Any, events: int, then: str) -> None:
        async def talk() -> None:
            agent = ScriptedAgent(["A sentence of its own. ", *script, "And the last one."])
            turn = await self.client.start(agent, on_busy="interrupt")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(6):
                    await turn.read(events)
                    if then == "interrupt":
                        await turn.interrupt()
                    elif then == "leave":
                        await turn.leave()
                    elif then == "again":
                        turn.open(-1)
                    await turn.read()
            await turn.interrupt()

        self.run(talk())

    @rule(script=SCRIPTS, then=SCRIPTS)
    def start_over_what_speaks(self, script: Any, then: Any) -> None:
        self.run(self.client.start(ScriptedAgent([*script, "A sentence of its own. "]), on_busy="interrupt"))
        self.run(self.client.start(ScriptedAgent(then), on_busy="queue"))

    @rule(
        stream=STREAMS,
        session=ANY_ARGUMENT,
        user_input=ANY_ARGUMENT,
        busy=st.sampled_from(["reject", "interrupt", "queue", None]),
    )
    def start_anything(self, stream: Any, session: Any, user_input: Any, busy: Any) -> None:
        self.run(self.client.start(stream, session_id=session, user_input=user_input, on_busy=busy))

    @rule(
        turn_id=ANY_ARGUMENT,
        busy=ANY_ARGUMENT,
        names=st.dictionaries(st.sampled_from(["trace_id", "request_id", "flow", "speech"]), ANY_ARGUMENT),
    )
    def start_with_anything(self, turn_id: Any, busy: Any, names: dict[str, Any]) -> None:
        self.run(self.client.start(ScriptedAgent(["Text."]), turn_id=turn_id, on_busy=busy, **names))

    @rule(pick=PICK, stream=STREAMS)
    def attach(self, pick: int, stream: Any) -> None:
        self.run(self.processor.attach_agent_stream(self.id_of(pick), stream))

    @has_turns
    @rule(pick=PICK, events=st.one_of(st.none(), st.integers(0, 6)))
    def read(self, pick: int, events: int | None) -> None:
        turn = self.turn(pick)

        async def read(turn: RecordedTurn) -> None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(3):
                    await turn.read(events)

        if turn is not None:
            self.run(read(turn))

    @has_turns
    @rule(pick=PICK, after=st.one_of(st.none(), st.integers(-3, 12), ANY_ARGUMENT))
    def read_again(self, pick: int, after: Any) -> None:
        turn = self.turn(pick)

        async def reopen(turn: RecordedTurn) -> None:
            turn.open(after)

        if turn is not None:
            self.run(reopen(turn))

    @has_turns
    @rule(pick=PICK)
    def leave(self, pick: int) -> None:
        turn = self.turn(pick)
        if turn is not None:
            self.run(turn.leave())

    @has_turns
    @rule(pick=PICK, reason=ANY_ARGUMENT)
    def interrupt(self, pick: int, reason: Any) -> None:
        turn = self.turn(pick)
        if turn is not None:
            self.run(turn.interrupt(reason))

    @rule(anything=ANY_ARGUMENT, reason=ANY_ARGUMENT)
    def interrupt_anything(self, anything: Any, reason: Any) -> None:
        self.run(self.processor.interrupt_turn(anything, reason))

    @rule(reason=ANY_ARGUMENT)
    def interrupt_all(self, reason: Any) -> None:
        self.run(self.processor.handle_interrupt(reason))

    @rule(pick=PICK, seq=st.integers(-2, 20) | ANY_ARGUMENT, chars=st.none() | ANY_ARGUMENT)
    def play(self, pick: int, seq: Any, chars: Any) -> None:
        self.run(self.processor.mark_played(self.id_of(pick), seq, chars))

    @rule(pick=PICK, everything=st.booleans())
    def clean_up(self, pick: int, everything: bool) -> None:
        self.run(self.processor.cleanup(None if everything else self.id_of(pick)))

    @rule(age=st.one_of(st.none(), st.floats(0, 10), ANY_ARGUMENT))
    def clean_up_completed(self, age: Any) -> None:
        self.run(self.processor.cleanup_completed_turns(age))

    @rule(anything=ANY_ARGUMENT)
    def look(self, anything: Any) -> None:
        refusal_of(lambda: self.processor.get_turn(anything))
        stats = self.processor.get_stats()
        ended = sum(stats[f"turns_{name}"] for name in ("completed", "interrupted", "failed"))
        assert ended + stats["turns_active"] + stats["turns_waiting"] <= stats["turns_started"]
        assert len(self.processor.get_active_turns()) <= 1 + 2

    @rule(seconds=st.sampled_from([0.01, 1.0, 6.0]))
    def let_time_pass(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    @invariant()
    def the_contract_is_kept(self) -> None:
        async def inspect() -> None:
            self.checker.inspect()

        self.run(inspect())
        self.checker.check()

    def teardown(self) -> None:
        async def end() -> None:
            await self.processor.interrupt_all_active_turns()
            for turn in self.client.turns:
                with contextlib.suppress(AntiphonError):
                    turn.open()
                    await turn.read()
                turn.finish()
            await self.checker.close()
            while left := asyncio.all_tasks() - {asyncio.current_task()}:  # agents that were abandoned
                for task in left:
                    task.cancel()
                await asyncio.sleep(3)

        try:
            self.run(end())
            self.checker.check()
        finally:
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()


TestCalls = Calls.TestCase
TestCalls.settings = effort(examples=40, steps=30)
