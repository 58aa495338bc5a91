"""The Emitter: puts chunks into the turn's outbox as fast as its reader takes them, and the end behind the last.

It owns the gate to the outbox and nothing else: what is in the outbox belongs to the record and outlives it. A full
outbox pauses its mailbox, and with that, one after the other, the Chunker and the Producer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from actors.runtime import NO_MAIL, EngineActor
from protocol.mail import End, EndPlaced, Passed
from protocol.speech import SpeechChunk

if TYPE_CHECKING:
    from actors.context import EngineContext
    from actors.record import TurnRecord
    from actors.runtime import Mailbox

__all__ = ["Emitter"]


class Emitter(EngineActor):
    """Takes `SpeechChunk`, `Passed` and `End`; answers `End` with `EndPlaced` to its Turn."""

    kind: ClassVar[str] = "emitter"

    def __init__(self, context: EngineContext, turn: EngineActor, record: TurnRecord, capacity: int) -> None:
        super().__init__(context, turn)
        self.record = record
        self.actor_inbox.capacity = capacity
        self._turn = turn.actor_inbox

    def run_data(self, mailbox: Mailbox) -> None:
        """Move what fits into the outbox, then wake the reader once."""
        record = self.record
        self.found(mailbox.depth)
        try:
            while True:
                if not record.has_room(self._room_made):
                    mailbox.pause()
                    return
                mail = mailbox.take()
                if mail is NO_MAIL or self.tapped(mail):
                    return
                self._put(mail)
        finally:
            record.wake()

    def handle_data(self, mail: Any) -> None:
        """Put one entry into the outbox; the caller has seen to it that the mailbox is empty."""
        if self.record.has_room(self._room_made):
            self._put(mail)
            self.record.wake()
        else:
            self.actor_inbox.put_back(mail)
            self.actor_inbox.pause()

    def _put(self, mail: Any) -> None:
        if type(mail) is SpeechChunk or type(mail) is Passed:
            self.record.place(mail)
        elif type(mail) is End:
            self.record.seal(mail.failure)
            self._turn.post(EndPlaced(), self.actor_urn)
        else:
            self._receive(mail)

    def _room_made(self) -> None:
        """Called by the reader, in its thread."""
        self.system.call(self.actor_inbox.resume)
