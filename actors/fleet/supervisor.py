"""`FleetSupervisor`: starts the nodes of a host, hears of their death, starts them again, and knows what is where.

It hears of a death from Thespian (`ChildActorExited`), milliseconds after it, whatever the cause. Who died is started
again by the `RestartPolicy`; who dies too often is given up, loudly, and the others go on. A message of a life that
has been replaced meanwhile is known by its sender, and is of no effect.

The directory (connection → node) is what the nodes tell, in batches. It holds ids, and nothing that anybody said.
Questions about one connection are passed on to its node, which answers the asker itself.

Thespian calls a handler a second time with the same message when it raises; so none leaves work half done.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any

from thespian.actors import ActorExitRequest, ActorTypeDispatcher, ChildActorExited, WakeupMessage
from thespian.system.messages.convention import CONV_ADDR_IPV4_CAPABILITY

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
    addressed,
)
from actors.fleet.peers import SUPERVISOR, Peers, host_of
from actors.fleet.restarts import RestartPolicy
from actors.fleet.rolling import Roll
from protocol.errors import (
    AntiphonError,
    FleetConnectionNotFoundError,
    FleetNotRunningError,
    FleetRunningError,
    FleetStartError,
    NodeBusyError,
    NodeNotFoundError,
)

__all__ = ["FleetSupervisor", "Node"]

_NODE = "actors.fleet.node.NodeActor"
"""By its name, so that only the nodes load what a gateway needs."""
_START_SECONDS = 60.0
"""A node that does not serve by then is ended, and counts as one that died."""
_SURVEY_SECONDS = 1.0
"""A node that does not answer by then is unresponsive."""
_EXIT_SECONDS = 2.0
"""How long a node's process may take to end once it has drained."""
_DRAIN_SLACK_SECONDS = 5.0
_ELSEWHERE_SECONDS = 4.0
"""How long another host may take to answer."""
_JOIN_SECONDS = 15.0
_HOPS = 2
"""From the rim of the star to its middle, and from there to the others."""
_ENDING = "the fleet is about to end"
_DIED_SECONDS = 120.0
_DIED_KEPT = 100_000
"""How long, and how many connections that died with their nodes are remembered, for clients that come back."""

_log = logging.getLogger("antiphon.fleet")


@dataclass
class Node:
    """A node, over all its lives."""

    name: str
    state: NodeState = NodeState.STARTING
    policy: RestartPolicy = field(default_factory=RestartPolicy)
    actor: Any = None
    """Thespian's address of the present life."""
    life: int = 0
    """The number of that life; a timer of an earlier one does nothing."""
    pid: int | None = None
    last_pid: int | None = None
    """The same, also after its end."""
    address: str | None = None
    emptied: bool = False
    """Whether it has said that it serves nobody any more."""
    last_failure: str | None = None
    asked_to_drain: list[Any] = field(default_factory=list)
    """Who waits for its end."""

    @property
    def has_process(self) -> bool:
        return self.actor is not None


@dataclass
class _Survey:
    """Somebody wants to know how it is going; some nodes have not answered yet."""

    asker: Any
    waiting: set[str]
    reports: dict[str, NodeReport] = field(default_factory=dict)
    elsewhere: list[FleetStatus] | None = field(default_factory=list)
    """Of other hosts; None while they are waited for."""


class FleetSupervisor(ActorTypeDispatcher):  # type: ignore[misc]  # Thespian has no types
    """Made by the leader, which sends `StartFleet` first."""

    def __init__(self) -> None:
        super().__init__()
        self._plan: Plan | None = None
        self._starter: Any = None
        self._nodes: dict[str, Node] = {}
        self._directory: dict[str, str] = {}
        self._died: dict[str, float] = {}
        """Connections that died with their nodes, and when."""
        self._surveys: dict[int, _Survey] = {}
        self._numbers = count(1)
        self._rolls: list[Roll] = []
        self._peers = Peers(self.send, self._later)
        self._hops = _HOPS
        """How often what is asked now may be passed on to other hosts."""
        self._stopper: Any = None
        self._stopping = False

    # Starting.

    def receiveMsg_StartFleet(self, message: StartFleet, sender: Any) -> None:  # noqa: N802 - as Thespian calls it
        """Launch every node."""
        if self._plan is not None:
            self._answer(sender, _refused(FleetRunningError, "the fleet runs already"))
            return
        self._plan, self._starter = message.plan, sender
        for number in range(1, message.plan.nodes + 1):
            node = Node(f"{message.plan.name}-{number}")
            self._nodes[node.name] = node
            self._launch(node)
        self._meet(message.plan)

    def _launch(self, node: Node) -> None:
        node.life += 1
        node.state, node.pid, node.address, node.emptied = NodeState.STARTING, None, None, False
        node.actor = self.createActor(_NODE)
        assert self._plan is not None, "nodes come with a plan"
        self.send(node.actor, LaunchNode(node.name, self._plan))
        self._later(_START_SECONDS, partial(self._too_slow, node, node.life))

    def _too_slow(self, node: Node, life: int) -> None:
        if node.life == life and node.state is NodeState.STARTING:
            node.last_failure = f"did not serve within {_START_SECONDS:g} s"
            self._kill(node)

    def receiveMsg_NodeServing(self, message: NodeServing, sender: Any) -> None:  # noqa: N802
        """One more serves."""
        node = self._nodes[message.name]
        if node.state is not NodeState.STARTING:
            return
        node.actor, node.address = sender, message.address
        node.pid = node.last_pid = message.pid
        if self._stopping:
            self._drain(node)
            return
        node.state = NodeState.SERVING
        _log.info("%s serves at %s (process %d)", node.name, node.address, node.pid)
        self._if_all_serve()
        for roll in tuple(self._rolls):
            roll.go_on()

    def _if_all_serve(self) -> None:
        all_serve = all(node.state is NodeState.SERVING for node in self._nodes.values())
        met = self._plan is not None and (self._plan.join is None or len(self._peers) > 0)
        if self._starter is not None and all_serve and met:
            self._answer(self._starter, Started(os.getpid(), os.getppid()))
            self._starter = None

    def receiveMsg_NodeFailed(self, message: NodeFailed, sender: Any) -> None:  # noqa: N802
        """It cannot serve. Before the fleet ever did, that is the fleet's own end."""
        node = self._nodes[message.name]
        node.last_failure = message.message
        self.send(sender, ActorExitRequest())
        if self._starter is not None:
            self._give_up_start(message.message)

    def _give_up_start(self, why: str) -> None:
        self._answer(self._starter, _refused(FleetStartError, why))
        self._starter = None
        self.receiveMsg_StopFleet(StopFleet(at_once=True), None)

    # Other hosts.

    def _meet(self, plan: Plan) -> None:
        """Let other hosts know whom to ask here, and then join one; in this order, for it is told once."""
        self.notifyOnSystemRegistrationChanges(True)
        self.updateCapability(SUPERVISOR, self.myAddress)
        if plan.join is not None:
            self.updateCapability(CONV_ADDR_IPV4_CAPABILITY, plan.join)
            self._later(_JOIN_SECONDS, self._nobody_to_join)

    def _nobody_to_join(self) -> None:
        if self._starter is not None and self._plan is not None and not len(self._peers):
            self._give_up_start(f"no fleet answers at {self._plan.join}, or it has another key")

    def receiveMsg_ActorSystemConventionUpdate(self, message: Any, _sender: Any) -> None:  # noqa: N802
        """A host has come, or is gone. The nodes here serve on, whichever it was."""
        host = host_of(message.remoteAdminAddress)
        if not message.remoteAdded:
            if self._peers.gone(host):
                _log.warning("the host of %s is gone", host)
        elif self._plan is not None and (supervisor := message.remoteCapabilities.get(SUPERVISOR)) is not None:
            self.send(supervisor, Greeting(self._plan.control))
            self._met(host, supervisor)

    def receiveMsg_Greeting(self, message: Greeting, sender: Any) -> None:  # noqa: N802
        """A host has come."""
        self._met(message.host, sender)

    def _met(self, host: str, supervisor: Any) -> None:
        if self._peers.met(host, supervisor):
            _log.info("the host of %s has come", host)
        self._if_all_serve()

    def receiveMsg_Elsewhere(self, message: Elsewhere, sender: Any) -> None:  # noqa: N802
        """Another supervisor has a question."""
        self._hops = message.hops
        try:
            self.receiveMessage(message.question, sender)
        finally:
            self._hops = _HOPS

    def receiveMsg_Answer(self, message: Answer, _sender: Any) -> None:  # noqa: N802
        """Another supervisor, or a node of its, has answered."""
        self._peers.answered(message)

    def _ask_elsewhere(
        self, question: Any, asker: Any, refusal: Refused, seconds: float = _ELSEWHERE_SECONDS
    ) -> None:
        """Have other hosts answer what this one cannot, or refuse."""

        def done(answers: list[Any]) -> None:
            self._answer(asker, answers[0] if answers else refusal)

        if self._hops:
            but = asker.address if isinstance(asker, Asker) else None
            self._peers.ask(question, done, seconds=seconds, hops=self._hops - 1, but=but)
        else:
            done([])

    # Death.

    def receiveMsg_ChildActorExited(self, message: ChildActorExited, _sender: Any) -> None:  # noqa: N802
        """A node's process has ended, in whatever way."""
        for node in self._nodes.values():
            if node.actor is not None and node.actor == message.childAddress:
                self._ended(node)
                return

    def _ended(self, node: Node) -> None:
        meant = node.state is NodeState.DRAINING
        lost = [connection for connection, name in self._directory.items() if name == node.name]
        for connection in lost:
            del self._directory[connection]
        if not (meant and node.emptied):
            self._remember(lost)
        node.actor = node.pid = node.address = None
        if meant or self._stopping:
            node.state = NodeState.DRAINED
        else:
            self._mourn(node, len(lost))
        for number, survey in tuple(self._surveys.items()):
            survey.waiting.discard(node.name)  # it will not answer any more
            self._if_surveyed(number)
        for asker in node.asked_to_drain:
            self._answer(asker, Drained(node.name))
        node.asked_to_drain.clear()
        for roll in tuple(self._rolls):
            roll.go_on()
        self._if_all_ended()

    def _remember(self, died: list[str]) -> None:
        now = time.monotonic()
        self._died.update(dict.fromkeys(died, now))
        while self._died:
            first, since = next(iter(self._died.items()))
            if len(self._died) <= _DIED_KEPT and now - since < _DIED_SECONDS:
                break
            del self._died[first]

    def _mourn(self, node: Node, lost: int) -> None:
        why = f" ({node.last_failure})" if node.last_failure else ""
        delay = node.policy.died(time.monotonic())
        if delay is None:
            node.state = NodeState.GIVEN_UP
            _log.critical(
                "%s died more than %d times in %g s%s: GIVEN UP, until `antiphon fleet restart %s`",
                node.name,
                node.policy.most,
                node.policy.seconds,
                why,
                node.name,
            )
            if self._starter is not None:
                self._give_up_start(f"{node.name} died again and again{why}")
            return
        _log.error("%s died with %d connections%s: it starts again in %.2f s", node.name, lost, why, delay)
        node.state = NodeState.WAITING
        self._later(delay, partial(self._again, node, node.life))

    def _again(self, node: Node, life: int) -> None:
        if node.life == life and node.state is NodeState.WAITING and not self._stopping:
            self._launch(node)

    # Draining, rolling, stopping.

    def receiveMsg_Drain(self, message: Drain, sender: Any) -> None:  # noqa: N802
        """Drain one node; the answer comes when its process has ended."""
        node = self._nodes.get(message.node)
        if node is None:
            self._ask_elsewhere(message, sender, self._no_node(message.node), self._drain_limit() + _EXIT_SECONDS)
            return
        if node.state not in (NodeState.SERVING, NodeState.DRAINING):
            self._answer(sender, _refused(NodeBusyError, f"{node.name} is {node.state}"))
            return
        node.asked_to_drain.append(sender)
        self._drain(node)

    def _drain(self, node: Node) -> None:
        if node.state is not NodeState.DRAINING:
            node.state = NodeState.DRAINING
            self.send(node.actor, Drain())
            self._later(self._drain_limit(), partial(self._overdue, node, node.life))

    def _drain_limit(self) -> float:
        assert self._plan is not None, "nodes come with a plan"
        return self._plan.drain_seconds + _DRAIN_SLACK_SECONDS

    def _overdue(self, node: Node, life: int) -> None:
        if node.life == life and node.has_process and node.state is NodeState.DRAINING:
            self._kill(node)

    def receiveMsg_Drained(self, message: Drained, sender: Any) -> None:  # noqa: N802
        """It serves nobody any more: its process may end."""
        node = self._nodes[message.node]
        if node.actor == sender:
            node.emptied = True
            self.send(sender, ActorExitRequest())
            self._later(_EXIT_SECONDS, partial(self._overdue, node, node.life))

    def receiveMsg_RestartNodes(self, message: RestartNodes, sender: Any) -> None:  # noqa: N802
        """Roll a restart: one node after the other, so that the port is always served."""
        if self._stopping:
            self._answer(sender, _refused(NodeBusyError, _ENDING))
            return
        names = message.nodes or tuple(self._nodes)
        nodes = []
        for name in names:
            node = self._nodes.get(name)
            if node is None:
                self._answer(sender, self._no_node(name))
                return
            nodes.append(node)
        roll = Roll(self, nodes, partial(self._rolled, sender, names))
        self._rolls.append(roll)
        roll.go_on()

    def _rolled(self, asker: Any, names: tuple[str, ...], roll: Roll, failed: str | None) -> None:
        self._rolls.remove(roll)
        self._answer(asker, Restarted(names) if failed is None else _refused(NodeBusyError, failed))

    def receiveMsg_StopFleet(self, message: StopFleet, sender: Any) -> None:  # noqa: N802
        """End every node, in good form unless it is to be at once."""
        self._stopper = sender or self._stopper
        self._stopping = True
        for roll in tuple(self._rolls):
            roll.give_up(_ENDING)
        for node in self._nodes.values():
            if not node.has_process:
                node.state = NodeState.DRAINED
            elif message.at_once or node.state is NodeState.STARTING:  # which has nobody yet
                self._kill(node)
            else:
                self._drain(node)
        self._if_all_ended()

    def _if_all_ended(self) -> None:
        if (
            self._stopping
            and self._stopper is not None
            and not any(node.has_process for node in self._nodes.values())
        ):
            self._answer(
                self._stopper,
                Stopped(tuple(node.last_pid for node in self._nodes.values() if node.last_pid is not None)),
            )
            self._stopper = None

    def _kill(self, node: Node) -> None:
        if node.pid is None:  # it has not said who it is yet; Thespian knows
            self.send(node.actor, ActorExitRequest())
        else:
            with suppress(ProcessLookupError):
                os.kill(node.pid, signal.SIGKILL)

    # What is where.

    def receiveMsg_Moved(self, message: Moved, sender: Any) -> None:  # noqa: N802
        """Keep the directory."""
        node = self._nodes[message.name]
        if node.actor != sender:
            return
        for connection in message.opened:
            self._directory[connection] = node.name
        for connection in message.ended:
            self._directory.pop(connection, None)

    def receiveMsg_Interrupt(self, message: Interrupt, sender: Any) -> None:  # noqa: N802
        """Pass it on to the connection's node."""
        self._pass_on(message, sender)

    def receiveMsg_LookUp(self, message: LookUp, sender: Any) -> None:  # noqa: N802
        """Pass it on to the connection's node."""
        self._pass_on(message, sender)

    def _pass_on(self, request: Interrupt | LookUp, asker: Any) -> None:
        name = self._directory.get(request.connection_id)
        if name is None:
            self._ask_elsewhere(request, asker, _unknown(request.connection_id))
        else:
            self.send(self._nodes[name].actor, Passed(asker, request))

    def receiveMsg_Find(self, message: Find, sender: Any) -> None:  # noqa: N802
        """Say where a connection is."""
        name = self._directory.get(message.connection_id)
        if name is not None:
            self._answer(sender, Found(self._nodes[name].address))
        elif message.connection_id in self._died:
            self._answer(sender, Found(None))
        else:
            self._ask_elsewhere(message, sender, _unknown(message.connection_id))

    def receiveMsg_Ask(self, message: Ask, sender: Any) -> None:  # noqa: N802
        """A question with a number."""
        self.receiveMessage(message.question, Asker(sender, message.number))

    def _answer(self, asker: Any, answer: Any) -> None:
        self.send(*addressed(asker, answer))

    # How it is going.

    def receiveMsg_AskStatus(self, _message: AskStatus, sender: Any) -> None:  # noqa: N802
        """Ask the nodes, and answer when they have, or when the time is over."""
        if self._plan is None:  # made by the question: there is no fleet
            self._answer(sender, _refused(FleetNotRunningError, "no fleet runs here"))
            self.send(self.myAddress, ActorExitRequest())
            return
        number = next(self._numbers)
        asked = [node for node in self._nodes.values() if node.state in (NodeState.SERVING, NodeState.DRAINING)]
        self._surveys[number] = _Survey(sender, {node.name for node in asked})
        for node in asked:
            self.send(node.actor, Report(number))
        seconds = _SURVEY_SECONDS * (self._hops + 1) / (_HOPS + 1)  # who was passed the question answers sooner
        but = sender.address if isinstance(sender, Asker) else None
        if self._hops:
            self._surveys[number].elsewhere = None
            heard = partial(self._heard_elsewhere, number)
            self._peers.ask(AskStatus(), heard, seconds=seconds, hops=self._hops - 1, wants_all=True, but=but)
        self._later(seconds, partial(self._close_survey, number))
        self._if_surveyed(number)

    def _heard_elsewhere(self, number: int, answers: list[FleetStatus]) -> None:
        survey = self._surveys.get(number)
        if survey is not None:
            survey.elsewhere = answers
            self._if_surveyed(number)

    def _if_surveyed(self, number: int) -> None:
        survey = self._surveys.get(number)
        if survey is not None and not survey.waiting and survey.elsewhere is not None:
            self._close_survey(number)

    def receiveMsg_NodeReport(self, message: NodeReport, _sender: Any) -> None:  # noqa: N802
        """One has answered."""
        survey = self._surveys.get(message.survey)
        if survey is not None:
            survey.reports[message.name] = message
            survey.waiting.discard(message.name)
            self._if_surveyed(message.survey)

    def _close_survey(self, number: int) -> None:
        survey = self._surveys.pop(number, None)
        if survey is None or self._plan is None:
            return
        figures: Counter[str] = Counter()
        nodes = [self._status(node, survey) for node in self._nodes.values()]
        for status in survey.elsewhere or ():
            nodes += status.nodes
        for node in nodes:
            figures.update(node.figures)
        self._answer(
            survey.asker,
            FleetStatus(
                address=self._plan.address,
                leader=self._plan.leader,
                supervisor=os.getpid(),
                admin=os.getppid(),
                drain_seconds=self._plan.drain_seconds,
                others=self._peers.hosts(),
                nodes=tuple(nodes),
                connections=sum(node.connections for node in nodes),
                figures=dict(figures),
            ),
        )

    @staticmethod
    def _status(node: Node, survey: _Survey) -> NodeStatus:
        report = survey.reports.get(node.name)
        return NodeStatus(
            name=node.name,
            state=NodeState.UNRESPONSIVE if node.name in survey.waiting and node.has_process else node.state,
            pid=node.pid,
            address=node.address,
            connections=report.connections if report is not None else 0,
            restarts=max(0, node.life - 1),
            figures=report.figures if report is not None else {},
            last_failure=node.last_failure,
        )

    # Of use to several.

    def _no_node(self, name: str) -> Refused:
        return _refused(NodeNotFoundError, f"there is no node {name}; here are {', '.join(self._nodes)}")

    def _later(self, seconds: float, work: Callable[[], None]) -> None:
        self.wakeupAfter(timedelta(seconds=seconds), payload=work)

    def receiveMsg_WakeupMessage(self, message: WakeupMessage, _sender: Any) -> None:  # noqa: N802
        """It is time."""
        message.payload()


def _unknown(connection_id: str) -> Refused:
    return _refused(FleetConnectionNotFoundError, f"no node has a connection {connection_id}")


def _refused(error: type[AntiphonError], message: str) -> Refused:
    return Refused(error.code, message)
