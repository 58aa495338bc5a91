"""`EngineActor`: the loop actor that the engine is made of.

Pykka's rules are wrong for an engine in three places, and this class differs in exactly these:

1. `StopNow` is control mail: the actor stops at once, whatever waits in its mailbox.
2. It is registered in its `ActorSystem` (a dict), not in Pykka's global list.
3. Any exception fails this actor alone, `CancelledError` and other `BaseException`s included; the parent is told.

An actor that ends, in whichever way, leaves nothing: its timers are cancelled, its children stopped in the reverse
order of their start, its tasks cancelled (what does not stop at once is handed to the system), its parent told
last. Parent and child live in one loop and handlers are synchronous, so that a child is always between two messages
when its parent stops it: that is a call, not a conversation, and when it returns the child has ended.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self, TypeVar

from pykka import ActorDeadError
from pykka._envelope import Envelope
from pykka.messages import _ActorStop

from actors.runtime.actor import BATCH, ChildFailed, ChildStopped, LoopActor, LoopRef
from actors.runtime.mailbox import NO_MAIL, Mailbox

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from contextvars import Context

    from actors.runtime.future import Reply
    from actors.runtime.system import ActorSystem

__all__ = ["ActorKilledError", "EngineActor", "StopNow", "handles"]

EAGER = 64
"""How many messages in a row are handled in their sender's step, at the most."""

E = TypeVar("E", bound="EngineActor")


class ActorKilledError(Exception):
    """The `error` of a `ChildFailed` when the child was killed."""


class StopNow(NamedTuple):
    """Control mail: stop at once."""


class StopFlag:
    """What Pykka keeps in a `threading.Event`: whether the actor has stopped. Here nobody has to wait for it."""

    __slots__ = ("_actor",)

    def __init__(self, actor: EngineActor) -> None:
        self._actor = actor

    def is_set(self) -> bool:
        """Whether the actor has stopped."""
        return self._actor.stopped


def handles(message: type) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Mark a method as the one that handles messages of this type."""

    def mark(method: Callable[..., Any]) -> Callable[..., Any]:
        method.handled = message  # type: ignore[attr-defined]
        return method

    return mark


class EngineActor(LoopActor):
    """Base class of the engine's own actors.

    Args:
        system: what it shares with others.
        parent: the actor, or a function, that is told of its end.

    """

    kind: ClassVar[str] = "actor"
    """What it is called in reports and URNs."""
    _handlers: ClassVar[dict[type, Callable[[Any, Any], Any]]] = {}

    # What every actor has, and few actors use: on the class until it is used.
    _children: list[Any] | None = None
    _timers: set[asyncio.TimerHandle] | None = None
    _tasks: tuple[asyncio.Task[Any], ...] = ()  # few actors have one, hardly any has two
    _deferred: set[Reply] | None = None
    _reply_to: Reply | None = None
    _deferring = False
    _eager = 0
    _ref: LoopRef[Any] | None = None
    stopped = False
    """Whether it has ended."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = {m.handled: m for m in vars(cls).values() if hasattr(m, "handled")}
        cls._handlers = {**cls._handlers, **own}

    def __init__(self, system: ActorSystem, parent: EngineActor | Callable[[Any], None] | None = None) -> None:
        # Not Pykka's __init__: that makes a random URN and an Event, which an engine cannot afford per turn.
        self.system = system
        self.actor_urn = system.ids.urn(self.kind)
        self.actor_inbox = Mailbox(self.mailbox_capacity, system.lock)
        self._told = parent

    @property
    def actor_stopped(self) -> StopFlag:  # type: ignore[override]
        """Whether the actor has stopped, in Pykka's form."""
        return StopFlag(self)

    @property
    def actor_ref(self) -> LoopRef[Self]:
        """The reference that the outside uses to reach this actor."""
        if self._ref is not None:
            return self._ref
        ref = LoopRef(self)
        if not self.stopped:  # they hold each other: what has ended is not left to the garbage collector for that
            self._ref = ref
        return ref

    @classmethod
    def start(cls, *args: Any, **kwargs: Any) -> LoopRef[Self]:
        """Start an actor of this class in the loop of its system (the first argument), and return its reference."""
        return cls.launch(*args, **kwargs).actor_ref

    @classmethod
    def launch(cls, *args: Any, **kwargs: Any) -> Self:
        """Start an actor, in the loop's own thread, and return it: for the one that looks after it."""
        actor = cls(*args, **kwargs)
        system = actor.system
        system.register(actor)
        actor.actor_inbox.bind(system.loop, system.ident, actor, system.context)
        try:
            actor.on_start()
        except BaseException as error:  # noqa: BLE001 - rule 3
            actor._fail(error)
        return actor

    def launch_child(self, actor_class: type[E], *args: Any, **kwargs: Any) -> E:
        """Start an actor that ends with this one.

        Raises:
            ActorDeadError: this actor has stopped and takes no new child.

        """
        if self.stopped:
            raise ActorDeadError(f"{self} has stopped and takes no new child")
        child = actor_class.launch(self.system, self, *args, **kwargs)
        if not child.stopped:
            if self._children is None:
                self._children = []
            self._children.append(child)
        return child

    def start_child(  # type: ignore[override]  # parent and child live in one system
        self, actor_class: type[E], *args: Any, **kwargs: Any
    ) -> LoopRef[E]:
        """Start an actor that ends with this one, and return its reference."""
        return self.launch_child(actor_class, *args, **kwargs).actor_ref

    def stop_children(self) -> None:
        """Stop all children now, the last started first. They are not announced: whoever calls this knows."""
        children, self._children = self._children, None
        for child in reversed(children or ()):
            child._told = None
            child._finish(None)

    @property
    def children(self) -> tuple[LoopRef[Any], ...]:
        """The children that have not stopped, in the order of their start."""
        return tuple(child.actor_ref for child in self._children or ())

    def spawn(self, work: Coroutine[Any, Any, None], name: str, context: Context | None = None) -> asyncio.Task[None]:
        """Run a coroutine in a task that ends with this actor.

        Raises:
            ActorDeadError: this actor has stopped.

        """
        if self.stopped:
            work.close()
            raise ActorDeadError(f"{self} has stopped and begins nothing new")
        task = self.system.loop.create_task(work, name=name, context=context)
        self._tasks += (task,)
        task.add_done_callback(self._task_done)
        return task

    def _forget_task(self, task: asyncio.Task[Any]) -> None:
        self._tasks = tuple(other for other in self._tasks if other is not task)

    def _task_done(self, task: asyncio.Task[Any]) -> None:
        error = None if task.cancelled() else task.exception()
        if task in self._tasks:
            self._forget_task(task)
            if error is not None:
                self._fail(error)
        elif error is not None:
            log = self.system.log_of(self)
            log.failure(logging.ERROR, error, "%s, let go by %s, failed", task.get_name(), self)

    def let_go(self, task: asyncio.Task[Any]) -> None:
        """Cancel a task and wait for it no longer; the system looks after what does not stop."""
        self._forget_task(task)
        if task.done():
            return
        if task is not asyncio.current_task(self.system.loop):
            task.cancel()
        self.system.on_task_left(self, task)

    async def request(self, message: Any) -> Any:
        """Ask this actor from any event loop; as `LoopRef.request`, and within its own loop without a reference."""
        if asyncio.get_running_loop() is not self.system.loop:
            return await self.actor_ref.request(message)
        return await self.actor_inbox.request(message, self)

    @property
    def now(self) -> float:
        """The time on the system's clock, in seconds."""
        return self.system.clock.now()

    @property
    def tasks(self) -> tuple[asyncio.Task[Any], ...]:
        """The tasks of this actor that have not ended."""
        return self._tasks

    # Running.

    def _has_stopped(self) -> bool:  # a call, because a type checker takes an attribute to stay as it was
        return self.stopped

    def __call__(self) -> None:
        """Handle the mail that is there: all control, and a batch of data. Called by the loop.

        The actor itself is what its mailbox has called, and not a method of it: that would be one more object.
        """
        if self.stopped:
            return
        mailbox = self.actor_inbox
        try:
            for _ in range(BATCH):
                if not mailbox.has_control:
                    if not mailbox.paused:
                        self.run_data(mailbox)
                    break
                self._receive(mailbox.take_control())
                if self._has_stopped():
                    return
        except BaseException as error:  # noqa: BLE001 - rule 3
            self._fail(error)
        if not self._has_stopped():
            mailbox.rest()

    def deliver(self, mail: Any, sender: Mailbox | None = None) -> bool:
        """Take a message from a task or actor of the same loop, now or later; False if there is no room.

        A sender that lets the loop go on after each message (a live agent) would cost a run for each. When a run
        has found just one message, the next ones are handled in the sender's own step, as long as nothing is before
        them, up to `EAGER` in a row; then a run looks again whether messages still come one by one.

        Args:
            mail: a message that `handle_data` takes.
            sender: as for `Mailbox.offer`.

        """
        mailbox = self.actor_inbox
        eager = self._eager
        if eager and mailbox.idle and self.system.tap is None:
            self._eager = 0  # what comes in while this is handled waits until it has been
            try:
                self.handle_data(mail)
            except BaseException as error:  # noqa: BLE001 - rule 3
                self._fail(error)
            self._eager = eager - 1
            return True
        return mailbox.offer(mail, sender)

    def handle_data(self, mail: Any) -> None:
        """Handle one data message that has passed the tap."""
        self._receive(mail)

    def found(self, messages: int) -> None:
        """Note how many messages a run has found: what `deliver` goes by."""
        self._eager = EAGER if messages == 1 else 0

    def tapped(self, mail: Any) -> bool:
        """Show a message to the system's tap, if there is one; True if that was this actor's end."""
        tap = self.system.tap
        if tap is not None:
            tap(self, mail)
        return self.stopped

    def run_data(self, mailbox: Mailbox) -> None:
        """Handle a batch of data. An actor whose data is plain text or chunks has a shorter way of its own."""
        for _ in range(BATCH):
            mail = mailbox.take()
            if mail is NO_MAIL:
                return
            self._receive(mail)
            if self.stopped or mailbox.paused or mailbox.has_control:
                return

    def _receive(self, mail: Any) -> None:
        """Handle one message; answer it if it was asked."""
        reply_to: Reply | None = None
        if type(mail) is Envelope:
            mail, reply_to = mail.message, mail.reply_to
        if self.tapped(mail):
            _fail_reply(reply_to, self)
            return
        if reply_to is None:
            self._dispatch(mail)
            return
        self._reply_to, self._deferring = reply_to, False
        try:
            reply = self._dispatch(mail)
        except Exception:  # noqa: BLE001 - the asker gets it
            reply_to.set_exception()
        except BaseException as error:
            _fail_reply(reply_to, self, error)  # the asker must not be cancelled, or interrupted, in its place
            raise
        else:
            if not self._deferring:
                reply_to.set(reply)
        finally:
            self._reply_to = None

    def _dispatch(self, mail: Any) -> Any:
        handler = self._handlers.get(type(mail))
        if handler is not None:
            return handler(self, mail)
        if isinstance(mail, StopNow | _ActorStop):
            return self._finish(None)
        if isinstance(mail, ChildStopped | ChildFailed):
            return self.child_gone(mail)
        return self._handle_receive(mail)  # proxies, and Pykka's word on what nobody expected

    def defer(self) -> Reply | None:
        """Keep the reply of the message at hand for later; whoever holds it must set it.

        An actor that ends before has it fail with `ActorDeadError`. None if nobody waits for a reply.
        """
        reply, self._deferring = self._reply_to, True
        if reply is not None:
            if self._deferred is None:
                self._deferred = set()
            self._deferred.add(reply)
        return reply

    def answer(self, reply: Reply | None, value: Any) -> None:
        """Give a deferred reply."""
        if reply is not None:
            if self._deferred is not None:
                self._deferred.discard(reply)
            if not reply.answered:  # the actor has ended meanwhile
                reply.set(value)

    # Ending.

    def stop_now(self) -> None:
        """Stop this actor, from one of its own handlers, without a look at what waits."""
        self._finish(None)

    def kill(self) -> None:
        """Remove this actor between two messages, without calling its hooks; its parent gets `ChildFailed`.

        For tests and operators, from the loop's thread.
        """
        if not self.stopped:
            self._end(ActorKilledError(f"{self} was killed"))

    def child_gone(self, word: ChildStopped | ChildFailed) -> None:
        """Take note that a child ended which this actor did not stop itself."""
        if self._children:
            self._children = [child for child in self._children if child.actor_urn != word.child.actor_urn]

    def _fail(self, error: BaseException) -> None:
        if self.stopped:
            return
        log = self.system.log_of(self)
        log.failure(logging.ERROR, error, "%s failed", self)
        try:
            self.on_failure(type(error), error, error.__traceback__)
        except BaseException as another:  # noqa: BLE001 - logged, and of no consequence
            log.failure(logging.ERROR, another, "on_failure() of %s failed", self)
        self._end(error)

    def _finish(self, error: BaseException | None) -> None:
        if self.stopped:
            return
        try:
            self.on_stop()
        except BaseException as failure:  # noqa: BLE001 - rule 3
            self.system.log_of(self).failure(logging.ERROR, failure, "on_stop() of %s failed", self)
            error = failure
        self._end(error)

    def _end(self, error: BaseException | None) -> None:
        if self.stopped:
            return
        self.stopped = True
        self.system.unregister(self)
        for timer in self._timers or ():
            timer.cancel()
        self._timers = None
        self.stop_children()
        mailbox = self.actor_inbox
        mailbox.close()
        while (mail := mailbox.take()) is not NO_MAIL:
            if type(mail) is Envelope:
                reply_to: Any = mail.reply_to
                _fail_reply(reply_to, self, was_stop=isinstance(mail.message, _ActorStop))
        deferred, self._deferred = self._deferred, None
        for reply in deferred or ():
            _fail_reply(reply, self)
        for task in self.tasks:
            self.let_go(task)
        told, self._told = self._told, None
        if told is not None:
            word = ChildStopped(self.actor_ref) if error is None else ChildFailed(self.actor_ref, error)
            if isinstance(told, EngineActor):
                told.actor_inbox.post(word, self.actor_urn)
            else:
                told(word)


def _fail_reply(
    reply: Reply | None, actor: EngineActor, cause: BaseException | None = None, *, was_stop: bool = False
) -> None:
    if reply is None or reply.answered:
        return
    if was_stop:
        reply.set(None)
        return
    error = ActorDeadError(f"{actor} stopped before it had handled the message")
    error.__cause__ = cause
    reply.set_exception((ActorDeadError, error, None))
