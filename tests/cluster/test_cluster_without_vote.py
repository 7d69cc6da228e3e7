"""Members without a vote: they have everything, and nobody waits for them."""

from __future__ import annotations

from functools import partial

import pytest

from khepri.errors import KhepriTimeoutError, NotDoneError, WrongTypeError
from khepri.testing.local_cluster import LocalCluster
from tests.cluster.cluster_helpers import (
    QUICK,
    await_equal_trees,
    eventually,
    leader_among,
    role,
)


def join_without_vote(cluster: LocalCluster, number: int) -> None:
    """Have a node become a member of that kind; it was one with a vote."""
    cluster.manager(number).join(cluster.name(0), cluster.store_id, 30, votes=False)


def kinds(cluster: LocalCluster) -> dict[int, str | None]:
    return {
        number: cluster.manager(number).status(cluster.store_id).kind
        for number in cluster.running()
    }


@pytest.mark.parametrize("transport", ["memory", "zmq"])
def test_a_member_without_a_vote_reads_and_writes_as_every_other(transport: str) -> None:
    with LocalCluster(3, transport=transport) as cluster:  # type: ignore[arg-type]
        cluster.store(0).put("/before", 1)
        join_without_vote(cluster, 2)
        guest = cluster.store(2)
        assert guest.get("/before") == 1
        guest.put("/from/it", 2)
        assert guest.get("/from/it") == 2
        assert guest.increment("/from/it") == 3
        assert cluster.store(0).get("/from/it", favor="consistency") == 3
        cluster.store(1).put("/later", 4)
        assert guest.get("/later", favor="consistency") == 4
        cluster.store(0).put("/there", 5, reply_from=cluster.name(2))
        assert guest.get("/there") == 5
        assert guest.transaction(lambda it: it.get("/there") + it.increment("/n")) == 6
        assert kinds(cluster) == {0: "voter", 1: "voter", 2: "non_voter"}
        assert len(cluster.manager(0).members(cluster.store_id)) == 3
        leader = cluster.manager(cluster.leader()).status(cluster.store_id)
        assert {peer.kind for peer in leader.peers} == {"voter", "non_voter"}


def test_no_majority_waits_for_those_without_a_vote() -> None:
    with LocalCluster(5, config=QUICK) as cluster:
        for number in (3, 4):
            join_without_vote(cluster, number)
        for number in (3, 4):
            cluster.kill(number)
        cluster.kill(2)  # one of three voters
        leader_among(cluster, (0, 1))
        cluster.store(0).put("/written", "by two of five", timeout=20)
        for number in (2, 3, 4):
            cluster.restart(number)
        assert await_equal_trees(cluster)["/written"][0] == "by two of five"
        assert kinds(cluster)[4] == "non_voter"  # also from its own disk


def test_a_member_without_a_vote_never_leads() -> None:
    with LocalCluster(3, config=QUICK) as cluster:
        cluster.store(0).put("/a", 1)
        join_without_vote(cluster, 2)
        for number in (0, 1):
            cluster.kill(number)
        with pytest.raises(KhepriTimeoutError):
            cluster.store(2).put("/a", 2, timeout=2)
        assert role(cluster, 2) == "follower"
        assert cluster.store(2).get("/a") == 1
        cluster.restart(0)
        cluster.restart(1)
        cluster.store(2).put("/a", 3, timeout=20)
        leader = cluster.leader()
        assert leader in {0, 1}
        with pytest.raises(NotDoneError) as error:
            cluster.manager(leader).transfer_leadership(cluster.name(2), cluster.store_id, 10)
        assert error.value.facts["reason"] == "non_voter"


def test_a_leader_that_stops_hands_over_to_a_voter() -> None:
    with LocalCluster(3) as cluster:
        join_without_vote(cluster, 2)
        leader = cluster.leader()
        cluster.stop_node(leader)
        other = 1 - leader
        eventually(lambda: role(cluster, other) != "follower", "somebody who tries to lead")
        assert role(cluster, 2) == "follower"


def test_joining_again_makes_a_voter_and_back() -> None:
    with LocalCluster(3, config=QUICK) as cluster:
        join_without_vote(cluster, 2)
        cluster.store(2).put("/a", 1)
        incarnation = cluster.node(2).store_setup(cluster.store_id)[1].uid
        cluster.manager(2).join(cluster.name(0), cluster.store_id, 30)
        assert kinds(cluster)[2] == "voter"
        assert cluster.node(2).store_setup(cluster.store_id)[1].uid == incarnation  # nothing sent
        cluster.kill(1)
        cluster.store(2).put("/a", 2, timeout=20)  # two of three
        cluster.restart(1)
        join_without_vote(cluster, 2)
        assert kinds(cluster) == {0: "voter", 1: "voter", 2: "non_voter"}
        assert cluster.store(2).get("/a") == 2


def test_one_without_a_vote_leaves_and_is_removed_like_others() -> None:
    with LocalCluster(4) as cluster:
        for number in (2, 3):
            join_without_vote(cluster, number)
        cluster.manager(2).reset(cluster.store_id, 20)
        cluster.kill(3)
        cluster.manager(0).remove_member(cluster.name(3), cluster.store_id, 20)
        members = cluster.manager(1).members(cluster.store_id)
        assert [member.node for member in members] == [cluster.name(0), cluster.name(1)]


def test_the_last_voter_leaves_after_those_without_a_vote_and_is_told_so() -> None:
    with LocalCluster(2, config=QUICK) as cluster:
        join_without_vote(cluster, 1)
        for leave in (cluster.manager(0).reset, partial(cluster.manager(0).join, cluster.name(1))):
            with pytest.raises(NotDoneError, match="once no member without a vote is left"):
                leave(cluster.store_id, 20)
        cluster.manager(1).reset(cluster.store_id, 20)
        cluster.manager(0).reset(cluster.store_id, 20)


def test_the_last_one_left_can_be_made_the_only_member() -> None:
    with LocalCluster(3, config=QUICK) as cluster:
        cluster.store(0).put("/a", 1)
        join_without_vote(cluster, 2)
        for number in (0, 1):
            cluster.kill(number)
        cluster.manager(2).force_single_member(cluster.store_id, 20)
        cluster.store(2).put("/a", 2, timeout=20)
        assert kinds(cluster) == {2: "voter"}


def test_a_vote_is_there_or_not() -> None:
    with LocalCluster(1) as cluster, pytest.raises(WrongTypeError, match="votes"):
        cluster.manager(0).join("other@127.0.0.1:1", cluster.store_id, 1, votes="no")  # type: ignore[arg-type]
