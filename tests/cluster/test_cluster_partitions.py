"""Cut links: the majority goes on, the minority waits no longer than told, healing makes equal."""

from __future__ import annotations

import itertools
from typing import Literal

import pytest

from khepri.config import get_max_command_bytes
from khepri.errors import KhepriError, KhepriTimeoutError
from khepri.testing.local_cluster import LocalCluster
from khepri.transport.memory_faults import LinkFaults
from khepri.transport.memory_transport import MemoryTransport
from khepri.transport.settings import TransportSettings
from tests.cluster.cluster_helpers import (
    GRACE_SECONDS,
    QUICK,
    Writers,
    await_equal_trees,
    calls_without_majority,
    eventually,
    leader_among,
    others,
    role,
    timed,
)

TIMEOUT_SECONDS = 0.1

BY_THE_LEADER_ALONE = {
    "consistent get", "consistent count", "fence", "members", "nodes",
    "wait_for_leader", "transfer_leadership",
}  # fmt: skip

EVERY_ORDERED_PAIR = list(itertools.permutations(range(3), 2))


def await_no_leader(cluster: LocalCluster, number: int) -> None:
    manager = cluster.manager(number)
    eventually(lambda: manager.status(cluster.store_id).leader is None, "the loss of the leader")


@pytest.mark.parametrize("was_leader", [True, False], ids=["leader", "follower"])
def test_q13_without_a_majority_everything_ends_in_time_and_local_reads_go_on(
    was_leader: bool,
) -> None:
    with LocalCluster(3, config=QUICK) as cluster:
        cluster.store(0).put("/known", 1)
        await_equal_trees(cluster)
        leader = leader_among(cluster, range(3))
        number = leader if was_leader else others(cluster, leader)[0]
        cluster.partition([number], others(cluster, number))
        for is_settled in (False, True) if was_leader else (True,):
            if is_settled:
                await_no_leader(cluster, number)
            for name, function in calls_without_majority(cluster, number, TIMEOUT_SECONDS).items():
                outcome = timed(function)
                assert outcome.seconds < TIMEOUT_SECONDS + GRACE_SECONDS, (name, outcome)
                # A leader that was just cut off is believed in until its time is up, and reads
                # are linearizable until its lease is over.
                if is_settled or name not in BY_THE_LEADER_ALONE:
                    assert outcome.error is not None, name
                    assert isinstance(outcome.error, KhepriError)
        store, manager = cluster.store(number), cluster.manager(number)
        assert store.get("/known") == 1
        assert store.count("**") == 1
        assert len(manager.locally_known_members(cluster.store_id)) == 3
        assert len(manager.members(cluster.store_id, favor="low_latency")) == 3
        # What was refused in the minority has not happened when it is whole again.
        cluster.heal()
        leader_among(cluster, range(3))
        assert len(manager.members(cluster.store_id)) == 3
        await_equal_trees(cluster)


def test_with_the_others_dead_everything_ends_in_time() -> None:
    with LocalCluster(3, config=QUICK) as cluster:
        cluster.store(0).put("/known", 1)
        await_equal_trees(cluster)
        for number in (0, 1):
            cluster.kill(number)
        eventually(lambda: cluster.manager(2).status(cluster.store_id).leader is None, "no leader")
        for name, function in calls_without_majority(cluster, 2, TIMEOUT_SECONDS).items():
            outcome = timed(function)
            assert outcome.seconds < TIMEOUT_SECONDS + GRACE_SECONDS, (name, outcome)
            assert outcome.error is not None, name
        assert cluster.store(2).get("/known") == 1


def test_a_blocked_write_succeeds_when_the_majority_returns() -> None:
    with LocalCluster(3, config=QUICK) as cluster:
        cluster.kill(0)
        cluster.kill(1)
        with Writers(cluster, [2], per_node=1) as writers:
            eventually(lambda: writers.accounts, "the first put to be sent")
            assert writers.acknowledged == 0
            cluster.restart(0)
            writers.await_progress(10)
        assert not writers.failures
        cluster.restart(1)
        writers.check(await_equal_trees(cluster))


@pytest.mark.parametrize("size", [3, 5])
def test_n06_the_leader_is_cut_off_and_the_others_go_on(size: int) -> None:
    with LocalCluster(size) as cluster:
        leader = leader_among(cluster, range(size))
        rest = others(cluster, leader)
        with Writers(cluster, rest, per_node=1) as writers:
            writers.await_progress(30)
            cluster.partition([leader], rest)
            writers.await_progress(100)
            assert writers.longest_stall_seconds() < 3.0
            eventually(lambda: role(cluster, leader) != "leader", "stepping down")
            with pytest.raises(KhepriTimeoutError):
                cluster.store(leader).get("/w", favor="consistency", timeout=0.3)
            term = cluster.manager(rest[0]).status(cluster.store_id).term
            cluster.heal()
            eventually(lambda: role(cluster, leader) == "follower", "following")
            writers.await_progress(30)
            # Who returns does not disturb.
            assert cluster.manager(rest[0]).status(cluster.store_id).term == term
        assert not writers.failures
        writers.check(await_equal_trees(cluster))


def test_n06_the_leader_is_left_with_a_minority() -> None:
    with LocalCluster(5) as cluster:
        leader = leader_among(cluster, range(5))
        friend, *rest = others(cluster, leader)
        with Writers(cluster, range(5), per_node=1) as writers:
            writers.await_progress(50)
            cluster.partition([leader, friend], rest)
            leader_among(cluster, rest)
            writers.await_progress(100)
            cluster.heal()
            writers.await_progress(50)
        assert not writers.failures  # those of the minority waited, shorter than their timeout
        writers.check(await_equal_trees(cluster))


def test_n05_a_ring_of_majorities_goes_on() -> None:
    with LocalCluster(5) as cluster, Writers(cluster, range(5), per_node=1) as writers:
        writers.await_progress(50)
        for one, other in itertools.combinations(range(5), 2):
            if (one - other) % 5 in {2, 3}:
                cluster.cut(one, other)
                cluster.cut(other, one)
        writers.await_progress(50)
        cluster.heal()
        writers.await_progress(50)
        writers.stop()
        writers.check(await_equal_trees(cluster))


@pytest.mark.parametrize(("sender", "receiver"), EVERY_ORDERED_PAIR)
def test_n04_p09_p10_one_direction_is_dead(sender: int, receiver: int) -> None:
    with LocalCluster(3) as cluster:
        # Node 0 leads: the pairs are all there are, seen from the leader.
        assert leader_among(cluster, range(3)) == 0
        with Writers(cluster, range(3), per_node=1) as writers:
            writers.await_progress(20)
            cluster.cut(sender, receiver)
            # Somebody has both directions to both others, so there is progress.
            third = 3 - sender - receiver
            eventually(lambda: cluster.store(third).put("/third", 1, timeout=10) is None, "a put")
            writers.await_progress(40)
            cluster.heal()
            leader_among(cluster, range(3))
            writers.await_progress(20)
        writers.check(await_equal_trees(cluster))


FAULTS = {
    "n01-duplicated": LinkFaults(duplication=0.5, hold_back_seconds=0.05),
    "n02-reordered": LinkFaults(reordering=0.4, hold_back_seconds=0.1),
    "n03-lost": LinkFaults(loss=0.3),
    "delayed": LinkFaults(delay_seconds=(0.0, 0.08)),
    "all": LinkFaults(
        loss=0.1,
        duplication=0.2,
        reordering=0.2,
        hold_back_seconds=0.1,
        delay_seconds=(0.0, 0.02),
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_n01_n02_n03_messages_go_astray_and_nothing_is_lost_or_doubled(name: str) -> None:
    with LocalCluster(3, seed=7) as cluster:
        with Writers(cluster, range(3), per_node=2) as writers:
            writers.await_progress(30)
            cluster.network.set_faults(FAULTS[name])
            writers.await_progress(60)
            for number in range(3):
                cluster.store(number).count("/w/*", favor="consistency", timeout=20)
            cluster.network.set_faults(LinkFaults())
            writers.await_progress(60)
        writers.check(await_equal_trees(cluster))


def test_n07_a_flapping_link_does_not_bring_the_leader_down_each_time() -> None:
    with LocalCluster(3) as cluster:
        leader = leader_among(cluster, range(3))
        follower = others(cluster, leader)[0]
        before = cluster.manager(leader).status(cluster.store_id).term
        with Writers(cluster, [leader], per_node=1) as writers:
            for _ in range(15):
                cluster.cut(leader, follower)
                cluster.cut(follower, leader)
                writers.await_progress(10)
                cluster.heal()
                writers.await_progress(10)
        assert cluster.manager(leader).status(cluster.store_id).term == before
        writers.check(await_equal_trees(cluster))


def test_a_full_queue_to_one_member_does_not_stop_the_majority() -> None:
    with LocalCluster(3) as cluster:
        leader = leader_among(cluster, range(3))
        slow, quick = others(cluster, leader)
        slowness = LinkFaults(delay_seconds=(0.4, 0.4))
        cluster.network.set_faults(
            slowness, sender=cluster.name(leader), receiver=cluster.name(slow)
        )
        transport = cluster.node(leader).transport
        assert isinstance(transport, MemoryTransport)
        transport._settings = TransportSettings(message_bytes=1_600_000, queue_bytes=2_000_000)
        big = b"x" * 200_000
        for value in range(60):
            cluster.store(quick).put(f"/big/{value}", big)
        dropped = transport.counters.snapshot().get("dropped_queue_full", 0)
        assert dropped > 0
        cluster.network.set_faults(
            LinkFaults(), sender=cluster.name(leader), receiver=cluster.name(slow)
        )
        assert len(await_equal_trees(cluster)) == 61


@pytest.mark.parametrize("transport", ["memory", "zmq"])
def test_n11_large_commands_of_all_members_at_once_are_replicated(
    transport: Literal["memory", "zmq"],
) -> None:
    largest = b"x" * (get_max_command_bytes() - 1000)
    with LocalCluster(3, transport=transport) as cluster:
        futures = [
            cluster.store(number).put(f"/big/{number}/{which}", data, async_=True)
            for which, data in enumerate([largest, b"y" * 700_000, b"z" * 700_000, largest])
            for number in range(3)
        ]
        for future in futures:
            future.get(timeout=30)
        assert len(await_equal_trees(cluster)) == 12 + 4
        for number in range(3):
            counters = cluster.node(number).transport.counters.snapshot()
            assert counters.get("dropped_too_large", 0) == 0
