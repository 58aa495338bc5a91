"""The guard: whoever is lost is noticed, also where the kernel does not tell."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from actors.fleet import guard as guarding
from actors.fleet.guard import end_process, guard


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs until its standard input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as made:
        yield made
        made.kill()


@pytest.fixture(params=["the kernel tells", "it does not"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "it does not":
        monkeypatch.setattr(guarding, "_pidfd", lambda _pid: None)


@pytest.mark.usefixtures("kernel")
def test_a_process_that_is_lost_is_noticed(other: subprocess.Popen[bytes]) -> None:
    lost = threading.Event()
    guard([os.getpid(), other.pid], lost.set)
    assert not lost.wait(0.05)
    other.kill()
    other.wait()
    assert lost.wait(20)


def test_one_that_was_lost_before_is_noticed_too(other: subprocess.Popen[bytes]) -> None:
    other.kill()
    other.wait()
    lost = threading.Event()
    guard([other.pid], lost.set)
    assert lost.wait(20)


@pytest.mark.usefixtures("kernel")
def test_a_process_that_does_not_end_in_time_is_killed(other: subprocess.Popen[bytes]) -> None:
    assert not end_process(other.pid, 0.05)
    assert other.wait(20) == -9
    assert end_process(other.pid, 0.05)
