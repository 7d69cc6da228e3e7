"""The fault model of the file system in memory: each sentence of its docstring."""

from __future__ import annotations

import errno
import random
from typing import TYPE_CHECKING

import pytest

from khepri.errors import (
    DirectoryAccessError,
    DirectoryLockedError,
    DiskFailedError,
    DiskFullError,
)
from khepri.log.memory_file_node import SECTOR_BYTES
from khepri.log.memory_file_system import MemoryFileSystem, SimulatedCrash
from tests.log.log_helpers import fail

if TYPE_CHECKING:
    from collections.abc import Callable

    from khepri.log.memory_file_system import MemoryFile, Operation

SEEDS = range(200)


def durable_file(memory: MemoryFileSystem, content: bytes, path: str = "/a") -> MemoryFile:
    file = memory.create(path)
    if content:
        file.pwrite(content, 0)
    file.fdatasync()
    memory.fsync_directory("/")
    assert type(file).__name__ == "MemoryFile"
    return file  # type: ignore[return-value] # asserted above


def after_power_loss(
    prepare: Callable[[MemoryFileSystem], None], path: str = "/a"
) -> set[bytes | None]:
    """Give all contents a file may have after a power loss, None for no file."""
    found: set[bytes | None] = set()
    for seed in SEEDS:
        memory = MemoryFileSystem()
        prepare(memory)
        memory.power_loss(random.Random(seed))
        found.add(memory.contents().get(path))
    return found


def test_synced_writes_survive_a_power_loss() -> None:
    assert after_power_loss(lambda memory: (durable_file(memory, b"x"), None)[1]) == {b"x"}


def test_unsynced_writes_may_be_lost() -> None:
    def prepare(memory: MemoryFileSystem) -> None:
        durable_file(memory, b"old").pwrite(b"new", 0)

    assert after_power_loss(prepare) == {b"old", b"new"}


def test_a_write_is_torn_at_sector_boundaries_in_any_combination() -> None:
    old, new = b"." * 3 * SECTOR_BYTES, b"x" * 3 * SECTOR_BYTES

    def prepare(memory: MemoryFileSystem) -> None:
        durable_file(memory, old).pwrite(new, 0)

    found = after_power_loss(prepare)
    assert len(found) == 8
    for content in found:
        assert content is not None
        for start in range(0, len(content), SECTOR_BYTES):
            assert len(set(content[start : start + SECTOR_BYTES])) == 1


def test_a_later_write_may_survive_an_earlier_one() -> None:
    def prepare(memory: MemoryFileSystem) -> None:
        file = durable_file(memory, bytes(2 * SECTOR_BYTES))
        file.pwrite(b"1", 0)
        file.pwrite(b"2", SECTOR_BYTES)

    assert any(
        content and content[0] == 0 and content[SECTOR_BYTES]
        for content in after_power_loss(prepare)
    )


def test_a_sector_may_have_any_value_it_had_since_the_last_sync() -> None:
    def prepare(memory: MemoryFileSystem) -> None:
        file = durable_file(memory, b"0")
        file.pwrite(b"1", 0)
        file.pwrite(b"2", 0)

    assert after_power_loss(prepare) == {b"0", b"1", b"2"}


def test_the_size_of_a_file_is_lost_like_its_content() -> None:
    def prepare(memory: MemoryFileSystem) -> None:
        durable_file(memory, b"ab").pwrite(b"c", 2)

    assert after_power_loss(prepare) == {b"ab", b"abc", b"ab\0"}


def test_a_new_file_needs_a_sync_of_its_directory() -> None:
    def prepare(memory: MemoryFileSystem) -> None:
        file = memory.create("/a")
        file.pwrite(b"x", 0)
        file.fdatasync()

    assert after_power_loss(prepare) == {None, b"x"}


def test_w31_a_rename_is_lost_or_not_but_its_target_is_never_missing() -> None:
    def prepare(memory: MemoryFileSystem) -> None:
        durable_file(memory, b"old")
        durable_file(memory, b"new", "/b")
        memory.rename("/b", "/a")

    assert after_power_loss(prepare) == {b"old", b"new"}


def test_w32_a_rename_may_be_durable_before_the_content() -> None:
    def prepare(memory: MemoryFileSystem) -> None:
        durable_file(memory, b"old")
        memory.create("/b").pwrite(b"new", 0)
        memory.rename("/b", "/a")
        memory.fsync_directory("/")

    assert after_power_loss(prepare) == {b"", b"\0\0\0", b"new"}


def test_a_removal_may_be_undone_and_each_by_itself() -> None:
    survivors: set[tuple[str, ...]] = set()
    for seed in SEEDS:
        memory = MemoryFileSystem()
        durable_file(memory, b"", "/a")
        durable_file(memory, b"", "/b")
        memory.unlink("/a")
        memory.unlink("/b")
        memory.power_loss(random.Random(seed))
        survivors.add(tuple(memory.contents()))
    assert len(survivors) == 4


def test_what_builds_on_a_lost_entry_is_lost_too() -> None:
    def prepare(memory: MemoryFileSystem) -> None:
        memory.make_directory("/folder")
        memory.create("/folder/a").fdatasync()
        memory.fsync_directory("/folder")

    assert after_power_loss(prepare, "/folder/a") == {None, b""}


def test_what_was_in_a_removed_directory_does_not_come_back_with_its_name() -> None:
    """It is let go of, too: a store that is deleted costs no memory for ever."""

    def prepare(memory: MemoryFileSystem) -> None:
        memory.make_directory("/folder")
        memory.fsync_directory("/")
        memory.create("/folder/a").fdatasync()
        memory.fsync_directory("/folder")
        memory.unlink("/folder/a")
        memory.remove_directory("/folder")
        memory.fsync_directory("/")
        memory.make_directory("/folder")
        memory.fsync_directory("/")

    assert after_power_loss(prepare, "/folder/a") == {None}


def test_process_death_keeps_what_was_written_and_frees_the_locks(
    memory: MemoryFileSystem,
) -> None:
    memory.create("/a").pwrite(b"x", 0)
    memory.lock("/lock", "me")
    memory.process_death()
    assert memory.contents() == {"/a": b"x"}
    memory.lock("/lock", "another")
    with pytest.raises(DirectoryLockedError, match="another"):
        memory.lock("/lock", "third")


def test_a_failed_sync_loses_the_write_and_a_later_one_does_not_help() -> None:
    """The pages are clean and can be read; they never reach the disk (ATC '20)."""

    def prepare(memory: MemoryFileSystem) -> None:
        file = durable_file(memory, b"old")
        file.pwrite(b"new", 0)
        memory.hook = fail(errno.EIO, "fdatasync")
        with pytest.raises(DiskFailedError):
            file.fdatasync()
        file.fdatasync()
        assert file.pread(3, 0) == b"new"

    assert after_power_loss(prepare) == {b"old", b"new"}


def test_after_a_failed_sync_writing_again_and_syncing_helps() -> None:
    def prepare(memory: MemoryFileSystem) -> None:
        file = durable_file(memory, b"old")
        file.pwrite(b"new", 0)
        memory.hook = fail(errno.EIO, "fdatasync")
        with pytest.raises(DiskFailedError):
            file.fdatasync()
        file.pwrite(b"new", 0)
        file.fdatasync()

    assert after_power_loss(prepare) == {b"new"}


def test_a_full_disk_takes_what_fits_and_works_again_when_there_is_space() -> None:
    memory = MemoryFileSystem(capacity_bytes=5)
    file = memory.create("/a")
    file.pwrite(b"1234", 0)
    with pytest.raises(DiskFullError):
        file.pwrite(b"5678", 4)
    assert file.pread(9, 0) == b"12345"
    file.pwrite(b"abcde", 0)  # no growth, no space needed
    memory.capacity_bytes = 8
    file.pwrite(b"5678", 4)
    assert file.pread(9, 0) == b"abcd5678"


@pytest.mark.parametrize(
    "name", ["pwrite", "create", "rename", "unlink", "fsync_directory", "pread"]
)
def test_any_operation_can_be_made_to_fail(memory: MemoryFileSystem, name: str) -> None:
    file = durable_file(memory, b"old")
    memory.hook = fail(errno.EIO, name)

    def do_all() -> None:
        file.pwrite(b"x", 0)
        file.pread(1, 0)
        memory.create("/b")
        memory.rename("/b", "/c")
        memory.unlink("/c")
        memory.fsync_directory("/")

    with pytest.raises(DiskFailedError):
        do_all()
    do_all()


def test_after_a_simulated_crash_nothing_happens_until_the_restart(
    memory: MemoryFileSystem,
) -> None:
    file = durable_file(memory, b"old")

    def crash(operation: Operation) -> None:
        raise SimulatedCrash(operation)

    memory.hook = crash
    for _ in range(2):
        with pytest.raises(SimulatedCrash):
            file.pwrite(b"new", 0)
    memory.process_death()
    assert memory.contents()["/a"] == b"old"
    with pytest.raises(AssertionError, match="dead"):
        file.pread(1, 0)


def test_operations_are_numbered(memory: MemoryFileSystem) -> None:
    seen: list[Operation] = []
    memory.hook = seen.append
    durable_file(memory, b"x")
    assert [(one.number, one.name) for one in seen] == [
        (1, "create"),
        (2, "pwrite"),
        (3, "fdatasync"),
        (4, "fsync_directory"),
    ]


def test_rot_and_cuts(memory: MemoryFileSystem) -> None:
    durable_file(memory, b"abc")
    memory.flip("/a", 1, 0x01)
    memory.cut("/a", 2)
    assert memory.contents() == {"/a": b"ac"}


def test_a_copy_is_independent_and_durable(memory: MemoryFileSystem) -> None:
    memory.make_directory("/folder")
    file = memory.create("/folder/a")
    file.pwrite(b"x", 0)
    copy = memory.copy()
    file.pwrite(b"y", 0)
    copy.power_loss(random.Random(0))
    assert copy.contents() == {"/folder/a": b"x"}


def test_paths_must_lead_somewhere(memory: MemoryFileSystem) -> None:
    with pytest.raises(DirectoryAccessError):
        memory.create("/missing/a")
    memory.make_directory("/folder")
    with pytest.raises(DirectoryAccessError):
        memory.open("/folder", writable=False)


def test_open_files_are_counted(memory: MemoryFileSystem) -> None:
    file = durable_file(memory, b"x")
    assert memory.open_files == 1
    file.close()
    file.close()
    assert memory.open_files == 0
    with pytest.raises(AssertionError, match="closed"):
        file.pread(1, 0)


def test_the_same_seed_gives_the_same_loss() -> None:
    def lose(seed: int) -> dict[str, bytes]:
        memory = MemoryFileSystem()
        file = durable_file(memory, bytes(20 * SECTOR_BYTES))
        file.pwrite(b"x" * 20 * SECTOR_BYTES, 0)
        memory.power_loss(random.Random(seed))
        return memory.contents()

    assert lose(1) == lose(1)
    assert lose(1) != lose(2)
