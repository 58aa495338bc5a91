"""The laws of the pipeline, on text from a grammar: cuts do not matter, nothing is lost, nothing mute is said."""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise

import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.speech import SpeechPipeline, SpeechSettings

from .grammar import Spoken, cut, hear, texts

MANY = settings(max_examples=250, derandomize=True, deadline=None, database=None)
SPEAKABLE = regex.compile(r"[\p{L}\p{N}\p{Sc}\p{Sm}]")
CHOICES = st.sampled_from(
    [
        SpeechSettings(),
        SpeechSettings(markup=False),
        SpeechSettings(min_chunk_chars=0, first_chunk_min_chars=None, max_chunk_chars=None, markup=False),
        SpeechSettings(max_chunk_chars=20, max_hold_chars=16),
        SpeechSettings(max_chunk_chars=60, code="announce", emoji="name", tables="skip"),
        SpeechSettings(code="speak", urls="speak", unclosed_reasoning="speak", language="de"),
        SpeechSettings(starts_in_reasoning=True, line_ends="boundary", math="skip", urls="skip"),
    ]
)
PLACES = st.lists(st.integers(0, 400), max_size=30)


def speak(tokens: list[str], choice: SpeechSettings, pauses: Collection[int] = ()) -> Spoken:
    return hear(SpeechPipeline(choice), tokens, pauses)


def assert_tiles(text: str, spoken: Spoken) -> None:
    spans = [(chunk.start, chunk.end) for chunk in spoken[0]] + [(gap.start, gap.end) for gap in spoken[1]]
    at = 0
    for start, end in sorted(spans):
        assert start == at
        assert end > start
        at = end
    assert at == len(text)


@MANY
@given(texts, CHOICES, PLACES)
def test_cuts_into_tokens_do_not_matter(text: str, choice: SpeechSettings, places: list[int]) -> None:
    whole = speak([text], choice)
    assert speak(cut(text, places), choice) == whole
    assert speak(list(text), choice) == whole


@MANY
@given(texts, CHOICES, PLACES, st.sets(st.integers(0, 60), max_size=3))
def test_cuts_do_not_matter_between_the_same_pauses(
    text: str, choice: SpeechSettings, places: list[int], pauses: set[int]
) -> None:
    pauses = {pause % (len(text) + 1) for pause in pauses} - {0}
    once = speak(cut(text, [*places, *pauses]), choice, pauses)
    assert speak(list(text), choice, pauses) == once
    assert_tiles(text, once)


@MANY
@given(texts, CHOICES)
def test_chunks_and_removed_spans_tile_the_text(text: str, choice: SpeechSettings) -> None:
    chunks, removed = spoken = speak([text], choice)
    assert_tiles(text, spoken)
    for gaps in (removed, *(chunk.removed for chunk in chunks)):
        for before, after in pairwise(gaps):
            assert before.end <= after.start
            assert before.end < after.start or before.rule != after.rule, "adjacent spans of one rule are one"
    for chunk in chunks:
        for gap in chunk.removed:
            assert chunk.start <= gap.start < gap.end <= chunk.end
            assert gap.rule not in {"reasoning", "code"}, "hidden text ends a chunk"


@MANY
@given(texts, CHOICES)
def test_every_chunk_can_be_said_and_is_not_too_long(text: str, choice: SpeechSettings) -> None:
    for chunk in speak([text], choice)[0]:
        assert SPEAKABLE.search(chunk.text)
        assert chunk.text == chunk.text.strip()
        assert choice.max_chunk_chars is None or len(chunk.text) <= choice.max_chunk_chars


@MANY
@given(texts)
def test_without_filters_a_chunk_is_its_span(text: str) -> None:
    for chunk in speak([text], SpeechSettings(markup=False))[0]:
        assert chunk.text == text[chunk.start : chunk.end].strip()


@MANY
@given(texts, st.text(alphabet="abc .", max_size=40))
def test_reasoning_is_never_spoken(text: str, after: str) -> None:
    hidden = "".join(char for char in text if char not in "<>`~")
    chunks, _ = speak([f"<think>{hidden} secretword {hidden}</think>{after}"], SpeechSettings())
    assert not any("secretword" in chunk.text for chunk in chunks)
    assert all(chunk.start >= len(hidden) for chunk in chunks)
