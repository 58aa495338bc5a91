"""Markdown as it is read aloud: every case of the table, whole and one character at a time."""

import pytest

from actors.speech import SpeechPipeline, SpeechSettings

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
