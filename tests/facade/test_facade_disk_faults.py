"""A disk that is full, fails, or loses power: what users see, and that nothing is lost."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import threading
from typing import TYPE_CHECKING

import pytest

import khepri
from khepri.actors.node import Node
from khepri.actors.wal_writer import VoidLog
from khepri.errors import (
    DataCorruptionError,
    DirectoryAccessError,
    DiskFailedError,
    DiskFullError,
    KhepriError,
    StorageError,
    UnknownFormatError,
)
from khepri.log.memory_file_system import Operation, SimulatedCrash
from khepri.log.shared_file_system import SharedFileSystem
from khepri.management import ClusterManager
from khepri.raft.types import Index
from khepri.testing import memory_store
from khepri.testing.memory_store import DIRECTORY
from tests.facade.facade_helpers import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path as FilePath


def set_hook(files: SharedFileSystem, hook: Callable[[Operation], None] | None) -> None:
    with files.guard:
        files.inner.hook = hook


def failing(name: str, number: int) -> Callable[[Operation], None]:
    """Fail every call of that name in the log's folder."""

    def hook(operation: Operation) -> None:
        if operation.name == name and "/wal" in operation.path:
            raise OSError(number, os.strerror(number))

    return hook


def test_a_full_disk_refuses_writes_serves_reads_and_recovers_by_itself() -> None:
    files = SharedFileSystem()
    with memory_store(file_system=files) as store:
        store.put("/a", 1)
        set_hook(files, failing("pwrite", errno.ENOSPC))
        with pytest.raises(DiskFullError) as first:
            store.put("/a", 2, timeout=10)
        assert first.value.outcome == "unknown"
        with pytest.raises(DiskFullError) as second:
            store.put("/a", 3, timeout=10)
        assert second.value.outcome == "not_applied"
        assert store.get("/a") == 1
        assert store.get("/a", favor="consistency", timeout=10) in {1, 2}
        set_hook(files, None)

        def works_again() -> bool:
            try:
                store.put("/b", 4, timeout=10)
            except DiskFullError:
                return False
            return True

        eventually(works_again, "service after there is space again")
        assert store.get("/b") == 4
        # The first refused write was in the log already: it may come true. The second never.
        assert store.get("/a") in {1, 2}
    with memory_store(file_system=files) as store:
        assert store.get("/b") == 4
        assert store.get("/a") in {1, 2}


def test_a_failed_sync_acknowledges_nothing_and_loses_nothing() -> None:
    files = SharedFileSystem()
    with memory_store(file_system=files) as store:
        store.put("/a", 1)
        set_hook(files, failing("fdatasync", errno.EIO))
        with pytest.raises(DiskFailedError):
            store.put("/a", 2, timeout=10)
        set_hook(files, None)
        eventually(lambda: put_works(store, "/b"), "service after the disk is back")
    with files.guard:
        files.inner.power_loss(random.Random(1))
    with memory_store(file_system=files) as store:
        assert store.exists("/b")
        assert store.get("/a") in {1, 2}


def test_a_store_starts_on_a_full_disk_and_can_be_read() -> None:
    files = SharedFileSystem()
    with memory_store(file_system=files) as store:
        store.put("/a", 1)
    set_hook(files, failing("pwrite", errno.ENOSPC))
    with memory_store(file_system=files) as store:
        assert store.get("/a") == 1
        with pytest.raises(DiskFullError):
            store.put("/a", 2, timeout=10)
        with pytest.raises(DiskFullError):
            store.get("/a", favor="consistency", timeout=10)
        set_hook(files, None)
        eventually(lambda: put_works(store, "/b"), "service after there is space again")
        assert store.get("/b", favor="consistency") is True


def test_a_server_whose_refused_writes_a_snapshot_made_void_writes_again() -> None:
    """Found at a follower whose disk was full when it was sent a snapshot."""
    files = SharedFileSystem()
    with memory_store(file_system=files) as store:
        store.put("/a", 1)
        set_hook(files, failing("pwrite", errno.ENOSPC))
        with pytest.raises(DiskFullError):
            store.put("/a", 2, timeout=10)
        _, setup = store.node.store_setup(store.store_id)
        void = setup.wal_writer.request(VoidLog(setup.uid, Index(1_000)))
        with pytest.raises(DiskFullError):
            void.get(timeout=10)
        set_hook(files, None)
        eventually(lambda: put_works(store, "/b"), "service after there is space again")


def test_a_store_that_could_be_read_only_after_its_directory_was_opened_takes_writes() -> None:
    """Its log began at 1 for the writer, which saw a gap before every write, for ever."""
    files = SharedFileSystem()
    with memory_store("one", file_system=files) as store:
        ClusterManager(store.node).start(DIRECTORY, "two")
        khepri.Store("two", store.node).put("/a", 1)
        uid = store.node.store_setup("two")[1].uid

    def unreadable(operation: Operation) -> None:
        if operation.name == "pread" and f"{uid}/meta" in operation.path:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    set_hook(files, unreadable)
    with memory_store("one", file_system=files) as store:
        manager, two = ClusterManager(store.node), khepri.Store("two", store.node)
        with pytest.raises(DiskFailedError):
            manager.start(DIRECTORY, "two")
        set_hook(files, None)
        manager.start(DIRECTORY, "two", 10)
        assert two.get("/a") == 1
        two.put("/a", 2, timeout=10)
        store.put("/a", 3)
    with memory_store("two", file_system=files) as store:
        assert store.get("/a") == 2


def refusing_changes(number: int) -> Callable[[Operation], None]:
    """Fail whatever changes something, anywhere, as a file system that was remounted read-only."""

    def hook(operation: Operation) -> None:
        if operation.name != "pread":
            raise OSError(number, os.strerror(number))

    return hook


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EIO])
def test_a_disk_that_becomes_read_only_stops_writes_alone(number: int) -> None:
    files = SharedFileSystem()
    with memory_store(file_system=files) as store:
        store.put("/a", 1)
        set_hook(files, refusing_changes(number))
        for _ in range(3):
            with pytest.raises(StorageError):
                store.put("/a", 2, timeout=10)
            assert store.get("/a") == 1
            assert store.get("/a", favor="consistency", timeout=10) in {1, 2}
        set_hook(files, None)
        eventually(lambda: put_works(store, "/b"), "service after the disk is back")


def test_a_server_that_cannot_start_leaves_no_file_open() -> None:
    files = SharedFileSystem()
    node = Node(file_system=files)
    manager = ClusterManager(node)
    try:
        manager.start(DIRECTORY, "stays")
        manager.start(DIRECTORY, "fails")
        manager.stop("fails")
        eventually(lambda: "fails" not in node.stores, "the end of the store")
        before = files.inner.open_files

        def no_meta(operation: Operation) -> None:
            if operation.name == "fdatasync" and operation.path.endswith("/meta"):
                raise OSError(errno.EIO, os.strerror(errno.EIO))

        set_hook(files, no_meta)
        for _ in range(3):
            with pytest.raises(KhepriError):
                manager.start(DIRECTORY, "fails", 10)
        set_hook(files, None)
        eventually(lambda: files.inner.open_files == before, "all files closed")
    finally:
        node.stop()


def test_a_damaged_store_is_refused_and_the_others_of_its_directory_go_on(
    tmp_path: FilePath,
) -> None:
    directory = tmp_path / "data"
    khepri.start(directory, "damaged")
    (meta,) = directory.glob("stores/*/meta")
    khepri.start(directory, "whole")
    khepri.put("/a", 1, store_id="whole")
    khepri.stop("damaged")
    meta.write_bytes(b"\xff" * meta.stat().st_size)
    for _ in range(8):  # more often than anything is restarted
        with pytest.raises(DataCorruptionError):
            khepri.start(directory, "damaged")
        khepri.put("/a", 2, store_id="whole")
    assert khepri.get("/a", store_id="whole") == 2


def put_works(store: khepri.Store, path: str) -> bool:
    try:
        store.put(path, True, timeout=10)
    except KhepriError:
        return False
    return True


@pytest.mark.parametrize("seed", range(10))
def test_power_loss_at_any_moment_keeps_everything_acknowledged(seed: int) -> None:
    dice = random.Random(seed)
    files = SharedFileSystem()
    acknowledged = [0] * 4
    for _ in range(4):
        with contextlib.suppress(KhepriError, SimulatedCrash):
            write_until_power_is_lost(files, dice.randrange(1, 120), acknowledged)
        with files.guard:
            files.inner.hook = None
            files.inner.power_loss(dice)
        with memory_store(file_system=files) as store:
            for writer, last in enumerate(acknowledged):
                properties = store.adv.get_many(f"/w/{writer}").values()
                found = next(iter(properties), {"data": 0, "payload_version": 0})
                assert last <= found["data"] <= last + 1
                assert found["payload_version"] == found["data"]
                acknowledged[writer] = found["data"]


def write_until_power_is_lost(
    files: SharedFileSystem, crash_at: int, acknowledged: list[int]
) -> None:
    """Several writers, until the n-th operation of the file system does not return."""
    first = files.inner.operations
    is_lost = threading.Event()

    def hook(operation: Operation) -> None:
        if operation.number >= first + crash_at:
            is_lost.set()
            raise SimulatedCrash

    def write(store: khepri.Store, writer: int) -> None:
        while not is_lost.is_set():
            with contextlib.suppress(KhepriError):
                store.put(f"/w/{writer}", acknowledged[writer] + 1, timeout=0.5)
                acknowledged[writer] += 1

    config = {"snapshot_entries": 20, "snapshot_interval_seconds": 0}
    set_hook(files, hook)
    with memory_store(config, file_system=files) as store:
        writers = [
            threading.Thread(target=write, args=(store, writer))
            for writer in range(len(acknowledged))
        ]
        for thread in writers:
            thread.start()
        for thread in writers:
            thread.join()
    assert is_lost.is_set()


def test_a_world_writable_directory_is_refused() -> None:
    files = SharedFileSystem()
    with memory_store(file_system=files) as store:
        store.put("/a", 1)
    files.inner.make_world_writable(DIRECTORY)
    with pytest.raises(DirectoryAccessError), memory_store(file_system=files):
        pass


def test_a_directory_of_an_unknown_format_is_refused_and_untouched() -> None:
    files = SharedFileSystem()
    with memory_store(file_system=files) as store:
        store.put("/a", 1)
    before = files.inner.contents()
    name = next(path for path in before if "identity" in path)
    with files.guard:
        file = files.inner.open(name, writable=True)
        data = file.pread(64, 0)
        position = data.index(1, 4)
        file.pwrite(b"\x63", position)
    changed = files.inner.contents()
    with pytest.raises(KhepriError) as caught, memory_store(file_system=files):
        pass
    assert isinstance(caught.value, UnknownFormatError | khepri.errors.DataCorruptionError)
    assert files.inner.contents() == changed


def test_what_was_acknowledged_is_seen_by_a_store_that_was_killed_and_starts_on_a_full_disk() -> (
    None
):
    files = SharedFileSystem()
    with memory_store(file_system=files) as store:
        for number in range(1, 101):
            store.put("/n", number)
        files = files.end_process()  # no note of how far it was committed
    set_hook(files, failing("pwrite", errno.ENOSPC))
    with memory_store(file_system=files) as store:
        assert store.get_or("/n", None) == 100
        set_hook(files, None)


def test_one_more_store_on_a_full_disk_is_refused_and_the_others_go_on() -> None:
    files = SharedFileSystem()
    with memory_store(file_system=files) as store:
        store.put("/a", 1)
        files.inner.capacity_bytes = files.inner.file_bytes()
        manager = ClusterManager(store.node)
        with pytest.raises(DiskFullError):
            manager.start(DIRECTORY, "second", 10)
        with pytest.raises(DiskFullError):
            manager.reset(store.store_id, 10)
        assert not store.node.running.systems, "the directory is free, like after a stop"
        files.inner.capacity_bytes = None
        assert manager.start(DIRECTORY, "second", 10) == "second"
        manager.start(DIRECTORY, store.store_id, 10)
        assert store.get("/a") == 1
        assert put_works(store, "/b")
