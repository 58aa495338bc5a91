"""The pipeline's short way for plain text is a matter of cost alone: the row of stages gives the same, as early."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.speech import SpeechPipeline, SpeechSettings
from actors.speech.row import Row

from .grammar import ATOMS, cut, hear
from .test_laws import CHOICES, MANY, PLACES

WORDS = [
    *("Sure", "the bread", "is warm", "Anna", "she said", "and", "I", "Mr. Hill", "No. 7", "3.5", "Ok", "w", "ht"),
    *(" ", " ", " ", ". ", ". ", ".", "? ", "! ", ", ", ": ", "…", "  ", " (yes) ", '"', "”", "- "),
    *("\n", "\n\n", "\n\n", ":\n\n", "---\n"),
    *("今天", "天气", "很好", "。", "！", "，", "）", "「", "」", "é", "\u3000", "\u00a0", "Ջուր", "։"),
]
URLS = ("www.", "http:", "/")
TAGS = ["(laughing)", " (sad) ", "[whispers] ", "（sighs）", "\n\n[happy] ", " (or so) ", "[1] "]
prose = st.lists(st.sampled_from(WORDS), min_size=1, max_size=24).map("".join)
staged = st.lists(st.one_of(st.sampled_from(WORDS), st.sampled_from(TAGS)), min_size=1, max_size=24).map("".join)
mixed = st.lists(st.one_of(st.sampled_from(WORDS), st.sampled_from([*ATOMS, *URLS])), min_size=1, max_size=24).map(
    "".join
)


@MANY
@given(st.one_of(prose, mixed), CHOICES, PLACES, st.sets(st.integers(0, 80), max_size=2))
def test_it_gives_what_the_stages_give(
    text: str, choice: SpeechSettings, places: list[int], pauses: set[int]
) -> None:
    tokens = cut(text, [*places, *pauses])

    assert hear(SpeechPipeline(choice), tokens, pauses) == hear(Row(choice), list(text), pauses)


@MANY
@given(st.one_of(prose, staged), CHOICES)
def test_it_is_never_later(text: str, choice: SpeechSettings) -> None:
    pipeline, row = SpeechPipeline(choice), Row(choice)
    left = expected = 0
    for char in text:
        left += len(pipeline.feed(char))
        expected += len(row.feed(char))

        assert left >= expected


def test_plain_text_needs_no_stage() -> None:
    pipeline = SpeechPipeline()

    chunks = [
        chunk
        for token in ("Sure, I know. ", "The door is blue", ". It was", " red.")
        for chunk in pipeline.feed(token)
    ]

    assert [chunk.text for chunk in chunks + pipeline.flush()] == [
        "Sure,",
        "I know. The door is blue.",
        "It was red.",
    ]
    assert pipeline._row is None


def test_it_is_taken_again_behind_markup() -> None:
    pipeline = SpeechPipeline()

    pipeline.feed("The **door** is blue. It was red. And")

    assert not pipeline._filtering


def test_it_tells_when_only_the_next_text_can_decide() -> None:
    pipeline = SpeechPipeline()
    pipeline.feed("The door is blue. It")
    attention = pipeline.attention
    assert attention is not None

    decided_later = [attention.search(token) for token in (" red.", ' red."', " red. ", "red\n", "red.\n- ")]
    decided_now = [attention.search(token) for token in (" red. A", "\n", "\n\n", "。", "<")]

    assert all(found is not None and found.lastgroup == "more" for found in decided_later)
    assert all(found is not None and found.lastgroup is None for found in decided_now)
    assert attention.search(" red") is None


@pytest.mark.parametrize(
    ("text", "chunk"),
    [
        ("It is at www.example.com, ", "It is at example.com,"),
        ("It is at https://example.com/a.b; ", "It is at example.com;"),
        ("The first line<br>", "The first line"),
        ("The first one</div>", "The first one"),
    ],
)
def test_a_chunk_behind_markup_leaves_with_the_character_that_decides(text: str, chunk: str) -> None:
    pipeline = SpeechPipeline()
    heard = [(fed, chunk.text) for fed, char in enumerate(f"{text}and more", 1) for chunk in pipeline.feed(char)]

    assert heard == [(len(text), chunk)]


def test_a_full_stop_within_a_word_or_a_number_decides_nothing() -> None:
    pipeline = SpeechPipeline()
    pipeline.feed("We know. It is at ex")

    assert pipeline.attention is not None
    assert pipeline.attention.search("le.co") is None
    assert pipeline.attention.search(" 3.5") is None
    assert pipeline.attention.search("m.A") is not None
