"""What the core does while its log cannot be written."""

from __future__ import annotations

from khepri.raft.effects import AppendEntries, ReadReady, Rejected, RejectReason
from khepri.raft.events import (
    AddMember,
    ForceSingleMember,
    LogRecovered,
    LogWriteFailed,
    LogWritten,
    Propose,
    ReadRequest,
    TriggerElection,
)
from khepri.raft.messages import AppendEntriesResponse, TimeoutNow
from khepri.raft.types import Index, Role, Term
from tests.raft.raft_cluster import Cluster
from tests.raft.raft_helpers import Node, make_leader, make_node, propose
from tests.raft.raft_notation import append_entries, member, sid, voters


def alone() -> Node:
    """A leads itself, with one entry."""
    node = make_node("A", configuration=voters("A"))
    node.sync()
    return node


def test_a_single_voter_refuses_writes_with_the_reason_and_serves_again_later() -> None:
    node = alone()
    propose(node, b"in doubt")
    node.step(LogWriteFailed("disk full"))
    node.step(Propose(b"refused", "refused"), AddMember(member("B"), "add"))
    assert node.done(Rejected) == [
        Rejected("refused", RejectReason.DISK_FAILED, sid("A"), "disk full"),
        Rejected("add", RejectReason.DISK_FAILED, sid("A"), "disk full"),
    ]
    assert node.is_leader
    node.unsynced.clear()  # the failed write is gone
    node.step(LogRecovered())
    node.sync()
    propose(node, b"accepted")
    node.sync()
    assert node.commands == [b"in doubt", b"accepted"]


def test_reads_that_wait_for_the_first_entry_of_a_term_are_told_that_the_disk_takes_none() -> None:
    node = make_node("A", configuration=voters("A"), entries="1:1", term=1)
    node.step(ReadRequest("early"))
    assert node.is_leader
    node.step(LogWriteFailed("disk full"))
    node.step(ReadRequest("late"))
    assert node.ever(Rejected) == [
        Rejected(ticket, RejectReason.DISK_FAILED, sid("A"), "disk full")
        for ticket in ("early", "late")
    ]
    node.unsynced.clear()
    node.step(LogRecovered())
    node.sync()
    node.step(ReadRequest("again"))
    node.step(LogWriteFailed("disk full"), ReadRequest("on what is committed"))
    assert [one.ticket for one in node.ever(ReadReady)] == ["again", "on what is committed"]


def test_a_write_that_succeeds_after_all_ends_the_failure() -> None:
    node = alone()
    propose(node, b"x")
    node.step(LogWriteFailed("EAGAIN"))
    node.sync()
    propose(node, b"y")
    node.sync()
    assert node.commands == [b"x", b"y"]


def test_a_notice_of_an_older_write_does_not_end_the_failure() -> None:
    node = alone()
    propose(node, b"x")
    (first,) = node.done(AppendEntries)
    propose(node, b"y")
    node.step(LogWriteFailed("EIO"))
    node.step(LogWritten(Index(2), Term(1), first.sequence))
    assert node.commands == [b"x"]
    node.step(Propose(b"z", "z"))
    assert node.rejection("z") is RejectReason.DISK_FAILED


def test_a_leader_hands_over_to_the_best_voter_that_answers() -> None:
    node = make_leader("A")
    node.sync()
    for name, index in (("B", 0), ("C", 1)):
        answer = AppendEntriesResponse(Term(1), True, Index(0), Index(index), Term(min(index, 1)))
        node.receive(name, answer)
    node.outbox.clear()
    node.step(LogWriteFailed("EIO"))
    assert [s.to for s in node.outbox if isinstance(s.message, TimeoutNow)] == [sid("C")]
    assert node.plays(Role.FOLLOWER)
    assert node.core.leader is None


def test_who_cannot_write_does_not_campaign() -> None:
    node = make_node("A", entries="1:1", term=1)
    node.step(TriggerElection())
    assert node.plays(Role.PRE_CANDIDATE)
    node.step(LogWriteFailed("EIO"))
    assert node.plays(Role.FOLLOWER)
    node.wait(10)
    node.step(TriggerElection())
    node.step(ForceSingleMember("force"))
    assert node.plays(Role.FOLLOWER)
    assert node.rejection("force") is RejectReason.DISK_FAILED
    node.step(LogRecovered(), TriggerElection())
    assert node.plays(Role.PRE_CANDIDATE)


def test_a_follower_keeps_what_it_gets_in_memory_and_writes_it_later() -> None:
    node = make_node("A", entries="1:1", term=1)
    node.step(LogWriteFailed("disk full"))
    assert node.receive("B", append_entries(1, (1, 1), "2:1")) == []
    assert node.receive("B", append_entries(1, (2, 1), "3:1")) == []
    assert node.unsynced == []
    node.step(LogRecovered())
    (write,) = node.done(AppendEntries)
    assert [entry.index for entry in write.entries] == [2, 3]
    assert len(node.sync()) == 1
    assert node.core.last_written == 3


def test_a_restarted_log_writer_gets_again_what_is_not_confirmed() -> None:
    node = alone()
    propose(node, b"x")
    (lost,) = node.done(AppendEntries)
    node.unsynced.clear()
    node.step(LogRecovered())
    (again,) = node.done(AppendEntries)
    assert again.entries == lost.entries
    assert again.sequence > lost.sequence
    node.sync()
    assert node.commands == [b"x"]


def test_a_cluster_survives_the_disk_of_its_leader() -> None:
    cluster = Cluster("ABC")
    cluster.elect("A")
    cluster.write(b"before")
    cluster.tell("A", LogWriteFailed("EIO"))
    cluster.run_until(lambda: cluster.leader is not None and cluster.leader.name != "A", 0.1)
    cluster.write(b"during")
    cluster.tell("A", LogRecovered())
    cluster.settle()
    assert cluster["A"].commands == [b"before", b"during"]
