"""The write-ahead log: writing, roll-over, gaps, and disks that fail.

Long, because each failure is told at each step of a write.
"""

from __future__ import annotations

import errno
import random
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from khepri.errors import DiskFailedError, DiskFullError
from khepri.log.interface import Gap
from khepri.log.memory_file_system import MemoryFileSystem
from khepri.log.write_ahead_log import FIRST_FILE_BYTES
from khepri.raft.types import Index
from tests.log.log_helpers import (
    LogHarness,
    append,
    batches_of,
    entries,
    entry,
    fail,
    reopened,
    snapshot_meta,
    terms,
    truncation,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from khepri.log.file_system import File, FileSystem
    from khepri.log.memory_file_system import Operation


def opened(memory: MemoryFileSystem, **options: int) -> tuple[LogHarness, str]:
    harness = LogHarness(memory, "/data", **options)
    return harness, harness.register()


def lose_power(memory: MemoryFileSystem, seed: int = 0) -> LogHarness:
    memory.power_loss(random.Random(seed))
    return LogHarness(memory, "/data")


def test_what_was_written_is_recovered(file_system: FileSystem, folder: str) -> None:
    harness = LogHarness(file_system, folder)
    uid = harness.register()
    assert harness.write(append(uid, entries(1, 3))) == []
    assert harness.write(append(uid, entries(4, 4))) == []
    harness = reopened(harness)
    assert harness.store().entries == entries(1, 4)
    harness.close()


def test_what_is_done_meanwhile_is_done_before_anything_is_durable() -> None:
    memory = MemoryFileSystem()
    harness, uid = opened(memory)
    harness.write(append(uid, entries(1, 1)))  # the first one makes the file
    seen: list[str] = []
    memory.hook = lambda operation: seen.append(operation.name)
    log = harness.system.write_ahead_log
    log.write([append(uid, entries(2, 2))], meanwhile=lambda: seen.append("meanwhile"))
    assert seen == ["pwrite", "meanwhile", "fdatasync", "pwrite"]
    assert lose_power(memory).store().entries == entries(1, 2)


def test_what_the_disk_refuses_is_written_elsewhere_with_nothing_done_meanwhile() -> None:
    memory = MemoryFileSystem()
    harness, uid = opened(memory)
    harness.write(append(uid, entries(1, 1)))
    memory.hook = fail(errno.EIO, "pwrite", times=1)
    done: list[int] = []
    log = harness.system.write_ahead_log
    log.write([append(uid, entries(2, 2))], meanwhile=lambda: done.append(1))
    assert not done
    assert lose_power(memory).store().entries == entries(1, 2)


def test_an_empty_log_is_recovered(file_system: FileSystem, folder: str) -> None:
    harness = LogHarness(file_system, folder)
    harness.register()
    harness = reopened(harness)
    assert harness.store().entries == []
    harness.close()


def test_writing_goes_on_after_a_restart(file_system: FileSystem, folder: str) -> None:
    harness = LogHarness(file_system, folder)
    uid = harness.register()
    for index in range(1, 6):
        harness.write(append(uid, [entry(index)]))
        harness = reopened(harness)
        if index % 2:
            harness.flush()
    assert harness.store().entries == entries(1, 5)
    harness.close()


def test_every_kind_of_entry_and_any_bytes_come_back(memory: MemoryFileSystem) -> None:
    harness, uid = opened(memory)
    written = [entry(1, data=b"\0" * 100), entry(2, data=bytes(range(256))), entry(3)]
    harness.write(append(uid, written))
    assert reopened(harness).store().entries == written


def test_one_batch_costs_one_write_and_one_sync(memory: MemoryFileSystem) -> None:
    harness, uid = opened(memory)
    harness.write(append(uid, entries(1, 1)))
    seen: list[Operation] = []
    memory.hook = seen.append
    harness.write(append(uid, entries(2, 50)))
    names = [operation.name for operation in seen]
    assert names == ["pwrite", "fdatasync", "pwrite"], "the second is the confirmation, unsynced"


def test_a_batch_can_be_confirmed_later_by_a_note_by_the_next_batch_or_at_the_end(
    memory: MemoryFileSystem,
) -> None:
    harness, uid = opened(memory)
    harness.write(append(uid, entries(1, 1)))
    seen: list[str] = []
    memory.hook = lambda operation: seen.append(operation.name)
    log = harness.system.write_ahead_log
    log.write([append(uid, entries(2, 2))], confirm=False)
    log.write([append(uid, entries(3, 3))], confirm=False)
    assert seen == ["pwrite", "fdatasync"] * 2
    log.confirm()
    log.confirm()
    assert seen[4:] == ["pwrite"], "once"
    log.write([append(uid, entries(4, 4))], confirm=False)
    log.close()
    assert seen[5:] == ["pwrite", "fdatasync", "pwrite", "fdatasync"]


def test_w34_a_thousand_stores_share_one_sync(memory: MemoryFileSystem) -> None:
    harness = LogHarness(memory, "/data", max_log_file_bytes=1 << 20)
    uids = [f"UID{number}" for number in range(1000)]
    harness.write(append(uids[0], entries(1, 1)))
    syncs: list[Operation] = []
    memory.hook = lambda operation: (
        syncs.append(operation) if operation.name == "fdatasync" else None
    )
    harness.write(*(append(uid, entries(1, 1)) for uid in uids))
    assert len(syncs) == 1


def test_w19_a_gap_is_refused_until_it_is_filled_and_others_go_on(
    file_system: FileSystem, folder: str
) -> None:
    harness = LogHarness(file_system, folder)
    uid, other = harness.register("orders"), harness.register("other")
    harness.write(append(uid, entries(1, 3)))
    refused = harness.write(append(uid, entries(5, 6)), append(other, entries(1, 2)))
    assert refused == [Gap(uid, Index(4))]
    assert harness.write(append(uid, entries(7, 7))) == [Gap(uid, Index(4))]
    assert harness.write(append(uid, entries(4, 7))) == []
    harness = reopened(harness)
    assert harness.store("orders").entries == entries(1, 7)
    assert harness.store("other").entries == entries(1, 2)
    harness.close()


def test_w19_a_new_store_begins_at_index_one(memory: MemoryFileSystem) -> None:
    harness, uid = opened(memory)
    assert harness.write(append(uid, entries(2, 3))) == [Gap(uid, Index(1))]


def test_w20_where_a_log_ends_is_known_after_its_files_are_gone(
    memory: MemoryFileSystem,
) -> None:
    harness, uid = opened(memory)
    harness.write(append(uid, entries(1, 3)))
    harness = reopened(harness)
    harness.flush()
    assert batches_count(memory) == 0
    harness = reopened(harness)
    assert harness.write(append(uid, entries(5, 5))) == [Gap(uid, Index(4))]


def batches_count(memory: MemoryFileSystem) -> int:
    try:
        return len(batches_of(memory, "/data"))
    except IndexError:
        return 0


def test_a_store_may_go_on_after_an_installed_snapshot(memory: MemoryFileSystem) -> None:
    harness, uid = opened(memory)
    assert harness.write(append(uid, entries(101, 102))) == [Gap(uid, Index(1))]
    harness.system.write_ahead_log.set_last_index(uid, Index(100))
    assert harness.write(append(uid, entries(101, 102))) == []
    harness.system.write_ahead_log.forget(uid)
    assert harness.write(append(uid, entries(103, 103))) == [Gap(uid, Index(1))]


def test_s15_a_snapshot_covers_what_the_disk_had_refused(memory: MemoryFileSystem) -> None:
    """The refused write may still come, and must not hide that the log may go on behind."""
    harness, uid = opened(memory)
    harness.write(append(uid, entries(1, 3)))
    harness.take_snapshot(uid, snapshot_meta(10))
    harness.system.write_ahead_log.set_last_index(uid, Index(10))
    harness.system.write_ahead_log.set_last_index(uid, Index(5))
    assert harness.write(append(uid, entries(4, 6))) == []
    assert harness.write(append(uid, entries(11, 12))) == []
    assert reopened(harness).store().entries == entries(11, 12)


def test_an_overwrite_makes_the_old_suffix_void(file_system: FileSystem, folder: str) -> None:
    harness = LogHarness(file_system, folder)
    uid = harness.register(term=2)
    harness.write(append(uid, entries(1, 10)))
    harness.write(append(uid, entries(5, 6, term=2)))
    assert harness.write(append(uid, entries(8, 8, term=2))) == [Gap(uid, Index(7))]
    harness = reopened(harness)
    assert harness.log() == {1: 1, 2: 1, 3: 1, 4: 1, 5: 2, 6: 2}
    harness.close()


def test_w09_a_truncation_alone_is_durable(file_system: FileSystem, folder: str) -> None:
    harness = LogHarness(file_system, folder)
    uid = harness.register()
    harness.write(append(uid, entries(1, 10)))
    assert harness.write(truncation(uid, 5)) == []
    harness = reopened(harness)
    assert harness.store().entries == entries(1, 4)
    harness.close()


def test_a_truncation_above_the_end_is_no_gap_and_changes_nothing(
    memory: MemoryFileSystem,
) -> None:
    harness, uid = opened(memory)
    harness.write(append(uid, entries(1, 3)))
    assert harness.write(truncation(uid, 100)) == []
    assert harness.write(append(uid, entries(5, 5))) == [Gap(uid, Index(4))]
    assert reopened(harness).store().entries == entries(1, 3)


def test_w21_the_same_index_twice_in_one_batch(memory: MemoryFileSystem) -> None:
    harness, uid = opened(memory)
    harness.vote(uid, 2)
    harness.write(append(uid, entries(1, 4)))
    harness.write(append(uid, entries(5, 5)), append(uid, entries(5, 5, term=2)))
    assert reopened(harness).log() == {1: 1, 2: 1, 3: 1, 4: 1, 5: 2}


@pytest.mark.parametrize("size_bytes", [10, 1000, 5000, 50_000])
def test_w22_roll_over_with_entries_larger_than_a_file(
    file_system: FileSystem, folder: str, size_bytes: int
) -> None:
    harness = LogHarness(file_system, folder)
    uid, other = harness.register("orders"), harness.register("other")
    for index in range(1, 21):
        harness.write(append(uid, entries(index, index, size_bytes=size_bytes)))
        harness.write(append(other, entries(index, index)))
    for _ in range(3):
        harness = reopened(harness)
        assert harness.store("orders").entries == entries(1, 20, size_bytes=size_bytes)
        assert harness.store("other").entries == entries(1, 20)
        harness.flush()
    harness.close()


def test_closed_files_are_handed_out_once_and_in_order(memory: MemoryFileSystem) -> None:
    harness, uid = opened(memory)
    for index in range(1, 10):
        harness.write(append(uid, entries(index, index, size_bytes=3000)))
    closed = harness.system.write_ahead_log.take_closed_files()
    assert [one.sequence for one in closed] == list(range(1, 9))
    assert [one.end_batch for one in closed] == list(range(2, 10))
    assert harness.system.write_ahead_log.take_closed_files() == []


def log_sizes(memory: MemoryFileSystem, suffix: str = ".wal") -> list[int]:
    return [len(data) for path, data in memory.contents().items() if path.endswith(suffix)]


def test_files_grow_with_use_up_to_the_limit(memory: MemoryFileSystem) -> None:
    harness, uid = opened(memory, max_log_file_bytes=4 << 20)
    for index in range(1, 36):
        harness.write(append(uid, entries(index, index, size_bytes=300_000)))
    assert log_sizes(memory) == [1 << 20, 2 << 20, 4 << 20, 4 << 20]


def test_after_a_flush_a_file_is_ready_for_the_next_roll_over(memory: MemoryFileSystem) -> None:
    harness, uid = opened(memory, max_log_file_bytes=4 << 20)
    creations: list[Operation] = []

    def note_creations(operation: Operation) -> None:
        if operation.name == "create" and operation.path.endswith(".wal.new"):
            creations.append(operation)

    memory.hook = note_creations
    for index in range(1, 60):
        harness.write(append(uid, entries(index, index, size_bytes=300_000)))
        harness.flush()
    assert len(creations) == 2, "the first file, and the second before the first was flushed"
    assert log_sizes(memory) == [4 << 20]
    assert log_sizes(memory, ".spare") == [4 << 20]
    assert reopened(harness).store().entries == entries(1, 59, size_bytes=300_000)


def test_a_spare_that_cannot_be_made_is_done_without() -> None:
    memory = MemoryFileSystem()
    harness, uid = opened(memory, max_log_file_bytes=4 << 20)
    for index in range(1, 5):
        harness.write(append(uid, entries(index, index, size_bytes=300_000)))
    harness.take_snapshot(uid, snapshot_meta(4))
    memory.capacity_bytes = memory.file_bytes() + 100
    harness.flush()
    assert log_sizes(memory) == [2 << 20]
    assert not [path for path in memory.contents() if ".spare" in path]


def test_the_log_leaves_room_for_moving_what_it_has() -> None:
    memory = MemoryFileSystem()
    harness, uid = opened(memory)
    harness.write(append(uid, entries(1, 1, size_bytes=300_000)))
    memory.capacity_bytes = 9 << 20
    last = 1
    with suppress(DiskFullError):
        while last < 100:
            harness.write(append(uid, entries(last + 1, last + 1, size_bytes=300_000)))
            last += 1
    assert 20 < last < 100
    assert memory.room() >= max(log_sizes(memory))
    harness.flush()  # there is room for a segment, and then for a file of the log
    harness.write(append(uid, entries(last + 1, last + 1, size_bytes=300_000)))
    assert reopened(harness).store().entries == entries(1, last + 1, size_bytes=300_000)


def test_where_there_is_no_room_for_a_large_file_a_small_one_does() -> None:
    memory = MemoryFileSystem()
    harness, uid = opened(memory, max_log_file_bytes=64 << 20)
    last = 0
    while log_sizes(memory) != [8 << 20]:
        last += 1
        harness.write(append(uid, entries(last, last, size_bytes=300_000)))
        harness.flush()
    for path in [path for path in memory.contents() if ".spare" in path]:
        memory.unlink(path)
    memory.capacity_bytes = memory.file_bytes() + (11 << 20)
    while len(log_sizes(memory)) == 1:
        last += 1
        harness.write(append(uid, entries(last, last, size_bytes=300_000)))
    assert log_sizes(memory) == [8 << 20, FIRST_FILE_BYTES]
    assert reopened(harness).store().entries == entries(1, last, size_bytes=300_000)


class TakenWhenLookedAt(MemoryFileSystem):
    """The log's writer takes a spare file just when the segment writer looks how large it is."""

    take: Callable[[], object] | None = None

    def open(self, path: str, *, writable: bool) -> File:
        if self.take is not None and path.endswith(".spare") and not writable:
            take, self.take = self.take, None
            take()
        return super().open(path, writable=writable)


def test_a_spare_may_be_taken_while_a_file_is_dropped() -> None:
    """Found by killing a process a thousand times: the SegmentWriter crashed."""
    memory = TakenWhenLookedAt()
    harness, uid = opened(memory)
    for index in range(1, 4):
        harness.write(append(uid, entries(index, index, size_bytes=3000)))
    memory.take = lambda: harness.write(append(uid, entries(4, 4, size_bytes=3000)))
    harness.flush()
    assert memory.take is None, "the spare of the first file was looked at with the second"
    assert len(log_sizes(memory, ".spare")) == 1
    assert reopened(harness).store().entries == entries(1, 4, size_bytes=3000)


def test_a_used_up_file_is_written_over(memory: MemoryFileSystem) -> None:
    """And what it held before is not taken for what it holds now."""
    harness, uid = opened(memory)
    for index in range(1, 40):
        harness.write(append(uid, entries(index, index, size_bytes=1200)))
        harness.flush()
        names = [path for path in memory.contents() if "/wal/" in path]
        assert len(names) <= 2, "the current one and a spare"
        copy = LogHarness(memory.copy(), "/data")
        assert copy.store().entries == entries(1, index, size_bytes=1200)


def test_w06_a_file_whose_creation_was_cut_off_does_not_hold_up_the_start(
    file_system: FileSystem, folder: str
) -> None:
    harness = LogHarness(file_system, folder)
    uid = harness.register()
    harness.write(append(uid, entries(1, 2)))
    leftover = f"{folder}/wal/{2:020d}.wal.new"
    file_system.create(leftover).close()
    harness = reopened(harness)
    assert harness.store().entries == entries(1, 2)
    assert not file_system.exists(leftover)
    harness.close()


def test_w38_the_order_of_files_comes_from_their_numbers(memory: MemoryFileSystem) -> None:
    """Also where the numbers get another digit, which sorts them wrongly as text without zeros."""
    harness, uid = opened(memory)
    for index in range(1, 13):
        harness.write(append(uid, entries(index, index, size_bytes=3000)))
    assert reopened(harness).store().entries == entries(1, 12, size_bytes=3000)


def test_w12_after_a_failed_sync_the_batch_goes_to_a_new_file(memory: MemoryFileSystem) -> None:
    harness, uid = opened(memory)
    harness.write(append(uid, entries(1, 2)))
    memory.hook = fail(errno.EIO, "fdatasync")
    harness.write(append(uid, entries(3, 4)))
    seen: list[Operation] = []
    memory.hook = seen.append
    harness.write(append(uid, entries(5, 5)))
    assert {operation.path.rpartition("/")[2] for operation in seen} == {f"{2:020d}.wal.new"}, (
        "opened under its temporary name; the first file is not touched again"
    )
    assert lose_power(memory).store().entries == entries(1, 5)


@pytest.mark.parametrize("name", ["pwrite", "fdatasync"])
def test_w12_w13_when_the_disk_stays_broken_nothing_is_acknowledged(
    memory: MemoryFileSystem, name: str
) -> None:
    harness, uid = opened(memory)
    harness.write(append(uid, entries(1, 2)))
    memory.hook = fail(errno.EIO, name, times=1000)
    for _ in range(3):
        with pytest.raises(DiskFailedError):
            harness.write(append(uid, entries(3, 4)))
    memory.hook = None
    assert harness.write(append(uid, entries(3, 5))) == []
    assert lose_power(memory).store().entries == entries(1, 5)


@pytest.mark.parametrize("seed", range(20))
def test_w12_what_a_failed_sync_left_behind_is_void(seed: int) -> None:
    """The failed batch may be whole in the old file; the one that was acknowledged counts."""
    memory = MemoryFileSystem()
    harness, uid = opened(memory)
    harness.write(append(uid, entries(1, 2)))
    memory.hook = fail(errno.EIO, "fdatasync", times=2)
    with pytest.raises(DiskFailedError):
        harness.write(append(uid, entries(3, 9)))
    harness.vote(uid, 2)
    harness.write(append(uid, entries(3, 3, term=2)))
    harness.flush()
    assert lose_power(memory, seed).log() == {1: 1, 2: 1, 3: 2}


def test_w14_refused_writes_do_not_make_the_log_want_more_and_more_room() -> None:
    memory = MemoryFileSystem()
    harness, uid = opened(memory)
    harness.write(append(uid, entries(1, 1)))
    memory.capacity_bytes = memory.file_bytes() + 100
    too_large = append(uid, entries(2, 2, size_bytes=900_000))
    for _ in range(10):
        with pytest.raises(DiskFullError):
            harness.write(too_large)
    memory.capacity_bytes = memory.file_bytes() + 3 * FIRST_FILE_BYTES
    assert harness.write(too_large) == []
    assert terms(lose_power(memory).store().entries) == {1: 1, 2: 1}


def test_w14_a_full_disk_refuses_writes_and_service_returns_with_space() -> None:
    memory = MemoryFileSystem()
    harness, uid = opened(memory)
    harness.write(append(uid, entries(1, 1, size_bytes=3000)))
    memory.capacity_bytes = memory.file_bytes() + 100
    before = memory.contents()
    for _ in range(3):
        with pytest.raises(DiskFullError):
            harness.write(append(uid, entries(2, 2, size_bytes=3000)))
        assert memory.contents() == before
    assert harness.write(append(uid, entries(2, 2))) == [], "there is still room for a small one"
    memory.capacity_bytes = None
    assert harness.write(append(uid, entries(3, 3, size_bytes=3000))) == []
    assert terms(lose_power(memory).store().entries) == {1: 1, 2: 1, 3: 1}


def test_w14_a_directory_on_a_full_disk_can_be_opened_and_read() -> None:
    memory = MemoryFileSystem()
    harness, uid = opened(memory)
    harness.write(append(uid, entries(1, 3)))
    harness.close()
    memory.capacity_bytes = memory.file_bytes()
    harness = LogHarness(memory, "/data")
    assert harness.store().entries == entries(1, 3)
    harness.vote(uid, 2)
    with pytest.raises(DiskFullError):
        harness.write(append(uid, entries(4, 4)))
    memory.capacity_bytes = None
    harness.write(append(uid, entries(4, 4)))


def test_a_roll_over_that_fails_half_way_never_writes_to_the_old_file_again() -> None:
    """The new file may be there already; its header says that the old one has ended."""
    for name in ("rename", "fsync_directory"):
        memory = MemoryFileSystem()
        harness, uid = opened(memory)
        harness.write(append(uid, entries(1, 1, size_bytes=3000)))
        memory.hook = fail(errno.EIO, name)
        with pytest.raises(DiskFailedError):
            harness.write(append(uid, entries(2, 2, size_bytes=3000)))
        harness.write(append(uid, entries(2, 2)))
        for seed in range(10):
            copy = memory.copy()
            assert len(lose_power(copy, seed).store().entries) == 2


def test_closing_makes_the_last_proof_durable(memory: MemoryFileSystem) -> None:
    harness, uid = opened(memory)
    harness.write(append(uid, entries(1, 1)))
    harness.close()
    seen: list[Operation] = []
    memory.power_loss(random.Random(0))
    memory.hook = seen.append
    harness = LogHarness(memory, "/data")
    assert "pwrite" not in {operation.name for operation in seen}, "no batch is in doubt"


def test_closing_on_a_broken_disk_is_quiet(memory: MemoryFileSystem) -> None:
    harness, uid = opened(memory)
    harness.write(append(uid, entries(1, 1)))
    memory.hook = fail(errno.EIO, "fdatasync")
    harness.system.write_ahead_log.close()
    harness.system.write_ahead_log.close()


def test_w33_files_are_closed_again(memory: MemoryFileSystem) -> None:
    harness, uid = opened(memory)
    for index in range(1, 50):
        harness.write(append(uid, entries(index, index, size_bytes=1500)))
        harness.flush()
    assert memory.open_files == 2, "the log and the meta file"
    harness.close()
    assert memory.open_files == 0
