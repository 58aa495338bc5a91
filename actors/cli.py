"""The command `antiphon`: where it starts, and what it says when its extra is not installed.

Only this module is imported without typer and rich; the commands stand in modules of their own. Whatever a command
is given wrongly ends in one line on standard error and exit code 2.
"""

from __future__ import annotations

import os
import sys
from signal import SIG_IGN, SIGINT, signal
from typing import NoReturn

from actors.fleet.settings import FleetSettings
from actors.gateway.settings import GatewaySettings
from actors.speak.exit_codes import ExitCode, ended_by
from actors.speak.lines import complain
from actors.speak.misspelt import misspelt_settings
from protocol.errors import MissingExtraError
from protocol.settings import Settings

__all__ = ["main"]

_EXTRA = {"typer", "rich"}
"""What the extra `cli` brings."""


def main() -> NoReturn:
    """Run the command line, and exit."""
    try:
        code = _run(sys.argv[1:])
    except KeyboardInterrupt:  # before a command handles the signal, or after
        code = ended_by(SIGINT)
    signal(SIGINT, SIG_IGN)  # how it ends is decided; one more Ctrl-C must not change it
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    try:
        from actors.fleet.command import add_fleet_commands  # noqa: PLC0415 - needs the extra
        from actors.gateway.command import add_commands  # noqa: PLC0415 - needs the extra
        from actors.speak.command import app, run_command  # noqa: PLC0415 - needs the extra

        for variable, meant in misspelt_settings(os.environ, Settings, GatewaySettings, FleetSettings):
            complain(f"{variable} is no setting: {meant} is meant, perhaps")
        add_commands(app)
        add_fleet_commands(app)
        return run_command(arguments)
    except ModuleNotFoundError as missing:
        if missing.name not in _EXTRA:
            raise
        complain(str(MissingExtraError("cli", missing.name)))
        return ExitCode.BAD_INPUT


if __name__ == "__main__":
    main()
