"""`Player`: does what a `ConnectionPlan` says, turn after turn, as a client would, and tells what should not be.

What may be raised is known from the plan; anything else, and a turn that never ends, is reported to the checker.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from actors.speech import SpeechPipeline
from actors.testing.agents import ScriptedAgent
from actors.testing.client import RecordedTurn, RecordingClient
from actors.testing.contract import Point
from actors.testing.history import Interrupted
from actors.testing.scenario import AGENTS, expand
from actors.testing.speech import FailingPipeline, FailingStage, WordPipeline, failing_at
from protocol.errors import (
    ConnectionGoneError,
    ReplayGapError,
    SystemClosedError,
    TurnActiveError,
    TurnFinishedError,
    TurnNotFoundError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from actors import ConversationSystem
    from actors.testing.checker import ContractChecker
    from actors.testing.faults import Faults
    from actors.testing.outcome import Outcome
    from actors.testing.scenario import ConnectionPlan, TurnPlan

__all__ = ["Player"]

PATIENCE = 3_600.0
"""How long a turn may take, in seconds on the loop's clock, before it counts as one that never ends."""


class Player:
    """Plays one connection to its end, and has its turns judged."""

    def __init__(
        self,
        name: str,
        plan: ConnectionPlan,
        system: ConversationSystem,
        checker: ContractChecker,
        faults: Faults,
        outcome: Outcome,
        progress: Callable[[Outcome], None] | None,
    ) -> None:
        self._name = name
        self._plan = plan
        self._system = system
        self._checker = checker
        self._faults = faults
        self._outcome = outcome
        self._progress = progress
        self._loop = asyncio.get_running_loop()
        self.closing = False
        """Whether the system, or this connection, has been told to shut down."""
        self._loses_connection = any(
            turn.fault is not None and turn.fault.target == "connection" for turn in plan.turns
        )

    async def run(self, *, retire: bool = False) -> None:
        """Play all turns, then have them judged.

        Args:
            retire: also wait until their retention is over, and leave for good.

        """
        await asyncio.sleep(self._plan.begins)
        speech: Any = WordPipeline if self._plan.speech == "words" else None
        try:
            processor = self._system.connect(self._name, queue_maxsize=self._plan.queue_maxsize, speech=speech)
        except SystemClosedError as error:
            self._allow("connect()", error)
            return
        self._client = RecordingClient(processor, self._checker)
        reading = []
        for number, plan in enumerate(self._plan.turns):
            turn = await self._start(number, plan)
            if turn is None:
                continue
            reads = asyncio.create_task(self._converse(turn, plan), name=f"client of {turn.turn_id}")
            reading.append(reads)
            if plan.next_at is None:
                await asyncio.wait([reads])
            else:
                await asyncio.sleep(plan.next_at)
        if reading:
            await asyncio.wait(reading)
        for turn in self._client.turns:
            self._judge(turn)
            self._faults.forget(turn.turn_id)
        self._faults.forget(self._name)
        closes = self._plan.closes
        if retire:
            if not closes and not self.closing:
                await self._checker.retire_connection(self._name)
            closes = True
        if closes and not self.closing:  # a second shutdown() does not wait for the first
            self.closing = True
            await processor.shutdown()
            self._checker.closed(processor.connection_id)

    async def _start(self, number: int, plan: TurnPlan) -> RecordedTurn | None:
        turn_id = f"{self._name}t{number}"
        agent = ScriptedAgent(expand(plan))
        harmed = self._loses_connection or (plan.fault is not None and plan.fault.harms)
        ends_any_turn = self._system.settings.turn_deadline_seconds is not None
        faulty = harmed or ends_any_turn or AGENTS[plan.agent][1]
        self._faults.prepare(turn_id, self._name, plan)
        arguments = {"turn_id": turn_id, "on_busy": plan.on_busy, "session_id": "s"}
        attached = agent if plan.attach_in is None else None
        begin = partial(self._client.start, attached, faulty=faulty, speech=self._speech(plan), **arguments)
        try:
            try:
                turn = await begin()
            except TurnActiveError:
                if not all(map(_is_over, self._client.turns)):
                    return None
                turn = await begin()  # that one has ended meanwhile, so this one must be taken
        except (ConnectionGoneError, SystemClosedError) as error:
            self._allow("start_turn()", error)
            return None
        except Exception as error:  # noqa: BLE001 - whatever it is, it should not have been raised
            self._found(turn_id, f"start_turn() raised {error!r}")
            return None
        turn.history.agent = agent
        turn.history.harmed = harmed
        return turn

    def _speech(self, plan: TurnPlan) -> Any:
        own: Any = WordPipeline if self._plan.speech == "words" else None
        fault = plan.fault
        if fault is None:
            return own
        match fault.kind:
            case "speech_factory":
                return failing_at(1, "a speech factory")
            case "speech":
                return lambda: FailingPipeline((own or SpeechPipeline)(), fault.at)
            case "stage":
                return lambda: SpeechPipeline(stages=[FailingStage(fault.at)])
            case "normalise":
                return lambda: SpeechPipeline(normalise=partial(_normalise, failing_at(fault.at, "normalise")))
        return own

    async def _converse(self, turn: RecordedTurn, plan: TurnPlan) -> None:
        began = self._loop.time()
        try:
            async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
                if plan.interrupt_at is not None:
                    for _ in range(plan.interrupts):
                        group.create_task(self._interrupt(turn, plan.interrupt_at))
                if plan.attach_in is not None:
                    group.create_task(self._attach(turn, plan.attach_in))
                group.create_task(self._read(turn, plan, began))
        except TimeoutError:
            self._found(turn.turn_id, f"it was not over after {PATIENCE:g} s", Point.ORDER)
        except BaseExceptionGroup as group_error:
            for error in group_error.exceptions:
                self._found(turn.turn_id, f"its client was given {error!r}")

    async def _read(self, turn: RecordedTurn, plan: TurnPlan, began: float) -> None:
        await self._read_events(
            turn, plan, plan.stuck_after if plan.stuck_after is not None else plan.leaves_after, began
        )
        if plan.stuck_after is not None:
            await self._until_over(turn)
        elif plan.leaves_after is not None:
            if plan.raises:
                turn.drop()
            else:
                await turn.leave()
            if plan.back_in is None:
                await self._until_over(turn)
            else:
                await asyncio.sleep(plan.back_in)
            last = turn.next_seq - 1
            after = {"after_seq": last, "earlier": max(-1, last - 2), "start": -1}.get(plan.back_with)
            try:
                turn.open(after)
            except ReplayGapError:
                turn.open()
            except TurnNotFoundError:
                return
        await self._read_events(turn, plan, None, began)
        await self._read_again(turn)

    async def _read_events(self, turn: RecordedTurn, plan: TurnPlan, most: int | None, began: float) -> None:
        at_once = not (plan.pace or plan.leaves_after or plan.stuck_after)
        figures = self._outcome.figures
        agent = turn.history.agent
        count, heard = 0, False
        while most is None or count < most:
            try:
                event = await turn.next()
            except TurnNotFoundError:
                return  # its retention was over before anybody read it
            if event is None:
                return
            count += 1
            figures.events += 1
            if event["type"] == "tts_ready_chunk":
                now = self._loop.time()
                if not heard:
                    heard = True
                    figures.first_chunk.append(now - began)
                if at_once and isinstance(agent, ScriptedAgent):
                    said = agent.said_at(event["end"])
                    if said is not None:
                        figures.latency.append(max(0.0, now - said))
                if plan.plays:
                    await self._play(turn, event["seq"])
            if plan.pace:
                await asyncio.sleep(plan.pace)

    async def _play(self, turn: RecordedTurn, seq: int) -> None:
        try:
            await self._client.processor.mark_played(turn.turn_id, seq)
        except TurnNotFoundError:
            return
        except (ConnectionGoneError, SystemClosedError) as error:
            self._allow("mark_played()", error)

    async def _read_again(self, turn: RecordedTurn) -> None:
        """After the end, whoever asks gets the end, and nothing else."""
        try:
            turn.open()
            await turn.read(3)
        except TurnNotFoundError:
            return

    async def _until_over(self, turn: RecordedTurn) -> None:
        while True:
            seen = turn.look()
            if seen is None or seen.status.finished:
                return
            await asyncio.sleep(0.5)

    async def _interrupt(self, turn: RecordedTurn, at: float) -> None:
        await asyncio.sleep(at)
        try:
            await turn.interrupt()
        except ConnectionGoneError as error:
            self._allow("interrupt_turn()", error)

    async def _attach(self, turn: RecordedTurn, seconds: float) -> None:
        await asyncio.sleep(seconds)
        try:
            await self._client.processor.attach_agent_stream(turn.turn_id, turn.history.agent)
        except (TurnFinishedError, TurnNotFoundError):
            return
        except (ConnectionGoneError, SystemClosedError) as error:
            self._allow("attach_agent_stream()", error)

    def _judge(self, turn: RecordedTurn) -> None:
        turn.finish()
        history = turn.history
        last = history.last
        if last is not None:
            self._outcome.figures.outcomes[f"{last.status} ({last.reason})"] += 1
        self._outcome.figures.interrupts.extend(_interrupt_times(turn))
        self._outcome.turns += 1
        if self._progress is not None:
            self._progress(self._outcome)

    def _allow(self, call: str, error: Exception) -> None:
        due = self.closing if isinstance(error, SystemClosedError) else self._loses_connection
        if not due:
            self._found(self._name, f"{call} raised {error!r} for no reason")

    def _found(self, subject: str, what: str, point: Point = Point.ISOLATION) -> None:
        self._checker.report(point, f"turn {subject}", what)


def _is_over(turn: RecordedTurn) -> bool:
    last = turn.history.last
    return turn.end is not None or last is None or last.status.finished


def _interrupt_times(turn: RecordedTurn) -> Iterator[float]:
    for entry in turn.history.log:
        if type(entry) is Interrupted:
            yield entry.at - entry.since


def _normalise(count: Callable[[], None], text: str, _language: str | None) -> str:
    count()
    return text
