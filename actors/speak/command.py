"""The command line of `antiphon`: options, their checks, and the errors of both as one line each."""

from __future__ import annotations

import asyncio
import logging
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer
from typer.exceptions import TyperException

from actors.speak.display import Display, JsonDisplay, LineWriter, PlainDisplay, TerminalDisplay, complain
from actors.speak.exit_codes import ExitCode
from actors.speak.session import SpeakSession, settings_for_a_person
from actors.speak.source import STANDARD_INPUT, InputError, TextSource
from actors.speak.voice import BadVoiceError, Voice
from protocol.errors import AntiphonError

__all__ = ["run_command"]

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
    try:
        result = app(arguments or ["--help"], prog_name="antiphon", standalone_mode=False)
    except TyperException as failure:
        complain(f"{failure.format_message()}  (see antiphon --help)")
        return ExitCode.BAD_INPUT
    except (InputError, BadVoiceError, AntiphonError) as failure:
        complain(str(failure))
        return ExitCode.BAD_INPUT
    return result if isinstance(result, int) else ExitCode.SPOKEN


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
    epilog="Exit codes: 0 spoken, or interrupted as --interrupt-after said; 1 the turn failed; 2 bad input; "
    "130 interrupted with Ctrl-C."
)
def speak(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="Text or markdown in UTF-8; - is standard input.")],
    tokens_per_second: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="N",
            help=f"How fast the text comes; 0 is as fast as it can. A file comes at {_READING_PACE:g} if left out, "
            "standard input as it does.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the events, one a line, for other programs.")] = False,
    interrupt_after: Annotated[
        float | None,
        typer.Option(min=0, metavar="SECONDS", help="Interrupt the turn after this long."),
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
    with TextSource(file) as source:
        if tokens_per_second is None:
            tokens_per_second = 0 if source.is_stream or file == STANDARD_INPUT else _READING_PACE
        session = SpeakSession(
            source=source,
            display=_display(json),
            settings=settings_for_a_person(),
            tokens_per_second=tokens_per_second,
            interrupt_after=interrupt_after,
            voice=Voice(voice) if voice is not None else None,
        )
        return asyncio.run(session.run())


def _display(as_json: bool) -> Display:
    if as_json:
        return JsonDisplay(LineWriter(1), LineWriter(2))
    if sys.stdout is not None and sys.stdout.isatty():
        return TerminalDisplay()
    return PlainDisplay(LineWriter(1))


def _log(verbose: bool) -> None:
    """A turn that fails says so in one line; the log of the engine is for whoever asks for it."""
    if verbose:
        logging.basicConfig(level=logging.DEBUG, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    else:
        logging.getLogger().addHandler(logging.NullHandler())
