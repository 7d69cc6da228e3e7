"""A snapshot that covers entries which the disk refused."""

from __future__ import annotations

import errno
import os
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
