"""Members die and return: no acknowledged write is lost, none is applied twice."""

from __future__ import annotations

import pytest

from khepri.errors import KhepriTimeoutError, ServerStoppedError
from khepri.testing.local_cluster import LocalCluster
from tests.cluster.cluster_helpers import (
    QUICK,
    Account,
    Writers,
    await_equal_trees,
    check_accounts,
    eventually,
    leader_among,
    others,
    timed,
)


@pytest.mark.parametrize("transport", ["memory", "zmq"])
@pytest.mark.parametrize("size", [3, 5])
def test_e18_the_leader_dies_under_load_and_another_serves_soon(size: int, transport: str) -> None:
    with LocalCluster(size, transport=transport) as cluster:  # type: ignore[arg-type]
        with Writers(cluster, range(size)) as writers:
            writers.await_progress(100)
            leader = cluster.leader()
            cluster.kill(leader)
            writers.await_progress(100)
            assert writers.longest_stall_seconds() < 3.0
            cluster.restart(leader)
            writers.await_progress(100)
        writers.check(await_equal_trees(cluster))


def test_e18_a_leader_that_is_started_again_at_once_takes_nothing_with_it() -> None:
    with LocalCluster(3, config=QUICK) as cluster:
        with Writers(cluster, range(3), per_node=1) as writers:
            for _ in range(3):
                writers.await_progress(30)
                leader = leader_among(cluster, range(3))
                cluster.kill(leader)
                cluster.restart(leader)
                leader_among(cluster, range(3))
            writers.await_progress(30)
        writers.check(await_equal_trees(cluster))


def test_a_kill_waits_for_nobody() -> None:
    with LocalCluster(3) as cluster:
        leader = leader_among(cluster, range(3))
        assert timed(lambda: cluster.kill(leader)).seconds < 0.5


def test_every_leader_dies_in_turn() -> None:
    with LocalCluster(3, config=QUICK) as cluster:
        with Writers(cluster, range(3), per_node=1) as writers:
            for _ in range(3):
                writers.await_progress(30)
                leader = leader_among(cluster, range(3))
                cluster.kill(leader)
                leader_among(cluster, others(cluster))
                writers.await_progress(30)
                cluster.restart(leader)
        writers.check(await_equal_trees(cluster))


def test_followers_die_and_return_under_load_without_a_pause() -> None:
    with LocalCluster(3) as cluster:
        leader = leader_among(cluster, range(3))
        with Writers(cluster, [leader]) as writers:
            for follower in others(cluster, leader):
                writers.await_progress(50)
                cluster.kill(follower)
                writers.await_progress(50)
                cluster.restart(follower)
        assert not writers.failures
        assert writers.longest_stall_seconds() < 0.5
        assert leader_among(cluster, range(3)) == leader
        writers.check(await_equal_trees(cluster))


@pytest.mark.parametrize("round_", range(2))
def test_e19_all_die_and_return_and_nothing_acknowledged_is_lost(round_: int) -> None:
    with LocalCluster(3, seed=round_) as cluster:
        with Writers(cluster, range(3)) as writers:
            writers.await_progress(150)
            for number in (round_, (round_ + 1) % 3, (round_ + 2) % 3):
                cluster.kill(number)
            for number in (2, 0, 1):
                cluster.restart(number)
            leader_among(cluster, range(3))
            writers.await_progress(50)
        writers.check(await_equal_trees(cluster))


def test_q03_after_a_restart_of_all_a_consistent_read_finds_the_write() -> None:
    with LocalCluster(3, config=QUICK) as cluster:
        cluster.store(1).put("/stays", "there")
        cluster.stop()
        for number in range(3):
            cluster.restart(number)
        for number in range(3):
            assert cluster.store(number).get("/stays", favor="consistency") == "there"


def test_a_restarted_member_serves_local_reads_of_the_past_while_nobody_leads() -> None:
    with LocalCluster(
        3, config={**QUICK, "snapshot_entries": 40, "snapshot_interval_seconds": 0}
    ) as cluster:
        for value in range(1, 101):
            cluster.store(0).put("/known", value)
        await_equal_trees(cluster)
        cluster.stop()
        cluster.restart(2)
        assert cluster.store(2).get("/known") == 100
        assert len(cluster.manager(2).locally_known_members(cluster.store_id)) == 3
        with pytest.raises(KhepriTimeoutError):
            cluster.store(2).put("/more", 1, timeout=0.3)


def test_a_killed_member_serves_local_reads_too_of_nearly_all_it_knew() -> None:
    with LocalCluster(3) as cluster:
        cluster.store(0).put("/known", 1)
        await_equal_trees(cluster)
        number = others(cluster, cluster.leader())[0]
        access = cluster.node(number).access(cluster.store_id)
        assert access.server is not None
        # The note is made every quarter of a second; wait for one that covers the write.
        seen = cluster.manager(number).status(cluster.store_id).last_applied
        note = cluster.node(number).ra_system("/cluster").storage.directory

        def is_noted() -> bool:
            found = note.commit_note(note.stores[cluster.store_id]).found
            return found is not None and found.index >= seen

        eventually(is_noted, "a note of the commit index")
        for each in range(3):
            cluster.kill(each)
        cluster.restart(number)
        assert cluster.store(number).get("/known") == 1


def test_a_node_whose_disk_was_lost_joins_again_and_has_its_data_back() -> None:
    with LocalCluster(3) as cluster:
        with Writers(cluster, [0, 1], per_node=1) as writers:
            writers.await_progress(50)
            cluster.kill(2)
            cluster.lose_disk(2)
            writers.await_progress(50)
            cluster.restart(2)
            assert cluster.store(2).is_empty()
            cluster.manager(2).join(cluster.name(0), cluster.store_id, 20)
            assert not cluster.store(2).is_empty()
            writers.await_progress(50)
        assert cluster.manager(1).nodes(cluster.store_id) == ["node0", "node1", "node2"]
        writers.check(await_equal_trees(cluster))
        cluster.store(2).put("/from/the/new/one", 1)


def test_a_leader_made_again_is_heard_by_who_slept_meanwhile() -> None:
    with LocalCluster(5) as cluster:
        cluster.kill(4)
        cluster.store(0).put("/before", 1)
        # Node 1 leaves and joins again: its incarnation is another one, unknown to node 4.
        cluster.manager(1).join(cluster.name(0), cluster.store_id, 20)
        cluster.manager(0).transfer_leadership(cluster.name(1), cluster.store_id, 10)
        assert leader_among(cluster, range(4)) == 1
        cluster.store(0).put("/after", 1)
        cluster.restart(4)
        assert cluster.store(4).get("/after", favor="consistency", timeout=10) == 1
        cluster.store(4).put("/more", 1)
        assert leader_among(cluster, range(5)) == 1


def test_a01_a_write_whose_node_dies_has_an_unknown_outcome_and_says_so() -> None:
    with LocalCluster(3) as cluster:
        victim = others(cluster, cluster.leader())[0]
        with Writers(cluster, [victim]) as writers:
            writers.await_progress(20)
            # Cut off, it has this one under way for sure; writers may be between two of theirs.
            cluster.partition([victim], others(cluster, victim))
            standing = cluster.store(victim).put("/under-way", 1, async_=True)
            cluster.kill(victim)
            eventually(lambda: writers.failures, "a failure")
            with pytest.raises(ServerStoppedError) as stopped:
                standing.get(timeout=10)
            assert stopped.value.facts["outcome"] in {"unknown", "not_applied"}
        writers.check(await_equal_trees(cluster))


@pytest.mark.parametrize(
    ("data", "version"), [(4, 4), (8, 8), (6, 7)], ids=["lost", "invented", "applied twice"]
)
def test_the_account_finds_a_planted_failure(data: int, version: int) -> None:
    with pytest.raises(AssertionError):
        check_accounts({"w": Account(acknowledged=5, sent=7)}, {"/w": (data, version, 1)})
