"""The leader's lease, and every way in which the promise behind it could be broken (case Q14).

A promise: who has heard a leader helps nobody against it for 0.6 seconds. A lease: 0.4 seconds
from the sending of a heartbeat round that a majority has answered.
"""

from __future__ import annotations

import math

import pytest

from khepri.raft.effects import ReadReady, Rejected
from khepri.raft.events import (
    AddMember,
    ForceSingleMember,
    MessageReceived,
    Propose,
    ReadRequest,
    RemoveMember,
    TransferLeadership,
    TriggerElection,
)
from khepri.raft.lease import lease_seconds, promise_milliseconds
from khepri.raft.messages import (
    AppendEntriesResponse,
    Heartbeat,
    HeartbeatResponse,
    PreVoteRequest,
    PreVoteResponse,
    ReadIndexRequest,
    ReadIndexResponse,
    RequestVoteRequest,
    RequestVoteResponse,
    TimeoutNow,
)
from khepri.raft.settings import RaftSettings
from khepri.raft.types import Index, MemberKind, Role, Term
from tests.raft.raft_cluster import Cluster
from tests.raft.raft_helpers import SETTINGS, Node, make_leader, make_node
from tests.raft.raft_notation import append_entries, log, member, request_vote, sid, voters

PROMISE = SETTINGS.election_timeout_min_seconds
PROMISED = promise_milliseconds(SETTINGS)
LEASE = lease_seconds(PROMISED)


def leader_of(names: str = "ABC", settings: RaftSettings = SETTINGS) -> Node:
    """A leads at 0.0 s, its first entry is committed, round 1 went out at 0.0 s, no answer yet."""
    node = make_leader("A", configuration=voters(names), supporters=names[1:], settings=settings)
    node.sync()
    committed = AppendEntriesResponse(Term(1), True, Index(0), Index(1), Term(1))
    node.receive_all(*((name, committed) for name in names[1:]))
    assert (node.core.commit_index, node.core.lease_until) == (1, -math.inf)
    return node


def answer(node: Node, names: str, round_number: int, at: float, promised: int = PROMISED) -> None:
    """Those answer that round, and the answers arrive at that time."""
    node.now = at
    index = node.core.last_written
    response = HeartbeatResponse(Term(1), round_number, index, index, Term(1), promised)
    node.receive_all(*((name, response) for name in names))


def ready(node: Node) -> list[object]:
    return [effect.ticket for effect in node.ever(ReadReady)]


def follower_that_heard(leader: str = "B", *, at: float) -> Node:
    """C follows a leader of term 1 and heard it at that time."""
    node = make_node("C", entries="1:1", term=1)
    node.now = at
    node.receive(leader, append_entries(1, (1, 1)))
    return node


def helps(node: Node, candidate: str = "A", *, term: int = 9) -> bool:
    """Whether the node votes for somebody with a good log."""
    sent = node.receive(candidate, request_vote(term, (9, 1)))
    return RequestVoteResponse(Term(term), True) in sent


# --- what a lease is -----------------------------------------------------------------------


def test_q14_a_lease_ends_before_any_promise_with_clocks_wrong_by_a_fifth() -> None:
    """A leader's clock at 0.8 and a follower's at 1.2 of the true speed."""
    assert LEASE / 0.8 <= PROMISE / 1.2 + 1e-12
    assert pytest.approx(0.4) == LEASE


def test_q14_a_read_under_a_lease_asks_nobody() -> None:
    node = leader_of()
    answer(node, "B", 1, at=0.02)
    node.step(ReadRequest("read"), now=0.3)
    assert ready(node) == ["read"]
    assert {beat.round for beat in node.sent(Heartbeat)} == {2}  # the usual one, which was due


def test_q14_a_read_after_the_lease_makes_a_round() -> None:
    node = leader_of()
    answer(node, "B", 1, at=0.02)
    node.step(ReadRequest("read"), now=LEASE)
    assert ready(node) == []
    answer(node, "B", node.sent(Heartbeat)[-1].round, at=LEASE + 0.01)
    assert ready(node) == ["read"]


def test_q14_leases_can_be_switched_off() -> None:
    node = leader_of(settings=RaftSettings(read_leases=False))
    answer(node, "BC", 1, at=0.0)
    assert node.core.lease_until == -math.inf
    node.step(ReadRequest("read"))
    assert ready(node) == []


def test_q14_a_lease_is_as_short_as_the_promises_it_rests_on() -> None:
    """Whoever is given a shorter election timeout than the leader promises less."""
    node = leader_of("ABCDE")
    answer(node, "B", 1, at=0.02, promised=PROMISED // 2)
    answer(node, "C", 1, at=0.03)
    assert node.core.lease_until == pytest.approx(LEASE / 2)
    answer(node, "D", 1, at=0.04, promised=PROMISED * 2)
    assert node.core.lease_until == pytest.approx(LEASE), "B is not needed any more"


def test_q14_a_member_promises_what_it_keeps() -> None:
    shorter = RaftSettings(election_timeout_min_seconds=0.3505)
    node = make_node("C", entries="1:1", term=1, settings=shorter)
    node.receive("B", append_entries(1, (1, 1)))
    (said,) = (
        message
        for message in node.receive("B", Heartbeat(Term(1), Index(0), 1))
        if isinstance(message, HeartbeatResponse)
    )
    assert said.promise_milliseconds == 350
    node.now += said.promise_milliseconds / 1000
    assert not helps(node)


def test_a_lease_counts_from_the_sending_of_the_round() -> None:
    node = leader_of()
    answer(node, "B", 1, at=0.09)
    assert node.core.lease_until == pytest.approx(LEASE)
    node.step(now=0.1)
    answer(node, "B", 2, at=0.35)
    assert node.core.lease_until == pytest.approx(0.1 + LEASE)


def test_a_late_answer_to_an_old_round_founds_no_lease() -> None:
    node = leader_of()
    for number in range(1, 8):
        node.step(now=number / 10)
    answer(node, "B", 1, at=0.75)
    assert node.core.lease_until <= 0.75
    answer(node, "B", 99, at=0.76)
    assert node.core.lease_until <= 0.76


def test_a_lease_needs_a_majority() -> None:
    node = leader_of("ABCDE")
    answer(node, "B", 1, at=0.0)
    assert node.core.lease_until == -math.inf
    node.step(now=0.1)
    answer(node, "C", 2, at=0.1)
    assert node.core.lease_until == pytest.approx(LEASE)  # the older of the two counts


def test_a_leader_without_a_committed_entry_of_its_own_has_no_lease() -> None:
    node = make_leader("A")
    node.sync()
    nothing_yet = HeartbeatResponse(Term(1), 1, Index(0), Index(0), Term(0), PROMISED)
    node.receive_all(("B", nothing_yet), ("C", nothing_yet))
    assert node.core.lease_until == -math.inf
    node.receive("B", AppendEntriesResponse(Term(1), True, Index(0), Index(1), Term(1)))
    assert node.core.lease_until == pytest.approx(LEASE)


def test_a_follower_is_answered_from_the_lease() -> None:
    node = leader_of()
    answer(node, "B", 1, at=0.0)
    assert node.receive("C", ReadIndexRequest(7)) == [ReadIndexResponse(7, Index(1))]


def test_reads_under_way_go_with_the_lease_that_begins() -> None:
    node = leader_of("ABCDE")
    node.step(ReadRequest("first"))
    node.step(ReadRequest("second"))
    answer(node, "BC", 1, at=0.01)
    assert ready(node) == ["first", "second"]


def test_a_leader_that_steps_down_has_no_lease() -> None:
    node = leader_of()
    answer(node, "BC", 1, at=0.0)
    node.receive("B", append_entries(2, (1, 1)))
    assert node.plays(Role.FOLLOWER)
    assert node.core.lease_until == -math.inf


# --- 1: a role change ----------------------------------------------------------------------


def test_a_promise_outlives_a_change_of_role_and_term() -> None:
    node = follower_that_heard(at=5.0)
    node.receive("A", AppendEntriesResponse(Term(4), False, Index(0), Index(0), Term(0)))
    assert (node.core.term, node.core.leader) == (4, None)
    node.now = 5.0 + PROMISE - 0.01
    assert not helps(node)
    request = PreVoteRequest(Term(9), 1, Index(9), Term(1))
    assert node.receive("A", request) == [PreVoteResponse(Term(4), 1, False)]
    node.now = 5.0 + PROMISE + 0.01
    assert helps(node)


def test_a_candidate_keeps_what_it_promised() -> None:
    node = follower_that_heard(at=5.0)
    node.receive("B", TimeoutNow(Term(1)))
    assert node.plays(Role.CANDIDATE)
    node.now = 5.0 + PROMISE - 0.01
    assert not helps(node)


def test_the_others_elect_as_soon_as_ever_when_the_leader_has_died() -> None:
    waits: list[float] = []
    for seed in range(20):
        cluster = Cluster("ABC", seed=seed)
        began = cluster.elect("A").now
        cluster.crash("A")
        cluster.run_until(lambda one=cluster: one.leader is not None)  # type: ignore[misc]
        waits.append(cluster.now - began)
    assert max(waits) < 2.5
    assert sum(waits) / len(waits) < 1.2


# --- 2: a restart --------------------------------------------------------------------------


def test_a_restarted_member_keeps_the_promise_it_has_forgotten() -> None:
    node = follower_that_heard(at=5.0)
    node.now = 5.1
    node.crash_and_restart()
    node.now = 5.1 + PROMISE - 0.01
    assert not helps(node)
    node.step(TriggerElection())
    assert node.plays(Role.FOLLOWER)
    node.now = 5.1 + PROMISE + 0.01
    assert helps(node)


def test_a_restarted_member_votes_if_the_leader_wants_it() -> None:
    node = follower_that_heard(at=5.0)
    node.crash_and_restart()
    sent = node.receive("A", request_vote(2, (9, 1), transfer=True))
    assert sent == [RequestVoteResponse(Term(2), True)]


def test_a_restarted_single_voter_elects_itself_at_once() -> None:
    node = make_node("A", configuration=voters("A"))
    node.sync()
    node.crash_and_restart()
    assert node.is_leader
    node.sync()
    assert node.core.lease_until == math.inf


def test_a_new_cluster_is_formed_at_once() -> None:
    node = make_node("A")
    node.step(TriggerElection())
    assert node.plays(Role.PRE_CANDIDATE)


# --- 3: a transfer -------------------------------------------------------------------------


def test_a_leader_that_has_sent_timeout_now_has_no_lease_for_the_rest_of_its_term() -> None:
    node = leader_of()
    answer(node, "BC", 1, at=0.0)
    assert node.core.lease_until == pytest.approx(LEASE)
    node.step(TransferLeadership(sid("B"), "transfer"))
    assert node.sent(TimeoutNow)
    assert node.core.lease_until == -math.inf
    for number in range(1, 40):
        node.step(now=number / 10)
        beats = node.sent(Heartbeat)
        answer(node, "BC", beats[-1].round if beats else 0, at=number / 10)
    assert node.rejection("transfer") is not None
    assert node.is_leader
    assert node.core.lease_until == -math.inf
    node.step(ReadRequest("read"))
    assert ready(node) == []


def test_a_transfer_that_waits_for_its_target_keeps_the_lease() -> None:
    node = leader_of()
    answer(node, "BC", 1, at=0.0)
    node.step(Propose(b"x", None))
    node.step(TransferLeadership(sid("B"), "transfer"))
    assert node.sent(TimeoutNow) == []
    assert node.core.lease_until == pytest.approx(LEASE)


# --- 4: an election by command -------------------------------------------------------------


def test_a_member_that_hears_a_leader_is_not_made_to_campaign() -> None:
    node = follower_that_heard(at=5.0)
    node.step(TriggerElection(), now=5.0 + PROMISE - 0.01)
    assert node.plays(Role.FOLLOWER)
    node.step(TriggerElection(), now=5.0 + PROMISE + 0.01)
    assert node.plays(Role.PRE_CANDIDATE)


# --- 5: the members ------------------------------------------------------------------------


def test_an_endless_lease_ends_before_the_entry_that_adds_a_voter_leaves() -> None:
    node = make_node("A", configuration=voters("A"))
    node.sync()
    assert node.core.lease_until == math.inf
    node.step(AddMember(member("B"), "add"))
    assert node.core.lease_until == -math.inf


def test_a_promotion_counts_what_the_member_has_promised_before() -> None:
    node = make_node("A", configuration=voters("A"))
    node.sync()
    node.step(AddMember(member("B", MemberKind.PROMOTABLE), "add"))
    assert node.core.lease_until == math.inf
    node.sync()
    node.step(now=0.1)
    (beat,) = node.sent(Heartbeat)
    answer(node, "B", beat.round, at=0.11)
    confirmed = AppendEntriesResponse(Term(1), True, Index(0), Index(2), Term(1))
    node.receive("B", confirmed)
    assert node.core.configuration.voters == {sid("A"), sid("B")}
    assert node.core.lease_until == pytest.approx(0.1 + LEASE)


def test_a_lease_is_counted_anew_when_a_voter_is_added_and_removed() -> None:
    node = leader_of()
    answer(node, "B", 1, at=0.0)
    node.step(AddMember(member("D"), "add"))
    assert node.core.lease_until == -math.inf  # two of four
    answer(node, "C", 1, at=0.01)
    assert node.core.lease_until == pytest.approx(LEASE)


def test_a_removed_voter_has_no_say() -> None:
    node = leader_of("AB")
    assert node.core.lease_until == -math.inf
    node.step(RemoveMember(sid("B"), "remove"))
    assert node.core.lease_until == math.inf


def test_a_replaced_member_has_promised_nothing() -> None:
    node = leader_of("ABC")
    answer(node, "B", 1, at=0.0)
    assert node.core.lease_until == pytest.approx(LEASE)
    node.step(AddMember(member("B", MemberKind.PROMOTABLE)._replace(uid="another"), "add"))
    assert node.core.lease_until == -math.inf  # A and C are left


def test_a_leader_that_is_no_voter_has_no_lease() -> None:
    """B alone votes now; restarted, it elects itself at once and asks nobody."""
    node = leader_of("AB")
    node.step(RemoveMember(sid("A"), "remove"))
    answer(node, "B", 1, at=0.0)
    assert node.is_leader
    assert node.core.lease_until == -math.inf


def test_a_member_made_the_only_one_by_force_has_an_endless_lease() -> None:
    node = make_node("A", entries="1:1", term=1)
    node.step(ForceSingleMember("force"))
    node.sync()
    assert node.core.lease_until == math.inf


# --- together ------------------------------------------------------------------------------


def test_a_leader_cut_off_stops_reading_before_another_is_elected() -> None:
    for seed in range(30):
        cluster = Cluster("ABC", seed=seed)
        cluster.clock_rates = {"A": 0.8, "B": 1.2, "C": 1.2}
        cluster.elect("A")
        cluster.run_for(1)
        cluster.isolate("A")
        cluster.run_until(lambda one=cluster: one["B"].is_leader or one["C"].is_leader)  # type: ignore[misc]
        assert cluster["A"].core.lease_until <= cluster.now * 0.8
        cluster.read("A", "late")
        cluster.run_for(3)
        assert isinstance(cluster.answer("A", "late"), Rejected)


def test_a_stopped_leader_finds_its_lease_over() -> None:
    cluster = Cluster("ABC")
    cluster.elect("A")
    cluster.run_for(1)
    cluster.pause("A")
    cluster.run_until(lambda: cluster["B"].is_leader or cluster["C"].is_leader)
    cluster.read("A", "late")
    cluster.resume("A")
    cluster.run_for(2)
    assert isinstance(cluster.answer("A", "late"), Rejected)


def test_answers_that_lay_in_the_mailbox_renew_no_lease() -> None:
    node = leader_of()
    late = HeartbeatResponse(Term(1), 1, Index(1), Index(1), Term(1), PROMISED)
    node.step(MessageReceived(sid("B"), late), ReadRequest("read"), now=1.0)
    assert ready(node) == []


def test_the_first_round_is_known_to_have_gone_out_when_a_peer_was_greeted_before() -> None:
    node = make_node("A", entries=log("1:1"), term=1)
    node.step(TriggerElection())
    asked = node.sent(PreVoteRequest)[0]
    node.receive("B", PreVoteResponse(Term(1), asked.round_id, granted=True))
    ballot = node.sent(RequestVoteRequest)[0]
    vote = RequestVoteResponse(ballot.term, granted=True)
    node.receive_all(("B", vote), ("C", PreVoteRequest(Term(2), 5, Index(1), Term(1))))
    assert {beat.round for beat in node.sent(Heartbeat)} == {1}
