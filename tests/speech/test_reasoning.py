"""The reasoning stage alone: hidden thoughts are never given, whatever the tokens; code and arithmetic are."""

from __future__ import annotations

import pytest

from actors.speech import Removed, SpeechPipeline, SpeechSettings
from actors.speech.reasoning import Reasoning

from .alone import assert_tiles, said, size, texts_of, through

GIVEN = {
    "each of the usual tags": ("a<think>x</think>b<thinking>x</thinking>c<reasoning>x</reasoning>d", "abcd"),
    "any case": ("<THINK>x</Think>a<tHiNkInG>x</THINKING>b", "ab"),
    "attributes": ('<think type="deep" n=1>x</think>a<think\nlang="en">x</think>b', "ab"),
    "nested": ("<think>x<think>y</think>z</think>a", "a"),
    "nested with another name": ("<think>x<reasoning>y</reasoning>z</think>a", "a"),
    "empty": ("<think></think>a<think/>b", "ab"),
    "a stray closing tag": ("a</think>b</ thinking>", "ab</ thinking>"),
    "inside inline code": ("Say `<think>`, ``a ` </think>``.", "Say `<think>`, ``a ` </think>``."),
    "inside a fence": ("```xml\n<think>\n```\na<think>x</think>b", "```xml\n<think>\n```\nab"),
    "inside a fence of tildes": ("~~~\n<think>\n~~~\na", "~~~\n<think>\n~~~\na"),
    "behind code": ("`a` <think>`x`</think>b", "`a` b"),
    "code in it": ("<think>use `</think>` here</think>a", "a"),
    "a code mark without a partner": ("a ` b\n\n<think>x</think>c", "a ` b\n\nc"),
    "less than": ("a < b, a<b and <3 <think", "a < b, a<b and <3 <think"),
    "a longer name": ("<thinker>a</thinker> <rethink>b", "<thinker>a</thinker> <rethink>b"),
    "another tag": ("<b>a</b> <name>", "<b>a</b> <name>"),
    "never closed": ("a<think>x y z", "a"),
    "never closed within another": ("a<think>x<think>y</think> z", "a"),
    "a tag that ends with the text": ("a<think>x</think", "a"),
    "an escaped code mark": ("\\`<think>x</think>a\\`", "\\`a\\`"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "given"), GIVEN.values(), ids=GIVEN.keys())
def test_what_is_thought_is_not_given_wherever_the_tags_are_split(text: str, given: str) -> None:
    for tokens in ([text], list(text), *([text[:at], text[at:]] for at in range(1, len(text)))):
        pieces = through(Reasoning(), tokens)
        assert said(pieces) == given
        assert_tiles(text, pieces)


def test_tags_are_whatever_is_configured() -> None:
    stage = Reasoning(("plan", "scratch-pad"))

    assert said(through(stage, ["<Plan>x</plan>a<scratch-pad>y</scratch-pad>b<think>c"])) == "ab<think>c"


def test_what_is_removed_may_not_be_spanned_by_a_chunk() -> None:
    pieces = through(Reasoning(), ["a<think>x</think>b</think>"])

    assert all(piece.cut and piece.rule == "reasoning" for piece in pieces if isinstance(piece, Removed))
    chunks = SpeechPipeline().feed("Before<think>x</think>after</think>at last it is. And")
    assert [chunk.text for chunk in chunks] == ["Before", "after", "at last it is."]


def test_where_the_prompt_has_opened_the_tag_only_the_closing_one_ends_it() -> None:
    for tokens in (["x. y</think>a <think>z</think>b"], list("x. y</think>a <think>z</think>b")):
        assert said(through(Reasoning(starts_inside=True), tokens)) == "a b"
        assert said(through(Reasoning(), ["x. y</think>a"])) == "x. ya"


def test_thoughts_that_never_end_are_dropped_or_their_last_characters_are_given() -> None:
    text = "<think>" + "".join(f"{number} " for number in range(500))

    for tokens in ([text], list(text)):
        assert said(through(Reasoning(), tokens)) == ""
        pieces = through(Reasoning(speak_unclosed=True, max_hold=100), tokens)
        assert said(pieces) == text[-100:]
        assert_tiles(text, pieces)
    assert said(through(Reasoning(speak_unclosed=True), ["<think>x</think>a"])) == "a"


def test_a_pause_within_a_thought_gives_none_of_it() -> None:
    for settings in (SpeechSettings(), SpeechSettings(unclosed_reasoning="speak")):
        pipeline = SpeechPipeline(settings)
        heard = pipeline.feed("I will see. <think>A secret. Another one") + pipeline.flush(final=False)
        heard += pipeline.feed(" and more.") + pipeline.flush(final=False)
        heard += pipeline.feed("</think>Here it is.") + pipeline.flush()

        assert [chunk.text for chunk in heard] == ["I will see.", "Here it is."]


@pytest.mark.parametrize(
    "unit", ["x", "<", "</", "<think ", "`", "` ", "```\n", "\\", "<think>", "</think", "~~~", "\n"]
)
@pytest.mark.parametrize("speak", [False, True])
def test_it_keeps_no_more_than_it_may_wait_for(unit: str, speak: bool) -> None:
    for begin in ("", "<think>", "```\n", "`"):
        stage = Reasoning(speak_unclosed=speak)
        for pieces in texts_of([begin, *(unit * 4_000)[:4_000]]):
            stage.feed(pieces)

        assert size(stage) < 4_000
