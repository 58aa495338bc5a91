"""The stand-alone server as an operator sees it: a process that starts, refuses, drains and dies."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from agents import ready
from gateway.talking import Client, all_gone
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError

ROOT = Path(__file__).resolve().parents[2]
LONG = "This is a sentence of some length. " * 200


class Running(NamedTuple):
    process: Process
    port: int

    async def client(self) -> Client:
        ws = await connect(f"ws://127.0.0.1:{self.port}/ws", proxy=None, ping_interval=None)
        return await Client(ws).authorize()

    async def end(self) -> tuple[int, str]:
        """Return the exit code and what was logged."""
        _out, log = await asyncio.wait_for(self.process.communicate(), 30)
        assert self.process.returncode is not None
        return self.process.returncode, log.decode()


async def _start(tmp_path: Path, *options: str, **environment: str) -> Process:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ANTIPHON_")}
    variables = {f"ANTIPHON_GATEWAY_{name.upper()}": value for name, value in environment.items()}
    command = [sys.executable, "-m", "actors.cli", "serve", "--port", "0", *options]
    return await asyncio.create_subprocess_exec(
        *command, env={**clean, **variables, "PYTHONPATH": str(ROOT)}, cwd=tmp_path, stdout=PIPE, stderr=PIPE
    )


@pytest.fixture
async def antiphon(tmp_path: Path) -> AsyncIterator[Any]:
    """Start `antiphon serve`, and see to it that nothing is left over."""
    started: list[Process] = []

    async def start(*options: str, **environment: str) -> Running:
        process = await _start(tmp_path, *options, **environment)
        started.append(process)
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), 30)).decode()
        assert line.startswith("Antiphon listens on http://127.0.0.1:"), line
        return Running(process, int(line.rsplit(":", 1)[1]))

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def test_sigterm_in_the_middle_of_turns_ends_them_in_good_form(antiphon: Any) -> None:
    served = await antiphon("--tokens-per-second", "50", drain_seconds="0.5")
    clients = [await served.client() for _ in range(3)]
    *speaking, idle = clients
    for client in speaking:
        await client.say("chat_message", content=LONG)
        await client.until("tts_ready_chunk")
    served.process.send_signal(signal.SIGTERM)
    for client in speaking:
        await client.drained()
    assert (await idle.closed())[1] == 1012
    assert (await served.end())[0] == 0


async def test_turns_that_end_within_the_limit_are_heard_to_their_end(antiphon: Any) -> None:
    served = await antiphon("--tokens-per-second", "50")
    client = await served.client()
    await client.say("chat_message", content="One. Two. Three. Four. Five.")
    await client.until("stream_start")
    served.process.send_signal(signal.SIGINT)
    heard, code, _reason = await client.closed()
    assert (heard[-1]["type"], heard[-1]["status"], code) == ("stream_end", "completed", 1012)
    assert (await served.end())[0] == 0


async def test_a_second_signal_ends_it_at_once(antiphon: Any) -> None:
    served = await antiphon("--tokens-per-second", "5", drain_seconds="60")
    client = await served.client()
    await client.say("chat_message", content=LONG)
    await client.until("stream_start")
    served.process.send_signal(signal.SIGTERM)
    served.process.send_signal(signal.SIGINT)
    code, log = await asyncio.wait_for(served.end(), 10)
    assert code == 0
    assert "Traceback" not in log


async def test_a_server_that_is_killed_leaves_its_clients_with_a_clear_error(antiphon: Any) -> None:
    served = await antiphon("--tokens-per-second", "50")
    client = await served.client()
    await client.say("chat_message", content=LONG)
    await client.until("tts_ready_chunk")
    served.process.kill()
    with pytest.raises(ConnectionClosedError) as caught:
        await client.until("never")
    assert caught.value.rcvd is None  # no close came: it was not the server that ended the conversation
    assert (await served.end())[0] == -signal.SIGKILL


async def test_a_file_is_read_aloud(antiphon: Any, tmp_path: Path) -> None:
    (tmp_path / "text.md").write_text("# Title\n\nThis is *one* sentence. And another one here.\n")
    served = await antiphon("--agent", "text.md", "--tokens-per-second", "0")
    client = await served.client()
    events = await client.talk("read")
    assert [event["chunk"] for event in events if "chunk" in event][-1].startswith("And another one")
    await client.ws.close()
    served.process.terminate()
    assert (await served.end())[0] == 0


async def test_an_agent_of_ones_own_is_found_in_the_folder(antiphon: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("async def answer(request):\n    yield f'You said {request.content}. '\n")
    served = await antiphon("--agent", "mine:answer")
    client = await served.client()
    assert (await client.talk("hello"))[1]["chunk"] == "You said hello."
    await client.ws.close()


async def test_tokens_come_from_a_file(antiphon: Any, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("anna:0123456789abcdef\n")
    served = await antiphon(tokens_file="tokens")
    ws = await connect(f"ws://127.0.0.1:{served.port}/ws", proxy=None)
    await Client(ws).authorize(token="0123456789abcdef")
    await ws.close()
    served.process.terminate()
    code, log = await served.end()
    assert code == 0
    assert "0123456789abcdef" not in log
    assert "request=" in log
    assert "trace=" in log


@pytest.mark.parametrize(
    ("options", "environment", "says"),
    [
        (("--host", "0.0.0.0"), {}, "there are no tokens"),
        (("--host", "no-such-host.invalid"), {}, "cannot listen on no-such-host.invalid"),
        (
            ("--agent", "missing.md"),
            {},
            "missing.md: there is no such file; echo, a file of text, or module:function",
        ),
        (("--agent", "missing"), {}, "missing: there is no such file; echo, a file of text, or module:function"),
        (("--agent", "missing:agent"), {}, "missing:agent: there is no module missing, neither installed nor in "),
        (("--agent", "missing.part:agent"), {}, "there is no module missing, neither installed nor in "),
        (("--agent", "json:missing"), {}, "json:missing: module 'json' has no attribute 'missing'"),
        (("--agent", "os:sep"), {}, "cannot be called"),
        (("--agent", "os:getcwd"), {}, "is called with one argument, the AgentRequest, and takes another number"),
        (("--agent", "raises:agent"), {}, "raises:agent: the module raised ZeroDivisionError: division by zero"),
        (("--agent", "raises:agent"), {}, "raises.py, line 2)"),
        (("--agent", "misspelt:agent"), {}, "misspelt:agent: the module raised SyntaxError: "),
        (("--agent", "misspelt:agent"), {}, "misspelt.py, line 1)"),
        (
            ("--agent", "needs:agent"),
            {},
            "needs:agent: the module raised ModuleNotFoundError: No module named 'wants'",
        ),
        ((), {"max_connections": "many"}, "ANTIPHON_GATEWAY_MAX_CONNECTIONS"),
        ((), {"allowed_hosts": "voice.example"}, "allowed_hosts (ANTIPHON_GATEWAY_ALLOWED_HOSTS): no JSON"),
        ((), {"tokens": "anna:short"}, "ANTIPHON_GATEWAY_TOKENS, entry 1: expected user:token"),
        ((), {"tokens": ""}, "ANTIPHON_GATEWAY_TOKENS: there are none"),
        ((), {"tokens_file": "short"}, "ANTIPHON_GATEWAY_TOKENS_FILE (short), entry 2: expected user:token"),
        ((), {"tokens_file": "missing"}, "ANTIPHON_GATEWAY_TOKENS_FILE (missing): No such file or directory"),
        ((), {"tokens_file": "image"}, "ANTIPHON_GATEWAY_TOKENS_FILE (image): not UTF-8 text"),
        (("--port", "99999"), {}, "65535"),
    ],
)
async def test_what_makes_no_sense_is_one_line_and_exit_code_2(
    tmp_path: Path, options: tuple[str, ...], environment: dict[str, str], says: str
) -> None:
    (tmp_path / "raises.py").write_text("number = 0\nshare = 1 / number\n")
    (tmp_path / "misspelt.py").write_text("def agent(:\n")
    (tmp_path / "needs.py").write_text("import wants\n")
    (tmp_path / "short").write_text("# anna's\nanna:short\n")
    (tmp_path / "image").write_bytes(b"\x89PNG")
    process = await _start(tmp_path, *options, **environment)
    out, log = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, out) == (2, b""), log
    (line,) = log.decode().splitlines()
    assert says in line


async def test_a_port_that_is_taken_is_one_line_too(antiphon: Any, tmp_path: Path) -> None:
    served = await antiphon()
    process = await _start(tmp_path, "--port", str(served.port))
    _out, log = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 2
    assert f"cannot listen on 127.0.0.1 port {served.port}: Address already in use" in log.decode()
    assert log.decode().endswith(" (--port N takes another, 0 a free one)\n")


async def test_a_thousand_sockets_are_served(serve: Any) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4096:
        pytest.skip("this machine allows too few open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    served = await serve(lambda _request: ready(["One. ", "Two. "]), outcome_seconds=0)
    some_at_once = asyncio.Semaphore(50)
    all_there = asyncio.Event()
    there = 0

    async def person() -> int:
        nonlocal there
        async with some_at_once:
            ws = await connect(served.url, proxy=None, ping_interval=None, compression=None)
            client = await Client(ws).authorize()
        there += 1
        if there == 1000:
            all_there.set()
        await all_there.wait()
        async with some_at_once:
            events = await client.talk()
            await ws.close()
        return len(events)

    try:
        assert await asyncio.gather(*(person() for _ in range(1000))) == [4] * 1000
        await all_gone(served.gateway)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
