"""One turn of the engine for `antiphon speak`, from the first token to the exit code.

The session is a client like any other: it starts the turn, takes the events one by one, shows each and has it spoken
before it asks for the next, so that the turn can be interrupted for as long as somebody listens. What interrupts it
(a signal, `--interrupt-after`, a pipe that closed) goes one way: `_interrupt` with the reason.
"""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass
from typing import Any

from actors.speak.display import Display
from actors.speak.exit_codes import ExitCode, ended_by
from actors.speak.lines import complain
from actors.speak.progress import Progress
from actors.speak.source import TextSource
from actors.speak.summary import Summary
from actors.speak.voice import Voice
from actors.system import ConversationSystem
from protocol.settings import Settings
from protocol.validity import LARGEST

__all__ = ["SpeakSession", "settings_for_a_person"]

_SIGNALS = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "terminated", signal.SIGHUP: "terminal closed"}
_NO_READER_LEAVES_SECONDS = 1e6


@dataclass(slots=True)
class SpeakSession:
    """Everything that one run of the command needs; `run` returns its exit code."""

    source: TextSource
    display: Display
    settings: Settings
    tokens_per_second: float = 0
    interrupt_after: float | None = None
    voice: Voice | None = None

    async def run(self) -> int:
        """Speak the source, to its end or the interrupt."""
        return await _Run(self).speak()


def settings_for_a_person(source: TextSource) -> Settings:
    """Return the settings from the environment, without the limits that a person at the keyboard replaces.

    A model that is still loading, a slow pace that was asked for, a voice that speaks for a minute, a file as long as
    a book: who runs the command sees it and has Ctrl-C. A stream keeps its limit, as it may have no end.

    Raises:
        BadSettingsError: a variable in the environment is not valid.

    """
    given = Settings()
    own: dict[str, Any] = {
        "agent_stall_seconds": None,
        "reader_grace_seconds": _NO_READER_LEAVES_SECONDS,
        "max_turn_chars": min(max(given.max_turn_chars, source.length or 0), LARGEST),
    }
    return Settings(**{name: value for name, value in own.items() if name not in given.model_fields_set})


class _Run:
    """The state of a run."""

    def __init__(self, session: SpeakSession) -> None:
        self._session = session
        self._summary = Summary()
        self._signal: signal.Signals | None = None
        self._write_failure: OSError | None = None
        self._interrupting: asyncio.Task[None] | None = None

    async def speak(self) -> int:
        session = self._session
        loop = asyncio.get_running_loop()
        self._progress = Progress(session.source, self._elapsed)
        self._task = asyncio.current_task()
        timer = None
        try:
            async with ConversationSystem(session.settings) as system:
                self._processor = system.connect(connection_id="speak")
                self._started = loop.time()
                self._turn_id = await self._processor.start_turn(agent_stream=self._agent())
                for number in _SIGNALS:
                    loop.add_signal_handler(number, self._on_signal, number)
                if session.interrupt_after is not None:
                    reason = f"--interrupt-after {session.interrupt_after:g}"
                    timer = loop.call_at(self._started + session.interrupt_after, self._interrupt, reason)
                await self._take_events()
                await self._summarise()
        except asyncio.CancelledError:
            if self._signal is None:
                raise
        finally:
            session.display.stop()
            if timer is not None:
                timer.cancel()
            for number in _SIGNALS:
                loop.remove_signal_handler(number)
                if self._signal is not None:  # on its way out: one more Ctrl-C does not change how it ended
                    signal.signal(number, signal.SIG_IGN)
        return self._end()

    async def _agent(self) -> Any:
        session = self._session
        async for token in session.source.tokens(session.tokens_per_second):
            if self._summary.first_token is None:
                self._summary.first_token = self._elapsed()
            yield token

    async def _take_events(self) -> None:
        session = self._session
        session.display.start(self._progress)
        async with self._processor.stream_events(self._turn_id) as events:
            async for event in events:
                await self._take(event)
        session.display.stop()
        if self._interrupting is not None:
            await self._interrupting

    async def _take(self, event: dict[str, Any]) -> None:
        session, summary = self._session, self._summary
        if event["type"] == "tts_ready_chunk":
            summary.chunks += 1
            self._progress.chunks += 1
            self._progress.spoken_to = event["end"]
            if summary.first_chunk is None:
                summary.first_chunk = self._elapsed()
        elif event["type"] == "stream_end":
            summary.status, summary.reason = event["status"], event["reason"]
        if self._write_failure is None:
            try:
                await session.display.show(event, self._elapsed())
            except OSError as failure:
                self._write_failure = failure
                self._interrupt("nobody reads the output")
        if event["type"] == "error" and session.source.failure is None:
            complain(f"the turn failed: {event['error']} ({event['code']})")
        if event["type"] == "tts_ready_chunk" and session.voice is not None and self._interrupting is None:
            await self._say(session.voice, event["chunk"])

    async def _say(self, voice: Voice, text: str) -> None:
        had_failed = voice.failures
        await voice.say(text, self._session.display.voice_output)
        if voice.failures and not had_failed:  # the first time at once, all others as a number at the end
            complain(f"--voice: {voice.last_failure}")

    async def _summarise(self) -> None:
        session, summary = self._session, self._summary
        summary.tokens = session.source.tokens_read
        summary.elapsed = self._elapsed()
        turn = self._processor.get_turn(self._turn_id)
        if turn is not None:
            summary.removed = turn.removed
        if session.voice is not None:
            summary.voice_failures = session.voice.failures
        if session.source.failure is not None:
            summary.reason = "bad input"
        summary.exit_code = self._exit_code()
        if self._write_failure is None:
            try:
                await session.display.summarise(summary)
            except OSError as failure:
                self._write_failure = failure

    def _on_signal(self, number: signal.Signals) -> None:
        if self._signal is not None:  # the second time: at once, without an end
            if self._task is not None:
                self._task.cancel()
            return
        self._signal = number
        self._interrupt(_SIGNALS[number])

    def _interrupt(self, reason: str) -> None:
        if self._interrupting is None:
            self._interrupting = asyncio.get_running_loop().create_task(self._do_interrupt(reason))

    async def _do_interrupt(self, reason: str) -> None:
        voice = self._session.voice
        silence = asyncio.ensure_future(voice.stop()) if voice is not None else None
        await self._processor.interrupt_turn(self._turn_id, reason)
        if silence is not None:
            await silence

    def _elapsed(self) -> float:
        return asyncio.get_running_loop().time() - self._started

    def _end(self) -> int:
        """Say what has not been said, and return the exit code."""
        if self._write_failure is not None and not isinstance(self._write_failure, BrokenPipeError):
            complain(f"cannot write the output: {self._write_failure.strerror}")
        elif self._session.source.failure is not None:
            complain(str(self._session.source.failure))
        return self._exit_code()

    def _exit_code(self) -> int:
        voice = self._session.voice
        if isinstance(self._write_failure, BrokenPipeError):
            return ended_by(signal.SIGPIPE)
        if self._write_failure is not None:
            return ExitCode.FAILED
        if self._session.source.failure is not None:
            return ExitCode.BAD_INPUT
        if self._signal is not None and self._summary.status != "completed":
            return ended_by(self._signal)
        if self._summary.status == "failed" or (voice is not None and voice.failures):
            return ExitCode.FAILED
        return ExitCode.SPOKEN
