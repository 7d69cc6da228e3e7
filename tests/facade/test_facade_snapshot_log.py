"""When a snapshot is taken, and that one which a full disk refuses is told once."""

from __future__ import annotations

import errno
import logging
import os
from typing import TYPE_CHECKING

from khepri.log.shared_file_system import SharedFileSystem
from khepri.testing import memory_store
from tests.facade.facade_helpers import eventually

if TYPE_CHECKING:
    import pytest

    from khepri.log.memory_file_system import Operation


def test_the_same_refusal_of_snapshots_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    refused: set[str] = set()

    def full(operation: Operation) -> None:
        if operation.name == "create" and "/snapshots/" in operation.path:
            refused.add(operation.path)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    files = SharedFileSystem()
    config = {"snapshot_entries": 2, "snapshot_interval_seconds": 0}
    with (
        caplog.at_level(logging.ERROR, "khepri"),
        memory_store(config, file_system=files) as store,
    ):
        with files.guard:
            files.inner.hook = full

        def is_refused_often() -> bool:
            store.put("/a", len(refused))
            store.put("/a", -1)
            return len(refused) >= 4

        eventually(is_refused_often, "refused snapshots of different names")
        with files.guard:
            files.inner.hook = None
    told = [record for record in caplog.records if "no snapshot" in record.getMessage()]
    assert len(told) == 1


def test_a_store_that_is_started_and_only_read_keeps_a_short_log() -> None:
    """Each start elects a leader, which is an entry: no log may grow by that for ever."""
    files = SharedFileSystem()
    config = {"snapshot_entries": 10, "snapshot_interval_seconds": 0}
    for _ in range(12):
        with memory_store(config, file_system=files) as store:
            assert not store.exists("/a")
    with memory_store(config, file_system=files):

        def has_snapshot() -> bool:
            with files.guard:
                return any("/snapshots/" in path for path in files.inner.contents())

        eventually(has_snapshot, "a snapshot")
