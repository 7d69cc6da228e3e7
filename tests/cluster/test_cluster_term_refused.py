"""A disk that does not take term and vote: reads go on, and the member comes back by itself."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from khepri.errors import DirectoryAccessError, StorageError
from khepri.testing import LocalCluster
from tests.cluster.cluster_helpers import PATIENCE_SECONDS, await_equal_trees, eventually

if TYPE_CHECKING:
    from khepri.log.memory_file_system import Operation


def refuse(cluster: LocalCluster, number: int, error_number: int) -> None:
    """Have a node's disk take nothing any more; 0 for one that does again."""

    def hook(operation: Operation) -> None:
        if operation.name in {"pwrite", "fdatasync", "create", "rename", "unlink"}:
            raise OSError(error_number, os.strerror(error_number))

    files = cluster._files[number]
    with files.guard:
        files.inner.hook = hook if error_number else None


@pytest.mark.parametrize("error_number", [errno.EROFS, errno.EIO, errno.ENOSPC])
def test_a_member_that_cannot_save_its_term_outlives_elections_and_comes_back(
    error_number: int,
) -> None:
    with LocalCluster(3) as cluster:
        leader = cluster.leader()
        ill, other = (number for number in range(3) if number != leader)
        cluster.store(leader).put("/a", 1)
        eventually(lambda: cluster.store(ill).get_or("/a", 0) == 1, "the put everywhere")
        server = cluster.node(ill).access(cluster.store_id).server
        refuse(cluster, ill, error_number)
        for target in (other, leader, other):  # terms that the ill one cannot note
            name = cluster.name(target)
            cluster.manager(target).transfer_leadership(name, timeout=PATIENCE_SECONDS)
            cluster.store(target).put("/a", 2, timeout=PATIENCE_SECONDS)
            assert cluster.store(ill).get("/a") in {1, 2}
        with pytest.raises(StorageError):
            cluster.store(ill).get("/a", favor="consistency", timeout=PATIENCE_SECONDS)
        with pytest.raises(StorageError):
            cluster.store(ill).put("/b", 3, timeout=PATIENCE_SECONDS)
        assert cluster.manager(ill).status(cluster.store_id).role != "leader"
        refuse(cluster, ill, 0)
        eventually(lambda: cluster.store(ill).get("/a") == 2, "that it has caught up")
        cluster.store(ill).put("/b", 3, timeout=PATIENCE_SECONDS)
        await_equal_trees(cluster)
        assert cluster.node(ill).access(cluster.store_id).server is server  # never restarted


def test_a_store_that_cannot_save_its_first_term_does_not_start() -> None:
    with LocalCluster(1) as cluster:
        cluster.store(0).put("/a", 1)
        cluster.manager(0).stop(cluster.store_id)
        refuse(cluster, 0, errno.EROFS)
        with pytest.raises(DirectoryAccessError):
            cluster.manager(0).start("/cluster", cluster.store_id)
        refuse(cluster, 0, 0)
        cluster.manager(0).start("/cluster", cluster.store_id)
        assert cluster.store(0).get("/a") == 1
