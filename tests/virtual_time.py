"""Where the tests have virtual time from."""

from __future__ import annotations

from actors.testing import StandstillError, run_virtual, virtual

__all__ = ["StandstillError", "run_virtual", "virtual"]
