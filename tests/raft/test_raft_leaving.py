"""Members that leave, and the last resort: cases M13 to M23 (dissertation §4.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from khepri.raft.effects import Completed, RejectReason
from khepri.raft.events import (
    AddMember,
    ForceSingleMember,
    MessageReceived,
    RemoveMember,
    TriggerElection,
)
from khepri.raft.messages import TimeoutNow
from khepri.raft.types import Configuration, Index, MemberKind, Role, Term
from tests.raft.raft_cluster import Cluster
from tests.raft.raft_helpers import make_node, propose
from tests.raft.raft_membership_helpers import (
    PROMOTABLE,
    SMALL,
    join,
    kinds,
    leave,
    names,
    ready_leader,
)
from tests.raft.raft_notation import (
    append_entries,
    confirmed,
    member,
    sid,
    voters,
)

if TYPE_CHECKING:
    from khepri.raft.messages import Message


def test_m13_a_removed_member_that_was_cut_off_disturbs_nobody() -> None:
    cluster = Cluster("ABC")
    cluster.elect("A")
    cluster.isolate("C")
    cluster.tell("A", RemoveMember(sid("C"), "remove"))
    cluster.run_until(lambda: cluster.answer("A", "remove"))
    cluster.run_for(5)
    cluster.heal()
    cluster.run_for(10)
    assert cluster.watch.leaders == {1: "A"}
    cluster.write(b"x")


def test_m13_a_removed_member_that_is_reachable_learns_of_it() -> None:
    cluster = Cluster("ABC")
    cluster.elect("A")
    cluster.tell("A", RemoveMember(sid("C"), "remove"))
    cluster.run_until(lambda: cluster["C"].core.membership is None)
    cluster.run_until(lambda: cluster["C"].core.commit_index == 2, 0.5)
    cluster.delivered.clear()
    cluster.run_for(10)
    assert [t for _, t, _ in cluster.delivered if t == "C"] == []
    assert [s for s, _, _ in cluster.delivered if s == "C"] == []


def test_m14_a_leader_that_removes_itself_finishes_and_is_replaced_at_once() -> None:
    cluster = Cluster("ABC")
    leader = cluster.elect("A")
    cluster.tell("A", RemoveMember(sid("A"), "leave"))
    cluster.run_until(lambda: cluster.answer("A", "leave"))
    assert isinstance(cluster.answer("A", "leave"), Completed)
    removed_at = cluster.now
    cluster.run_until(lambda: cluster.leader is not None and cluster.leader is not leader)
    assert cluster.now - removed_at < 0.05
    cluster.write(b"x")
    cluster.run_for(10)
    assert leader.plays(Role.FOLLOWER)
    assert leader.core.membership is None


def test_m15_entries_behind_the_removal_are_committed_by_the_others() -> None:
    node = ready_leader()
    node.step(RemoveMember(sid("A"), "leave"))
    node.sync()
    node.receive("B", confirmed(2))
    assert node.core.commit_index == 1
    node.receive("C", confirmed(2))
    assert node.done(Completed) == [Completed("leave", Index(2))]
    assert node.sent(TimeoutNow) == [TimeoutNow(Term(1))]
    assert node.plays(Role.FOLLOWER)


def test_m16_the_removed_leader_crashes_right_after_the_commit() -> None:
    cluster = Cluster("ABC")
    cluster.elect("A")
    cluster.tell("A", RemoveMember(sid("A"), "leave"))
    cluster.run_until(lambda: cluster.answer("A", "leave"))
    cluster.cut_links = {("A", "B"), ("A", "C")}
    cluster.crash("A")
    leader = cluster.wait_for_leader()
    cluster.write(b"x")
    assert names(leader) == "BC"


def test_m17_of_two_members_the_leader_removes_the_dead_one() -> None:
    cluster = Cluster("AB")
    cluster.elect("A")
    cluster.crash("B")
    cluster.tell("A", RemoveMember(sid("B"), "remove"))
    cluster.run_until(lambda: cluster.answer("A", "remove"))
    cluster.write(b"alone")


def test_m18_of_two_members_the_leader_leaves() -> None:
    cluster = Cluster("AB")
    cluster.elect("A")
    cluster.tell("A", RemoveMember(sid("A"), "leave"))
    cluster.run_until(lambda: cluster["B"].is_leader)
    assert not cluster["A"].is_leader
    cluster.write(b"alone")


def test_m19_of_two_that_leave_at_once_one_tries_again() -> None:
    cluster = Cluster("ABCDE")
    cluster.elect("A")
    cluster.tell("A", RemoveMember(sid("D"), "first"))
    cluster.tell("A", RemoveMember(sid("E"), "second"))
    cluster.run_until(lambda: cluster.answer("A", "first"))
    assert isinstance(cluster.answer("A", "first"), Completed)
    assert cluster["A"].rejection("second") is RejectReason.CLUSTER_CHANGE_NOT_PERMITTED
    cluster.tell("A", RemoveMember(sid("E"), "third"))
    cluster.run_until(lambda: cluster.answer("A", "third"))
    assert names(cluster["A"]) == "ABC"


def test_m20_a_non_voter_never_campaigns() -> None:
    configuration = voters("ABC").with_member(member("D", MemberKind.NON_VOTER))
    cluster = Cluster("ABCD", configuration=configuration)
    cluster.elect("A")
    cluster.write(b"x")
    cluster.settle()
    cluster.isolate("D")
    cluster.run_for(5)
    cluster.heal()
    for name in "AB":
        cluster.crash(name)
    cluster.tell("D", TriggerElection())
    cluster.run_for(10)
    assert cluster["D"].plays(Role.FOLLOWER)
    assert cluster.watch.leaders == {1: "A"}


def test_m21_adding_what_is_there_and_removing_what_is_not() -> None:
    node = ready_leader()
    node.step(AddMember(member("B", PROMOTABLE), "add"), RemoveMember(sid("X"), "remove"))
    assert node.rejection("add") is RejectReason.ALREADY_MEMBER
    assert node.rejection("remove") is RejectReason.NOT_MEMBER
    assert node.core.last_index == 1


def test_one_without_a_vote_may_be_asked_to_become_a_voter_but_no_voter_to_be_without() -> None:
    cluster = Cluster("AB")
    cluster.elect("A")
    cluster.add("C", Configuration())
    cluster.tell("A", AddMember(member("C", MemberKind.NON_VOTER), "without"))
    cluster.run_until(lambda: kinds(cluster["C"]).get("C") == "NON_VOTER")
    cluster.settle()
    cluster.tell("A", AddMember(member("C", MemberKind.NON_VOTER), "again"))
    cluster.run_until(lambda: cluster["A"].rejection("again") is not None)
    assert cluster["A"].rejection("again") is RejectReason.ALREADY_MEMBER
    cluster.tell("A", AddMember(member("C", PROMOTABLE), "with"))
    cluster.run_until(lambda: kinds(cluster["C"]).get("C") == "VOTER")
    cluster.settle()
    cluster.tell("A", AddMember(member("C", MemberKind.NON_VOTER), "back"))
    cluster.run_until(lambda: cluster["A"].rejection("back") is not None)
    assert cluster["A"].rejection("back") is RejectReason.ALREADY_MEMBER


def test_m22_the_cluster_grows_and_shrinks_under_load() -> None:
    cluster = Cluster("A", settings=SMALL)
    expected: list[bytes] = []

    def write() -> None:
        expected.append(b"%d" % len(expected))
        cluster.write(expected[-1])

    for name in "BCDE":
        write()
        leader = cluster.wait_for_leader()
        leader.take_snapshot()
        join(cluster, name, at=leader.name)
        write()
    for name in "ABCD":
        leave(cluster, name)
        cluster.run_for(0.5)
        write()
    assert cluster["E"].commands == expected
    assert names(cluster["E"]) == "E"


def test_m23_the_survivor_is_made_the_only_member_by_force() -> None:
    cluster = Cluster("ABC")
    cluster.elect("A")
    cluster.write(b"kept")
    cluster.settle()
    for name in "AB":
        cluster.crash(name)
    cluster.run_for(3)
    cluster.tell("C", ForceSingleMember("force"))
    cluster.run_until(lambda: cluster.answer("C", "force"))
    cluster.write(b"new")
    assert cluster["C"].commands == [b"kept", b"new"]
    for name in "AB":  # forbidden, but not fatal
        cluster.restart(name)
    cluster.run_for(10)
    assert cluster["C"].is_leader
    assert names(cluster["C"]) == "C"


def test_m23_a_leader_and_a_non_voter_can_be_forced_too() -> None:
    node = ready_leader()
    node.step(ForceSingleMember("force"))
    node.sync()
    assert node.done(Completed) == [Completed("force", Index(2))]
    configuration = voters("BC").with_member(member("A", MemberKind.NON_VOTER))
    node = make_node("A", entries="1:1", term=3, configuration=configuration)
    node.step(ForceSingleMember("force"))
    node.sync()
    assert (names(node), node.core.term, node.is_leader) == ("A", 4, True)
    node.crash_and_restart()
    assert (names(node), node.core.term, node.is_leader) == ("A", 5, True)


def test_the_last_voter_cannot_be_removed() -> None:
    node = make_node("A", configuration=voters("A"))
    node.sync()
    node.step(RemoveMember(sid("A"), "leave"))
    assert node.rejection("leave") is RejectReason.LAST_VOTER


def test_a_member_made_again_replaces_its_old_self_but_not_as_a_voter() -> None:
    node = ready_leader()
    node.step(AddMember(member("B", MemberKind.VOTER, its_uid="new"), "voter"))
    assert node.rejection("voter") is RejectReason.ALREADY_MEMBER
    node.step(AddMember(member("B", PROMOTABLE, its_uid="new"), "promotable"))
    assert node.rejection("promotable") is None
    assert kinds(node) == {"A": "VOTER", "B": "PROMOTABLE", "C": "VOTER"}
    node.sync()
    assert node.core.commit_index == 1
    node.receive("C", confirmed(2))
    assert node.core.commit_index == 2


def test_a_change_under_way_when_leadership_goes_is_reported_as_unknown() -> None:
    node = ready_leader()
    node.step(AddMember(member("D"), "add"))
    node.receive("B", append_entries(2, (1, 1), "2:2"))
    assert node.rejection("add") is RejectReason.LEADERSHIP_LOST
    assert names(node) == "ABC"


def test_the_first_leader_of_all_puts_the_configuration_into_the_log() -> None:
    cluster = Cluster("ABC")
    cluster.elect("A")
    cluster.add("D", Configuration())
    cluster.tell("A", AddMember(member("D", MemberKind.NON_VOTER), "add"))
    cluster.run_until(lambda: cluster["D"].core.commit_index == 2)
    first: Message | Configuration = Configuration.decode(cluster["D"].machine[0].data)
    assert first == voters("ABC")


def test_m18_a_removed_leader_whose_log_is_the_longest_still_campaigns() -> None:
    """B has its own removal in its log, A has not; only B can win and bring it to an end."""
    cluster = Cluster("AB")
    cluster.elect("B")
    cluster.write(b"x")
    cluster.settle()
    cluster.isolate("A")
    cluster.tell("B", RemoveMember(sid("B"), "remove"))
    cluster.run_until(lambda: cluster["B"].core.membership is None)
    cluster.run_for(5)
    cluster.heal()
    cluster.run_until(lambda: names(cluster["A"]) == "A")
    cluster.run_until(lambda: cluster["A"].is_leader)
    cluster.write(b"y")


def test_a_confirmation_of_a_lost_disk_does_not_count_for_the_member_made_anew() -> None:
    """Both come in one batch: the change of the incarnation, then the old one's last answer."""
    leader = ready_leader()
    propose(leader, b"x")
    leader.sync()
    made_anew = member("B", PROMOTABLE)._replace(uid="B-anew")
    late = MessageReceived(sid("B"), confirmed(2), sender_uid=member("B").uid)
    leader.step(AddMember(made_anew, "again"), late)
    assert leader.match_index("B") == 0
    own = MessageReceived(sid("B"), confirmed(2), sender_uid="B-anew")
    leader.step(own)
    assert leader.match_index("B") == 2


def test_a_confirmation_by_a_later_incarnation_does_not_count_for_the_removed_one() -> None:
    """A removed peer is still told so; meanwhile its node, made anew and fuller, answers."""
    leader = ready_leader()
    leader.step(RemoveMember(sid("B"), "remove"))
    leader.sync()
    matched = leader.match_index("B")
    last_index = leader.core.last_index
    leader.step(MessageReceived(sid("B"), confirmed(last_index), sender_uid="B-anew"))
    assert leader.match_index("B") == matched
    leader.step(MessageReceived(sid("B"), confirmed(last_index), sender_uid=member("B").uid))
    assert leader.match_index("B") == last_index
