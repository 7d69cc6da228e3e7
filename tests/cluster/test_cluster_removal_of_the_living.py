"""A living member that leaves while another one is dead must not take the cluster along."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from khepri.errors import KhepriTimeoutError
from khepri.testing import LocalCluster
from tests.cluster.cluster_helpers import PATIENCE_SECONDS, QUICK, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 0.5

WAYS: dict[str, Callable[[LocalCluster, int, int], object]] = {
    "join": lambda cluster, living, leader: cluster.manager(living).join(
        cluster.name(leader), cluster.store_id, SECONDS
    ),
    "reset": lambda cluster, living, _: cluster.manager(living).reset(cluster.store_id, SECONDS),
    "remove": lambda cluster, living, leader: cluster.manager(leader).remove_member(
        cluster.name(living), cluster.store_id, SECONDS
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_removal_that_nobody_could_commit_is_refused_and_writes_go_on(way: str) -> None:
    with LocalCluster(3, config=QUICK) as cluster:
        leader = cluster.leader()
        living, dead = (number for number in range(3) if number != leader)
        cluster.kill(dead)

        def is_missed() -> bool:
            peers = cluster.manager(leader).status(cluster.store_id).peers
            return any(
                peer.server_id.node == cluster.name(dead) and not peer.is_reachable
                for peer in peers
            )

        eventually(is_missed, "that the leader misses the dead one")
        with pytest.raises(KhepriTimeoutError, match="no majority of the members that would be"):
            WAYS[way](cluster, living, leader)
        cluster.store(leader).put("/after", 1, timeout=PATIENCE_SECONDS)
        cluster.manager(leader).remove_member(cluster.name(dead), cluster.store_id)
        cluster.manager(living).reset(cluster.store_id)
        cluster.store(leader).put("/alone", 1)
