"""Where this checkout is, for the scripts; and whether the Python that runs them has what they need.

Importing this is the check. Without it, whoever starts a script with the wrong Python would be shown where an import
failed, and not what to do.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

__all__ = ["ROOT"]

ROOT = Path(__file__).resolve().parent.parent
_NEEDED = ("pykka", "pydantic_settings", "sentencex", "regex", "emoji", "rich", "uvicorn")

if sys.version_info < (3, 11) or not all(map(find_spec, _NEEDED)):
    program = Path(sys.argv[0])
    sys.exit(
        f"{program.name}: {sys.executable} has not all that the scripts need. Take the environment's Python:\n"
        f"  {ROOT / 'scripts' / 'environment'} cli,gateway    # makes it, once\n"
        f"  {ROOT / '.venv' / 'bin' / 'python'} {program}"
    )
