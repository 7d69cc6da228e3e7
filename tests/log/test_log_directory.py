"""The data directory: made, locked, whose it is, which stores live in it."""

from __future__ import annotations

import errno
import os
import random
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from khepri.errors import (
    DataCorruptionError,
    DirectoryAccessError,
    DirectoryLockedError,
    DiskFullError,
    InvalidOptionError,
    StorageError,
    UnknownFormatError,
    WrongDirectoryError,
)
from khepri.log.directory import IDENTITY_FORMAT, REGISTRY_FORMAT, DataDirectory
from khepri.log.file_header import FileFormat, write_record_file
from khepri.log.memory_file_system import MemoryFileSystem
from khepri.log.posix_file_system import PosixFileSystem
from khepri.raft.types import UNDISTRIBUTED, ServerId
from tests.log.log_helpers import (
    CHANGES,
    NODE,
    LogHarness,
    append,
    entries,
    fail,
    hard_state,
    seeded_bytes,
)

if TYPE_CHECKING:
    from pathlib import Path

    from khepri.log.file_system import FileSystem
    from khepri.log.memory_file_system import Operation


def opened(file_system: FileSystem, path: str, node: str = NODE) -> DataDirectory:
    return DataDirectory.open(file_system, path, node, random_bytes=seeded_bytes())


def test_it_is_made_with_its_parents(file_system: FileSystem, folder: str) -> None:
    directory = opened(file_system, f"{folder}/a/b/c/")
    assert directory.path == f"{folder}/a/b/c"
    assert directory.stores == {}
    directory.close()
    opened(file_system, f"{folder}/a/b/c").close()


def test_registered_stores_come_back(file_system: FileSystem, folder: str) -> None:
    directory = opened(file_system, folder)
    names = ["orders", "a store/with: odd * characters", "Ünïcode", ""]
    uids = [directory.register(name) for name in names]
    assert len(set(uids)) == len(names)
    assert directory.stores == dict(zip(names, uids, strict=True))
    directory.close()
    again = opened(file_system, folder)
    assert again.stores == dict(zip(names, uids, strict=True))
    again.unregister("orders")
    again.close()
    last = opened(file_system, folder)
    assert list(last.stores) == sorted(names[1:])
    assert file_system.listdir(f"{folder}/stores") == sorted(uids[1:])
    last.close()


def test_a_registration_says_which_cluster_and_who_founded_it(
    file_system: FileSystem, folder: str
) -> None:
    directory = opened(file_system, folder)
    founder = directory.register("founded")
    directory.register("joined", cluster_id=b"somebody else's!")
    known = directory.registration("founded"), directory.registration("joined")
    assert (known[0].uid, len(known[0].cluster_id), known[0].founds) == (founder, 16, True)
    assert (known[1].cluster_id, known[1].founds) == (b"somebody else's!", False)
    directory.close()
    again = opened(file_system, folder)
    assert (again.registration("founded"), again.registration("joined")) == known
    again.close()


@pytest.mark.parametrize("seed", range(50))
def test_a_registered_store_survives_a_power_loss_at_once(seed: int) -> None:
    """Upstream wrote its names some time later and lost stores."""
    memory = MemoryFileSystem()
    directory = opened(memory, "/data")
    uids = {name: directory.register(name) for name in ("a", "b")}
    memory.power_loss(random.Random(seed))
    again = opened(memory, "/data")
    assert again.stores == uids
    again.unregister("a")
    memory.power_loss(random.Random(seed))
    assert list(opened(memory, "/data").stores) == ["b"]


def test_a_second_opener_is_told_who_has_it(file_system: FileSystem, folder: str) -> None:
    first = opened(file_system, folder)
    with pytest.raises(DirectoryLockedError, match=r"process \d+ on ") as caught:
        opened(file_system, folder)
    assert caught.value.path == f"{folder}/lock"
    first.close()
    opened(file_system, folder).close()


def test_another_nodes_directory_is_refused(file_system: FileSystem, folder: str) -> None:
    opened(file_system, folder, "alice@host").close()
    with pytest.raises(WrongDirectoryError) as caught:
        opened(file_system, folder, "bob@host")
    assert (caught.value.expected, caught.value.found) == ("bob@host", "alice@host")
    opened(file_system, folder, "alice@host").close()


def test_a_directory_of_a_node_without_a_name_goes_to_the_first_that_has_one(
    file_system: FileSystem, folder: str
) -> None:
    nameless = opened(file_system, folder, UNDISTRIBUTED)
    uid = nameless.register("orders")
    nameless.close()
    named = opened(file_system, folder, "alice@host")
    assert named.stores == {"orders": uid}
    named.close()
    for other in (UNDISTRIBUTED, "bob@host"):
        with pytest.raises(WrongDirectoryError, match="belongs to node alice@host"):
            opened(file_system, folder, other)
    opened(file_system, folder, "alice@host").close()


def test_names_that_are_too_long_are_refused_before_anything_is_made(
    memory: MemoryFileSystem,
) -> None:
    with pytest.raises(InvalidOptionError):
        opened(memory, "/data", "n" * 1001)
    assert not memory.exists("/data")
    directory = opened(memory, "/data", "n" * 1000)
    before = memory.contents()
    with pytest.raises(InvalidOptionError):
        directory.register("ü" * 501)
    assert memory.contents() == before
    uid = directory.register("ü" * 500)
    directory.meta(uid).write(hard_state(2**62, ServerId("ü" * 500, "n" * 1000)))


@pytest.mark.parametrize("file_format", [IDENTITY_FORMAT, REGISTRY_FORMAT])
def test_an_unknown_version_is_refused_untouched(
    memory: MemoryFileSystem, file_format: FileFormat
) -> None:
    opened(memory, "/data").close()
    path = f"/data/{file_format.name}"
    write_record_file(memory, path, FileFormat(file_format.name, 99), ["from", "the future"])
    before = memory.contents()
    with pytest.raises(UnknownFormatError) as caught:
        opened(memory, "/data")
    assert (caught.value.path, caught.value.version) == (path, 99)
    assert memory.contents() == before
    memory.lock("/data/lock", "another").release()


@pytest.mark.parametrize("missing", ["identity", "registry", "wal", "stores"])
def test_a_part_that_is_missing_is_refused(memory: MemoryFileSystem, missing: str) -> None:
    harness = LogHarness(memory, "/data")
    harness.write(append(harness.register(), entries(1, 2)))
    harness.close()
    for path in list(memory._entries):
        if path == f"/data/{missing}" or path.startswith(f"/data/{missing}/"):
            del memory._entries[path]
    before = memory.contents()
    with pytest.raises(DataCorruptionError) as caught:
        opened(memory, "/data")
    assert caught.value.path == f"/data/{missing}"
    assert memory.contents() == before


@pytest.mark.parametrize("crash_at", range(1, 20))
def test_an_interrupted_creation_is_completed_by_the_next_attempt(crash_at: int) -> None:
    for seed in range(10):
        memory = MemoryFileSystem()
        memory.hook = fail(5, *CHANGES, skip=crash_at, times=1000)
        with suppress(StorageError):
            opened(memory, "/data/deep")
        memory.power_loss(random.Random(seed))
        directory = opened(memory, "/data/deep")
        assert directory.stores == {}
        directory.register("orders")
        memory.power_loss(random.Random(seed))
        assert list(opened(memory, "/data/deep").stores) == ["orders"]


def test_a_world_writable_directory_is_refused(memory: MemoryFileSystem) -> None:
    memory.make_directory("/data")
    memory.make_world_writable("/data")
    with pytest.raises(DirectoryAccessError, match="chmod o-w"):
        opened(memory, "/data")
    assert memory.contents() == {}


def test_a_real_world_writable_directory_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(DirectoryAccessError, match="chmod o-w"):
        opened(PosixFileSystem(), str(tmp_path))
    tmp_path.chmod(0o770)
    opened(PosixFileSystem(), str(tmp_path)).close()


def test_everything_in_it_is_private(tmp_path: Path) -> None:
    harness = LogHarness(PosixFileSystem(), str(tmp_path / "data"))
    harness.write(append(harness.register(), entries(1, 2)))
    harness.close()
    for path in (tmp_path / "data").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_a_file_in_the_way_is_an_access_error(file_system: FileSystem, folder: str) -> None:
    file_system.create(f"{folder}/file").close()
    with pytest.raises(DirectoryAccessError):
        opened(file_system, f"{folder}/file/data")
    with pytest.raises(DirectoryAccessError):
        opened(file_system, f"{folder}/file")


def test_a_read_only_disk_is_an_access_error(memory: MemoryFileSystem) -> None:
    """Through the twin: the super-user, as whom tests may run, is not stopped by modes."""
    memory.hook = fail(30, *CHANGES, times=1000)
    with pytest.raises(DirectoryAccessError):
        opened(memory, "/data")
    memory.hook = None
    opened(memory, "/data").close()
    memory.hook = fail(30, *CHANGES, times=1000)
    with pytest.raises(DirectoryAccessError):
        LogHarness(memory, "/data")


def test_registering_on_a_full_disk_changes_nothing_and_works_later() -> None:
    memory = MemoryFileSystem()
    directory = opened(memory, "/data")
    memory.capacity_bytes = memory.file_bytes()
    with pytest.raises(DiskFullError):
        directory.register("orders")
    assert directory.stores == {}
    memory.capacity_bytes = None
    uid = directory.register("orders")
    directory.close()
    assert opened(memory, "/data").stores == {"orders": uid}


def test_a_store_that_cannot_be_removed_is_deleted_all_the_same(
    memory: MemoryFileSystem,
) -> None:
    harness = LogHarness(memory, "/data")
    harness.register()
    memory.hook = fail(5, "unlink", times=100)
    harness.directory.unregister("orders")
    memory.hook = None
    harness.close()
    again = LogHarness(memory, "/data")
    assert (again.directory.stores, memory.listdir("/data/stores")) == ({}, [])


@pytest.mark.parametrize("path", ["/data", "/var/lib/data"])
@pytest.mark.parametrize("seed", range(5))
def test_a_directory_whose_parents_were_not_synced_when_they_were_made_is_kept(
    path: str, seed: int
) -> None:
    """Made by the host program, or by an attempt that ended between mkdir and fsync."""
    memory = MemoryFileSystem()
    for depth in range(2, path.count("/") + 2):
        memory.make_directory("/".join(path.split("/")[:depth]))
    LogHarness(memory, path).register("orders")
    memory.power_loss(random.Random(seed))
    assert set(LogHarness(memory, path).directory.stores) == {"orders"}


def test_a_directory_below_a_folder_that_cannot_be_synced_is_used_all_the_same() -> None:
    """As where it is a volume, mounted on a file system of another kind."""
    memory = MemoryFileSystem()

    def refuse(operation: Operation) -> None:
        if operation.name == "fsync_directory" and operation.path == "/var/lib":
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    for path in ("/var", "/var/lib", "/var/lib/data"):
        memory.make_directory(path)
    memory.hook = refuse
    harness = LogHarness(memory, "/var/lib/data")
    harness.register("orders")
    harness.close()
    assert set(LogHarness(memory, "/var/lib/data").directory.stores) == {"orders"}


@pytest.mark.parametrize("death", ["power_loss", "process_death"])
def test_a_store_whose_removal_failed_half_way_is_settled_before_it_goes_on(death: str) -> None:
    memory = MemoryFileSystem()
    harness = LogHarness(memory, "/data")
    uid = harness.register("orders")
    memory.hook = fail(errno.EIO, "fsync_directory")
    with pytest.raises(StorageError):
        harness.directory.unregister("orders")
    assert "orders" in harness.directory.stores
    harness.directory.settle()
    harness.write(append(uid, entries(1, 3)))
    if death == "power_loss":
        memory.power_loss(random.Random(0))
    else:
        memory.process_death()
    assert LogHarness(memory, "/data").log("orders") == {1: 1, 2: 1, 3: 1}
