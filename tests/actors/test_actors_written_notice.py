"""The notice of what is durable, by which a server is woken only when it waits for it."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

from khepri.actors.label import ActorLabel
from khepri.actors.wal_writer import WalWriter, WriteEntries, WriteFailed
from khepri.actors.written_notice import WrittenNotice
from khepri.errors import DiskFullError
from khepri.raft.events import LogWritten
from khepri.raft.types import Entry, EntryKind, Index, Term

ROUNDS = 2_000


def _written(sequence: int) -> LogWritten:
    return LogWritten(Index(sequence), Term(1), sequence)


def test_a_notice_is_taken_once_and_the_newest_stands_for_all() -> None:
    notice = WrittenNotice()
    assert not notice.is_there
    assert notice.take() is None
    notice.leave(_written(1))
    notice.leave(_written(2))
    assert notice.is_there
    assert notice.take() == _written(2)
    assert not notice.is_there
    assert notice.take() is None


def test_whoever_awaits_it_is_to_be_woken_and_nobody_else() -> None:
    notice = WrittenNotice()
    assert notice.leave(_written(1)), "at first nothing is known"
    notice.is_awaited = False
    assert not notice.leave(_written(2))
    notice.is_awaited = True
    assert notice.leave(_written(3))


def test_no_notice_is_missed_when_leaving_it_races_awaiting_it() -> None:
    """Each round the server ends a turn while the disk ends a write: one of them must see it."""
    notice = WrittenNotice()
    start, end = threading.Barrier(2), threading.Barrier(2)
    woken = [False] * (ROUNDS + 1)

    def write() -> None:
        for sequence in range(1, ROUNDS + 1):
            start.wait()
            woken[sequence] = notice.leave(_written(sequence))
            end.wait()

    disk = threading.Thread(target=write)
    disk.start()
    seen = [False] * (ROUNDS + 1)
    for sequence in range(1, ROUNDS + 1):
        notice.is_awaited = False
        start.wait()
        notice.is_awaited = True
        seen[sequence] = notice.is_there
        end.wait()
        notice.take()
    disk.join()
    assert all(map(max, seen[1:], woken[1:]))


class _Server:
    """Remembers what the WalWriter has sent it."""

    def __init__(self) -> None:
        self.received: list[object] = []

    def cast(self, message: object) -> None:
        self.received.append(message)


class _Log:
    """A log on a disk that may be full."""

    is_full = False

    def write(self, appends: object, *, confirm: bool) -> list[object]:
        del appends, confirm
        if self.is_full:
            raise DiskFullError("full", path="/data")
        return []


def _write(writer: WalWriter, log: _Log, server: _Server, notice: WrittenNotice, at: int) -> None:
    entry = Entry(Index(at), Term(1), EntryKind.COMMANDS, b"")
    reply_to: Any = server
    writer._unwritten.append(WriteEntries("uid", (entry,), at, reply_to, notice))
    any_log: Any = log
    writer._write(any_log)


def test_whoever_was_told_of_a_failure_is_told_in_turn_that_it_is_over() -> None:
    """A notice has no place among messages: it could be taken before the failure it ends."""
    storage: Any = None
    writer = WalWriter(ActorLabel("wal-writer"), storage)
    no_files: list[object] = []
    shared: Any = SimpleNamespace(hand_on_full_files=no_files.append)
    writer._shared = shared
    log, server, notice = _Log(), _Server(), WrittenNotice()
    notice.is_awaited = False
    _write(writer, log, server, notice, 1)
    assert server.received == []
    log.is_full = True
    _write(writer, log, server, notice, 2)
    assert [type(message) for message in server.received] == [WriteFailed]
    log.is_full = False
    _write(writer, log, server, notice, 3)
    assert server.received[1:] == [_written(3)]
    _write(writer, log, server, notice, 4)
    assert server.received[2:] == [], "and that is the end of it"
