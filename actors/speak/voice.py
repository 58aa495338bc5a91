"""The voice: a command that is run once for each chunk, with the chunk on its standard input.

One at a time, in order: `say` returns when the command has ended. An interrupt must be heard at once, so `stop` ends
the command that runs, with all processes that it started, and lets none begin after it.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal

from protocol.errors import AntiphonError

__all__ = ["BadVoiceError", "Voice"]

_GRACE_SECONDS = 0.3
"""How long a command may take to end by itself when it is told to."""


class BadVoiceError(AntiphonError, ValueError):
    """The command cannot be run; the message says why, in one line."""

    code = "bad_voice"


class Voice:
    """A command line, split as a shell would, run without one.

    Raises:
        BadVoiceError: it cannot be split, or its program is not there.

    """

    def __init__(self, command: str) -> None:
        try:
            self._argv = shlex.split(command)
        except ValueError as failure:
            raise BadVoiceError(f"--voice: {failure} in {command!r}") from None
        if not self._argv:
            raise BadVoiceError("--voice: the command is empty")
        program = self._argv[0]
        if shutil.which(program) is None:
            if os.sep in program and os.path.exists(program):  # noqa: PTH110 - also a name that no path can have
                raise BadVoiceError(f"--voice: {program!r} is no program that can be run")
            raise BadVoiceError(f"--voice: there is no program {program!r}")
        self._process: asyncio.subprocess.Process | None = None
        self._stopped = asyncio.Event()
        self.failures = 0
        """For how many chunks the command failed."""
        self.last_failure = ""
        """What happened the last time."""

    async def say(self, text: str, output: int) -> None:
        """Let the command speak the text, and wait until it has ended; what it prints goes to a file descriptor."""
        if self._stopped.is_set():
            return
        try:
            self._process = process = await asyncio.create_subprocess_exec(
                *self._argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,  # so that Ctrl-C in the terminal reaches it through us, and all of it
            )
        except OSError as failure:
            self._fail(f"{self._argv[0]}: {failure.strerror}")
            return
        try:
            await self._end_if_stopped(process)  # perhaps while it was being started
            await process.communicate((text + "\n").encode("utf-8", "replace"))
            if process.returncode and not self._stopped.is_set():
                self._fail(f"{self._argv[0]} ended with exit code {process.returncode}")
        finally:
            if (
                self._stopped.is_set() or process.returncode is None
            ):  # what it left running may still be meant to play
                _signal_all(process, signal.SIGKILL)
            self._process = None

    async def stop(self) -> None:
        """End the command that runs, and run none any more."""
        self._stopped.set()
        if self._process is not None:
            await self._end_if_stopped(self._process)

    async def _end_if_stopped(self, process: asyncio.subprocess.Process) -> None:
        if not self._stopped.is_set():
            return
        _signal_all(process, signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), _GRACE_SECONDS)
        except TimeoutError:
            _signal_all(process, signal.SIGKILL)

    def _fail(self, what: str) -> None:
        self.failures += 1
        self.last_failure = what


def _signal_all(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Signal the whole session of the command."""
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):  # all gone; macOS says the latter of processes that have ended
        return
