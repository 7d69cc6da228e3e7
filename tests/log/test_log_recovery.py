"""Start-up: putting logs together again, torn tails, damage, leftovers.

Long, because each thing that a crash can leave is a scenario of its own.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from khepri.errors import DataCorruptionError, DiskFailedError, StorageError
from khepri.log.memory_file_node import SECTOR_BYTES
from khepri.log.memory_file_system import MemoryFileSystem
from khepri.log.rereading import read_store
from khepri.raft.types import Index
from tests.log.log_helpers import (
    LogHarness,
    append,
    batches_of,
    chunks_of,
    entries,
    entry,
    fail,
    overwrite,
    reopened,
    snapshot_meta,
    terms,
    truncation,
)

if TYPE_CHECKING:
    from khepri.log.file_system import FileSystem
    from tests.log.log_helpers import Place


def directory_with_unconfirmed_batch(
    file_system: FileSystem, folder: str, *, batch_size: int = 3
) -> tuple[LogHarness, Place]:
    """Make a log of two confirmed batches, 1..4, and a third that was perhaps never synced."""
    harness = LogHarness(file_system, folder)
    uid = harness.register()
    harness.write(append(uid, entries(1, 2)))
    harness.write(append(uid, entries(3, 4)))
    harness.write(append(uid, entries(5, 4 + batch_size)))
    harness.close()
    last = batches_of(file_system, folder)[-1]
    overwrite(file_system, last.path, last.end, bytes(32))  # the proof of its sync
    return harness, last


def content_of(file_system: FileSystem, place: Place) -> bytes:
    file = file_system.open(place.path, writable=False)
    content = file.pread(place.end - place.start, place.start)
    file.close()
    return content


def test_w01_the_torn_tail_is_cut_wherever_it_ends(memory: MemoryFileSystem) -> None:
    _, last = directory_with_unconfirmed_batch(memory, "/data")
    whole = content_of(memory, last)
    for cut in range(len(whole)):
        overwrite(memory, last.path, last.start, whole[:cut].ljust(len(whole), b"\0"))
        harness = LogHarness(memory, "/data")
        expected = entries(1, 7) if whole[cut:].strip(b"\0") == b"" else entries(1, 4)
        assert harness.store().entries == expected
        harness.close()


@pytest.mark.parametrize("seed", range(30))
def test_w02_garbage_instead_of_the_last_batch_is_cut(seed: int) -> None:
    """Zeros, random bytes, and what other files held, in any combination of sectors."""
    rng = random.Random(seed)
    memory = MemoryFileSystem()
    _, last = directory_with_unconfirmed_batch(memory, "/data", batch_size=100)
    other = LogHarness(memory, "/other")
    other.write(append(other.register(), entries(1, 90)))
    foreign = next(data for path, data in memory.contents().items() if "/other/wal" in path)
    for start in range(last.start, last.end, SECTOR_BYTES):
        size = min(SECTOR_BYTES, last.end - start)
        what = rng.choice(["whole", "zeros", "random", "foreign"])
        if what == "zeros":
            overwrite(memory, last.path, start, bytes(size))
        elif what == "random":
            overwrite(memory, last.path, start, rng.randbytes(size))
        elif what == "foreign":
            at = rng.randrange(len(foreign) - size)
            overwrite(memory, last.path, start, foreign[at : at + size])
    assert LogHarness(memory, "/data").store().entries in (entries(1, 4), entries(1, 104))


def test_w02_a_length_beyond_the_file_is_not_believed(
    file_system: FileSystem, folder: str
) -> None:
    _, last = directory_with_unconfirmed_batch(file_system, folder)
    overwrite(file_system, last.path, last.start + 4, b"\xff\xff\xff\xff")
    harness = LogHarness(file_system, folder)
    assert harness.store().entries == entries(1, 4)
    harness.close()


def test_rule_16_w03_a_torn_batch_of_many_records_is_cut(
    file_system: FileSystem, folder: str
) -> None:
    """Sectors 2 and 4 of a batch of 250 records are missing, all others are there."""
    _, last = directory_with_unconfirmed_batch(file_system, folder, batch_size=250)
    first_sector = -(-last.start // SECTOR_BYTES)
    assert last.end > (first_sector + 4) * SECTOR_BYTES
    for number in (2, 4):
        at = (first_sector + number - 1) * SECTOR_BYTES
        overwrite(file_system, last.path, at, bytes(SECTOR_BYTES))
    harness = LogHarness(file_system, folder)
    assert harness.store().entries == entries(1, 4)
    harness.close()


def test_w04_damage_in_the_middle_is_refused(file_system: FileSystem, folder: str) -> None:
    """Nothing of a confirmed batch may be skipped; file and offset are named."""
    harness = LogHarness(file_system, folder)
    uid = harness.register()
    for index in range(1, 6):
        harness.write(append(uid, [entry(index)]))
    harness.close()
    place = batches_of(file_system, folder)[2]
    whole = content_of(file_system, place)
    overwrite(file_system, place.path, place.start + 40, bytes([whole[40] ^ 1]))
    with pytest.raises(DataCorruptionError) as caught:
        LogHarness(file_system, folder)
    assert (caught.value.path, caught.value.offset) == (place.path, place.start)


@pytest.mark.parametrize("is_confirmed_later", [False, True])
def test_damage_in_the_last_confirmed_batch_is_refused_not_cut(
    file_system: FileSystem, folder: str, is_confirmed_later: bool
) -> None:
    """The process was killed, not the power cut: the proof of the sync is in the cache."""
    harness = LogHarness(file_system, folder)
    uid = harness.register()
    log = harness.system.write_ahead_log
    log.write([append(uid, entries(1, 3))], confirm=not is_confirmed_later)
    log.confirm()
    place = batches_of(file_system, folder)[0]
    overwrite(file_system, place.path, place.end - 1, b"?")
    harness.directory.close()
    with pytest.raises(DataCorruptionError) as caught:
        LogHarness(file_system, folder)
    assert (caught.value.path, caught.value.offset) == (place.path, place.start)


def test_w05_a_torn_tail_of_a_file_that_is_not_the_newest_is_refused(
    file_system: FileSystem, folder: str
) -> None:
    harness = LogHarness(file_system, folder)
    uid = harness.register()
    harness.write(append(uid, entries(1, 1, size_bytes=2000)))
    place = batches_of(file_system, folder)[0]
    harness.write(append(uid, entries(2, 2, size_bytes=3000)))
    harness.close()
    overwrite(file_system, place.path, place.end - 10, bytes(10))
    with pytest.raises(DataCorruptionError) as caught:
        LogHarness(file_system, folder)
    assert (caught.value.path, caught.value.offset) == (place.path, place.start)


def test_a_log_file_missing_between_others_is_refused(memory: MemoryFileSystem) -> None:
    harness = LogHarness(memory, "/data")
    uid = harness.register()
    for index in range(1, 4):
        harness.write(append(uid, entries(index, index, size_bytes=3000)))
    harness.close()
    missing = f"/data/wal/{2:020d}.wal"
    memory.unlink(missing)
    with pytest.raises(DataCorruptionError) as caught:
        LogHarness(memory, "/data")
    assert caught.value.path == missing


def test_w07_zeros_end_the_log(file_system: FileSystem, folder: str) -> None:
    """The last batch is damaged beyond its header, the preallocated rest is zeros."""
    _, last = directory_with_unconfirmed_batch(file_system, folder)
    overwrite(file_system, last.path, last.start + 35, b"\xff")
    harness = LogHarness(file_system, folder)
    assert harness.store().entries == entries(1, 4)
    harness.close()


def test_what_follows_a_torn_tail_does_not_bring_it_back(
    file_system: FileSystem, folder: str
) -> None:
    _, last = directory_with_unconfirmed_batch(file_system, folder)
    whole = content_of(file_system, last)
    overwrite(file_system, last.path, last.start, bytes(len(whole)))
    harness = LogHarness(file_system, folder)
    harness.vote(harness.store().uid, 2)
    harness.write(append(harness.store().uid, entries(5, 5, term=2)))
    harness.close()
    overwrite(file_system, last.path, last.start, whole)  # the sectors turn up again
    harness = LogHarness(file_system, folder)
    assert harness.log() == {1: 1, 2: 1, 3: 1, 4: 1, 5: 2}
    harness.close()


def test_w08_an_overwrite_across_files_brings_nothing_back(
    file_system: FileSystem, folder: str
) -> None:
    harness = LogHarness(file_system, folder)
    uid = harness.register(term=2)
    harness.write(append(uid, entries(1, 10, size_bytes=300)))
    harness.write(append(uid, entries(5, 6, term=2, size_bytes=2000)))
    expected = {1: 1, 2: 1, 3: 1, 4: 1, 5: 2, 6: 2}
    assert len(harness.system.write_ahead_log.take_closed_files()) == 1
    for _ in range(2):
        harness = reopened(harness)
        assert harness.log() == expected
        harness.flush()
    assert reopened(harness).log() == expected


def test_w08_a_truncation_in_a_later_file_survives_the_flush(memory: MemoryFileSystem) -> None:
    """The later file keeps no entry, and still its segment must say what it made void."""
    harness = LogHarness(memory, "/data")
    uid = harness.register()
    harness.write(append(uid, entries(1, 10)))
    harness = reopened(harness)
    harness.flush()
    harness.write(truncation(uid, 5))
    for _ in range(2):
        harness = reopened(harness)
        assert harness.log() == dict.fromkeys(range(1, 5), 1)
        harness.flush()
    assert reopened(harness).log() == dict.fromkeys(range(1, 5), 1)


def test_w08_an_overwriting_segment_outlives_the_one_it_overwrites(
    memory: MemoryFileSystem,
) -> None:
    """A snapshot covers all of the newer segment, but not all the older one once held."""
    harness = LogHarness(memory, "/data")
    uid = harness.register(term=2)
    harness.write(append(uid, entries(1, 10)))
    harness = reopened(harness)
    harness.flush()
    harness.write(append(uid, entries(5, 6, term=2)))
    harness = reopened(harness)
    harness.flush()
    harness.take_snapshot(uid, snapshot_meta(6, term=2))
    assert reopened(harness).log() == {}


def test_w16_writing_the_same_entries_again_changes_nothing(memory: MemoryFileSystem) -> None:
    """A writer that was not told of its success sends once more."""
    harness = LogHarness(memory, "/data")
    uid = harness.register()
    for _ in range(3):
        assert harness.write(append(uid, entries(1, 5))) == []
    assert reopened(harness).store().entries == entries(1, 5)


def test_w25_entries_in_both_log_and_segment_are_there_once(memory: MemoryFileSystem) -> None:
    """A crash came after the segment was written and before the log file was dropped."""
    harness = LogHarness(memory, "/data")
    uid = harness.register(term=2)
    harness.write(append(uid, entries(1, 10)))
    harness.write(append(uid, entries(5, 6, term=2)))
    harness = reopened(harness)
    with_log = memory.contents()
    harness.flush()
    for path, data in with_log.items():
        if path.endswith(".wal"):
            memory.create(path).pwrite(data, 0)
    assert len([path for path in memory.contents() if path.endswith((".wal", ".segment"))]) == 2
    assert reopened(harness).log() == {1: 1, 2: 1, 3: 1, 4: 1, 5: 2, 6: 2}


def test_w26_what_a_deleted_store_wrote_is_not_its_successors(
    file_system: FileSystem, folder: str
) -> None:
    harness = LogHarness(file_system, folder)
    old = harness.register()
    harness.write(append(old, entries(1, 10)))
    harness.directory.unregister("orders")
    new = harness.register()
    assert new != old
    harness = reopened(harness)
    assert harness.store().entries == []
    harness.write(append(new, entries(1, 2)))
    harness.flush()
    harness = reopened(harness)
    assert harness.store().entries == entries(1, 2)
    assert file_system.listdir(f"{folder}/stores") == [new]
    harness.close()


@pytest.mark.parametrize("what", ["", "/meta", "/segments", "/snapshots"])
def test_w28_a_store_whose_files_were_removed_does_not_hold_up_others(
    memory: MemoryFileSystem, what: str
) -> None:
    harness = LogHarness(memory, "/data")
    broken, fine = harness.register("broken"), harness.register("fine")
    harness.write(append(broken, entries(1, 3)), append(fine, entries(1, 2)))
    harness.close()
    gone = f"/data/stores/{broken}{what}"
    for path in list(memory._entries):
        if path == gone or path.startswith(gone + "/"):
            del memory._entries[path]
    harness = LogHarness(memory, "/data")
    assert harness.store("fine").entries == entries(1, 2)
    assert list(harness.system.damaged) == ["broken"]
    assert isinstance(harness.system.damaged["broken"], DataCorruptionError)
    assert str(harness.system.damaged["broken"].path).startswith(gone)
    harness.flush()
    assert reopened(harness).store("fine").entries == entries(1, 2)


def test_entries_of_a_damaged_store_are_kept_until_it_is_repaired(
    memory: MemoryFileSystem,
) -> None:
    harness = LogHarness(memory, "/data")
    uid = harness.register()
    harness.write(append(uid, entries(1, 3)))
    harness.take_snapshot(uid, snapshot_meta(2))
    harness.close()
    path = f"/data/stores/{uid}/snapshots/{2:020d}.snapshot"
    memory.flip(path, 60)
    harness = LogHarness(memory, "/data")
    assert "orders" in harness.system.damaged
    harness.flush()
    memory.flip(path, 60)
    assert reopened(harness).store().entries == entries(3, 3)


@pytest.mark.parametrize("what", ["", "/segments"])
def test_entries_of_a_store_whose_folder_is_away_are_there_when_it_is_back(
    memory: MemoryFileSystem, what: str
) -> None:
    harness = LogHarness(memory, "/data")
    broken, fine = harness.register("broken"), harness.register("fine")
    harness.write(append(broken, entries(1, 3)), append(fine, entries(1, 2)))
    harness.flush()
    harness = reopened(harness)
    harness.flush()
    harness.write(append(broken, entries(4, 6)))
    harness.close()
    gone = f"/data/stores/{broken}{what}"
    away = {
        path: memory._entries.pop(path)
        for path in list(memory._entries)
        if path == gone or path.startswith(gone + "/")
    }
    harness = LogHarness(memory, "/data")
    assert list(harness.system.damaged) == ["broken"]
    harness.flush()
    harness = reopened(harness)
    assert list(harness.system.damaged) == ["broken"]
    harness.close()
    memory._entries.update(away)
    harness = LogHarness(memory, "/data")
    assert harness.store("broken").entries == entries(1, 6)
    assert harness.store("fine").entries == entries(1, 2)


def test_a_hole_between_snapshot_and_log_is_refused(memory: MemoryFileSystem) -> None:
    harness = LogHarness(memory, "/data")
    uid = harness.register()
    harness.write(append(uid, entries(1, 3)))
    harness.take_snapshot(uid, snapshot_meta(10))
    harness.system.write_ahead_log.set_last_index(uid, Index(10))
    harness.write(append(uid, entries(11, 12)))
    harness = reopened(harness)
    assert harness.store().entries == entries(11, 12)
    memory.unlink(f"/data/stores/{uid}/snapshots/{10:020d}.snapshot")
    error = reopened(harness).system.damaged["orders"]
    assert "10 entries from index 1 on are missing" in str(error)
    assert error.path == f"/data/wal/{1:020d}.wal"


def test_a_term_behind_the_log_is_refused(memory: MemoryFileSystem) -> None:
    """The term is durable before an entry of it is written: this one has been lost."""
    harness = LogHarness(memory, "/data")
    uid = harness.register(term=1)
    harness.write(append(uid, entries(1, 1, term=2)))
    error = reopened(harness).system.damaged["orders"]
    assert isinstance(error, DataCorruptionError)
    assert error.path == f"/data/stores/{uid}/meta"


def test_s15_a_snapshot_ahead_of_the_log_is_where_the_store_starts(
    memory: MemoryFileSystem,
) -> None:
    harness = LogHarness(memory, "/data")
    uid = harness.register()
    harness.write(append(uid, entries(1, 3)))
    harness.take_snapshot(uid, snapshot_meta(5))
    harness = reopened(harness)
    assert harness.store().entries == []
    assert harness.store().snapshot == snapshot_meta(5)
    assert harness.write(append(uid, entries(6, 6))) == []
    assert reopened(harness).store().entries == entries(6, 6)


def test_s12_an_installed_snapshot_voids_a_conflicting_log(memory: MemoryFileSystem) -> None:
    harness = LogHarness(memory, "/data")
    uid = harness.register(term=5)
    harness.write(append(uid, entries(1, 120, term=5)))
    harness.write(truncation(uid, 100))
    harness.take_snapshot(uid, snapshot_meta(100, term=4))
    assert reopened(harness).store().entries == []


def test_leftovers_of_a_crash_are_removed(memory: MemoryFileSystem) -> None:
    harness = LogHarness(memory, "/data")
    uid = harness.register()
    harness.write(append(uid, entries(1, 3)))
    harness.take_snapshot(uid, snapshot_meta(2))
    harness.take_snapshot(uid, snapshot_meta(3))
    harness = reopened(harness)
    tidy = set(memory.contents())
    for name in (
        "registry.new",
        f"wal/{9:020d}.wal.new",
        f"stores/{uid}/meta.new",
        f"stores/{uid}/segments/{9:020d}.segment.new",
        f"stores/{uid}/snapshots/{9:020d}.snapshot.new",
        f"stores/{uid}/snapshots/received.new",
        f"stores/{uid}/snapshots/{2:020d}.snapshot",
    ):
        memory.create(f"/data/{name}")
    memory.make_directory("/data/stores/GONE")
    memory.create("/data/stores/GONE/meta")
    harness = reopened(harness)
    assert set(memory.contents()) == tidy
    assert not memory.exists("/data/stores/GONE")


def test_leftovers_that_cannot_be_removed_do_no_harm(memory: MemoryFileSystem) -> None:
    harness = LogHarness(memory, "/data")
    harness.register()
    memory.create("/data/registry.new")
    harness.close()
    memory.hook = fail(30, "unlink", times=100)
    assert LogHarness(memory, "/data").store().entries == []


def test_what_was_recovered_is_durable_though_the_process_died_before_its_sync() -> None:
    """Else a store that acts on what it has read could lose it at the next power cut."""
    for seed in range(20):
        memory = MemoryFileSystem()
        harness = LogHarness(memory, "/data")
        uid = harness.register()
        harness.write(append(uid, entries(1, 2)))
        memory.hook = fail(5, "fdatasync", times=1000)
        with pytest.raises(DiskFailedError):
            harness.write(append(uid, entries(3, 4)))
        memory.process_death()
        found = LogHarness(memory, "/data").store().entries
        memory.power_loss(random.Random(seed))
        assert LogHarness(memory, "/data").store().entries == found


def test_recovering_on_a_broken_disk_is_refused(memory: MemoryFileSystem) -> None:
    _, last = directory_with_unconfirmed_batch(memory, "/data")
    del last
    memory.hook = fail(5, "fdatasync", times=1000)
    with pytest.raises(DiskFailedError):
        LogHarness(memory, "/data")
    memory.hook = None
    assert LogHarness(memory, "/data").store().entries == entries(1, 7)


@pytest.mark.parametrize("path_part", ["wal", "meta", "registry", "identity", "segments"])
def test_a_read_error_is_a_storage_error(memory: MemoryFileSystem, path_part: str) -> None:
    harness = LogHarness(memory, "/data")
    uid = harness.register()
    harness.write(append(uid, entries(1, 3)))
    harness = reopened(harness)
    harness.flush()
    harness.write(append(uid, entries(4, 4)))
    harness.close()
    memory.hook = fail(5, "pread", path_part=path_part)
    try:
        damaged = LogHarness(memory, "/data").system.damaged
    except DiskFailedError:
        pass
    else:
        assert isinstance(damaged["orders"], DiskFailedError)


# One store, read again while its system runs.


def test_a_store_can_be_read_again_while_its_system_runs(
    file_system: FileSystem, folder: str
) -> None:
    harness = LogHarness(file_system, folder)
    uid = harness.register()
    harness.register("other")
    for index in range(1, 8):
        harness.write(append(uid, entries(index, index, size_bytes=1500)))
        assert read_store(harness.directory, "orders").entries == entries(
            1, index, size_bytes=1500
        )
        if index == 5:
            harness.flush()
            harness.take_snapshot(uid, snapshot_meta(2))
            break
    again = read_store(harness.directory, "orders")
    assert (again.snapshot, terms(again.entries)) == (snapshot_meta(2), {3: 1, 4: 1, 5: 1})
    assert read_store(harness.directory, "other").entries == []
    harness.close()


def test_reading_again_leaves_out_what_a_failed_write_left_in_the_cache(
    memory: MemoryFileSystem,
) -> None:
    harness = LogHarness(memory, "/data")
    uid = harness.register()
    harness.write(append(uid, entries(1, 2)))
    memory.hook = fail(5, "fdatasync", times=1000)
    with pytest.raises(DiskFailedError):
        harness.write(append(uid, entries(3, 4)))
    assert read_store(harness.directory, "orders").entries == entries(1, 2)


def test_reading_again_sees_damage(memory: MemoryFileSystem) -> None:
    harness = LogHarness(memory, "/data")
    uid = harness.register()
    harness.write(append(uid, entries(1, 2)))
    memory.flip(f"/data/wal/{1:020d}.wal", 4096 + 50)
    with pytest.raises(DataCorruptionError):
        read_store(harness.directory, "orders")


def test_reading_again_starts_over_when_files_move_meanwhile(memory: MemoryFileSystem) -> None:
    harness = LogHarness(memory, "/data")
    uid = harness.register()
    harness.write(append(uid, entries(1, 1, size_bytes=3000)))
    harness.write(append(uid, entries(2, 2, size_bytes=3000)))
    flushed: list[StorageError | None] = []

    def flush_at_the_first_read(operation: object) -> None:
        del operation
        memory.hook = None
        harness.flush()
        harness.take_snapshot(uid, snapshot_meta(1))
        flushed.append(None)

    memory.hook = flush_at_the_first_read
    again = read_store(harness.directory, "orders")
    assert flushed
    assert (again.snapshot, terms(again.entries)) == (snapshot_meta(1), {2: 1})
    assert chunks_of(snapshot_meta(1))
