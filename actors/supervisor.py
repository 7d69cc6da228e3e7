"""The supervisor: starts its children in order, notices their end, restarts or gives up.

OTP's meaning throughout: strategies, restart types, intensity and period, shutdown in reverse
order with a time limit. It departs from OTP where Python asks for it:

- A thread cannot be killed. A child that does not stop in time is abandoned and logged; everybody
  who waits for it is answered (`ActorReference.abandon`).
- A host may stop any actor (`pykka.ActorRegistry.stop_all`). That is an order: a child that was
  stopped from outside stays down, with what is tied to it, even if it is permanent. So does a
  child that `terminate_child` has stopped, whatever happens to its siblings.
- A supervisor never waits for a child. Starting and stopping are messages, so one store that
  recovers for a minute does not hold up the restart of another one. The one exception is its own
  end (`Supervisor.on_terminate`): then its mailbox is closed and everybody answered already, and
  it waits for its children one by one, each within its time limit.

Who is next is decided in `child_table.py`, what others ask for is noted there by
`child_requests.py`; this file carries it out.
"""

from __future__ import annotations

import logging
import math
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from khepri.errors import KhepriError

from . import supervision
from .actor import KhepriActor
from .actor_errors import (
    ActorStoppedError,
    ReplyTimeoutError,
    RestartIntensityExceededError,
    start_error,
)
from .child_requests import ChildRequests
from .child_spec import AutoShutdown, Restart
from .child_table import Child, ChildStatus, ChildTable
from .exit_reason import SHUTDOWN, Exit, ExitKind, crash
from .future import KhepriFuture
from .restart_intensity import RestartIntensity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .child_spec import ChildSpec, SupervisorFlags
    from .envelope import Envelope
    from .label import ActorLabel
    from .reference import ActorReference

_logger = logging.getLogger("khepri.actors.supervisor")


class Supervisor(KhepriActor):
    """Keeps its children running.

    `ActorReference.started` is resolved when all children are ready. If one of them fails to
    start, those before it are stopped and `started` has that child's error.
    """

    may_wait = True

    started_by_itself = True

    def __init__(
        self,
        label: ActorLabel,
        flags: SupervisorFlags,
        children: Sequence[ChildSpec],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make a supervisor; `start` makes it and starts its thread.

        Args:
            label: who it is.
            flags: strategy, intensity and period.
            children: those it starts with, in start order.
            clock: monotonic seconds, for the period and for time limits.
        """
        super().__init__(label, clock=clock)
        self._flags = flags
        self._intensity = RestartIntensity(flags.intensity, flags.period_seconds)
        self._table = ChildTable(flags.strategy)
        for spec in children:
            self._table.add(Child(spec))
        self._requests = ChildRequests(label, self._table)

    # --- the actor's hooks

    def on_start(self) -> None:
        """Start the first child; the others follow as it is ready."""
        self._reconcile()

    def on_batch(self, envelopes: Sequence[Envelope]) -> None:
        """Take note of what happened to the children, and do what is asked."""
        for envelope in envelopes:
            message = envelope.message
            if isinstance(message, supervision.ChildStarted):
                self._child_started(message.child, message.reference)
            elif isinstance(message, supervision.ChildDown):
                self._child_down(message.child, message.reference, message.reason)
            elif isinstance(message, supervision.Request):
                self._requests.answer(message, envelope.reply_to or KhepriFuture())
            else:
                super().on_batch([envelope])
            self._reconcile()

    def next_deadline(self) -> float | None:
        """Give the time at which the next stopping child is abandoned."""
        deadlines = [
            child.stop_deadline for child in self._table if child.stop_deadline is not None
        ]
        return min(deadlines, default=None)

    def on_deadline(self) -> None:
        """Abandon the children that did not stop in time."""
        now = self.clock()
        for child in self._table:
            if child.stop_deadline is not None and child.stop_deadline <= now:
                child.stop_deadline = None
                self._abandon(child)

    def on_terminate(self, reason: Exit) -> None:
        """Stop all children in reverse order, each within its time limit."""
        del reason
        for child in reversed(self._table):
            if child.reference is None:
                continue
            child.reference.stop(block=False)
            limit = child.spec.shutdown_seconds
            try:
                child.reference.down.get(timeout=None if math.isinf(limit) else limit)
            except ReplyTimeoutError:
                self._abandon(child)

    def owed_replies(self) -> Iterable[KhepriFuture[Any] | None]:
        """Give those who wait for a child to start or to stop."""
        for child in self._table:
            yield from child.waiting_for_start
            yield from child.waiting_for_stop

    # --- carrying out

    def _reconcile(self) -> None:
        """Stop and start what the table says can be stopped and started now."""
        if self._exit is not None:
            return  # `on_terminate` stops them all
        self._forget_what_is_over()
        for child in self._table.to_stop_now():
            assert child.reference is not None
            child.status = ChildStatus.STOPPING
            if not math.isinf(child.spec.shutdown_seconds):
                child.stop_deadline = self.clock() + child.spec.shutdown_seconds
            child.reference.stop(block=False)
        while self._exit is None and (children := self._table.to_start_now()):
            for child in children:
                self._start(child)
            self._forget_what_is_over()
        if self._exit is None and self._table.is_initial and self._table.all_wanted_are_running():
            self._table.is_initial = False
            self.confirm_started()

    def _forget_what_is_over(self) -> None:
        """Answer who waits in vain for a start, and drop the children that are not kept.

        Not kept are temporary children, and those whose first start by `start_child` failed.
        """
        for child in self._table:
            if child.status is ChildStatus.STOPPED and not child.wanted:
                child.fail_start(_stopped_while_starting(child))
                if child.is_new or child.spec.restart is Restart.TEMPORARY:
                    self._table.remove(child)

    def _start(self, child: Child) -> None:
        try:
            reference = child.spec.start(self._table.running())
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is this child's failure
            self._start_failed(child, error)
            return
        child.status = ChildStatus.STARTING
        child.reference = reference
        reference.started.add_done_callback(partial(self._tell_started, child, reference))
        reference.down.add_done_callback(partial(self._tell_down, child, reference))

    # These two run in the child's thread.

    def _tell_started(
        self, child: Child, reference: ActorReference, started: KhepriFuture[None]
    ) -> None:
        if started.failure is None:
            self.reference.cast(supervision.ChildStarted(child, reference))

    def _tell_down(
        self, child: Child, reference: ActorReference, down: KhepriFuture[Exit]
    ) -> None:
        self.reference.cast(supervision.ChildDown(child, reference, down.get()))

    def _abandon(self, child: Child) -> None:
        assert child.reference is not None
        self._log(
            logging.ERROR,
            child,
            "did not stop in %g s and is left behind",
            child.spec.shutdown_seconds,
        )
        child.reference.abandon()

    # --- what happened to a child

    def _child_started(self, child: Child, reference: ActorReference) -> None:
        if child.reference is not reference or child.status is not ChildStatus.STARTING:
            return  # it has been told to stop meanwhile
        child.status = ChildStatus.RUNNING
        child.is_new = False
        child.answer_start(reference)

    def _child_down(self, child: Child, reference: ActorReference, reason: Exit) -> None:
        if child.reference is not reference:
            return
        was_starting = child.status is ChildStatus.STARTING
        was_doomed = child.doomed
        child.status = ChildStatus.STOPPED
        child.reference = None
        child.doomed = False
        child.stop_deadline = None
        if was_doomed:
            self._stopped_as_ordered(child, reason)
        elif was_starting and reason.kind is not ExitKind.SHUTDOWN:
            self._start_failed(child, reason.error or _stopped_while_starting(child))
        else:
            self._ended_by_itself(child, reason)

    def _stopped_as_ordered(self, child: Child, reason: Exit) -> None:
        if reason.kind is ExitKind.CRASHED:
            self._log(logging.ERROR, child, "ended badly when it was stopped (%s)", reason)
        child.answer_stop()

    def _start_failed(self, child: Child, error: BaseException) -> None:
        if child.waiting_for_start:
            # Somebody asked for this start: it is their failure, not one to repair.
            child.fail_start(start_error(error) or error)
            child.wanted = False
        elif self._table.is_initial:
            # What has a name of ours is for who started us, who is told.
            level = logging.DEBUG if isinstance(error, KhepriError) else logging.ERROR
            self._log(level, child, "failed to start (%r)", error)
            self.exit_now(crash(error))
        else:
            self._restart(child, crash(error))

    def _ended_by_itself(self, child: Child, reason: Exit) -> None:
        is_temporary = child.spec.restart is Restart.TEMPORARY
        is_transient = child.spec.restart is Restart.TRANSIENT
        stopped_by_host = reason.kind is ExitKind.SHUTDOWN
        if not (
            is_temporary
            or stopped_by_host
            or (is_transient and reason.kind is not ExitKind.CRASHED)
        ):
            self._restart(child, reason)
            return
        child.wanted = False
        if stopped_by_host and not is_temporary:
            # What is tied to it cannot go on without it.
            self._table.doom_tied(child, restart=False)
        if stopped_by_host and self._table.is_initial:
            self.exit_now(SHUTDOWN)
        self._log(logging.INFO, child, "has ended (%s) and stays down", reason)
        if child.spec.significant and self._flags.auto_shutdown is AutoShutdown.ANY_SIGNIFICANT:
            self.exit_now(SHUTDOWN)

    def _restart(self, child: Child, reason: Exit) -> None:
        if self._intensity.allows_restart(self.clock()):
            self._log(
                logging.WARNING, child, "has ended (%s); restart %s", reason, self._intensity
            )
            self._table.doom_tied(child, restart=True)
            return
        self._log(logging.ERROR, child, "has ended (%s); giving up, too many restarts", reason)
        error = RestartIntensityExceededError(
            f"{self.label}: child {child.spec.id} ended too often, last {reason}",
            supervisor=str(self.label),
            child_id=child.spec.id,
            reason=reason,
        )
        error.__cause__ = reason.error
        self.exit_now(Exit(ExitKind.GAVE_UP, error))

    def _log(self, level: int, child: Child, what: str, *values: object) -> None:
        _logger.log(
            level,
            "%s: child %s %s",
            self.label,
            child.spec.id,
            what % values,
            extra={
                "store_id": self.label.store_id,
                "node": self.label.node,
                "child": child.spec.id,
            },
        )


def _stopped_while_starting(child: Child) -> BaseException:
    return ActorStoppedError(
        f"child {child.spec.id} was stopped before it was ready",
        actor=child.spec.id,
        store_id=None,
        reason=SHUTDOWN,
        outcome="unknown",
    )
