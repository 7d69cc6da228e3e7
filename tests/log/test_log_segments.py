"""Segments: what of a log file is kept, and when a segment may go."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from khepri.errors import DataCorruptionError, DiskFailedError, DiskFullError, UnknownFormatError
from khepri.log import segments
from khepri.log.block_file import BlockFileWriter
from khepri.log.file_header import FileFormat
from khepri.log.interface import ClosedFile
from khepri.log.memory_file_system import MemoryFileSystem
from khepri.log.segments import read_segment
from khepri.raft.types import Index
from tests.log.log_helpers import (
    LogHarness,
    append,
    entries,
    fail,
    reopened,
    snapshot_meta,
    terms,
    truncation,
)

if TYPE_CHECKING:
    from khepri.log.file_system import FileSystem
    from khepri.log.memory_file_system import Operation


def segment_names(harness: LogHarness, uid: str) -> list[str]:
    return harness.file_system.listdir(f"{harness.path}/stores/{uid}/segments")


def written(memory: MemoryFileSystem, count: int = 3) -> tuple[LogHarness, str]:
    """Give a directory whose log files wait to be flushed."""
    harness = LogHarness(memory, "/data")
    uid = harness.register()
    for index in range(1, count + 1):
        harness.write(append(uid, entries(index, index, size_bytes=3000)))
    return reopened(harness), uid


def test_what_a_log_file_held_is_in_a_segment_and_the_file_is_gone(
    file_system: FileSystem, folder: str
) -> None:
    harness = LogHarness(file_system, folder)
    uid, other = harness.register("orders"), harness.register("other")
    harness.write(append(uid, entries(1, 5)), append(other, entries(1, 1)))
    harness = reopened(harness)
    harness.flush()
    assert not [name for name in file_system.listdir(f"{folder}/wal") if name.endswith(".wal")]
    assert segment_names(harness, uid) == [f"{1:020d}.segment"]
    harness = reopened(harness)
    assert harness.store("orders").entries == entries(1, 5)
    assert harness.store("other").entries == entries(1, 1)
    harness.close()


def test_what_a_snapshot_covers_is_not_copied(memory: MemoryFileSystem) -> None:
    harness, uid = written(memory)
    harness.take_snapshot(uid, snapshot_meta(2))
    harness.flush()
    assert segment_names(harness, uid) == [f"{3:020d}.segment"]
    harness.take_snapshot(uid, snapshot_meta(3))
    assert segment_names(harness, uid) == []


def test_a_file_of_which_nothing_is_needed_is_just_dropped(memory: MemoryFileSystem) -> None:
    harness, uid = written(memory)
    harness.take_snapshot(uid, snapshot_meta(3))
    seen: list[Operation] = []
    memory.hook = seen.append
    harness.flush()
    assert {operation.name for operation in seen} <= {
        "pread",
        "unlink",
        "rename",
        "fsync_directory",
    }


def test_many_entries_make_many_blocks(memory: MemoryFileSystem) -> None:
    harness = LogHarness(memory, "/data", max_log_file_bytes=16 << 20)
    uid = harness.register()
    harness.write(append(uid, entries(1, 30, size_bytes=200_000)))
    harness = reopened(harness)
    harness.flush()
    assert reopened(harness).store().entries == entries(1, 30, size_bytes=200_000)


def test_w27_a_store_deleted_before_the_flush_is_skipped(memory: MemoryFileSystem) -> None:
    harness, uid = written(memory)
    other = harness.register("other")
    harness.write(append(other, entries(1, 1)))
    harness.directory.unregister("orders")
    harness.system.segment_writer.release(uid, Index(2))
    harness.flush()
    harness = reopened(harness)
    harness.flush()
    assert reopened(harness).store("other").entries == entries(1, 1)
    assert memory.listdir("/data/stores") == [other]


def test_w27_a_store_deleted_during_the_flush_is_skipped(memory: MemoryFileSystem) -> None:
    harness, uid = written(memory, count=1)

    def delete_at_create(operation: Operation) -> None:
        if operation.name == "create":
            memory.hook = None
            harness.directory.unregister("orders")

    memory.hook = delete_at_create
    harness.flush()
    assert memory.hook is None
    assert memory.listdir("/data/stores") == []
    assert uid not in harness.directory.stores.values()


def test_flushing_again_what_was_flushed_does_nothing(memory: MemoryFileSystem) -> None:
    harness, _ = written(memory)
    closed = list(harness.system.closed_files)
    harness.flush()
    before = memory.contents()
    for closed_file in closed:
        harness.system.segment_writer.flush(closed_file)
    assert memory.contents() == before


def test_files_must_come_oldest_first(memory: MemoryFileSystem) -> None:
    harness, _ = written(memory)
    with pytest.raises(AssertionError, match="oldest first"):
        harness.system.segment_writer.flush(harness.system.closed_files[1])


def test_w14_a_full_disk_keeps_the_log_file_and_the_flush_can_be_repeated() -> None:
    memory = MemoryFileSystem()
    harness, uid = written(memory)
    memory.capacity_bytes = memory.file_bytes() + 100
    before = memory.contents()
    for _ in range(3):
        with pytest.raises(DiskFullError):
            harness.flush()
        assert memory.contents() == before
    memory.capacity_bytes = None
    harness.flush()
    assert reopened(harness).store().entries == entries(1, 3, size_bytes=3000)
    assert uid


@pytest.mark.parametrize(
    "name", ["create", "pwrite", "fdatasync", "rename", "fsync_directory", "pread"]
)
def test_w24_an_error_at_any_step_of_a_flush_loses_nothing(
    memory: MemoryFileSystem, name: str
) -> None:
    harness, _ = written(memory)
    memory.hook = fail(5, name)
    with pytest.raises(DiskFailedError):
        harness.flush()
    assert LogHarness(memory.copy(), "/data").store().entries == entries(1, 3, size_bytes=3000)
    harness.flush()
    assert reopened(harness).store().entries == entries(1, 3, size_bytes=3000)


def test_dropping_is_made_durable_by_the_repetition_if_it_was_not(
    memory: MemoryFileSystem,
) -> None:
    harness, uid = written(memory, count=1)
    memory.hook = fail(5, "fsync_directory", path_part="/wal")
    with pytest.raises(DiskFailedError):
        harness.flush()
    harness.flush()
    memory.power_loss(random.Random(1))
    assert not memory.exists(f"/data/wal/{1:020d}.wal")
    assert len(segment_names(LogHarness(memory, "/data"), uid)) == 1


def test_a_log_file_that_rots_while_it_waits_is_kept(memory: MemoryFileSystem) -> None:
    harness, _ = written(memory)
    memory.flip(f"/data/wal/{1:020d}.wal", 5000)
    with pytest.raises(DataCorruptionError) as caught:
        harness.flush()
    assert (caught.value.path, caught.value.offset) == (f"/data/wal/{1:020d}.wal", 4096)
    assert memory.exists(f"/data/wal/{1:020d}.wal")


def test_segments_go_oldest_first_and_only_when_nothing_in_them_lives(
    memory: MemoryFileSystem,
) -> None:
    harness, uid = written(memory)
    harness.flush()
    for index in (1, 2, 3):
        harness.take_snapshot(uid, snapshot_meta(index))
        assert len(segment_names(harness, uid)) == 3 - index


def test_each_removal_is_durable_before_the_next(memory: MemoryFileSystem) -> None:
    harness, uid = written(memory)
    harness.flush()
    harness.snapshots(uid).write(snapshot_meta(3), [])
    seen: list[str] = []
    memory.hook = lambda operation: seen.append(operation.name)
    harness.system.segment_writer.release(uid, Index(3))
    changes = [name for name in seen if name != "pread"]
    assert changes == ["unlink", "fsync_directory"] * 3


def test_a_segment_overwritten_from_below_goes_with_what_is_left_of_it(
    memory: MemoryFileSystem,
) -> None:
    """1..10 in one segment, 5..6 of another term in the next: 1..4 is all the first still says."""
    harness = LogHarness(memory, "/data")
    uid = harness.register(term=2)
    harness.write(append(uid, entries(1, 10)))
    harness = reopened(harness)
    harness.flush()
    harness.write(append(uid, entries(5, 8, term=2)))
    harness = reopened(harness)
    harness.flush()
    harness.take_snapshot(uid, snapshot_meta(4))
    assert segment_names(harness, uid) == [f"{2:020d}.segment"]
    harness = reopened(harness)
    assert harness.log() == {5: 2, 6: 2, 7: 2, 8: 2}


def test_a_segment_without_entries_says_what_is_void(memory: MemoryFileSystem) -> None:
    harness = LogHarness(memory, "/data")
    uid = harness.register()
    harness.write(append(uid, entries(1, 10)))
    harness = reopened(harness)
    harness.flush()
    harness.write(truncation(uid, 3))
    harness = reopened(harness)
    harness.flush()
    tail = read_segment(memory, f"/data/stores/{uid}/segments/{2:020d}.segment", uid, 2)
    assert (tail.lowest_index, tail.entries) == (3, [])
    assert reopened(harness).log() == {1: 1, 2: 1}


def test_entries_after_an_installed_snapshot_follow_a_hole(memory: MemoryFileSystem) -> None:
    harness = LogHarness(memory, "/data")
    uid = harness.register()
    harness.write(append(uid, entries(1, 5)))
    harness.take_snapshot(uid, snapshot_meta(100))
    harness.system.write_ahead_log.set_last_index(uid, Index(100))
    harness.write(append(uid, entries(101, 103)))
    for _ in range(3):
        harness = reopened(harness)
        assert terms(harness.store().entries) == {101: 1, 102: 1, 103: 1}
        harness.flush()


def one_segment(memory: MemoryFileSystem) -> tuple[str, str]:
    harness, uid = written(memory, count=1)
    harness.flush()
    return f"/data/stores/{uid}/segments/{1:020d}.segment", uid


def test_many_segments_become_one(
    memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "SEGMENTS_MAX", 3)
    harness = LogHarness(memory, "/data")
    uid = harness.register(term=20)
    most = 0
    for start in range(1, 12):  # each start leaves a log file, and each overwrites the last entry
        first = max(1, start - 1)
        harness.write(append(uid, entries(first, start, term=start)))
        harness = reopened(harness)
        harness.flush()
        most = max(most, len(segment_names(harness, uid)))
    assert most == 3
    found = reopened(harness).store().entries
    assert [entry.index for entry in found] == list(range(1, 12))
    assert [entry.term for entry in found] == [*range(2, 12), 11]


def test_a_damaged_segment_is_left_for_the_start_of_its_store(
    memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "SEGMENTS_MAX", 1)
    harness, uid = written(memory, count=1)
    harness.flush()
    harness.write(append(uid, entries(2, 2)))
    harness = reopened(harness)
    path = f"/data/stores/{uid}/segments/{segment_names(harness, uid)[0]}"
    file = memory.open(path, writable=True)
    file.pwrite(b"\xff", file.size() // 2)
    file.close()
    harness.flush()
    assert len(segment_names(harness, uid)) == 2
    assert "orders" in reopened(harness).system.damaged


def test_w36_every_flipped_byte_of_a_segment_is_seen(memory: MemoryFileSystem) -> None:
    path, uid = one_segment(memory)
    for offset in range(len(memory.contents()[path])):
        memory.flip(path, offset, 0x40)
        with pytest.raises(DataCorruptionError) as caught:
            read_segment(memory, path, uid, 1)
        assert caught.value.path == path
        memory.flip(path, offset, 0x40)
    assert read_segment(memory, path, uid, 1).entries == entries(1, 1, size_bytes=3000)


def test_a_segment_of_another_store_or_number_is_refused(memory: MemoryFileSystem) -> None:
    path, uid = one_segment(memory)
    with pytest.raises(DataCorruptionError):
        read_segment(memory, path, "ANOTHER", 1)
    with pytest.raises(DataCorruptionError):
        read_segment(memory, path, uid, 2)


def test_a_segment_of_an_unknown_version_is_refused(memory: MemoryFileSystem) -> None:
    path, uid = one_segment(memory)
    BlockFileWriter(memory, path, FileFormat("segment", 9), ["?"], bytes(8)).finish()
    with pytest.raises(UnknownFormatError):
        read_segment(memory, path, uid, 1)


@pytest.mark.parametrize(
    ("facts", "blocks"),
    [
        (["UID", 1, 1, 1, 3], []),
        (["UID", 1, 1, 1, 2], [b"\x91\x94\x01\x01\x00\xc4\x00"]),
        (["UID", 1, 1, 2, 2], [b"\x91\x94\x01\x01\x00\xc4\x00"]),
        (["UID", 1, 1, 1, 1], [b"\x90"]),
        (["UID", 1, 1, 1, 1], [b"\x91\x01"]),
        (["UID", 1, 1, 1, 1], [b"\x91\x94\x01\x01\x09\xc4\x00"]),
        (["UID", 1, 1, 1, 1], [b"?!"]),
        (["UID", 1], []),
    ],
)
def test_a_segment_that_makes_no_sense_is_refused(
    memory: MemoryFileSystem, facts: list[object], blocks: list[bytes]
) -> None:
    memory.make_directory("/data")
    writer = BlockFileWriter(memory, "/data/x", FileFormat("segment", 1), facts, bytes(8))
    for block in blocks:
        writer.append(block)
    writer.finish()
    with pytest.raises(DataCorruptionError):
        read_segment(memory, "/data/x", "UID", 1)


def test_an_unknown_file_is_taken_as_flushed(memory: MemoryFileSystem) -> None:
    harness, _ = written(memory)
    harness.system.segment_writer.flush(ClosedFile(99, "/data/wal/99.wal", 1))
