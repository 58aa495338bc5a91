"""Any command line: it is carried out, or refused with exit code 2 and one line; and any bytes are spoken or refused.

In this process, so that there can be many; what a command would start is not started.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fuzz import effort
from hypothesis import given
from hypothesis import strategies as st
from near_valid import ANY_TEXT

import actors.fleet.command
import actors.fleet.control
import actors.gateway.server
from actors.fleet.command import add_fleet_commands
from actors.gateway.command import add_commands
from actors.speak import command
from actors.speak.command import app, run_command
from actors.speak.misspelt import misspelt_settings
from protocol.settings import Settings

NUMBERS = st.sampled_from(
    ["nan", "inf", "-inf", "1e400", "-1", "0", "0.5", "1e-320", "9" * 400, "٣", "1_0", "", " 1"]
)
WORDS = (
    ANY_TEXT | NUMBERS | st.sampled_from(["-", "--", "-v", "echo", "json:dumps", "127.0.0.1", "0", "a..b:x", ":"])
).filter(lambda word: "\0" not in word)
COMMANDS: dict[str, list[str]] = {
    "speak": ["--tokens-per-second", "--interrupt-after", "--voice", "--json", "-v", "--help"],
    "serve": ["--host", "--port", "--agent", "--tokens-per-second", "-v"],
    "schema": ["--asyncapi"],
    "fleet up": ["--nodes", "--host", "--port", "--agent", "--tokens-per-second", "--log", "--control-port"],
    "fleet join": ["--nodes", "--name", "--foreground", "--control-port"],
    "fleet status": ["--json", "--control-port"],
    "fleet drain": ["--control-port"],
    "fleet restart": ["--control-port"],
    "fleet interrupt": ["--control-port"],
    "fleet show": ["--turn", "--json"],
    "fleet down": ["--control-port"],
    "fleet": ["--help"],
    "": ["--version", "-h"],
}


@pytest.fixture(scope="module", autouse=True)
def _all_commands() -> None:
    add_commands(app)
    add_fleet_commands(app)


@pytest.fixture(autouse=True)
def _nothing_is_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither a server nor a fleet, and nobody is asked for one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "_log", lambda _verbose: None)
    monkeypatch.setattr(actors.gateway.server, "log_to_standard_error", lambda _verbose: None)
    monkeypatch.setattr(actors.gateway.server, "serve", lambda *_arguments: None)
    monkeypatch.setattr(actors.fleet.control, "is_taken", lambda _settings: False)
    monkeypatch.setattr(actors.fleet.command, "_lead", lambda *_nodes, **_options: 0)


def lines(name: str) -> st.SearchStrategy[list[str]]:
    """Draw what may stand behind a command."""
    options = st.sampled_from(COMMANDS[name])
    parts = st.one_of(
        options.map(lambda option: [option]),
        st.tuples(options, WORDS).map(list),
        st.builds("{}={}".format, options, WORDS).map(lambda part: [part]),
        WORDS.map(lambda word: [word]),
    )
    return st.lists(parts, max_size=4).map(lambda drawn: [*name.split(), *(word for part in drawn for word in part)])


@pytest.mark.parametrize("name", COMMANDS)
def test_any_command_line_is_carried_out_or_refused_in_one_line(name: str) -> None:
    @effort(60)
    @given(lines(name).filter(_reads_no_terminal))
    def try_it(arguments: list[str]) -> None:
        run(arguments)

    try_it()


def _reads_no_terminal(arguments: list[str]) -> bool:
    return "-" not in arguments[1:]


@pytest.mark.parametrize(
    "arguments",
    [
        ["speak", "text", "--interrupt-after", "nan"],
        ["speak", "text", "--tokens-per-second", "nan"],
        ["speak", "text", "--voice", "/" + "a" * 300],
        ["serve", "--tokens-per-second", "nan"],
        ["fleet", "up", "--tokens-per-second", "nan"],
        ["fleet", "join", "host:port"],
        ["fleet", "join", ":"],
        ["fleet", "join", "host:99999"],
        ["fleet", "join", ""],
    ],
    ids=lambda arguments: " ".join(arguments)[:40],
)
def test_what_makes_no_sense_is_refused(arguments: list[str]) -> None:
    Path("text").write_text("Text.")
    assert run(arguments) == 2


def run(arguments: list[str]) -> int:
    """Run a command line; hold what it prints and its exit code to the law."""
    written = io.BytesIO()
    with pytest.MonkeyPatch.context() as patch:
        errors = io.TextIOWrapper(written, "utf-8", "backslashreplace")  # as Python's own is
        patch.setattr(sys, "stderr", errors)
        code = run_command(arguments)
        errors.flush()
    said = written.getvalue().decode()
    assert code in (0, 2), said
    if code == 2:
        (line,) = said.splitlines()
        assert line.startswith("antiphon: ")
        assert len(line) > 12
    return code


TEXTS = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.text(max_size=40).map(lambda text: text.encode("utf-16")),
    st.sampled_from(
        [b"", b"\xef\xbb\xbf", b"\xff\xfe", b"caf\xe9", b"a\0b", b"\xed\xa0\x80", b"Hi.\xc3", b"x" * 5000]
    ),
)


@effort(60)
@given(TEXTS)
def test_any_bytes_are_spoken_or_refused(data: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        said: list[str] = []
        patch.setattr(command, "LineWriter", lambda fd: _Lines(said.append if fd == 1 else lambda _summary: None))
        Path("bytes").write_bytes(data)
        complaints: list[str] = []
        patch.setattr(command, "complain", complaints.append)
        code = run_command(["speak", "bytes", "--json", "--tokens-per-second", "0"])
    if code == 2:
        assert len(complaints) == 1
        assert complaints[0].startswith("bytes: not")
        return
    assert (code, complaints) == (0, [])
    events = [json.loads(line) for line in said if line.startswith("{")]
    assert events[-1]["status"] == "completed"
    assert data.removeprefix(b"\xef\xbb\xbf").decode().startswith(events[-1]["content"])


class _Lines:
    """In the place of a descriptor."""

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take = take

    async def write(self, text: str) -> None:
        self._take(text)


@effort(100)
@given(
    st.lists(
        ANY_TEXT | st.builds("{}{}".format, st.sampled_from(["ANTIPHON_", "antiphon_", "ANTIPHON_QUEUE_"]), ANY_TEXT)
    )
)
def test_any_variables_are_looked_over(variables: list[str]) -> None:
    for variable, meant in misspelt_settings(variables, Settings):
        assert variable in variables
        assert meant.removeprefix("ANTIPHON_").lower() in Settings.model_fields
