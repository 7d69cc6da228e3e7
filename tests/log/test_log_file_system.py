"""The contract of `FileSystem`, on the real one and on its twin."""

from __future__ import annotations

import errno
import multiprocessing
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from khepri.errors import (
    DirectoryAccessError,
    DirectoryLockedError,
    DiskFailedError,
    DiskFullError,
    StorageError,
)
from khepri.log.file_system import storage_error
from khepri.log.posix_file_system import PosixFileSystem

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

    from khepri.log.file_system import FileSystem


def test_what_is_written_is_read_back(file_system: FileSystem, folder: str) -> None:
    file = file_system.create(f"{folder}/a")
    file.pwrite(b"hello world", 0)
    file.pwrite(b"W", 6)
    assert file.pread(5, 6) == b"World"
    assert file.size() == 11
    file.close()
    again = file_system.open(f"{folder}/a", writable=False)
    assert again.pread(100, 0) == b"hello World"
    again.close()


def test_a_read_is_short_only_at_the_end(file_system: FileSystem, folder: str) -> None:
    file = file_system.create(f"{folder}/a")
    file.pwrite(b"12345", 0)
    assert (file.pread(3, 3), file.pread(3, 5), file.pread(3, 99)) == (b"45", b"", b"")
    file.close()


def test_a_write_behind_the_end_leaves_zeros_between(file_system: FileSystem, folder: str) -> None:
    file = file_system.create(f"{folder}/a")
    file.pwrite(b"x", 3)
    assert file.pread(9, 0) == b"\0\0\0x"
    file.close()


def test_creating_again_empties_the_file(file_system: FileSystem, folder: str) -> None:
    first = file_system.create(f"{folder}/a")
    first.pwrite(b"old", 0)
    first.close()
    second = file_system.create(f"{folder}/a")
    assert second.size() == 0
    second.close()


def test_closing_twice_is_allowed(file_system: FileSystem, folder: str) -> None:
    file = file_system.create(f"{folder}/a")
    file.fdatasync()
    file.close()
    file.close()


def test_a_rename_replaces_its_target_and_open_files_stay_readable(
    file_system: FileSystem, folder: str
) -> None:
    for name in ("old", "new"):
        file = file_system.create(f"{folder}/{name}")
        file.pwrite(name.encode(), 0)
        file.close()
    reader = file_system.open(f"{folder}/old", writable=False)
    file_system.rename(f"{folder}/new", f"{folder}/old")
    file_system.fsync_directory(folder)
    assert file_system.listdir(folder) == ["old"]
    assert reader.pread(9, 0) == b"old"
    reader.close()
    replaced = file_system.open(f"{folder}/old", writable=False)
    assert replaced.pread(9, 0) == b"new"
    replaced.close()


def test_a_removed_file_stays_readable_where_it_is_open(
    file_system: FileSystem, folder: str
) -> None:
    file = file_system.create(f"{folder}/a")
    file.pwrite(b"here", 0)
    file_system.unlink(f"{folder}/a")
    assert not file_system.exists(f"{folder}/a")
    assert file.pread(9, 0) == b"here"
    file.close()


def test_directories_are_made_listed_in_order_and_removed(
    file_system: FileSystem, folder: str
) -> None:
    for name in ("b", "c", "a"):
        file_system.make_directory(f"{folder}/{name}")
    assert file_system.listdir(folder) == ["a", "b", "c"]
    file_system.remove_directory(f"{folder}/b")
    assert file_system.listdir(folder) == ["a", "c"]
    assert not file_system.is_world_writable(f"{folder}/a")


def test_a_directory_that_is_not_empty_is_not_removed(
    file_system: FileSystem, folder: str
) -> None:
    file_system.make_directory(f"{folder}/a")
    file_system.create(f"{folder}/a/b").close()
    with pytest.raises(StorageError):
        file_system.remove_directory(f"{folder}/a")


def test_what_is_missing_or_in_the_way_is_an_access_error_with_its_cause(
    file_system: FileSystem, folder: str
) -> None:
    file_system.make_directory(f"{folder}/a")
    for attempt in (
        lambda: file_system.open(f"{folder}/missing", writable=False),
        lambda: file_system.create(f"{folder}/missing/file"),
        lambda: file_system.listdir(f"{folder}/missing"),
        lambda: file_system.unlink(f"{folder}/missing"),
        lambda: file_system.make_directory(f"{folder}/a"),
    ):
        with pytest.raises(DirectoryAccessError) as caught:
            attempt()
        assert caught.value.path is not None


def test_a_lock_excludes_everybody_until_it_is_released(
    file_system: FileSystem, folder: str
) -> None:
    lock = file_system.lock(f"{folder}/lock", "process 7 on here")
    with pytest.raises(DirectoryLockedError, match="process 7 on here") as caught:
        file_system.lock(f"{folder}/lock", "another")
    assert caught.value.holder == "process 7 on here"
    lock.release()
    lock.release()
    file_system.lock(f"{folder}/lock", "another").release()


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, DiskFullError),
        (errno.EDQUOT, DiskFullError),
        (errno.EACCES, DirectoryAccessError),
        (errno.EROFS, DirectoryAccessError),
        (errno.EPERM, DirectoryAccessError),
        (errno.ENOTDIR, DirectoryAccessError),
        (errno.EIO, DiskFailedError),
        (errno.EMFILE, DiskFailedError),
    ],
)
def test_each_system_error_has_one_of_ours(number: int, expected: type[StorageError]) -> None:
    error = storage_error(OSError(number, os.strerror(number)), "/data/file")
    assert type(error) is expected
    assert error.path == "/data/file"
    assert os.strerror(number) in str(error)


# The real file system alone.


def test_files_and_directories_are_private(tmp_path: Path) -> None:
    file_system = PosixFileSystem()
    file_system.make_directory(f"{tmp_path}/a")
    file_system.create(f"{tmp_path}/a/b").close()
    file_system.lock(f"{tmp_path}/lock", "me").release()
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "a/b").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "lock").stat().st_mode) == 0o600


def test_a_world_writable_directory_is_seen(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    assert PosixFileSystem().is_world_writable(str(tmp_path))
    tmp_path.chmod(0o770)
    assert not PosixFileSystem().is_world_writable(str(tmp_path))


def test_the_lock_file_is_never_removed(tmp_path: Path) -> None:
    PosixFileSystem().lock(f"{tmp_path}/lock", "me").release()
    assert (tmp_path / "lock").exists()


def test_a_lock_file_that_was_replaced_does_not_give_a_second_holder(tmp_path: Path) -> None:
    """Both would hold "the" lock; at least the file that has the name is the one that counts."""
    file_system = PosixFileSystem()
    first = file_system.lock(f"{tmp_path}/lock", "first")
    (tmp_path / "lock").unlink()
    second = file_system.lock(f"{tmp_path}/lock", "second")
    with pytest.raises(DirectoryLockedError, match="second"):
        file_system.lock(f"{tmp_path}/lock", "third")
    first.release()
    second.release()


def test_closing_another_descriptor_of_the_lock_file_does_not_release_it(tmp_path: Path) -> None:
    """POSIX record locks fail here, flock does not."""
    file_system = PosixFileSystem()
    lock = file_system.lock(f"{tmp_path}/lock", "me")
    (tmp_path / "lock").read_text()
    with pytest.raises(DirectoryLockedError):
        file_system.lock(f"{tmp_path}/lock", "another")
    lock.release()


def _live_until(started: Event, end: Event) -> None:
    started.set()
    end.wait(timeout=30)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    file_system = PosixFileSystem()
    lock = file_system.lock(f"{tmp_path}/lock", "me")
    context = multiprocessing.get_context("fork")
    started, end = context.Event(), context.Event()
    child = context.Process(target=_live_until, args=(started, end))
    child.start()
    assert started.wait(timeout=30)
    lock.release()
    file_system.lock(f"{tmp_path}/lock", "another").release()
    end.set()
    child.join(timeout=30)
    assert child.exitcode == 0


def test_no_descriptor_is_inherited_by_a_new_program(tmp_path: Path) -> None:
    file_system = PosixFileSystem()
    file = file_system.create(f"{tmp_path}/a")
    lock = file_system.lock(f"{tmp_path}/lock", "me")
    mine = [
        int(name)
        for name in os.listdir("/proc/self/fd")  # noqa: PTH208 - descriptors, not files
        if os.path.exists(f"/proc/self/fd/{name}")  # noqa: PTH110
        and str(tmp_path) in str(Path(f"/proc/self/fd/{name}").readlink())
    ]
    assert len(mine) == 2
    assert not any(os.get_inheritable(descriptor) for descriptor in mine)
    file.close()
    lock.release()


def test_a_full_device_is_told_from_a_broken_one() -> None:
    """/dev/full answers every write with ENOSPC."""
    file = PosixFileSystem().open("/dev/full", writable=True)
    with pytest.raises(DiskFullError) as caught:
        file.pwrite(b"x", 0)
    assert isinstance(caught.value.__cause__, OSError)
    file.close()


def test_writes_and_reads_that_the_kernel_cuts_are_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Case W13: a short write is no error and must not leave a hole."""
    write, read = os.pwrite, os.pread

    def write_three_bytes(descriptor: int, data: bytes, offset: int) -> int:
        return write(descriptor, bytes(data)[:3], offset)

    def read_four_bytes(descriptor: int, size_bytes: int, offset: int) -> bytes:
        return read(descriptor, min(size_bytes, 4), offset)

    file = PosixFileSystem().create(f"{tmp_path}/a")
    monkeypatch.setattr(os, "pwrite", write_three_bytes)
    monkeypatch.setattr(os, "pread", read_four_bytes)
    file.pwrite(b"0123456789", 2)
    assert file.pread(20, 0) == b"\0\x000123456789"
    file.close()


def test_it_says_how_much_room_there_is(file_system: FileSystem, folder: str) -> None:
    assert file_system.free_bytes(folder) > 1 << 20


def test_where_nobody_says_how_much_room_there_is_there_is_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def says_nothing(_path: str) -> os.statvfs_result:
        return os.statvfs_result((4096, 4096, *[0] * 8))

    monkeypatch.setattr(os, "statvfs", says_nothing)
    assert PosixFileSystem().free_bytes("/") > 1 << 40


WITHOUT_STANDARD_STREAMS = """
import os, sys
from khepri.log.posix_file_system import PosixFileSystem
os.closerange(0, 3)
system, folder = PosixFileSystem(), sys.argv[1]
kept = [system.lock(folder + "/lock", "us"), system.create(folder + "/file")]
kept.append(system.open(folder + "/file", writable=True))
ours = []
for number in range(20):
    try:
        link = os.readlink(f"/proc/self/fd/{number}")
    except OSError:
        continue
    if link.startswith(folder):
        ours.append(number)
os._exit(0 if len(ours) == 3 and ours[0] > 2 else 1)
"""


def test_no_file_of_ours_becomes_standard_output_of_a_process_that_has_none(
    tmp_path: Path,
) -> None:
    program = [sys.executable, "-c", WITHOUT_STANDARD_STREAMS, str(tmp_path)]
    assert subprocess.run(program, check=False, timeout=60).returncode == 0
