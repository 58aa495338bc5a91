"""What holds for every test: no settings from the environment of whoever runs it, and the same examples each time."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# A machine that is slow is no failure, and what a test found once it must find again.
settings.register_profile("suite", deadline=None, derandomize=True, database=None)
settings.load_profile("suite")


@pytest.fixture(autouse=True)
def _no_settings_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in tuple(os.environ):
        if name.upper().startswith("ANTIPHON_"):
            monkeypatch.delenv(name)
