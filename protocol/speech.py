"""What crosses the border of the speech pipeline, as data: its settings, its chunks, what it removed.

Offsets are code points into the whole text of the agent's turn. A chunk's span runs from its first to its
last source character; what was taken out inside it is in `removed`, what was taken out between chunks is
handed over by the pipeline's `take_removed()`. Together they tile the text, in ascending order, so that a
ledger or a transcript can account for every character.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from protocol.errors import BadSettingsError
from protocol.validity import describe_invalid, within_reason

__all__ = ["RemovedSpan", "SpeechChunk", "SpeechSettings", "StageFault"]


class RemovedSpan(NamedTuple):
    """Characters that are not spoken, and the name of the rule that took them out."""

    start: int
    end: int
    rule: str


class SpeechChunk(NamedTuple):
    """A piece of text for the voice: speakable, bounded, with its place in the agent's text."""

    text: str
    start: int
    end: int
    emotion: str | None = None
    removed: tuple[RemovedSpan, ...] = ()


class StageFault(NamedTuple):
    """A stage that raised. Its text went on unfiltered; the stage is not asked again in this turn."""

    stage: str
    error: str


class SpeechSettings(BaseModel):
    """How text becomes speech. Frozen, hashable: pipelines with equal settings share their tables.

    Raises:
        BadSettingsError: a value is not valid; the message names every one that is not.

    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    _within_reason = field_validator("*")(within_reason)

    if not TYPE_CHECKING:  # for type checkers the fields say what may be given

        def __init__(self, /, **values: Any) -> None:
            try:
                super().__init__(**values)
            except ValidationError as failure:
                raise BadSettingsError(describe_invalid(failure)) from None

        # Not for pydantic, which would call it for a part of other settings, and lose which part was wrong.
        __init__.__pydantic_base_init__ = True

    language: str | None = Field(
        default=None,
        description="A language code such as `de` or `pt-BR`; None: from the script of the text.",
    )
    min_chunk_chars: int = Field(
        default=10, ge=0, description="Sentences narrower than this (CJK counts two) merge with what follows."
    )
    first_chunk_min_chars: int | None = Field(
        default=5,
        ge=1,
        description="The first chunk of a turn may leave at a clause of this width; None: only at a sentence.",
    )
    max_chunk_chars: int | None = Field(
        default=240, ge=1, description="A longer sentence is cut, at a clause or else at a word; None: never."
    )
    max_hold_chars: int = Field(
        default=200,
        ge=16,
        description="How far an inline mark or a tag waits for its partner before it is text.",
    )
    markup: bool = Field(
        default=True, description="False turns every filter off: a chunk's text is exactly its span."
    )
    reasoning_tags: tuple[str, ...] = Field(
        default=("think", "thinking", "reasoning"), description="Elements whose content is never spoken."
    )
    starts_in_reasoning: bool = Field(
        default=False, description="The prompt's template has opened the tag: only the closing one arrives."
    )
    unclosed_reasoning: Literal["drop", "speak"] = Field(
        default="drop", description="At the end inside reasoning: say nothing, or its last `max_hold_chars`."
    )
    code: Literal["skip", "announce", "speak"] = Field(
        default="skip", description="Fenced and indented code: left out, announced by a phrase, or spoken."
    )
    code_announcement: str = Field(default="Code block.", description="The phrase for `announce`.")
    tables: Literal["rows", "skip"] = Field(
        default="rows", description="Tables row by row as `header: cell, …`, or left out."
    )
    urls: Literal["host", "skip", "speak"] = Field(
        default="host", description="Bare URLs: their host without `www.`, nothing, or as they are."
    )
    math: Literal["source", "skip"] = Field(
        default="source", description="LaTeX math: its source without the delimiters, or nothing."
    )
    emoji: Literal["drop", "name"] = Field(
        default="drop", description="Emoji and pictographs: left out, or their English name spoken."
    )
    emotion_tags: tuple[str, ...] = Field(
        default=(
            "laughing",
            "laughs",
            "laughter",
            "chuckles",
            "chuckling",
            "giggles",
            "giggling",
            "whispers",
            "whispering",
            "whisper",
            "sighs",
            "sighing",
            "sigh",
            "gasps",
            "gasping",
            "crying",
            "sobbing",
            "shouting",
            "shouts",
            "excited",
            "excitedly",
            "happy",
            "happily",
            "sad",
            "sadly",
            "angry",
            "angrily",
            "surprised",
            "nervous",
            "nervously",
            "sarcastic",
            "sarcastically",
            "serious",
            "calm",
            "cheerful",
            "cheerfully",
        ),
        description="`(tag)` or `[tag]` with one of these becomes the chunk's emotion and is not spoken.",
    )
    line_ends: Literal["auto", "space", "boundary"] = Field(
        default="auto",
        description="A line end within a paragraph: a space where the text was wrapped, always, or never.",
    )
