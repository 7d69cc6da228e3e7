"""Versions of the machine: cases A13 to A16 and S21 (Ra §4.4).

The machine of these tests is a list of entries, so an upgrade is a number that a member has from
its next start on.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from khepri.encoding import EncodingError, pack, unpack
from khepri.raft.effects import ReadSnapshotChunk, RejectReason, StoreSnapshotChunk
from khepri.raft.events import AddMember, ForceSingleMember
from khepri.raft.machine_versions import VersionHistory, decode_version, encode_version
from khepri.raft.messages import (
    AppendEntriesResponse,
    HeartbeatResponse,
    InstallSnapshotResponse,
    PreVoteRequest,
)
from khepri.raft.types import Entry, EntryKind, Index, MemberKind, SnapshotMeta, Term
from tests.raft.raft_cluster import Cluster
from tests.raft.raft_helpers import Node, elect, make_node
from tests.raft.raft_notation import append_entries, confirmed, entry, member, sid, voters
from tests.raft.raft_snapshot_helpers import NO_TRAIL, meta, piece

if TYPE_CHECKING:
    from collections.abc import Iterable


def raising(index: int, term: int, version: int) -> Entry:
    return Entry(Index(index), Term(term), EntryKind.NOOP, encode_version(version))


def upgrade(cluster: Cluster, name: str, version: int = 2) -> None:
    """Start a member again with a release that knows a version."""
    cluster[name].machine_version = version
    cluster.restart(name)
    cluster.run_for(3.0)


def versions(cluster: Cluster) -> dict[str, int]:
    return {node.name: node.core.machine_version for node in cluster.alive}


def upgraded(names: str, version: int = 2) -> Cluster:
    """A cluster all of whose members have gone over to a version."""
    cluster = Cluster(names)
    cluster.elect(names[0])
    cluster.write(b"by the first version")
    for name in names:
        upgrade(cluster, name, version)
    cluster.wait_for_leader()
    cluster.run_until(lambda: set(versions(cluster).values()) == {version})
    return cluster


def test_a13_the_version_is_raised_when_all_members_know_it_and_not_before() -> None:
    cluster = Cluster("ABC")
    cluster.elect("A")
    cluster.write(b"one")
    upgrade(cluster, "A")
    upgrade(cluster, "B")
    cluster.write(b"two")
    assert set(versions(cluster).values()) == {1}
    upgrade(cluster, "C")
    cluster.run_until(lambda: set(versions(cluster).values()) == {2})
    cluster.write(b"three")
    cluster.settle()


def test_a13_nobody_is_waited_for_who_is_no_member() -> None:
    cluster = Cluster("A")
    upgrade(cluster, "A", 7)
    assert cluster["A"].core.machine_version == 7


def test_a13_a_member_that_is_down_may_be_of_an_old_release_and_is_waited_for() -> None:
    cluster = Cluster("ABC")
    cluster.elect("A")
    cluster.crash("C")
    upgrade(cluster, "A")
    upgrade(cluster, "B")
    assert set(versions(cluster).values()) == {1}
    cluster[cluster.wait_for_leader().name]
    upgrade(cluster, "C", 1)
    assert set(versions(cluster).values()) == {1}
    upgrade(cluster, "C", 2)
    cluster.run_until(lambda: set(versions(cluster).values()) == {2})


def test_a13_the_version_is_the_highest_that_all_know() -> None:
    cluster = Cluster("ABC")
    cluster.elect("A")
    for name, version in zip("ABC", (4, 3, 5), strict=True):
        upgrade(cluster, name, version)
    cluster.run_until(lambda: set(versions(cluster).values()) == {3})


def behind_a_raise() -> Node:
    """B, of the first version, whose leader A has gone over to the second one with entry 3."""
    node = make_node("B", entries="1:1 2:1", term=1)
    node.receive("A", append_entries(1, (2, 1), [raising(3, 1, 2), entry(4, 1)], commit=4))
    node.sync()
    return node


def test_a14_a_member_that_does_not_know_the_version_applies_nothing_of_it_but_confirms() -> None:
    node = behind_a_raise()
    assert [item.index for item in node.machine] == [1, 2]
    assert node.core.commit_index == 4
    (answer,) = node.ever(type(node.outbox[0]))[-1:]
    assert answer.message == confirmed(4)
    assert node.core.next_deadline() > node.now, "it does not turn round and round"
    node.receive("A", append_entries(1, (4, 1), "5:1", commit=4))
    assert confirmed(5) in node.sync()


def test_a14_after_its_upgrade_it_applies_what_it_has() -> None:
    node = behind_a_raise()
    node.machine_version = 2
    node.crash_and_restart()
    node.receive("A", append_entries(1, (4, 1), "", commit=4))
    assert [item.index for item in node.machine] == [1, 2, 3, 4]
    assert node.core.machine_version == 2


def test_a15_a_member_that_does_not_know_the_version_is_no_candidate() -> None:
    node = behind_a_raise()
    node.forget_promise()
    node.wait(60.0)
    assert node.sent(PreVoteRequest) == []
    node.machine_version = 2
    node.crash_and_restart()
    node.wait(60.0)
    assert node.sent(PreVoteRequest) != []


def test_a15_not_even_if_it_is_the_only_member_left() -> None:
    node = make_node("A", entries=[entry(1, 1), raising(2, 1, 2)], term=1)
    node.configuration = voters("A")
    node.crash_and_restart()
    node.wait(60.0)
    assert not node.is_leader
    node.step(ForceSingleMember("by force"))
    assert node.rejection("by force") is RejectReason.CLUSTER_CHANGE_NOT_PERMITTED


def test_a16_the_version_of_each_entry_is_known_again_after_a_restart() -> None:
    cluster = upgraded("ABC")
    cluster.write(b"by the second version")
    node = cluster["A"]
    cluster.restart("A")
    cluster.settle()
    before, at = node.core.snapshot_meta, node.core.last_applied
    index = next(e.index for e in node.machine if e.kind is EntryKind.NOOP and e.data)
    assert before(Index(index - 1)).machine_version == 1
    assert before(index).machine_version == before(at).machine_version == 2


def test_a16_a_snapshot_knows_the_version_it_was_taken_at() -> None:
    cluster = upgraded("ABC")
    node = cluster["A"]
    assert node.take_snapshot().machine_version == 2
    cluster.restart("A")
    assert node.core.machine_version == 2


def test_a16_a_version_that_is_cut_from_the_log_is_not_in_effect() -> None:
    node = make_node("B", entries="1:1", term=1)
    node.receive("A", append_entries(1, (1, 1), [raising(2, 1, 2)]))
    assert node.core.needed_machine_version == 2
    node.receive("C", append_entries(2, (1, 1), [entry(2, 2)]))
    assert node.core.needed_machine_version == 1
    node.forget_promise()
    node.wait(60.0)
    assert node.sent(PreVoteRequest) != []


def test_s21_a_snapshot_of_a_higher_version_is_not_accepted_and_does_no_harm() -> None:
    node = make_node("B", entries="1:1", term=1)
    about = replace(meta(10), machine_version=2)
    node.receive("A", piece(about, data=b"x"))
    assert node.done(StoreSnapshotChunk) == []
    assert node.sent(InstallSnapshotResponse) == []
    node.receive("A", append_entries(1, (1, 1), "2:1", commit=2))
    node.sync()
    assert [item.index for item in node.machine] == [1, 2]


def leader_with_a_snapshot_of_version_2() -> Node:
    about = SnapshotMeta(Index(5), Term(1), voters("ABC"), machine_version=2)
    node = make_node("A", entries="6:1", term=1, snapshot=about, settings=NO_TRAIL)
    node.machine_version = 2
    node.crash_and_restart()
    node.forget_promise()
    elect(node, "B", "C")
    node.sync()
    return node


@pytest.mark.parametrize("version", [1, 2])
def test_s21_a_snapshot_is_sent_to_those_who_can_read_it(version: int) -> None:
    node = leader_with_a_snapshot_of_version_2()
    term = node.core.term
    nothing = AppendEntriesResponse(term, False, Index(6), Index(0), Term(0))
    heard = HeartbeatResponse(term, 1, Index(0), Index(0), Term(0), 600, version)
    node.receive_all(("B", heard), ("B", nothing))
    node.wait(0.2)
    assert bool(node.ever(ReadSnapshotChunk)) == (version == 2)


def test_a_newcomer_of_an_old_release_is_made_no_voter() -> None:
    cluster = upgraded("AB")
    newcomer = member("D", MemberKind.PROMOTABLE)
    cluster.add("D", type(cluster["A"].core.configuration)())
    leader = cluster.wait_for_leader()
    cluster.tell(leader.name, AddMember(newcomer, "join"))
    cluster.run_for(5.0)
    assert sid("D") not in leader.core.configuration.voters
    upgrade(cluster, "D")
    cluster.run_until(lambda: sid("D") in leader.core.configuration.voters)
    cluster.settle()


def test_a_version_is_a_number_from_1_on() -> None:
    assert decode_version(b"") is None
    assert decode_version(encode_version(3)) == 3
    for wrong in (pack(0), pack(-1), pack("2"), pack(True), b"\xc1", pack([2])):
        with pytest.raises(EncodingError):
            decode_version(wrong)
        with pytest.raises(EncodingError):
            Entry.from_plain([1, 1, int(EntryKind.NOOP), wrong])


def test_the_first_version_is_not_said_so_that_older_releases_understand() -> None:
    answer = HeartbeatResponse(Term(1), 1, Index(0), Index(0), Term(0), 600)
    assert len(answer.to_plain()) == len(replace(answer, machine_version=2).to_plain()) - 1
    about = meta(5)
    assert len(about.to_plain()) == len(replace(about, machine_version=2).to_plain()) - 1
    for one in (about, replace(about, machine_version=2)):
        assert SnapshotMeta.from_plain(unpack(pack(one.to_plain()))) == one


def test_the_first_place_above_a_version_is_found() -> None:
    history = VersionHistory(Index(3), 1)
    add_all(history, [(5, 2), (9, 4)])
    assert [history.first_above(version) for version in (0, 1, 2, 3, 4)] == [3, 5, 9, 9, None]


def add_all(history: VersionHistory, raised: Iterable[tuple[int, int]]) -> None:
    for index, version in raised:
        history.add(Index(index), version)
