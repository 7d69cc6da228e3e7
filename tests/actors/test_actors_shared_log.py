"""The log that the WalWriter and a server take turns to write."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from khepri.actors.segment_writer import FlushFile
from khepri.actors.shared_log import SLOW_WRITE_SECONDS, STALL_SECONDS, SharedLog
from khepri.errors import DiskFullError
from khepri.log.interface import Append, ClosedFile, Gap
from khepri.raft.types import Entry, EntryKind, Index, Term
from tests.actors.actors_helpers import SetClock
from tests.facade.facade_helpers import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_ENTRIES = (Entry(Index(1), Term(1), EntryKind.COMMANDS, b"data"),)


class _Log:
    """A log that only remembers, and fails when it is told to."""

    def __init__(self) -> None:
        self.written: list[Append] = []
        self.error: Exception | None = None
        self.gaps: list[Gap] = []
        self.full_files: list[ClosedFile] = []
        self.is_closed = False
        self.is_confirmed = True

    def write(
        self,
        appends: Sequence[Append],
        *,
        confirm: bool = True,
        meanwhile: Callable[[], object] | None = None,
    ) -> list[Gap]:
        if self.error is not None:
            raise self.error
        self.written += appends
        if meanwhile is not None:
            meanwhile()
        self.is_confirmed = confirm
        return self.gaps

    def confirm(self) -> None:
        self.is_confirmed = True

    def take_closed_files(self) -> list[ClosedFile]:
        full, self.full_files = self.full_files, []
        return full

    def close(self) -> None:
        self.is_closed = True


def _shared(log: _Log, handed_on: list[object] | None = None) -> SharedLog:
    segment_writer = SimpleNamespace(cast=(handed_on if handed_on is not None else []).append)
    return SharedLog(cast("Any", log), lambda: cast("Any", segment_writer))


def test_a_server_writes_while_nobody_else_does() -> None:
    log = _Log()
    assert _shared(log).write_now("uid", _ENTRIES)
    assert log.written == [Append("uid", Index(1), _ENTRIES)]


def test_a_server_does_something_else_while_it_writes() -> None:
    done: list[str] = []
    assert _shared(_Log()).write_now("uid", _ENTRIES, lambda: done.append("it"))
    assert done == ["it"]


def test_what_a_server_has_written_is_confirmed_when_it_says_so_or_when_a_turn_ends() -> None:
    log = _Log()
    shared = _shared(log)
    assert shared.write_now("uid", _ENTRIES)
    assert not log.is_confirmed, "who waits is answered first"
    with shared.turn():
        shared.confirm()
        assert not log.is_confirmed, "the log belongs to who has the turn"
    assert log.is_confirmed
    assert shared.write_now("uid", _ENTRIES)
    shared.confirm()
    assert log.is_confirmed


def test_a_server_leaves_it_to_the_wal_writer_whose_turn_it_is() -> None:
    log = _Log()
    shared = _shared(log)
    with shared.turn():
        assert not shared.write_now("uid", _ENTRIES)
    assert shared.write_now("uid", _ENTRIES)


def test_a_wal_writer_that_waits_goes_before_the_next_server() -> None:
    log = _Log()
    shared = _shared(log)
    had_its_turn = threading.Event()

    def take_a_turn() -> None:
        with shared.turn():
            had_its_turn.set()

    wal_writer = threading.Thread(target=take_a_turn)

    class _SlowLog(_Log):
        def write(self, appends: Sequence[Append], **how: Any) -> list[Gap]:
            wal_writer.start()
            eventually(lambda: shared._is_wanted, "the WalWriter waits")
            return super().write(appends, **how)

    slow_log = _SlowLog()
    shared._log = cast("Any", slow_log)
    assert shared.write_now("uid", _ENTRIES)
    wal_writer.join(timeout=10.0)
    assert had_its_turn.is_set()


def test_what_the_disk_refuses_is_left_to_the_wal_writer() -> None:
    log = _Log()
    shared = _shared(log)
    log.error = DiskFullError("no space", path="here")
    assert not shared.write_now("uid", _ENTRIES)
    log.error = None
    assert shared.write_now("uid", _ENTRIES), "the lock was given back"


def test_what_would_leave_a_hole_is_left_to_the_wal_writer() -> None:
    log = _Log()
    log.gaps = [Gap("uid", Index(1))]
    assert not _shared(log).write_now("uid", _ENTRIES)


def test_a_file_that_a_server_has_filled_goes_to_the_segment_writer() -> None:
    log, handed_on = _Log(), list[object]()
    full = ClosedFile(1, "path", 2)
    log.full_files = [full]
    assert _shared(log, handed_on).write_now("uid", _ENTRIES)
    assert handed_on == [FlushFile(full)]


def test_after_a_slow_write_no_server_waits_for_the_disk_for_a_while() -> None:
    clock = SetClock()

    class _Stalling(_Log):
        stall_seconds = 2 * SLOW_WRITE_SECONDS

        def write(self, appends: Sequence[Append], **how: Any) -> list[Gap]:
            clock.now += self.stall_seconds
            return super().write(appends, **how)

    log = _Stalling()
    shared = SharedLog(cast("Any", log), lambda: cast("Any", None), clock)
    assert shared.write_now("uid", _ENTRIES), "what was written slowly is durable all the same"
    assert not shared.write_now("uid", _ENTRIES)
    clock.now += STALL_SECONDS
    log.stall_seconds = SLOW_WRITE_SECONDS / 2
    assert shared.write_now("uid", _ENTRIES)
    assert shared.write_now("uid", _ENTRIES)


def test_a_closed_log_is_written_by_nobody() -> None:
    log = _Log()
    shared = _shared(log)
    shared.close()
    assert log.is_closed
    assert not shared.write_now("uid", _ENTRIES)
