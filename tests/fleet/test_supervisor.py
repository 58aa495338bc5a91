"""The supervisor on its own: what it does about what it is told, without processes and without waiting."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from thespian.actors import (
    ActorAddress,
    ActorExitRequest,
    ActorSystemConventionUpdate,
    ChildActorExited,
    WakeupMessage,
)

from actors.fleet.mail import (
    Answer,
    Ask,
    Asker,
    AskStatus,
    Drain,
    Drained,
    Elsewhere,
    Find,
    FleetStatus,
    Found,
    Greeting,
    Interrupt,
    LaunchNode,
    LookUp,
    Moved,
    NodeFailed,
    NodeReport,
    NodeServing,
    NodeState,
    NodeStatus,
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
from actors.fleet.peers import SUPERVISOR
from actors.fleet.supervisor import FleetSupervisor

PLAN = Plan(
    address="http://127.0.0.1:8000",
    host="127.0.0.1",
    port=8000,
    agent="echo",
    tokens_per_second=50,
    nodes=2,
    name="node",
    control="127.0.0.1:8790",
    join=None,
    advertised="127.0.0.1",
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
        self.capabilities: dict[str, Any] = {}
        self.timers: list[tuple[timedelta, Any]] = []
        self._numbers = count(1)
        self.supervisor = FleetSupervisor()
        self.supervisor._myRef = self

    # What an actor calls.

    def createActor(self, *_arguments: Any) -> str:  # noqa: N802
        return Address(f"actor-{next(self._numbers)}")

    def actor_send(self, address: Any, message: Any) -> None:
        self.sent.append((address, message))

    def notifyOnSystemRegistrationChanges(self, *_arguments: Any) -> None: ...  # noqa: N802

    def updateCapability(self, name: str, value: Any) -> None:  # noqa: N802
        self.capabilities[name] = value

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
    assert thespian.tell(Ask(8, Find("nobody")), "actor-2") == [
        ("actor-2", Answer(8, Refused("fleet_connection_not_found", "no node has a connection nobody")))
    ]
    thespian.tell(ChildActorExited("actor-1"), "actor-1")
    assert thespian.tell(Ask(9, Find("a")), "actor-2") == [("actor-2", Answer(9, Found(None)))]


def test_what_a_node_drained_in_good_form_has_not_died(thespian: Thespian) -> None:
    thespian.tell(Moved("node-1", ("a",), ()), "actor-1")
    thespian.tell(Drain("node-1"))
    thespian.tell(Drained("node-1"), "actor-1")
    thespian.tell(ChildActorExited("actor-1"), "actor-1")
    [(_, refused)] = thespian.tell(Find("a"))
    assert refused.code == "fleet_connection_not_found"


def test_what_a_node_had_that_did_not_get_to_the_end_of_its_drain_has_died(thespian: Thespian) -> None:
    thespian.tell(Moved("node-1", ("a",), ()), "actor-1")
    thespian.tell(Drain("node-1"))
    assert thespian.tell(ChildActorExited("actor-1"), "actor-1") == [("outside", Drained("node-1"))]
    assert thespian.tell(Find("a")) == [("outside", Found(None))]
    assert thespian.states()["node-1"] == "drained"


def test_a_node_may_ask_what_the_outside_may(thespian: Thespian) -> None:
    thespian.tell(Moved("node-1", ("a",), ()), "actor-1")
    [(node, passed)] = thespian.tell(Ask(7, LookUp("a")), "actor-2")
    assert (node, passed) == ("actor-1", Passed(Asker("actor-2", 7), LookUp("a")))
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


def test_status_does_not_wait_for_a_node_that_dies_meanwhile(thespian: Thespian) -> None:
    thespian.tell(AskStatus(), "asker")
    thespian.tell(NodeReport("node-1", 1, 3, {}), "actor-1")
    [(asker, status)] = thespian.tell(ChildActorExited("actor-2"), "actor-2")
    assert (asker, [node.state for node in status.nodes]) == ("asker", ["serving", "waiting"])


def test_what_makes_no_sense_is_refused_with_a_code(thespian: Thespian) -> None:
    assert thespian.tell(Drain("node-9")) == [
        ("outside", Refused("node_not_found", "there is no node node-9; here are node-1, node-2"))
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


def test_a_node_that_is_only_starting_does_not_hold_up_the_end(thespian: Thespian) -> None:
    thespian.tell(ChildActorExited("actor-1"), "actor-1")
    thespian.wait(0.0)
    (starting, ended), (serving, drained) = thespian.tell(StopFleet())
    assert (starting, type(ended), serving, drained) == ("actor-3", ActorExitRequest, "actor-2", Drain())


def test_a_roll_ends_with_the_fleet(thespian: Thespian) -> None:
    """Or it would start the node that it was waiting for once more."""
    thespian.tell(RestartNodes(), "rolling")
    stopping = Refused("node_busy", "the fleet is about to end")
    assert thespian.tell(StopFleet()) == [("rolling", stopping), ("actor-2", Drain())]
    thespian.tell(Drained("node-1"), "actor-1")
    assert thespian.tell(ChildActorExited("actor-1"), "actor-1") == []
    assert thespian.tell(RestartNodes(), "late") == [("late", stopping)]
    thespian.tell(Drained("node-2"), "actor-2")
    [(asker, stopped)] = thespian.tell(ChildActorExited("actor-2"), "actor-2")
    assert (asker, type(stopped)) == ("outside", Stopped)


def test_a_supervisor_that_was_made_by_a_question_ends() -> None:
    lonely = Thespian()
    answer, end = lonely.tell(AskStatus())
    assert answer[1].code == "fleet_not_running"
    assert (end[0], type(end[1])) == ("supervisor", ActorExitRequest)


# Other hosts.


class Admin:
    """The address of another host's admin."""

    class addressDetails:  # noqa: N801
        sockname = ("10.0.0.2", 8790)


def came(supervisor: str | None) -> ActorSystemConventionUpdate:
    return ActorSystemConventionUpdate(Admin, {SUPERVISOR: Address(supervisor)} if supervisor else {}, added=True)


GONE = ActorSystemConventionUpdate(Admin, {}, added=False)
UNKNOWN = Refused("fleet_connection_not_found", "no node has a connection a")


@pytest.fixture
def joined(thespian: Thespian) -> Thespian:
    """Knows one other host."""
    assert thespian.tell(came("far")) == [("far", Greeting("127.0.0.1:8790"))]
    return thespian


def test_a_host_says_whom_to_ask_before_it_joins_another() -> None:
    thespian = Thespian()
    thespian.tell(StartFleet(replace(PLAN, join="10.0.0.2:8790", nodes=1)))
    assert list(thespian.capabilities) == [SUPERVISOR, "Convention Address.IPv4"]
    assert thespian.serve("node-1", "actor-1") == []
    assert [type(sent) for _, sent in thespian.tell(came("far"))] == [Greeting, Started]


def test_a_host_that_finds_nobody_to_join_does_not_start() -> None:
    thespian = Thespian()
    thespian.tell(StartFleet(replace(PLAN, join="10.0.0.2:8790", nodes=1)))
    thespian.serve("node-1", "actor-1")
    assert ("outside", Refused("fleet_start", "no fleet answers at 10.0.0.2:8790, or it has another key")) in (
        thespian.wait(15.0)
    )


def test_what_is_not_here_is_asked_elsewhere_and_the_first_who_knows_is_believed(joined: Thespian) -> None:
    joined.tell(Greeting("10.0.0.3:8790"), "farther")
    [(first, asked), (second, asked_too)] = joined.tell(Ask(5, Find("a")), "actor-1")
    assert (first, second) == ("far", "farther")
    assert asked.question == asked_too.question == Elsewhere(Find("a"), 1)
    assert joined.tell(Answer(asked.number, UNKNOWN), "far") == []
    found = Found("http://10.0.0.3:9")
    assert joined.tell(Answer(asked_too.number, found), "farther") == [("actor-1", Answer(5, found))]
    assert joined.wait(4.0) == []


def test_why_another_host_cannot_do_it_is_told(joined: Thespian) -> None:
    """It knows the node, so that it would be wrong to say that nobody does."""
    [(_, asked)] = joined.tell(Drain("far-1"))
    busy = Refused("node_busy", "far-1 is starting")
    assert joined.tell(Answer(asked.number, busy), "far") == [("outside", busy)]


@pytest.mark.parametrize("answered", [True, False])
def test_when_nobody_knows_it_is_refused(joined: Thespian, answered: bool) -> None:
    [(_, asked)] = joined.tell(LookUp("a"))
    sent = joined.tell(Answer(asked.number, UNKNOWN), "far") if answered else joined.wait(4.0)
    assert sent == [("outside", UNKNOWN)]


def test_a_question_goes_from_the_rim_to_the_middle_to_the_rim_and_no_further(joined: Thespian) -> None:
    joined.tell(Greeting("10.0.0.3:8790"), "farther")
    [(asked, passed)] = joined.tell(Ask(5, Elsewhere(Find("a"), 1)), "far")  # not back to where it came from
    assert (asked, passed.question) == ("farther", Elsewhere(Find("a"), 0))
    assert joined.tell(Ask(6, Elsewhere(Find("a"), 0)), "far") == [("far", Answer(6, UNKNOWN))]


def test_a_host_that_is_gone_is_not_asked(joined: Thespian) -> None:
    joined.tell(GONE)
    assert joined.tell(LookUp("a")) == [("outside", UNKNOWN)]


def test_a_host_whose_supervisor_is_not_there_yet_greets_when_it_is(thespian: Thespian) -> None:
    assert thespian.tell(came(None)) == []
    assert thespian.tell(Greeting("10.0.0.2:8790"), "far") == []
    [(asked, _)] = thespian.tell(LookUp("a"))
    assert asked == "far"


def test_status_has_the_nodes_of_other_hosts(joined: Thespian) -> None:
    sent = joined.tell(AskStatus(), "asker")
    asked = next(message for address, message in sent if address == "far")
    joined.tell(NodeReport("node-1", 1, 1, {"turns_completed": 4}), "actor-1")
    assert joined.tell(NodeReport("node-2", 1, 1, {}), "actor-2") == []
    theirs = NodeStatus("far-1", NodeState.SERVING, 5, "http://10.0.0.2:9", 3, 0, {"turns_completed": 2})
    far = FleetStatus("http://10.0.0.2:8000", 1, 2, 3, 10.0, (), (theirs,), 3, {})
    [(asker, status)] = joined.tell(Answer(asked.number, far), "far")
    assert (asker, [node.name for node in status.nodes]) == ("asker", ["node-1", "node-2", "far-1"])
    assert (status.connections, status.figures, status.others) == (5, {"turns_completed": 6}, ("10.0.0.2:8790",))
