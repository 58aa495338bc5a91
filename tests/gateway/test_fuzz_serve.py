"""What a server is started and resumed with: agents, addresses, tokens. Each is taken, or refused in a line."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from fuzz import effort
from hypothesis import example, given
from hypothesis import strategies as st
from near_valid import ANY_TEXT, refusal_of, taken

from actors.gateway.agents import find_agent
from actors.gateway.server import bind, gateway_on
from actors.gateway.settings import GatewaySettings
from actors.gateway.tokens import Seal, TokenTable
from protocol.errors import BadArgumentError

TOKEN = "0123456789abcdef"
NAMES = st.text(st.sampled_from("abé:_. /,-\n\0\ud800"), max_size=12) | ANY_TEXT
MODULES = {
    "exits": "import sys\nsys.exit('no')\n",
    "lines": "raise ValueError('one\\ntwo')\n",
    "nul": "x = '\0'\n",
    "late": "def __getattr__(name):\n    raise RuntimeError(name)\n",
    "odd": "class Odd:\n    __signature__ = 7\n    def __call__(self, request): ...\nodd = Odd()\nnumber = 7\n",
    "good": "def agent(request):\n    return ['Hi. ']\n",
    "pack.deep": "import nothing_of_this_name\n",
    "empty": "",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with agents of one's own, in which the server is started."""
    path = tmp_path_factory.mktemp("agents")
    (path / "pack").mkdir()
    for name, text in MODULES.items():
        (path / f"{name.replace('.', '/')}.py").write_text(text)
    return path


@pytest.fixture(autouse=True)
def _started_in_the_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "modules", {**sys.modules})


@effort(200)
@given(
    NAMES
    | st.builds(
        "{}:{}".format, st.sampled_from([*MODULES, "pack", "pack.nope", "json.nope", "nope.x", "é"]) | NAMES, NAMES
    )
    | st.builds("{}:{}".format, st.sampled_from([*MODULES]), st.sampled_from(["agent", "odd", "number", "__doc__"]))
)
@example("exits:agent")
@example("pack.nope.x:agent")
@example(".")
def test_any_agent_is_found_or_refused(name: str) -> None:
    agent = taken(lambda: find_agent(name, 0))
    assert agent is None or callable(agent)


@effort(200)
@given(NAMES, st.integers(0, 70_000), st.sampled_from([4096, 10**9]))
@example("a..b", 0, 4096)
def test_any_address_is_listened_on_or_refused(host: str, port: int, send_buffer: int) -> None:
    with patch("socket.getaddrinfo", _without_asking_around):
        for bound in taken(lambda: bind(host, port, send_buffer)) or ():
            bound.close()


_look_up = socket.getaddrinfo


def _without_asking_around(host: str, port: int, *, type: int, flags: int) -> Any:  # noqa: A002 - as it is called
    return _look_up(host, port, type=type, flags=flags | socket.AI_NUMERICHOST)


ENTRIES = st.lists(
    st.builds(
        "{}:{}".format,
        st.text(st.sampled_from("abé \ufeff"), max_size=3),
        st.sampled_from([TOKEN, TOKEN[::-1], "short", ""]),
    )
    | st.sampled_from(["# a note", "", "no colon", "a:b:" + TOKEN])
    | NAMES,
    max_size=4,
)


@effort(200)
@given(ENTRIES, st.sampled_from(["\n", ",", "\r\n", " , "]))
@example([f"anna:{TOKEN}", f"bert:{TOKEN}"], "\n")
@example([f"\ufeffanna:{TOKEN}"], "\n")
def test_any_tokens_are_a_table_of_just_those_users_or_refused(entries: list[str], between: str) -> None:
    table = taken(lambda: TokenTable.read(between.join(entries), "tokens"))
    if table is None:
        return
    users: dict[str, str] = {}
    for line in between.join(entries).lstrip("\ufeff").replace(",", "\n").splitlines():
        user, _colon, token = (part.strip() for part in line.partition(":"))
        if token and not user.startswith("#"):
            users.setdefault(token, user)
            assert users[token] == user, "one token of two users is nobody's"
    assert {token: table(token) for token in users} == users
    assert table("") is table(None) is None


@effort(100)
@given(st.binary(max_size=40) | ENTRIES.map(lambda entries: "\n".join(entries).encode("utf-8", "surrogatepass")))
@example(b"\xef\xbb\xbfanna:" + TOKEN.encode())
def test_any_bytes_in_the_file_of_tokens_are_tokens_or_refused(folder: Path, data: bytes) -> None:
    (folder / "tokens").write_bytes(data)
    [bound] = bind("127.0.0.1", 0, 4096)
    with bound:
        settings = GatewaySettings(tokens_file=folder / "tokens")
        gateway = taken(lambda: gateway_on([bound], "127.0.0.1", lambda _request: [], settings))
    if gateway is not None and data.startswith(b"\xef\xbb\xbfanna:"):
        assert gateway.authenticator is not None
        assert gateway.authenticator(TOKEN) == "anna"


def test_a_file_of_tokens_with_no_name_for_a_file_is_refused() -> None:
    [bound] = bind("127.0.0.1", 0, 4096)
    with bound:
        settings = GatewaySettings(tokens_file=Path("a\0b"))
        assert refusal_of(lambda: gateway_on([bound], "127.0.0.1", lambda _request: [], settings)) is not None


@effort(200)
@given(ANY_TEXT, ANY_TEXT, st.integers(0, 60), st.characters())
def test_only_the_seal_that_was_given_fits(connection: str, other: str, at: int, change: str) -> None:
    seal = Seal()
    token = seal.new_token(connection)
    assert seal.knows(connection, token)
    assert not seal.knows(connection, other)
    assert other == connection or not seal.knows(other, token)
    changed = token[: at % len(token)] + change + token[at % len(token) + 1 :]
    assert changed == token or not seal.knows(connection, changed)


def test_a_refused_agent_says_where_its_module_went_wrong() -> None:
    with pytest.raises(
        BadArgumentError, match=r"^--agent exits:a: the module raised SystemExit: no \(.*exits.py, line 2\)$"
    ):
        find_agent("exits:a", 0)
    with pytest.raises(BadArgumentError, match=r"^--agent pack.nope.x:a: there is no module pack.nope, "):
        find_agent("pack.nope.x:a", 0)
