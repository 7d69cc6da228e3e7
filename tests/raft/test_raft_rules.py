"""The compulsory safe rules of ra.md §9, one test each, as far as the core can keep them.

Not here: 13 (identities in the envelope: ``test_actors_store_network.py``), 16 (commit records:
``test_log_recovery.py``), 21 in so far as it is about parked calls (``test_cluster_parking.py``;
the core parks no proposal). ``test_raft_documented.py`` checks that none is missing.
"""

from __future__ import annotations

import pytest

from khepri.raft.effects import AppendEntries, DiscardSnapshot, ReadReady, RejectReason
from khepri.raft.events import (
    LogRecovered,
    LogWriteFailed,
    MessageReceived,
    Propose,
    ReadRequest,
    SnapshotChunkStored,
    SnapshotInstalled,
    TransferLeadership,
    TriggerElection,
)
from khepri.raft.messages import (
    AppendEntriesRequest,
    AppendEntriesResponse,
    Heartbeat,
    InstallSnapshotRequest,
    InstallSnapshotResponse,
    PreVoteRequest,
    PreVoteResponse,
    RequestVoteResponse,
    TimeoutNow,
)
from khepri.raft.settings import RaftSettings
from khepri.raft.types import HardState, Index, MemberKind, Role, SnapshotMeta, Term
from tests.raft.raft_cluster import Cluster
from tests.raft.raft_helpers import Node, make_leader, make_node, propose
from tests.raft.raft_notation import (
    append_entries,
    confirmed,
    log,
    member,
    membership_entry,
    pre_vote,
    request_vote,
    sid,
    voters,
)


def refused(previous: int, hint: int) -> AppendEntriesResponse:
    return AppendEntriesResponse(Term(1), False, Index(previous), Index(hint), Term(min(hint, 1)))


def piece(index: int, *, transfer_id: int = 1, offset: int = 0) -> InstallSnapshotRequest:
    meta = SnapshotMeta(Index(index), Term(1), voters("ABC"))
    return InstallSnapshotRequest(Term(1), transfer_id, meta, offset, b"data", done=False)


def leader_with_entries(last_index: int) -> Node:
    """A leads; B and C hold the first entry; the rest is only on A's disk."""
    node = make_leader("A")
    node.sync()
    node.receive_all(("B", confirmed(1)), ("C", confirmed(1)))
    propose(node, *(b"%d" % i for i in range(2, last_index + 1)))
    node.sync()
    return node


def test_rule_01_votes_are_sets_of_voters_per_term_and_round() -> None:
    node = make_node("A", configuration=voters("ABCDE"))
    node.step(TriggerElection())
    (request, *_) = node.sent(PreVoteRequest)
    grant = PreVoteResponse(Term(0), request.round_id, True)
    node.receive_all(("B", grant), ("B", grant), ("X", grant))
    assert node.plays(Role.PRE_CANDIDATE)
    node.receive("C", grant)
    vote = RequestVoteResponse(Term(1), True)
    node.receive_all(("B", vote), ("B", vote), ("X", vote))
    assert node.plays(Role.CANDIDATE)


def test_rule_02_only_a_real_conflict_deletes() -> None:
    node = make_node("A", entries="1:1 2:1 3:1", term=1)
    node.receive("B", append_entries(2, (1, 1)))
    node.receive("B", append_entries(2, (1, 1), "2:1"))
    assert node.log_text == "1:1 2:1 3:1"
    node.receive("B", append_entries(2, (2, 1), "3:2"))
    assert node.log_text == "1:1 2:1 3:2"


def test_rule_03_only_what_is_durable_and_proven_is_confirmed() -> None:
    node = make_node("A", entries="1:1 2:1 3:1", term=1)
    assert node.receive("B", append_entries(2, (1, 1))) == [confirmed(1, 1, term=2)]
    assert node.receive("B", append_entries(2, (3, 1), "4:2")) == []
    assert node.receive("B", append_entries(2, (4, 2))) == [confirmed(3, 1, term=2)]


def test_rule_03_a_leader_counts_only_entries_of_its_own() -> None:
    node = leader_with_entries(3)
    node.receive("B", confirmed(3, 9, term=1))
    node.receive("B", confirmed(99, 1))
    assert node.core.commit_index == 1
    node.receive("B", confirmed(3, 1))
    assert node.core.commit_index == 3


def test_rule_04_the_commit_index_only_moves_forward_and_only_over_what_is_proven() -> None:
    node = make_node("A", entries="1:1 2:1 3:1", term=1)
    node.receive("B", append_entries(2, (2, 1), commit=3))
    assert node.core.commit_index == 2
    node.receive("B", append_entries(2, (1, 1), commit=1))
    node.receive("B", Heartbeat(Term(2), Index(0), 1))
    assert node.core.commit_index == 2


def test_rule_05_a_late_refusal_rewinds_nothing() -> None:
    node = leader_with_entries(9)
    node.receive("B", confirmed(9))
    node.outbox.clear()
    node.receive("B", refused(4, 2))
    propose(node, b"next")
    previous = [m.previous_log_index for m in node.sent(AppendEntriesRequest)]
    assert previous == [9, 9]


def test_rule_06_what_a_peer_has_confirmed_is_never_lowered() -> None:
    node = leader_with_entries(9)
    node.receive("B", confirmed(9))
    assert node.core.commit_index == 9
    node.receive("B", confirmed(2))
    propose(node, b"next")
    node.sync()
    node.receive("C", confirmed(2))
    assert node.core.commit_index == 9
    assert node.match_index("B") == 9


def test_rule_07_a_snapshot_the_log_agrees_with_deletes_nothing() -> None:
    node = make_node("A", entries="1:1 2:1 3:1 4:1", term=1)
    node.receive("B", piece(3))
    assert (node.log_text, node.core.commit_index) == ("1:1 2:1 3:1 4:1", 3)
    node.receive("B", piece(2, transfer_id=2))
    assert (node.log_text, node.core.commit_index, node.jobs) == ("1:1 2:1 3:1 4:1", 3, [])


def test_rule_08_a_transfer_is_void_in_another_term() -> None:
    node = make_node("A", entries="1:1", term=1)
    node.receive("B", append_entries(2, (1, 1)))
    node.receive("B", TimeoutNow(Term(1)))
    node.receive("B", TimeoutNow(Term(3)))
    assert node.plays(Role.FOLLOWER)
    node.receive("B", TimeoutNow(Term(2)))
    assert node.plays(Role.CANDIDATE)


def test_rule_09_a_late_first_piece_does_not_restart_a_newer_transfer() -> None:
    node = make_node("A", entries="1:1", term=1)
    node.receive("B", piece(9, transfer_id=5))
    node.work()
    node.receive("B", piece(9, transfer_id=4))
    assert node.done(DiscardSnapshot) == []
    node.receive("B", piece(9, transfer_id=5))
    assert node.sent(InstallSnapshotResponse) == [
        InstallSnapshotResponse(Term(1), 5, 4, accepted=True)
    ]
    assert node.partial == {5: b"data"}


def test_rule_10_a_leader_speaks_even_when_idle_and_silence_elects() -> None:
    cluster = Cluster("ABC")
    cluster.elect("A")
    cluster.delivered.clear()
    cluster.run_for(1.05)
    beats = [m for _, t, m in cluster.delivered if isinstance(m, Heartbeat) and t == "B"]
    assert len(beats) == 10
    cluster.crash("A")
    cluster.wait_for_leader(5.0)


def test_rule_11_a_leader_that_hears_no_majority_steps_down_and_holds_little() -> None:
    node = make_leader("A", settings=RaftSettings(max_uncommitted_bytes=500))
    for number in range(10):
        node.step(Propose(b"x" * 100, number))
    assert node.rejection(9) is RejectReason.OVERLOADED
    node.wait(1.3)
    assert node.plays(Role.FOLLOWER)


def test_rule_12_who_hears_a_leader_refuses_unless_the_leader_wants_it() -> None:
    node = make_node("A", entries="1:1", term=1)
    node.receive("B", append_entries(1, (1, 1)))
    (answer,) = node.receive("C", pre_vote(2, (1, 1)))
    assert answer == PreVoteResponse(Term(1), 1, False)
    assert node.receive("C", request_vote(2, (1, 1))) == []
    assert node.receive("C", request_vote(2, (1, 1), transfer=True)) == [
        RequestVoteResponse(Term(2), True)
    ]


def test_rule_14_two_leaders_of_a_term_are_a_loud_failure() -> None:
    node = make_leader("A")
    with pytest.raises(AssertionError):
        node.step(MessageReceived(sid("B"), Heartbeat(Term(1), Index(0), 1)))
    node = make_node("A", term=1)
    node.receive("B", Heartbeat(Term(1), Index(0), 1))
    with pytest.raises(AssertionError):
        node.step(MessageReceived(sid("C"), Heartbeat(Term(1), Index(0), 1)))


def test_rule_15_a_snapshot_has_the_configuration_of_its_index() -> None:
    entries = [*log("1:1 2:1"), membership_entry(3, 1, voters("AB"))]
    node = make_node("A", entries=entries, term=1)
    node.receive("B", append_entries(1, (3, 1), commit=2))
    assert node.take_snapshot().configuration == voters("ABC")
    assert node.core.configuration == voters("AB")


def test_rule_17_nothing_of_a_failed_write_counts() -> None:
    node = make_node("A", term=1)
    node.receive("B", append_entries(1, (0, 0), "1:1 2:1"))
    node.unsynced.clear()
    node.step(LogWriteFailed("EIO"))
    assert node.core.last_written == 0
    node.step(LogRecovered())
    (again,) = node.done(AppendEntries)
    assert [entry.index for entry in again.entries] == [1, 2]
    assert node.sync() == [confirmed(2)]


def test_rule_18_with_a_full_disk_reads_go_on_and_leadership_moves() -> None:
    alone = make_node("A", configuration=voters("A"))
    alone.sync()
    alone.step(LogWriteFailed("no space"), Propose(b"x", "put"), ReadRequest("read"))
    assert alone.rejection("put") is RejectReason.DISK_FAILED
    assert [e.ticket for e in alone.done(ReadReady)] == ["read"]
    node = leader_with_entries(1)
    node.step(LogWriteFailed("no space"))
    assert node.plays(Role.FOLLOWER)
    assert node.sent(TimeoutNow) == [TimeoutNow(Term(1))]


def test_rule_19_a_transfer_waits_for_confirmation_not_for_sending() -> None:
    node = leader_with_entries(5)
    node.step(TransferLeadership(sid("B"), "move"), Propose(b"x", "put"))
    assert node.rejection("put") is RejectReason.TRANSFER_IN_PROGRESS
    assert node.sent(TimeoutNow) == []
    node.receive("B", confirmed(5))
    assert node.sent(TimeoutNow) == [TimeoutNow(Term(1))]


def test_rule_20_a_vote_is_kept_until_the_term_changes() -> None:
    node = make_node("A", term=3)
    node.receive("B", request_vote(4, (0, 0)))
    node.receive("C", append_entries(4, (0, 0)))
    node.receive("C", Heartbeat(Term(4), Index(0), 1))
    assert node.disk.hard_state == HardState(Term(4), sid("B"))


def test_rule_21_the_core_keeps_no_proposal_it_cannot_append() -> None:
    node = make_node("A", term=1)
    node.step(*(Propose(b"x", number) for number in range(1000)))
    assert all(node.rejection(n) is RejectReason.NOT_LEADER for n in range(1000))


def test_rule_22_an_answer_to_an_old_transfer_is_ignored() -> None:
    node = make_leader("A", settings=RaftSettings(trailing_entries=0))
    node.sync()
    node.receive("C", confirmed(1))
    node.take_snapshot()
    node.receive("B", refused(0, 0))
    node.receive("B", confirmed(1))
    node.receive("B", InstallSnapshotResponse(Term(1), 123, 0, accepted=False))
    node.receive("B", InstallSnapshotResponse(Term(1), 123, 7, accepted=True))
    assert node.match_index("B") == 1
    assert node.effects == []


def test_rule_23_a_member_answers_whatever_it_believes_to_be() -> None:
    configuration = voters("BC").with_member(member("A", MemberKind.PROMOTABLE))
    node = make_node("A", entries="1:1", term=1, configuration=configuration)
    (answer,) = node.receive("B", pre_vote(2, (2, 1)))
    assert answer == PreVoteResponse(Term(1), 1, True)
    assert node.receive("B", request_vote(2, (2, 1))) == [RequestVoteResponse(Term(2), True)]


def test_rule_24_who_is_not_in_the_snapshots_configuration_stops_campaigning() -> None:
    for names, its_uid in (("BC", None), ("BC", "another incarnation")):
        configuration = voters(names)
        if its_uid is not None:
            configuration = configuration.with_member(member("A", its_uid=its_uid))
        meta = SnapshotMeta(Index(9), Term(1), configuration)
        node = make_node("A", entries="1:1", term=1)
        node.receive("B", InstallSnapshotRequest(Term(1), 1, meta, 0, b"all", done=True))
        node.jobs.clear()
        node.step(SnapshotChunkStored(1, 3))
        node.step(SnapshotInstalled(meta))
        node.jobs.clear()
        assert node.core.membership is None
        node.wait(60)
        node.step(TriggerElection())
        assert node.plays(Role.FOLLOWER)
