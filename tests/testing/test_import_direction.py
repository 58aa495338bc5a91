"""`actors.testing` stands above the engine: nothing that a service runs loads it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import actors

ENGINE = Path(actors.__file__).parent
MODULES = sorted(
    ".".join(("actors", *path.relative_to(ENGINE).with_suffix("").parts))
    for path in ENGINE.rglob("*.py")
    if path.relative_to(ENGINE).parts[0] not in ("testing", "__init__.py") and path.name != "__init__.py"
)
PROGRAM = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(*sorted(name for name in sys.modules if name.startswith("actors.testing") or name in ("pytest", "hypothesis")))
"""


def test_nothing_that_a_service_runs_loads_the_tools_for_tests() -> None:
    assert "actors.system" in MODULES
    done = subprocess.run([sys.executable, "-c", PROGRAM, *MODULES], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_tools_load_what_they_need_when_it_is_used() -> None:
    program = "import sys, actors.testing; print('actors.system' in sys.modules, 'pytest' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
