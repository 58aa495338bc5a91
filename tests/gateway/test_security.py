"""Who may come in at all, and what never goes out."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Any

import pytest
from agents import ready
from gateway.talking import Served
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from actors.gateway.limits import Allowance, Attempts
from actors.gateway.origins import OriginCheck, is_loopback
from actors.gateway.tokens import TokenTable
from protocol.errors import BadArgumentError


def quiet(_request: Any) -> Any:
    return ready(["Yes. "])


async def _knock(served: Served, *, host: str | None = None, origins: tuple[str, ...] = ()) -> str:
    """Ask for a socket; return `open`, or what was answered."""
    headers = [("Origin", origin) for origin in origins]
    url = served.url if host is None else f"ws://{host}/ws"
    try:
        async with connect(
            url, host="127.0.0.1", port=served.port, additional_headers=headers, proxy=None, ping_interval=None
        ):
            return "open"
    except InvalidStatus as refused:
        body = (refused.response.body or b"").decode().strip()
        return f"{refused.response.status_code} {body}"


REFUSED_ORIGIN = '403 {"code":"origin_refused"}'
REFUSED_HOST = '403 {"code":"host_refused"}'


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "[::1]"])
async def test_pages_of_the_server_itself_may_talk_to_it(serve: Any, name: str) -> None:
    served = await serve(quiet)
    host = f"{name}:{served.port}"
    assert await _knock(served, host=host, origins=(f"http://{host}",)) == "open"


async def test_a_client_that_is_no_browser_sends_no_origin_and_may_talk(serve: Any) -> None:
    assert await _knock(await serve(quiet)) == "open"


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "http://evil.example",
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        "https://127.0.0.1:{port}",
        "http://127.0.0.1:{port}.evil.example",
        "http://127.0.0.1:{port}/",
        "http://localhost.:{port}",
        "HTTP://LOCALHOST:{port}",
        "127.0.0.1:{port}",
        "http://user@127.0.0.1:{port}",
    ],
)
async def test_a_page_of_another_origin_may_not(serve: Any, origin: str) -> None:
    served = await serve(quiet)
    assert await _knock(served, origins=(origin.format(port=served.port),)) == REFUSED_ORIGIN


def test_two_of_a_header_are_none() -> None:
    """Whatever the server in front makes of them: which of the two would have been meant?"""
    host, origin = (b"host", b"localhost:80"), (b"origin", b"http://localhost:80")
    check = OriginCheck()
    assert check.refusal({"server": ("127.0.0.1", 80), "headers": [host, origin]}) is None
    assert check.refusal({"server": ("127.0.0.1", 80), "headers": [host, origin, origin]}) == "origin_refused"
    assert check.refusal({"server": ("127.0.0.1", 80), "headers": [host, host]}) == "host_refused"
    assert check.refusal({"server": None, "headers": [host]}) == "host_refused"


@pytest.mark.parametrize(
    "host", ["evil.example:{port}", "127.0.0.1.evil.example:{port}", "127.0.0.1:1", "2130706433:{port}"]
)
async def test_a_name_that_only_leads_here_is_refused(serve: Any, host: str) -> None:
    """By DNS rebinding, a page of that name would be of the same origin to the browser."""
    served = await serve(quiet)
    name = host.format(port=served.port)
    assert await _knock(served, host=name, origins=(f"http://{name}",)) == REFUSED_HOST
    assert (await _get(served, "/", host=name)).startswith("HTTP/1.1 403")
    assert (await _get(served, "/healthz", host=name)).startswith("HTTP/1.1 200")  # a probe may know it so


async def test_what_the_application_allows_is_allowed(serve: Any) -> None:
    served = await serve(quiet, allowed_origins=("https://voice.example",), allowed_hosts=("voice.example",))
    assert await _knock(served, host="voice.example:80", origins=("https://voice.example",)) == "open"
    assert await _knock(served, host="voice.example:81", origins=("https://voice.example",)) == REFUSED_HOST


async def _get(served: Served, path: str, host: str | None = None) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    name = host or f"127.0.0.1:{served.port}"
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    await writer.wait_closed()
    return answer.decode()


async def test_health_readiness_and_the_schema_are_served(serve: Any) -> None:
    served = await serve(quiet)
    assert (await _get(served, "/healthz")).endswith("ok\n")
    assert (await _get(served, "/readyz")).endswith("ready\n")
    assert '"antiphon.v1"' in await _get(served, "/schema")
    assert '"asyncapi": "3.0.0"' in await _get(served, "/schema/asyncapi")
    await served.gateway.drain()
    assert (await _get(served, "/healthz")).startswith("HTTP/1.1 200")
    assert (await _get(served, "/readyz")).startswith("HTTP/1.1 503")


async def test_the_page_may_do_nothing_that_it_does_not_need(serve: Any) -> None:
    served = await serve(quiet)
    head = (await _get(served, "/")).partition("\r\n\r\n")[0].lower()
    assert head.startswith("http/1.1 200")
    policy = next(line for line in head.splitlines() if line.startswith("content-security-policy"))
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy.partition(":")[2]
    assert "x-content-type-options: nosniff" in head


async def test_no_text_and_no_token_is_logged_and_every_line_has_its_ids(
    serve: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    served = await serve(lambda _request: ready(["my answer. "]), authenticator={"my-password-of-anna": "anna"}.get)
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-01", "x-request-id": "request-7"}
    async with served.client("my-password-of-anna", additional_headers=headers) as client:
        await client.talk("my question", metadata={"key": "my metadata"})
        await client.ws.send('{"type": "my nonsense"}')
        await client.until("error")
        secrets = ["my answer", "my question", "my metadata", "my nonsense", "my-password", client.resume_token]
        await client.drop()
    async with served.socket() as second:
        await second.resume(client)
        secrets.append(second.resume_token)
    records = [record for record in caplog.records if record.name.startswith("antiphon")]
    text = "\n".join(record.getMessage() + str(record.__dict__) for record in records)
    assert [secret for secret in secrets if secret in text] == []
    own = [record.__dict__ for record in records if record.name == "antiphon.gateway"]
    assert own
    assert all(record["request_id"] and record["trace_id"] for record in own)
    assert {(record["request_id"], record["trace_id"]) for record in own} >= {("request-7", trace)}
    turns = [record.__dict__ for record in records if record.name == "antiphon.turn"]
    assert {(record["request_id"], record["trace_id"]) for record in turns} == {("request-7", trace)}


async def test_an_id_that_would_forge_a_log_line_is_not_taken(serve: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    served = await serve(quiet)
    async with served.client(additional_headers={"x-request-id": "a b=c ERROR"}):
        pass
    assert all("=" not in record.__dict__.get("request_id", "") for record in caplog.records)


async def _rest(raw: socket.socket) -> bytes:
    try:
        return await asyncio.get_running_loop().sock_recv(raw, 1024)
    except ConnectionResetError:
        return b""


async def test_a_handshake_that_takes_for_ever_is_cut(serve: Any) -> None:
    served = await serve(quiet, handshake_seconds=0.2)
    loop = asyncio.get_running_loop()
    raws = []
    for begin in (b"", b"GET /ws HTTP/1.1\r\nHost: "):
        raw = socket.socket()
        raw.setblocking(False)
        await loop.sock_connect(raw, ("127.0.0.1", served.port))
        await loop.sock_sendall(raw, begin)
        raws.append(raw)
    for raw in raws:
        assert await asyncio.wait_for(_rest(raw), 10) == b""
        raw.close()
    assert await _knock(served) == "open"


def test_fixed_tokens_are_read_and_found() -> None:
    table = TokenTable.read(
        "# users\nanna: 0123456789abcdef\n\nberta:fedcba9876543210,carla:aaaaaaaaaaaaaaaa:b\n", "here"
    )
    assert table("0123456789abcdef") == "anna"
    assert table("fedcba9876543210") == "berta"
    assert table("aaaaaaaaaaaaaaaa:b") == "carla"
    assert [table(token) for token in (None, "", "0123456789abcdeF", "anna")] == [None] * 4


@pytest.mark.parametrize("text", ["", "# nobody", "anna", "anna:", ":0123456789abcdef", "anna:short"])
def test_tokens_that_protect_nothing_are_refused(text: str) -> None:
    with pytest.raises(BadArgumentError) as caught:
        TokenTable.read(text, "here")
    assert "0123" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "local"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("0.0.0.0", False), ("10.0.0.1", False), ("::", False)],
)
def test_what_is_loopback(address: str, local: bool) -> None:
    assert is_loopback(address) is local
    assert not is_loopback(None)
    assert not is_loopback("testclient")


def test_an_allowance_fills_up_again() -> None:
    allowance = Allowance(60)
    assert [allowance.take(100.0) for _ in range(61)] == [True] * 60 + [False]
    assert [allowance.take(102.0) for _ in range(3)] == [True, True, False]
    assert [allowance.take(1e6) for _ in range(61)].count(True) == 60


def test_attempts_are_forgotten_after_a_minute_and_so_are_addresses() -> None:
    attempts = Attempts(2, addresses=3)
    attempts.failed("a", 0.0)
    attempts.failed("a", 30.0)
    assert attempts.exhausted("a", 31.0)
    assert not attempts.exhausted("a", 61.0)
    for number in range(10):
        attempts.failed(str(number), 31.0)
    assert len(attempts._failures) == 3
