"""What is asked on one node about a connection on another, and clients that come back to another node than theirs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from fleet.running import Fleet, client_at, fleet_in, serving, socket_at
from gateway.talking import Client
from websockets.exceptions import ConnectionClosed

from protocol.messages import CloseCode

SENTENCES = [f"This is sentence number {number} of the answer. " for number in range(40)]
LONG = "".join(SENTENCES)
SHORT = "".join(SENTENCES[:10])

AGENT = """
import json

from actors.fleet import here
from actors.gateway.agents import echo_agent

echo = echo_agent(50)


async def answer(request):
    word, _, connection = request.content.partition(" ")
    node = here()
    if word == "INTERRUPT":
        return [f"{await node.interrupt(connection, 'from afar')} on {node.node}"]
    if word == "LEDGER":
        return [(await node.look_up(connection)).turns[-1].generated_text]
    if word == "COUNT":
        return [str((await node.status()).connections)]
    return echo(request)
"""


@pytest.fixture(scope="module")
def talking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A fleet of two nodes, whose agent can ask about other connections."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "asking_agent.py").write_text(AGENT)
    with fleet_in(folder) as made:
        made.up("--agent", "asking_agent:answer", nodes=2)
        yield made


def addresses(fleet: Fleet) -> list[str]:
    return [node["address"] for node in serving(fleet)["nodes"]]


def text(heard: list[dict[str, Any]]) -> str:
    return "".join(message["chunk"] for message in heard if message["type"] == "tts_ready_chunk")


async def test_a_node_interrupts_and_reads_a_connection_of_another(talking: Fleet) -> None:
    here, there = addresses(talking)
    speaking, asking = await client_at(there), await client_at(here)
    await speaking.say("chat_message", content=LONG)
    await speaking.until("tts_ready_chunk")
    assert text(await asking.talk(f"INTERRUPT {speaking.connection_id}")) == "1 on node-1"
    end = (await speaking.until("stream_end"))[-1]
    assert (end["status"], end["reason"]) == ("interrupted", "from afar")
    ledger = text(await asking.talk(f"LEDGER {speaking.connection_id}"))
    assert ledger.startswith(SENTENCES[0].strip())
    assert text(await asking.talk("COUNT all")) == "2"
    unknown = await asking.talk("INTERRUPT nobody")
    assert unknown[-1]["status"] == "failed"
    for client in (speaking, asking):
        await client.ws.close()


async def test_the_command_shows_a_connection_and_its_ledger(talking: Fleet) -> None:
    _, there = addresses(talking)
    client = await client_at(there)
    [turn] = [end["turn_id"] for end in await client.talk("A short answer.") if end["type"] == "stream_end"]
    shown = json.loads(await asyncio.to_thread(talking.does, "show", client.connection_id, "--json"))
    assert (shown["node"], shown["address"], shown["user_id"]) == ("node-2", there, "local")
    [ledger] = shown["turns"]
    assert (ledger["turn_id"], ledger["status"], ledger["delivered_text"]) == (turn, "completed", "A short answer.")
    refused = await asyncio.to_thread(talking.run, "show", "nobody")
    assert (refused.returncode, refused.stderr) == (2, "antiphon: no node has a connection nobody\n")
    await client.ws.close()


async def test_resume_on_another_node_goes_on_without_a_gap_or_a_double(talking: Fleet) -> None:
    home, away = addresses(talking)
    client = await client_at(home)
    await client.say("chat_message", content=SHORT)
    heard = await client.until("tts_ready_chunk")
    await client.drop()
    other = Client(await socket_at(away))
    welcome = await other.resume(client, turn_id=heard[-1]["turn_id"], after_seq=heard[-1]["seq"])
    assert (welcome["connection_id"], welcome["status"]) == (client.connection_id, "processing")
    heard += await other.until("stream_end")
    assert [event["seq"] for event in heard] == list(range(len(heard)))
    assert heard[-1]["status"] == "completed"
    assert "".join(text(heard).split()) == "".join(SHORT.split())
    # It goes on there: the next turn, an interrupt, and a token that is good for once.
    await other.say("chat_message", content=LONG)
    await other.until("tts_ready_chunk")
    await other.say("interrupt_stream")
    assert (await other.until("stream_end"))[-1]["status"] == "interrupted"
    thief = Client(await socket_at(away))
    await thief.say("resume", connection_id=client.connection_id, resume_token=client.resume_token)
    [refusal], code, _ = await thief.closed()
    assert (refusal["code"], code) == ("resume_refused", CloseCode.NOT_AUTHORIZED)
    back = Client(await socket_at(home))
    await back.resume(other)
    _heard, code, reason = await other.closed()
    assert (code, reason) == (CloseCode.REPLACED, "replaced")
    await back.ws.close()


async def test_a_token_that_was_not_sealed_for_the_connection_opens_nothing_anywhere(talking: Fleet) -> None:
    home, away = addresses(talking)
    client = await client_at(home)
    for token in ("x" * 30, f"{'x' * 22}.{'0' * 32}", f"{client.resume_token.partition('.')[0]}.{'0' * 32}"):
        other = Client(await socket_at(away))
        await other.say("resume", connection_id=client.connection_id, resume_token=token)
        [refusal], code, _ = await other.closed()
        assert (refusal["code"], code) == ("resume_refused", CloseCode.NOT_AUTHORIZED)
    assert (await client.talk())[-1]["status"] == "completed"
    await client.ws.close()


async def test_a_client_that_leaves_another_nodes_socket_leaves_its_connection(talking: Fleet) -> None:
    home, away = addresses(talking)
    client = await client_at(home)
    await client.drop()
    other = Client(await socket_at(away))
    await other.resume(client)
    await other.ws.close()  # with 1000: it has taken its leave
    while (await asyncio.to_thread(talking.status))["connections"]:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0)


async def test_a_node_killed_in_the_middle_of_200_turns_fails_its_own_and_no_others(talking: Fleet) -> None:
    home, away = addresses(talking)
    dying = await asyncio.gather(*(client_at(home) for _ in range(100)))
    living = await asyncio.gather(*(client_at(away) for _ in range(100)))
    for client in (*dying, *living):
        await client.say("chat_message", content="".join(SENTENCES[:6]))
    started = [(await client.until("stream_start"))[-1] for client in dying]
    victim = next(node for node in (await asyncio.to_thread(serving, talking))["nodes"] if node["address"] == home)
    os.kill(victim["pid"], signal.SIGKILL)

    async def comes_back(client: Client, turn_id: str) -> None:
        with pytest.raises(ConnectionClosed):
            await client.until("stream_end")
        again = Client(await socket_at(away))
        await again.say(
            "resume", connection_id=client.connection_id, resume_token=client.resume_token, turn_id=turn_id
        )
        [lost], code, reason = await again.closed()
        assert (lost["type"], lost["code"], lost["turn_id"]) == ("resume_error", "node_lost", turn_id)
        assert (lost["turn_status"], code, reason) == ("failed", CloseCode.NOT_AUTHORIZED, "node_lost")

    async def goes_on(client: Client) -> None:
        assert (await client.until("stream_end"))[-1]["status"] == "completed"
        await client.ws.close()

    await asyncio.gather(
        *(comes_back(client, start["turn_id"]) for client, start in zip(dying, started, strict=True)),
        *(goes_on(client) for client in living),
    )
    status = await asyncio.to_thread(serving, talking)
    for address in (status["address"], *(node["address"] for node in status["nodes"])):
        client = await client_at(address)
        assert (await client.talk("And the next turn."))[-1]["status"] == "completed"
        await client.ws.close()
