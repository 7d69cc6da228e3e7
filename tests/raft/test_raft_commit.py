"""The commit rule: cases C01 to C10 (Raft §5.4.2)."""

from __future__ import annotations

import itertools

import pytest

from khepri.raft.effects import ApplyEntries
from khepri.raft.events import RemoveMember
from khepri.raft.messages import AppendEntriesRequest, AppendEntriesResponse, Heartbeat
from khepri.raft.settings import RaftSettings
from khepri.raft.types import Configuration, HardState, Index, MemberKind, Term
from tests.raft.raft_cluster import Cluster
from tests.raft.raft_helpers import Disk, Node, make_leader, make_node, propose
from tests.raft.raft_notation import append_entries, log, member, sid, voters


def confirm(node: Node, index: int, *names: str) -> None:
    """`names` say that they hold the leader's log up to `index`."""
    term = node.core._server.log.term_at(index)
    assert term is not None
    answer = AppendEntriesResponse(node.core.term, True, Index(0), Index(index), term)
    node.receive_all(*((name, answer) for name in names))


def leader_with(names: str, count: int, configuration: Configuration | None = None) -> Node:
    """A leads voters `names` with `count` entries, all on its own disk, confirmed by nobody."""
    node = make_leader("A", configuration=configuration or voters(names), supporters=names[1:])
    propose(node, *(b"%d" % i for i in range(2, count + 1)))
    node.sync()
    assert node.core.commit_index == 0 or names == "A"
    return node


def test_c01_figure_8_an_entry_of_an_earlier_term_is_not_committed_by_counting() -> None:
    node = make_leader("A", entries="1:1 2:2", term=3, configuration=voters("ABCDE"))
    node.sync()
    confirm(node, 2, "B", "C", "D")
    assert node.core.commit_index == 0
    confirm(node, 3, "B", "C")
    assert node.core.commit_index == 3


def test_a_leader_waits_for_its_own_disk_once_a_follower_holds_more_than_is_committed() -> None:
    node = make_leader("A", configuration=voters("ABC"), supporters="BC")
    assert not node.core.waits_for_own_disk, "its own copy alone commits nothing"
    confirm(node, 1, "B")
    assert node.core.waits_for_own_disk
    node.sync()
    assert (node.core.commit_index, node.core.waits_for_own_disk) == (1, False)


def test_the_only_voter_always_waits_for_its_own_disk_and_a_follower_has_no_majority() -> None:
    assert make_leader("A", configuration=voters("A"), supporters="").core.waits_for_own_disk
    assert not make_node("B").core.waits_for_own_disk


def test_c02_the_first_own_entry_commits_what_went_before() -> None:
    cluster = Cluster("ABC")
    for name in "ABC":
        cluster.restart(name, Disk(HardState(Term(4), None), log("1:1 2:3 3:4")))
    cluster.wait_for_leader()
    cluster.settle()
    assert all(node.core.last_applied == 4 for node in cluster.alive)


@pytest.mark.parametrize(
    ("names", "matches", "committed"),
    [("ABCD", {"B": 5, "C": 3, "D": 3}, 3), ("AB", {"B": 3}, 3), ("ABC", {"B": 2, "C": 2}, 2)],
)
def test_c03_a_majority_of_an_even_number_is_more_than_half(
    names: str, matches: dict[str, int], committed: int
) -> None:
    node = leader_with(names, 5)
    for name, index in matches.items():
        confirm(node, index, name)
    assert node.core.commit_index == committed


def test_c04_learners_do_not_count() -> None:
    configuration = voters("ABC")
    for name in "DE":
        configuration = configuration.with_member(member(name, MemberKind.NON_VOTER))
    node = leader_with("ABC", 9, configuration)
    confirm(node, 9, "D", "E")
    assert node.core.commit_index == 0
    confirm(node, 2, "B", "C")
    assert node.core.commit_index == 2


def test_c05_a_leader_being_removed_does_not_count_itself() -> None:
    node = leader_with("ABC", 6)
    confirm(node, 6, "B", "C")
    node.step(RemoveMember(sid("A"), "ticket"))
    propose(node, b"8", b"9")
    node.sync()
    assert (node.core.last_index, node.core.commit_index) == (9, 6)
    confirm(node, 8, "B")
    assert node.core.commit_index == 6
    assert node.is_leader
    confirm(node, 7, "C")
    assert node.core.commit_index == 7


def test_c06_a_late_request_does_not_lower_the_commit_index() -> None:
    node = make_node("A", entries="1:1 2:1 3:1 4:1 5:1 6:1 7:1", term=1)
    node.receive("B", append_entries(1, (7, 1), commit=7))
    node.receive("B", append_entries(1, (7, 1), commit=4))
    node.receive("B", Heartbeat(Term(1), Index(4), 1))
    assert node.core.commit_index == 7


def test_c07_the_commit_index_is_bounded_by_the_log() -> None:
    node = make_node("A", entries="1:1 2:1 3:1 4:1 5:1", term=1)
    node.receive("B", append_entries(1, (5, 1), commit=9))
    assert node.core.last_applied == 5
    node.receive("B", append_entries(1, (5, 1), "6:1 7:1 8:1 9:1", commit=9))
    assert node.core.last_applied == 9


@pytest.mark.parametrize("holders", list(itertools.product([False, True], repeat=2)), ids=str)
def test_c08_an_acknowledged_write_survives_the_leaders_crash(
    holders: tuple[bool, bool],
) -> None:
    """Whoever of B and C has the entry: if A acknowledged it, it is there afterwards."""
    cluster = Cluster("ABC")
    leader = cluster.elect("A")
    gets = dict(zip("BC", holders, strict=True))
    cluster.drop = lambda _s, t, m: isinstance(m, AppendEntriesRequest) and not gets[t]
    cluster.put("A", b"x")
    cluster.run_for(0.05)
    acknowledged = b"x" in leader.commands
    assert acknowledged == any(holders)
    cluster.crash("A")
    cluster.heal()
    new = cluster.wait_for_leader()
    cluster.settle()
    assert not acknowledged or b"x" in new.commands


def test_c09_a_long_leap_is_applied_once_in_order() -> None:
    text = " ".join(f"{i}:1" for i in range(1, 301))
    node = make_node("A", entries=text, term=1)
    node.receive("B", append_entries(1, (300, 1), commit=3))
    node.receive("B", append_entries(1, (300, 1), commit=300))
    (leap,) = node.done(ApplyEntries)
    assert [entry.index for entry in leap.entries] == list(range(4, 301))


def test_c09_a_very_long_leap_takes_several_steps_and_asks_for_them() -> None:
    text = " ".join(f"{i}:1" for i in range(1, 11))
    node = make_node("A", entries=text, term=1, settings=RaftSettings(max_apply_entries=4))
    node.receive("B", append_entries(1, (10, 1), commit=10))
    sizes: list[int] = []
    while node.core.next_deadline() < 0:
        sizes.append(len(node.machine))
        node.step()
    assert sizes == [4, 8]
    assert len(node.machine) == 10
