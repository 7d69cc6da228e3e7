"""What a server finds that is started again while its Ra system runs on."""

from __future__ import annotations

import errno
import random

import pytest

from khepri.errors import StorageError
from khepri.log.memory_file_system import MemoryFileSystem
from khepri.log.rereading import read_store
from tests.log.log_helpers import (
    LogHarness,
    append,
    chunks_of,
    entries,
    fail,
    snapshot_meta,
    truncation,
)


@pytest.mark.parametrize("seed", range(8))
def test_a_snapshot_that_was_found_again_survives_a_power_loss(seed: int) -> None:
    """The sync of its name had failed, and the server confirms to its leader what it found."""
    memory = MemoryFileSystem()
    harness = LogHarness(memory, "/data")
    uid = harness.register()
    harness.write(append(uid, entries(1, 5)))
    meta = snapshot_meta(9)
    harness.write(truncation(uid, meta.index))
    memory.hook = fail(errno.EIO, "fsync_directory", path_part="snapshots")
    with pytest.raises(StorageError):
        harness.snapshots(uid).write(meta, chunks_of(meta))
    memory.hook = None
    found = read_store(harness.directory, "orders")
    assert found.snapshot == meta
    memory.power_loss(random.Random(seed))
    assert LogHarness(memory, "/data").store().snapshot == meta
