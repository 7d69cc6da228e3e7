"""Leadership transfer: cases T01 to T09 (dissertation §3.10)."""

from __future__ import annotations

from khepri.raft.effects import Completed, Rejected, RejectReason
from khepri.raft.events import AddMember, Propose, TransferLeadership
from khepri.raft.messages import (
    AppendEntriesRequest,
    RequestVoteRequest,
    TimeoutNow,
)
from khepri.raft.types import Index, MemberKind, Role, Term
from tests.raft.raft_cluster import Cluster
from tests.raft.raft_helpers import Node, make_leader, make_node, propose
from tests.raft.raft_notation import append_entries, confirmed, member, sid, voters


def leader_in_sync() -> Node:
    """A leads B and C; all hold one entry."""
    node = make_leader("A")
    node.sync()
    node.receive_all(*((name, confirmed(1)) for name in "BC"))
    return node


def test_t01_leadership_moves_within_a_few_messages() -> None:
    cluster = Cluster("ABC")
    cluster.elect("A")
    start = cluster.now
    cluster.tell("A", TransferLeadership(sid("B"), "ticket"))
    cluster.run_until(lambda: cluster["B"].is_leader)
    assert cluster.now - start < 5 * cluster.latency_seconds
    assert isinstance(cluster.answer("A", "ticket"), Completed)
    cluster.settle()


def test_t02_a_target_that_is_behind_is_caught_up_first() -> None:
    node = leader_in_sync()
    propose(node, b"x")
    node.step(TransferLeadership(sid("B"), "ticket"))
    assert node.sent(TimeoutNow) == []
    node.receive("C", confirmed(2))
    assert node.sent(TimeoutNow) == []
    node.receive("B", confirmed(2))
    assert node.sent(TimeoutNow) == [TimeoutNow(Term(1))]


def test_t03_impossible_targets_are_refused() -> None:
    configuration = voters("ABC").with_member(member("D", MemberKind.NON_VOTER))
    node = make_leader("A", configuration=configuration)
    node.step(
        TransferLeadership(sid("A"), "self"),
        TransferLeadership(sid("X"), "unknown"),
        TransferLeadership(sid("D"), "non-voter"),
    )
    assert node.rejection("self") is RejectReason.ALREADY_LEADER
    assert node.rejection("unknown") is RejectReason.NOT_MEMBER
    assert node.rejection("non-voter") is RejectReason.NON_VOTER
    node.step(TransferLeadership(sid("B"), "first"), TransferLeadership(sid("C"), "second"))
    assert node.rejection("second") is RejectReason.TRANSFER_IN_PROGRESS
    follower = make_node("B", term=1)
    follower.step(TransferLeadership(None, "not mine"))
    assert follower.rejection("not mine") is RejectReason.NOT_LEADER


def test_t03_a_dead_target_costs_a_pause_and_nothing_else() -> None:
    cluster = Cluster("ABC")
    cluster.elect("A")
    cluster.crash("B")
    cluster.tell("A", TransferLeadership(sid("B"), "ticket"))
    cluster.run_until(lambda: cluster.answer("A", "ticket"))
    answer = cluster.answer("A", "ticket")
    assert isinstance(answer, Rejected)
    assert answer.reason is RejectReason.TRANSFER_TIMED_OUT
    cluster.write(b"x")
    assert cluster["A"].core.term == 1


def test_t03_reads_that_come_all_the_time_do_not_prolong_a_transfer() -> None:
    cluster = Cluster("ABC")
    cluster.elect("A")
    cluster.tell("A", TransferLeadership(sid("B"), "ticket"))
    cluster.drop = lambda _sender, _target, message: isinstance(message, TimeoutNow)
    for number in range(600):  # every few milliseconds, for 3 seconds
        cluster.read("A", number)
        cluster.run_for(0.005)
    answer = cluster.answer("A", "ticket")
    assert isinstance(answer, Rejected)
    assert answer.reason is RejectReason.TRANSFER_TIMED_OUT
    cluster.write(b"x")


def test_t04_two_members_can_transfer() -> None:
    cluster = Cluster("AB")
    cluster.elect("A")
    cluster.tell("A", TransferLeadership(sid("B"), "ticket"))
    cluster.run_until(lambda: cluster["B"].is_leader, 0.1)
    cluster.settle()


def test_t05_a_lost_message_is_said_again() -> None:
    cluster = Cluster("ABC")
    cluster.elect("A")
    lost: list[object] = []

    def lose_first(_sender: str, _target: str, message: object) -> bool:
        if isinstance(message, TimeoutNow) and not lost:
            lost.append(message)
            return True
        return False

    cluster.drop = lose_first
    cluster.tell("A", TransferLeadership(sid("B"), "ticket"))
    cluster.run_until(lambda: cluster["B"].is_leader, 0.3)
    assert lost


def test_t05_when_all_are_lost_the_old_leader_resumes_in_its_term() -> None:
    cluster = Cluster("ABC")
    leader = cluster.elect("A")
    cluster.drop = lambda _s, _t, m: isinstance(m, TimeoutNow)
    cluster.tell("A", TransferLeadership(sid("B"), "ticket"))
    cluster.run_until(lambda: cluster.answer("A", "ticket"))
    cluster.write(b"x")
    assert (leader.is_leader, leader.core.term) == (True, 1)


def test_a_leader_that_loses_its_majority_meanwhile_has_not_handed_over() -> None:
    node = leader_in_sync()
    propose(node, b"x")
    node.step(TransferLeadership(sid("B"), "ticket"))
    node.wait(3)
    assert node.sent(TimeoutNow) == []
    assert node.plays(Role.FOLLOWER)
    assert node.rejection("ticket") is RejectReason.LEADERSHIP_LOST


def test_t06_a_late_message_is_ignored_by_its_term() -> None:
    node = make_node("B", entries="1:1", term=1)
    node.receive("A", append_entries(1, (1, 1)))
    node.receive("C", append_entries(4, (1, 1)))
    node.receive("A", TimeoutNow(Term(1)))
    node.receive("C", TimeoutNow(Term(5)))
    assert (node.core.role, node.core.term) == (Role.FOLLOWER, 4)
    node.receive("A", TimeoutNow(Term(4)))  # right term, not its leader
    assert node.plays(Role.FOLLOWER)


def test_t07_each_write_is_applied_once_or_rejected() -> None:
    cluster = Cluster("ABC")
    cluster.elect("A")
    cluster.tell("A", TransferLeadership(sid("B"), "ticket"))
    for number in range(20):
        cluster.put("A", b"%d" % number)
        cluster.run_for(0.001)
    cluster.wait_for_leader()
    cluster.settle()
    applied = cluster["C"].commands
    rejected = [e.ticket for e in cluster["A"].history if isinstance(e, Rejected)]
    assert sorted(applied + rejected, key=lambda t: int(str(t)[2:-1])) == [
        b"%d" % number for number in range(20)
    ]


def test_t08_a_transfer_overrides_the_recent_leader_check() -> None:
    node = make_node("B", entries="1:1", term=1)
    node.receive("A", append_entries(1, (1, 1)))
    node.receive("A", TimeoutNow(Term(1)))
    assert [m.leadership_transfer for m in node.sent(RequestVoteRequest)] == [True, True]
    voter = make_node("C", entries="1:1", term=1)
    voter.receive("A", append_entries(1, (1, 1)))
    (answer,) = voter.receive("B", node.sent(RequestVoteRequest)[0])
    assert getattr(answer, "granted", False)


def test_t09_a_membership_change_in_flight_survives_the_transfer() -> None:
    cluster = Cluster("ABC")
    cluster.elect("A")
    cluster.add("D", voters(""))
    cluster.tell("A", AddMember(member("D", MemberKind.NON_VOTER), "add"))
    cluster.tell("A", TransferLeadership(sid("B"), "move"))
    cluster.run_until(lambda: cluster["B"].is_leader)
    cluster.settle()
    assert cluster["B"].core.configuration.find(sid("D")) is not None


def test_without_a_target_the_most_complete_voter_is_taken() -> None:
    node = leader_in_sync()
    propose(node, b"x")
    node.sync()
    node.receive("C", confirmed(2))
    node.outbox.clear()
    node.step(TransferLeadership(None, "ticket"))
    assert [s.to for s in node.outbox if isinstance(s.message, TimeoutNow)] == [sid("C")]


def test_nothing_is_appended_while_leadership_moves() -> None:
    node = leader_in_sync()
    node.step(TransferLeadership(sid("B"), "move"))
    node.step(Propose(b"x", "put"), AddMember(member("D"), "add"))
    assert node.rejection("put") is RejectReason.TRANSFER_IN_PROGRESS
    assert node.rejection("add") is RejectReason.TRANSFER_IN_PROGRESS
    assert node.core.last_index == 1
    assert node.sent(AppendEntriesRequest) == []


def test_a_transfer_is_not_done_by_the_late_campaign_of_an_earlier_target() -> None:
    node = leader_in_sync()
    node.step(TransferLeadership(sid("B"), "to B"))
    assert node.sent(TimeoutNow)
    while node.rejection("to B") is None:  # B is slow
        node.wait(0.1)
        node.receive_all(*((name, confirmed(1)) for name in "BC"))
    assert node.rejection("to B") is RejectReason.TRANSFER_TIMED_OUT
    propose(node, b"x")
    node.sync()
    node.receive("B", confirmed(2))
    node.step(TransferLeadership(sid("C"), "to C"))
    assert not node.sent(TimeoutNow)  # C lacks an entry
    node.receive("B", RequestVoteRequest(Term(2), Index(2), Term(1), True))
    assert node.core.role is Role.FOLLOWER
    assert node.rejection("to C") is RejectReason.LEADERSHIP_LOST
    assert not node.ever(Completed)
