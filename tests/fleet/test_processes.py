"""The fleet as an operator has it: processes that start, die, come back, drain, and leave nothing."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fleet.running import PATIENCE, ROOT, Fleet, client_at, converse, fleet_in, serving, until
from websockets.exceptions import ConnectionClosed

from protocol.messages import CloseCode

LONG = "This is a sentence of some length. " * 300


def node(status: Any, name: str) -> Any:
    return next(found for found in status["nodes"] if found["name"] == name)


async def called(fleet: Fleet, *arguments: str) -> str:
    return await asyncio.to_thread(fleet.does, *arguments)


def test_status_tells_of_each_node(served: Fleet) -> None:
    status = json.loads(served.does("status", "--json"))
    assert [node["name"] for node in status["nodes"]] == ["node-1", "node-2"]
    for each in status["nodes"]:
        assert {"name", "pid", "state", "connections", "restarts"} <= set(each)
        assert each["state"] == "serving"
        os.kill(each["pid"], 0)
    assert "node-2  serving" in served.does("status")


async def test_the_port_is_shared_and_each_node_has_one_of_its_own(served: Fleet) -> None:
    status = serving(served)
    clients = [await client_at(address) for address in (status["address"], *(n["address"] for n in status["nodes"]))]
    for client in clients:
        heard = await client.talk("Hello there.")
        assert heard[-1]["status"] == "completed"
    now = await asyncio.to_thread(served.status)
    assert sum(each["connections"] for each in now["nodes"]) == now["connections"] == 3
    assert all(each["connections"] >= 1 for each in now["nodes"])
    assert now["figures"]["turns_completed"] >= 3
    for client in clients:
        await client.ws.close()


async def test_a_connection_is_interrupted_whichever_node_it_is_on(served: Fleet) -> None:
    for each in serving(served)["nodes"]:
        client = await client_at(each["address"])
        await client.say("chat_message", content=LONG)
        await client.until("tts_ready_chunk")
        said = await called(served, "interrupt", client.connection_id)
        assert said == f"1 turn interrupted on {each['name']}\n"
        end = (await client.until("stream_end"))[-1]
        assert (end["status"], end["reason"]) == ("interrupted", "operator")
        await client.ws.close()


async def test_a_node_that_is_killed_is_back_within_seconds_and_the_others_go_on(served: Fleet) -> None:
    before = serving(served)
    victim, other = before["nodes"]
    there, here = await client_at(victim["address"]), await client_at(other["address"])
    for client in (there, here):
        await client.say("chat_message", content="This is a sentence of some length. " * 20)
        await client.until("tts_ready_chunk")
    os.kill(victim["pid"], signal.SIGKILL)
    with pytest.raises(ConnectionClosed):
        await there.until("stream_end")
    assert (await here.until("stream_end"))[-1]["status"] == "completed"
    after = await asyncio.to_thread(serving, served)
    assert node(after, victim["name"])["restarts"] == victim["restarts"] + 1
    assert node(after, victim["name"])["pid"] != victim["pid"]
    assert (node(after, other["name"])["pid"], node(after, other["name"])["restarts"]) == (other["pid"], 0)
    again = await client_at(node(after, victim["name"])["address"])
    assert (await again.talk())[-1]["status"] == "completed"
    await again.ws.close()
    await here.ws.close()


async def test_a_node_drains_and_comes_back_when_it_is_restarted(served: Fleet) -> None:
    leaving_from = serving(served)
    leaving = node(leaving_from, "node-1")
    client = await client_at(leaving["address"])
    await client.say("chat_message", content="This is a sentence of some length. " * 5)
    await client.until("tts_ready_chunk")
    draining = asyncio.create_task(called(served, "drain", "node-1"))
    heard, code, _reason = await client.closed()
    assert (heard[-1]["status"], code) == ("completed", CloseCode.RESTART)
    assert await draining == "node-1 has ended\n"
    assert (node(served.status(), "node-1")["state"], node(served.status(), "node-1")["pid"]) == ("drained", None)
    for _ in range(8):  # the port is the others' now
        await converse(leaving_from["address"])
    assert served.does("restart", "node-1") == "node-1 restarted\n"
    assert node(served.status(), "node-1")["state"] == "serving"


async def test_a_restart_goes_from_node_to_node_and_the_port_is_served_all_the_while(served: Fleet) -> None:
    before = serving(served)
    rolling = asyncio.create_task(called(served, "restart"))
    while not rolling.done():
        await converse(before["address"])
    assert await rolling == "node-1, node-2 restarted\n"
    pids = [each["pid"] for each in serving(served)["nodes"]]
    assert not set(pids) & {each["pid"] for each in before["nodes"]}


def test_down_leaves_no_process_no_port_and_no_file(fleet: Fleet) -> None:
    port = fleet.up(nodes=2)
    assert fleet.does("down") == "the fleet has ended\n"
    until(lambda: not fleet.pids(), 5)
    for closed in (port, fleet.control_port):
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", closed)) != 0
    assert list(fleet.temporary.iterdir()) == []
    refused = fleet.run("status")
    assert refused.returncode == 2
    assert refused.stderr == f"antiphon: no fleet answers on 127.0.0.1 port {fleet.control_port}\n"


@pytest.mark.parametrize("part", ["supervisor", "admin"])  # the leader: in test_hosts.py
def test_nothing_is_left_when_a_part_of_the_control_plane_is_killed(fleet: Fleet, part: str) -> None:
    port = fleet.up(nodes=1)
    status = fleet.status()
    assert len(fleet.pids()) >= 5
    os.kill(status[part], signal.SIGKILL)
    until(lambda: not fleet.pids(), 5)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    assert list(fleet.temporary.iterdir()) == []


def test_in_the_foreground_it_stays_until_a_signal_comes(fleet: Fleet) -> None:
    command = [sys.executable, "-m", "actors.cli", "fleet", "up", "--foreground", "--nodes", "1", "--port", "0"]
    with subprocess.Popen(
        command, env=fleet.environment, cwd=fleet.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as leader:
        assert leader.stdout is not None
        line = leader.stdout.readline()
        assert line.startswith("Antiphon listens on http://127.0.0.1:"), line
        second = fleet.run("up", "--nodes", "1", "--port", "0")
        assert (second.returncode, second.stderr.count("\n")) == (2, 1)
        assert "a fleet runs already" in second.stderr
        leader.send_signal(signal.SIGINT)
        assert leader.wait(PATIENCE) == 0
    until(lambda: not fleet.pids(), 5)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--agent", "no_such_module:agent"], "--agent no_such_module:agent"),
        (["--host", "0.0.0.0"], "0.0.0.0 can be reached from elsewhere, and there are no tokens"),
        (["--nodes", "0"], "Invalid value for '--nodes'"),
    ],
)
def test_what_cannot_be_started_says_so_in_one_line_and_leaves_nothing(
    fleet: Fleet, arguments: list[str], said: str
) -> None:
    refused = fleet.run("up", "--port", "0", *arguments)
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1), refused.stderr
    assert refused.stderr.startswith("antiphon: ")
    assert said in refused.stderr
    until(lambda: not fleet.pids(), 5)


class Malice:
    """Leaves a trace where it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


def test_with_a_key_nobody_without_it_is_listened_to(tmp_path: Path) -> None:
    with fleet_in(tmp_path, ANTIPHON_FLEET_KEY="a key that is as long as it has to be") as fleet:
        fleet.up(nodes=1)
        trace = tmp_path / "unpickled"
        with socket.create_connection(("127.0.0.1", fleet.control_port)) as stranger:
            message = pickle.dumps(Malice(trace))
            stranger.sendall(b"%d>%b" % (len(message), message))
            stranger.settimeout(PATIENCE)
            while stranger.recv(4096):
                pass
        assert "node-1  serving" in fleet.does("status")
        assert not trace.exists()
        fleet.environment.pop("ANTIPHON_FLEET_KEY")
        refused = fleet.run("status")
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)


def test_beyond_loopback_the_control_plane_needs_a_key(fleet: Fleet) -> None:
    fleet.environment["ANTIPHON_FLEET_CONTROL_HOST"] = "0.0.0.0"
    refused = fleet.run("up", "--port", "0")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "set ANTIPHON_FLEET_KEY" in refused.stderr


def test_a_port_that_somebody_has_is_not_shared(fleet: Fleet) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = fleet.run("up", "--port", str(taken.getsockname()[1]))
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "Address already in use" in refused.stderr


def test_without_the_extra_the_command_says_which_it_is(fleet: Fleet) -> None:
    program = "import sys; sys.modules['thespian'] = None; from actors.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "fleet", "status"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=fleet.environment,
    )
    assert done.returncode == 2
    assert "antiphon[fleet]" in done.stderr
    assert done.stderr.count("\n") == 1
