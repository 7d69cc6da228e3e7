"""What a supervisor is asked, answered from its table of children or noted there.

Nothing is started or stopped here: a wish changes what the table wants, and the supervisor goes
by that. What can be asked is in `supervision.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

from . import supervision
from .actor_errors import ChildExistsError, ChildIsRunningError, NoSuchChildError
from .child_table import Child, ChildStatus

if TYPE_CHECKING:
    from .child_spec import ChildSpec
    from .child_table import ChildTable
    from .future import KhepriFuture
    from .label import ActorLabel


class ChildRequests:
    """Answers for one supervisor, in its thread."""

    def __init__(self, label: ActorLabel, table: ChildTable) -> None:
        """Answer for the supervisor of this label from its table."""
        self._label = label
        self._table = table

    def answer(self, request: supervision.Request, future: KhepriFuture[Any]) -> None:
        """Do what is asked as far as the table goes.

        Args:
            request: the question, or the wish.
            future: has the answer at once, or, if a child must start or stop for it, when that is
                done.
        """
        match request:
            case supervision.WhichChildren():
                future.set(self._table.which())
            case supervision.CountChildren():
                future.set(self._table.count())
            case supervision.StartChild(spec):
                self._start_child(spec, future)
            case supervision.TerminateChild(child_id):
                self._terminate_child(child_id, future)
            case supervision.RestartChild(child_id):
                self._restart_child(child_id, future)
            case supervision.DeleteChild(child_id):
                self._delete_child(child_id, future)
            case _:
                assert_never(request)

    def _start_child(self, spec: ChildSpec, future: KhepriFuture[Any]) -> None:
        child = self._table.find(spec.id)
        if child is None:
            self._table.add(Child(spec, is_new=True, waiting_for_start=[future]))
        else:
            future.fail(
                ChildExistsError(
                    f"{self._label} has a child {spec.id} ({child.status.value})",
                    child_id=spec.id,
                    reference=child.reference,
                ),
            )

    def _terminate_child(self, child_id: str, future: KhepriFuture[Any]) -> None:
        child = self._find(child_id, future)
        if child is None:
            return
        child.wanted = False
        if child.status is ChildStatus.STOPPED:
            future.set(None)
        else:
            child.doomed = True
            child.waiting_for_stop.append(future)

    def _restart_child(self, child_id: str, future: KhepriFuture[Any]) -> None:
        child = self._find_stopped(child_id, future)
        if child is not None:
            child.wanted = True
            child.waiting_for_start.append(future)

    def _delete_child(self, child_id: str, future: KhepriFuture[Any]) -> None:
        child = self._find_stopped(child_id, future)
        if child is not None:
            self._table.remove(child)
            future.set(None)

    def _find(self, child_id: str, future: KhepriFuture[Any]) -> Child | None:
        child = self._table.find(child_id)
        if child is None:
            future.fail(
                NoSuchChildError(f"{self._label} has no child {child_id}", child_id=child_id),
            )
        return child

    def _find_stopped(self, child_id: str, future: KhepriFuture[Any]) -> Child | None:
        child = self._find(child_id, future)
        if child is None or (child.status is ChildStatus.STOPPED and not child.wanted):
            return child
        future.fail(
            ChildIsRunningError(
                f"child {child_id} of {self._label} is not stopped", child_id=child_id
            ),
        )
        return None
