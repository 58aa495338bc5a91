"""A node's gateway on its own, in a thread, without Thespian."""

from __future__ import annotations

import queue
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from fleet.running import PATIENCE, free_port
from fleet.test_supervisor import PLAN

from actors.fleet import serving
from actors.fleet.mail import Drained, LaunchNode, NodeServing


def test_a_node_that_has_drained_is_asked_in_vain_and_does_not_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process is there for a moment longer, and whoever asks how it is going may not have heard of it."""
    monkeypatch.setattr(serving, "collect_garbage_rarely", lambda: None)
    monkeypatch.setattr(serving, "this_is", lambda _server: None)
    said: queue.Queue[Any] = queue.Queue()
    node = serving.NodeServer(LaunchNode("node-1", replace(PLAN, port=free_port())), said.put)
    node.start()
    assert isinstance(said.get(timeout=PATIENCE), NodeServing)
    node.post(node.drain)
    assert said.get(timeout=PATIENCE) == Drained("node-1")
    node.post(partial(node.report, 1))
    assert said.empty()
