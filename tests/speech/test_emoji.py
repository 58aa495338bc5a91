"""The emoji stage alone: pictures are not given, or their names are; what is text stays."""

from __future__ import annotations

import pytest

from actors.speech import Removed, Text
from actors.speech.emoji import Emoji

from .alone import assert_tiles, said, size, texts_of, through

PICTURES = {
    "a face": "😀",
    "joined people": "👨‍👩‍👧‍👦",
    "a flag": "🇩🇪",
    "a flag of a region": "🏴󠁧󠁢󠁳󠁣󠁴󠁿",
    "a joined flag": "🏳️‍🌈",
    "a keycap": "1️⃣",
    "a keycap of a star": "*️⃣",
    "a keycap without selector": "#⃣",
    "a skin tone": "👍🏽",
    "joined with skin tones": "👩🏽‍🚀",
    "a variation selector": "❤️",
    "a sign without selector": "✔",
    "an arrow": "➡️",
    "of a newer version": "🫠",
}
TEXT = ["3 # * 12", "© 2024", "Antiphon™", "®", "½", "→", "ℹ", "Ⓜ", "‼", "⁉", "a€b", "5×4", "日本", "e\u0301", "𝒜"]


@pytest.mark.parametrize("picture", PICTURES.values(), ids=PICTURES.keys())
def test_a_picture_is_removed_as_one_and_no_part_of_it_is_left(picture: str) -> None:
    text = f"a{picture}b"
    for tokens in ([text], list(text)):
        pieces = through(Emoji(), tokens)
        assert said(pieces) == "ab"
        assert [piece for piece in pieces if isinstance(piece, Removed)] == [Removed(1, len(text) - 1, "emoji")]
        assert_tiles(text, pieces)


@pytest.mark.parametrize("text", TEXT)
def test_what_is_text_stays(text: str) -> None:
    for tokens in ([text], list(text)):
        assert said(through(Emoji(), tokens)) == text


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Well done 🎉!", "Well done  party popper !"),
        ("I ❤️ it", "I  red heart  it"),
        ("👍🏽", " thumbs up medium skin tone "),
        ("🇫🇷🇩🇪", " France  Germany "),
        ("🫠 \ufe0f", " melting face  "),
    ],
)
def test_its_name_can_be_given_instead(text: str, named: str) -> None:
    for tokens in ([text], list(text)):
        pieces = through(Emoji(names=True), tokens)
        assert said(pieces) == named
        assert_tiles(text, pieces)


def test_flags_in_a_row_are_pairs() -> None:
    pieces = through(Emoji(), list("🇫🇷🇩🇪🇮"))

    assert pieces == [Removed(0, 2, "emoji"), Removed(2, 4, "emoji"), Removed(4, 5, "emoji")]


def test_text_that_stands_for_other_text_is_looked_into_too() -> None:
    assert Emoji().feed([Text("a 🎉", 0, 9)]) == [Text("a ", 0, 9)]
    assert Emoji().feed([Text("🎉", 0, 9)]) == [Removed(0, 9, "emoji")]


@pytest.mark.parametrize("unit", ["1", "*\ufe0f", "👩\u200d", "🏴\U000e0067", "🇩", "\ufe0f", "🏽", "\u20e3", "ℹ"])
@pytest.mark.parametrize("names", [False, True])
def test_it_keeps_no_more_than_one_picture(unit: str, names: bool) -> None:
    stage = Emoji(names=names)
    for pieces in texts_of((unit * 3_000)[:3_000]):
        stage.feed(pieces)

    assert size(stage) < 2_000


def test_code_keeps_its_places_around_a_picture() -> None:
    pieces = Emoji().feed([Text("a 😀 b.", 5, 11, literal=True)])
    assert pieces == [Text("a ", 5, 7, literal=True), Removed(7, 8, "emoji"), Text(" b.", 8, 11, literal=True)]
