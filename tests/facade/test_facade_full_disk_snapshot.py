"""Snapshots on a full disk: one that covers what was refused, one that makes space."""

from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING

import pytest

from khepri.actors.server_messages import TakeSnapshotNow
from khepri.errors import DiskFullError, KhepriError
from khepri.log.shared_file_system import SharedFileSystem
from khepri.testing import memory_store
from tests.facade.facade_helpers import eventually

if TYPE_CHECKING:
    from khepri import Store
    from khepri.log.memory_file_system import Operation


def test_the_log_goes_on_after_a_snapshot_taken_on_a_full_disk() -> None:
    files = SharedFileSystem()

    def hook(operation: Operation) -> None:
        if operation.name == "pwrite" and "/wal" in operation.path:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with memory_store(file_system=files) as store:
        store.put("/a", 1)
        with files.guard:
            files.inner.hook = hook
        with pytest.raises(DiskFullError):
            store.put("/a", 2, timeout=10)
        server = store._get_node().access(store.store_id).server
        assert server is not None
        server.ask(TakeSnapshotNow(), timeout=20)
        with files.guard:
            files.inner.hook = None
        eventually(lambda: works(store), "service after there is space again")
    with memory_store(file_system=files) as store:
        assert store.get("/b") is True


def works(store: Store) -> bool:
    try:
        store.put("/b", True, timeout=10)
    except KhepriError:
        return False
    return True


def test_a_busy_store_on_a_small_disk_never_fills_it_for_good() -> None:
    """Its log would take the last space, and then nothing could be moved to where it may go."""
    files = SharedFileSystem()
    files.inner.capacity_bytes = 12 << 20
    acknowledged: dict[int, int] = {}
    written_bytes = number = 0
    with memory_store({"snapshot_interval_seconds": 0.01}, file_system=files) as store:
        deadline = time.monotonic() + 60
        while written_bytes < 4 * files.inner.capacity_bytes:
            number += 1
            try:
                store.put(f"/l/{number % 100}", [number, "x" * 20_000], timeout=10)
            except DiskFullError:
                assert time.monotonic() < deadline, f"full for good after {written_bytes} bytes"
                continue
            acknowledged[number % 100] = number
            written_bytes += 20_000
    with memory_store(file_system=files) as store:
        for place, number in acknowledged.items():
            assert store.get(f"/l/{place}")[0] == number
        # It may have ended while the disk was full; what is to be moved is moved after the start.
        eventually(lambda: works(store), "service after the restart")
