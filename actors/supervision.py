"""What may be asked of a supervisor: OTP's functions, as futures.

A client thread waits with ``start_child(supervisor, spec).get(timeout=5)``; an actor, which must
not wait, uses `KhepriFuture.add_done_callback`. Answered by `supervisor.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .child_spec import ChildSpec
    from .child_table import Child, ChildCounts, ChildInfo
    from .exit_reason import Exit
    from .future import KhepriFuture
    from .reference import ActorReference


@dataclass(frozen=True, slots=True)
class StartChild:
    """Add a child and start it; the reply is its reference, once it is ready."""

    spec: ChildSpec


@dataclass(frozen=True, slots=True)
class TerminateChild:
    """Stop a child and leave it stopped; the reply comes when it has ended."""

    child_id: str


@dataclass(frozen=True, slots=True)
class RestartChild:
    """Start a stopped child again; the reply is its reference, once it is ready."""

    child_id: str


@dataclass(frozen=True, slots=True)
class DeleteChild:
    """Forget a stopped child."""

    child_id: str


@dataclass(frozen=True, slots=True)
class WhichChildren:
    """List the children."""


@dataclass(frozen=True, slots=True)
class CountChildren:
    """Count the children."""


Request = StartChild | TerminateChild | RestartChild | DeleteChild | WhichChildren | CountChildren


@dataclass(frozen=True, slots=True)
class ChildStarted:
    """A child is ready; sent by the child's thread."""

    child: Child
    reference: ActorReference


@dataclass(frozen=True, slots=True)
class ChildDown:
    """A child has ended; sent by the child's thread."""

    child: Child
    reference: ActorReference
    reason: Exit


def start_child(supervisor: ActorReference, spec: ChildSpec) -> KhepriFuture[ActorReference]:
    """Add a child as the last one and start it.

    The future has the child's reference when the child is ready. If the start fails, the future
    has the child's own error and the supervisor forgets the child.

    Raises:
        ChildExistsError: (from the future) there is a child of that id.
    """
    return supervisor.request(StartChild(spec))


def terminate_child(supervisor: ActorReference, child_id: str) -> KhepriFuture[None]:
    """Stop a child; resolved when it has ended or was abandoned.

    It stays known and stopped, whatever happens to its siblings, until `restart_child` or
    `delete_child`. A temporary child is forgotten.

    Raises:
        NoSuchChildError: (from the future) there is no child of that id.
    """
    return supervisor.request(TerminateChild(child_id))


def restart_child(supervisor: ActorReference, child_id: str) -> KhepriFuture[ActorReference]:
    """Start a stopped child again.

    Raises:
        NoSuchChildError: (from the future) there is no child of that id.
        ChildIsRunningError: (from the future) it is not stopped.
    """
    return supervisor.request(RestartChild(child_id))


def delete_child(supervisor: ActorReference, child_id: str) -> KhepriFuture[None]:
    """Forget a stopped child.

    Raises:
        NoSuchChildError: (from the future) there is no child of that id.
        ChildIsRunningError: (from the future) it is not stopped.
    """
    return supervisor.request(DeleteChild(child_id))


def which_children(supervisor: ActorReference) -> KhepriFuture[tuple[ChildInfo, ...]]:
    """List the children in start order."""
    return supervisor.request(WhichChildren())


def count_children(supervisor: ActorReference) -> KhepriFuture[ChildCounts]:
    """Count the children."""
    return supervisor.request(CountChildren())
