"""A speech pipeline as small as can be, so that tests of the engine do not depend on what speech is."""

from __future__ import annotations

import re

from protocol.speech import RemovedSpan, SpeechChunk

__all__ = ["AttentiveSplitter", "RemovingSplitter", "Splitter"]

_SENTENCE = re.compile(r"[^.!?]*[.!?]+\s*")


class Splitter:
    """Cuts behind `.`, `!` and `?`; the chunks, joined, are the text. Any flush gives what is left."""

    def __init__(self) -> None:
        self._rest = ""
        self._at = 0

    def feed(self, text: str) -> list[SpeechChunk]:
        self._rest += text
        chunks = []
        place = 0
        # The last sentence waits for what follows, so that the cut does not depend on how the text came.
        for match in _SENTENCE.finditer(self._rest):
            if match.end() < len(self._rest):
                chunks.append(self._chunk(match.group()))
                place = match.end()
        self._rest = self._rest[place:]
        return chunks

    def flush(self, final: bool = True) -> list[SpeechChunk]:  # noqa: ARG002 - the interface of a pipeline
        rest, self._rest = self._rest, ""
        return [self._chunk(rest)] if rest else []

    def take_removed(self) -> list[RemovedSpan]:
        return []

    def _chunk(self, text: str) -> SpeechChunk:
        start = self._at
        self._at += len(text)
        return SpeechChunk(text, start, self._at)


class AttentiveSplitter(Splitter):
    """Says that nothing can come of text without a full stop, as the real pipeline does."""

    attention = re.compile(r"[.!?]")


class RemovingSplitter(Splitter):
    """Takes out every `#`: within a chunk it is in the chunk's own account, a chunk of nothing else is dropped."""

    def __init__(self) -> None:
        super().__init__()
        self._removed: list[RemovedSpan] = []

    def feed(self, text: str) -> list[SpeechChunk]:
        return self._filtered(super().feed(text))

    def flush(self, final: bool = True) -> list[SpeechChunk]:
        return self._filtered(super().flush(final))

    def take_removed(self) -> list[RemovedSpan]:
        removed, self._removed = self._removed, []
        return removed

    def _filtered(self, chunks: list[SpeechChunk]) -> list[SpeechChunk]:
        out = []
        for chunk in chunks:
            spans = tuple(
                RemovedSpan(chunk.start + at, chunk.start + at + 1, "hash")
                for at, char in enumerate(chunk.text)
                if char == "#"
            )
            text = chunk.text.replace("#", "")
            if text:
                out.append(SpeechChunk(text, chunk.start, chunk.end, None, spans))
            else:
                self._removed.extend(spans)
        return out
