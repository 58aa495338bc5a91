"""Plays a `Scenario` against a real `ConversationSystem`, under the eyes of the checker.

The same code runs in virtual time, where a scenario repeats exactly, and in real time.
"""

from __future__ import annotations

import asyncio
from array import array
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from actors import ConversationSystem, Settings
from actors.speech import SpeechPipeline
from actors.testing.agents import ScriptedAgent
from actors.testing.checker import SLACK, ContractChecker, Violation
from actors.testing.client import RecordedTurn, RecordingClient
from actors.testing.contract import Point
from actors.testing.history import Interrupted
from actors.testing.scenario import AGENTS, ConnectionPlan, Scenario, TurnPlan, expand, smaller
from actors.testing.sources import CountedIds, VirtualClock
from actors.testing.speech import FailingPipeline, FailingStage, WordPipeline, failing_at
from actors.testing.trace import MessageTrace
from actors.testing.virtual_loop import StandstillError, run_virtual
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

    from actors import ConversationTurn
    from actors.runtime import EngineActor

__all__ = ["SETTINGS", "Figures", "Outcome", "Stage", "play", "play_virtual", "shrink"]

SETTINGS: dict[str, Any] = {
    "agent_stall_seconds": 4.0,
    "tool_stall_seconds": 6.0,
    "idle_flush_seconds": 1.0,
    "interrupt_wait_timeout": 1.0,
    "loop_watchdog_seconds": None,
    "max_turn_chars": 8_000,
    "reader_grace_seconds": 5.0,
    "turn_retention_seconds": 8.0,
}
"""What a simulation runs with, unless its scenario says otherwise: short, so that time-outs happen."""

PATIENCE = 3_600.0
"""How long a turn may take, in seconds on the loop's clock, before it counts as one that never ends."""
LOOK_EVERY = 0.5
"""How often the system is inspected, in seconds."""


@dataclass
class Figures:
    """What was measured, in seconds and in numbers."""

    outcomes: Counter[str] = field(default_factory=Counter)
    """Turns by status and reason."""
    events: int = 0
    latency: array[float] = field(default_factory=lambda: array("d"))
    """From the token that made a chunk certain to the chunk's hand-over, for clients that read at once."""
    first_chunk: array[float] = field(default_factory=lambda: array("d"))
    """From the start of a turn to its first chunk."""
    interrupts: array[float] = field(default_factory=lambda: array("d"))
    """How long `interrupt_turn()` took."""

    def add(self, other: Figures) -> None:
        """Add what was measured elsewhere."""
        self.outcomes.update(other.outcomes)
        self.events += other.events
        self.latency.extend(other.latency)
        self.first_chunk.extend(other.first_chunk)
        self.interrupts.extend(other.interrupts)


@dataclass
class Outcome:
    """How a scenario went."""

    scenario: Scenario
    violations: list[Violation] = field(default_factory=list)
    figures: Figures = field(default_factory=Figures)
    turns: int = 0
    trace: list[str] = field(default_factory=list)
    """The last messages, if they were asked for."""


def play_virtual(scenario: Scenario, *, trace: int = 0) -> Outcome:
    """Play a scenario in virtual time; the same one gives the same outcome.

    Args:
        scenario: what to play.
        trace: how many messages to keep; 0: none, and no tap is set that the scenario does not need.

    """
    outcome = Outcome(scenario)
    try:
        run_virtual(play(scenario, outcome, trace=trace, virtual=True), scenario.seed, lateness=scenario.lateness)
    except StandstillError as error:
        outcome.violations.append(Violation(Point.ORDER, "the system", str(error)))
    return outcome


def shrink(outcome: Outcome, attempts: int = 300) -> Outcome:
    """Find a smaller scenario that violates the same point of the contract, as far as so many attempts get."""
    points = {violation.point for violation in outcome.violations}
    best = outcome
    progress = True
    while progress and attempts > 0:
        progress = False
        for candidate in smaller(best.scenario):
            attempts -= 1
            tried = play_virtual(candidate)
            if points & {violation.point for violation in tried.violations}:
                best, progress = tried, True
                break
            if attempts <= 0:
                break
    return best


async def play(
    scenario: Scenario,
    outcome: Outcome,
    *,
    trace: int = 0,
    virtual: bool = False,
    slack: float | None = None,
    progress: Callable[[Outcome], None] | None = None,
) -> None:
    """Play a scenario in the running loop and write into `outcome` how it went.

    Args:
        scenario: what to play.
        outcome: is filled as it goes.
        trace: how many messages to keep.
        virtual: whether time and ids shall repeat.
        slack: how late things may be; None: as the scenario's timers are.
        progress: called after every turn.

    """
    settings = Settings(**{**SETTINGS, **scenario.settings})
    sources: dict[str, Any] = {"clock": VirtualClock, "ids": CountedIds()} if virtual else {}
    slack = SLACK + 2 * scenario.lateness if slack is None else slack
    async with ConversationSystem(settings, **sources) as system:
        checker = ContractChecker(system, slack=slack)
        outcome.violations = checker.violations
        faults = _Faults(system)
        if scenario.watched:
            system.context.tap = faults.tap
        recorder = MessageTrace(system.context, trace) if trace else None
        if recorder is not None:
            recorder.__enter__()
        looking = asyncio.create_task(_look(checker), name="the inspector")
        try:
            clients = [
                _Client(f"c{number}", plan, system, checker, faults, outcome, progress)
                for number, plan in enumerate(scenario.connections)
            ]
            playing = asyncio.gather(*(client.run() for client in clients))
            if scenario.shutdown_at is not None:
                await asyncio.sleep(scenario.shutdown_at)
                for client in clients:
                    client.closing = True
                await checker.shut_down()
            await playing
            if virtual and scenario.shutdown_at is None:
                await checker.retire()
        finally:
            looking.cancel()
            await checker.close()
            outcome.turns = checker.turns
            if recorder is not None:
                outcome.trace = list(recorder.lines)


async def _look(checker: ContractChecker) -> None:
    while True:
        checker.inspect()
        await asyncio.sleep(LOOK_EVERY)


class Stage:
    """One system in which scenario after scenario is played, one over the other, for what only shows with time.

    A scenario's own settings and its shutdown do not count here: the system has its own.

    Args:
        system: has been started.
        checker: of this system.

    """

    def __init__(self, system: ConversationSystem, checker: ContractChecker) -> None:
        self._system = system
        self._checker = checker
        self._faults = _Faults(system, self._watch)
        self._clients: set[_Client] = set()

    async def play(self, scenario: Scenario, name: str) -> Outcome:
        """Play a scenario to its end, until nothing is left of its connections; their ids begin with `name`."""
        outcome = Outcome(scenario)
        clients = [
            _Client(f"{name}c{number}", plan, self._system, self._checker, self._faults, outcome, None)
            for number, plan in enumerate(scenario.connections)
        ]
        self._clients.update(clients)
        try:
            await asyncio.gather(*(client.run(retire=True) for client in clients))
        finally:
            self._clients.difference_update(clients)
        return outcome

    async def shut_down(self) -> None:
        """Shut the system down, whatever goes on."""
        for client in self._clients:
            client.closing = True
        await self._checker.shut_down()

    def _watch(self, armed: bool) -> None:
        # Only while somebody is to be killed: when nobody looks at its messages the engine takes shorter ways.
        self._system.context.tap = self._faults.tap if armed else None


class _Faults:
    """Carries out the faults of scenarios that concern the whole system; who is killed dies at the `tap`.

    Args:
        system: theirs.
        watch: is told whether the tap is needed, whenever that may have changed.

    """

    def __init__(self, system: ConversationSystem, watch: Callable[[bool], None] = lambda _armed: None) -> None:
        self._watch = watch
        self._kills: dict[tuple[str, str], int] = {}
        """How many messages an actor has left, by its kind and the id that it belongs to."""
        self._listeners: set[str] = set()
        system.on_turn_finished(self._listen)
        system.on_turn_finished(self._listen_later)

    def prepare(self, turn_id: str, connection_id: str, plan: TurnPlan) -> None:
        """Arm what a turn's plan asks for."""
        fault = plan.fault
        if fault is None:
            return
        if fault.kind == "kill":
            owner = {"supervisor": "", "connection": connection_id}.get(fault.target, turn_id)
            self._kills[fault.target, owner] = fault.at
            self._watch(True)
        elif fault.kind == "listener":
            self._listeners.add(turn_id)

    def forget(self, owner: str) -> None:
        """Call off what is still armed for a turn or connection that is over."""
        self._listeners.discard(owner)
        for key in [key for key in self._kills if key[1] == owner]:
            del self._kills[key]
        self._watch(bool(self._kills))

    def tap(self, actor: EngineActor, _mail: Any) -> None:
        if not self._kills:
            return
        owner = ""
        if actor.kind == "connection":
            owner = actor.roster.connection_id  # type: ignore[attr-defined]
        elif actor.kind != "supervisor":
            owner = actor.record.turn_id  # type: ignore[attr-defined]
        left = self._kills.get((actor.kind, owner))
        if left is None:
            return
        if left > 1:
            self._kills[actor.kind, owner] = left - 1
        else:
            del self._kills[actor.kind, owner]
            self._watch(bool(self._kills))
            actor.kill()

    def _listen(self, turn: ConversationTurn) -> None:
        if turn.turn_id in self._listeners:
            raise RuntimeError("a listener was told to fail")

    async def _listen_later(self, turn: ConversationTurn) -> None:
        await asyncio.sleep(0)
        self._listen(turn)


class _Client:
    """Plays one connection."""

    def __init__(
        self,
        name: str,
        plan: ConnectionPlan,
        system: ConversationSystem,
        checker: ContractChecker,
        faults: _Faults,
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
