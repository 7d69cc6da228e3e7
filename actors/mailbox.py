"""The mailbox of an actor: many threads put, the actor takes all that waits as one batch.

Two things are unlike Pykka's own inbox (a `queue.Queue`):

- `Mailbox.take` hands over everything that waits, so an actor pays its fixed costs (a Raft step,
  a disk sync, a publication of the new tree) once per batch, and batches grow by themselves with
  the load. It waits no longer than the actor's next deadline, so timers need no thread.
- A mailbox is *closed* when its actor dies. Whatever is put afterwards is answered at once.
  Pykka empties a dead actor's inbox once; an ask that comes a moment later waits for ever.

There is no bound here: the facade refuses work by bytes, and looks at `Mailbox.depth` for it.
What an actor does with a batch is in `actor.py`.
"""

from __future__ import annotations

import queue
from threading import TIMEOUT_MAX
from typing import TYPE_CHECKING, Any, Final

from . import fork_guard
from .actor_errors import ForkedNotice

if TYPE_CHECKING:
    from collections.abc import Callable

    import pykka._envelope

    from .actor_errors import DeathNotice
    from .envelope import Envelope
    from .future import KhepriFuture

MAXIMUM_BATCH_LENGTH = 8192
"""As many envelopes as one `take` hands over at most (Ra's ``wal_max_batch_size``)."""

_WAKE_UP: Final = object()
"""Stays in the queue of a closed mailbox, so that its actor cannot fall asleep there."""


class Mailbox:
    """Envelopes on their way to one actor, in the order they were put.

    `put`, `depth` and `close` may be called from any thread; `take` and `get` from the actor's
    thread only.
    """

    # __weakref__ because the fork guard keeps weak references; slots because `put` is hot.
    __slots__ = ("__weakref__", "_closed", "_ended", "_notice", "_put", "_queue")

    def __init__(self) -> None:
        """Make an open, empty mailbox."""
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._put = self._queue.put
        self._closed = False
        self._ended = False
        self._notice: DeathNotice | None = None
        fork_guard.watch(self)

    def put(self, envelope: pykka._envelope.Envelope[Any], /) -> None:
        """Add an envelope; never blocks, never raises.

        In a closed mailbox an envelope that wants a reply gets the error of `close` at once, one
        that wants none is dropped.

        Costs 0.1 microseconds; the client's thread pays it.
        """
        self._put(envelope)
        # Looked at after the envelope is in: either we see that the mailbox is closed, or
        # whoever closes it sees our envelope. Nobody else would ever answer it.
        if self._closed:
            self._refuse_waiting()

    def take(
        self, timeout_seconds: float | None = None, limit: int = MAXIMUM_BATCH_LENGTH
    ) -> list[Envelope]:
        """Wait for the first envelope, then give all that wait, oldest first.

        Args:
            timeout_seconds: how long to wait for the first one; None waits until one comes.
            limit: how many to give at most.

        Returns:
            the envelopes; none if the time ran out first or the mailbox was closed.
        """
        try:
            if timeout_seconds is None:
                first = self._queue.get()
            else:
                # A queue refuses a negative timeout, and one of centuries.
                first = self._queue.get(timeout=min(max(timeout_seconds, 0.0), TIMEOUT_MAX))
        except queue.Empty:
            return []
        envelopes: list[Envelope] = [first]
        append = envelopes.append
        get = self._queue.get_nowait
        try:
            for _ in range(min(self._queue.qsize(), limit - 1)):
                append(get())
        except queue.Empty:
            # Only this thread takes, unless the mailbox was closed meanwhile.
            assert self._closed
        if self._closed:
            self._refuse(envelopes, self.notice.not_seen)
            return []
        return envelopes

    def get(self) -> Envelope:
        """Give the oldest envelope, wait for one if there is none (Pykka's inbox protocol)."""
        envelope: Envelope = self._queue.get()
        return envelope

    def empty(self) -> bool:
        """Tell whether nothing waits (Pykka's inbox protocol)."""
        return self._queue.empty()

    def depth(self) -> int:
        """Give the number of waiting envelopes; costs as much as reading an attribute."""
        return self._queue.qsize()

    @property
    def closed(self) -> bool:
        """Whether what is put now is refused."""
        return self._closed

    @property
    def ended(self) -> bool:
        """Whether the actor will not answer anything any more, not even what it has taken."""
        return self._ended

    def close(self, notice: DeathNotice) -> None:
        """Answer everything that waits, and from now on whatever is put.

        Safe to call twice and from any thread; the first notice counts.

        Args:
            notice: makes the errors.
        """
        self._notice = self._notice or notice
        self._closed = True
        self._refuse(self._drain(), notice.not_seen)
        self._queue.put(_WAKE_UP)

    def end(self) -> None:
        """State that the actor will not answer what it has taken either; closed before."""
        assert self._closed
        self._ended = True

    @property
    def notice(self) -> DeathNotice:
        """What is answered in the name of the dead actor; closed before."""
        assert self._notice is not None
        return self._notice

    def forget_parent_process(self) -> None:
        """Become the closed mailbox of an actor that a forked child does not have.

        Called in the child by the fork guard. Nothing of the parent's is answered here: callbacks
        of the parent's futures have no business in the child.
        """
        self._queue = queue.SimpleQueue()
        self._put = self._queue.put
        self._notice = ForkedNotice()
        self._closed = True
        self._ended = True

    def _refuse_waiting(self) -> None:
        self._refuse(self._drain(), self.notice.too_late)

    def _drain(self) -> list[Any]:
        # Several threads may drain at once; each envelope is given to one of them.
        envelopes: list[Any] = []
        try:
            while True:
                envelopes.append(self._queue.get_nowait())
        except queue.Empty:
            return envelopes

    def _refuse(self, envelopes: list[Any], make_error: Callable[[], BaseException]) -> None:
        for envelope in envelopes:
            if envelope is _WAKE_UP:
                self._queue.put(_WAKE_UP)
            else:
                fail(envelope.reply_to, make_error)


def fail(reply_to: KhepriFuture[Any] | None, make_error: Callable[[], BaseException]) -> None:
    """Resolve a future with an error, if there is one and it has no outcome yet.

    Args:
        reply_to: a future, or None.
        make_error: makes the error.
    """
    if reply_to is not None:
        reply_to.fail(make_error())
