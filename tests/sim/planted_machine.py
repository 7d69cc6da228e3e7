"""Bugs planted in the machine: sessions, operations, snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from khepri.machine import commands, sessions
from khepri.machine.machine import Machine
from khepri.machine.operations import OPERATIONS
from khepri.machine.sessions import GroupResult, GroupStatus, SessionTable
from tests.sim.planting import Planted, planted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MACHINE_BUGS: list[Planted] = []
_plant = planted(MACHINE_BUGS)


@_plant("the session table is lost in a snapshot", SessionTable, "to_plain")
def _to_plain(self: Any) -> list[Any]:
    del self
    return []


@_plant("a snapshot forgets how far a session came", SessionTable, "load_plain")
def _load_plain(self: Any, plain: list[list[Any]]) -> None:
    _table_load_plain(self, [[line[0], 0, 1, line[3], []] for line in plain])


_table_load_plain = SessionTable.load_plain


@_plant("a snapshot forgets the replies that are owed", sessions, "_unacknowledged")
def _unacknowledged(session: Any) -> list[Any]:
    return [None] * len(_owed(session))


_owed = sessions._unacknowledged


@_plant("commands that come twice are applied twice", SessionTable, "apply")
def _apply_always(  # noqa: PLR0917 - as in the product
    self: Any,
    session_id: int,
    first: int,
    acknowledged_below: int,
    encoded: Sequence[bytes],
    execute: Callable[[Sequence[bytes]], list[Any]],
    now_milliseconds: int,
) -> GroupResult:
    del acknowledged_below
    session = self.sessions.get(session_id)
    if session is None:
        return GroupResult(session_id, first, (), GroupStatus.SESSION_EXPIRED)
    session.last_active_milliseconds = now_milliseconds
    session.last_sequence = first + len(encoded) - 1
    return GroupResult(session_id, first, execute(encoded), GroupStatus.APPLIED)


@_plant("groups with a gap are applied", SessionTable, "apply")
def _apply_over_gaps(  # noqa: PLR0917 - as in the product
    self: Any,
    session_id: int,
    first: int,
    acknowledged_below: int,
    encoded: Sequence[bytes],
    execute: Callable[[Sequence[bytes]], list[Any]],
    now_milliseconds: int,
) -> GroupResult:
    session = self.sessions.get(session_id)
    if session is not None and first > session.last_sequence + 1:
        session.acknowledged_below = first
        session.last_sequence = first - 1
        session.replies.clear()
    return _table_apply(
        self, session_id, first, acknowledged_below, encoded, execute, now_milliseconds
    )


_table_apply = SessionTable.apply


@_plant("a failed batch leaves half of itself", Machine, "_go_back")
def _go_back(self: Any, state: Any, change_count: int) -> None:
    del self, state, change_count


@_plant("a create overwrites what is there", OPERATIONS, "")
def _create() -> dict[int, Any]:
    return {commands.CREATE: OPERATIONS[commands.UPDATE]}


@_plant("sessions never expire", SessionTable, "expire")
def _expire(self: Any, now_milliseconds: int) -> list[int]:
    del self, now_milliseconds
    return []


@_plant("session ids begin anew with every machine", Machine, "_open_sessions")
def _open_sessions(self: Any, index: int, opened: int, encoded: Sequence[bytes]) -> list[Any]:
    del index
    return list(_machine_open_sessions(self, 1 + len(self._sessions.sessions), opened, encoded))


_machine_open_sessions = Machine._open_sessions
