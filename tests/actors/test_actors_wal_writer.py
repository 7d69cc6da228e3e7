"""The WalWriter, when servers come and go while the disk refuses writes."""

from __future__ import annotations

import errno
import os
import threading
import time
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, cast

import pytest

from khepri.actors import wal_writer
from khepri.actors.label import ActorLabel
from khepri.actors.storage import Storage
from khepri.actors.wal_writer import ReadStore, VoidLog, WalWriter, WriteEntries, WriteFailed
from khepri.actors.written_notice import WrittenNotice
from khepri.errors import StorageError
from khepri.log.shared_file_system import SharedFileSystem
from khepri.raft.events import LogWritten
from tests.log.log_helpers import (
    NODE,
    chunks_of,
    entries,
    entry,
    fail,
    hard_state,
    snapshot_meta,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from khepri.log.interface import RecoveredStore
    from khepri.log.memory_file_system import Operation
    from khepri.raft.types import Entry

STORE = "orders"
SECONDS = 20


class House:
    """A WalWriter, its disk, and what its servers are told."""

    def __init__(self) -> None:
        self.files = SharedFileSystem()
        self.storage = Storage(self.files, "/data", NODE)
        self.storage.open()
        self.uid = self.storage.directory.register(STORE)
        meta_file = self.storage.directory.meta(self.uid)
        meta_file.write(hard_state(5))
        meta_file.close()
        self.storage.segment_writer = cast("Any", Server())
        self._sequence = 0
        self.start()

    def start(self) -> None:
        self.writer = WalWriter.start(ActorLabel("wal-writer", None, NODE), self.storage)

    def read(self) -> RecoveredStore:
        """Be a server that starts."""
        store: RecoveredStore = self.writer.ask(ReadStore(STORE), timeout=SECONDS)
        return store

    def write(self, written: Sequence[Entry], server: Server) -> None:
        self._sequence += 1
        reply_to: Any = server
        self.writer.cast(
            WriteEntries(self.uid, written, self._sequence, reply_to, WrittenNotice())
        )

    def set_full(self, *, full: bool) -> None:
        def refuse(operation: Operation) -> None:
            if operation.name in {"pwrite", "create", "fdatasync"}:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with self.files.guard:
            self.files.inner.hook = refuse if full else None


class Server:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self._told: SimpleQueue[object] = SimpleQueue()

    def cast(self, message: object) -> None:
        self._told.put(message)

    def next(self) -> object:
        return self._told.get(timeout=SECONDS)


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    yield house
    house.writer.stop()


def test_what_the_disk_refused_of_a_server_that_is_gone_is_not_written_later(
    house: House,
) -> None:
    """An overwrite would void what the next server has read, and may have confirmed to others."""
    first, second = Server(), Server()
    assert house.read().entries == []
    house.write(entries(1, 12, term=4), first)
    assert isinstance(first.next(), LogWritten)
    house.set_full(full=True)
    house.write(entries(8, 9, term=5), first)
    assert isinstance(first.next(), WriteFailed)
    log = house.read().entries  # the server was restarted
    assert [entry.term for entry in log] == [4] * 12
    house.set_full(full=False)
    house.write(entries(13, 13, term=5), second)
    assert isinstance(second.next(), LogWritten)
    assert house.read().entries[:-1] == log


def test_an_append_behind_a_snapshot_that_a_restart_found_is_taken(house: House) -> None:
    """Its worker could not sync the name, and told the log nothing: it must be no gap for ever."""
    first, second = Server(), Server()
    house.read()
    house.write(entries(1, 5, term=4), first)
    assert isinstance(first.next(), LogWritten)
    meta = snapshot_meta(9, 4)
    house.writer.ask(VoidLog(house.uid, meta.index), timeout=SECONDS)
    with house.files.guard:
        house.files.inner.hook = fail(errno.EIO, "fsync_directory", path_part="snapshots")
    with pytest.raises(StorageError):
        house.storage.directory.snapshots(house.uid).write(meta, chunks_of(meta))
    with house.files.guard:
        house.files.inner.hook = None
    found = house.read()
    assert (found.snapshot, list(found.entries)) == (meta, [])
    house.write([entry(10, 4)], second)
    assert isinstance(second.next(), LogWritten)


def test_the_log_of_a_store_that_nobody_starts_does_not_stay_in_memory(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory may hold many stores that a program never starts."""
    server = Server()
    house.read()
    house.write(entries(1, 5, term=4), server)
    assert isinstance(server.next(), LogWritten)
    house.writer.stop()
    monkeypatch.setattr(wal_writer, "UNREAD_SECONDS", 0.0)
    house.start()
    house.writer.started.get(timeout=SECONDS)
    recovered = house.storage._recovered
    end, pause = time.monotonic() + SECONDS, threading.Event()
    while recovered is None or recovered.stores:
        assert time.monotonic() < end
        pause.wait(0.005)
    assert [entry.index for entry in house.read().entries] == [1, 2, 3, 4, 5]
