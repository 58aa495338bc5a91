from __future__ import annotations

import pytest
from testing.projects import Project


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    pytester.makeini(
        "[pytest]\nfilterwarnings = error\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function"
    )
    return Project(pytester)
