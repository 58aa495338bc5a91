"""`ScriptedAgent`: an agent that does what a script says, and remembers what it has said.

A script is a row of steps, plain data, so that a simulation can draw it, shrink it and write it down:

    ScriptedAgent([say("Hello. "), wait(0.5), say("And goodbye."), fail("the model broke")])
"""

from __future__ import annotations

import asyncio
from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING, Any, NamedTuple

from protocol.errors import BadArgumentError
from protocol.validity import LARGEST

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

__all__ = ["ScriptedAgent", "Step", "fail", "hang", "say", "swallow", "talk_on", "wait", "yields"]


class Step(NamedTuple):
    """Something that an agent does."""

    do: str
    value: Any = None


def say(*texts: str) -> Step:
    """Yield these texts, one after the other, without letting the loop go on between them."""
    return Step("say", list(texts))


def wait(seconds: float) -> Step:
    """Wait, as a model does."""
    return Step("wait", seconds)


def yields(item: Any) -> Step:
    """Yield something else than text: an event, or what is none."""
    return Step("yields", item)


def fail(message: str = "the model broke") -> Step:
    """Raise."""
    return Step("fail", message)


def hang() -> Step:
    """Never go on, until cancelled."""
    return Step("hang")


def swallow(seconds: float) -> Step:
    """Wait, and when cancelled go on waiting for so long, whatever comes."""
    return Step("swallow", seconds)


def talk_on(text: str, pause: float) -> Step:
    """Say the same for ever."""
    return Step("talk_on", [text, pause])


class ScriptedAgent:
    """An agent stream, to be given to `start_turn()`.

    Args:
        script: what it does; texts are steps that say them.

    Raises:
        BadArgumentError: a step is none, or has a value that it can do nothing with.

    Attributes:
        running: whether it has been started and has not ended.

    """

    def __init__(self, script: Iterable[Step | str]) -> None:
        self._script = [_step(number, step) for number, step in enumerate(script, start=1)]
        self._said: list[str] = []
        self._ends = array("q")
        self._times = array("d")
        self.beside: list[tuple[int, Any]] = []
        """What it has yielded beside text, each with the length of the text before it."""
        self.running = False
        self.ended_at: float | None = None
        """When it ended, on the loop's clock."""

    @property
    def text(self) -> str:
        """All text that it has yielded so far."""
        return "".join(self._said)

    def said_at(self, offset: int) -> float | None:
        """Return when the text reached beyond `offset`, or its end was certain: on the loop's clock."""
        place = bisect_right(self._ends, offset)
        return self._times[place] if place < len(self._times) else self.ended_at

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._run()

    async def _run(self) -> AsyncIterator[Any]:
        loop = asyncio.get_running_loop()
        self.running = True
        try:
            for step in self._script:
                async for item in _perform(step):
                    if text := _text_in(item):
                        self._said.append(text)
                        self._ends.append((self._ends[-1] if self._ends else 0) + len(text))
                        self._times.append(loop.time())
                    elif not isinstance(item, str):
                        self.beside.append((self._ends[-1] if self._ends else 0, item))
                    yield item
        finally:
            self.ended_at = loop.time()
            self.running = False


def _text_in(item: Any) -> str:
    if isinstance(item, dict) and item.get("type") == "stream_token":
        item = item.get("chunk", item.get("data"))
    return item if isinstance(item, str) else ""


async def _perform(step: Step) -> AsyncIterator[Any]:
    match step.do:
        case "say":
            for text in step.value:
                yield text
        case "wait":
            await asyncio.sleep(step.value)
        case "yields":
            yield step.value
        case "fail":
            raise RuntimeError(step.value)
        case "hang":
            await asyncio.Event().wait()
        case "swallow":
            await _swallow(step.value)
        case "talk_on":
            text, pause = step.value
            while True:
                await asyncio.sleep(pause)
                yield text


def _step(number: int, step: Any) -> Step:
    """Return a step that can be performed."""
    if isinstance(step, str):
        return say(step)
    if not isinstance(step, Step) or all(step.do != known for known in _VALUES):
        raise BadArgumentError(f"step {number} of the script is none: an agent can {', '.join(_VALUES)}")
    if not _VALUES[step.do](step.value):
        raise BadArgumentError(f"step {number} of the script: {step.do} cannot do anything with this value")
    return step


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_seconds(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LARGEST


_VALUES: dict[str, Callable[[Any], bool]] = {
    "say": lambda value: isinstance(value, list) and all(map(_is_text, value)),
    "wait": _is_seconds,
    "yields": lambda _value: True,
    "fail": _is_text,
    "hang": lambda value: value is None,
    "swallow": _is_seconds,
    "talk_on": lambda value: (
        isinstance(value, list) and len(value) == 2 and _is_text(value[0]) and _is_seconds(value[1])
    ),
}
"""What an agent can do, and with which values."""


async def _swallow(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        until = loop.time() + seconds
    while loop.time() < until:
        try:
            await asyncio.sleep(until - loop.time())
        except asyncio.CancelledError:
            continue
