"""Clocks and pauses: cases K01 to K06 as far as the core alone can meet them."""

from __future__ import annotations

import pytest

from khepri.raft.effects import Rejected
from khepri.raft.events import MessageReceived, Propose, TimePassed
from khepri.raft.messages import AppendEntriesResponse, Heartbeat, HeartbeatResponse
from khepri.raft.types import Index, Role, Term
from tests.raft.raft_cluster import Cluster
from tests.raft.raft_helpers import make_leader, make_node
from tests.raft.raft_notation import append_entries, sid


@pytest.mark.parametrize("start", [0.0, 1e9])
def test_k01_only_differences_of_the_given_time_matter(start: float) -> None:
    node = make_node("A", entries="1:1", term=1)
    node.now = start
    node.receive("B", append_entries(1, (1, 1)))
    assert start + 0.6 <= node.core.next_deadline() <= start + 1.2


@pytest.mark.parametrize("rates", [{"A": 2.0}, {"B": 2.0}, {"C": 0.5}, {"A": 0.5, "B": 2.0}])
def test_k02_clocks_that_run_differently_endanger_nothing(rates: dict[str, float]) -> None:
    cluster = Cluster("ABC")
    cluster.clock_rates = rates
    cluster.elect("A")
    for number in range(30):
        cluster.write(b"%d" % number)
        cluster.run_for(0.3)
    cluster.settle()
    assert len(cluster.watch.leaders) <= 3


def test_k03_a_leader_that_was_stopped_comes_back_as_a_follower() -> None:
    cluster = Cluster("ABC")
    old = cluster.elect("A")
    cluster.pause("A")
    cluster.run_until(lambda: cluster["B"].is_leader or cluster["C"].is_leader)
    cluster.read("A", "read")
    cluster.put("A", b"late")
    cluster.resume("A")
    cluster.run_for(2)
    assert old.plays(Role.FOLLOWER)
    assert isinstance(cluster.answer("A", "read"), Rejected)
    cluster.settle()


def test_k03_a_follower_that_was_stopped_raises_no_term() -> None:
    cluster = Cluster("ABC")
    cluster.elect("A")
    cluster.pause("C")
    cluster.run_for(30)
    cluster.resume("C")
    cluster.run_for(5)
    assert cluster.watch.leaders == {1: "A"}


def test_k05_a_message_that_waits_wins_over_a_timer() -> None:
    node = make_node("A", entries="1:1", term=1)
    node.receive("B", append_entries(1, (1, 1)))
    beat = MessageReceived(sid("B"), Heartbeat(Term(1), Index(0), 1))
    node.step(TimePassed(), beat, now=node.now + 5)
    assert node.plays(Role.FOLLOWER)
    assert node.core.leader == sid("B")


def test_k05_answers_that_wait_keep_a_late_leader() -> None:
    node = make_leader("A")
    answer = HeartbeatResponse(Term(1), 1, Index(0), Index(0), Term(0), 600)
    node.step(TimePassed(), MessageReceived(sid("B"), answer), now=node.now + 5)
    assert node.is_leader
    node.step(now=node.now + 5)
    assert node.plays(Role.FOLLOWER)


def test_k06_a_flood_of_proposals_in_one_batch_starves_nothing() -> None:
    node = make_leader("A")
    flood = [Propose(b"x", number) for number in range(20_000)]
    written = AppendEntriesResponse(Term(1), True, Index(0), Index(1), Term(1))
    node.step(*flood, MessageReceived(sid("B"), written), now=node.now + 0.1)
    assert len(node.sent(Heartbeat)) == 2
    assert node.core.last_index == 20_001
