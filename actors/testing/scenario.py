"""`Scenario`: what a simulation plays, as plain data drawn from a seed: it can be written down, read back and shrunk.

A scenario is some connections, each with some turns; a turn has an agent (a script), a client's behaviour, and
perhaps a fault. Everything that a turn does to its neighbours is said here too, so that the checker knows which turns
may fail.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass, field, replace
from random import Random
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError

from actors.testing.agents import Step, fail, hang, say, swallow, talk_on, wait, yields
from protocol.errors import BadArgumentError
from protocol.settings import OnBusy, Settings
from protocol.validity import LARGEST

__all__ = [
    "AGENTS",
    "CLIENTS",
    "FAULTS",
    "ConnectionPlan",
    "Fault",
    "Mix",
    "Scenario",
    "TurnPlan",
    "draw",
    "expand",
    "smaller",
]


_READ = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
_Seconds = Annotated[float, Field(ge=0, le=1_000_000)]
_Count = Annotated[int, Field(ge=0, le=100_000)]
Target = Literal["", "supervisor", "connection", "turn", "producer", "chunker", "emitter"]
"""Which kind of actor is killed."""


def _one_of(name: str, names: Collection[str]) -> str:
    if name not in names:
        raise ValueError(f"is none of {', '.join(names)}")
    return name


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong in the engine's surroundings.

    Args:
        kind: `kill`, or which part of a speech pipeline raises: `speech_factory`, `speech`, `stage`, `normalise`;
            or a callback of `on_turn_finished`: `listener`.
        target: the kind of actor that is killed.
        at: at which message, or which call.

    """

    __pydantic_config__: ClassVar[ConfigDict] = _READ

    kind: Literal["kill", "speech_factory", "speech", "stage", "normalise", "listener"]
    target: Target = ""
    at: Annotated[int, Field(ge=1)] = 1

    @property
    def harms(self) -> bool:
        """Whether an actor of the turn dies of it."""
        return self.kind in ("speech_factory", "speech") or (self.kind == "kill" and self.target != "supervisor")


@dataclass(frozen=True)
class TurnPlan:
    """One turn: what its agent does, what its client does, what goes wrong. Times are in seconds."""

    __pydantic_config__: ClassVar[ConfigDict] = _READ

    agent: Annotated[str, AfterValidator(lambda name: _one_of(name, AGENTS))] = "fast"
    seed: int = 0
    """Of the agent's text and pauses."""
    tokens: _Count = 20
    pace: _Seconds = 0.0
    """How long the client takes for each event."""
    stuck_after: _Count | None = None
    """After how many events the client stops to ask for more, without leaving."""
    leaves_after: _Count | None = None
    """After how many events the client leaves."""
    raises: bool = False
    """Whether it leaves by raising over its last event; then it closes nothing."""
    back_in: _Seconds | None = None
    """How long it stays away; None: for good."""
    back_with: Literal["after_seq", "earlier", "start", "rest"] = "after_seq"
    """How it comes back: `after_seq`, `earlier` (it has lost its last two events), `start` (with -1) or `rest`
    (without)."""
    interrupt_at: _Seconds | None = None
    """When somebody interrupts, from the start of the turn."""
    interrupts: Annotated[int, Field(ge=1, le=100)] = 1
    """How many interrupt at once."""
    next_at: _Seconds | None = None
    """When the client starts its next turn, over this one; None: when this one is read."""
    on_busy: OnBusy = "queue"
    """How this turn deals with one that is still active."""
    plays: bool = False
    """Whether the client acknowledges what it has played."""
    attach_in: _Seconds | None = None
    """After how long the turn gets its agent; None: at its start."""
    fault: Fault | None = None


@dataclass(frozen=True)
class ConnectionPlan:
    """One client's turns, one after the other."""

    __pydantic_config__: ClassVar[ConfigDict] = _READ

    turns: tuple[TurnPlan, ...]
    begins: _Seconds = 0.0
    queue_maxsize: Annotated[int, Field(ge=1, le=LARGEST)] | None = None
    speech: Literal["pipeline", "words"] = "pipeline"
    """Which speech pipeline: `pipeline` is the real one, `words` gives every word as a chunk."""
    closes: bool = False
    """Whether the connection is shut down after its turns, before the others."""


@dataclass(frozen=True)
class Scenario:
    """Everything that decides a run in virtual time.

    Args:
        seed: of the order of events, and of the lateness of timers.
        connections: who talks.
        lateness: how late timers may be.
        settings: in the place of the simulation's own.
        shutdown_at: when the whole system is shut down, whatever goes on; None: when all is over.
        watched: whether a tap looks at every message. Without one, the engine may handle mail in its sender's step.

    """

    __pydantic_config__: ClassVar[ConfigDict] = _READ

    seed: int
    connections: tuple[ConnectionPlan, ...]
    lateness: _Seconds = 0.0
    settings: Annotated[dict[str, Any], AfterValidator(lambda given: Settings(**given) and given)] = field(
        default_factory=dict
    )
    shutdown_at: _Seconds | None = None
    watched: bool = False

    @property
    def turns(self) -> int:
        """How many turns are planned."""
        return sum(len(connection.turns) for connection in self.connections)

    def to_json(self) -> str:
        """Write it down, without what is as usual."""
        return json.dumps(_brief(asdict(self)), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Scenario:
        """Read what `to_json()` has written.

        Raises:
            BadArgumentError: it is something else; the message says where.

        """
        try:
            return _SCENARIO.validate_json(text)
        except ValidationError as failure:
            wrong = failure.errors(include_url=False, include_context=False, include_input=False)[0]
        place = "".join(f"{step}: " for step in wrong["loc"])
        raise BadArgumentError(f"no scenario: {place}{wrong['msg']}")


_SCENARIO = TypeAdapter(Scenario)


_USUAL = {**asdict(TurnPlan()), **asdict(ConnectionPlan(())), **asdict(Fault("kill")), **asdict(Scenario(0, ()))}
_NEEDED = ("turns", "connections", "seed", "kind")


def _brief(data: Any) -> Any:
    if isinstance(data, dict):
        return {k: _brief(v) for k, v in data.items() if k in _NEEDED or k not in _USUAL or v != _USUAL[k]}
    if isinstance(data, list | tuple):
        return [_brief(item) for item in data]
    return data


# Agents: what each kind's script is.

_TEXT = (
    "the a rain tower harbour letter morning answer seldom quickly seven bright under never glass walks tells "
    "carries because although river bread 3.5 Dr. e.g. U.S. *really* `code` naïve 雨が降る。 😀 [laughs] "
    "https://example.org/a **bold** 1. # <think>hm</think> (whispers) ## Title | - & &amp; ``` ~~old~~ x_1 "
    "$5 :smile: \N{FAMILY}"
)
_WORDS = _TEXT.split()
_PROSE = (
    "The tower by the harbour has a bell that nobody rings . It hangs there , green and quiet . When the wind comes "
    "from the west it hums a little , and people look up . Some say it is a low F . Nobody has measured it yet ."
)
PROSE = [word + " " for word in _PROSE.split()]
"""Tokens of plain text without end, for loads: say them round and round."""
_ENDS = (".", ".", ".", "!", "?", "…", ",", ";", ":", "\n", "\n\n", "")

MALFORMED: tuple[Any, ...] = (
    42,
    None,
    {"type": 7},
    {},
    {"type": "stream_token"},
    {"type": "stream_token", "chunk": 3},
    ["text"],
    b"x",
)
EVENTS: tuple[Any, ...] = (
    {"type": "stream_start"},
    {"type": "tool_call", "name": "weather"},
    {"type": "tool_result", "name": "weather", "result": {"wind": 3}},
    {"type": "stream_token", "data": "An older agent. "},
    {"type": "note", "text": "unknown"},
)


def text_of(chance: Random, tokens: int) -> list[str]:
    """Draw so many tokens of text."""
    out = []
    for _ in range(tokens):
        word = chance.choice(_WORDS)
        end = chance.choice(_ENDS) if chance.random() < 0.25 else ""
        out.append(word + end + (" " if chance.random() < 0.9 else ""))
    return out


def _paused(tokens: list[str], pause: Callable[[], float]) -> Iterator[Step]:
    for token in tokens:
        yield wait(pause())
        yield say(token)


def _fast(chance: Random, tokens: int) -> list[Step]:
    return [say(*text_of(chance, tokens))]


def _live(chance: Random, tokens: int) -> list[Step]:
    return list(_paused(text_of(chance, tokens), lambda: 0.0))


def _slow(chance: Random, tokens: int) -> list[Step]:
    return list(_paused(text_of(chance, tokens), lambda: chance.uniform(0.01, 0.4)))


def _bursty(chance: Random, tokens: int) -> list[Step]:
    steps = []
    left = text_of(chance, tokens)
    while left:
        size = chance.randint(1, 12)
        steps += [say(*left[:size]), wait(chance.choice((0.0, 0.05, 1.5)))]
        left = left[size:]
    return steps


def _broken_off(end: Callable[[Random], list[Step]]) -> Callable[[Random, int], list[Step]]:
    def script(chance: Random, tokens: int) -> list[Step]:
        return [*_bursty(chance, chance.randint(0, tokens)), *end(chance)]

    return script


def _with(items: tuple[Any, ...]) -> Callable[[Random, int], list[Step]]:
    def script(chance: Random, tokens: int) -> list[Step]:
        steps = _bursty(chance, tokens)
        for number in range(chance.randint(1, 4)):
            item = chance.choice(items)
            at = chance.randint(0, len(steps))
            steps.insert(at, yields({**item, "number": number} if isinstance(item, dict) else item))
        return steps

    return script


def _huge(chance: Random, tokens: int) -> list[Step]:
    return [say("".join(text_of(chance, 5 * tokens)), *text_of(chance, 3), "".join(text_of(chance, 10 * tokens)))]


def _steady(chance: Random, tokens: int) -> list[Step]:
    return list(_paused(text_of(chance, tokens), lambda: 0.25))


AGENTS: dict[str, tuple[Callable[[Random, int], list[Step]], bool]] = {
    "fast": (_fast, False),
    "live": (_live, False),
    "slow": (_slow, False),
    "bursty": (_bursty, False),
    "steady": (_steady, False),
    "huge": (_huge, False),
    "empty": (lambda _chance, _tokens: [], False),
    "silent": (lambda _chance, tokens: [say(*[""] * tokens)], False),
    "eventful": (_with(EVENTS), False),
    "malformed": (_with(MALFORMED), False),
    "ends_early": (_broken_off(lambda _c: [yields({"type": "stream_end"}), say("Never read. ")]), False),
    "raising": (_broken_off(lambda _c: [fail()]), True),
    "reporting_error": (_broken_off(lambda _c: [yields({"type": "error", "error": "overloaded"})]), True),
    "stalling": (_broken_off(lambda _c: [hang()]), True),
    "swallowing": (_broken_off(lambda c: [swallow(c.choice((0.2, 0.8, 3.0)))]), True),
    "never_ending": (_broken_off(lambda c: [talk_on("And so on. ", c.choice((0.0, 0.01, 0.1)))]), True),
}
"""Kinds of agents: what makes the script, and whether the turn may fail of it."""


def expand(turn: TurnPlan) -> list[Step]:
    """Return the script of a turn's agent."""
    make, _faulty = AGENTS[turn.agent]
    return make(Random(turn.seed), turn.tokens)  # noqa: S311


# Clients and faults.

CLIENTS: dict[str, Callable[[Random], dict[str, Any]]] = {
    "instant": lambda _c: {},
    "playing": lambda c: {"plays": True, "pace": c.choice((0.0, 0.05))},
    "slow": lambda c: {"pace": c.uniform(0.01, 1.0)},
    "stuck": lambda c: {"stuck_after": c.randint(0, 6)},
    "leaving": lambda c: {"leaves_after": c.randint(0, 6)},
    "raising": lambda c: {
        "raises": True,
        "leaves_after": c.randint(1, 6),
        "back_in": c.choice((None, 0.0, 0.3, 2.0)),
        "back_with": c.choice(("after_seq", "rest")),
    },
    "reconnecting": lambda c: {
        "leaves_after": c.randint(0, 8),
        "back_in": c.choice((0.0, 0.0, 0.3, 2.0)),
        "back_with": c.choice(("after_seq", "earlier", "start", "rest")),
        "pace": c.choice((0.0, 0.2)),
    },
    "interrupting": lambda c: {
        "interrupt_at": c.choice((0.0, 0.0, c.uniform(0, 0.1), c.uniform(0, 3))),
        "interrupts": c.choice((1, 1, 2)),
        "pace": c.choice((0.0, 0.0, 0.2)),
    },
    "talking_over": lambda c: {"next_at": c.choice((0.0, c.uniform(0, 0.5), c.uniform(0, 3)))},
    "late_agent": lambda c: {"attach_in": c.uniform(0, 1)},
}
"""Kinds of clients: what they do in a turn."""

_KILLED: tuple[Target, ...] = ("turn", "producer", "chunker", "emitter")

FAULTS: dict[str, Callable[[Random], Fault]] = {
    "kill_in_turn": lambda c: Fault("kill", c.choice(_KILLED), c.choice((1, 2, 3, c.randint(1, 30)))),
    "kill_connection": lambda c: Fault("kill", "connection", c.randint(1, 12)),
    "kill_supervisor": lambda c: Fault("kill", "supervisor", c.randint(1, 12)),
    "speech_factory": lambda _c: Fault("speech_factory"),
    "speech": lambda c: Fault("speech", at=c.randint(1, 12)),
    "stage": lambda c: Fault("stage", at=c.randint(1, 12)),
    "normalise": lambda c: Fault("normalise", at=c.randint(1, 6)),
    "listener": lambda _c: Fault("listener"),
}
"""Kinds of faults."""


@dataclass(frozen=True)
class Mix:
    """Which kinds a simulation draws from, and how often something goes wrong.

    Args:
        agents, clients, faults: names of kinds; one that stands there twice is drawn twice as often.
        fault_rate: how likely a turn is to have a fault.
        shutdown_rate: how likely the system is to be shut down in the middle.
        lateness: how late timers may be at the most.
        tokens: how many tokens an agent says at the most.

    """

    agents: tuple[str, ...] = tuple(name for name in AGENTS if name != "steady")
    clients: tuple[str, ...] = tuple(CLIENTS)
    faults: tuple[str, ...] = tuple(FAULTS)
    fault_rate: float = 0.15
    shutdown_rate: float = 0.15
    lateness: float = 0.2
    tokens: int = 40


def draw(seed: int, connections: int, turns: int, mix: Mix | None = None) -> Scenario:
    """Draw a scenario of so many connections with so many turns each."""
    mix = mix or Mix()
    chance = Random(seed)  # noqa: S311 - a simulation must repeat
    plans = tuple(
        ConnectionPlan(
            tuple(_draw_turn(chance, mix) for _ in range(turns)),
            begins=chance.choice((0.0, chance.uniform(0, 2))),
            queue_maxsize=chance.choice((None, None, 1, 2, 5)),
            speech=chance.choice(("pipeline", "pipeline", "words")),
            closes=chance.random() < 0.3,
        )
        for _ in range(connections)
    )
    kills = any(turn.fault is not None and turn.fault.kind == "kill" for plan in plans for turn in plan.turns)
    return Scenario(
        seed,
        plans,
        lateness=chance.choice((0.0, 0.0, mix.lateness)),
        settings=_draw_settings(chance),
        shutdown_at=chance.uniform(0, 10) if chance.random() < mix.shutdown_rate else None,
        watched=kills,
    )


def _draw_turn(chance: Random, mix: Mix) -> TurnPlan:
    return TurnPlan(
        agent=chance.choice(mix.agents),
        seed=chance.randrange(1_000_000),
        tokens=chance.choice((1, 5, mix.tokens)),
        on_busy=chance.choice(("queue", "interrupt", "reject")),
        fault=FAULTS[chance.choice(mix.faults)](chance) if mix.faults and chance.random() < mix.fault_rate else None,
        **CLIENTS[chance.choice(mix.clients)](chance),
    )


def _draw_settings(chance: Random) -> dict[str, Any]:
    drawn = {
        "queue_maxsize": chance.choice((1, 3, 100)),
        "idle_flush_seconds": chance.choice((None, 0.3, 2.0)),
        "replay_window": chance.choice((1, 4, 256)),
        "turn_retention_count": chance.choice((1, 3, 100)),
        "turn_queue_limit": chance.choice((0, 1, 10)),
        "forward_events": chance.choice(("none", "tools", "all")),
        "turn_deadline_seconds": chance.choice((None, None, None, 5.0)),
    }
    return {name: value for name, value in drawn.items() if value != _SETTINGS.get(name)}


_SETTINGS: dict[str, Any] = {
    "idle_flush_seconds": 2.0,
    "forward_events": "tools",
    "queue_maxsize": 100,
    "turn_deadline_seconds": None,
}


# Shrinking.


def smaller(scenario: Scenario) -> Iterator[Scenario]:
    """Give scenarios that are a step smaller, the biggest steps first."""
    connections = scenario.connections
    for kept in _parts(connections):
        yield replace(scenario, connections=kept)
    for place, plan in enumerate(connections):
        for turns in _parts(plan.turns):
            yield _with_connection(scenario, place, replace(plan, turns=turns))
    for place, plan in enumerate(connections):
        for name in ("begins", "queue_maxsize", "speech", "closes"):
            if getattr(plan, name) != _USUAL[name]:
                yield _with_connection(scenario, place, replace(plan, **{name: _USUAL[name]}))
        for at, turn in enumerate(plan.turns):
            for simpler in _simpler_turns(turn):
                turns = (*plan.turns[:at], simpler, *plan.turns[at + 1 :])
                yield _with_connection(scenario, place, replace(plan, turns=turns))
    for name in scenario.settings:
        yield replace(scenario, settings={k: v for k, v in scenario.settings.items() if k != name})
    if scenario.lateness:
        yield replace(scenario, lateness=0.0)
    if scenario.shutdown_at is not None:
        yield replace(scenario, shutdown_at=None)


def _parts(items: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    size = len(items) // 2
    while size:
        for begin in range(0, len(items), size):
            yield items[:begin] + items[begin + size :]
        size //= 2


def _simpler_turns(turn: TurnPlan) -> Iterator[TurnPlan]:
    usual = TurnPlan()
    for name in (
        "fault",
        "interrupt_at",
        "next_at",
        "raises",
        "leaves_after",
        "stuck_after",
        "attach_in",
        "pace",
        "plays",
    ):
        if getattr(turn, name) != getattr(usual, name):
            yield replace(turn, **{name: getattr(usual, name)})
    if turn.agent != "fast":
        yield replace(turn, agent="fast")
    if turn.tokens > 1:
        yield replace(turn, tokens=turn.tokens // 2)


def _with_connection(scenario: Scenario, place: int, plan: ConnectionPlan) -> Scenario:
    connections = scenario.connections
    return replace(scenario, connections=(*connections[:place], plan, *connections[place + 1 :]))
