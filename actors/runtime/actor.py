"""`LoopActor`: a Pykka actor that an event loop runs, without a thread or task of its own.

It keeps all of Pykka's rules (a stop request keeps its place in the line, the actor is in `ActorRegistry`, a
`BaseException` stops every actor) and passes Pykka's own test suite. What it adds: the two-lane bounded mailbox,
awaitable futures, children, and timers that die with their actor. Handlers are synchronous; one run handles
a bounded batch of messages and then lets the loop go on.

Started inside a running loop, the actor lives on that loop; started outside, on a background loop.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self, TypeVar

import pykka
from pykka import ActorDeadError, ActorRegistry
from pykka._envelope import Envelope
from pykka.messages import _ActorStop

from actors.runtime.background import background_loop
from actors.runtime.future import LoopFuture
from actors.runtime.mailbox import NO_MAIL, Mailbox

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["BATCH", "ChildFailed", "ChildStopped", "LoopActor", "LoopRef"]

logger = logging.getLogger("pykka")

BATCH = 64
"""How many messages an actor handles before it lets the loop go on."""

A = TypeVar("A", bound="LoopActor")


class ChildStopped(NamedTuple):
    """Control mail to a parent: this child has stopped."""

    child: LoopRef[Any]


class ChildFailed(NamedTuple):
    """Control mail to a parent: this child is gone because of an error, or was killed."""

    child: LoopRef[Any]
    error: BaseException


class LoopRef(pykka.ActorRef[A]):
    """A reference to a loop actor: Pykka's, and what a loop adds."""

    actor_inbox: Mailbox

    def __eq__(self, other: object) -> bool:
        """Two references to one actor are equal."""
        return isinstance(other, LoopRef) and self.actor_inbox is other.actor_inbox

    def __hash__(self) -> int:
        return hash(self.actor_inbox)

    async def request(self, message: Any) -> Any:
        """Ask from an event loop: wait for room in the mailbox if there is none, then for the reply.

        Raises:
            pykka.ActorDeadError: the actor has stopped, or stops before it handles the message.
            Exception: whatever the actor's handler raised.

        """
        loop = self.actor_inbox._loop
        if loop is None or loop is asyncio.get_running_loop():
            return await self.actor_inbox.request(message, self)
        request = self.actor_inbox.request(message, self)
        try:
            answer = asyncio.run_coroutine_threadsafe(request, loop)
        except RuntimeError:  # the loop is closed
            request.close()
            raise ActorDeadError(f"{self} not found") from None
        return await asyncio.wrap_future(answer)


class LoopActor(pykka.Actor):
    """Base class of actors that run on an event loop and keep Pykka's rules."""

    mailbox_capacity: ClassVar[int] = 100
    """How many data messages the mailbox takes before senders have to wait."""

    actor_inbox: Mailbox

    @staticmethod
    def _create_actor_inbox() -> Mailbox:
        return Mailbox()

    @staticmethod
    def _create_future() -> LoopFuture[Any]:
        return LoopFuture()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._actor_ref = LoopRef(self)
        self.actor_inbox.capacity = self.mailbox_capacity
        self._set_up = False
        self._failure: BaseException | None = None
        self._parent: LoopRef[Any] | None = None
        self._children: list[LoopRef[Any]] | None = None
        self._timers: set[asyncio.TimerHandle] | None = None

    @property
    def actor_ref(self) -> LoopRef[Self]:
        """The reference that others use to reach this actor."""
        return self._actor_ref  # type: ignore[return-value]

    # Life.

    def _start_actor_loop(self) -> None:
        try:
            loop, ident = asyncio.get_running_loop(), threading.get_ident()
        except RuntimeError:
            thread = background_loop()
            loop, ident = thread.loop, thread.ident
        self.actor_inbox.bind(loop, ident, self._run, None, self._lost)
        self.actor_inbox.ring()  # on_start() runs in the loop

    def _run(self) -> None:
        """Handle the mail that is there: all control, and a batch of data. Called by the loop."""
        mailbox = self.actor_inbox
        if mailbox.closed:
            return
        if not self._set_up:
            self._set_up = True
            try:
                self._actor_loop_setup()
            except BaseException as error:  # noqa: BLE001 - Pykka's rule
                self._stop_all(error)
        for _ in range(BATCH):
            if self.actor_stopped.is_set():
                break
            mail = mailbox.take_control()
            if mail is NO_MAIL and not mailbox.paused:
                mail = mailbox.take()
            if mail is NO_MAIL:
                break
            self._handle(mail if isinstance(mail, Envelope) else Envelope(mail))
        if self.actor_stopped.is_set():
            self._end_life()
        else:
            mailbox.rest()

    def _handle(self, envelope: Envelope[Any]) -> None:
        """Handle one message by Pykka's rules."""
        reply_to = envelope.reply_to
        try:
            try:
                reply = self._handle_receive(envelope.message)
                if reply_to is not None:
                    reply_to.set(reply)
            except Exception:
                if reply_to is not None:
                    logger.info("Exception returned from %s to caller:", self, exc_info=True)
                    reply_to.set_exception()
                    return
                error = sys.exc_info()
                self._handle_failure(*error)
                try:
                    self.on_failure(*error)
                except Exception:  # noqa: BLE001
                    self._handle_failure(*sys.exc_info())
        except BaseException as error:  # noqa: BLE001 - Pykka's rule
            self._stop_all(error)
            if reply_to is not None:
                if isinstance(envelope.message, _ActorStop):
                    reply_to.set(None)
                else:  # Pykka would have the asker wait for ever
                    reply_to.set_exception(
                        (ActorDeadError, ActorDeadError(f"{self.actor_ref} raised {error!r}"), None)
                    )

    def _stop_all(self, error: BaseException) -> None:
        """Pykka's rule: what is no `Exception` stops this actor, then all others."""
        logger.debug("%r in %s. Stopping all actors.", error, self)
        self._failure = error
        if not self.actor_stopped.is_set():
            try:
                self._stop()
            except BaseException:
                logger.exception("on_stop() of %s failed", self)
        ActorRegistry.stop_all(block=False)

    def _end_life(self) -> None:
        self._actor_loop_teardown()
        for timer in self._timers or ():
            timer.cancel()
        _stop_one_by_one(list(self._children or ()))
        self._timers = self._children = None
        self.actor_inbox.close()
        self._actor_loop_teardown()  # what came in between
        if self._parent is not None:
            self._parent.actor_inbox.post(self._last_word(), self.actor_urn)

    def _last_word(self) -> ChildStopped | ChildFailed:
        return ChildFailed(self.actor_ref, self._failure) if self._failure else ChildStopped(self.actor_ref)

    def _lost(self) -> None:
        """The loop was closed under this actor."""
        ActorRegistry.unregister(self.actor_ref)
        self.actor_stopped.set()

    def _handle_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._failure = exception_value
        super()._handle_failure(exception_type, exception_value, traceback)

    # For subclasses.

    def start_child(self, actor_class: type[A], *args: Any, **kwargs: Any) -> LoopRef[A]:
        """Start an actor that stops with this one; its end comes as `ChildStopped` or `ChildFailed`.

        Children are stopped in the reverse order of their start. Call it from the actor's own handlers.

        Raises:
            ActorDeadError: this actor is stopping itself.

        """
        if self.actor_stopped.is_set():
            raise ActorDeadError(f"{self} is stopping and takes no new child")
        child = actor_class(*args, **kwargs)
        child._parent = self.actor_ref
        ActorRegistry.register(child.actor_ref)
        if self._children is None:
            self._children = []
        self._children.append(child.actor_ref)
        child._start_actor_loop()
        return child.actor_ref

    @property
    def children(self) -> tuple[LoopRef[Any], ...]:
        """The children that have not stopped, in the order of their start."""
        return tuple(self._children or ())

    def after(self, seconds: float, message: Any) -> asyncio.TimerHandle:
        """Send this actor `message` as control mail, `seconds` from now, unless it has stopped or it is cancelled.

        A second one of the same type that comes due before the first was handled replaces it.

        Raises:
            ActorDeadError: this actor has stopped.

        """
        if self.actor_stopped.is_set():
            raise ActorDeadError(f"{self} has stopped and begins nothing new")
        loop = self.actor_inbox._loop
        assert loop is not None, "a timer needs a started actor"
        timer: asyncio.TimerHandle

        def due() -> None:
            nonlocal timer
            if self._timers is not None:
                self._timers.discard(timer)
                self.actor_inbox.post(message)
            del timer  # it holds this function: the two would be left to the garbage collector

        timer = loop.call_later(seconds, due)
        if self._timers is None:
            self._timers = set()
        self._timers.add(timer)
        return timer

    def cancel_timer(self, timer: asyncio.TimerHandle) -> None:
        """Cancel a timer of this actor's."""
        timer.cancel()
        if self._timers is not None:
            self._timers.discard(timer)

    @property
    def now(self) -> float:
        """The time on the loop's clock, in seconds."""
        loop = self.actor_inbox._loop
        assert loop is not None, "the clock is the loop's: the actor must have been started"
        return loop.time()

    def _handle_receive(self, message: Any) -> Any:
        if isinstance(message, (ChildStopped, ChildFailed)) and self._children and message.child in self._children:
            self._children.remove(message.child)
        return super()._handle_receive(message)

    def on_receive(self, message: Any) -> Any:
        """Handle a message; a parent that does not care for its children's end need not handle these two."""
        if isinstance(message, (ChildStopped, ChildFailed)):
            return None
        return super().on_receive(message)


def _stop_one_by_one(children: list[LoopRef[Any]]) -> None:
    """Ask the last one to stop, and when it has, the one before it."""
    while children:
        stopped = children.pop().ask(_ActorStop(), block=False)
        assert isinstance(stopped, LoopFuture)
        if not stopped.answered:
            stopped.when_answered(partial(_stop_one_by_one, children))
            return
