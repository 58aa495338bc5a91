"""Two hosts, as two Thespian systems on two ports: one fleet while they reach each other, two while they do not."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from fleet.running import Fleet, client_at, converse, fleet_in, socket_at, until
from gateway.talking import Client

ENVIRONMENT = {
    "ANTIPHON_FLEET_KEY": "a key that both hosts have in common",
    "CONVENTION_REREGISTRATION_PERIOD": "0:01",
    "CONVENTION_RESTART_PERIOD": "0:01",
    "CONVENTION_REGISTRATION_MISS_MAX": "2",
}
LONG = "This is a sentence of some length. " * 100


def names(fleet: Fleet) -> list[str]:
    return [node["name"] for node in fleet.status()["nodes"]]


def address(fleet: Fleet, name: str) -> str:
    found: str = next(node["address"] for node in fleet.status()["nodes"] if node["name"] == name)
    return found


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Fleet, Fleet]]:
    """A fleet of one node, and one of another host that has joined it."""
    with (
        fleet_in(tmp_path_factory.mktemp("first"), **ENVIRONMENT) as first,
        fleet_in(tmp_path_factory.mktemp("second"), **ENVIRONMENT) as second,
    ):
        first.up(nodes=1)
        join(second, first)
        yield first, second


def join(second: Fleet, first: Fleet) -> None:
    leader = f"127.0.0.1:{first.control_port}"
    options = ("--nodes", "1", "--port", "0", "--name", "second", "--log", str(second.log))
    assert second.does("join", leader, *options).startswith("Antiphon listens on ")


def test_each_host_shows_the_nodes_of_both(hosts: tuple[Fleet, Fleet]) -> None:
    first, second = hosts
    assert sorted(names(first)) == sorted(names(second)) == ["node-1", "second-1"]


async def test_a_connection_on_another_host_is_looked_up_interrupted_and_resumed(hosts: tuple[Fleet, Fleet]) -> None:
    first, second = hosts
    home, away = address(second, "second-1"), address(first, "node-1")
    client = await client_at(home)
    await client.say("chat_message", content=LONG)
    heard = await client.until("tts_ready_chunk")
    shown = json.loads(await asyncio.to_thread(first.does, "show", client.connection_id, "--json"))
    assert (shown["node"], shown["address"]) == ("second-1", home)
    await client.drop()
    other = Client(await socket_at(away))
    await other.resume(client, turn_id=heard[-1]["turn_id"], after_seq=heard[-1]["seq"])
    assert (
        await asyncio.to_thread(first.does, "interrupt", client.connection_id) == "1 turn interrupted on second-1\n"
    )
    heard += await other.until("stream_end")
    assert (heard[-1]["status"], [event["seq"] for event in heard]) == ("interrupted", list(range(len(heard))))
    await other.ws.close()
    unknown = await asyncio.to_thread(first.run, "show", "nobody")
    assert unknown.stderr == "antiphon: no node has a connection nobody\n"


async def test_when_the_hosts_do_not_reach_each_other_each_serves_its_own_and_they_find_each_other_again(
    hosts: tuple[Fleet, Fleet],
) -> None:
    first, second = hosts
    status = second.status()
    apart = [status["admin"], status["supervisor"]]
    addresses = (first.status()["address"], status["address"])
    held = await client_at(address(second, "second-1"))
    for pid in apart:  # nothing that the control planes say to each other gets through any more
        os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.to_thread(until, lambda: first.status()["others"] == ())  # the convention has noticed
        for each in addresses:
            await converse(each)
        assert (await held.talk())[-1]["status"] == "completed"
    finally:
        for pid in apart:
            os.kill(pid, signal.SIGCONT)
    await asyncio.to_thread(until, lambda: sorted(names(first)) == ["node-1", "second-1"])
    await asyncio.to_thread(until, lambda: sorted(names(second)) == ["node-1", "second-1"])
    assert first.status()["others"] == (f"127.0.0.1:{second.control_port}",)
    await held.ws.close()


async def test_a_host_leaves_and_comes_back(hosts: tuple[Fleet, Fleet]) -> None:
    first, second = hosts
    assert await asyncio.to_thread(second.does, "down") == "the fleet has ended\n"
    await asyncio.to_thread(until, lambda: names(first) == ["node-1"])
    await converse(first.status()["address"])
    await asyncio.to_thread(join, second, first)
    await asyncio.to_thread(until, lambda: sorted(names(first)) == ["node-1", "second-1"])


async def test_losing_the_host_that_was_joined_is_no_reason_to_end(hosts: tuple[Fleet, Fleet]) -> None:
    first, second = hosts
    lost: Any = first.status()
    os.kill(lost["leader"], signal.SIGKILL)
    await asyncio.to_thread(until, lambda: not first.pids(), 5)
    assert list(first.temporary.iterdir()) == []
    await asyncio.to_thread(until, lambda: second.status()["others"] == ())
    await converse(second.status()["address"])
    first.up(nodes=1)
    await asyncio.to_thread(until, lambda: sorted(names(second)) == ["node-1", "second-1"])
    await asyncio.to_thread(until, lambda: sorted(names(first)) == ["node-1", "second-1"])
