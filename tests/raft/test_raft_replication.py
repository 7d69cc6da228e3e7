"""Replication and log matching: cases R01 to R27 (Raft §5.3)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from khepri.raft.effects import AppendEntries, ApplyEntries, RejectReason, Send
from khepri.raft.events import LogWritten, MessageReceived, Propose
from khepri.raft.messages import (
    AppendEntriesRequest,
    AppendEntriesResponse,
    Heartbeat,
    HeartbeatResponse,
)
from khepri.raft.settings import RaftSettings
from khepri.raft.types import HardState, Index, Role, Term
from tests.raft.raft_cluster import Cluster
from tests.raft.raft_helpers import Disk, Node, make_leader, make_node, propose
from tests.raft.raft_notation import append_entries, confirmed, log, sid, voters


def refused(term: int, previous: int, hint: tuple[int, int]) -> AppendEntriesResponse:
    return AppendEntriesResponse(Term(term), False, Index(previous), Index(hint[0]), Term(hint[1]))


def follower(entries: str, *, validated_by: int | None = None) -> Node:
    """A with that log; with `validated_by`, the leader B of that term has shown all of it."""
    listed = log(entries)
    node = make_node("A", entries=listed, term=listed[-1].term)
    if validated_by is not None:
        node.receive("B", append_entries(validated_by, (0, 0), listed))
    return node


FIGURE_7 = {
    "A": "1:1 2:1 3:1 4:4 5:4 6:5 7:5 8:6 9:6 10:6",
    "B": "1:1 2:1 3:1 4:4 5:4 6:5 7:5 8:6 9:6",
    "C": "1:1 2:1 3:1 4:4",
    "D": "1:1 2:1 3:1 4:4 5:4 6:5 7:5 8:6 9:6 10:6 11:6",
    "E": "1:1 2:1 3:1 4:4 5:4 6:5 7:5 8:6 9:6 10:6 11:7 12:7",
    "F": "1:1 2:1 3:1 4:4 5:4 6:4 7:4",
    "G": "1:1 2:1 3:1 4:2 5:2 6:2 7:3 8:3 9:3 10:3 11:3",
}


def test_r01_the_logs_of_figure_7_converge() -> None:
    cluster = Cluster("ABCDEFG")
    for name, text in FIGURE_7.items():
        cluster.restart(name, Disk(HardState(Term(7), None), log(text)))
    cluster.run_for(cluster.settings.election_timeout_min_seconds)
    cluster.elect("A")
    assert {node.log_text for node in cluster.alive} == {FIGURE_7["A"] + " 11:8"}


def test_r02_a_late_empty_request_cuts_nothing() -> None:
    node = follower("1:1 2:1 3:1", validated_by=1)
    (answer,) = node.receive("B", append_entries(1, (1, 1)))
    assert node.log_text == "1:1 2:1 3:1"
    assert answer == confirmed(3, 1)


def test_r03_a_late_shorter_request_cuts_nothing() -> None:
    node = follower("1:1 2:1 3:1", validated_by=1)
    node.receive("B", append_entries(1, (3, 1), commit=3))
    (answer,) = node.receive("B", append_entries(1, (1, 1), "2:1", commit=1))
    assert answer == confirmed(3, 1)
    assert node.core.commit_index == 3


def test_r04_a_conflict_removes_the_suffix() -> None:
    node = follower("1:1 2:1 3:1 4:1")
    node.receive("B", append_entries(3, (2, 1), "3:3", commit=2))
    assert node.log_text == "1:1 2:1 3:3"
    assert node.core.last_written == 2
    assert node.outbox == []
    assert node.sync() == [confirmed(3, 3)]
    node.crash_and_restart()
    assert node.log_text == "1:1 2:1 3:3"


def test_what_a_follower_will_say_of_a_write_comes_with_it_and_is_said_once() -> None:
    for is_sent_by_the_shell in (True, False):
        node = follower("1:1", validated_by=1)
        node.receive("B", append_entries(1, (1, 1), "2:1 3:1"))
        (write,) = node.done(AppendEntries)
        confirmation = confirmed(3, 1)
        assert write.confirmation == Send(sid("B"), confirmation)
        (notice,) = node.write_to_disk()
        assert isinstance(notice, LogWritten)
        node.step(replace(notice, is_confirmed=is_sent_by_the_shell))
        assert node.core.last_written == 3
        said = node.sent(AppendEntriesResponse)
        assert said == ([] if is_sent_by_the_shell else [confirmation])


def test_only_a_follower_has_something_to_say_of_a_write() -> None:
    node = make_leader("A")
    (write,) = node.ever(AppendEntries)
    assert write.confirmation is None


def test_r05_a_divergent_suffix_is_not_confirmed() -> None:
    node = follower("1:1 2:1 3:1")
    (answer,) = node.receive("B", append_entries(2, (2, 1), commit=2))
    assert answer == confirmed(2, 1, term=2)
    assert node.core.commit_index == 2
    assert node.log_text == "1:1 2:1 3:1"


def test_r06_nothing_is_committed_beyond_what_is_proven() -> None:
    node = follower("1:1 2:1 3:1 4:1 5:1 6:1 7:1")
    node.receive("B", append_entries(2, (5, 1), "6:1", commit=7))
    assert node.core.commit_index == 6
    node.receive("B", Heartbeat(Term(2), Index(7), 1))
    assert node.core.commit_index == 6


def test_r07_a_late_notice_of_overwritten_entries_confirms_only_what_is_left() -> None:
    node = make_node("A", term=1)
    node.receive("B", append_entries(1, (0, 0), "1:1 2:1"))
    (first,) = node.done(AppendEntries)
    node.receive("C", append_entries(2, (1, 1), "2:2 3:2"))
    (second,) = node.done(AppendEntries)
    node.step(LogWritten(Index(2), Term(1), first.sequence))
    assert node.sent(AppendEntriesResponse) == [confirmed(1, 1, term=2)]
    node.step(LogWritten(Index(3), Term(2), second.sequence))
    assert node.sent(AppendEntriesResponse) == [confirmed(3, 2)]


def test_r08_an_entry_written_overwritten_and_written_again_counts_once_it_is_last() -> None:
    node = make_node("A", term=1)
    sequences: list[int] = []
    for term, sender, text in ((1, "B", "1:1"), (2, "C", "1:2"), (3, "B", "1:1 2:3")):
        node.receive(sender, append_entries(term, (0, 0), text))
        sequences += [effect.sequence for effect in node.done(AppendEntries)]
    node.step(LogWritten(Index(1), Term(1), sequences[0]))
    assert node.core.last_written == 0
    node.step(LogWritten(Index(1), Term(2), sequences[1]))
    assert node.core.last_written == 0
    node.step(LogWritten(Index(2), Term(3), sequences[2]))
    assert node.core.last_written == 2


def test_r09_a_gap_is_refused_with_a_hint() -> None:
    node = follower("1:1 2:1 3:1")
    assert node.receive("B", append_entries(2, (6, 2), "7:2")) == [refused(2, 6, (3, 1))]
    assert node.log_text == "1:1 2:1 3:1"


def test_r09_a_leader_answers_only_the_first_of_many_refusals() -> None:
    node = _replicating_leader(8)
    for previous in (6, 7, 8):
        node.receive("B", refused(1, previous, (4, 1)))
    requests = [m.message for m in node.outbox if isinstance(m.message, AppendEntriesRequest)]
    assert [m.previous_log_index for m in requests if m.previous_log_index == 4] == [4]
    assert node.sent(AppendEntriesRequest) == []


def _replicating_leader(last_index: int) -> Node:
    """A leads B and C, has `last_index` entries, and B has confirmed the first."""
    node = make_leader("A")
    node.sync()
    node.receive("B", confirmed(1, 1))
    propose(node, *(b"%d" % i for i in range(2, last_index + 1)))
    node.sync()
    node.outbox.clear()
    return node


def test_r10_a_hint_skips_a_whole_term() -> None:
    node = follower("1:1 2:1 3:2 4:2 5:2 6:2")
    assert node.receive("B", append_entries(4, (6, 3))) == [refused(4, 6, (6, 2))]
    assert node.receive("B", append_entries(4, (5, 1))) == [refused(4, 5, (2, 1))]


@pytest.mark.parametrize("terms", [1, 3, 8])
def test_r10_logs_that_differ_in_many_terms_meet_in_as_many_round_trips(terms: int) -> None:
    length = 50
    ours = " ".join(f"{i}:{2 * (i * terms // length) + 2}" for i in range(1, length + 1))
    theirs = " ".join(f"{i}:{2 * (i * terms // length) + 1}" for i in range(1, length + 1))
    top = 2 * terms + 4
    cluster = Cluster("AB")
    cluster.restart("A", Disk(HardState(Term(top), None), log(ours)))
    cluster.restart("B", Disk(HardState(Term(top), None), log(theirs)))
    cluster.elect("A")
    answers = [m for _, _, m in cluster.delivered if isinstance(m, AppendEntriesResponse)]
    refusals = [m for m in answers if not m.success]
    assert 1 <= len(refusals) <= terms + 1
    assert cluster["B"].log_text == cluster["A"].log_text


def test_r11_a_doubled_request_is_confirmed_and_not_written_twice() -> None:
    node = make_node("A", term=1)
    request = append_entries(1, (0, 0), "1:1 2:1", commit=1)
    node.receive("B", request)
    node.sync()
    assert node.receive("B", request) == [confirmed(2, 1)]
    assert node.done(AppendEntries) == []
    assert node.done(ApplyEntries) == []


def test_r12_reordered_requests_end_in_the_right_log() -> None:
    node = follower("1:1")
    assert node.receive("B", append_entries(1, (3, 1), "4:1 5:1")) == [refused(1, 3, (1, 1))]
    node.receive("B", append_entries(1, (1, 1), "2:1 3:1"))
    node.receive("B", append_entries(1, (3, 1), "4:1 5:1"))
    assert node.sync() == [confirmed(5, 1)]


def test_r13_a_late_refusal_lowers_nothing() -> None:
    node = _replicating_leader(10)
    node.receive("B", confirmed(10, 1))
    node.receive("B", refused(1, 5, (5, 1)))
    node.receive("B", refused(1, 10, (5, 1)))
    assert [s for s in node.outbox if isinstance(s.message, AppendEntriesRequest)] == []
    assert node.core.commit_index == 10


def test_r14_messages_lost_out_of_a_full_window_are_sent_again() -> None:
    settings = RaftSettings(max_append_entries=2, max_inflight_messages=3)
    cluster = Cluster("ABC", settings=settings)
    cluster.elect("A")
    cluster.drop = lambda _s, t, m: t == "B" and isinstance(m, AppendEntriesRequest)
    for number in range(40):
        cluster.put("A", b"%d" % number)
        cluster.run_for(0.003)
    assert cluster["B"].core.last_index == 1
    cluster.heal()
    cluster.settle(2.0)


def test_r15_a_slow_follower_slows_nobody_and_its_window_is_bounded() -> None:
    settings = RaftSettings(max_append_entries=4, max_inflight_messages=2)
    node = make_leader("A", settings=settings)
    node.sync()
    for name in "BC":
        node.receive(name, confirmed(1, 1))
    for number in range(2, 100):
        propose(node, b"%d" % number)
        node.sync()
        node.receive("C", confirmed(number, 1))
    assert node.core.commit_index == 99
    to_b = [s.message for s in node.outbox if s.to == sid("B")]
    carrying = [m for m in to_b if isinstance(m, AppendEntriesRequest) and m.entries]
    assert len(carrying) <= 1 + settings.max_inflight_messages
    node.receive("B", confirmed(3, 1))
    assert [len(m.entries) for m in node.sent(AppendEntriesRequest)] == [4, 4]


def test_r16_a_new_leader_sends_its_first_entry_at_once() -> None:
    node = make_leader("A", entries="1:1 2:1", term=1)
    first = [m for m in node.sent(AppendEntriesRequest) if m.entries]
    assert [(m.previous_log_index, len(m.entries)) for m in first] == [(2, 1), (2, 1)]


def test_r17_messages_are_limited_by_bytes_and_one_huge_entry_still_goes() -> None:
    settings = RaftSettings(max_append_bytes=100, max_inflight_bytes=250)
    node = make_leader("A", settings=settings)
    node.sync()
    node.receive("B", confirmed(1, 1))
    propose(node, b"h" * 1000, *(b"%040d" % i for i in range(8)))
    sizes = [
        sum(len(e.data) for e in s.message.entries)
        for s in node.outbox
        if isinstance(s.message, AppendEntriesRequest) and s.to == sid("B") and s.message.entries
    ]
    assert sizes[-1] == 1000
    node.receive("B", confirmed(2, 1))
    assert [sum(len(e.data) for e in m.entries) for m in node.sent(AppendEntriesRequest)] == [
        80,
        80,
        80,
        80,
    ][:4]


def test_r18_the_first_request_starts_at_zero() -> None:
    node = make_node("A", term=1)
    node.receive("B", append_entries(1, (0, 0), "1:1"))
    assert node.sync() == [confirmed(1, 1)]


def test_r19_a_second_leader_of_the_same_term_is_a_loud_failure() -> None:
    node = make_leader("A")
    with pytest.raises(AssertionError, match="one leader"):
        node.step(MessageReceived(sid("B"), append_entries(1, (0, 0), "1:1")))
    assert node.disk.hard_state == HardState(Term(1), sid("A"))


def test_r20_a_follower_that_applied_before_its_sync_learns_again() -> None:
    node = follower("1:1 2:1 3:1 4:1", validated_by=1)
    node.receive("B", append_entries(1, (4, 1), "5:1", commit=5))
    assert node.core.last_applied == 5
    node.crash_and_restart()
    assert node.core.last_index == 4
    node.receive("B", append_entries(1, (4, 1), "5:1", commit=5))
    assert node.core.last_applied == 5


def test_r21_a_leader_counts_itself_only_after_its_sync() -> None:
    node = make_leader("A")
    node.receive("B", confirmed(1, 1))
    assert node.core.commit_index == 0
    node.receive("C", confirmed(1, 1))
    assert node.core.commit_index == 1
    assert node.core.last_written == 0


def test_r22_nothing_is_committed_while_the_followers_disks_stall() -> None:
    cluster = Cluster("ABC")
    cluster.elect("A")
    cluster.sync_seconds["B"] = cluster.sync_seconds["C"] = 1e6
    cluster.put("A", b"x")
    cluster.run_for(5)
    assert cluster["A"].is_leader
    assert cluster["A"].commands == []
    assert cluster["B"].core.last_index == 2


def test_r23_a_peer_that_lost_its_disk_is_not_counted_for_less() -> None:
    """Its new uid keeps it out before the core; the core itself never lowers what it knows."""
    node = _replicating_leader(10)
    node.receive("B", confirmed(10, 1))
    node.receive("B", HeartbeatResponse(Term(1), 1, Index(0), Index(0), Term(0), 600))
    node.receive("B", refused(1, 10, (0, 0)))
    assert node.match_index("B") == 10
    assert all(m.previous_log_index == 10 for m in node.sent(AppendEntriesRequest))


def test_r23_a_peer_that_has_less_than_it_confirmed_is_known_until_it_has_it_again() -> None:
    node = _replicating_leader(10)
    node.receive("B", confirmed(10, 1))
    assert not node.core.peers[sid("B")].has_forgotten
    node.receive("B", HeartbeatResponse(Term(1), 1, Index(0), Index(0), Term(0), 600))
    node.receive("B", refused(1, 10, (3, 1)))
    assert node.core.peers[sid("B")].has_forgotten
    node.receive("B", HeartbeatResponse(Term(1), 2, Index(3), Index(3), Term(1), 600))
    assert node.core.peers[sid("B")].has_forgotten
    node.receive("B", confirmed(10, 1))
    assert not node.core.peers[sid("B")].has_forgotten


def test_r25_a_follower_learns_the_commit_index_within_a_heartbeat() -> None:
    cluster = Cluster("ABC")
    cluster.elect("A")
    cluster.cut_links = {("B", "A")}
    cluster.write(b"x")
    cluster.cut_links = {("A", "B")}
    cluster.run_for(0.05)
    cluster.heal()
    cluster.run_until(lambda: cluster["B"].commands == [b"x"], 0.25)


def test_r25_a_follower_restarted_in_the_same_term_learns_the_commit_index() -> None:
    cluster = Cluster("ABC")
    cluster.elect("A")
    cluster.write(b"x")
    cluster.settle()
    cluster.crash("B")
    cluster.restart("B")
    cluster.run_until(lambda: cluster["B"].commands == [b"x"], 0.25)
    assert cluster["A"].core.term == 1


def test_r26_an_isolated_leader_takes_a_bounded_amount() -> None:
    node = make_leader("A", settings=RaftSettings(max_uncommitted_bytes=1000))
    for number in range(50):
        node.step(Propose(b"x" * 100, number))
    assert node.core.last_index == 1 + 10
    assert node.rejection(9) is None
    assert node.rejection(10) is RejectReason.OVERLOADED
    node.sync()
    node.receive("B", confirmed(11, 1))
    node.step(Propose(b"x" * 100, "after"))
    assert node.rejection("after") is None


def test_r26_one_entry_above_the_limit_is_taken_when_nothing_waits() -> None:
    node = make_node(
        "A", configuration=voters("A"), settings=RaftSettings(max_uncommitted_bytes=10)
    )
    node.sync()
    node.step(Propose(b"x" * 100, "big"))
    node.step(Propose(b"y", "next"))
    assert node.rejection("big") is None
    assert node.rejection("next") is RejectReason.OVERLOADED


def test_r27_a_proposal_at_a_leaderless_member_is_rejected_at_once() -> None:
    """Parking it with a deadline is the shell's; the core keeps nothing that could surprise."""
    node = make_node("A", term=1)
    node.step(Propose(b"x", "ticket"))
    assert node.rejection("ticket") is RejectReason.NOT_LEADER
    assert node.plays(Role.FOLLOWER)


def test_one_message_object_serves_peers_that_are_equally_far() -> None:
    node = make_leader("A")
    first, second = node.sent(AppendEntriesRequest)
    assert first is second
