"""The mailbox of an actor that an event loop runs: two bounded lanes and a bell.

The *data* lane holds messages in the order they came, `capacity` at the most; who finds it full waits or is
refused, and nothing is ever dropped. The *control* lane does not stand in that line, so that a full mailbox can
still be interrupted; it is bounded because it keeps one message of a kind from a sender, the newest.

Mail rings the bell: the actor is run once by its loop (`call_soon`), however much mail came in between. A paused
data lane keeps its mail and does not ring.

Threads: `put`, `post` and the figures may be used from any thread; everything else from the loop's own.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from pykka import ActorDeadError
from pykka._envelope import Envelope
from pykka.messages import _ActorStop

from actors.runtime.future import LoopFuture, LoopReply
from protocol.errors import MailboxFullError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from contextvars import Context

__all__ = ["NO_MAIL", "Mailbox", "Room"]

DEFAULT_CAPACITY: Final = 100
PATIENCE: Final = 1.0
"""How many seconds a thread waits for room before it looks whether the loop that would make some was closed."""


class _NoMail:
    """The answer of an empty lane (None is a message like any other)."""

    def __repr__(self) -> str:
        return "NO_MAIL"


NO_MAIL: Final = _NoMail()


class Room:
    """Control mail to a sender that was refused: there is room again in this mailbox."""

    __slots__ = ("mailbox",)

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox


class Mailbox:
    """A bounded two-lane inbox; made by an actor, bound to the loop that runs it.

    Args:
        capacity: of the data lane, in messages.
        lock: shared with other mailboxes of the same loop; it is only ever held for a moment. Reentrant, because
            garbage may be collected in that moment, and a finalizer may send mail.

    """

    __slots__ = (
        "_closed",
        "_context",
        "_control",
        "_data",
        "_ident",
        "_lock",
        "_loop",
        "_lost",
        "_paused",
        "_peak",
        "_refused",
        "_run",
        "_scheduled",
        "_space",
        "capacity",
    )

    def __init__(self, capacity: int = DEFAULT_CAPACITY, lock: threading.RLock | None = None) -> None:
        self.capacity = capacity
        """How many messages the data lane takes."""
        self._data: deque[Any] | None = None  # made with the first message: an empty deque takes 0.7 KiB
        self._control: dict[Hashable, Any] | None = None
        self._peak = 0
        self._lock = lock or threading.RLock()
        self._space: threading.Condition | None = None
        self._refused: dict[Mailbox | asyncio.Future[None], None] | None = None
        self._paused = False
        self._closed = False
        self._scheduled = True  # nobody to run yet
        self._loop: asyncio.AbstractEventLoop | None = None
        self._run: Callable[[], None] | None = None
        self._context: Context | None = None
        self._lost: Callable[[], None] | None = None
        self._ident = 0

    def __repr__(self) -> str:
        return f"<Mailbox {self.depth}/{self.capacity}, peak {self.peak}>"

    # What it looks like from outside.

    @property
    def depth(self) -> int:
        """How many data messages wait now."""
        data = self._data  # once: the loop lets go of an empty lane, and another thread may be looking
        return len(data) if data else 0

    @property
    def peak(self) -> int:
        """The most that ever waited."""
        # Between two runs the lane only grows, so its height is looked at when it is about to shrink.
        return max(self._peak, self.depth)

    @property
    def paused(self) -> bool:
        """Whether the actor has stopped taking data for now."""
        return self._paused

    @property
    def closed(self) -> bool:
        """Whether the actor has stopped: mail is refused."""
        return self._closed

    @property
    def idle(self) -> bool:
        """Whether nothing waits and the actor could take something now; for the loop's own thread."""
        return not (self._scheduled or self._data or self._paused or self._closed)

    @property
    def has_control(self) -> bool:
        """Whether control mail waits."""
        return bool(self._control)

    def oldest(self) -> Any:
        """Return the data message at the head of the line, or `NO_MAIL`."""
        data = self._data
        try:
            return data[0] if data else NO_MAIL
        except IndexError:  # another thread looked while the loop emptied it
            return NO_MAIL

    # Sending.

    def put(self, envelope: Envelope[Any], /) -> None:
        """Take a message of Pykka's `tell` or `ask`, from any thread.

        A full lane makes a thread wait. The loop's own thread cannot wait: a `tell` raises, an `ask` gets a failed
        future. A stop request keeps its place in the line but never waits for room.

        Raises:
            MailboxFullError: told from the loop that runs the actor, with the lane full.
            ActorDeadError: told when the actor has stopped, if only while the thread waited.

        """
        loop, in_loop = self._loop, threading.get_ident() == self._ident
        if isinstance(envelope.reply_to, LoopFuture):
            envelope.reply_to.ident = self._ident
        while True:
            if loop is not None and loop.is_closed():
                self._lose()
            with self._lock:
                if self._closed:
                    taken = False
                    break
                if self.depth < self.capacity or isinstance(envelope.message, _ActorStop):
                    taken = True
                    self._append(envelope)
                    break
                if in_loop or loop is None:
                    self._turn_away(envelope)
                    return
                if self._space is None:
                    self._space = threading.Condition(self._lock)
                    continue  # the loop empties the lane without the lock, and might not have seen it
                self._space.wait(PATIENCE)
        if not taken:
            error = ActorDeadError("the actor stopped before it could take the message")
            if envelope.reply_to is None:
                raise error
            envelope.reply_to.set_exception((ActorDeadError, error, None))
        elif not self._scheduled and not self._paused:
            self._ring(in_loop)

    def offer(self, mail: Any, sender: Mailbox | None = None) -> bool:
        """Take a message from an actor or task of the same loop, if there is room; say whether there was.

        A closed mailbox takes nothing.

        Args:
            mail: any message; it needs no envelope.
            sender: is sent one `Room` when there is room again, if there was none.

        """
        with self._lock:
            data = self._data
            if data is None:
                data = self._data = deque()
            if self._closed:
                return False
            if len(data) >= self.capacity:
                if sender is not None:
                    self._note_refused(sender)
                return False
            data.append(mail)
        if not self._scheduled and not self._paused:
            self._ring(in_loop=True)
        return True

    async def request(self, message: Any, asked: object) -> Any:
        """Ask from the actor's own loop: wait for room if there is none, then for the reply.

        Raises:
            ActorDeadError: the actor (`asked`) has stopped, or stops before it handles the message.

        """
        reply = LoopReply(asyncio.get_running_loop())
        envelope = Envelope(message, reply_to=reply)  # type: ignore[arg-type]  # all that is asked of it is set()
        while not self.offer(envelope):
            if self._closed:
                raise ActorDeadError(f"{asked} not found")
            await self.room()
        return await reply.future

    async def room(self) -> None:
        """Wait until the data lane has room, or nobody is left to make some."""
        while self.depth >= self.capacity and not self._closed:
            waiter = asyncio.get_running_loop().create_future()
            self._note_refused(waiter)
            try:
                await waiter
            finally:
                if self._refused:
                    self._refused.pop(waiter, None)  # cancelled

    def post(self, mail: Any, sender: Hashable = None) -> None:
        """Put control mail before all data; a message of the same type from the same sender is replaced."""
        with self._lock:
            if self._closed:
                return
            if self._control is None:
                self._control = {}
            self._control[type(mail), sender] = mail
        if not self._scheduled:
            self._ring(threading.get_ident() == self._ident)

    # Receiving: the actor that owns it, in its loop.

    def bind(
        self,
        loop: asyncio.AbstractEventLoop,
        ident: int,
        run: Callable[[], None],
        context: Context | None,
        lost: Callable[[], None] | None = None,
    ) -> None:
        """Tell who runs the actor.

        Args:
            loop: calls `run()` when there is mail.
            ident: the thread of the loop.
            run: handles the mail, then calls `rest()`.
            context: that `run()` is called in.
            lost: is called, in any thread, by the first mail that finds the loop closed.

        """
        self._loop, self._ident, self._run, self._context, self._lost = loop, ident, run, context, lost
        self._scheduled = False
        if self._control or self._data:
            self._ring(threading.get_ident() == ident)

    def ring(self) -> None:
        """Have the actor run, mail or not."""
        self._ring(threading.get_ident() == self._ident)

    def take_control(self) -> Any:
        """Remove and return the oldest control message, or `NO_MAIL`."""
        control = self._control
        if not control:
            return NO_MAIL
        with self._lock:
            if len(control) == 1:
                self._control = None
            return control.pop(next(iter(control)))

    def take(self) -> Any:
        """Remove and return the oldest data message, or `NO_MAIL`."""
        data = self._data
        if not data:
            return NO_MAIL
        depth = len(data)
        if depth > self._peak:
            self._peak = depth
        return data.popleft()

    def put_back(self, mail: Any) -> None:
        """Put a message that was taken, and cannot be handled yet, at the head of the line again."""
        if self._data is None:
            self._data = deque()
        self._data.appendleft(mail)

    def take_text(self, limit: int) -> str:
        """Remove the texts at the head of the line, joined, `limit` characters of them at most.

        Of a text that is longer the rest stays at the head. Empty when something else than text is there;
        nobody sends empty texts.
        """
        data = self._data
        if not data:
            return ""
        depth = len(data)
        if depth > self._peak:
            self._peak = depth
        if type(data[0]) is not str:
            return ""
        parts = [data.popleft()]
        size = len(parts[0])
        if size > limit:
            data.appendleft(parts[0][limit:])
            return parts[0][:limit]  # type: ignore[no-any-return]
        while data and type(data[0]) is str:
            size += len(data[0])
            if size > limit:
                break
            parts.append(data.popleft())
        return "".join(parts)

    def pause(self) -> None:
        """Stop ringing for data: the actor cannot take any for now."""
        self._paused = True

    def resume(self) -> None:
        """Ring for data again, and for what has come meanwhile."""
        self._paused = False
        if self._data and not self._scheduled:
            self._ring(in_loop=True)

    def rest(self) -> None:
        """Called at the end of a run: let senders know of room; ring again if there is more."""
        self._scheduled = False
        if not self._data and self._data is not None:
            self._let_go()
        if (self._refused or self._space) and self.depth * 2 <= self.capacity:
            self._tell_of_room()
        if self._control or (self._data and not self._paused):
            self._ring(in_loop=True)

    def close(self) -> None:
        """Take nothing more, and let go of everybody who waits for room. What is left can still be taken."""
        with self._lock:
            self._closed = True
            self._run = self._lost = None  # never rings again, and does not keep the actor
            self._control = None
        self._tell_of_room()

    # Pykka's inbox protocol, as far as its teardown uses it.

    def get(self) -> Envelope[Any]:
        """Remove and return the oldest data message, in an envelope; there must be one."""
        mail = self.take()
        return mail if isinstance(mail, Envelope) else Envelope(mail)

    def empty(self) -> bool:
        """Whether no data message waits."""
        return not self._data

    # Inside.

    def _let_go(self) -> None:
        """An empty lane takes no room: most actors have no mail, most of the time."""
        with self._lock:
            if not self._data:
                self._data = None

    def _append(self, envelope: Envelope[Any]) -> None:
        if self._data is None:
            self._data = deque()
        self._data.append(envelope)

    def _turn_away(self, envelope: Envelope[Any]) -> None:
        error = MailboxFullError(
            f"the mailbox holds {self.capacity} messages and nobody but this thread could empty it: "
            f"await LoopRef.request(), or send from another thread"
        )
        if envelope.reply_to is None:
            raise error
        envelope.reply_to.set_exception((MailboxFullError, error, None))

    def _note_refused(self, refused: Mailbox | asyncio.Future[None]) -> None:
        if self._refused is None:
            self._refused = {}
        self._refused[refused] = None

    def _tell_of_room(self) -> None:
        refused, self._refused = self._refused, None
        for who in refused or ():
            if isinstance(who, Mailbox):
                who.post(Room(self), id(self))
            elif not who.done() and not who.get_loop().is_closed():
                who.set_result(None)
        if self._space is not None:
            with self._lock:
                self._space.notify_all()

    def _ring(self, in_loop: bool) -> None:
        loop, run = self._loop, self._run  # another thread may close the mailbox meanwhile
        if loop is None or run is None:
            return
        self._scheduled = True
        try:
            if in_loop:
                loop.call_soon(run, context=self._context)
            else:
                loop.call_soon_threadsafe(run, context=self._context)
        except RuntimeError:  # closed
            self._lose()

    def _lose(self) -> None:
        """The loop was closed, and nothing else could run the actor: it is as good as stopped."""
        lost, self._lost = self._lost, None
        self.close()
        with self._lock:
            data, self._data = self._data, None
        for mail in data or ():
            reply_to = getattr(mail, "reply_to", None)
            if isinstance(reply_to, LoopFuture):  # who asked within the loop has gone with it
                error = ActorDeadError("the actor's event loop was closed before it handled the message")
                reply_to.set_exception((ActorDeadError, error, None))
        if lost is not None:
            lost()
