"""Speech pipelines for tests: one that gives every word, and ones that fail when they are told to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from protocol.speech import RemovedSpan, SpeechChunk

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FailingPipeline", "FailingStage", "WordPipeline", "failing_at"]


class WordPipeline:
    """Gives every word as a chunk, with the space behind it: as many chunks as can be. A lone `#` is removed."""

    def __init__(self) -> None:
        self._rest = ""
        self._at = 0
        self._removed: list[RemovedSpan] = []

    def feed(self, text: str) -> list[SpeechChunk]:
        """Take text; give the words that are complete."""
        *words, self._rest = (self._rest + text).split(" ")
        return [chunk for word in words if (chunk := self._chunk(word + " ")) is not None]

    def flush(self, final: bool = True) -> list[SpeechChunk]:
        """Give what is left; a flush that is not final leaves it where it is."""
        if not final or not self._rest:
            return []
        rest, self._rest = self._rest, ""
        chunk = self._chunk(rest)
        return [] if chunk is None else [chunk]

    def take_removed(self) -> list[RemovedSpan]:
        """Hand over what was removed."""
        removed, self._removed = self._removed, []
        return removed

    def _chunk(self, text: str) -> SpeechChunk | None:
        start, self._at = self._at, self._at + len(text)
        if text.strip() in ("", "#"):
            self._removed.append(RemovedSpan(start, self._at, "hash" if text.strip() else "space"))
            return None
        return SpeechChunk(text, start, self._at)


def failing_at(call: int, what: str) -> Callable[[], None]:
    """Return a function that raises when it is called for the `call`th time."""
    left = call

    def count() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise RuntimeError(f"{what} was told to fail at call {call}")

    return count


class FailingPipeline:
    """A pipeline that raises at its `at`th feed or flush: the whole turn fails."""

    def __init__(self, pipeline: Any, at: int) -> None:
        self._pipeline = pipeline
        self._count = failing_at(at, "a speech pipeline")

    def feed(self, text: str) -> list[SpeechChunk]:
        """Feed the pipeline, or raise."""
        self._count()
        chunks: list[SpeechChunk] = self._pipeline.feed(text)
        return chunks

    def flush(self, final: bool = True) -> list[SpeechChunk]:
        """Flush the pipeline, or raise."""
        self._count()
        chunks: list[SpeechChunk] = self._pipeline.flush(final)
        return chunks

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipeline, name)


class FailingStage:
    """A stage of `SpeechPipeline` that passes everything on and raises once: it is taken out, the turn goes on."""

    def __init__(self, at: int) -> None:
        self._count = failing_at(at, "a speech stage")

    def feed(self, pieces: list[Any]) -> list[Any]:
        """Pass on, or raise."""
        self._count()
        return pieces

    def flush(self, final: bool = True) -> list[Any]:  # noqa: ARG002 - the interface of a stage
        """Give nothing, or raise."""
        self._count()
        return []
