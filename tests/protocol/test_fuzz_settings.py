"""Any settings, from the code or from the environment: valid, or refused by name; and what is valid can be used."""

from __future__ import annotations

import math
import os
from typing import Any
from unittest.mock import patch

import pytest
from agents import ready
from conversations import end_of, talk
from fuzz import effort
from hypothesis import example, given
from hypothesis import strategies as st
from near_valid import ANY_TEXT, ANY_VALUE, NUMBERS, mutations, refusal_of, taken
from pydantic import SecretStr
from pydantic_settings import BaseSettings

from actors import ConversationSystem
from actors.fleet.settings import FleetSettings
from actors.gateway.settings import GatewaySettings
from actors.speech import SpeechPipeline
from actors.testing import run_virtual
from protocol.errors import BadSettingsError
from protocol.settings import Settings
from protocol.speech import SpeechSettings

KINDS: list[type[BaseSettings]] = [Settings, GatewaySettings, FleetSettings]
USUAL_SPEECH = SpeechSettings().model_dump()
VALUES = ANY_VALUE | NUMBERS
SPEECH: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    st.sampled_from(sorted(SpeechSettings.model_fields)), ANY_VALUE, max_size=2
)
TEXT = (
    "Hi *there*. (sighs) 5 <think>a</think> ok!\n\n```\ncode\n```\n| a | b |\n|--|--|\n| 😀 | `x` |\n\n"
    "https://a.b/c 你好。"
)


def drawn(kind: type[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Some of its settings, each with a value that is one of its kind, or any."""
    names = sorted(kind.model_fields)
    return st.dictionaries(st.sampled_from(names), VALUES, max_size=3) | st.dictionaries(
        st.sampled_from(names) | ANY_TEXT, ANY_VALUE | SPEECH, max_size=2
    )


def variables(kind: type[BaseSettings]) -> st.SearchStrategy[dict[str, str]]:
    """Some of its variables, with any text that an environment can hold."""
    prefix = kind.model_config["env_prefix"]
    names = [f"{prefix}{name}".upper() for name in kind.model_fields]
    names += [f"{prefix}SPEECH__{name}".upper() for name in SpeechSettings.model_fields]
    names += [f"{prefix}SPEECH__{name}__X" for name in ("URLS", "NOPE")]
    json = [
        '{"min_chunk_chars": 3}',
        '{"nope": 1}',
        '{"a\\nb": 1}',
        '["a"]',
        "[1]",
        "[[]]",
        "{",
        '{"urls": NaN}',
        "[" * 99999,
    ]
    text = ANY_TEXT | st.sampled_from(json) | NUMBERS.filter(lambda n: abs(n) < 1e308 or n != n).map(str)
    return st.dictionaries(st.sampled_from(names), text.filter(_in_an_environment), max_size=3)


def _in_an_environment(text: str) -> bool:
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def hold(settings: Any) -> None:
    """What was accepted is within bounds, and read again it is the same."""
    assert type(settings)(**settings.model_dump()) == settings
    for name, value in [*settings, *getattr(settings, "speech", ())]:
        if isinstance(value, int | float):
            assert math.isfinite(value), name
            assert 0 <= value <= 1_000_000_000, name
        if isinstance(value, SecretStr):
            value.get_secret_value().encode()  # as what seals with it does


@pytest.mark.parametrize("kind", [*KINDS, SpeechSettings], ids=lambda kind: kind.__name__)
def test_any_values_are_settings_or_refused(kind: type[Any]) -> None:
    @effort(150)
    @given(drawn(kind))
    def try_it(values: dict[str, Any]) -> None:
        settings = taken(lambda: kind(**values))
        if settings is not None:
            hold(settings)

    try_it()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_any_environment_gives_settings_or_is_refused(kind: type[BaseSettings]) -> None:
    @effort(150)
    @given(variables(kind))
    def try_it(environment: dict[str, str]) -> None:
        with patch.dict(os.environ, environment):
            settings = taken(kind)
            if settings is None:
                error = refusal_of(kind)
                assert isinstance(error, BadSettingsError)
                assert any(name.partition("__")[0] in str(error) for name in environment), (
                    f"names no variable: {error}"
                )
            else:
                hold(settings)

    try_it()


@effort(100)
@given(
    st.sampled_from([{}, {"code": "announce"}]).flatmap(lambda given: mutations({**USUAL_SPEECH, **given}, VALUES))
)
@example({"max_hold_chars": 2**40})
@example({"code_announcement": "\ud800", "code": "announce"})
def test_speech_settings_that_are_accepted_can_be_spoken_with(values: dict[str, Any]) -> None:
    settings = taken(lambda: SpeechSettings(**values))
    if settings is None:
        return
    pipeline = SpeechPipeline(settings)
    chunks = [chunk for at in range(0, len(TEXT), 3) for chunk in pipeline.feed(TEXT[at : at + 3])]
    for chunk in [*chunks, *pipeline.flush()]:
        assert chunk.text.encode().strip()
        assert settings.max_chunk_chars is None or len(chunk.text) <= settings.max_chunk_chars


@effort(60)
@given(
    st.dictionaries(
        st.sampled_from(sorted(set(Settings.model_fields) - {"loop_watchdog_seconds"})),
        NUMBERS | st.none(),
        max_size=3,
    )
)
@example({"replay_window": 2**62})
@example({"replay_window": 10**9})
@example({"turn_retention_seconds": 10**9})
def test_settings_that_are_accepted_can_be_conversed_with(values: dict[str, Any]) -> None:
    settings = taken(lambda: Settings(**{"loop_watchdog_seconds": None, **values}))
    if settings is None:
        return

    async def converse() -> tuple[str, str]:
        async with ConversationSystem(settings) as system:
            return end_of(await talk(system.connect(), ready(["Hello. ", "And good bye."])))

    status, reason = run_virtual(converse())
    assert status == "completed" or settings.max_turn_chars < 20 or settings.flow == "played", reason
