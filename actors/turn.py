"""The Turn: a thin shell over `TurnMachine`, and the parent of Producer, Chunker and Emitter.

Each message is one input of the machine; what the machine answers is carried out here, and nothing is decided here.
The Turn ends when its machine is over and its children have stopped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from actors.chunker import Chunker
from actors.emitter import Emitter
from actors.producer import Producer
from actors.runtime import ChildFailed, ChildStopped, EngineActor, Room, handles
from protocol.errors import FailureCode
from protocol.mail import (
    AgentDone,
    AttachAgent,
    End,
    EndPlaced,
    EndTaken,
    FlushAck,
    Interrupt,
    Pause,
    StartTurn,
    StopAgent,
    TimeOut,
)
from protocol.turn import Effect, Failure, Input, Phase, TurnMachine

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.context import EngineContext
    from actors.record import TurnRecord

__all__ = ["Turn"]


class Turn(EngineActor):
    """One turn, from its start to the moment its end was read or it was interrupted."""

    kind: ClassVar[str] = "turn"

    def __init__(
        self,
        context: EngineContext,
        connection: EngineActor,
        record: TurnRecord,
        order: StartTurn,
        speech: Callable[[], Any],
        capacity: int,
    ) -> None:
        super().__init__(context, connection)
        self.context = context
        self.record = record
        self.machine = TurnMachine()
        self.actor_inbox.capacity = capacity
        self._order: StartTurn | None = order
        self._speech = speech
        self._producer: Producer | None = None
        self._emitter: Emitter | None = None

    def on_start(self) -> None:
        """Start at once; a turn that has to wait for another is not made before its time."""
        self._feed(Input.START)

    # Inputs.

    @handles(AgentDone)
    def _agent_done(self, mail: AgentDone) -> None:
        self._feed(Input.AGENT_DONE, mail.failure)

    @handles(FlushAck)
    def _flush_ack(self, mail: FlushAck) -> None:
        self._feed(Input.FINAL_FLUSH_TAKEN if mail.final else Input.PART_FLUSH_TAKEN)

    @handles(TimeOut)
    def _time_out(self, mail: TimeOut) -> None:
        self._feed(Input.TIME_OUT, mail.failure)

    @handles(Interrupt)
    def _interrupt(self, _mail: Interrupt) -> None:
        self._feed(Input.INTERRUPT)

    @handles(EndPlaced)
    def _end_placed(self, _mail: EndPlaced) -> None:
        self._feed(Input.END_PLACED)

    @handles(EndTaken)
    def _end_taken(self, _mail: EndTaken) -> None:
        self._feed(Input.END_TAKEN)

    def child_gone(self, word: ChildStopped | ChildFailed) -> None:
        """A child that the machine did not have stopped is a failure of this turn, and of this turn alone."""
        super().child_gone(word)
        if self.stopped:
            return
        kind = word.child.actor_class.kind
        what = f"failed: {word.error}" if isinstance(word, ChildFailed) else "was stopped"
        self._feed(Input.CHILD_DIED, Failure(FailureCode.ACTOR_FAILED, f"the {kind} {what}"))

    @handles(AttachAgent)
    def _attach(self, mail: AttachAgent) -> None:
        if self._producer is not None:
            self._producer.actor_inbox.post(mail)

    @handles(Pause)
    def _pause(self, mail: Pause) -> None:
        if self._producer is not None and self.machine.phase is Phase.STREAMING:
            self._producer.actor_inbox.post(mail)

    # Effects.

    def _feed(self, event: Input, failure: Failure | None = None) -> None:
        for effect in self.machine.feed(event, failure):
            _EFFECTS[effect](self)
        if self.machine.phase is Phase.OVER and not self._children:
            self.stop_now()

    def _start_children(self) -> None:
        order, capacity = self._order, self.actor_inbox.capacity
        assert order is not None, "a turn starts once"
        self._order = None  # the stream belongs to the Producer now
        self.record.begin()
        self._emitter = self.launch_child(Emitter, self.record, capacity)
        chunker = self.launch_child(Chunker, self.record, self._emitter, self._speech, capacity)
        self._producer = self.launch_child(Producer, self.record, chunker, order.agent_stream, order.context)

    def _stop_agent(self) -> None:
        assert self._producer is not None
        assert self.machine.failure is not None
        self._producer.actor_inbox.post(StopAgent(self.machine.failure))

    def _send_end(self) -> None:
        # In line with the chunks, not before them as control would be; a full Emitter makes it wait.
        assert self._emitter is not None
        self._emitter.deliver(End(self.machine.failure), self.actor_inbox)

    @handles(Room)
    def _room(self, _room: Room) -> None:
        if self.machine.phase is Phase.ENDING:
            self._send_end()

    def _seal(self) -> None:
        self.record.seal(self.machine.failure)


_EFFECTS: dict[Effect, Callable[[Turn], None]] = {
    Effect.START_CHILDREN: Turn._start_children,
    Effect.STOP_AGENT: Turn._stop_agent,
    Effect.SEND_END: Turn._send_end,
    Effect.SEAL: Turn._seal,
    Effect.STOP_CHILDREN: Turn.stop_children,
}
