"""Each kind of agent, client and fault that the simulation draws does what its name says, and the contract holds."""

from __future__ import annotations

import logging
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from actors.testing.checker import ContractChecker
from actors.testing.history import HandedOver, Interrupted, Opened, TurnHistory
from actors.testing.outcome import Outcome
from actors.testing.scenario import AGENTS, CLIENTS, FAULTS, ConnectionPlan, Fault, Scenario, TurnPlan
from actors.testing.simulation import play_virtual

PRESSED = TurnPlan(agent="bursty", seed=3, tokens=30, pace=0.1, attach_in=0.2, plays=True)
"""A turn in which every actor gets mail: a slow client, an agent that comes late and pauses, small mailboxes."""


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[TurnHistory]:
    """Give the histories of the turns that are judged from now on."""
    histories: list[TurnHistory] = []

    def finish(self: ContractChecker, history: TurnHistory) -> None:
        histories.append(history)
        _finish(self, history)

    _finish = ContractChecker.finish
    monkeypatch.setattr(ContractChecker, "finish", finish)
    return histories


def play(*turns: TurnPlan, trace: int = 0, settings: dict[str, Any] | None = None, **more: Any) -> Outcome:
    """Play one connection with these turns; whatever goes wrong in it, the contract holds."""
    plan = ConnectionPlan(turns, speech="words", queue_maxsize=1)
    outcome = play_virtual(Scenario(1, (plan,), settings=settings or {}, **more), trace=trace)
    assert outcome.violations == []
    return outcome


# Faults.


@pytest.mark.parametrize(
    ("target", "most"), [("turn", 5), ("producer", 2), ("chunker", 20), ("emitter", 20), ("connection", 20)]
)
def test_an_actor_can_be_killed_at_any_of_its_messages(target: str, most: int) -> None:
    killed, failed = _kill_at_every_message(target)
    assert killed >= failed >= most - 1


def test_the_supervisor_can_be_killed_at_any_of_its_messages_and_no_turn_minds() -> None:
    killed, failed = _kill_at_every_message("supervisor")
    assert (killed > 10, failed) == (True, 0)


def _kill_at_every_message(target: Any) -> tuple[int, int]:
    """Play the same again and again, with the death at the first message, the second …; count deaths and failures."""
    failed = 0
    for at in range(1, 60):
        plan = TurnPlan(**{**vars(PRESSED), "fault": Fault("kill", target, at)})
        settings = {"idle_flush_seconds": 0.3, "queue_maxsize": 1}
        outcome = play(plan, TurnPlan(), settings=settings, watched=True, trace=10_000)
        given = [line.split()[1] for line in outcome.trace]
        victim = next(name for name in given if name.startswith(f"{target}:"))
        failed += outcome.figures.outcomes["failed (actor_failed)"]
        if given.count(victim) != at:  # it had no such message, or only when its turn was over
            return at - 1, failed
        assert outcome.figures.outcomes["completed (completed)"] >= 1  # the next turn, at least
    raise AssertionError(f"{target} has no end of messages")


@pytest.mark.parametrize(
    ("kind", "outcome", "said"),
    [
        ("speech_factory", "failed (actor_failed)", "failed: RuntimeError"),
        ("speech", "failed (actor_failed)", "failed: RuntimeError"),
        ("stage", "completed (completed)", "speech stage FailingStage failed and was left out: RuntimeError"),
        ("normalise", "completed (completed)", "speech stage normalise failed and was left out: RuntimeError"),
        ("listener", "completed (completed)", "a callback of on_turn_finished failed: RuntimeError"),
    ],
)
def test_what_the_user_gives_raises(kind: Any, outcome: str, said: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "antiphon")
    played = play(TurnPlan(agent="steady", fault=Fault(kind, at=2)), TurnPlan())
    assert played.figures.outcomes[outcome] >= 1
    assert played.figures.outcomes["completed (completed)"] >= 1
    assert any(said in message for message in caplog.messages)


def test_timers_are_late() -> None:
    times = []
    for lateness in (0.0, 0.2):
        outcome = play(TurnPlan(agent="steady"), lateness=lateness, trace=10_000)
        times.append(next(float(line.split()[0]) for line in outcome.trace if "AgentDone" in line))
    assert times[0] == 20 * 0.25
    assert times[1] > times[0] + 20 * 0.05


def test_every_kind_of_fault_is_tried_here() -> None:
    drawn = {make(Random(seed)).kind for make in FAULTS.values() for seed in range(5)}
    assert drawn == {"kill", "speech_factory", "speech", "stage", "normalise", "listener"}
    targets = {make(Random(seed)).target for make in FAULTS.values() for seed in range(40)}
    assert targets == {"", "turn", "producer", "chunker", "emitter", "connection", "supervisor"}


# Agents.

COMPLETED = "completed (completed)"
ENDS = {
    **dict.fromkeys(AGENTS, COMPLETED),
    "raising": "failed (agent_failed)",
    "reporting_error": "failed (agent_error)",
    "stalling": "failed (agent_stalled)",
    "swallowing": "failed (agent_stalled)",
    "never_ending": "failed (turn_too_long)",
}


@pytest.mark.parametrize("kind", AGENTS)
def test_a_turn_ends_as_its_agent_does(kind: str, seen: list[TurnHistory]) -> None:
    for seed in range(4):
        played = play(TurnPlan(agent=kind, seed=seed), settings={"forward_events": "all"})
        assert dict(played.figures.outcomes) == {ENDS[kind]: 1}
        history = seen[-1]
        assert AGENTS_DO[kind](history), kind


def _events(history: TurnHistory, *types: str) -> list[dict[str, Any]]:
    return [event for event in history.events() if event["type"] in types]


def _at(history: TurnHistory) -> float:
    """When the end was handed over."""
    return history.log[-1].at


def _last(history: TurnHistory) -> Any:
    return history.last


def _text(history: TurnHistory) -> str:
    assert history.agent is not None
    return history.agent.text


AGENTS_DO: dict[str, Callable[[TurnHistory], bool]] = {
    "fast": lambda h: len(_text(h)) > 60,
    "live": lambda h: len(_text(h)) > 60,
    "slow": lambda h: _at(h) > 20 * 0.01,
    "bursty": lambda h: len(_text(h)) > 60,
    "steady": lambda h: _at(h) >= 20 * 0.25,
    "huge": lambda h: len(_text(h)) > 1_000,
    "empty": lambda h: _text(h) == "" and not _events(h, "tts_ready_chunk"),
    "silent": lambda h: _text(h) == "" and not _events(h, "tts_ready_chunk"),
    "eventful": lambda h: bool(h.agent and h.agent.beside),
    "malformed": lambda h: _last(h).skipped_events > 0,
    "ends_early": lambda h: "Never read" not in _last(h).generated_text,
    "raising": lambda h: "the model broke" in _events(h, "error")[0]["error"],
    "reporting_error": lambda h: _events(h, "error")[0]["error"] == "overloaded",
    "stalling": lambda h: _at(h) >= 4.0,
    "swallowing": lambda h: _at(h) >= 4.0,
    "never_ending": lambda h: len(_text(h)) >= 8_000,
}


# Clients.


def _left(history: TurnHistory) -> bool:
    return sum(type(entry) is Opened for entry in history.log) > 2  # one more than to look at the end again


CLIENTS_DO: dict[str, Callable[[TurnHistory, TurnPlan], bool]] = {
    "instant": lambda h, _p: not _left(h) and _last(h).reason == "completed",
    "playing": lambda h, _p: _last(h).played_text == _last(h).delivered_text != "",
    "slow": lambda h, p: _at(h) >= p.pace * (len(h.events()) - 1),
    "stuck": lambda h, p: _pause_after(h, p.stuck_after) >= 5.0 and _last(h).reason == "reader_gone",
    "leaving": lambda h, p: _pause_after(h, p.leaves_after) >= 5.0 and _last(h).reason == "reader_gone",
    "raising": lambda h, p: (
        _pause_after(h, p.leaves_after) >= (5.0 if p.back_in is None else p.back_in)
        and _last(h).reason == ("reader_gone" if p.back_in is None else "completed")
    ),
    "reconnecting": lambda h, p: (
        (_left(h) or p.leaves_after == 0) and _pause_after(h, p.leaves_after) >= (p.back_in or 0.0)
    ),
    "interrupting": lambda h, p: sum(type(entry) is Interrupted for entry in h.log) == p.interrupts,
    "talking_over": lambda h, _p: _last(h).reason == "barge_in",
    "late_agent": lambda h, p: h.events()[1]["type"] != "stream_start" and _at(h) >= (p.attach_in or 0.0),
}


def _pause_after(history: TurnHistory, events: int | None) -> float:
    """How long nobody got anything after so many events."""
    times = [0.0, *(entry.at for entry in history.log if type(entry) is HandedOver)]
    assert events is not None
    return times[events + 1] - times[events]


@pytest.mark.parametrize("kind", CLIENTS)
def test_a_client_does_what_it_is_drawn_for(kind: str, seen: list[TurnHistory]) -> None:
    for seed in range(8):
        # More than the outbox holds, and an agent that is still at it when the client has left.
        plan = TurnPlan(agent="steady", seed=seed, tokens=60, on_busy="queue", **CLIENTS[kind](Random(seed)))
        play(plan, TurnPlan(on_busy="interrupt" if kind == "talking_over" else "queue"))
        history = next(h for h in seen if h.turn_id == "c0t0")
        assert CLIENTS_DO[kind](history, plan), (kind, seed, plan, history.last)
        seen.clear()


def test_every_kind_of_agent_and_client_is_tried_here() -> None:
    assert (set(AGENTS_DO), set(CLIENTS_DO)) == (set(AGENTS), set(CLIENTS))
