"""A snapshot that a full disk refuses again and again is told once."""

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
