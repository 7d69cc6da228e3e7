"""Snapshots: cases S01 to S27 (Raft §7)."""

from __future__ import annotations

from khepri.raft.effects import (
    DiscardSnapshot,
    EndSnapshotSend,
    InstallSnapshot,
)
from khepri.raft.events import (
    AddMember,
)
from khepri.raft.messages import (
    AppendEntriesRequest,
    Heartbeat,
    InstallSnapshotRequest,
    InstallSnapshotResponse,
)
from khepri.raft.types import HardState, Index, MemberKind, Term
from tests.raft.raft_cluster import Cluster
from tests.raft.raft_helpers import Disk, make_node, propose
from tests.raft.raft_notation import append_entries, confirmed, log, member, sid, voters
from tests.raft.raft_snapshot_helpers import (
    NO_TRAIL,
    meta,
    piece,
    sending_leader,
)


def test_s01_a_snapshot_is_taken_the_log_cut_and_found_again() -> None:
    cluster = Cluster("ABC", settings=NO_TRAIL)
    cluster.elect("A")
    for number in range(10):
        cluster.write(b"%d" % number)
    cluster.settle()
    cluster["B"].take_snapshot()
    assert cluster["B"].log_text == ""
    cluster.write(b"after")
    cluster.settle()
    cluster.crash("B")
    cluster.restart("B")
    assert len(cluster["B"].commands) == 10
    cluster.settle()
    assert cluster["B"].commands == cluster["A"].commands


def test_s04_a_lagging_follower_gets_a_snapshot_and_then_entries() -> None:
    cluster = Cluster("ABC", settings=NO_TRAIL)
    cluster.elect("A")
    cluster.crash("C")
    for number in range(20):
        cluster.write(b"%d" % number)
    cluster["A"].take_snapshot()
    cluster.write(b"after")
    cluster.restart("C")
    cluster.settle()
    installed = cluster["C"].disk.snapshot
    assert installed is not None
    assert installed.index == 21
    pieces = [m for _, _, m in cluster.delivered if isinstance(m, InstallSnapshotRequest)]
    assert len(pieces) == 3
    assert cluster["C"].core.configuration == voters("ABC")
    assert cluster["A"].reading == set()


def test_s05_lost_doubled_and_reordered_pieces_are_made_good() -> None:
    cluster = Cluster("ABC", settings=NO_TRAIL, seed=5)
    cluster.elect("A")
    cluster.crash("C")
    for number in range(20):
        cluster.write(b"%d" % number)
    cluster["A"].take_snapshot()
    random = cluster.random

    def delay(_sender: str, _target: str, message: object) -> list[float]:
        if not isinstance(message, InstallSnapshotRequest | InstallSnapshotResponse):
            return [0.002]
        return [0.002 + random.random() * 0.2 for _ in range(random.randrange(4))]

    cluster.delay = delay
    cluster.restart("C")
    cluster.settle(60)


def test_s05_a_damaged_snapshot_is_refused_and_sent_anew() -> None:
    cluster = Cluster("AB", settings=NO_TRAIL)
    cluster.elect("A")
    cluster.add("C", voters(""))
    for number in range(20):
        cluster.write(b"%d" % number)
    cluster["A"].take_snapshot()
    good = cluster["A"].disk.snapshot_data
    cluster["A"].disk.snapshot_data = good[:50] + b"\xc1" + good[51:]
    cluster.tell("A", AddMember(member("C", MemberKind.NON_VOTER), "add"))
    cluster.run_until(lambda: any(isinstance(e, InstallSnapshot) for e in cluster["C"].history))
    cluster.run_for(0.5)
    assert cluster["C"].core.last_index == 0
    cluster["A"].disk.snapshot_data = good
    cluster.run_until(lambda: len(cluster["C"].commands) == 20)


def test_s06_a_transfer_that_stops_is_abandoned_and_the_next_accepted() -> None:
    node = make_node("A", term=1)
    node.receive("B", piece(meta(9), data=b"half"))
    node.work()
    for _ in range(310):  # heartbeats go on, pieces do not
        node.now += 0.1
        node.receive("B", Heartbeat(Term(1), Index(0), 1))
    assert node.partial == {}
    node.receive("B", piece(meta(9), transfer_id=2, data=b"half"))
    node.work()
    assert node.partial == {2: b"half"}


def test_s07_a_new_leader_ends_the_transfer() -> None:
    node = make_node("A", entries="1:1", term=1)
    node.receive("B", piece(meta(9), data=b"half"))
    node.receive("C", append_entries(2, (1, 1)))
    assert node.done(DiscardSnapshot) == [DiscardSnapshot(1)]
    assert (node.core.leader, node.core.term) == (sid("C"), 2)


def test_s08_a_receiver_that_crashes_midway_asks_for_a_new_attempt() -> None:
    node = make_node("A", entries="1:1", term=1)
    node.receive("B", piece(meta(9), data=b"half"))
    node.work()
    node.crash_and_restart()
    answers = node.receive("B", piece(meta(9), offset=4, data=b"rest", done=True))
    assert answers == [InstallSnapshotResponse(Term(1), 1, 0, accepted=False)]
    assert node.core.last_index == 1


def test_s09_a_receiver_that_has_it_all_says_so() -> None:
    node = make_node("A", entries="1:1 2:1 3:1", term=1)
    node.receive("B", append_entries(1, (3, 1), commit=3))
    assert node.receive("B", piece(meta(2))) == [confirmed(3)]
    assert node.jobs == []


def test_s10_a_confirmation_by_other_means_ends_the_transfer() -> None:
    node, wanted = sending_leader()
    node.receive("B", confirmed(10))
    assert node.done(EndSnapshotSend) == [EndSnapshotSend(wanted.transfer_id)]
    propose(node, b"x")
    to_b = [s.message for s in node.outbox if s.to == sid("B")]
    assert isinstance(to_b[-1], AppendEntriesRequest)
    assert to_b[-1].previous_log_index == 10


def test_s11_a_matching_suffix_is_kept() -> None:
    text = " ".join(f"{i}:1" for i in range(1, 121))
    node = make_node("A", entries=text, term=2)
    answers = node.receive("B", piece(meta(100), term=2, data=b"all", done=True))
    assert answers == [confirmed(100, 1, term=2)]
    assert node.core.last_index == 120
    assert (node.core.commit_index, node.core.last_applied) == (100, 100)
    assert node.jobs == []


def test_s12_a_conflicting_log_is_replaced_as_a_whole() -> None:
    cluster = Cluster("ABC", settings=NO_TRAIL)
    cluster.crash("C")
    for name in "AB":
        cluster.restart(name, Disk(HardState(Term(4), None)))
    cluster.run_for(cluster.settings.election_timeout_min_seconds)
    cluster.elect("A")
    for number in range(20):
        cluster.write(b"%d" % number)
    cluster["A"].take_snapshot()
    other = " ".join(f"{i}:3" for i in range(1, 40))
    cluster.restart("C", Disk(HardState(Term(3), None), log(other)))
    cluster.settle()
    assert cluster["C"].commands[:20] == [b"%d" % number for number in range(20)]


def test_s13_a_late_piece_of_an_old_snapshot_deletes_nothing() -> None:
    text = " ".join(f"{i}:1" for i in range(1, 151))
    node = make_node("A", entries=text, term=1)
    node.receive("B", append_entries(1, (150, 1), commit=150))
    node.receive("B", piece(meta(100), data=b"all", done=True))
    assert (node.core.last_index, node.core.commit_index, node.jobs) == (150, 150, [])
