"""The Chunker: feeds the agent's text to the speech pipeline and sends what comes of it to the Emitter, in order.

One thing at a time: while the Emitter has not taken all chunks of the last feed, the mailbox is paused. So what is
held here is bounded by what one slice of text can become, whatever the size of a token.
"""

from __future__ import annotations

from collections import deque
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from actors.runtime import NO_MAIL, EngineActor, Room, handles
from protocol.mail import Flush, FlushAck, Passed

if TYPE_CHECKING:
    import re
    from collections.abc import Callable

    from actors.context import EngineContext
    from actors.record import TurnRecord
    from actors.runtime import Mailbox
    from protocol.speech import SpeechChunk

__all__ = ["Chunker"]

SLICE = 4_096
"""How many characters are fed to the pipeline at once, at the most (of text that waits in the mailbox)."""
RUN = 4 * SLICE
"""How many characters one run may feed before the loop goes on."""


@lru_cache(maxsize=64)
def _search(pattern: re.Pattern[str]) -> Callable[[str], re.Match[str] | None]:
    """Return one and the same bound method for all turns that attend to the same."""
    return pattern.search


class Chunker(EngineActor):
    """Takes text, `Flush` and `Passed`; answers a `Flush` with `FlushAck` to its Turn."""

    kind: ClassVar[str] = "chunker"

    def __init__(
        self,
        context: EngineContext,
        turn: EngineActor,
        record: TurnRecord,
        emitter: EngineActor,
        speech: Callable[[], Any],
        capacity: int,
    ) -> None:
        super().__init__(context, turn)
        self.context = context
        self.record = record
        self.actor_inbox.capacity = capacity
        self._turn = turn.actor_inbox
        self._emitter = emitter
        self._speech = speech
        self._pattern: re.Pattern[str] | None = None
        self._unsent: deque[SpeechChunk | Passed | FlushAck] | None = None

    def on_start(self) -> None:
        """Make the pipeline here, so that a factory that raises fails this actor alone."""
        self._pipeline = self._speech()
        self._has_attention = hasattr(self._pipeline, "attention")
        self._mind()

    def on_stop(self) -> None:
        """Say which stages of the pipeline have failed; it went on without them."""
        take_faults = getattr(self._pipeline, "take_faults", None)
        for fault in take_faults() if take_faults is not None else ():
            what = fault.error if self.context.settings.log_user_text else fault.error.split(":")[0]
            self.context.log(self.record).warning("speech stage %s failed and was left out: %s", fault.stage, what)

    def run_data(self, mailbox: Mailbox) -> None:
        """Feed what waits, until the Emitter is full or it has been enough for one run."""
        budget = RUN
        self.found(mailbox.depth)
        while budget > 0 and not mailbox.paused:
            mail = mailbox.take_text(SLICE) or mailbox.take()
            if mail is NO_MAIL:
                return
            if self.tapped(mail):
                return
            self.handle_data(mail)
            budget -= len(mail) if type(mail) is str else 1

    def handle_data(self, mail: Any) -> None:
        """Feed a piece of text, flush, or pass an event on."""
        if type(mail) is str:
            chunks = self._pipeline.feed(mail)
            if chunks:
                self._send(chunks)
            self._mind()
        elif type(mail) is Flush:
            chunks = self._pipeline.flush(mail.final)
            self._send([*chunks, FlushAck(mail.id, mail.final, len(chunks))])
            self._mind()
        elif type(mail) is Passed:
            self._send([mail])
        else:
            self._receive(mail)

    @handles(Room)
    def _room(self, _room: Room) -> None:
        unsent, self._unsent = self._unsent, None
        if unsent and self._send(unsent):
            self.actor_inbox.resume()

    def _send(self, items: list[Any] | deque[Any]) -> bool:
        """Send on, or pause with what the Emitter has not taken; an ack goes when all before it were taken."""
        emitter = self._emitter
        for sent, item in enumerate(items):
            if type(item) is FlushAck:
                self._turn.post(item, self.actor_urn)
            elif not emitter.deliver(item, self.actor_inbox):
                unsent = self._unsent = deque(items)
                for _ in range(sent):
                    unsent.popleft()
                self.actor_inbox.pause()
                return False
            elif item.__class__ is not Passed and item.removed:
                self.record.note_removed(item.removed)
        return True

    def _mind(self) -> None:
        """After the pipeline has been used: book what it removed, and what it wants to see next."""
        removed = self._pipeline.take_removed()
        if removed:
            self.record.note_removed(removed)
        if self._has_attention:
            pattern = self._pipeline.attention
            if pattern is not self._pattern:
                self._pattern = pattern
                self.record.attention = _search(pattern) if pattern is not None else None
