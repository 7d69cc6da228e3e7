"""What others hold of an actor: send it something, wait for its start, notice its end.

`ActorReference` is a `pykka.ActorRef`, so a host can use ours like any other. Beyond that it has
`cast` and `request` (OTP's cast and a call without the waiting), and two futures which are what
links and monitors are in Erlang: `started` and `down`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

import pykka
from pykka.messages import _ActorStop

from .actor_errors import StoppedNotice, start_error
from .envelope import Envelope
from .exit_reason import SHUTDOWN, Exit
from .future import KhepriFuture

if TYPE_CHECKING:
    from collections.abc import Callable

    from .actor import KhepriActor
    from .actor_errors import DeathNotice
    from .mailbox import Mailbox

T = TypeVar("T")


class ActorReference(pykka.ActorRef[Any]):
    """A handle on an actor, dead or alive; every method may be called from any thread."""

    def __init__(self, actor: KhepriActor) -> None:
        """Make the reference; only an actor does."""
        super().__init__(actor)
        self.label = actor.label
        self.mailbox: Mailbox = actor.mailbox
        """The actor's mailbox: `Mailbox.depth` tells how much waits."""
        self.started: KhepriFuture[None] = KhepriFuture(mailbox=actor.mailbox)
        """Resolved when the actor is ready; its error is why the start failed."""
        self.down: KhepriFuture[Exit] = KhepriFuture(mailbox=actor.mailbox)
        """Resolved when the actor has ended, with the reason."""

    def __str__(self) -> str:
        """Give the actor's label."""
        return str(self.label)

    def is_alive(self) -> bool:
        """Tell whether the actor takes messages. It may end at any moment."""
        return not self.mailbox.closed

    def cast(self, message: object) -> None:
        """Send a message and forget it; to a dead actor it is dropped (OTP's cast).

        This is how our actors talk to each other: a peer that is just being restarted is no
        reason to crash.
        """
        self.mailbox.put(Envelope(message))

    def bring(self, message: object) -> None:
        """Send a message as `cast` does; this thread handles it, if the actor lends its turn."""
        envelope = Envelope(message)
        actor: KhepriActor | None = self._actor_weakref()
        if actor is None or not actor.lend(envelope):
            self.mailbox.put(envelope)

    def stand_in(self) -> bool:
        """Take a turn of the actor's in this thread, if its own is away; tell whether it was."""
        actor: KhepriActor | None = self._actor_weakref()
        return actor is not None and actor.stand_in()

    def tell(self, message: object) -> None:
        """Send a message and forget it, as in Pykka.

        Raises:
            NoSuchServerError: the actor is gone (also a `pykka.ActorDeadError`).
            ForkedProcessError: the actor lives in the parent process.
        """
        if self.mailbox.closed:
            raise self.mailbox.notice.too_late()
        self.mailbox.put(Envelope(message))

    @overload
    def request(self, message: object) -> KhepriFuture[Any]: ...
    @overload
    def request(self, message: object, decode: Callable[[Any], T]) -> KhepriFuture[T]: ...
    def request(
        self, message: object, decode: Callable[[Any], Any] | None = None
    ) -> KhepriFuture[Any]:
        """Send a message and give the future of its reply; never blocks, never raises.

        Args:
            message: what is asked.
            decode: turns the reply into the result or raises, in the thread that asks for it.
        """
        inbox = self.mailbox
        future: KhepriFuture[Any] = KhepriFuture(decode, inbox)
        inbox.put(Envelope(message, future))
        return future

    def ask(self, message: object, *, block: bool = True, timeout: float | None = None) -> Any:  # noqa: ANN401 - Pykka's signature; `request` is the typed one
        """Send a message and wait for the reply, as in Pykka.

        Args:
            message: what is asked.
            block: whether to wait; if not, the future is returned.
            timeout: seconds to wait at most.

        Raises:
            KhepriTimeoutError: no reply came in time (also a `pykka.Timeout`).
            NoSuchServerError: the actor was gone (also a `pykka.ActorDeadError`).
            ServerStoppedError: the actor ended before it replied (also a `pykka.ActorDeadError`).
        """
        future = self.request(message)
        return future.get(timeout=timeout) if block else future

    @overload
    def stop(self, *, block: Literal[True], timeout: float | None = None) -> bool: ...
    @overload
    def stop(
        self, *, block: Literal[False], timeout: float | None = None
    ) -> KhepriFuture[bool]: ...
    @overload
    def stop(
        self, *, block: bool = True, timeout: float | None = None
    ) -> bool | KhepriFuture[bool]: ...
    def stop(
        self, *, block: bool = True, timeout: float | None = None
    ) -> bool | KhepriFuture[bool]:
        """Have the actor end after what is in its mailbox now.

        Unlike in Pykka, whoever waits, waits for the actor's real end, `on_terminate` included.

        Returns:
            whether the actor was still there; the future of it if `block` is false.

        Raises:
            KhepriTimeoutError: it did not end in time.
        """
        was_there = not self.down.done() and not self.mailbox.ended
        if was_there:
            self.mailbox.put(Envelope(_ActorStop()))
        stopped: KhepriFuture[bool] = KhepriFuture(mailbox=self.mailbox)
        if was_there:
            self.down.add_done_callback(lambda _down: stopped.resolve(True))  # noqa: FBT003
        else:
            stopped.set(False)
        return stopped.get(timeout=timeout) if block else stopped

    def abandon(self) -> None:
        """Count the actor as ended though its thread does not return; for its supervisor.

        Everybody who waits for it is answered. If the thread returns from where it is stuck, the
        actor puts its things away and ends.
        """
        notice = StoppedNotice(self.label, SHUTDOWN)
        self.actor_stopped.set()
        pykka.ActorRegistry.unregister(self)
        self.mailbox.close(notice)
        self.lay_to_rest(SHUTDOWN, notice)

    def lay_to_rest(self, reason: Exit, notice: DeathNotice) -> None:
        """Tell everybody that the actor has ended; only the first call counts."""
        self.started.fail(start_error(reason.error) or notice.unanswered())
        self.down.resolve(reason)
        self.mailbox.end()
