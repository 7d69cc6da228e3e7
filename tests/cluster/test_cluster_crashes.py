"""Actors crash under load, on the leader and on followers; large and far-behind members."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from khepri.actors.server_messages import TakeSnapshotNow
from khepri.errors import OverloadedError, ServerStoppedError
from khepri.testing.local_cluster import LocalCluster
from tests.cluster.cluster_helpers import (
    PATIENCE_SECONDS,
    Writers,
    actors_of,
    await_equal_trees,
    eventually,
    leader_among,
    others,
)

ROLES = ["ra_server", "wal_writer", "segment_writer", "snapshot_worker", "router", "registry"]


def crash(cluster: LocalCluster, number: int, role: str) -> None:
    """Send an actor what it cannot understand, and wait until there is another one."""
    before = eventually(lambda: actors_of(cluster, number).get(role), role)
    before.cast(object())

    def is_there_again() -> bool:
        now = actors_of(cluster, number)
        return now.get(role) not in {None, before} and now.get("ra_server") is not None

    eventually(is_there_again, f"another {role}")


@pytest.mark.parametrize("on", ["leader", "follower"])
@pytest.mark.parametrize("role", ROLES)
def test_an_actor_crashes_under_load_and_nothing_is_lost_or_doubled(role: str, on: str) -> None:
    with LocalCluster(3) as cluster:
        leader = leader_among(cluster, range(3))
        victim = leader if on == "leader" else others(cluster, leader)[0]
        with Writers(cluster, range(3)) as writers:
            writers.await_progress(60)
            crash(cluster, victim, role)
            writers.await_progress(100)
        leader_among(cluster, range(3))
        writers.check(await_equal_trees(cluster))


def test_who_waits_for_a_leader_is_told_of_a_crash() -> None:
    with LocalCluster(3) as cluster:
        number = others(cluster, leader_among(cluster, range(3)))[0]
        cluster.pause(number)
        manager = cluster.manager(number)
        eventually(lambda: manager.status(cluster.store_id).leader is None, "the loss")
        server = cluster.node(number).access(cluster.store_id).server
        assert server is not None
        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(manager.wait_for_leader, cluster.store_id, PATIENCE_SECONDS)
            actor: Any = server._actor_weakref()
            eventually(actor._waiters.futures, "the question")
            server.cast(object())
            with pytest.raises(ServerStoppedError) as stopped:
                waiting.result(PATIENCE_SECONDS)
        assert stopped.value.outcome == "unknown"


SMALL_SNAPSHOTS = {"snapshot_entries": 30, "snapshot_interval_seconds": 0}


def snapshot_index(cluster: LocalCluster, number: int) -> int:
    return cluster.manager(number).status(cluster.store_id).snapshot_index


def take_snapshot(cluster: LocalCluster, number: int) -> None:
    cluster.store(number).fence(timeout=PATIENCE_SECONDS)
    server = cluster.node(number).access(cluster.store_id).server
    assert server is not None
    server.request(TakeSnapshotNow()).get(timeout=PATIENCE_SECONDS)


def fill(cluster: LocalCluster, number: int, count: int, size_bytes: int) -> None:
    futures = [
        cluster.store(number).put(
            f"/big/{which}", which.to_bytes(4) * (size_bytes // 4), async_=True
        )
        for which in range(count)
    ]
    for future in futures:
        future.get(timeout=PATIENCE_SECONDS)


def forget_the_trailing_log(cluster: LocalCluster, numbers: list[int]) -> None:
    """Take snapshots, and make the cores keep nothing below them."""
    for number in numbers:
        core = server_of(cluster, number)._core
        settings = core._server.settings
        object.__setattr__(settings, "trailing_entries", 0)


def server_of(cluster: LocalCluster, number: int) -> Any:
    server = cluster.node(number).access(cluster.store_id).server
    assert server is not None
    actor = server._actor_weakref()
    assert actor is not None
    return actor


def test_s04_s18_a_member_far_behind_catches_up_by_snapshot_while_writes_go_on() -> None:
    with LocalCluster(3, config=SMALL_SNAPSHOTS) as cluster:
        forget_the_trailing_log(cluster, [0, 1, 2])
        victim = others(cluster, leader_among(cluster, range(3)))[0]
        rest = others(cluster, victim)
        with Writers(cluster, rest) as writers:
            writers.await_progress(50)
            behind = cluster.manager(victim).status(cluster.store_id).last_index
            cluster.kill(victim)
            eventually(
                lambda: all(snapshot_index(cluster, number) > behind + 50 for number in rest),
                "snapshots",
            )
            cluster.restart(victim)
            writers.await_progress(100)
            eventually(lambda: snapshot_index(cluster, victim) > behind, "the snapshot")
        assert not writers.failures
        writers.check(await_equal_trees(cluster))
        cluster.store(victim).put("/after", 1)


@pytest.mark.parametrize("transport", ["memory", "zmq"])
def test_s04_a_large_snapshot_goes_in_several_pieces_while_writes_go_on(transport: str) -> None:
    with LocalCluster(3, config=SMALL_SNAPSHOTS, transport=transport) as cluster:  # type: ignore[arg-type]
        forget_the_trailing_log(cluster, [0, 1, 2])
        leader = leader_among(cluster, range(3))
        victim = others(cluster, leader)[0]
        cluster.kill(victim)
        cluster.lose_disk(victim)
        fill(cluster, leader, 40, 200_000)  # eight pieces
        with Writers(cluster, [leader]) as writers:
            writers.await_progress(40)
            take_snapshot(cluster, leader)
            cluster.restart(victim)
            cluster.manager(victim).join(cluster.name(leader), cluster.store_id, 30)
            assert cluster.store(victim).count("/big/*") == 40
            writers.await_progress(40)
        assert not writers.failures
        writers.check(await_equal_trees(cluster))


def test_a_member_without_a_vote_that_is_far_behind_gets_a_snapshot_too() -> None:
    with LocalCluster(3, config=SMALL_SNAPSHOTS) as cluster:
        cluster.manager(2).join(cluster.name(0), cluster.store_id, 30, votes=False)
        forget_the_trailing_log(cluster, [0, 1, 2])
        with Writers(cluster, [0, 1]) as writers:
            writers.await_progress(50)
            behind = cluster.manager(2).status(cluster.store_id).last_index
            cluster.kill(2)
            eventually(lambda: snapshot_index(cluster, cluster.leader()) > behind, "a snapshot")
            cluster.restart(2)
            eventually(lambda: snapshot_index(cluster, 2) > behind, "the same there")
            writers.await_progress(50)
        assert not writers.failures
        writers.check(await_equal_trees(cluster))
        assert cluster.manager(2).status(cluster.store_id).kind == "non_voter"


def test_s06_s07_the_sender_of_a_snapshot_dies_in_the_middle() -> None:
    with LocalCluster(3, config=SMALL_SNAPSHOTS) as cluster:
        forget_the_trailing_log(cluster, [0, 1, 2])
        leader = leader_among(cluster, range(3))
        victim, other = others(cluster, leader)
        cluster.kill(victim)
        fill(cluster, leader, 40, 200_000)
        for number in (leader, other):
            take_snapshot(cluster, number)
        cluster.restart(victim)
        sender = cluster.node(leader).transport
        before = sender.counters.snapshot()["sent_bytes"]
        eventually(
            lambda: sender.counters.snapshot()["sent_bytes"] > before + 1_500_000, "some pieces"
        )
        cluster.kill(leader)
        eventually(lambda: cluster.store(victim).count("/big/*") == 40, "all of it")
        cluster.restart(leader)
        await_equal_trees(cluster)


def test_s08_the_receiver_of_a_snapshot_dies_in_the_middle_and_its_worker_too() -> None:
    with LocalCluster(3, config=SMALL_SNAPSHOTS) as cluster:
        forget_the_trailing_log(cluster, [0, 1, 2])
        leader = leader_among(cluster, range(3))
        victim, other = others(cluster, leader)
        cluster.kill(victim)
        fill(cluster, leader, 40, 200_000)
        for number in (leader, other):
            take_snapshot(cluster, number)

        def received() -> int:
            return cluster.node(victim).transport.counters.snapshot().get("received_bytes", 0)

        cluster.restart(victim)
        eventually(lambda: received() > 1_500_000, "some pieces")
        cluster.kill(victim)
        cluster.restart(victim)
        eventually(lambda: received() > 1_500_000, "some pieces again")
        crash(cluster, victim, "snapshot_worker")
        eventually(lambda: cluster.store(victim).count("/big/*") == 40, "all of it")
        await_equal_trees(cluster)


def test_too_much_at_once_is_refused_and_what_was_taken_is_done() -> None:
    with LocalCluster(3, config={"max_waiting_bytes": 200_000}) as cluster:
        number = others(cluster, leader_among(cluster, range(3)))[0]
        futures = [
            cluster.store(number).put(f"/a/{which}", b"x" * 20_000, async_=True)
            for which in range(100)
        ]
        refused = 0
        for future in futures:
            try:
                future.get(timeout=PATIENCE_SECONDS)
            except OverloadedError:
                refused += 1
        assert refused > 0
        found = await_equal_trees(cluster)
        assert len(found) == 1 + 100 - refused
