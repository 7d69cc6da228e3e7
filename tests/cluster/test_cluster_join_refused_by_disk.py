"""A join that the joiner's disk refuses: what it had is there still, and runs."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from khepri.errors import DiskFullError
from khepri.remote_management import offer_management
from khepri.testing import LocalCluster

if TYPE_CHECKING:
    from khepri.log.memory_file_system import Operation


def fill(cluster: LocalCluster, number: int, path_part: str) -> None:
    """Let a node's disk have no room for some files; for all again if none is named."""

    def full(operation: Operation) -> None:
        if operation.name in {"create", "pwrite"} and path_part in operation.path:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    files = cluster._files[number]
    with files.guard:
        files.inner.hook = full if path_part else None


def test_a_store_whose_full_disk_refuses_a_join_runs_on_and_joins_later() -> None:
    with LocalCluster(2) as cluster:
        cluster.store(0).put("/theirs", 1)
        cluster.manager(1).reset(cluster.store_id)
        cluster.manager(1).start("/cluster", cluster.store_id)
        cluster.store(1).put("/own", 1)
        fill(cluster, 1, "/registry")
        for _ in range(2):
            with pytest.raises(DiskFullError):
                cluster.manager(1).join(cluster.name(0), cluster.store_id, 10)
            assert cluster.store(1).get("/own") == 1
        fill(cluster, 1, "")
        cluster.store(1).put("/own", 2, timeout=10)
        cluster.manager(1).join(cluster.name(0), cluster.store_id, 20)
        assert cluster.store(1).get("/theirs") == 1


def test_a_joiner_that_has_lost_the_old_store_and_gets_no_new_one_says_so_and_joins_later() -> (
    None
):
    with LocalCluster(2) as cluster:
        cluster.store(0).put("/theirs", 1)
        cluster.manager(1).reset(cluster.store_id)
        cluster.manager(1).start("/cluster", cluster.store_id)
        told: list[str] = []
        cluster.node(1).on_failure = told.append
        fill(cluster, 1, "/meta")
        with pytest.raises(DiskFullError):
            cluster.manager(1).join(cluster.name(0), cluster.store_id, 10)
        assert len(told) == 1
        assert "is down" in told[0]
        fill(cluster, 1, "")
        cluster.manager(1).start("/cluster", cluster.store_id)
        cluster.manager(1).join(cluster.name(0), cluster.store_id, 20)
        assert cluster.store(1).get("/theirs") == 1


def test_a_store_whose_full_disk_refuses_a_reset_from_outside_runs_on() -> None:
    with LocalCluster(1) as cluster:
        node = cluster.node(0)
        offer_management(node)  # as a node does that the command line asks
        cluster.store(0).put("/own", 1)
        fill(cluster, 0, "/registry")
        with pytest.raises(DiskFullError):
            node.call(node.name, "reset_store", (cluster.store_id, 10.0), 20.0)
        assert cluster.store(0).get("/own") == 1
        fill(cluster, 0, "")
        cluster.store(0).put("/own", 2, timeout=10)
        node.call(node.name, "reset_store", (cluster.store_id, 10.0), 20.0)
        assert not cluster.store(0).exists("/own")
