"""Snapshots that cross other things: cases S14 to S27 (Raft §7)."""

from __future__ import annotations

import itertools

from khepri.raft.effects import (
    AppendEntries,
    DiscardSnapshot,
    EndSnapshotSend,
    InstallSnapshot,
    ReadSnapshotChunk,
)
from khepri.raft.events import (
    LogRecovered,
    LogWriteFailed,
    SnapshotAcceptFailed,
    SnapshotChunkRead,
    SnapshotChunkStored,
    SnapshotInstalled,
    SnapshotReadFailed,
    SnapshotTaken,
    TriggerElection,
)
from khepri.raft.messages import (
    AppendEntriesResponse,
    HeartbeatResponse,
    InstallSnapshotRequest,
    InstallSnapshotResponse,
    RequestVoteResponse,
)
from khepri.raft.settings import RaftSettings
from khepri.raft.types import Index, MemberKind, Role, SnapshotMeta, Term
from tests.raft.raft_cluster import Cluster
from tests.raft.raft_helpers import make_leader, make_node, propose
from tests.raft.raft_notation import (
    append_entries,
    confirmed,
    log,
    member,
    request_vote,
    sid,
    voters,
)
from tests.raft.raft_snapshot_helpers import (
    NO_TRAIL,
    SlowLink,
    answer_heartbeats_for,
    install,
    meta,
    piece,
    sending_leader,
)


def test_s14_an_own_snapshot_that_ends_after_a_newer_install_is_ignored() -> None:
    node = make_node("A", entries="1:1 2:1", term=1)
    node.receive("B", append_entries(1, (2, 1), commit=2))
    mine = node.core.snapshot_meta(Index(2))
    install(node, meta(9))
    node.step(SnapshotTaken(mine))
    assert (node.core.last_index, node.core.commit_index) == (9, 9)
    node.receive("B", append_entries(1, (9, 1), "10:1"))
    assert node.core.last_index == 10


def test_s15_a_snapshot_covers_what_is_not_synced() -> None:
    node = make_node("A", entries="1:1", term=1)
    node.receive("B", append_entries(1, (1, 1), "2:1 3:1", commit=3))
    assert node.core.last_written == 1
    node.take_snapshot()
    assert node.core.last_written == 3
    node.crash_and_restart()
    assert (node.core.last_index, node.core.last_applied) == (3, 3)


def test_s16_writes_that_a_snapshot_overtakes_confirm_no_more_and_harm_nothing() -> None:
    node = make_node("A", entries="1:1", term=1)
    node.receive("B", append_entries(1, (1, 1), "2:1 3:1 4:1", commit=3))
    notices = node.write_to_disk()
    node.take_snapshot()
    node.step(*notices)
    assert node.core.last_written == 4
    assert node.sent(AppendEntriesResponse) == [confirmed(4)]


def test_s17_a_newer_snapshot_does_not_break_the_transfer_of_the_old_one() -> None:
    node, wanted = sending_leader()
    propose(node, b"11")
    node.sync()
    node.receive("C", confirmed(11))
    node.take_snapshot()
    node.step(SnapshotChunkRead(wanted.transfer_id, 0, b"old", done=True))
    (sent,) = node.sent(InstallSnapshotRequest)
    assert sent.meta == wanted.meta
    node.receive("B", confirmed(10))
    (again,) = node.done(ReadSnapshotChunk)  # 11 is gone from the log: the newer one follows
    assert again.meta.index == 11


def test_s17_a_snapshot_that_cannot_be_read_is_tried_again_later() -> None:
    node, wanted = sending_leader()
    node.step(SnapshotReadFailed(wanted.transfer_id, "gone"))
    assert node.done(EndSnapshotSend) == [EndSnapshotSend(wanted.transfer_id)]
    assert node.done(ReadSnapshotChunk) == []
    answer_heartbeats_for(node, 1.2)
    fresh = [e for e in node.history if isinstance(e, ReadSnapshotChunk)][-1]
    assert fresh.transfer_id > wanted.transfer_id


def test_s17_a_snapshot_that_a_newer_one_has_replaced_is_followed_by_that_at_once() -> None:
    """Whoever takes snapshots faster than the pause is long would miss each of them in turn."""
    node, wanted = sending_leader()
    for index in (11, 12, 13):
        propose(node, b"%d" % index)
        node.sync()
        node.receive("C", confirmed(index))
        node.take_snapshot()
        node.step(SnapshotReadFailed(wanted.transfer_id, "a newer one has replaced it"))
        assert node.done(EndSnapshotSend) == [EndSnapshotSend(wanted.transfer_id)]
        (fresh,) = node.done(ReadSnapshotChunk)
        assert (fresh.meta.index, fresh.offset) == (index, 0)
        assert fresh.transfer_id > wanted.transfer_id
        wanted = fresh
    node.step(SnapshotReadFailed(wanted.transfer_id, "EIO"))
    assert node.done(ReadSnapshotChunk) == [], "it is the newest: later"


def test_s18_a_follower_that_falls_below_the_log_is_switched_to_a_snapshot() -> None:
    cluster = Cluster("ABC", settings=NO_TRAIL)
    cluster.elect("A")
    cluster.isolate("C")
    for number in range(5):
        cluster.write(b"%d" % number)
    cluster["A"].take_snapshot()
    cluster.heal()
    cluster.settle()
    assert any(isinstance(m, InstallSnapshotRequest) for _, _, m in cluster.delivered)


def test_s18_a_follower_slightly_behind_needs_no_snapshot() -> None:
    cluster = Cluster("ABC")
    cluster.elect("A")
    cluster.isolate("C")
    for number in range(5):
        cluster.write(b"%d" % number)
    cluster["A"].take_snapshot()
    cluster.heal()
    cluster.settle()
    assert not any(isinstance(m, InstallSnapshotRequest) for _, _, m in cluster.delivered)


def test_s19_writes_faster_than_snapshots_still_let_the_follower_catch_up() -> None:
    settings = RaftSettings(trailing_entries=50, snapshot_chunk_bytes=500)
    cluster = Cluster("ABC", settings=settings)
    cluster.elect("A")
    cluster.isolate("C")
    for number in range(200):
        cluster.write(b"%d" % number)
    cluster.heal()
    for number in range(200):
        cluster.write(b"more %d" % number)
        if number % 10 == 0:
            cluster.wait_for_leader().take_snapshot()
    cluster.settle()


def test_s19_what_follows_a_snapshot_on_its_way_is_kept_until_its_receiver_has_it() -> None:
    """Otherwise a slow receiver would be sent one snapshot after the other, and never be done."""
    settings = RaftSettings(trailing_entries=0, snapshot_chunk_bytes=100)
    node, wanted = sending_leader(settings)
    assert wanted.meta.index == 10
    propose(node, *(b"%d" % i for i in range(11, 31)))
    node.sync()
    node.receive("C", confirmed(30))
    node.take_snapshot()
    log = node.core._server.log
    assert (log.base_index, log.last_index) == (10, 30)
    # B has the first one; the next is taken while it is sent what follows.
    node.receive("B", confirmed(10))
    propose(node, *(b"%d" % i for i in range(31, 41)))
    node.sync()
    node.receive("C", confirmed(40))
    node.receive("B", confirmed(20))
    node.take_snapshot()
    assert log.base_index == 20
    # A peer that is silent is not waited for.
    for _ in range(3):
        node.wait(settings.election_timeout_max_seconds / 2)
        node.receive("C", confirmed(40))
    propose(node, b"41")
    node.sync()
    node.receive("C", confirmed(41))
    node.take_snapshot()
    assert log.base_index == 41


def test_s19_no_more_is_kept_for_a_slow_receiver_than_the_settings_allow() -> None:
    settings = RaftSettings(trailing_entries=0, catch_up_bytes=100)
    node = make_leader("A", settings=settings)
    node.sync()
    node.receive("C", confirmed(1))
    node.receive("B", confirmed(1))
    propose(node, *(b"x" * 30 for _ in range(2, 11)))
    node.sync()
    node.receive("C", confirmed(10))
    node.take_snapshot()
    log = node.core._server.log
    assert log.last_index - log.base_index == 3


def test_s19_as_much_is_kept_for_a_slow_receiver_as_it_has_got_of_the_snapshot() -> None:
    """Then it catches up if its link carries more than is written, however large the snapshot."""
    settings = RaftSettings(trailing_entries=0, catch_up_bytes=100, snapshot_chunk_bytes=100)
    node, wanted = sending_leader(settings)
    for offset in range(0, 300, 100):
        node.step(SnapshotChunkRead(wanted.transfer_id, offset, b"x" * 100, done=offset == 200))
        stored = InstallSnapshotResponse(Term(1), wanted.transfer_id, offset + 100, accepted=True)
        node.receive("B", stored)
    propose(node, *(b"x" * 30 for _ in range(11, 21)))
    node.sync()
    node.receive("C", confirmed(20))
    node.take_snapshot()
    log = node.core._server.log
    assert log.base_index == wanted.meta.index
    node.receive("B", confirmed(10))  # it is installed, and what follows is on its way
    propose(node, b"x" * 30)
    node.sync()
    node.receive("C", confirmed(21))
    node.take_snapshot()
    assert log.last_index - log.base_index == 300 / 30


def test_s19_what_followed_a_snapshot_before_it_was_sent_is_kept_as_well() -> None:
    settings = RaftSettings(trailing_entries=0, catch_up_bytes=0, snapshot_chunk_bytes=100)
    node = make_leader("A", settings=settings)
    node.sync()
    propose(node, *(b"x" * 30 for _ in range(2, 11)))
    node.sync()
    node.receive("C", confirmed(10))
    node.take_snapshot()
    propose(node, *(b"x" * 30 for _ in range(11, 21)))
    node.sync()
    node.receive("C", confirmed(20))
    node.receive("B", AppendEntriesResponse(Term(1), False, Index(0), Index(0), Term(0)))
    node.receive("B", HeartbeatResponse(Term(1), 1, Index(0), Index(0), Term(0), 600))
    node.take_snapshot()
    assert node.core._server.log.base_index == 10


def test_s20_a_failing_receiver_is_left_alone_longer_each_time() -> None:
    node, first = sending_leader()
    attempts = [(node.now, first.transfer_id)]
    while len(attempts) < 5:
        newest = attempts[-1][1]
        node.receive("B", InstallSnapshotResponse(Term(1), newest, 0, accepted=False))
        while not node.done(ReadSnapshotChunk):
            node.effects = []
            answer_heartbeats_for(node, 0.05)
            started = [e for e in node.history if isinstance(e, ReadSnapshotChunk)]
            if started[-1].transfer_id != newest:
                attempts.append((node.now, started[-1].transfer_id))
                break
    pauses = [later - earlier for (earlier, _), (later, _) in itertools.pairwise(attempts)]
    assert [round(pause) for pause in pauses] == [1, 2, 4, 8]


def test_s20_nothing_is_read_for_a_receiver_that_is_silent() -> None:
    cluster = Cluster("ABC", settings=NO_TRAIL)
    cluster.elect("A")
    cluster.isolate("C")
    for number in range(20):
        cluster.write(b"%d" % number)
    cluster["A"].take_snapshot()
    cluster.heal()
    cluster.drop = lambda s, _t, m: s == "C" and isinstance(m, InstallSnapshotResponse)
    cluster.run_until(lambda: any(isinstance(e, ReadSnapshotChunk) for e in cluster["A"].history))
    cluster.crash("C")
    cluster.run_for(3)
    cluster["A"].history.clear()
    cluster.run_for(120)
    assert not any(isinstance(e, ReadSnapshotChunk) for e in cluster["A"].history)
    cluster.heal()
    cluster.restart("C")
    cluster.settle(5)


def test_s22_an_answer_to_an_old_transfer_means_nothing() -> None:
    node, wanted = sending_leader()
    before = len(node.history)
    node.receive("B", InstallSnapshotResponse(Term(1), wanted.transfer_id - 1, 50, accepted=True))
    node.receive("B", InstallSnapshotResponse(Term(1), wanted.transfer_id - 1, 0, accepted=False))
    assert node.history[before:] == []


def test_s24_a_vote_is_decided_by_the_old_log_and_ends_the_transfer() -> None:
    node = make_node("A", entries="1:1", term=1)
    node.receive("B", piece(meta(9), data=b"half"))
    node.now += 0.7
    assert node.receive("C", request_vote(1, (9, 1))) != [RequestVoteResponse(Term(1), False)]
    assert node.done(DiscardSnapshot) == []
    assert node.receive("C", request_vote(2, (1, 1))) == [RequestVoteResponse(Term(2), True)]
    assert node.done(DiscardSnapshot) == [DiscardSnapshot(1)]


def test_s25_a_receiver_without_space_keeps_its_state_and_says_so() -> None:
    node = make_node("A", entries="1:1", term=1)
    node.receive("B", piece(meta(9), data=b"half"))
    node.step(SnapshotAcceptFailed(1, "no space"))
    assert node.sent(InstallSnapshotResponse) == [
        InstallSnapshotResponse(Term(1), 1, 0, accepted=False)
    ]
    assert (node.core.last_index, node.core.leader) == (1, sid("B"))


def test_s27_own_membership_is_what_the_snapshot_says() -> None:
    node = make_node("A", entries="1:1", term=1)
    install(node, meta(9, names="BC"))
    assert node.core.membership is None
    node.step(TriggerElection())
    node.wait(5)
    assert node.plays(Role.FOLLOWER)
    as_learner = voters("BC").with_member(member("A", MemberKind.NON_VOTER))
    node = make_node("A", entries="1:1", term=1)
    install(node, SnapshotMeta(Index(9), Term(1), as_learner))
    assert node.core.membership is MemberKind.NON_VOTER
    node = make_node("A", entries="1:1", term=1)
    other_self = voters("BC").with_member(member("A", its_uid="somebody else"))
    install(node, SnapshotMeta(Index(9), Term(1), other_self))
    assert node.core.membership is None


def test_the_log_stands_still_while_a_snapshot_is_installed() -> None:
    node = make_node("A", entries="1:1 2:1", term=1)
    node.receive("B", piece(meta(9), data=b"all", done=True))
    node.jobs.clear()
    node.step(SnapshotChunkStored(1, 3))
    assert node.done(InstallSnapshot)
    assert node.receive("C", append_entries(2, (1, 1), "2:2", commit=2)) == []
    node.wait(10)
    node.step(TriggerElection())
    assert node.plays(Role.FOLLOWER)
    assert (node.log_text, node.core.last_applied) == ("1:1 2:1", 0)
    node.step(SnapshotInstalled(meta(9)))
    assert (node.core.last_index, node.core.commit_index, node.core.last_written) == (9, 9, 9)
    assert node.receive("C", append_entries(2, (9, 1), "10:2")) == [confirmed(9, 1, term=2)]
    assert node.sync() == [confirmed(10, 2, term=2)]


def test_nothing_is_written_while_the_log_is_about_to_be_void() -> None:
    node = make_node("A", entries="1:1", term=1)
    node.receive("B", append_entries(1, (1, 1), "2:1"))
    node.step(LogWriteFailed("full"))
    node.receive("B", piece(meta(9), data=b"all", done=True))
    node.jobs.clear()
    node.step(SnapshotChunkStored(1, 3))
    node.jobs.clear()
    node.step(LogRecovered())  # the refused write was dropped: the snapshot takes its place
    assert node.done(AppendEntries) == []
    node.step(SnapshotInstalled(meta(9)))
    node.receive("B", append_entries(1, (9, 1), "10:1"))
    assert node.sync() == [confirmed(10)]


def test_what_may_be_void_on_disk_after_a_failed_installation_is_written_again() -> None:
    node = make_node("A", entries="1:1 2:1 3:1 4:1", term=1)
    node.receive("B", piece(meta(3, term=2), term=2, data=b"all", done=True))
    node.jobs.clear()
    node.step(SnapshotChunkStored(1, 3))
    node.jobs.clear()
    node.step(SnapshotAcceptFailed(1, "the folder could not be synced"))
    assert node.core.last_written == 2
    (append,) = node.done(AppendEntries)
    assert [entry.index for entry in append.entries] == [3, 4]


def test_entries_that_a_crash_left_behind_an_installed_snapshot_are_dropped() -> None:
    old = [*log("8:1 9:1 10:1 11:1")]
    node = make_node("A", snapshot=meta(9, term=3), entries=old, term=3)
    assert (node.core.last_index, node.log_text) == (9, "")
    node = make_node("A", snapshot=meta(9), entries=old, term=3)
    assert node.log_text == "10:1 11:1"


def test_an_unanswered_piece_is_read_and_sent_again() -> None:
    node, wanted = sending_leader()
    node.step(SnapshotChunkRead(wanted.transfer_id, 0, b"x" * 100, done=False))
    assert len(node.sent(InstallSnapshotRequest)) == 1
    answer_heartbeats_for(node, 1.1)
    repeated = [e for e in node.history if isinstance(e, ReadSnapshotChunk)][-1]
    assert (repeated.transfer_id, repeated.offset) == (wanted.transfer_id, 0)
    node.step(SnapshotChunkRead(wanted.transfer_id, 0, b"x" * 100, done=False))
    node.receive("B", InstallSnapshotResponse(Term(1), wanted.transfer_id, 100, accepted=True))
    assert [e.offset for e in node.done(ReadSnapshotChunk)] == [100]


def test_s19_a_piece_that_a_slow_link_still_carries_is_not_sent_again() -> None:
    """Each one more would lengthen the queue, and with it the time until the next is due."""
    settings = RaftSettings(trailing_entries=0, catch_up_bytes=0, snapshot_chunk_bytes=100)
    cluster = Cluster("ABC", settings=settings)
    cluster.elect("A")
    cluster.crash("C")
    for number in range(100):
        cluster.write(b"%d" % number)
    cluster["A"].take_snapshot()
    cluster.delay = SlowLink(cluster, "A", "C", seconds_per_piece=2.5)
    cluster.restart("C")
    cluster.run_until(lambda: cluster["C"].core.last_applied == 101, seconds=60)
    offsets = [
        message.offset
        for _, _, message in cluster.delivered
        if isinstance(message, InstallSnapshotRequest)
    ]
    assert len(offsets) == 9
    assert offsets == sorted(set(offsets))


def test_s19_what_follows_a_snapshot_is_kept_while_a_slow_link_carries_a_piece() -> None:
    settings = RaftSettings(trailing_entries=0, snapshot_chunk_bytes=100)
    node, wanted = sending_leader(settings)
    node.step(SnapshotChunkRead(wanted.transfer_id, 0, b"x" * 100, done=False))
    for _ in range(4):
        node.wait(settings.election_timeout_max_seconds / 2)
        node.receive("C", confirmed(10))
    propose(node, b"11")
    node.sync()
    node.receive("C", confirmed(11))
    node.take_snapshot()
    assert node.core._server.log.base_index == wanted.meta.index


def test_losing_leadership_closes_the_reader() -> None:
    node, wanted = sending_leader()
    node.receive("C", append_entries(5, (10, 1)))
    assert node.done(EndSnapshotSend) == [EndSnapshotSend(wanted.transfer_id)]
