"""The base of all khepri actors: the loop, the life and the death of one.

An actor is a thread that takes batches out of its mailbox (`mailbox.py`) and handles them with
`KhepriActor.on_batch`. What is decided here is only what all actors share:

- `on_start` runs in the actor's thread; `ActorReference.started` tells how it went.
- Any exception that leaves a hook, be it for an ask, a tell or a deadline, is a crash: the actor
  ends, everything that waits for it is answered, and `ActorReference.down` tells why. Pykka lets
  an actor live on, half changed, when handling an ask raises. *Expected* failures are answers:
  `envelope.reply_to.fail(error)`.
- An actor ends in one way, whoever caused it: close the mailbox, `on_terminate`, answer what is
  still owed, resolve `down`.

What a caller holds is in `reference.py`; who restarts a dead actor is in `supervisor.py`.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pykka
from pykka.messages import _ActorStop

from .actor_errors import StoppedNotice, without_frames
from .envelope import Envelope
from .exit_reason import NORMAL, SHUTDOWN, Exit, ExitKind, crash
from .future import KhepriFuture, resolve_all
from .mailbox import Mailbox, fail
from .own_threads import threads_that_serve, threads_that_start
from .reference import ActorReference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .label import ActorLabel

_logger = logging.getLogger("khepri.actors")


def _log_exception(text: str, label: ActorLabel, error: BaseException) -> None:
    """Log what an actor raised; a handler of logs that raises must not end its ending."""
    with suppress(BaseException):
        _logger.error(text, label, exc_info=error)


class _StopSelf:
    """The message by which an actor ends itself."""


class KhepriActor(pykka.ThreadingActor):
    """An actor with a batching mailbox, timers without threads, and a death that is noticed.

    `__init__` runs in the starter's thread: keep the arguments there and open files, sockets and
    the like in `on_start`. All hooks run in the actor's thread, one at a time.
    """

    use_daemon_thread = True
    """No actor keeps the interpreter alive (Pykka's default is the opposite)."""

    may_wait = False
    """Whether its thread may wait for others while it runs; if not, nothing in it may."""

    started_by_itself = False
    """Whether the actor calls `confirm_started` itself, some time after `on_start`."""

    def __init__(self, label: ActorLabel, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Make the actor; `start` makes it and starts its thread.

        Args:
            label: who it is, for logs, thread names and errors.
            clock: monotonic seconds, for deadlines.
        """
        super().__init__()
        self.label = label
        self.clock = clock
        self._exit: Exit | None = None
        # Of the batch in hand: what a hook has seen, and what came after a stop.
        self._taken: Sequence[Envelope] = ()
        self._unseen: Sequence[Envelope] = ()
        assert isinstance(self.actor_inbox, Mailbox)
        self.mailbox = self.actor_inbox
        self.reference: ActorReference = ActorReference(self)
        self._actor_ref = self.reference  # in place of the one Pykka has made

    def __str__(self) -> str:
        """Give the label."""
        return str(self.label)

    @classmethod
    def start(cls, *args: object, **kwargs: object) -> ActorReference:
        """Make the actor and start its thread; wait on `ActorReference.started` for it.

        Args:
            args: for `__init__`.
            kwargs: for `__init__`.
        """
        reference = super().start(*args, **kwargs)
        assert isinstance(reference, ActorReference)
        return reference

    # --- hooks for subclasses

    def on_batch(self, envelopes: Sequence[Envelope]) -> None:
        """Handle all messages that were waiting, oldest first.

        By default each goes to `on_receive`, and what that returns is the reply. Override it to
        handle a batch as a whole, or to reply later: an envelope's ``reply_to`` is a future
        (`KhepriFuture.resolve`, `KhepriFuture.fail`, `resolve_all`) or None, and may be resolved
        at any time by any thread; name those still open in `owed_replies`.
        """
        replies: list[tuple[KhepriFuture[Any], object]] = []
        try:
            for envelope in envelopes:
                reply = self._handle_receive(envelope.message)
                if envelope.reply_to is not None:
                    replies.append((envelope.reply_to, reply))
        finally:
            resolve_all(replies)

    def next_deadline(self) -> float | None:
        """Give the time on `clock` when `on_deadline` is due; None if nothing is planned.

        Asked after every batch, so it must be quick.
        """
        return None

    def lend(self, envelope: Envelope) -> bool:
        """Handle a message in the thread that brings it, or refuse; this actor lends no turn.

        `lending.LendingActor` does. Any thread may call it.
        """
        del envelope
        return False

    def stand_in(self) -> bool:
        """Take a turn, if the own thread has gone away in the middle of one; this actor's has not.

        `lending.LendingActor`'s may have. Any thread may call it.
        """
        return False

    def on_deadline(self) -> None:
        """Do what is due; called when the clock has reached `next_deadline`."""

    def owed_replies(self) -> Iterable[KhepriFuture[Any] | None]:
        """Give the futures that the actor has taken and not resolved yet.

        Those of the batch in hand are known already. Asked once, at the actor's end; each gets an
        `ActorStoppedError`.
        """
        return ()

    def on_terminate(self, reason: Exit) -> None:
        """Put things away: the last hook, called however the actor ends.

        Not called when `on_start` raised. The mailbox is closed already. By default Pykka's
        `on_stop` or `on_failure` is called.
        """
        if reason.kind is ExitKind.CRASHED and reason.error is not None:
            self.on_failure(type(reason.error), reason.error, reason.error.__traceback__)
        else:
            self.on_stop()

    # --- for subclasses to call, in the actor's thread

    def stop(self) -> None:
        """End this actor normally after what is in its mailbox now."""
        self.mailbox.put(Envelope(_StopSelf()))

    def exit_now(self, reason: Exit) -> None:
        """End this actor when the current hook returns."""
        self._exit = self._exit or reason

    def confirm_started(self) -> None:
        """Tell whoever waits for the start that it succeeded."""
        self.reference.started.resolve(None)

    # --- life

    @staticmethod
    def _create_actor_inbox() -> Mailbox:
        return Mailbox()

    @staticmethod
    def _create_future() -> KhepriFuture[Any]:
        return KhepriFuture()

    def _start_actor_loop(self) -> None:
        thread = threading.Thread(
            target=self._actor_loop, name=f"khepri-{self.label}", daemon=self.use_daemon_thread
        )
        try:
            thread.start()
        except RuntimeError as error:
            # No thread to be had. Pykka has registered the actor: nobody may wait for it.
            self._end(crash(error), has_begun=False)
            raise

    def _actor_loop(self) -> None:
        thread = threading.get_ident()
        threads_that_start.add(thread)
        reason = self._begin()
        threads_that_start.discard(thread)
        has_begun = reason is None
        if reason is None:
            if not self.may_wait:
                threads_that_serve.add(thread)
            reason = self._run()
            threads_that_serve.discard(thread)
        self._end(reason, has_begun=has_begun)

    def _begin(self) -> Exit | None:
        try:
            self.on_start()
        except BaseException as error:  # noqa: BLE001 - SystemExit is a crash like any other
            return crash(error)
        if not self.started_by_itself:
            self.confirm_started()
        return None

    def _run(self) -> Exit:
        try:
            # A closed mailbox: the supervisor has given this actor up while it was stuck.
            deadline = self.next_deadline()
            while self._exit is None and not self.mailbox.closed:
                deadline = self._turn(deadline)
        except BaseException as error:  # noqa: BLE001 - logged below
            _log_exception("%s crashed", self.label, error)
            return crash(error)
        return self._exit or SHUTDOWN

    def _turn(self, deadline: float | None) -> float | None:
        """Take one batch, or wait for the deadline; then do what is due. Give the next one."""
        if deadline is None:
            return self._finish_turn(self.mailbox.take())
        return self._finish_turn(self.mailbox.take(deadline - self.clock()))

    def _finish_turn(self, envelopes: list[Envelope]) -> float | None:
        if envelopes:
            self._handle(envelopes)
        deadline = self.next_deadline()  # what was handled may have moved it
        if self._exit is None and deadline is not None and self.clock() >= deadline:
            self.on_deadline()
            deadline = self.next_deadline()
        return deadline

    def _handle(self, envelopes: list[Envelope]) -> None:
        for position, envelope in enumerate(envelopes):
            kind = envelope.message.__class__
            if kind is _ActorStop or kind is _StopSelf:
                self._exit = SHUTDOWN if kind is _ActorStop else NORMAL
                self._unseen = envelopes[position + 1 :]
                del envelopes[position:]
                break
        self._taken = envelopes
        if envelopes:
            self.on_batch(envelopes)
        self._taken = ()

    # --- death

    def _end(self, reason: Exit, *, has_begun: bool) -> None:
        notice = StoppedNotice(self.label, reason)
        self.actor_stopped.set()
        pykka.ActorRegistry.unregister(self.reference)
        self.mailbox.close(notice)
        for envelope in self._unseen:
            fail(envelope.reply_to, notice.not_seen)
        if has_begun:
            reason = self._terminate(reason)
            without_frames(reason.error)  # logged where it was caught
        for reply_to in (*(envelope.reply_to for envelope in self._taken), *self._owed()):
            fail(reply_to, notice.unanswered)
        self.reference.lay_to_rest(reason, notice)

    def _terminate(self, reason: Exit) -> Exit:
        try:
            self.on_terminate(reason)
        except BaseException as error:  # noqa: BLE001 - logged here
            _log_exception("%s raised while it ended", self.label, error)
            return crash(error) if reason.error is None else reason
        return reason

    def _owed(self) -> Sequence[KhepriFuture[Any] | None]:
        try:
            return tuple(self.owed_replies())
        except BaseException as error:  # noqa: BLE001 - logged here
            _log_exception("%s cannot tell what it has not answered", self.label, error)
            return ()
