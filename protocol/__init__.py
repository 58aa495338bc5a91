"""Everything of Antiphon that crosses a boundary, as data: no actor, no I/O, no clock.

Import from the modules: `protocol.agent` (what an agent stream yields), `protocol.events` (what a client
receives), `protocol.turn` (status, snapshot, the state machine of a turn), `protocol.mail` (the messages between
actors), `protocol.speech`, `protocol.settings`, `protocol.errors`.
"""

from __future__ import annotations

from protocol.shadowing import require_sibling

require_sibling(__file__, "actors")
