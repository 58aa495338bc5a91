"""Speech pipelines as small as can be, so that tests of the engine do not depend on what speech is."""

from __future__ import annotations

import re

from actors.speech import SpeechPipeline
from protocol.speech import RemovedSpan, SpeechChunk

__all__ = ["AttentiveSplitter", "Booked", "RemovingSplitter", "Splitter", "Weighed"]

_MARK = re.compile(r"[.!?]")
_CUT = re.compile(r"[.!?](?:\s+(?=\S)|(?=[^\s.!?]))")  # what follows has to be there: it may belong to the sentence
_OPEN = re.compile(r"[.!?]\s*\Z")


class Splitter:
    """Cuts behind `.`, `!` and `?`; the chunks, joined, are the text. Any flush gives what is left.

    Linear in the text, so that what a test measures is the engine: what waits is joined only when a cut may come.
    """

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._open = False  # whether what waits could end where it ends now
        self._at = 0

    def feed(self, text: str) -> list[SpeechChunk]:
        self._parts.append(text)
        if not self._open and _MARK.search(text) is None:
            return []
        text = "".join(self._parts)
        chunks = []
        place = 0
        for cut in _CUT.finditer(text):
            chunks.append(self._chunk(text[place : cut.end()]))
            place = cut.end()
        self._parts = [text[place:]]
        self._open = _OPEN.search(text, place) is not None
        return chunks

    def flush(self, final: bool = True) -> list[SpeechChunk]:
        rest = "".join(self._parts)
        self._parts, self._open = [], False
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


class Weighed(SpeechPipeline):
    """The real pipeline, put on the scales.

    Args:
        held: gets the characters that are inside after each text that was fed.
        slices: gets the size of each such text.

    """

    __slots__ = ("_fed", "_held", "_left", "_slices")

    def __init__(self, held: list[int], slices: list[int] | None = None) -> None:
        super().__init__()
        self._held = held
        self._slices = [] if slices is None else slices
        self._fed = self._left = 0

    def feed(self, text: str) -> list[SpeechChunk]:
        chunks = super().feed(text)
        self._fed += len(text)
        self._left = chunks[-1].end if chunks else self._left
        self._held.append(self._fed - self._left)
        self._slices.append(len(text))
        return chunks


class Booked(SpeechPipeline):
    """The real pipeline, with its books open.

    Args:
        spans: gets the place of every chunk and of every stretch between two that is not spoken.
        removed: gets every stretch that is not spoken, within chunks too.

    """

    __slots__ = ("_removed_spans", "_spans")

    def __init__(self, spans: list[tuple[int, int]], removed: list[RemovedSpan]) -> None:
        super().__init__()
        self._spans = spans
        self._removed_spans = removed

    def feed(self, text: str) -> list[SpeechChunk]:
        return self._entered(super().feed(text))

    def flush(self, final: bool = True) -> list[SpeechChunk]:
        return self._entered(super().flush(final))

    def take_removed(self) -> list[RemovedSpan]:
        gaps = super().take_removed()
        self._removed_spans.extend(gaps)
        self._spans.extend((gap.start, gap.end) for gap in gaps)
        return gaps

    def _entered(self, chunks: list[SpeechChunk]) -> list[SpeechChunk]:
        self._spans.extend((chunk.start, chunk.end) for chunk in chunks)
        self._removed_spans.extend(gap for chunk in chunks for gap in chunk.removed)
        return chunks
