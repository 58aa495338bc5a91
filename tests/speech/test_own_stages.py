"""Stages and a hook of the user's own: they change what is said, and cost nothing but themselves when they fail."""

from __future__ import annotations

from dataclasses import replace

import pytest

from actors.speech import Piece, Removed, RemovedSpan, SpeechPipeline, SpeechSettings, Text

TEXT = "The door is blue. It was red once. Nobody knows why it is not."


class Louder:
    """Says everything in capitals."""

    def feed(self, pieces: list[Piece]) -> list[Piece]:
        return [replace(p, text=p.text.upper()) if isinstance(p, Text) else p for p in pieces]

    def flush(self, final: bool = True) -> list[Piece]:
        return []


class Hiding(Louder):
    """Removes what is in braces, and nothing of it waits."""

    def feed(self, pieces: list[Piece]) -> list[Piece]:
        return [
            Removed(p.start, p.end, "braces") if isinstance(p, Text) and p.text.startswith("{") else p for p in pieces
        ]


class Holding(Louder):
    """Gives nothing before the end."""

    def __init__(self) -> None:
        self.held: list[Piece] = []

    def feed(self, pieces: list[Piece]) -> list[Piece]:
        self.held += pieces
        return []

    def flush(self, final: bool = True) -> list[Piece]:
        held, self.held = (self.held, []) if final else ([], self.held)
        return held


class Failing(Holding):
    """Raises at a word, with text held."""

    def feed(self, pieces: list[Piece]) -> list[Piece]:
        super().feed(pieces)
        if "red" in "".join(piece.text for piece in self.held if isinstance(piece, Text)):
            raise RuntimeError("no red")
        return []


class FailingAtTheEnd(Holding):
    def flush(self, final: bool = True) -> list[Piece]:
        if final:
            raise RuntimeError("no end")
        return []


class Forgetting(Louder):
    """Leaves out all text with a digit, without a word."""

    def feed(self, pieces: list[Piece]) -> list[Piece]:
        return [p for p in pieces if not (isinstance(p, Text) and any(char.isdigit() for char in p.text))]


class Repeating(Louder):
    def feed(self, pieces: list[Piece]) -> list[Piece]:
        return [*pieces, *pieces]


class Mumbling(Louder):
    def feed(self, pieces: list[Piece]) -> list[Piece]:
        return ["mumble" for _ in pieces]  # type: ignore[misc]  # what a stage must not do


def speak(pipeline: SpeechPipeline, tokens: list[str]) -> list[str]:
    return [c.text for c in [c for token in tokens for c in pipeline.feed(token)] + pipeline.flush()]


def test_a_stage_changes_what_is_said_and_its_place_stays() -> None:
    pipeline = SpeechPipeline(stages=[Louder()])
    chunks = pipeline.feed(TEXT) + pipeline.flush()

    assert [chunk.text for chunk in chunks] == [TEXT[c.start : c.end].strip().upper() for c in chunks]
    assert pipeline.take_faults() == []


def test_stages_are_asked_in_their_order() -> None:
    assert speak(SpeechPipeline(stages=[Hiding(), Louder()]), ["It is ", "{so} ", "here."]) == ["IT IS HERE."]


def test_a_stage_may_hold_text_to_the_end() -> None:
    assert " ".join(speak(SpeechPipeline(stages=[Holding()]), list(TEXT))) == TEXT


@pytest.mark.parametrize("stage", [Failing, FailingAtTheEnd, Repeating, Mumbling])
@pytest.mark.parametrize("tokens", [[TEXT], list(TEXT)], ids=["whole", "by character"])
def test_a_stage_that_fails_costs_no_word(stage: type[Louder], tokens: list[str]) -> None:
    pipeline = SpeechPipeline(stages=[stage()])

    assert " ".join(speak(pipeline, tokens)) == TEXT
    faults = pipeline.take_faults()
    assert [fault.stage for fault in faults] == [stage.__name__]
    assert faults[0].error
    assert pipeline.take_faults() == []


def test_the_others_go_on() -> None:
    pipeline = SpeechPipeline(stages=[Failing(), Louder()])

    assert " ".join(speak(pipeline, [TEXT])) == TEXT.upper()


def test_what_a_stage_leaves_out_without_a_word_is_accounted_for() -> None:
    pipeline = SpeechPipeline(stages=[Forgetting()])
    chunks = [chunk for token in ("It is ", "5 ", "now.") for chunk in pipeline.feed(token)] + pipeline.flush()

    assert [(chunk.text, chunk.removed) for chunk in chunks] == [("It is now.", (RemovedSpan(6, 8, "Forgetting"),))]


def test_the_hook_is_asked_for_each_chunk_with_its_language() -> None:
    asked = []

    def spell(text: str, language: str | None) -> str:
        asked.append((text, language))
        return text.replace("5", "five")

    pipeline = SpeechPipeline(SpeechSettings(language="en"), normalise=spell)
    chunks = pipeline.feed("Give me 5 of them. Or 6 of") + pipeline.flush()

    assert [chunk.text for chunk in chunks] == ["Give me five of them.", "Or 6 of"]
    assert asked == [("Give me 5 of them.", "en"), ("Or 6 of", "en")]
    assert [(chunk.start, chunk.end) for chunk in chunks] == [(0, 19), (19, 26)]


def test_a_hook_that_fails_or_says_nothing_changes_nothing() -> None:
    def fail(_text: str, _language: str | None) -> str:
        raise ValueError("no numbers")

    pipeline = SpeechPipeline(normalise=fail)
    assert " ".join(speak(pipeline, [TEXT])) == TEXT
    assert [fault.stage for fault in pipeline.take_faults()] == ["normalise"]
    assert " ".join(speak(SpeechPipeline(normalise=lambda _text, _language: " "), [TEXT])) == TEXT
