"""Markdown as it is read aloud: every case of the table, whole and one character at a time."""

import pytest

from actors.speech import SpeechPipeline, SpeechSettings
from actors.speech.markup import Markup

from .alone import assert_tiles, said, size, texts_of, through
from .markup_cases import CASES

SETTINGS = SpeechSettings(min_chunk_chars=0, first_chunk_min_chars=None)
ALL = [pytest.param(text, spoken, id=f"{subject}-{number}") for subject, cases in CASES.items()
       for number, (text, spoken) in enumerate(cases)]  # fmt: skip


def speak(tokens, settings=SETTINGS):
    pipeline = SpeechPipeline(settings)
    chunks = [chunk for token in tokens for chunk in pipeline.feed(token)]
    return [chunk.text for chunk in chunks + pipeline.flush()]


def test_there_are_at_least_150_cases():
    assert len(ALL) >= 150


@pytest.mark.parametrize(("text", "spoken"), ALL)
def test_what_is_read_aloud(text, spoken):
    assert speak([text]) == spoken
    assert speak(text) == spoken


CODE = "Run:\n```sh\nls -l\n```\nThen."
INDENTED = "Run:\n\n    ls -l\n\nThen."
TABLE = "Here:\n| A | B |\n|---|---|\n| 1 | 2 |\nThen."
SONG = "Roses are red\nViolets are blue"


@pytest.mark.parametrize(
    ("choice", "text", "spoken"),
    [
        ({"code": "announce"}, CODE, ["Run:", "Code block.", "Then."]),
        ({"code": "announce"}, INDENTED, ["Run:", "Code block.", "Then."]),
        ({"code": "announce", "code_announcement": "See the screen."}, CODE, ["Run:", "See the screen.", "Then."]),
        ({"code": "announce"}, "Call `reset()` now.", ["Call reset() now."]),
        ({"code": "speak"}, CODE, ["Run:", "ls -l", "Then."]),
        ({"code": "speak"}, INDENTED, ["Run:", "ls -l", "Then."]),
        ({"code": "speak"}, "```\n**a** <b> _c_\n```", ["**a** <b> _c_"]),
        ({"tables": "skip"}, TABLE, ["Here:", "Then."]),
        ({"urls": "skip"}, "See https://www.example.com/a?b=c now.", ["See now."]),
        ({"urls": "skip"}, "See <https://example.com/a> now.", ["See now."]),
        ({"urls": "skip"}, "Write to me@example.com.", ["Write to me@example.com."]),
        ({"urls": "speak"}, "See https://www.example.com/a?b=c now.", ["See https://www.example.com/a?b=c now."]),
        ({"urls": "speak"}, "See <https://example.com/a> now.", ["See https://example.com/a now."]),
        ({"urls": "speak"}, "See [it](https://example.com/a) now.", ["See it now."]),
        ({"math": "skip"}, "It is $x^2$ now.", ["It is now."]),
        ({"math": "skip"}, "It is \\(x\\) now.\n$$\nx\n$$\nSo.", ["It is now.", "So."]),
        ({"math": "skip"}, "It is $5 and $10.", ["It is $5 and $10."]),
        ({"line_ends": "space"}, SONG, ["Roses are red Violets are blue"]),
        ({"line_ends": "boundary"}, "It was wrapped\nin the middle,\nit was.", [
            "It was wrapped", "in the middle,", "it was."]),
        ({"line_ends": "space"}, "- One\n- Two\n\nThree", ["One", "Two", "Three"]),
    ],
)  # fmt: skip
def test_what_is_read_aloud_is_a_choice(choice, text, spoken):
    settings = SETTINGS.model_copy(update=choice)
    assert speak([text], settings) == spoken
    assert speak(text, settings) == spoken


@pytest.mark.parametrize("columns", [59, 60])
@pytest.mark.parametrize("line", ["a" * 60, "字" * 30])
def test_a_line_of_60_columns_was_wrapped(line, columns):
    text = f"{line[: columns * len(line) // 60]}\nAnd so on"
    assert len(speak([text])) == (1 if columns == 60 else 2)


def test_a_mark_waits_for_its_partner_as_far_as_it_may():
    for mark in ("**", "*", "`", "~~"):
        for words, kept in ((30, False), (60, True)):  # of four characters each
            text = f"It is {mark}{'abc ' * words}d{mark} now"
            settings = SETTINGS.model_copy(update={"max_chunk_chars": None})
            assert (mark in speak(text, settings)[0]) is kept


def test_alone_it_gives_each_character_once_and_ends_each_block():
    text = "# One\n\nTwo **three**.\n\n- Four\n- [Five](a)\n\n```\nsix\n```\n| A |\n|---|\n| 1 |\n"
    for tokens in ([text], list(text)):
        pieces = through(Markup(), tokens)
        assert_tiles(text, pieces)
        blocks = [block.strip() for block in said(pieces).split("/")]
        assert [block for block in blocks if block] == ["One", "Two three.", "Four", "Five", "A: 1"]


UNITS = [
    *(
        "*",
        "[",
        "<",
        "`",
        "$",
        "\\",
        "&",
        "_",
        "~",
        "|",
        "#",
        ">",
        "- ",
        "1",
        "\n",
        " ",
        "**a ",
        "![",
        "[a](",
        "<b a=",
    ),
    *("| a ", "```\n", "    a\n", "https://", "<!--", "&#1", "a", "\t", "=", "[^", "[a]: ", "$$\n", "\\[\n"),
]


@pytest.mark.parametrize("unit", UNITS)
def test_alone_it_keeps_no_more_than_it_may_wait_for(unit):
    stage = Markup()
    for pieces in texts_of((unit * 3_000)[:3_000]):
        stage.feed(pieces)

    assert size(stage) < 32_000
