"""An actor whose turns are lent: whoever brings a message may handle it, while the actor sleeps.

What arrives from another node is brought by the transport's thread. To wake the server's thread
for it costs 25 to 40 microseconds where the processors are idle, twice per put of three members;
a thread that is awake already need not wait for that.

One thread at a time has the turn, so to the actor it is as if all were its own thread: nothing of
it runs twice at once, each turn sees all that was done before. A turn is lent

- only while the actor says that it will be brief (`is_lending`),
- only while its own thread sleeps and nothing waits in its mailbox; otherwise the message goes
  there, and into the next batch,
- never before `on_start` has returned, nor after the last turn.

The own thread may also go *away* in the middle of a turn, to wait for a disk: as if the turn were
over and another began when it comes back. Meanwhile whoever brings a message takes what waits in
the mailbox as well, and somebody may stand in, so that what is due is done (`stand_in.py`).

What goes wrong in a lent turn ends the actor in its own thread, as if it had happened there.
"""

from __future__ import annotations

import time
from _thread import allocate_lock, get_ident
from contextlib import contextmanager
from math import inf
from typing import TYPE_CHECKING

from .actor import KhepriActor
from .envelope import Envelope
from .own_threads import threads_that_serve

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from .label import ActorLabel


class _LookUp:
    """A message for the own thread of an actor: a lent turn has changed what it is to do."""


class LendingActor(KhepriActor):
    """Lends its turns."""

    def __init__(self, label: ActorLabel, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Make the actor.

        Args:
            label: who it is.
            clock: monotonic seconds, for deadlines.
        """
        super().__init__(label, clock=clock)
        self.is_lending = False
        """Whether the next turn may be lent, if it has one message; set by the actor's turns."""
        self._turn_lock = allocate_lock()
        self._sleeps_until = -inf  # not at all
        self._failure: BaseException | None = None  # of a lent turn
        self._is_called = False  # a `_LookUp` was sent
        self._is_away = False
        self._in_own_turn = 0  # the own thread, while it has a turn

    @property
    def has_own_turn(self) -> bool:
        """Whether the thread that asks is the actor's own, in one of its turns."""
        return get_ident() == self._in_own_turn

    def lend(self, envelope: Envelope) -> bool:
        """Handle a message in this thread, if that is possible at once. Any thread.

        Args:
            envelope: the message. Nobody waits for its reply.

        Returns:
            whether it was handled; if not, it belongs into the mailbox.
        """
        is_asleep = self.is_lending and self._sleeps_until != -inf and not self.mailbox.depth()
        if not (is_asleep or self._is_away) or not self._turn_lock.acquire(blocking=False):
            return False
        try:
            # Once more, now that nobody else has the turn. The own thread takes it for its last
            # turn as for any other, so afterwards it neither sleeps nor is away.
            if self._may_be_stood_in_for():
                self._take_lent_turn([*self._what_waits(), envelope])
            elif self.is_lending and self._sleeps_until != -inf and self._exit is None:
                self._take_lent_turn([envelope])
            else:
                return False
        finally:
            self._turn_lock.release()
        return True

    def stand_in(self) -> bool:
        """Do what waits and what is due, if the own thread is away; tell whether it is.

        Not for an actor that was given up, though its thread may be away for long: it has a
        successor by now.
        """
        if not self._may_be_stood_in_for():
            return False
        if self._turn_lock.acquire(blocking=False):
            try:
                if self._may_be_stood_in_for():
                    self._take_lent_turn(self._what_waits())
            finally:
                self._turn_lock.release()
        return True

    def _may_be_stood_in_for(self) -> bool:
        return (
            self._is_away
            and not self.mailbox.closed
            and self._exit is None
            and self._failure is None
        )

    @contextmanager
    def away(self) -> Generator[None]:
        """Let others take turns while the own thread, in one of its turns, waits for a disk.

        To be followed by `raise_failure`.
        """
        self._is_away = True
        self._turn_lock.release()
        try:
            yield
        finally:
            self._turn_lock.acquire()
            self._is_away = False

    def raise_failure(self) -> None:
        """Crash with what went wrong in a lent turn, if anything did; in the own thread."""
        if self._failure is not None:
            raise self._failure

    @contextmanager
    def back(self) -> Generator[bool]:
        """Interrupt an absence, if nobody has the turn at the moment; gives whether it is so."""
        is_back = self._turn_lock.acquire(blocking=False)
        try:
            yield is_back
        finally:
            if is_back:
                self._turn_lock.release()

    def _what_waits(self) -> list[Envelope]:
        if not self.mailbox.depth():
            return []
        envelopes = self.mailbox.take(0.0)
        return self._without_call(envelopes) if self._is_called else envelopes

    def _take_lent_turn(self, envelopes: list[Envelope]) -> None:
        thread = get_ident()
        is_guest = thread not in threads_that_serve
        threads_that_serve.add(thread)
        try:
            if self._is_away:  # nobody else does what is due
                self._finish_turn(envelopes)
            else:
                self._handle(envelopes)
                deadline = self.next_deadline()
                if self._exit is not None or (
                    deadline is not None and deadline < self._sleeps_until
                ):
                    self._call()
        except BaseException as error:  # noqa: BLE001 - the own thread crashes with it
            self._failure = error
            self.is_lending = False
            self._call()
        finally:
            if is_guest:
                threads_that_serve.discard(thread)

    def _call(self) -> None:
        if not self._is_called:
            self._is_called = True
            self.mailbox.put(Envelope(_LookUp()))

    def _turn(self, deadline: float | None) -> float | None:
        self._sleeps_until = inf if deadline is None else deadline
        envelopes = self.mailbox.take(None if deadline is None else deadline - self.clock())
        self._sleeps_until = -inf
        with self._turn_lock:
            if self._failure is not None:
                self._unseen = [*self._unseen, *envelopes]
                raise self._failure
            if self._is_called:
                envelopes = self._without_call(envelopes)
            self._in_own_turn = get_ident()
            try:
                return self._finish_turn(envelopes)
            finally:
                self._in_own_turn = 0

    def _without_call(self, envelopes: list[Envelope]) -> list[Envelope]:
        """Take out the `_LookUp`, if it is among them: it may be behind what was taken."""
        messages = [it for it in envelopes if it.message.__class__ is not _LookUp]
        if len(messages) < len(envelopes):
            self._is_called = False
        return messages
