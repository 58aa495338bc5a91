"""Take the real actors the way that the model went, step by step, and compare.

The actors are those that everybody uses, behind the embedding API, on an event loop that runs only what it is
told to. `RealTurn.take(step)` does the one thing that the schedule says; before each step the real turn must be
what the model says in everything that `comparison` knows, and come to the same end.

What is no step in the model happens at once: the callbacks of a task that has ended, and the Supervisor, as
long as all it does is to note something. Actors handle a message in their sender's own step where that is
cheaper (`EngineActor.deliver`). In the model they do not, and here they do not while the system has a tap. With
`eager=True` they do, as in earnest: then reality is ahead of the model at times, and only ends are compared; a
fault that came between may have come too late, and what holds then is the contract.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from itertools import takewhile
from typing import Any

import actors.record
from actors.runtime import ChildFailed, EngineActor
from actors.system import ConversationSystem
from exploration.bounds import TOOL, Fault, Sentences
from exploration.comparison import differences, event_of, model_end, model_state, real_end, real_state
from exploration.contract import wrong_events
from exploration.explore import Exploration, Schedule
from exploration.model import AGENT, BEFORE, CONNECTION, LISTENER, READER, SUPERVISOR, TASK, TURN, World
from exploration.stepped_loop import SteppedLoop
from protocol.errors import FailureCode
from protocol.mail import Pause, TimeOut
from protocol.settings import Settings
from protocol.turn import ConversationTurn, Failure, TurnStatus

__all__ = ["DifferenceError", "Replayer", "replaying"]


class DifferenceError(Exception):
    """The real actors did something else than the model."""


@contextmanager
def replaying(found: Exploration, *, eager: bool = False) -> Iterator[Replayer]:
    """Have a real system that replays schedules of what was found, one after the other.

    Args:
        found: where the schedules come from.
        eager: whether actors may handle a message in their sender's step.

    """
    replayer = Replayer(found, eager=eager)
    capacity, disabled = actors.record.OUTBOX_CAPACITY, logging.root.manager.disable
    actors.record.OUTBOX_CAPACITY = found.bounds.outbox
    logging.disable()  # actors are killed by the thousand, and each would say so
    try:
        with replayer.loop.current():
            replayer.start()
            yield replayer
            replayer.loop.complete(replayer.system.shutdown())
    finally:
        actors.record.OUTBOX_CAPACITY = capacity
        logging.disable(disabled)


class Replayer:
    """A real system, and how many schedules have been replayed in it."""

    def __init__(self, found: Exploration, *, eager: bool) -> None:
        self.found = found
        self.eager = eager
        self.loop = SteppedLoop()
        ahead = found.bounds.ahead
        settings = Settings(
            loop_watchdog_seconds=None, flow="free" if ahead is None else "played", max_unplayed_chunks=ahead or 1
        )
        self.system = ConversationSystem(settings, speech=Sentences)
        self.finished: list[ConversationTurn] = []
        self.schedules = 0
        self.steps = 0
        self._states: dict[int, dict[str, Any]] = {}
        self._last: Schedule = ()

    def start(self) -> None:
        """Start the system."""
        self.loop.complete(self.system.start())
        self.system.on_turn_finished(self.finished.append)
        if not self.eager:
            self.system.context.tap = lambda _actor, _mail: None

    def replay(self, schedule: Schedule) -> None:
        """Take a new turn through a complete schedule.

        Raises:
            DifferenceError: it went another way than the model.

        """
        real = RealTurn(self)
        state = taken = 0
        pairs = zip(schedule, self._last, strict=False)
        seen = sum(1 for _same in takewhile(lambda pair: pair[0] == pair[1], pairs))  # it was the same way just now
        self._last = schedule
        try:
            for step in schedule:
                if not self.eager and taken >= seen:
                    self._compare(state, real)
                real.take(step)
                state = self.found.ways[state][step]
                taken += 1
            self._compare_ends(self.found.world(state), real)
            real.close()
        except DifferenceError as error:
            steps = "\n".join(f"  {number:2} {step}" for number, step in enumerate(schedule[:taken], 1))
            raise DifferenceError(f"{error}\nthe agent gives {self.found.bounds}; after:\n{steps}") from None
        self.schedules += 1
        self.steps += taken

    def _compare(self, state: int, real: RealTurn) -> None:
        model = self._states.get(state)
        if model is None:
            model = self._states[state] = model_state(self.found.world(state))
        seen = real.state()
        if model != seen:
            raise DifferenceError("\n".join(differences(model, seen)))

    def _compare_ends(self, world: World, real: RealTurn) -> None:
        if self.eager:
            real.finish()
            if what := wrong_events(real.as_world(world.faults)):
                raise DifferenceError(what)
            if _CAN_BE_LATE & world.faults:
                return
        if wrong := differences(model_end(world), real.end()):
            raise DifferenceError("\n".join(wrong))


_CAN_BE_LATE = {Fault.DEADLINE, *(fault for fault in Fault if fault.victim)}
"""Faults that come to something else when what they are to disturb has been done before."""


class Agent:
    """An agent stream that gives what the schedule says, when it says so."""

    def __init__(self) -> None:
        self.asked: asyncio.Future[Any] | None = None

    def __aiter__(self) -> Agent:
        return self

    async def __anext__(self) -> Any:
        self.asked = asyncio.get_running_loop().create_future()
        item = await self.asked
        if item is None:
            raise StopAsyncIteration
        return item

    @property
    def is_asked(self) -> bool:
        """Whether somebody waits for it."""
        return self.asked is not None and not self.asked.done()


class RealTurn:
    """One turn of real actors that does what it is told, a step at a time."""

    def __init__(self, replayer: Replayer) -> None:
        bounds = replayer.found.bounds
        self.replayer = replayer
        self.loop = replayer.loop
        self.bounds = bounds
        self.stream = iter(bounds.stream)
        self.agent = Agent()
        self.events: list[dict[str, Any]] = []
        self.stalled = False
        self.cut_at: int | None = None
        """How many events had been handed over when it was interrupted."""
        self.calls: list[tuple[Coroutine[Any, Any, Any], asyncio.Future[Any]]] = []
        """Calls of the embedding API, and the replies that they wait for."""
        self.reply: asyncio.Future[Any] | None = None
        """To who interrupts it."""
        self.acknowledged: asyncio.Future[Any] = self.loop.create_future()
        """Whether what was last said to be played is noted."""
        self.acknowledged.set_result(None)
        self.processor = replayer.system.connect(queue_maxsize=bounds.capacity)
        self.roster = replayer.system.context.rosters[self.processor.connection_id]
        self.before = ""
        if bounds.queued:
            self.before = self._start(Agent())
            self.roster.turn_actors[self.before].kill()  # all of it but its end, which waits for a reader
            self.loop.run_all()
        self.turn_id = self._start(self.agent)
        self.record = self.roster.turns[self.turn_id]
        self.reader = self.processor.stream_events(self.turn_id)
        self.actors: dict[str, EngineActor] = {}
        self._look_round()

    def _start(self, agent: Agent) -> str:
        work = self.processor.start_turn("s", "", agent, on_busy="queue")
        work.send(None)  # it asks the Connection and waits
        self.loop.run_one(lambda handle: _owner(handle) == CONNECTION)
        try:
            work.send(None)
        except StopIteration as started:
            return str(started.value)
        raise DifferenceError("the turn did not start")

    def _look_round(self) -> None:
        """Note who is there now, and let happen what is no step."""
        connection = self.roster.connection
        assert connection is not None
        self.actors[CONNECTION] = connection
        turn = self.roster.turn_actors.get(self.turn_id)
        if turn is not None and TURN not in self.actors:
            self.actors[TURN] = turn
            self.actors.update((child.kind, child) for child in turn._children or ())
        while self.loop.run_one(lambda handle: not _owner(handle)):
            pass
        if self.loop.errors:
            raise DifferenceError(f"raised: {self.loop.errors}")

    # What it is told to do.

    def take(self, step: str) -> None:
        """Do one thing. With eager actors it may have been done before, or have come to nothing."""
        if isinstance(step, Fault):
            self._inject(step)
        elif step in self.steps():
            self._do(step)
        elif not self.replayer.eager:
            raise DifferenceError(f"{step} has nothing to do")
        if self.cut_at is None and self.record.status is TurnStatus.INTERRUPTED:
            self.cut_at = len(self.events)
        self._look_round()

    def _do(self, step: str) -> None:
        if step == READER:
            self.events.append(_read(self.reader))
        elif step == LISTENER:
            self.acknowledged = self._call(self.processor.mark_played(self.turn_id, self._unplayed()[0]))
        elif step == AGENT:
            item = next(self.stream, None)
            self._give({"type": "tool_call"} if item is TOOL else item)
        elif step == BEFORE:
            reader = self.processor.stream_events(self.before)
            while _read(reader)["type"] != "stream_end":
                pass
        else:
            self.loop.run_one(lambda handle: _owner(handle) == step)

    def _call(self, work: Coroutine[Any, Any, Any]) -> asyncio.Future[Any]:
        reply: asyncio.Future[Any] = work.send(None)  # it asks the Connection and waits
        self.calls.append((work, reply))
        return reply

    def _give(self, item: Any, error: Exception | None = None) -> None:
        if not self.agent.is_asked:
            return
        assert self.agent.asked is not None
        if error is None:
            self.agent.asked.set_result(item)
        else:
            self.agent.asked.set_exception(error)
        self.loop.run_one(lambda handle: _owner(handle) == TASK)

    def _inject(self, fault: Fault) -> None:
        match fault:
            case Fault.INTERRUPT:
                self.reply = self._call(self.processor.interrupt_turn(self.turn_id))
            case Fault.AGENT_RAISES:
                self._give(None, RuntimeError("the agent raised"))
            case Fault.STALL:
                self.stalled = True
                self._tell_turn(TimeOut(Failure(FailureCode.AGENT_STALLED, "")))
            case Fault.DEADLINE:
                self._tell_turn(TimeOut(Failure(FailureCode.TURN_DEADLINE, "")))
            case Fault.PAUSE:
                self._tell_turn(Pause())
            case _:
                self.actors[fault.victim].kill()

    def _tell_turn(self, mail: Any) -> None:
        turn = self.roster.turn_actors.get(self.turn_id)
        if turn is not None:
            turn.actor_inbox.post(mail)  # as the Supervisor does

    def finish(self) -> None:
        """Run everything, and read to the end."""
        self.loop.run_all()
        while READER in self.steps():
            self.take(READER)
            self.loop.run_all()

    def close(self) -> None:
        """Leave nothing behind but the system."""
        for work, reply in self.calls:
            if reply.done():
                reply.exception()  # one that nobody looked at would be reported
            work.close()
        self.loop.complete(self.processor.shutdown())
        self.replayer.finished.clear()
        left = [actor for actor in self.replayer.system.context.registry.values() if actor.kind != SUPERVISOR]
        if left:
            raise DifferenceError(f"left behind: {left}")

    # What can be seen of it.

    def steps(self) -> set[str]:
        """Who can do something."""
        steps = {_owner(handle) for handle in self.loop.ready}
        if self.record.awaits_reader():
            steps.add(READER)
        if self._unplayed() and self.acknowledged.done() and not self.actors[CONNECTION].stopped:
            steps.add(LISTENER)
        if self.agent.is_asked and not self.stalled:
            steps.add(AGENT)
        if self.before and not self.roster.turns[self.before].end_taken:
            steps.add(BEFORE)
        return steps

    def _unplayed(self) -> list[int]:
        return self.record._unplayed or []

    def _living(self) -> dict[str, EngineActor]:
        return {name: actor for name, actor in self.actors.items() if not actor.stopped}

    def _answer(self) -> str:
        if self.reply is None:
            return ""
        if not self.reply.done():
            return "waits"
        return "died" if self.reply.exception() else str(self.reply.result())

    def state(self) -> dict[str, Any]:
        """The turn as it is now."""
        return {
            **real_state(self.record, self._living()),
            "steps": self.steps(),
            "events": [event_of(event) for event in self.events],
            "knows the turn": self.turn_id in self.roster.turn_actors,
            "answer": self._answer(),
        }

    def end(self) -> dict[str, Any]:
        """What came of it."""
        turn = self.processor.get_turn(self.turn_id)
        assert turn is not None
        if [event["seq"] for event in self.events] != list(range(len(self.events))):
            raise DifferenceError("seq does not count")
        return {
            **real_end(turn),
            "events": [event_of(event) for event in self.events],
            "answer": self._answer(),
            "told of": [each.status for each in self.replayer.finished if each.turn_id == self.turn_id],
            "left": [*self._living(), *(["a task"] if self.record.running_tasks else [])],
        }

    def as_world(self, faults: frozenset[Fault]) -> World:
        """As much of it as the contract on events looks at."""
        events = tuple(event_of(event) for event in self.events)
        return World(self.bounds, events=events, generated=self.record.text(), faults=faults, cut_at=self.cut_at)


def _owner(handle: asyncio.Handle) -> str:
    """Who goes on in it: an actor, the task, or nobody whose steps the model knows."""
    callback: Any = handle._callback  # type: ignore[attr-defined]  # nothing else tells
    if isinstance(callback, EngineActor):
        idle = callback.stopped or (callback.kind == SUPERVISOR and not _has_to_replace(callback))
        return "" if idle else callback.kind
    return TASK if isinstance(getattr(callback, "__self__", None), asyncio.Task) else ""


def _has_to_replace(supervisor: EngineActor) -> bool:
    return any(isinstance(mail, ChildFailed) for mail in (supervisor.actor_inbox._control or {}).values())


def _read(reader: Any) -> dict[str, Any]:
    try:
        reader.__anext__().send(None)
    except StopIteration as taken:
        event: dict[str, Any] = taken.value
        return event
    raise DifferenceError("there is nothing to read")
