"""The gateway inside a service of somebody else's."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from agents import ready
from gateway.talking import Served, closed_with
from starlette.applications import Starlette
from starlette.routing import Mount

from actors import ConversationSystem, Settings
from actors.gateway import Gateway, GatewaySettings, gateway
from actors.gateway.server import bind
from protocol.errors import BadSettingsError


@asynccontextmanager
async def _service(app: Any) -> Any:
    (listening,) = bind("127.0.0.1", 0, 16_384)
    listening.listen()
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=2))
    task = asyncio.create_task(server._serve([listening]))
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        await asyncio.wait_for(task, 20)


class _Mounted(Served):
    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/voice/ws"


def _gateway(system: ConversationSystem | None = None) -> Gateway:
    return gateway(system, agent=lambda _request: ready(["Yes. "]))


async def test_a_mounted_gateway_starts_with_its_first_request() -> None:
    system = ConversationSystem(Settings(loop_watchdog_seconds=None))
    voice = _gateway(system)
    async with _service(Starlette(routes=[Mount("/voice", voice)])) as port:
        async with _Mounted(voice, port).client() as client:
            assert (await client.talk())[-1]["status"] == "completed"
        await voice.drain()
    await system.shutdown()
    assert voice._heartbeat is not None
    voice._heartbeat.cancel()


async def test_its_lifespan_is_for_the_service() -> None:
    voice = _gateway()
    service = Starlette(routes=[Mount("/voice", voice)], lifespan=voice.lifespan)
    async with _service(service) as port, _Mounted(voice, port).client() as client:
        assert (await client.talk())[-1]["status"] == "completed"
    assert voice.draining
    assert not voice.system.connections()


async def test_a_system_of_the_service_is_left_running() -> None:
    async with ConversationSystem(Settings(loop_watchdog_seconds=None)) as system:
        voice = _gateway(system)
        async with voice.lifespan():
            pass
        processor = system.connect()
        await processor.start_turn(agent_stream=ready(["Still here. "]))


async def test_page_schema_and_health_are_under_the_mount() -> None:
    voice = _gateway()
    async with _service(Starlette(routes=[Mount("/voice", voice)], lifespan=voice.lifespan)) as port:
        for path, kind in (
            ("/voice/", "text/html"),
            ("/voice/console.js", "javascript"),
            ("/voice/healthz", "plain"),
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
            writer.write(request.encode())
            head = (await reader.read()).decode().partition("\r\n\r\n")[0]
            assert head.startswith("HTTP/1.1 200"), path
            assert kind in head
            writer.close()
            await writer.wait_closed()


async def test_a_client_from_elsewhere_needs_an_authenticator() -> None:
    """Without one everybody is `local`, so only those on this machine are let in."""
    said: list[Any] = []
    heard = iter([{"type": "websocket.connect"}, {"type": "websocket.receive", "text": '{"type": "authorize"}'}])

    async def receive() -> Any:
        return next(heard)

    async def send(message: Any) -> None:
        said.append(message)

    voice = _gateway()
    scope = {
        "type": "websocket",
        "path": "/ws",
        "headers": [(b"host", b"127.0.0.1:8000")],
        "server": ("10.0.0.1", 8000),
        "client": ("10.0.0.2", 1234),
        "subprotocols": [],
    }
    async with voice.lifespan():
        await voice(scope, receive, send)
    assert '"authorize_refused"' in said[1]["text"]
    assert (said[2]["type"], said[2]["code"]) == ("websocket.close", 4401)


def test_without_the_extra_there_is_one_clear_error() -> None:
    program = "import sys; sys.modules['starlette'] = None\nfrom actors.gateway import gateway"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "pip install 'antiphon[gateway]'" in done.stderr.splitlines()[-1]


def test_what_is_published_is_what_holds_where_nothing_is_set() -> None:
    settings = GatewaySettings()
    assert (settings.max_connections, settings.max_connections_per_user, settings.max_unauthorized) == (
        10_000,
        1_000,
        200,
    )
    assert (settings.max_message_bytes, settings.max_first_message_bytes) == (64 * 1024, 4 * 1024)
    assert (settings.max_text_chars, settings.max_metadata_bytes) == (32_000, 4 * 1024)
    assert (settings.turns_per_minute, settings.resume_failures_per_minute, settings.max_errors_in_row) == (60, 5, 5)
    assert (settings.authorize_seconds, settings.reconnect_grace_seconds, settings.drain_seconds) == (10, 10, 10)
    assert (settings.client_stall_seconds, settings.send_buffer_bytes) == (30, 16_384)
    assert (settings.on_busy, settings.observe, settings.compression) == ("interrupt", None, False)


@pytest.mark.parametrize(("stall", "grace"), [(30.0, 10.0), (5.0, 600.0), (600.0, 0.0), (0.1, 0.0)])
def test_the_engine_waits_for_a_reader_for_longer_than_the_gateway_does(stall: float, grace: float) -> None:
    settings = GatewaySettings(client_stall_seconds=stall, reconnect_grace_seconds=grace)
    assert settings.reader_grace_seconds > max(stall + settings.heartbeat_seconds, grace)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTIPHON_GATEWAY_MAX_CONNECTIONS", "7")
    assert GatewaySettings().max_connections == 7
    monkeypatch.setenv("ANTIPHON_GATEWAY_ALLOWED_HOSTS", '["voice.example"]')
    assert GatewaySettings().allowed_hosts == ("voice.example",)


@pytest.mark.parametrize(("name", "value"), [("MAX_CONNECTIONS", "none"), ("ALLOWED_HOSTS", "voice.example")])
def test_a_setting_that_is_wrong_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"ANTIPHON_GATEWAY_{name}", value)
    with pytest.raises(BadSettingsError, match=rf"(?i){name}"):
        GatewaySettings()


async def test_a_system_that_was_shut_down_takes_nobody_in() -> None:
    system = ConversationSystem(Settings(loop_watchdog_seconds=None))
    await system.start()
    voice = _gateway(system)
    async with _service(Starlette(routes=[Mount("/voice", voice)], lifespan=voice.lifespan)) as port:
        await system.shutdown()
        async with _Mounted(voice, port).socket() as client:
            await client.say("authorize")
            assert await closed_with(client) == (1011, "internal")
