"""The supervisor on its own: what it does about what it is told, without processes and without waiting."""

from __future__ import annotations

import logging
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from thespian.actors import ActorAddress, ActorExitRequest, ChildActorExited, WakeupMessage

from actors.fleet.mail import (
    Answer,
    Ask,
    AskStatus,
    Drain,
    Drained,
    Find,
    FleetStatus,
    Found,
    Interrupt,
    LaunchNode,
    LookUp,
    Moved,
    NodeAsker,
    NodeFailed,
    NodeReport,
    NodeServing,
    Passed,
    Plan,
    Refused,
    Report,
    Restarted,
    RestartNodes,
    Started,
    StartFleet,
    StopFleet,
    Stopped,
)
from actors.fleet.supervisor import FleetSupervisor

PLAN = Plan(
    address="http://127.0.0.1:8000",
    host="127.0.0.1",
    port=8000,
    agent="echo",
    tokens_per_second=50,
    nodes=2,
    drain_seconds=10,
    leader=1,
)


class Address(str, ActorAddress):  # type: ignore[misc]  # Thespian has no types
    """An address that can be read."""

    __slots__ = ()


class Thespian:
    """Stands where Thespian does: it makes no processes, and time passes when a test says so."""

    address = Address("supervisor")

    def __init__(self) -> None:
        self.sent: list[tuple[Any, Any]] = []
        self.timers: list[tuple[timedelta, Any]] = []
        self._numbers = count(1)
        self.supervisor = FleetSupervisor()
        self.supervisor._myRef = self

    # What an actor calls.

    def createActor(self, *_arguments: Any) -> str:  # noqa: N802
        return Address(f"actor-{next(self._numbers)}")

    def actor_send(self, address: Any, message: Any) -> None:
        self.sent.append((address, message))

    def wakeupAfter(self, after: timedelta, payload: Any) -> None:  # noqa: N802
        self.timers.append((after, payload))

    # What a test does.

    def tell(self, message: Any, sender: str = "outside") -> list[tuple[Any, Any]]:
        """Have a message handled, and return what was sent."""
        self.sent.clear()
        self.supervisor.receiveMessage(message, Address(sender))
        return list(self.sent)

    def wait(self, seconds: float) -> list[tuple[Any, Any]]:
        """Let the timers of this length fire."""
        self.sent.clear()
        due = [timer for timer in self.timers if timer[0] == timedelta(seconds=seconds)]
        self.timers = [timer for timer in self.timers if timer not in due]
        for after, payload in due:
            self.supervisor.receiveMessage(WakeupMessage(after, payload), "supervisor")
        return list(self.sent)

    def serve(self, name: str, actor: str, pid: int = 2**22 + 1) -> list[tuple[Any, Any]]:
        """A node begins to serve. (No process has that id.)"""
        return self.tell(NodeServing(name, pid, "http://127.0.0.1:9"), actor)

    def states(self) -> dict[str, str]:
        return {name: str(node.state) for name, node in self.supervisor._nodes.items()}


@pytest.fixture
def thespian() -> Thespian:
    """Two nodes that serve, as actor-1 and actor-2."""
    made = Thespian()
    sent = made.tell(StartFleet(PLAN))
    assert sent == [("actor-1", LaunchNode("node-1", PLAN)), ("actor-2", LaunchNode("node-2", PLAN))]
    assert made.serve("node-1", "actor-1") == []
    [(asker, started)] = made.serve("node-2", "actor-2")
    assert (asker, type(started)) == ("outside", Started)
    return made


def test_who_dies_is_started_again_and_who_dies_too_often_is_given_up_loudly(
    thespian: Thespian, caplog: pytest.LogCaptureFixture
) -> None:
    actor = "actor-1"
    for delay, successor in zip((0.0, 0.25, 0.5, 1.0, 2.0), range(3, 8), strict=True):
        assert thespian.tell(ChildActorExited(actor), actor) == []
        assert thespian.states() == {"node-1": "waiting", "node-2": "serving"}
        actor = f"actor-{successor}"
        assert thespian.wait(delay) == [(actor, LaunchNode("node-1", PLAN))]
        thespian.serve("node-1", actor)
    with caplog.at_level(logging.CRITICAL):
        thespian.tell(ChildActorExited(actor), actor)
    assert thespian.states() == {"node-1": "given_up", "node-2": "serving"}
    assert "node-1 died more than 5 times in 60 s: GIVEN UP" in caplog.text
    assert thespian.timers
    assert thespian.tell(RestartNodes(("node-1",))) == [("actor-8", LaunchNode("node-1", PLAN))]
    assert thespian.serve("node-1", "actor-8") == [("outside", Restarted(("node-1",)))]


def test_a_death_is_mourned_once_however_often_it_is_told(thespian: Thespian) -> None:
    thespian.tell(ChildActorExited("actor-1"), "actor-1")
    thespian.tell(ChildActorExited("actor-1"), "actor-1")
    assert thespian.wait(0.0) == [("actor-3", LaunchNode("node-1", PLAN))]
    thespian.tell(ChildActorExited("actor-1"), "actor-1")
    assert thespian.states()["node-1"] == "starting"


def test_a_node_that_does_not_get_to_serve_is_ended_and_counts_as_dead(thespian: Thespian) -> None:
    thespian.tell(ChildActorExited("actor-1"), "actor-1")
    thespian.wait(0.0)
    assert thespian.wait(60.0)[0][0] == "actor-3"
    thespian.tell(ChildActorExited("actor-3"), "actor-3")
    assert thespian.states()["node-1"] == "waiting"


def test_a_fleet_that_cannot_serve_does_not_start_and_says_why() -> None:
    thespian = Thespian()
    thespian.tell(StartFleet(PLAN))
    sent = thespian.tell(NodeFailed("node-1", "the port is taken"), "actor-1")
    assert ("outside", Refused("fleet_start", "the port is taken")) in sent
    ended = [address for address, message in sent if isinstance(message, ActorExitRequest)]
    assert set(ended) == {"actor-1", "actor-2"}


def test_the_directory_knows_what_is_where_and_forgets_what_died(thespian: Thespian) -> None:
    thespian.tell(Moved("node-1", ("a", "b"), ()), "actor-1")
    thespian.tell(Moved("node-2", ("c",), ()), "actor-2")
    assert thespian.tell(Interrupt("c")) == [("actor-2", Passed("outside", Interrupt("c")))]
    thespian.tell(Moved("node-1", (), ("b",)), "actor-1")
    [(_, refused)] = thespian.tell(Interrupt("b"))
    assert refused.code == "fleet_connection_not_found"
    thespian.tell(ChildActorExited("actor-1"), "actor-1")
    [(_, refused)] = thespian.tell(Interrupt("a"))
    assert refused.code == "fleet_connection_not_found"
    thespian.tell(Moved("node-1", ("late",), ()), "actor-1")  # of a life that is over
    [(_, refused)] = thespian.tell(Interrupt("late"))
    assert refused.code == "fleet_connection_not_found"


def test_a_node_is_told_where_a_connection_is_and_what_died(thespian: Thespian) -> None:
    thespian.tell(Moved("node-1", ("a",), ()), "actor-1")
    here = Found("http://127.0.0.1:9")
    assert thespian.tell(Ask(7, Find("a")), "actor-2") == [("actor-2", Answer(7, here))]
    assert thespian.tell(Ask(8, Find("nobody")), "actor-2") == [("actor-2", Answer(8, Found(None)))]
    thespian.tell(ChildActorExited("actor-1"), "actor-1")
    assert thespian.tell(Ask(9, Find("a")), "actor-2") == [("actor-2", Answer(9, Found(None, died=True)))]


def test_what_a_node_drained_in_good_form_has_not_died(thespian: Thespian) -> None:
    thespian.tell(Moved("node-1", ("a",), ()), "actor-1")
    thespian.tell(Drain("node-1"))
    thespian.tell(ChildActorExited("actor-1"), "actor-1")
    assert thespian.tell(Find("a")) == [("outside", Found(None))]


def test_a_node_may_ask_what_the_outside_may(thespian: Thespian) -> None:
    thespian.tell(Moved("node-1", ("a",), ()), "actor-1")
    [(node, passed)] = thespian.tell(Ask(7, LookUp("a")), "actor-2")
    assert (node, passed) == ("actor-1", Passed(NodeAsker("actor-2", 7), LookUp("a")))
    [(node, answer)] = thespian.tell(Ask(8, Interrupt("nobody")), "actor-2")
    assert (node, answer.number, answer.answer.code) == ("actor-2", 8, "fleet_connection_not_found")


def test_status_sums_up_and_does_not_wait_for_a_node_that_does_not_answer(thespian: Thespian) -> None:
    asked = thespian.tell(AskStatus(), "asker")
    assert asked == [("actor-1", Report(1)), ("actor-2", Report(1))]
    assert thespian.tell(NodeReport("node-1", 1, 3, {"turns_completed": 4}), "actor-1") == []
    [(asker, status)] = thespian.wait(1.0)
    assert (asker, type(status), status.connections) == ("asker", FleetStatus, 3)
    assert [node.state for node in status.nodes] == ["serving", "unresponsive"]
    thespian.tell(AskStatus(), "asker")
    thespian.tell(NodeReport("node-1", 2, 3, {"turns_completed": 4}), "actor-1")
    [(_, status)] = thespian.tell(NodeReport("node-2", 2, 5, {"turns_completed": 2}), "actor-2")
    assert (status.connections, status.figures) == (8, {"turns_completed": 6})


def test_what_makes_no_sense_is_refused_with_a_code(thespian: Thespian) -> None:
    assert thespian.tell(Drain("node-9")) == [
        ("outside", Refused("node_not_found", "there is no node node-9; there are node-1, node-2"))
    ]
    thespian.tell(ChildActorExited("actor-1"), "actor-1")
    assert thespian.tell(Drain("node-1")) == [("outside", Refused("node_busy", "node-1 is waiting"))]
    [(_, refused)] = thespian.tell(StartFleet(PLAN), "second")
    assert refused.code == "fleet_running"


def test_a_drained_node_is_not_started_again(thespian: Thespian) -> None:
    assert thespian.tell(Drain("node-1")) == [("actor-1", Drain())]
    [(actor, message)] = thespian.tell(Drained("node-1"), "actor-1")
    assert (actor, type(message)) == ("actor-1", ActorExitRequest)
    assert thespian.tell(ChildActorExited("actor-1"), "actor-1") == [("outside", Drained("node-1"))]
    assert thespian.states() == {"node-1": "drained", "node-2": "serving"}
    assert thespian.wait(0.0) == []


def test_a_roll_takes_the_next_node_when_the_one_before_serves_again(thespian: Thespian) -> None:
    assert thespian.tell(RestartNodes()) == [("actor-1", Drain())]
    thespian.tell(Drained("node-1"), "actor-1")
    assert thespian.tell(ChildActorExited("actor-1"), "actor-1") == [("actor-3", LaunchNode("node-1", PLAN))]
    assert thespian.serve("node-1", "actor-3") == [("actor-2", Drain())]
    thespian.tell(Drained("node-2"), "actor-2")
    thespian.tell(ChildActorExited("actor-2"), "actor-2")
    assert thespian.serve("node-2", "actor-4") == [("outside", Restarted(("node-1", "node-2")))]


def test_the_fleet_has_stopped_when_every_node_has_ended(thespian: Thespian) -> None:
    assert thespian.tell(StopFleet()) == [("actor-1", Drain()), ("actor-2", Drain())]
    thespian.tell(Drained("node-1"), "actor-1")
    assert thespian.tell(ChildActorExited("actor-1"), "actor-1") == []
    [(asker, stopped)] = thespian.tell(ChildActorExited("actor-2"), "actor-2")  # be it that it died of it
    assert (asker, type(stopped), len(stopped.pids)) == ("outside", Stopped, 2)


def test_a_supervisor_that_was_made_by_a_question_ends() -> None:
    lonely = Thespian()
    answer, end = lonely.tell(AskStatus())
    assert answer[1].code == "fleet_not_running"
    assert (end[0], type(end[1])) == ("supervisor", ActorExitRequest)
