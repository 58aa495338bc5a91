"""Text of an agent, as it is written, becomes text for a voice, as it can be spoken.

`SpeechPipeline` is a row of stages: reasoning, markup, emoji, emotion, sentences, chunking. Each is a module
with one class, usable alone; what they hand to one another is in `actors.speech.pieces`. Nothing here knows
of actors, clocks or loops.
"""

from __future__ import annotations

from actors.speech.pieces import Break, Mood, Piece, Removed, Stage, Stray, Strength, Text
from actors.speech.pipeline import SpeechPipeline
from protocol.speech import RemovedSpan, SpeechChunk, SpeechSettings, StageFault

__all__ = [
    "Break",
    "Mood",
    "Piece",
    "Removed",
    "RemovedSpan",
    "SpeechChunk",
    "SpeechPipeline",
    "SpeechSettings",
    "Stage",
    "StageFault",
    "Stray",
    "Strength",
    "Text",
]
