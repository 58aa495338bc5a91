"""The commands `antiphon fleet …`: their options, and nothing that needs the extra `fleet`."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from actors.speak.exit_codes import ExitCode
from protocol.errors import AntiphonError, BadArgumentError, FleetStartError, FleetTimeoutError, MissingExtraError

if TYPE_CHECKING:
    from actors.fleet.control import Control
    from actors.fleet.mail import FleetStatus

__all__ = ["add_fleet_commands"]

_EXTRA = {"thespian", "starlette", "uvicorn", "uvloop", "websockets"}
"""What the extra `fleet` brings."""
_READY = "_ANTIPHON_FLEET_READY"
"""The environment variable with the descriptor that a leader in the background reports to."""
_LISTENS = "Antiphon listens on"

Nodes = Annotated[int | None, typer.Option(min=1, max=256, metavar="N", help="Left out: one for each core.")]
Host = Annotated[str, typer.Option(metavar="HOST", help="Where to listen.")]
Port = Annotated[int, typer.Option(min=0, max=65535, metavar="PORT", help="0 takes a free one.")]
AgentName = Annotated[str, typer.Option(metavar="AGENT", help="As for antiphon serve.")]
Pace = Annotated[float, typer.Option(min=0, metavar="N", help="As for antiphon serve.")]
Foreground = Annotated[bool, typer.Option("--foreground", help="Stay, and end with Ctrl-C.")]
Log = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Where a fleet in the background logs; nowhere if left out.")
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")]
ControlPort = Annotated[
    int | None,
    typer.Option(min=1, max=65535, metavar="PORT", help="Of the control plane on this host; 8790 if left out."),
]

fleet = typer.Typer()


@fleet.callback(invoke_without_command=True)
def _fleet(context: typer.Context) -> None:
    """Serve from several processes: start, look at, drain, and end them."""
    if context.invoked_subcommand is None:
        print(context.get_help())


def add_fleet_commands(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.add_typer(fleet, name="fleet")


def _needs_extra(command: Callable[..., Any]) -> Callable[..., Any]:
    """Say which extra is missing, rather than which module."""

    @wraps(command)
    def run(*arguments: Any, **options: Any) -> Any:
        try:
            return command(*arguments, **options)
        except ModuleNotFoundError as missing:
            needed = (missing.name or "").partition(".")[0]
            if needed not in _EXTRA:
                raise
            raise MissingExtraError("fleet", needed) from None

    return run


@fleet.command(short_help="Start a fleet on this host.")
@_needs_extra
def up(
    nodes: Nodes = None,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    agent: AgentName = "echo",
    tokens_per_second: Pace = 50,
    foreground: Foreground = False,
    log: Log = None,
    control_port: ControlPort = None,
    verbose: Verbose = False,
) -> int:
    """Serve conversations from several processes that share one port; each is started again when it dies.

    Returns when the port serves. Settings are those of antiphon serve, from the environment.
    """
    serving = {"host": host, "port": port, "agent": agent, "tokens_per_second": tokens_per_second}
    return _lead(nodes, foreground=foreground, log=log, control_port=control_port, verbose=verbose, **serving)


def _lead(
    nodes: int | None, *, foreground: bool, log: Path | None, control_port: int | None, verbose: bool, **options: Any
) -> int:
    from actors.fleet.leader import Leader
    from actors.gateway.server import log_to_standard_error

    if not foreground and _READY not in os.environ:
        return _in_background(log)
    log_to_standard_error(verbose)
    tell = _teller(os.environ.pop(_READY, None))
    count = nodes or os.cpu_count() or 1
    leader = Leader(_settings(control_port), nodes=count, verbose=verbose, **options)
    try:
        leader.run(lambda address: tell(f"{_LISTENS} {address} with {count} node{'s' if count > 1 else ''}"))
    except AntiphonError as failure:
        if foreground:
            raise
        tell(str(failure))
        return ExitCode.BAD_INPUT
    return ExitCode.SPOKEN


def _teller(descriptor: str | None) -> Callable[[str], None]:
    """Return what says a line: to whoever started this, once, or on standard output."""
    if descriptor is None:
        return partial(print, flush=True)
    pipe = open(int(descriptor), "w", encoding="utf-8")  # noqa: SIM115, PTH123 - closed with its only line

    def tell(line: str) -> None:
        if not pipe.closed:
            pipe.write(line)
            pipe.close()

    return tell


def _in_background(log: Path | None) -> int:
    """Start this very command again in a session of its own, and wait for its word."""
    hear, tell = os.pipe()
    os.set_inheritable(tell, True)
    try:
        output = open(log, "ab") if log is not None else subprocess.DEVNULL  # noqa: PTH123, SIM115 - closed below
    except OSError as failure:
        raise BadArgumentError(f"--log {log}: {failure.strerror}") from None
    leader = subprocess.Popen(
        [sys.executable, "-m", "actors.cli", *sys.argv[1:]],
        env={**os.environ, _READY: str(tell)},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=[tell],
        start_new_session=True,
    )
    os.close(tell)
    with os.fdopen(hear, encoding="utf-8") as pipe:
        word = pipe.read()
    if word.startswith(_LISTENS):
        print(word)
        return ExitCode.SPOKEN
    leader.wait()
    raise FleetStartError(word or f"the fleet did not start (exit code {leader.returncode}); see --log")


@fleet.command(short_help="Start a fleet here as a part of another host's.")
@_needs_extra
def join(
    leader: Annotated[str, typer.Argument(metavar="LEADER", help="The other's control plane: HOST or HOST:PORT.")],
    nodes: Nodes = None,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    agent: AgentName = "echo",
    tokens_per_second: Pace = 50,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of the nodes: NAME-1 …; this host's if left out.")
    ] = None,
    foreground: Foreground = False,
    log: Log = None,
    control_port: ControlPort = None,
    verbose: Verbose = False,
) -> int:
    """Do as up does, and make one fleet of this host's nodes and those of the host that LEADER is on.

    Each host goes on by itself when the other is gone, and they find each other again. Both need ANTIPHON_FLEET_KEY,
    and ANTIPHON_FLEET_CONTROL_HOST, the address by which the other reaches this one.
    """
    serving = {"host": host, "port": port, "agent": agent, "tokens_per_second": tokens_per_second}
    return _lead(
        nodes,
        name=name or socket.gethostname().partition(".")[0],
        join=_control_plane(leader),
        foreground=foreground,
        log=log,
        control_port=control_port,
        verbose=verbose,
        **serving,
    )


def _control_plane(leader: str) -> str:
    """Return HOST or HOST:PORT as `host:port`."""
    host, colon, port = leader.partition(":")
    number = port if colon else str(_settings(None).control_port)
    if not (host.strip() and number.isascii() and number.isdigit() and 1 <= int(number[:6]) <= 65_535):
        raise BadArgumentError(f"{leader!r} is no control plane: it is HOST or HOST:PORT, the port from 1 to 65535")
    return f"{host}:{number}"


@fleet.command(short_help="Show how the fleet is.")
@_needs_extra
def status(
    as_json: Annotated[bool, typer.Option("--json", help="For other programs.")] = False,
    control_port: ControlPort = None,
) -> int:
    """Show the nodes, what they do, and the sums."""
    from actors.fleet.mail import AskStatus

    with _control(control_port) as control:
        told = control.ask(AskStatus())
    if as_json:
        print(json.dumps(asdict(told), indent=2))
    else:
        _show(told)
    return ExitCode.SPOKEN


def _show(told: FleetStatus) -> None:
    print(f"{told.address}  {told.connections} connections  leader {told.leader}")
    for node in told.nodes:
        where = f"process {node.pid}  {node.address}" if node.pid is not None else "no process"
        print(f"  {node.name}  {node.state}  {node.connections} connections  {node.restarts} restarts  {where}")
        if node.last_failure is not None:
            print(f"    {node.last_failure}")


@fleet.command(short_help="Let a node finish what it does, and end it.")
@_needs_extra
def drain(
    node: Annotated[str, typer.Argument(metavar="NODE", help="As in antiphon fleet status.")],
    control_port: ControlPort = None,
) -> int:
    """Have a node take nobody new, finish its turns, and end; `antiphon fleet restart NODE` brings it back."""
    from actors.fleet.mail import AskStatus, Drain

    with _control(control_port) as control:
        control.ask(Drain(node), _patience(control.ask(AskStatus())))
    print(f"{node} has ended")
    return ExitCode.SPOKEN


@fleet.command(short_help="Restart nodes, one after the other.")
@_needs_extra
def restart(
    nodes: Annotated[list[str] | None, typer.Argument(metavar="[NODE]...", help="All if left out.")] = None,
    control_port: ControlPort = None,
) -> int:
    """Drain a node, start it again, go on with the next: the port is served all the while."""
    from actors.fleet.mail import AskStatus, RestartNodes

    with _control(control_port) as control:
        status = control.ask(AskStatus())
        patience = len(nodes or status.nodes) * (_patience(status) + 60)
        restarted = control.ask(RestartNodes(tuple(nodes or ())), patience)
    print(f"{', '.join(restarted.nodes)} restarted")
    return ExitCode.SPOKEN


@fleet.command(short_help="Interrupt what a connection says.")
@_needs_extra
def interrupt(
    connection: Annotated[str, typer.Argument(metavar="CONNECTION", help="Its id.")],
    control_port: ControlPort = None,
) -> int:
    """Interrupt the turns of a connection, whichever node it is on."""
    from actors.fleet.mail import Interrupt

    with _control(control_port) as control:
        done = control.ask(Interrupt(connection))
    print(f"{done.turns} turn{'s' if done.turns != 1 else ''} interrupted on {done.node}")
    return ExitCode.SPOKEN


@fleet.command(short_help="Show a connection and its last turns.")
@_needs_extra
def show(
    connection: Annotated[str, typer.Argument(metavar="CONNECTION", help="Its id.")],
    turn: Annotated[str | None, typer.Option(metavar="TURN", help="This turn alone.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For other programs.")] = False,
    control_port: ControlPort = None,
) -> int:
    """Show where a connection is, and of its last turns what was written, delivered and heard."""
    from actors.fleet.mail import LookUp

    with _control(control_port) as control:
        found = control.ask(LookUp(connection, turn))
    if as_json:
        print(json.dumps(asdict(found), indent=2))
        return ExitCode.SPOKEN
    print(f"{found.connection_id}  user {found.user_id}  on {found.node}, {found.address}")
    for each in found.turns:
        written, delivered, heard = map(len, (each.generated_text, each.delivered_text, each.played_text))
        print(f"  {each.turn_id}  {each.status}  {written} characters, {delivered} delivered, {heard} heard")
    return ExitCode.SPOKEN


@fleet.command(short_help="End the fleet of this host.")
@_needs_extra
def down(control_port: ControlPort = None) -> int:
    """Let turns finish, as with Ctrl-C in the foreground, and end every process; returns when they have."""
    from actors.fleet.guard import end_process
    from actors.fleet.mail import AskStatus

    with _control(control_port) as control:
        status = control.ask(AskStatus())
    os.kill(status.leader, signal.SIGTERM)
    if not end_process(status.leader, _patience(status)):
        raise FleetTimeoutError("the fleet did not end in good form, and was killed")
    print("the fleet has ended")
    return ExitCode.SPOKEN


def _settings(control_port: int | None) -> Any:
    from actors.fleet.settings import FleetSettings

    return FleetSettings() if control_port is None else FleetSettings(control_port=control_port)


def _control(control_port: int | None) -> Control:
    from actors.fleet.control import Control

    return Control(_settings(control_port))


def _patience(status: FleetStatus) -> float:
    """How long a drain may take at the most, by the settings of the fleet, which the command need not have."""
    return status.drain_seconds + 15.0
