"""The command line of `antiphon`: options, their checks, and the errors of both as one line each."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer
from typer.exceptions import TyperException

from actors.speak.display import STANDARD_ERROR, Display, JsonDisplay, PlainDisplay
from actors.speak.exit_codes import ExitCode, ended_by
from actors.speak.lines import LineWriter, complain
from actors.speak.session import SpeakSession, settings_for_a_person
from actors.speak.source import STANDARD_INPUT, TextSource
from actors.speak.voice import Voice
from protocol.errors import AntiphonError

__all__ = ["run_command"]

_STANDARD_OUTPUT = 1
_READING_PACE = 30.0
"""Tokens a second for a file: as fast as a quick model, slow enough to see what happens."""

app = typer.Typer(
    help="The spoken side of an LLM agent: text goes in as tokens, sentences to speak come out.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def run_command(arguments: list[str]) -> int:
    """Run the command line and return the exit code."""
    _fill_closed_descriptors()
    try:
        result = app(arguments or ["--help"], prog_name="antiphon", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except TyperException as failure:
        context = getattr(failure, "ctx", None)
        asked = context.command_path if context is not None else "antiphon"
        complain(f"{failure.format_message().rstrip('.')}  (see {asked} --help)")
        return ExitCode.BAD_INPUT
    except AntiphonError as failure:
        complain(str(failure))
        return ExitCode.BAD_INPUT
    except OSError as failure:  # help that cannot be printed; a turn settles its own
        _give_up_standard_output()
        if isinstance(failure, BrokenPipeError):
            return ended_by(signal.SIGPIPE)
        complain(f"cannot write the output: {failure.strerror}")
        return ExitCode.FAILED
    return result if isinstance(result, int) else ExitCode.SPOKEN


def _fill_closed_descriptors() -> None:
    """Keep what is opened later from getting the number of a standard descriptor that the caller closed."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _give_up_standard_output() -> None:
    """Send what is still buffered nowhere, or Python would try again at its exit, and complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, _STANDARD_OUTPUT)
    os.close(nowhere)


def _print_version(wanted: bool) -> None:
    if not wanted:
        return
    try:
        print(f"antiphon {version('antiphon')}")
    except PackageNotFoundError:
        print("antiphon, from a checkout that is not installed")
    raise typer.Exit


@app.callback()
def _common(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options of every command."""


@app.command(
    short_help="Speak a text, token by token, as if an agent wrote it.",
    epilog="Exit codes: 0 spoken, or interrupted as --interrupt-after said; 1 the turn or the voice failed, or the "
    "output cannot be written; 2 bad input; 130 interrupted with Ctrl-C.",
)
def speak(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Text or markdown in UTF-8; - is standard input.")],
    tokens_per_second: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="N",
            help=f"How fast the text comes; 0 is as fast as it can. A file comes at {_READING_PACE:g} if left out, "
            "standard input as it does.",
        ),
    ] = None,
    json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print the events, one a line, for other programs; the summary goes to standard error."
        ),
    ] = False,
    interrupt_after: Annotated[
        float | None,
        typer.Option(min=0, metavar="SECONDS", help="Interrupt the turn after so long."),
    ] = None,
    voice: Annotated[
        str | None,
        typer.Option(
            metavar="COMMAND", help="Give each sentence to the standard input of a command, such as espeak-ng."
        ),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log to standard error.")] = False,
) -> int:
    """Speak a text through the engine, token by token, as if an agent wrote it.

    Sentences appear as soon as they are certain, with their time. Ctrl-C interrupts the turn.
    """
    _log(verbose)
    if sys.stdout is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    with TextSource(file) as source:
        if tokens_per_second is None:
            tokens_per_second = 0 if source.is_stream or file == STANDARD_INPUT else _READING_PACE
        session = SpeakSession(
            source=source,
            display=_display(json, source),
            settings=settings_for_a_person(source),
            tokens_per_second=tokens_per_second,
            interrupt_after=interrupt_after,
            voice=Voice(voice) if voice is not None else None,
        )
        return asyncio.run(session.run())


def _display(as_json: bool, source: TextSource) -> Display:
    if as_json:
        return JsonDisplay(LineWriter(_STANDARD_OUTPUT), LineWriter(STANDARD_ERROR))
    if os.isatty(_STANDARD_OUTPUT):
        from actors.speak.terminal import TerminalDisplay

        return TerminalDisplay(typed=source.is_typed)
    return PlainDisplay(LineWriter(_STANDARD_OUTPUT))


def _log(verbose: bool) -> None:
    """A turn that fails says so in one line; the log of the engine is for whoever asks for it."""
    if not verbose:
        logging.getLogger().addHandler(logging.NullHandler())
        return
    handler = StandardErrorHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    logging.getLogger("antiphon").setLevel(logging.DEBUG)


class StandardErrorHandler(logging.Handler):
    """Writes to what is standard error at that moment: on a terminal that is above the status, not in it."""

    def emit(self, record: logging.LogRecord) -> None:
        if sys.stderr is not None:
            with suppress(OSError):  # nobody reads it
                print(self.format(record), file=sys.stderr, flush=True)
