"""A join that the joiner's disk refuses: what it had is there still, and runs."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from khepri.errors import DiskFullError
from khepri.testing import LocalCluster

if TYPE_CHECKING:
    from khepri.log.memory_file_system import Operation


def test_a_store_whose_full_disk_refuses_a_join_runs_on_and_joins_later() -> None:
    with LocalCluster(2) as cluster:
        cluster.store(0).put("/theirs", 1)
        cluster.manager(1).reset(cluster.store_id)
        cluster.manager(1).start("/cluster", cluster.store_id)
        cluster.store(1).put("/own", 1)

        def full(operation: Operation) -> None:
            if operation.name in {"create", "pwrite"} and "/registry" in operation.path:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        files = cluster._files[1]
        with files.guard:
            files.inner.hook = full
        for _ in range(2):
            with pytest.raises(DiskFullError):
                cluster.manager(1).join(cluster.name(0), cluster.store_id, 10)
            assert cluster.store(1).get("/own") == 1
        with files.guard:
            files.inner.hook = None
        cluster.store(1).put("/own", 2, timeout=10)
        cluster.manager(1).join(cluster.name(0), cluster.store_id, 20)
        assert cluster.store(1).get("/theirs") == 1
