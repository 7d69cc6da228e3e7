"""Entries that go a moment later to whom no majority needs (`khepri/raft/reserve.py`)."""

from __future__ import annotations

import math

import pytest

from khepri.raft.events import AddMember, Propose, TransferLeadership
from khepri.raft.messages import AppendEntriesRequest, PreVoteResponse
from khepri.raft.settings import RaftSettings
from khepri.raft.types import MemberKind, Role
from tests.raft.raft_cluster import Cluster
from tests.raft.raft_helpers import make_node
from tests.raft.raft_notation import member, pre_vote, sid

HOLD_BACK_SECONDS = 0.05
SETTINGS = RaftSettings(hold_back_seconds=HOLD_BACK_SECONDS)
AT_ONCE_SECONDS = 0.0055  # there, to the disk, back


def raced(names: str = "ABC", settings: RaftSettings = SETTINGS, seed: int = 1) -> Cluster:
    """A cluster led by A that has found out who is in front, and is being written to."""
    cluster = Cluster(names, settings=settings, seed=seed)
    cluster.elect("A")
    race_again(cluster)
    return cluster


def race_again(cluster: Cluster, seconds: float = AT_ONCE_SECONDS) -> None:
    """Write an entry that goes to all, since nothing was written for long."""
    cluster.run_for(1.0)
    cluster.write(b"race at %.1f" % cluster.now)
    cluster.run_for(seconds)
    cluster.delivered.clear()


def entries_sent_to(cluster: Cluster, name: str) -> list[bytes]:
    """The data of all entries that have reached a member, a list for each message."""
    return [
        b" ".join([entry.data for entry in message.entries])
        for _, target, message in cluster.delivered
        if target == name and isinstance(message, AppendEntriesRequest) and message.entries
    ]


def write_seconds(cluster: Cluster, data: bytes) -> float:
    began = cluster.now
    cluster.write(data)
    return cluster.now - began


def write_all(cluster: Cluster, *data: bytes) -> None:
    for item in data:
        assert write_seconds(cluster, item) < AT_ONCE_SECONDS
    cluster.settle()


def write_a_hundred(cluster: Cluster) -> None:
    """Over a second and more, none of them later than at once."""
    for number in range(100):
        assert write_seconds(cluster, b"%d" % number) < AT_ONCE_SECONDS
        cluster.run_for(0.01)


def test_what_no_majority_needs_goes_together_a_moment_later() -> None:
    cluster = raced()
    write_all(cluster, b"1", b"2", b"3")
    assert entries_sent_to(cluster, "B") == [b"1", b"2", b"3"]
    assert entries_sent_to(cluster, "C") == [b"1 2 3"]


def test_what_comes_alone_goes_to_everybody_at_once() -> None:
    cluster = raced()
    for number in range(5):
        cluster.run_for(2 * HOLD_BACK_SECONDS)
        cluster.write(b"%d" % number)
        cluster.run_for(AT_ONCE_SECONDS)
        assert entries_sent_to(cluster, "C")[-1] == b"%d" % number


def test_nothing_is_held_back_for_longer_than_the_setting_says() -> None:
    cluster = raced()
    cluster.put("A", b"1")
    cluster.run_for(HOLD_BACK_SECONDS + AT_ONCE_SECONDS)
    assert cluster["A"].match_index("C") == cluster["A"].core.last_index
    assert cluster["C"].commands[-1] == b"1"  # it was told of the commit with the entry


def test_with_nothing_to_hold_back_for_everybody_is_sent_everything_at_once() -> None:
    cluster = raced(settings=RaftSettings(hold_back_seconds=0.0))
    write_all(cluster, b"1", b"2", b"3")
    assert entries_sent_to(cluster, "B") == entries_sent_to(cluster, "C") == [b"1", b"2", b"3"]


def test_of_five_as_many_are_in_front_as_the_leader_lacks() -> None:
    cluster = raced("ABCDE")
    write_all(cluster, b"1", b"2")
    each = sorted((len(entries_sent_to(cluster, name)), name) for name in "BCDE")
    assert each == [(1, "D"), (1, "E"), (2, "B"), (2, "C")]


def test_of_two_nobody_can_wait() -> None:
    cluster = raced("AB")
    write_all(cluster, b"1", b"2")
    assert entries_sent_to(cluster, "B") == [b"1", b"2"]


def test_whoever_is_quicker_comes_to_the_front() -> None:
    cluster = raced()
    cluster.delay = lambda sender, target, _: [0.02 if "B" in sender + target else 0.002]
    race_again(cluster, seconds=0.03)
    write_all(cluster, b"1", b"2")
    assert entries_sent_to(cluster, "B") == [b"1 2"]


def test_when_the_front_dies_one_write_waits_and_no_other() -> None:
    cluster = raced()
    cluster.crash("B")
    late = write_seconds(cluster, b"1")
    assert HOLD_BACK_SECONDS < late < HOLD_BACK_SECONDS + AT_ONCE_SECONDS
    write_a_hundred(cluster)


def test_when_the_reserve_dies_nobody_notices() -> None:
    cluster = raced()
    cluster.crash("C")
    write_a_hundred(cluster)


def test_for_a_reserve_that_died_under_load_the_leader_does_not_wake_again_and_again() -> None:
    cluster = raced()
    cluster.crash("C")
    write_a_hundred(cluster)  # its window is full
    cluster.run_for(2 * HOLD_BACK_SECONDS)
    role = cluster["A"].core._server.role
    assert role.speaks_at == math.inf


def test_r21_while_the_own_disk_stalls_one_write_waits_and_no_other() -> None:
    cluster = raced()
    cluster.sync_seconds["A"] = 1e6
    late = write_seconds(cluster, b"1")
    assert HOLD_BACK_SECONDS < late < HOLD_BACK_SECONDS + AT_ONCE_SECONDS
    write_a_hundred(cluster)


def test_what_somebody_elsewhere_waits_for_is_not_held_back() -> None:
    cluster = raced()
    began = cluster.now
    cluster.tell("A", Propose(b"theirs", None, is_awaited_elsewhere=True))
    cluster.run_until(lambda: b"theirs" in cluster["C"].commands)
    assert cluster.now - began < AT_ONCE_SECONDS + cluster.latency_seconds
    race_again(cluster)
    write_all(cluster, b"1", b"2")
    assert entries_sent_to(cluster, "C") == [b"1 2"]  # it is over when they have it


def test_a_read_elsewhere_does_not_wait_for_what_is_held_back() -> None:
    cluster = raced()
    cluster.write(b"1")
    assert b"1" not in cluster["C"].commands
    began = cluster.now
    cluster.read("C", "reader")
    cluster.run_until(lambda: cluster.answer("C", "reader") is not None)
    assert b"1" in cluster["C"].commands
    assert cluster.now - began < 2 * cluster.latency_seconds + AT_ONCE_SECONDS


def test_leadership_is_handed_to_a_member_of_the_reserve_without_waiting() -> None:
    cluster = raced()
    cluster.write(b"1")
    began = cluster.now
    cluster.tell("A", TransferLeadership(sid("C"), "hand over"))
    cluster.run_until(lambda: cluster["C"].is_leader)
    assert cluster.now - began < 3 * AT_ONCE_SECONDS
    cluster.settle()


def test_a_member_without_a_vote_is_never_in_front() -> None:
    cluster = raced("AB")
    cluster.add("C", cluster["A"].core.configuration)
    cluster.tell("A", AddMember(member("C", MemberKind.NON_VOTER), "add"))
    cluster.run_until(lambda: cluster.answer("A", "add") is not None)
    race_again(cluster)
    write_all(cluster, b"1", b"2", b"3")
    assert entries_sent_to(cluster, "B") == [b"1", b"2", b"3"]
    assert entries_sent_to(cluster, "C") == [b"1 2 3"]


def test_whoever_joins_is_promoted_and_the_front_is_looked_for_anew() -> None:
    cluster = raced("AB")
    cluster.add("C", cluster["A"].core.configuration)
    cluster.tell("A", AddMember(member("C", MemberKind.PROMOTABLE), "add"))
    cluster.run_until(lambda: cluster["C"].core.membership is MemberKind.VOTER)
    cluster.crash("B")
    race_again(cluster)
    write_a_hundred(cluster)


def test_a_member_that_was_asked_by_one_that_lacks_entries_campaigns_soon() -> None:
    node = make_node("A", entries="1:1 2:1", term=1)
    patience = node.core.next_deadline() - node.now
    (answer,) = node.receive("B", pre_vote(2, (1, 1)))
    assert isinstance(answer, PreVoteResponse)
    assert not answer.granted
    soon = node.core.next_deadline() - node.now
    assert soon <= node.settings.heartbeat_interval_seconds < patience
    node.wait(soon)
    assert node.core.role is Role.PRE_CANDIDATE


@pytest.mark.parametrize("seed", range(20))
def test_where_a_member_without_the_newest_entries_misses_the_leader_another_soon_leads(
    seed: int,
) -> None:
    cluster = raced(seed=seed)
    cluster.write(b"1")
    cluster.crash("A")
    assert cluster["B"].core.last_index > cluster["C"].core.last_index
    cluster.run_until(lambda: any(node.plays(Role.PRE_CANDIDATE) for node in cluster.alive))
    began = cluster.now
    cluster.wait_for_leader()
    assert cluster["B"].is_leader
    assert cluster.now - began < SETTINGS.heartbeat_interval_seconds + 5 * cluster.latency_seconds
