"""What a supervisor knows of its children, and which step comes next. No threads, no messages.

A supervisor does not walk through a restart and wait in between, it *reconciles*: every child
has a state and two wishes (`Child.wanted`, `Child.doomed`), and after whatever happens
`ChildTable` says which children may be stopped or started now. So nothing that happens in the
middle of a restart, such as the next crash, needs a case of its own.

The order is OTP's: children start in the order of their specifications, one when the one before
it is ready, and stop in reverse. Only under one_for_one, where children do not depend on each
other, are restarts and stops independent.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .child_spec import ChildKind, Restart, Strategy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .child_spec import ChildSpec, Siblings
    from .future import KhepriFuture
    from .reference import ActorReference


class ChildStatus(enum.Enum):
    """Where a child is in its life."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"


@dataclass(slots=True, eq=False)
class Child:
    """One child; the supervisor's thread only."""

    spec: ChildSpec

    status: ChildStatus = ChildStatus.STOPPED

    reference: ActorReference | None = None
    """The actor; there is one exactly if the status is not STOPPED."""

    wanted: bool = True
    """Whether it shall run."""

    doomed: bool = False
    """Whether it must be stopped before anything is started; false once it is STOPPED."""

    is_new: bool = False
    """Whether it was added by `start_child` and has not been ready yet."""

    stop_deadline: float | None = None
    """When it is abandoned if it is STOPPING."""

    waiting_for_start: list[KhepriFuture[Any]] = field(default_factory=list)
    waiting_for_stop: list[KhepriFuture[Any]] = field(default_factory=list)

    def answer_start(self, reference: ActorReference) -> None:
        """Tell those who asked for the start that it succeeded."""
        for future in self.waiting_for_start:
            future.resolve(reference)
        self.waiting_for_start.clear()

    def fail_start(self, error: BaseException) -> None:
        """Tell those who asked for the start that it failed."""
        for future in self.waiting_for_start:
            future.fail(error)
        self.waiting_for_start.clear()

    def answer_stop(self) -> None:
        """Tell those who asked for the stop that the child is gone."""
        for future in self.waiting_for_stop:
            future.resolve(None)
        self.waiting_for_stop.clear()


@dataclass(frozen=True, slots=True)
class ChildInfo:
    """What `which_children` tells of a child."""

    id: str
    status: ChildStatus
    reference: ActorReference | None
    kind: ChildKind
    restart: Restart


@dataclass(frozen=True, slots=True)
class ChildCounts:
    """What `count_children` tells."""

    specs: int
    active: int
    supervisors: int
    workers: int


class ChildTable:
    """The children of one supervisor in the order they are started."""

    def __init__(self, strategy: Strategy) -> None:
        """Make an empty table."""
        self._strategy = strategy
        self._children: list[Child] = []
        self.is_initial = True
        """Whether the first start of all children is under way: then also one_for_one starts one
        after the other."""

    def __iter__(self) -> Iterator[Child]:
        """Give the children in start order; the table may change meanwhile."""
        return iter(tuple(self._children))

    def __reversed__(self) -> Iterator[Child]:
        """Give the children in stop order."""
        return reversed(tuple(self._children))

    def add(self, child: Child) -> None:
        """Add a child as the last one."""
        assert self.find(child.spec.id) is None
        self._children.append(child)

    def remove(self, child: Child) -> None:
        """Forget a child that is not there any more."""
        assert child.status is ChildStatus.STOPPED
        self._children.remove(child)

    def find(self, child_id: str) -> Child | None:
        """Give the child of that id, if there is one."""
        return next((child for child in self._children if child.spec.id == child_id), None)

    def running(self) -> Siblings:
        """Give the actors that are ready, by child id."""
        return {
            child.spec.id: child.reference
            for child in self._children
            if child.status is ChildStatus.RUNNING and child.reference is not None
        }

    def which(self) -> tuple[ChildInfo, ...]:
        """List the children in start order."""
        return tuple(
            ChildInfo(c.spec.id, c.status, c.reference, c.spec.kind, c.spec.restart)
            for c in self._children
        )

    def count(self) -> ChildCounts:
        """Count the children by kind, and those that are there."""
        supervisors = sum(c.spec.kind is ChildKind.SUPERVISOR for c in self._children)
        return ChildCounts(
            specs=len(self._children),
            active=sum(c.reference is not None for c in self._children),
            supervisors=supervisors,
            workers=len(self._children) - supervisors,
        )

    def tied_to(self, child: Child) -> list[Child]:
        """Give the other children that cannot go on without this one."""
        if self._strategy is Strategy.ONE_FOR_ONE:
            return []
        if self._strategy is Strategy.ONE_FOR_ALL:
            return [other for other in self._children if other is not child]
        return self._children[self._children.index(child) + 1 :]

    def doom_tied(self, child: Child, *, restart: bool) -> None:
        """Have all that is tied to `child` stopped, and started again if `restart`.

        A temporary child is never started again, whatever its siblings do.
        """
        for other in self.tied_to(child):
            other.doomed = other.status is not ChildStatus.STOPPED
            if not restart or other.spec.restart is Restart.TEMPORARY:
                other.wanted = False

    def to_stop_now(self) -> list[Child]:
        """Give the children that are to be told to stop, now."""
        doomed = [child for child in self._children if child.doomed]
        if self._strategy is not Strategy.ONE_FOR_ONE:
            doomed = doomed[-1:]  # the next one when this one is gone
        return [child for child in doomed if child.status is not ChildStatus.STOPPING]

    def to_start_now(self) -> list[Child]:
        """Give the children that are to be started, now."""
        startable = [
            child
            for child in self._children
            if child.wanted and child.status is ChildStatus.STOPPED
        ]
        if self._strategy is Strategy.ONE_FOR_ONE and not self.is_initial:
            return startable
        is_busy = any(
            child.doomed or child.status is ChildStatus.STARTING for child in self._children
        )
        return [] if is_busy else startable[:1]

    def all_wanted_are_running(self) -> bool:
        """Tell whether there is nothing left to start or to wait for."""
        return all(child.status is ChildStatus.RUNNING for child in self._children if child.wanted)
