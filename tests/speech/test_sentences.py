"""Where sentences end: as people write them, by language, decided as early as it is certain."""

from __future__ import annotations

import pytest

from actors.speech import Break, SpeechPipeline, SpeechSettings, Strength, Text
from actors.speech.sentences import Sentences

from .alone import assert_tiles, said, size, texts_of, through
from .sentence_cases import CASES

SEGMENTER = SpeechSettings(min_chunk_chars=0, first_chunk_min_chars=None, max_chunk_chars=None, markup=False)
WIDE = "。！？」』）】"
ALL = [
    pytest.param(language, sentences, id=f"{language}-{number}")
    for language, cases in CASES.items()
    for number, sentences in enumerate(cases)
]


def text_of(sentences: list[str]) -> str:
    text = ""
    for sentence in sentences:
        text += " " if text and text[-1] not in WIDE and not sentence[0].isspace() else ""
        text += sentence
    return text


def segment(text: str, language: str | None, chars: int) -> list[str]:
    pipeline = SpeechPipeline(SEGMENTER.model_copy(update={"language": language}))
    chunks = [chunk for at in range(0, len(text), chars) for chunk in pipeline.feed(text[at : at + chars])]
    return [chunk.text for chunk in chunks + pipeline.flush()]


@pytest.mark.parametrize(("language", "sentences"), ALL)
def test_sentences_end_where_people_end_them(language: str, sentences: list[str]) -> None:
    text = text_of(sentences)

    for chars in (1, 3, len(text)):
        assert segment(text, language, chars) == [sentence.strip() for sentence in sentences]


# When it is certain.


def ends(text: str, language: str | None = None) -> list[tuple[str, int]]:
    """Each sentence, and how many characters past its last one had been read when it was known to end."""
    stage, found, begin = Sentences(language), [], 0
    for read, pieces in enumerate(texts_of(text), 1):
        for piece in stage.feed(pieces):
            if isinstance(piece, Break):
                sentence = text[begin : piece.at]
                found.append((sentence.strip(), read - begin - len(sentence.rstrip())))
                begin = piece.at
    return found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The kettle is on. Tea is", [("The kettle is on.", 2)]),
        ("It is 3.14, see v2.0.1. No more", [("It is 3.14, see v2.0.1.", 2)]),
        ("Dr. Hill is here. He", [("Dr. Hill is here.", 2)]),
        ("It is at www.example.com. It", [("It is at www.example.com.", 2)]),
        ("Write to a.b@example.org! Now", [("Write to a.b@example.org!", 2)]),
        ("Take fruit, e.g. apples. Or", [("Take fruit, e.g. apples.", 2)]),
        ("Is it so?! Yes it", [("Is it so?!", 2)]),
        ("Well... No", [("Well...", 2)]),
        ("(So it is.) Then", [("(So it is.)", 2)]),
        ('He said "No." Then', [('He said "No."', 2)]),
        ("Ask Reed & Co. They may know", [("Ask Reed & Co.", 4)]),
        ("水开了。茶快好了！要吗？", [("水开了。", 0), ("茶快好了！", 0), ("要吗？", 0)]),
        ("お湯が沸いた。お茶", [("お湯が沸いた。", 0)]),
        ("他说：“好。”他走了。", [("他说：“好。”", 1), ("他走了。", 0)]),
        ("「来ますか？」と聞いた。", [("「来ますか？」と聞いた。", 0)]),
        ("“好。”说完就走了。", [("“好。”说完就走了。", 0)]),
        ("“好。”，他说。", [("“好。”，他说。", 0)]),
        ("هل أنت هنا؟ نعم", [("هل أنت هنا؟", 2)]),
        ("पानी गर्म है। चाय", [("पानी गर्म है।", 2)]),
        ("Ջուրը եռում է։ Թեյը", [("Ջուրը եռում է։", 2)]),
        ("ውሃው ፈልቷል። ሻይ", [("ውሃው ፈልቷል።", 2)]),
    ],
)  # fmt: skip
def test_an_end_is_known_as_soon_as_it_is_certain(text: str, found: list[tuple[str, int]]) -> None:
    assert ends(text) == found


@pytest.mark.parametrize("owner", ["asyncio", "Console", "os", "x", "my_app", "java.util", "this"])
@pytest.mark.parametrize("name", ["Queue", "Queues", "DataFrame", "IO", "T", "The_Name", "Now(", "All[0]"])
@pytest.mark.parametrize("language", ["en", "de", "fi"])
def test_a_full_stop_between_two_parts_of_a_name_is_no_end(owner: str, name: str, language: str) -> None:
    text = f"We use {owner}.{name} today. So it is."

    for chars in (1, 3, len(text)):
        assert segment(text, language, chars) == [f"We use {owner}.{name} today.", "So it is."]


@pytest.mark.parametrize(
    ("before", "after", "language"),
    [
        ("That is the number.", "Now we go.", "en"),
        ("We went to Paris.", "Then we left.", "en"),
        ("He knew.", "I did not.", "en"),
        ("Hello you.", "Today is Tuesday.", "en"),
        ("It cost 1,000.", "That is a lot.", "en"),
        ("He left.", "Mr. Hill stayed.", "en"),
        ("I will look.", "Great, it is there.", "en"),
        ("Er ging.", "Sie blieb.", "de"),
        ("C'est fini.", "Évidemment.", "fr"),
        ("Он ушёл.", "Анна осталась.", "ru"),
    ],
)
def test_a_blank_that_was_forgotten_between_two_sentences_does_not_join_them(
    before: str, after: str, language: str
) -> None:
    for chars in (1, 3, 100):
        assert segment(before + after, language, chars) == [before, after]


def test_a_quotation_that_is_not_closed_in_200_characters_holds_nothing_back() -> None:
    assert ends("“" + "水" * 150 + "。好。") == []
    assert len(ends("“" + "水" * 220 + "。好。")) == 2


def test_an_ordinal_is_no_end_where_the_language_writes_it_so() -> None:
    assert ends("Im 5. Jahrhundert war es so. Am 21. Oktober auch. Der", "de") == [
        ("Im 5. Jahrhundert war es so.", 2),
        ("Am 21. Oktober auch.", 2),
    ]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Hello", "en"),
        ("水", "zh"),
        ("お湯", "ja"),
        ("물", "ko"),
        ("Вода", "ru"),
        ("पानी", "hi"),
        ("ماء", "ar"),
        ("… 5 €", None),
    ],
)
def test_the_language_is_taken_from_the_first_letter(text: str, code: str | None) -> None:
    stage = Sentences()
    stage.feed([Text(text, 0, len(text))])

    assert (stage.language and stage.language.code) == code


def test_a_language_that_is_given_is_not_guessed_again() -> None:
    stage = Sentences("pt-BR")
    stage.feed([Text("水", 0, 1)])

    assert stage.language is not None
    assert stage.language.code == "pt"


def test_a_mark_that_comes_too_late_is_given_apart() -> None:
    for tokens in (["真的！", "！是。"], list("真的！！是。")):
        assert said(through(Sentences(), tokens)) == "真的！/<！>是。/"

    pipeline = SpeechPipeline(SpeechSettings(min_chunk_chars=0))
    chunks = pipeline.feed("真的！！是。") + pipeline.flush()
    assert [chunk.text for chunk in chunks] == ["真的！", "是。"]
    assert [gap.rule for gap in pipeline.take_removed()] == ["late mark"]


def test_a_break_ends_a_sentence_without_a_mark() -> None:
    stage = Sentences(lines=False)
    pieces = stage.feed([Text("Fresh bread", 0, 11), Break(11, Strength.ITEM), Text("Dr", 11, 13)])

    assert said(pieces + stage.flush()) == "Fresh bread/Dr"
    assert said(stage.feed([Text(".", 13, 14), Break(14, Strength.BLOCK)])) == "./"


def test_with_the_filters_off_a_blank_line_is_the_end_of_a_sentence() -> None:
    assert segment("No mark here\n\nNor here\nbut on", "en", 1) == ["No mark here", "Nor here\nbut on"]


@pytest.mark.parametrize(
    "text", ["He came. She ", "水开了。「好。」 ", 'He said "No." It is (so). ', "Dr. A. B. Hill, 3.5 "]
)
def test_what_it_gives_is_what_it_was_given(text: str) -> None:
    for tokens in ([text * 3], list(text * 3)):
        assert_tiles(text * 3, through(Sentences(), tokens))


@pytest.mark.parametrize("unit", [".", ". ", "a", "Dr. ", "「", '"', "。", "!", "1. ", "\n", " ", "e.g. ", "”", "7"])
def test_it_keeps_no_more_than_a_decision_needs(unit: str) -> None:
    for language in ("en", "zh"):
        stage = Sentences(language)
        for pieces in texts_of((unit * 5_000)[:5_000]):
            stage.feed(pieces)

        assert size(stage) < 4_000
