"""The real actors, taken step by step the ways that the model went, and the same with actors that are broken.

Producer, Chunker, Emitter, Turn, Connection, Supervisor, the runtime and the embedding API are the real ones; only
the loop is one that runs what it is told to. Before each step all that can be seen of them is what the model says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from exploration.bounds import Bounds
from exploration.explore import Exploration, Schedule
from exploration.replay import DifferenceError, replaying
from small_turns import CROWDED, NARROW, NOTHING, ONE, TURNS, explored

import actors.turn
from actors.chunker import Chunker
from actors.connection import Connection
from actors.emitter import Emitter
from actors.producer import Producer
from actors.record import TurnRecord
from actors.runtime import Mailbox
from actors.turn import Turn
from protocol.mail import End, EndPlaced, FlushAck
from protocol.turn import Effect, Failure, TurnStatus

LENGTH = {1: 5, 2: 3}
"""Up to how many steps every schedule is replayed, by the number of faults in it."""


def replay(found: Exploration, schedules: Iterable[Schedule], *, eager: bool = False) -> tuple[int, int]:
    with replaying(found, eager=eager) as replayer:
        for schedule in schedules:
            replayer.replay(schedule)
    return replayer.schedules, replayer.steps


@pytest.mark.parametrize("bounds", TURNS, ids=str)
def test_real_actors_go_every_way_of_the_model_for_so_many_steps(
    bounds: Bounds, report: Callable[[str], None]
) -> None:
    found, length = explored(bounds), LENGTH[bounds.most_faults]
    schedules, steps = replay(found, found.beginnings(length))

    report(f"replayed: the agent gives {bounds}: all {schedules:,} schedules to {length} steps, {steps:,} in all")


@pytest.mark.parametrize("bounds", [NOTHING, NARROW], ids=str)
def test_real_actors_take_every_single_step_of_the_model(bounds: Bounds, report: Callable[[str], None]) -> None:
    found = explored(bounds)
    schedules, _steps = replay(found, found.cover())

    report(f"replayed: the agent gives {bounds}: all {found.transitions:,} transitions, in {schedules:,} schedules")


@pytest.mark.parametrize("bounds", [ONE, NARROW], ids=str)
def test_actors_that_take_messages_in_their_senders_step_come_to_the_same_end(
    bounds: Bounds, report: Callable[[str], None]
) -> None:
    found = explored(bounds)
    schedules, _steps = replay(found, found.beginnings(5), eager=True)

    report(f"replayed with eager actors: the agent gives {bounds}: {schedules:,} schedules")


# Broken actors are found.

Method = Callable[..., Any]


def no_acks(send: Method) -> Method:
    return lambda chunker, items: send(chunker, [item for item in items if type(item) is not FlushAck])


def acks_first(send: Method) -> Method:
    def wrong(chunker: Chunker, items: Iterable[Any]) -> bool:
        return bool(send(chunker, sorted(items, key=lambda item: type(item) is not FlushAck)))

    return wrong


def end_unreported(put: Method) -> Method:
    return lambda emitter, mail: emitter.record.seal(mail.failure) if type(mail) is End else put(emitter, mail)


def end_overtakes_the_text(_send_end: Method) -> Method:
    def wrong(turn: Turn) -> None:
        turn.record.seal(turn.machine.failure)
        turn.actor_inbox.post(EndPlaced())

    return wrong


def interrupts_what_has_ended(interrupt: Method) -> Method:
    def wrong(record: TurnRecord, reason: str) -> bool:
        record.status = TurnStatus.PROCESSING
        return bool(interrupt(record, reason))

    return wrong


def places_behind_the_end(_place: Method) -> Method:
    return lambda record, item: record._outbox.append(item)


def forgets_what_waits_for_room(done: Method) -> Method:
    def wrong(producer: Producer, failure: Failure | None) -> None:
        producer._in_hand = []
        done(producer, failure)

    return wrong


def nothing(_method: Method) -> Method:
    return lambda *_arguments: None


@pytest.mark.parametrize(
    ("owner", "name", "breaks"),
    [
        pytest.param(Chunker, "_send", no_acks, id="an ack is lost"),
        pytest.param(Chunker, "_send", acks_first, id="an ack before its chunks"),
        pytest.param(Emitter, "_put", end_unreported, id="nobody hears of the end"),
        pytest.param(Emitter, "_room_made", nothing, id="room in the outbox unnoticed"),
        pytest.param(Turn, "child_gone", nothing, id="a dead child unnoticed"),
        pytest.param(Turn, "stop_children", nothing, id="children go on"),
        pytest.param(Connection, "_check_settled", nothing, id="no answer to an interrupt"),
        pytest.param(TurnRecord, "interrupt", interrupts_what_has_ended, id="status goes back"),
        pytest.param(TurnRecord, "place", places_behind_the_end, id="a chunk behind the end"),
        pytest.param(Producer, "_done", forgets_what_waits_for_room, id="text that waits for room is lost"),
        pytest.param(Mailbox, "_tell_of_room", nothing, id="nobody hears of room"),
    ],
)
def test_broken_actor_is_found(owner: type, name: str, breaks: Method, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner, name, breaks(getattr(owner, name)))

    assert_found()


def test_end_that_overtakes_the_text_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    effects = actors.turn._EFFECTS
    monkeypatch.setitem(effects, Effect.SEND_END, end_overtakes_the_text(effects[Effect.SEND_END]))

    assert_found()


def assert_found() -> None:
    """Replay until something is different."""
    found = explored(CROWDED)
    with pytest.raises(DifferenceError):
        replay(found, found.cover())
