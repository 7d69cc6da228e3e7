"""`Store.info` in a cluster: which kind of member each is, and who leads, as each knows it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from khepri.testing.local_cluster import LocalCluster
from tests.cluster.cluster_helpers import QUICK, await_equal_trees, eventually

if TYPE_CHECKING:
    import khepri


def members(store: khepri.Store) -> list[str]:
    file = io.StringIO()
    store.info(file=file)
    _, part, tree = file.getvalue().split("\n\n")
    assert tree.endswith("/\n└── a: 1\n")
    return [line.strip() for line in part.splitlines()[1:]]


def test_each_member_says_of_all_which_kind_they_are_and_who_leads_if_it_knows() -> None:
    with LocalCluster(3, config=QUICK) as cluster:
        leader = cluster.leader()
        other, third = (leader + 1) % 3, (leader + 2) % 3
        cluster.store(leader).put("/a", 1)
        cluster.manager(other).reset(cluster.store_id)
        cluster.manager(other).start("/again", {"cluster_name": cluster.store_id, **QUICK})
        cluster.manager(other).join(cluster.name(leader), cluster.store_id, votes=False)
        await_equal_trees(cluster)
        here = {leader: "voter, leads", other: "has no vote", third: "voter"}
        for number in range(3):  # the change of members may be on its way to the last one
            wanted = [
                f"{cluster.name(at)}  {here[at]}" + (", this node" if at == number else "")
                for at in range(3)
            ]
            store = cluster.store(number)
            eventually(lambda: members(store) == wanted, str(wanted))  # noqa: B023 - at once
        assert cluster.manager(third).status(cluster.store_id).kinds == tuple(
            "non_voter" if at == other else "voter" for at in range(3)
        )
        cluster.kill(leader)
        cluster.kill(other)
        eventually(
            lambda: cluster.manager(third).status(cluster.store_id).leader is None, "no leader"
        )
        here[leader] = "voter"
        here[third] += ", this node"
        assert members(cluster.store(third)) == [
            *(f"{cluster.name(at)}  {here[at]}" for at in range(3)),
            "no leader is known: writes and consistent reads wait for one",
        ]
