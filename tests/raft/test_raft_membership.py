"""Membership changes: cases M01 to M25 (dissertation §4)."""

from __future__ import annotations

from khepri.raft.effects import Completed, ConfigurationChanged, RejectReason
from khepri.raft.events import AddMember, RemoveMember
from khepri.raft.messages import AppendEntriesResponse
from khepri.raft.settings import RaftSettings
from khepri.raft.types import (
    Configuration,
    HardState,
    Index,
    MemberKind,
    Role,
    SnapshotMeta,
    Term,
)
from tests.raft.raft_cluster import Cluster
from tests.raft.raft_helpers import Disk, Node, make_leader, make_node
from tests.raft.raft_membership_helpers import (
    PROMOTABLE,
    join,
    kinds,
    names,
    ready_leader,
)
from tests.raft.raft_notation import (
    append_entries,
    confirmed,
    entry,
    log,
    member,
    membership_entry,
    sid,
    voters,
)


def test_m01_one_change_at_a_time() -> None:
    node = ready_leader()
    node.step(AddMember(member("D"), 1), RemoveMember(sid("C"), 2))
    assert node.rejection(1) is None
    assert node.rejection(2) is RejectReason.CLUSTER_CHANGE_NOT_PERMITTED
    assert names(node) == "ABCD"


def test_m02_no_change_before_an_entry_of_the_own_term_is_committed() -> None:
    node = make_leader("A", entries="1:1 2:1", term=1)
    node.sync()
    node.receive_all(*((name, confirmed(2, 2)) for name in "BC"))  # not the new entry
    node.step(AddMember(member("E"), "too early"))
    assert node.rejection("too early") is RejectReason.CLUSTER_CHANGE_NOT_PERMITTED
    node.receive("B", confirmed(3, 2))
    node.step(AddMember(member("E"), "now"))
    assert node.rejection("now") is None


def test_m03_a_change_counts_from_the_moment_it_is_appended() -> None:
    node = ready_leader()
    node.step(AddMember(member("D"), "add"))
    node.sync()
    node.receive("B", confirmed(2))
    assert node.core.commit_index == 1  # two of four
    node.receive("C", confirmed(2))
    assert node.core.commit_index == 2
    follower = make_node("B", term=1)
    follower.receive("A", append_entries(1, (0, 0), [membership_entry(1, 1, voters("AB"))]))
    assert names(follower) == "AB"
    assert follower.core.commit_index == 0


def test_m04_an_uncommitted_change_is_undone_with_its_entry() -> None:
    node = make_node("A", entries="1:1", term=1)
    change = membership_entry(2, 1, voters("BCD"))
    node.receive("B", append_entries(1, (1, 1), [change]))
    assert names(node) == "BCD"
    node.receive("C", append_entries(2, (1, 1), "2:2"))
    assert (names(node), node.core.membership) == ("ABC", MemberKind.VOTER)
    assert node.done(ConfigurationChanged) == [ConfigurationChanged(voters("ABC"), Index(0))]


def test_m04_the_overwriting_entry_may_bring_another_change() -> None:
    node = make_node("A", entries="1:1", term=1)
    node.receive("B", append_entries(1, (1, 1), [membership_entry(2, 1, voters("BCD"))]))
    node.receive("C", append_entries(2, (1, 1), [membership_entry(2, 2, voters("ABCE"))]))
    assert names(node) == "ABCE"


def test_m05_a_change_above_the_commit_index_is_active_after_a_restart() -> None:
    entries = [membership_entry(1, 1, voters("ABC")), membership_entry(2, 1, voters("ABCD"))]
    node = make_node("A", entries=entries, term=1)
    assert node.core.commit_index == 0
    assert names(node) == "ABCD"


def test_m06_a_restart_takes_the_configuration_of_the_snapshot_and_later_ones() -> None:
    meta = SnapshotMeta(Index(5), Term(1), voters("ABCD"))
    node = make_node("A", snapshot=meta, term=1)
    assert names(node) == "ABCD"
    later = [membership_entry(6, 1, voters("ABCDE"))]
    node = make_node("A", snapshot=meta, entries=later, term=1)
    assert names(node) == "ABCDE"


def test_m06_a_snapshot_at_the_change_one_before_and_one_after() -> None:
    entries = [entry(1, 1), membership_entry(2, 1, voters("ABCD")), entry(3, 1)]
    node = make_node("A", entries=entries, term=1)
    node.receive("B", append_entries(1, (3, 1), commit=3))
    at = {index: node.core.snapshot_meta(Index(index)).configuration for index in (1, 2, 3)}
    assert at == {1: voters("ABC"), 2: voters("ABCD"), 3: voters("ABCD")}


def test_m07_a_snapshot_holds_the_configuration_as_of_its_index() -> None:
    entries = [entry(1, 1), entry(2, 1), membership_entry(3, 1, voters("ABX"))]
    node = make_node("A", entries=entries, term=1)
    node.receive("B", append_entries(1, (2, 1), commit=2))
    meta = node.take_snapshot()
    assert meta.configuration == voters("ABC")
    node.receive("C", append_entries(2, (2, 1), "3:2"))
    assert names(node) == "ABC"


def test_m08_a_new_voter_with_an_empty_log_stops_the_writes_until_it_is_there() -> None:
    cluster = Cluster("A")
    cluster.write(b"before")
    cluster.tell("A", AddMember(member("B"), "add"))
    cluster.put("A", b"during")
    cluster.run_for(0.9)
    assert b"during" not in cluster["A"].commands
    cluster.add("B", Configuration())
    cluster.wait_for_leader()
    cluster.settle()
    assert cluster["B"].commands[0] == b"before"


def test_m09_a_promotable_member_becomes_a_voter_when_it_has_caught_up() -> None:
    cluster = Cluster("A")
    for number in range(30):
        cluster.write(b"%d" % number)
    join(cluster, "B")
    cluster.settle()
    assert kinds(cluster["A"]) == {"A": "VOTER", "B": "VOTER"}
    assert isinstance(cluster.answer("A", "add B"), Completed)


def test_m09_the_quorum_stays_the_same_before_the_promotion() -> None:
    node = make_node("A", configuration=voters("A"))
    node.sync()
    node.step(AddMember(member("B", PROMOTABLE), "add"))
    node.sync()
    assert node.core.commit_index == 2
    assert node.done(Completed) == [Completed("add", Index(2))]


def test_m10_a_new_leader_promotes() -> None:
    cluster = Cluster("ABC")
    cluster.elect("A")
    cluster.tell("A", AddMember(member("D", PROMOTABLE), "add"))
    cluster.run_for(0.3)
    cluster.crash("A")
    cluster.add("D", Configuration())
    cluster.run_until(lambda: cluster["D"].core.membership is MemberKind.VOTER)


def test_m10_a_member_that_restarts_while_catching_up_is_promoted() -> None:
    cluster = Cluster("A", settings=RaftSettings(max_append_entries=2, max_inflight_messages=1))
    for number in range(50):
        cluster.write(b"%d" % number)
    cluster.add("B", Configuration())
    cluster.tell("A", AddMember(member("B", PROMOTABLE), "add"))
    cluster.run_until(lambda: cluster["B"].core.last_written > 10)
    cluster.crash("B")
    cluster.restart("B")
    cluster.run_until(lambda: cluster["B"].core.membership is MemberKind.VOTER)


def test_m11_a_snapshot_alone_is_enough_to_be_promoted() -> None:
    cluster = Cluster("A", settings=RaftSettings(trailing_entries=0))
    cluster.write(b"x")
    cluster.tell("A", AddMember(member("B", PROMOTABLE), "add"))
    cluster.run_until(lambda: cluster.answer("A", "add"))
    cluster["A"].take_snapshot()
    cluster.add("B", Configuration())
    cluster.run_until(lambda: cluster["B"].core.membership is MemberKind.VOTER)
    assert cluster["B"].disk.snapshot is not None


def test_m12_a_member_with_old_data_cannot_raise_the_term_before_it_is_a_member() -> None:
    cluster = Cluster("AB")
    cluster.elect("A")
    cluster.add("X", voters("XYZ"))
    cluster.restart("X", Disk(HardState(Term(50), None), log("1:9 2:9")))
    cluster["X"].uid = "old"
    cluster.run_for(5)
    for name in "AB":
        cluster.nodes[name].receive("X", AppendEntriesResponse(Term(60), False, *_zeros()))
    assert {cluster[name].core.term for name in "AB"} == {1}


def _zeros() -> tuple[Index, Index, Term]:
    return Index(0), Index(0), Term(0)


def silent(node: Node, *names: str) -> None:
    """Let those who are not named answer for longer than an election takes."""
    heard = [name for name in "BCDE" if sid(name) in node.core.peers and name not in names]
    for _ in range(30):
        node.wait(0.1)
        node.receive_all(*((name, confirmed(node.core.last_index)) for name in heard))


def test_a_removal_that_would_leave_no_majority_that_answers_is_refused() -> None:
    """It would be in effect at once, and nobody could commit it or take it back."""
    node = ready_leader()
    silent(node, "C")
    for gone, ticket in (("B", 1), ("A", 2)):
        node.step(RemoveMember(sid(gone), ticket))
        assert node.rejection(ticket) is RejectReason.NO_MAJORITY_LEFT
    assert names(node) == "ABC"
    assert node.core.role is Role.LEADER


def test_the_silent_member_itself_can_be_removed_and_any_while_all_answer() -> None:
    node = ready_leader()
    silent(node, "C")
    node.step(RemoveMember(sid("C"), 1))
    assert (node.rejection(1), names(node)) == (None, "AB")
    node = ready_leader()
    silent(node)
    node.step(RemoveMember(sid("B"), 1))
    assert (node.rejection(1), names(node)) == (None, "AC")


def test_a_refused_removal_is_possible_once_the_silent_member_answers() -> None:
    node = ready_leader()
    silent(node, "C")
    node.step(RemoveMember(sid("B"), 1))
    node.receive("C", confirmed(node.core.last_index))
    node.step(RemoveMember(sid("B"), 2))
    assert (node.rejection(2), names(node)) == (None, "AC")
