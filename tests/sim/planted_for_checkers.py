"""Crude bugs, for invariants that no subtler one breaks at once: they show a checker looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from khepri.machine.sessions import SessionTable
from khepri.raft.leader import Leader
from khepri.raft.log_view import LogView
from khepri.raft.reads import ConfirmedReads
from khepri.raft.server import Server
from khepri.raft.types import EntryKind, Index
from tests.sim.planting import Planted, planted

if TYPE_CHECKING:
    from khepri.raft.types import Entry

CRUDE_BUGS: list[Planted] = []
_plant = planted(CRUDE_BUGS)


@_plant("a leader cuts its own log", Leader, "decide")
def _decide(self: Any) -> None:
    server = self._server
    if server.log.last_index > server.commit_index + 2:
        server.truncate_from(Index(server.log.last_index - 1))
    _leader_decide(self)


_leader_decide = Leader.decide


@_plant("entries change on their way", LogView, "batch")
def _batch(
    self: Any, first: int, max_entries: int, max_bytes: int
) -> tuple[tuple[Entry, ...], int]:
    entries, size_bytes = _log_batch(self, first, max_entries, max_bytes)
    changed = [
        entry._replace(data=entry.data + b"\0") if entry.kind is EntryKind.COMMANDS else entry
        for entry in entries
    ]
    return tuple(changed), size_bytes


_log_batch = LogView.batch


@_plant("the commit index goes where it is told", Server, "commit_to")
def _commit_to(self: Any, index: Any) -> None:
    self.commit_index = index


@_plant("reads do not wait for what they must see", ConfirmedReads, "serve")
def _serve(self: Any, last_applied: Any, effects: Any) -> None:
    del last_applied
    _confirmed_serve(self, Index(1 << 60), effects)


_confirmed_serve = ConfirmedReads.serve


@_plant("sessions have a local time", SessionTable, "open")
def _open(self: Any, session_id: int, now_milliseconds: int) -> None:
    _table_open(self, session_id, now_milliseconds + id(self) // 64 % 1000)


_table_open = SessionTable.open


@_plant("nothing is ever dropped from memory", LogView, "compact")
def _compact(self: Any, index: int, max_entries: int, max_bytes: int, **needed: int) -> None:
    del self, index, max_entries, max_bytes, needed
