"""The emotion stage alone, and whose emotion it is: to the sentence's end, and no merging of moods."""

from __future__ import annotations

import pytest

from actors.speech import Mood, Removed, SpeechPipeline, SpeechSettings
from actors.speech.emotion import Emotion

from .alone import assert_tiles, said, size, texts_of, through

TAGS = ("laughing", "laugh", "whispers", "very sad")


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("(laughing) Hi", "{laughing} Hi"),
        ("[whispers] Hi (LAUGH)", "{whispers} Hi {laugh}"),
        ("( very sad ) Oh", "{very sad} Oh"),
        ("（whispers）嗨【laugh】", "{whispers}嗨{laugh}"),
        ("(laughing]", "(laughing]"),
        ("(laughing out loud) (a laugh)", "(laughing out loud) (a laugh)"),
        ("f(x) [1] (see above)", "f(x) [1] (see above)"),
        ("((laugh))", "({laugh})"),
        ("(laughing", "(laughing"),
        ("laughing)", "laughing)"),
        ("(crying) not configured", "(crying) not configured"),
    ],
)
def test_a_configured_tag_becomes_a_mood_and_other_brackets_stay(text: str, given: str) -> None:
    for tokens in ([text], list(text)):
        pieces = through(Emotion(TAGS), tokens)
        assert said(pieces) == given
        assert_tiles(text, pieces)


def test_a_tag_is_removed_by_its_rule_and_its_mood_begins_behind_it() -> None:
    assert through(Emotion(TAGS), ["(laugh)"]) == [Removed(0, 7, "emotion"), Mood(7, "laugh")]


def test_where_no_tag_is_configured_all_brackets_stay() -> None:
    for tokens in (["(laughing) () (a) ["], list("(laughing) () (a) [")):
        assert said(through(Emotion(()), tokens)) == "(laughing) () (a) ["
    pipeline = SpeechPipeline(SpeechSettings(emotion_tags=()))
    assert [chunk.text for chunk in pipeline.feed("(sad) It is () so. ") + pipeline.flush()] == ["(sad) It is () so."]


@pytest.mark.parametrize("unit", ["(", "[", "(laugh", "( ", "(very sad ", "a"])
def test_it_keeps_no_more_than_a_tag(unit: str) -> None:
    stage = Emotion(TAGS)
    for pieces in texts_of((unit * 5_000)[:5_000]):
        stage.feed(pieces)

    assert size(stage) < 2_000


@pytest.mark.parametrize(
    ("text", "moods"),
    [
        ("(laughing) That is a good one. Tell me more of them.", [
            ("That is a good one.", "laughing"), ("Tell me more of them.", None)]),
        ("I know. [whispers] Nobody else does. So keep it.", [
            ("I know.", None), ("Nobody else does.", "whispers"), ("So keep it.", None)]),
        ("Well, (sighs) it is late today. Good night to you.", [
            ("Well,", None), ("it is late today.", "sighs"), ("Good night to you.", None)]),
        ("(sad) Oh. (happy) Ah. No.", [("Oh.", "sad"), ("Ah.", "happy"), ("No.", None)]),
        ("(happy) Yes. (happy) So. Fine then.", [("Yes.", "happy"), ("So.", "happy"), ("Fine then.", None)]),
        ("We did it. (happy) Yes. (happy) So. Fine then.", [
            ("We did it.", None), ("Yes. So.", "happy"), ("Fine then.", None)]),
        ("That was a good one (laughing)\n\nAnd so was this one.", [
            ("That was a good one", "laughing"), ("And so was this one.", None)]),
        ("- (whispers) fresh milk here\n- brown eggs there", [
            ("fresh milk here", "whispers"), ("brown eggs there", None)]),
    ],
)  # fmt: skip
def test_a_tag_belongs_to_the_text_behind_it_up_to_the_end_of_the_sentence(
    text: str, moods: list[tuple[str, str | None]]
) -> None:
    for tokens in ([text], list(text)):
        pipeline = SpeechPipeline()
        chunks = [chunk for token in tokens for chunk in pipeline.feed(token)] + pipeline.flush()
        assert [(chunk.text, chunk.emotion) for chunk in chunks] == moods


@pytest.mark.parametrize(
    ("text", "moods"),
    [
        ("That was good. And so was this. (laughing)", [None, "laughing", None]),
        ("这样真的很好啊。那样真的很好啊。(laughing)", [None, None, "laughing"]),
    ],
)
def test_at_the_end_of_a_block_a_tag_belongs_to_the_sentence_before_it_if_that_has_not_left(
    text: str, moods: list[str | None]
) -> None:
    pipeline = SpeechPipeline()
    chunks = [chunk for char in f"{text}\n\nNext one please." for chunk in pipeline.feed(char)] + pipeline.flush()

    assert [chunk.emotion for chunk in chunks] == moods


def test_no_tags_configured_means_that_brackets_are_text() -> None:
    pipeline = SpeechPipeline(SpeechSettings(emotion_tags=()))

    assert [chunk.text for chunk in pipeline.feed("(laughing) It is so. And")] == ["(laughing) It is so."]
