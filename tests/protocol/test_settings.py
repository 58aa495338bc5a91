"""Settings: their names and values, the environment, and what is said of a wrong one."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import ValidationError

from protocol.errors import BadSettingsError
from protocol.settings import Settings
from protocol.speech import SpeechSettings

DEFAULTS: dict[str, Any] = {
    "queue_maxsize": 100,
    "interrupt_wait_timeout": 1.0,
    "agent_stall_seconds": 30.0,
    "tool_stall_seconds": 300.0,
    "turn_deadline_seconds": None,
    "shutdown_timeout_seconds": 5.0,
    "max_turn_chars": 1_000_000,
    "reader_grace_seconds": 30.0,
    "replay_window": 256,
    "turn_retention_seconds": 300.0,
    "turn_retention_count": 100,
    "on_busy": "reject",
    "turn_queue_limit": 10,
    "strict_agent_events": False,
}
"""The values that users were promised."""
GIVEN: dict[str, tuple[str, Any]] = {
    "queue_maxsize": ("7", 7),
    "interrupt_wait_timeout": ("0.5", 0.5),
    "agent_stall_seconds": ("none", None),
    "tool_stall_seconds": ("60", 60.0),
    "turn_deadline_seconds": ("90", 90.0),
    "on_busy": ("queue", "queue"),
    "strict_agent_events": ("true", True),
}
"""What stands in a variable, and what it means."""


@pytest.mark.parametrize(("name", "value"), DEFAULTS.items())
def test_default(name: str, value: Any) -> None:
    assert getattr(Settings(), name) == value


def test_every_default_is_a_valid_value() -> None:
    assert Settings(**Settings().model_dump()) == Settings()


@pytest.mark.parametrize(("name", "written", "value"), [(name, *given) for name, given in GIVEN.items()])
def test_environment_gives_what_the_code_does_not(
    name: str, written: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"ANTIPHON_{name.upper()}", written)

    assert getattr(Settings(), name) == value
    assert getattr(Settings(**{name: DEFAULTS[name]}), name) == DEFAULTS[name], "the code wins"


def test_names_in_the_environment_are_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("antiphon_queue_maxsize", "7")

    assert Settings().queue_maxsize == 7


def test_speech_settings_nest_and_join_what_the_code_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTIPHON_SPEECH__MIN_CHUNK_CHARS", "20")
    monkeypatch.setenv("ANTIPHON_SPEECH__REASONING_TAGS", '["plan", "draft"]')

    assert Settings().speech == SpeechSettings(min_chunk_chars=20, reasoning_tags=("plan", "draft"))


def test_variable_of_another_program_disturbs_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTIPHON_HOME", "/somewhere")
    monkeypatch.setenv("QUEUE_MAXSIZE", "7")

    assert Settings() == Settings.model_validate({})
    assert Settings().queue_maxsize == 100


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"queue_maxsize": 0}, "queue_maxsize (ANTIPHON_QUEUE_MAXSIZE): Input should be greater than or equal to 1"),
        ({"agent_stall_seconds": 0}, "agent_stall_seconds (ANTIPHON_AGENT_STALL_SECONDS): Input should be greater"),
        ({"on_busy": "wait"}, "on_busy (ANTIPHON_ON_BUSY): Input should be 'reject', 'interrupt' or 'queue'"),
        (
            {"interrupt_wait_timeout": "soon"},
            "interrupt_wait_timeout (ANTIPHON_INTERRUPT_WAIT_TIMEOUT): Input should",
        ),
        ({"speech": {"min_chunk_chars": -1}}, "speech__min_chunk_chars (ANTIPHON_SPEECH__MIN_CHUNK_CHARS): Input"),
        ({"queue_maxsise": 7}, "queue_maxsise (ANTIPHON_QUEUE_MAXSISE): Extra inputs are not permitted"),
        ({"a\nb": 7}, "a\\nb (ANTIPHON_A\\nB): Extra inputs are not permitted"),
        ({"loop_watchdog_seconds": math.inf}, "(ANTIPHON_LOOP_WATCHDOG_SECONDS): Input should be 1000000000 or less"),
        ({"turn_retention_seconds": math.nan}, "(ANTIPHON_TURN_RETENTION_SECONDS): Input should be greater"),
        ({"replay_window": 2**62}, "(ANTIPHON_REPLAY_WINDOW): Input should be 1000000000 or less"),
        (
            {"speech": {"reasoning_tags": ["think", 7]}},
            "speech__reasoning_tags[1] (ANTIPHON_SPEECH__REASONING_TAGS): Input should be a valid string",
        ),
        (
            {"speech": {"code_announcement": "\ud800"}},
            "(ANTIPHON_SPEECH__CODE_ANNOUNCEMENT): Input should be text that UTF-8 can hold",
        ),
    ],
    ids=repr,
)
def test_error_names_the_setting_and_its_variable(values: dict[str, Any], words: str) -> None:
    with pytest.raises(BadSettingsError) as caught:
        Settings(**values)

    assert words in str(caught.value)


def test_error_names_every_setting_that_is_wrong_wherever_it_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTIPHON_QUEUE_MAXSIZE", "many")

    with pytest.raises(BadSettingsError, match=r"ANTIPHON_QUEUE_MAXSIZE.*; .*ANTIPHON_REPLAY_WINDOW"):
        Settings(replay_window=0)


@pytest.mark.parametrize("variable", ["ANTIPHON_SPEECH", "ANTIPHON_SPEECH__REASONING_TAGS"])
def test_list_that_is_not_json_is_a_bad_setting_like_any_other(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "think")

    with pytest.raises(BadSettingsError) as caught:
        Settings()

    assert (
        str(caught.value)
        == f"""invalid settings: speech ({variable}): no JSON; a list is written as '["one", "two"]'"""
    )


def test_json_that_nests_too_deep_is_a_bad_setting_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTIPHON_SPEECH__REASONING_TAGS", "[" * 100_000)
    monkeypatch.setenv("ANTIPHON_QUEUE_MAXSIZE", "7")

    with pytest.raises(BadSettingsError) as caught:
        Settings()

    assert str(caught.value) == "invalid settings: ANTIPHON_SPEECH__REASONING_TAGS: JSON that nests too deep"


def test_speech_settings_alone_are_refused_by_the_same_error() -> None:
    with pytest.raises(BadSettingsError) as caught:
        SpeechSettings(min_chunk_chars=-1)

    assert str(caught.value) == "invalid settings: min_chunk_chars: Input should be greater than or equal to 0"


def test_settings_stay_as_they_are() -> None:
    settings = Settings()

    with pytest.raises(ValidationError, match="frozen"):
        settings.queue_maxsize = 7
    with pytest.raises(ValidationError, match="frozen"):
        settings.speech.min_chunk_chars = 7
