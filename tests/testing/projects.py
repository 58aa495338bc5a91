"""A project that builds on Antiphon, with a suite of its own, run in a process of its own."""

from __future__ import annotations

from typing import NamedTuple

import pytest


class Project(NamedTuple):
    """Where such a project lies."""

    pytester: pytest.Pytester

    def write(self, source: str) -> None:
        """Give it a file of tests."""
        self.pytester.makepyfile(source)

    def run(self, source: str, *arguments: str) -> pytest.RunResult:
        """Give it a file of tests, and run them."""
        self.write(source)
        return self.pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments, timeout=100)
