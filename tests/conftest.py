"""What holds for every test: no settings from the environment of whoever runs the suite."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def _no_settings_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in tuple(os.environ):
        if name.upper().startswith("ANTIPHON_"):
            monkeypatch.delenv(name)
