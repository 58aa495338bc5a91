"""The chunking stage: short sentences merge, long ones are cut where a speaker would, nothing mute is said."""

from __future__ import annotations

import pytest

from actors.speech import Break, RemovedSpan, SpeechPipeline, SpeechSettings, Strength, Text
from actors.speech.chunking import Chunking
from actors.speech.pieces import Piece, Removed, Stray

from .alone import size


def speak(text: str, **choices: object) -> list[str]:
    """The chunks of a text, which are the same however it comes."""
    heard = []
    for tokens in ([text], list(text)):
        pipeline = SpeechPipeline(SpeechSettings.model_validate(choices))
        chunks = [chunk for token in tokens for chunk in pipeline.feed(token)] + pipeline.flush()
        heard.append([chunk.text for chunk in chunks])
    assert heard[0] == heard[1]
    return heard[0]


def pieces_of(*parts: str | Piece) -> list[Piece]:
    """Pieces, of which those that are strings follow one another."""
    out: list[Piece] = []
    at = 0
    for part in parts:
        out.append(Text(part, at, at + len(part)) if isinstance(part, str) else part)
        at = out[-1].end if isinstance(out[-1], (Text, Removed, Stray)) else at
    return out


# Alone.


def test_a_chunk_is_what_stands_before_a_break() -> None:
    stage = Chunking()
    pieces = pieces_of(
        "We know it. ", Break(12, Strength.SENTENCE), "So do they. ", Break(24, Strength.SENTENCE), "A"
    )

    chunks = stage.feed(pieces)

    assert [(chunk.text, chunk.start, chunk.end) for chunk in chunks] == [
        ("We know it.", 0, 12),
        ("So do they.", 12, 24),
    ]
    assert [chunk.text for chunk in stage.flush()] == ["A"]


def test_what_is_removed_within_a_chunk_is_its_own_and_what_lies_between_is_taken_apart() -> None:
    stage = Chunking()
    pieces = pieces_of(
        Removed(0, 2, "heading"), "We ", Removed(5, 7, "emphasis"), Removed(7, 8, "emphasis"), "know. ",
        Break(14, Strength.SENTENCE), " \n", Removed(16, 19, "code", True), "Then",
    )  # fmt: skip

    chunks = stage.feed(pieces) + stage.flush()

    assert [(chunk.text, chunk.start, chunk.end, chunk.removed) for chunk in chunks] == [
        ("We know.", 2, 14, (RemovedSpan(5, 8, "emphasis"),)),
        ("Then", 19, 23, ()),
    ]
    assert stage.take_removed() == [
        RemovedSpan(0, 2, "heading"),
        RemovedSpan(14, 16, "blank"),
        RemovedSpan(16, 19, "code"),
    ]
    assert stage.take_removed() == []


def test_no_chunk_spans_what_must_not_be_spanned_however_short_the_text_before_it() -> None:
    stage = Chunking(first_min_chars=None)
    chunks = stage.feed(
        pieces_of("A first one. ", Break(13, Strength.SENTENCE), "So", Removed(15, 16, "code", True), "on")
    )

    assert [chunk.text for chunk in chunks] == ["A first one.", "So"]


def test_a_late_mark_is_removed_only_if_its_sentence_has_gone() -> None:
    stage = Chunking()
    gone = stage.feed(pieces_of("真的是这样！", Break(6, Strength.SENTENCE), Stray("！", 6, 7)))
    here = stage.feed(pieces_of(Text("好！", 7, 9), Break(9, Strength.SENTENCE), Stray("！", 9, 10))) + stage.flush()

    assert [chunk.text for chunk in gone + here] == ["真的是这样！", "好！！"]
    assert stage.take_removed() == [RemovedSpan(6, 7, "late mark")]


@pytest.mark.parametrize("unit", ["a", "a, ", "…", " ", "- ", "e\u0301", "\u0301", "7", "天", "word "])
@pytest.mark.parametrize("first", [5, None])
def test_it_keeps_no_more_than_a_chunk(unit: str, first: int | None) -> None:
    stage = Chunking(first_min_chars=first)
    for at, char in enumerate((unit * 5_000)[:5_000]):
        stage.feed([Text(char, at, at + 1)])
        stage.take_removed()

    assert size(stage) < 40_000


# Short ones.


@pytest.mark.parametrize(
    ("text", "chunks"),
    [
        ("Sure. Ok then. Let me look.", ["Sure.", "Ok then. Let me look."]),
        ("Yes it is. No. Why? I do not know.", ["Yes it is.", "No. Why? I do not know."]),
        ("That is all. Bye.", ["That is all.", "Bye."]),
        ("水开了。好。茶快好了。", ["水开了。", "好。茶快好了。"]),
        ("水开了。水已开了。茶快好了。", ["水开了。", "水已开了。", "茶快好了。"]),
    ],
)
def test_a_sentence_too_short_to_stand_alone_goes_with_the_next(text: str, chunks: list[str]) -> None:
    assert speak(text, first_chunk_min_chars=None) == chunks


def test_it_stands_alone_where_no_width_is_asked_for() -> None:
    assert speak("Yes it is. No. Why?", min_chunk_chars=0) == ["Yes it is.", "No.", "Why?"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Buy this:\n- Milk\n- Eggs\n- Tea", "Milk, Eggs, Tea"),
        ("Buy this:\n- Milk.\n- Eggs!\n- Tea:", "Milk. Eggs! Tea:"),
        ("Buy this:\n\nMilk\n\nEggs", "Milk. Eggs"),
        ("Buy this:\n\n# Milk\nEggs", "Milk. Eggs"),
        ("买这些：\n- 牛奶\n- 鸡蛋", "牛奶，鸡蛋"),
        ("买这些：\n\n牛奶\n\n鸡蛋", "牛奶。鸡蛋"),
        ("買う物：\n- ミルク\n- たまご", "ミルク、たまご"),
        ("اشتر هذا:\n- حليب\n- بيض", "حليب، بيض"),
        ("ये लो:\n\nदूध\n\nअंडे", "दूध। अंडे"),
    ],
)
def test_blocks_without_a_mark_are_merged_with_one_of_their_script(text: str, said: str) -> None:
    assert speak(text, min_chunk_chars=30)[-1] == said


def test_a_mark_between_merged_blocks_is_in_the_text_alone() -> None:
    pipeline = SpeechPipeline(SpeechSettings(min_chunk_chars=30))
    text = "Buy this:\n- Milk\n- Eggs"
    _, chunk = pipeline.feed(text) + pipeline.flush()

    assert chunk.text == "Milk, Eggs"
    assert text[chunk.start : chunk.end] == "Milk\n- Eggs"


# The first one.


def test_the_first_chunk_leaves_at_its_first_clause_after_few_characters() -> None:
    pipeline = SpeechPipeline()
    text = "Sure, I can help you with that today. Let me look."
    heard = [(fed, chunk.text) for fed, char in enumerate(text, 1) for chunk in pipeline.feed(char)]

    assert heard[0] == (6, "Sure,")
    assert [chunk for _, chunk in heard] == ["Sure,", "I can help you with that today."]


@pytest.mark.parametrize(
    ("text", "least", "chunks"),
    [
        ("Sure, I can, yes.", 5, ["Sure,", "I can, yes."]),
        ("Oh, I can do it, yes.", 5, ["Oh, I can do it,", "yes."]),
        ("Oh, I can do it, yes.", 3, ["Oh,", "I can do it, yes."]),
        ("Sure, I can, yes.", None, ["Sure, I can, yes."]),
        ("It is 3,500 metres, or so.", 5, ["It is 3,500 metres,", "or so."]),
        ("At 10:30, then.", 3, ["At 10:30,", "then."]),
        ("好的，我们走吧。", 5, ["好的，", "我们走吧。"]),
        ("Yes. Sure, I can.", 5, ["Yes.", "Sure, I can."]),
    ],
)
def test_a_first_clause_has_to_be_wide_enough(text: str, least: int | None, chunks: list[str]) -> None:
    assert speak(text, first_chunk_min_chars=least) == chunks


# Long ones.


@pytest.mark.parametrize(
    ("text", "limit", "chunks"),
    [
        ("one two three, four five six seven", 24, ["one two three,", "four five six seven"]),
        ("one two: three four five six seven", 24, ["one two: three four five", "six seven"]),
        ("one two three four five six", 12, ["one two", "three four", "five six"]),
        ("这是一个很长的句子，没有句号的句子", 12, ["这是一个很长的句子，", "没有句号的句子"]),
        ("这是一个很长的句子没有句号", 8, ["这是一个很长的句", "子没有句号"]),
        ("abcdefghijklmnop", 6, ["abcdef", "ghijkl", "mnop"]),
        ("it is 1234567890 now", 12, ["it is", "1234567890", "now"]),
        ("it is 1,234,567.89 now", 14, ["it is", "1,234,567.89", "now"]),
        ("7" * 20, 8, ["7" * 8, "7" * 8, "7" * 4]),
        ("e\u0301" * 6, 5, ["e\u0301" * 2, "e\u0301" * 2, "e\u0301" * 2]),
        ("e" + "\u0301" * 11, 5, ["e" + "\u0301" * 4]),
    ],
)
def test_a_long_sentence_is_cut_where_a_speaker_would(text: str, limit: int, chunks: list[str]) -> None:
    heard = speak(text, max_chunk_chars=limit, first_chunk_min_chars=None)
    assert heard == chunks
    assert all(len(chunk) <= limit for chunk in heard)


def test_nothing_is_cut_where_no_limit_is_set() -> None:
    assert speak("word " * 400, max_chunk_chars=None) == [("word " * 400).strip()]


# Mute ones.


@pytest.mark.parametrize(
    "text", ["…", "-- ", "```\n```", "*** ", "!?", "\u0301", "\u200b", " \n \n", "“”", "()", "🎉", "| |"]
)
def test_what_cannot_be_said_is_no_chunk(text: str) -> None:
    assert speak(text) == []
    assert speak(f"Here it is.\n\n{text}\n\nHere is more.") == ["Here it is.", "Here is more."]


@pytest.mark.parametrize("text", ["a", "5", "€", "±", "=", "水", "ß", "½"])
def test_letters_digits_and_signs_of_money_and_mathematics_can_be_said(text: str) -> None:
    assert speak(text) == [text]


def test_with_the_filters_off_what_cannot_be_said_goes_with_the_sentence_before_or_after_it() -> None:
    assert speak("It was. Here it is! — … —", markup=False, min_chunk_chars=20) == ["It was.", "Here it is! — … —"]
    assert speak("Here it is. … Then this.", markup=False) == ["Here it is.", "… Then this."]
    assert speak("水开了。……好的吧。", markup=False) == ["水开了。", "……好的吧。"]
