"""Bad networks: cases N01 to N08 as far as the core alone can meet them.

Invariants are checked after every step by the cluster's `Watch`.
"""

from __future__ import annotations

from itertools import pairwise, permutations

import pytest

from khepri.raft.effects import Rejected
from khepri.raft.messages import Heartbeat
from tests.raft.raft_cluster import Cluster


def write_for(cluster: Cluster, seconds: float) -> list[bytes]:
    """Propose at whoever leads, every few milliseconds; gives all that was proposed."""
    proposed: list[bytes] = []
    end = cluster.now + seconds
    while cluster.now < end:
        leader = cluster.leader
        if leader is not None:
            proposed.append(str(cluster.now).encode())
            cluster.put(leader.name, proposed[-1])
        cluster.run_for(0.02)
    return proposed


def check_after(cluster: Cluster, proposed: list[bytes]) -> None:
    """After healing: service, equal machines, nothing twice, nothing that was rejected."""
    cluster.heal()
    cluster.run_for(3)
    cluster.write(b"final")
    cluster.settle()
    applied = cluster["A"].commands
    assert len(applied) == len(set(applied))
    assert set(applied) <= {*proposed, b"final"}
    rejected = {
        effect.ticket
        for node in cluster.alive
        for effect in node.history
        if isinstance(effect, Rejected)
    }
    assert not rejected & set(applied)


@pytest.mark.parametrize("seed", range(3))
def test_n01_everything_arrives_up_to_three_times(seed: int) -> None:
    cluster = Cluster("ABCDE", seed=seed)
    cluster.elect("A")
    draw = cluster.random
    cluster.delay = lambda _s, _t, _m: [
        0.001 + draw.random() * 0.003 for _ in range(draw.randint(1, 3))
    ]
    proposed = write_for(cluster, 3)
    assert cluster.watch.leaders == {1: "A"}
    check_after(cluster, proposed)


@pytest.mark.parametrize("seed", range(3))
def test_n02_everything_arrives_in_any_order(seed: int) -> None:
    cluster = Cluster("ABC", seed=seed)
    cluster.elect("A")
    draw = cluster.random
    cluster.delay = lambda _s, _t, _m: [draw.random() * 5]
    check_after(cluster, write_for(cluster, 20))


@pytest.mark.parametrize("seed", range(3))
def test_n03_three_of_ten_messages_are_lost(seed: int) -> None:
    cluster = Cluster("ABC", seed=seed)
    cluster.elect("A")
    cluster.drop = lambda _s, _t, _m: cluster.random.random() < 0.3
    proposed = write_for(cluster, 10)
    assert len(cluster["B"].commands) > len(proposed) / 2
    check_after(cluster, proposed)


@pytest.mark.parametrize(("sender", "target"), list(permutations("ABC", 2)))
def test_n04_one_direction_of_one_link_is_dead(sender: str, target: str) -> None:
    cluster = Cluster("ABC")
    cluster.elect("A")
    cluster.cut_links = {(sender, target)}
    proposed = write_for(cluster, 5)
    leader = cluster.wait_for_leader()
    before = len(leader.commands)
    proposed += write_for(cluster, 1)
    assert len(leader.commands) > before, "somebody has a quorum in both directions"
    check_after(cluster, proposed)


def test_n05_in_a_ring_each_sees_two_neighbours_and_one_leader_stays() -> None:
    cluster = Cluster("ABCDE")
    cluster.elect("A")
    ring = "ABCDEA"
    seen = {pair for a, b in pairwise(ring) for pair in ((a, b), (b, a))}
    cluster.cut_links = set(permutations("ABCDE", 2)) - seen
    proposed = write_for(cluster, 15)
    assert len(cluster.watch.leaders) <= 3
    assert len(cluster["A"].commands) > len(proposed) / 2
    check_after(cluster, proposed)


@pytest.mark.parametrize("outside", ["A", "C", "AB", "DE", "ABC"])
def test_n06_the_majority_goes_on_and_the_minority_commits_nothing(outside: str) -> None:
    cluster = Cluster("ABCDE")
    cluster.elect("A")
    cluster.isolate(*outside)
    minority = outside if len(outside) < 3 else "DE"
    before = {name: len(cluster[name].commands) for name in minority}
    proposed = write_for(cluster, 7)
    assert {name: len(cluster[name].commands) for name in minority} == before
    majority = next(name for name in "ABCDE" if name not in minority)
    assert len(cluster[majority].commands) > 100
    check_after(cluster, proposed)


def test_n07_a_flapping_link_does_not_move_leadership() -> None:
    cluster = Cluster("ABC")
    cluster.elect("A")
    for _ in range(100):
        cluster.isolate("B")
        cluster.run_for(0.1)
        cluster.heal()
        cluster.run_for(0.1)
    assert cluster.watch.leaders == {1: "A"}
    check_after(cluster, write_for(cluster, 1))


def test_n08_messages_of_a_past_life_do_no_harm() -> None:
    """The envelope drops them; should one get through, it is treated by its content."""
    cluster = Cluster("ABC")
    cluster.elect("A")
    cluster.write(b"x")
    cluster.settle()
    old = [(s, t, m) for s, t, m in cluster.delivered if s == "A"]
    cluster.crash("A")
    cluster.wait_for_leader()
    cluster.restart("A")
    cluster.settle()
    for sender, target, message in old:
        cluster._deliver(sender, target, message)
    proposed = [b"x", *write_for(cluster, 1)]
    check_after(cluster, proposed)


def test_an_idle_leader_sends_nothing_but_heartbeats() -> None:
    cluster = Cluster("ABC")
    cluster.elect("A")
    cluster.run_for(1)
    cluster.delivered.clear()
    cluster.run_for(10)
    from_leader = [m for s, _, m in cluster.delivered if s == "A"]
    assert all(isinstance(m, Heartbeat) for m in from_leader)
    assert 195 <= len(from_leader) <= 205
