"""When the agent pauses, what is certain is said, and what is open stays open."""

from __future__ import annotations

import pytest

from actors.speech import SpeechPipeline, SpeechSettings

SETTINGS = SpeechSettings(first_chunk_min_chars=None)


def hear(before: str, after: str, settings: SpeechSettings = SETTINGS) -> tuple[list[str], list[str]]:
    """What is said up to a pause, and behind it; the same however the text comes."""
    heard = []
    for tokens in (([before], [after]), (list(before), list(after))):
        pipeline = SpeechPipeline(settings)
        early = [chunk for token in tokens[0] for chunk in pipeline.feed(token)] + pipeline.flush(final=False)
        late = [chunk for token in tokens[1] for chunk in pipeline.feed(token)] + pipeline.flush()
        heard.append(([chunk.text for chunk in early], [chunk.text for chunk in late]))
    assert heard[0] == heard[1]
    return heard[0]


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ("Let me look.", ["Let me look."]),
        ("Is it so?", ["Is it so?"]),
        ("Let me look. Here it is, I th", ["Let me look.", "Here it is, I"]),
        ("I am looking at it", ["I am looking at"]),
        ("Wait a moment, ", ["Wait a moment,"]),
        ("It is so. Why? Ok", ["It is so.", "Why?"]),
        ("It is so. Why? Ok then", ["It is so.", "Why? Ok"]),
        ("水开了，茶快", ["水开了，茶快"]),
    ],
)
def test_whole_sentences_are_said_and_then_what_stands_before_the_last_word(before: str, said: list[str]) -> None:
    assert hear(before, "")[0] == said


@pytest.mark.parametrize(
    ("before", "after", "said", "later"),
    [
        ("We met Dr.", " Hill there.", ["We met"], ["Dr. Hill there."]),
        ("We met Dr. ", "Hill there.", ["We met"], ["Dr. Hill there."]),
        ("It costs 3", ".50 now.", ["It costs"], ["3.50 now."]),
        ("It costs 3.", "50 now.", ["It costs"], ["3.50 now."]),
        ("It costs 1,", "500 now.", ["It costs"], ["1,500 now."]),
        ("It has 3 leg", "s.", ["It has"], ["3 legs."]),
        ("Take fruit, e.g.", " apples.", ["Take fruit,"], ["e.g. apples."]),
        ("We chose J.", " Hill.", ["We chose"], ["J. Hill."]),
        ("It costs €", "5 now.", ["It costs"], ["€5 now."]),
    ],
)
def test_nothing_is_said_that_ends_in_an_abbreviation_or_a_digit(
    before: str, after: str, said: list[str], later: list[str]
) -> None:
    assert hear(before, after) == (said, later)


OPEN = {
    "strong": ("See **this one", " here** now.", ["See"], ["this one here now."]),
    "emphasis": ("See *this one", " here* now.", ["See"], ["this one here now."]),
    "strike": ("See ~~this one", " here~~ now.", ["See"], ["this one here now."]),
    "a mark itself": ("See *", "*this* one** now.", ["See"], ["this one now."]),
    "a link": ("See [this one](http", "s://example.com/a b) now.", ["See"], ["[this one](example.com b) now."]),
    "a link's text": ("See [this one", "](https://example.com) now.", ["See"], ["this one now."]),
    "inline code": ("See `this one", " here` now.", ["See"], ["this one here now."]),
    "math": ("See $x +", " y$ now.", ["See"], ["x + y now."]),
    "a tag": ("See <b cla", "ss='x'>this</b> one.", ["See"], ["this one."]),
    "a tag of reasoning": ("See this. <thi", "nk>A secret.</think>Here.", ["See this."], ["Here."]),
    "reasoning": ("See this. <think>A secret. And", " more.</think>Here.", ["See this."], ["Here."]),
    "a fence": ("See this:\n```\nls. And so", " on.\n```\nHere.", ["See this:"], ["Here."]),
    "the line of a fence": ("See this:\n``", "`\nls\n```\nHere.", ["See this:"], ["Here."]),
    "a row of a table": (
        "| A | B |\n|---|---|\n| one two | three",
        " four |\n| five | six |\n",
        [],
        ["A: one two, B: three four", "A: five, B: six"],
    ),
    "a stage tag": ("See this (laugh", "ing) one.", ["See this"], ["one."]),
    "a URL": ("See https://exam", "ple.com/a now.", ["See"], ["example.com now."]),
    "an entity": ("See this &am", "p; that.", ["See this"], ["& that."]),
    "a comment": ("See this <!-- no. no", " no --> one.", ["See this"], ["one."]),
    "display math": ("See this:\n$$\nx = ", "1\n$$\nHere.", ["See this:"], ["x = 1. Here."]),
}


@pytest.mark.parametrize(("before", "after", "said", "later"), OPEN.values(), ids=OPEN.keys())
def test_what_is_open_stays_open(before: str, after: str, said: list[str], later: list[str]) -> None:
    assert hear(before, after) == (said, later)


def test_code_that_is_spoken_stays_open_too() -> None:
    settings = SpeechSettings(code="speak", first_chunk_min_chars=None)

    assert hear("See this:\n```\nls -l", " a.\n```\nHere.", settings) == (["See this:"], ["ls -l a. Here."])


def test_a_pause_in_which_nothing_is_new_says_nothing_twice() -> None:
    pipeline = SpeechPipeline()
    first = pipeline.feed("Let me look at it") + pipeline.flush(final=False)

    assert [chunk.text for chunk in first] == ["Let me look at"]
    assert pipeline.flush(final=False) == []
    assert [chunk.text for chunk in pipeline.flush()] == ["it"]


def test_thoughts_that_are_spoken_at_the_end_are_not_spoken_in_a_pause() -> None:
    settings = SpeechSettings(unclosed_reasoning="speak", first_chunk_min_chars=None)

    assert hear("Yes. <think>A plan. It has", " two parts.", settings) == (["Yes."], ["A plan. It has two parts."])
