"""The checker of the crash tests must fail where it should: bugs planted on purpose.

First, each kind of sync left out, one at a time: every one of them is needed. Then mistakes in
the order or the meaning of what is done.
"""

from __future__ import annotations

import dataclasses
import random
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import pytest

from khepri.errors import StorageError
from khepri.log import log_tail, recovery, segments, snapshots
from khepri.log.memory_file_system import MemoryFileSystem, SimulatedCrash
from khepri.log.paths import LOG_SUFFIX, SPARE_SUFFIX
from khepri.log.segments import SegmentWriter
from khepri.log.write_ahead_log import WriteAheadLog
from tests.log.log_workload import Workload, check_after_crash, count_operations, crash_at

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from khepri.log.file_system import File
    from khepri.log.interface import ClosedFile
    from khepri.log.log_folder import NewLogFile
    from khepri.raft.types import Entry, Index
    from tests.log.log_helpers import LogHarness

OPERATIONS = count_operations()
SEEDS = range(6)


class Omission(NamedTuple):
    """A sync that is left out: its name, and how the path ends."""

    name: str
    path_end: str


class ForgetfulFileSystem(MemoryFileSystem):
    """Says that something is synced and does not do it."""

    def __init__(self, omission: Omission) -> None:
        super().__init__()
        self._omission = omission

    def fsync_directory(self, path: str) -> None:
        if not self.forgets("fsync_directory", path):
            super().fsync_directory(path)

    def create(self, path: str) -> File:
        return ForgetfulFile(self, super().create(path))

    def open(self, path: str, *, writable: bool) -> File:
        return ForgetfulFile(self, super().open(path, writable=writable))

    def forgets(self, name: str, path: str) -> bool:
        return name == self._omission.name and path.endswith(self._omission.path_end)


class ForgetfulFile:
    """A file that may leave its fdatasync out."""

    def __init__(self, file_system: ForgetfulFileSystem, file: File) -> None:
        self._file_system = file_system
        self._file = file
        self.path = file.path
        self.pread, self.pwrite = file.pread, file.pwrite
        self.size, self.close = file.size, file.close
        self.begin_writing = file.begin_writing

    def fdatasync(self) -> None:
        if not self._file_system.forgets("fdatasync", self.path):
            self._file.fdatasync()


def is_found(
    make_memory: Callable[[], MemoryFileSystem],
    plant: Callable[[LogHarness], None] | None = None,
    *,
    with_power_loss: bool = True,
) -> bool:
    """Whether a crash at some operation shows the bug."""
    crashes = [(number, seed) for number in range(1, OPERATIONS + 1) for seed in SEEDS]
    random.Random(1).shuffle(crashes)  # a bug shows only here or there: be quick on the average
    for number, seed in crashes:
        memory = make_memory()
        workload = Workload(memory)
        workload.plant = plant
        memory.hook = crash_at(number)
        rng = random.Random(seed)
        try:
            with suppress(SimulatedCrash):
                workload.run()
            memory.power_loss(rng) if with_power_loss else memory.process_death()
            check_after_crash(workload, memory, rng)
        except (AssertionError, StorageError):
            return True
    return False


@pytest.mark.parametrize(
    "omission",
    [
        Omission("fdatasync", ".wal.new"),
        Omission("fdatasync", ".segment.new"),
        Omission("fdatasync", ".snapshot.new"),
        Omission("fdatasync", ".received.new"),
        Omission("fdatasync", "/meta"),
        Omission("fdatasync", "/meta.new"),
        Omission("fdatasync", "/registry.new"),
        Omission("fdatasync", "/identity.new"),
        Omission("fsync_directory", "/data"),
        Omission("fsync_directory", "/data/wal"),
        Omission("fsync_directory", "/data/stores"),
        Omission("fsync_directory", "/segments"),
        Omission("fsync_directory", "/snapshots"),
    ],
    ids=lambda omission: f"{omission.name} of {omission.path_end}",
)
def test_a_sync_left_out_is_found(omission: Omission) -> None:
    assert is_found(lambda: ForgetfulFileSystem(omission))


class HastyLog(WriteAheadLog):
    """Acknowledges before the sync."""

    def _write_frame(
        self,
        current: NewLogFile,
        frame: bytes,
        meanwhile: Callable[[], object] | None = None,
    ) -> None:
        del meanwhile
        current.file.pwrite(frame, self._offset)
        self._offset += len(frame)
        self._folder.next_batch += 1


def test_a_log_that_acknowledges_before_the_sync_is_found() -> None:
    def plant(harness: LogHarness) -> None:
        good = harness.system.write_ahead_log
        hasty = HastyLog(
            harness.directory.log_folder,
            next_sequence=good._next_sequence,
            last_indexes=good._last_indexes,
            max_file_bytes=8192,
        )
        harness.system = dataclasses.replace(harness.system, write_ahead_log=hasty)

    assert is_found(MemoryFileSystem, plant)


class HastyWriter(SegmentWriter):
    """Drops the log file first."""

    def flush(self, closed_file: ClosedFile) -> None:
        folder = self._log_folder
        folder.drop(closed_file.sequence)
        spare = closed_file.path.replace(LOG_SUFFIX, SPARE_SUFFIX)
        if self._file_system.exists(spare):
            self._file_system.rename(spare, closed_file.path)
            super().flush(closed_file)


def test_a_log_file_that_is_dropped_before_its_segments_are_written_is_found() -> None:
    def plant(harness: LogHarness) -> None:
        hasty = HastyWriter(
            harness.file_system,
            harness.directory.log_folder,
            harness.directory.stores_folder,
            snapshot_indexes={},
            is_registered=lambda uid: uid in harness.directory.stores.values(),
            random_bytes=harness.directory.random_bytes,
        )
        harness.system = dataclasses.replace(harness.system, segment_writer=hasty)

    assert is_found(MemoryFileSystem, plant)


def test_a_suffix_that_is_not_made_void_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def append(
        self: log_tail.LogTail,
        first_index: Index,
        entries: Sequence[Entry],
        source: log_tail.Source,
    ) -> None:
        del first_index
        known = {entry.index: entry for entry in self.entries}
        known.update({entry.index: entry for entry in entries})
        self.entries = [known[index] for index in sorted(known)]
        self.lowest_index = self.entries[0].index if self.entries else None
        self._start = source

    monkeypatch.setattr(log_tail.LogTail, "append", append)
    assert is_found(MemoryFileSystem)


def test_segments_removed_newest_first_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    find = segments._find_needless

    def newest_first(spans: Sequence[segments.SegmentSpan], snapshot_index: Index) -> list[str]:
        return find(spans, snapshot_index)[::-1]

    monkeypatch.setattr(segments, "_find_needless", newest_first)
    assert is_found(MemoryFileSystem)


def test_an_old_snapshot_removed_before_the_new_one_is_durable_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write = snapshots.Snapshots.write

    def remove_first(self: snapshots.Snapshots, *arguments: object) -> bool:
        for name in self._file_system.listdir(self._folder):
            self._file_system.unlink(f"{self._folder}/{name}")
        return write(self, *arguments)  # type: ignore[arg-type] # as they came

    monkeypatch.setattr(snapshots.Snapshots, "write", remove_first)
    assert is_found(MemoryFileSystem)


def test_a_recovery_that_syncs_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def do_nothing(*arguments: object) -> None:
        del arguments

    monkeypatch.setattr(recovery, "_make_durable", do_nothing)
    assert is_found(MemoryFileSystem, with_power_loss=False)
