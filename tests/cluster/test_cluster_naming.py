"""A store that began in one program, on a node without a name, becomes the first of a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from khepri.actors.node import Node
from khepri.management import ClusterManager
from khepri.store import Store
from khepri.testing import LocalCluster
from khepri.testing.local_cluster import DIRECTORY
from tests.cluster.cluster_helpers import await_equal_trees, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

SNAPSHOT_ENTRIES = 64


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    """Two nodes whose disks are empty, and which do not run."""
    with LocalCluster(2, config={"snapshot_entries": SNAPSHOT_ENTRIES}) as both:
        for number in (0, 1):
            both.kill(number)
            both.lose_disk(number)
        yield both


def begin_without_a_name(cluster: LocalCluster, puts: int) -> tuple[bytes, int]:
    """Write on the disk of the first node; give the cluster id and the last index there."""
    node = Node(file_system=cluster._files[0])
    manager = ClusterManager(node)
    store_id = manager.start(DIRECTORY, cluster._config, 10)
    store = Store(store_id, node)
    for number in range(puts):
        store.put(f"/before/{number % 10}", number)
    if puts > SNAPSHOT_ENTRIES:
        eventually(lambda: manager.status(store_id).snapshot_index, "a snapshot")
    status = manager.status(store_id)
    cluster_id = store.access.cluster_id
    node.stop()
    return cluster_id, status.last_index


@pytest.mark.parametrize("puts", [0, 10, 3 * SNAPSHOT_ENTRIES])
def test_a_store_without_a_name_takes_its_data_into_a_cluster(
    cluster: LocalCluster, puts: int
) -> None:
    cluster_id, last_index = begin_without_a_name(cluster, puts)
    cluster.restart(0)
    first = cluster.store(0)
    assert cluster.manager(0).nodes(first.store_id) == [cluster.name(0)]
    assert first.access.cluster_id == cluster_id
    assert cluster.manager(0).status(first.store_id).last_index > last_index
    assert first.count("/before/*") == min(puts, 10)
    if puts:
        assert first.get(f"/before/{(puts - 1) % 10}") == puts - 1
    cluster.restart(1)
    cluster.manager(1).join(cluster.name(0), cluster.store_id, 20)
    cluster.store(1).put("/after", 1)
    await_equal_trees(cluster)
    assert cluster.store(1).count("/before/*") == min(puts, 10)


def test_it_keeps_the_name_it_was_given(cluster: LocalCluster) -> None:
    begin_without_a_name(cluster, 3 * SNAPSHOT_ENTRIES)
    for _ in range(3):
        cluster.restart(0)
        assert cluster.manager(0).nodes(cluster.store_id) == [cluster.name(0)]
        assert cluster.store(0).count("/before/*") == 10
        cluster.kill(0)
    cluster.restart(0)
    cluster.store(0).put("/after", 1)
