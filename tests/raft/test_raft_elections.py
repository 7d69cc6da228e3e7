"""Elections and terms: cases E01 to E25 (Raft §5.1, §5.2, §5.4.1)."""

from __future__ import annotations

import math

import pytest

from khepri.raft.effects import PersistHardState, RoleChanged
from khepri.raft.events import MessageReceived, TransferLeadership, TriggerElection
from khepri.raft.messages import (
    AppendEntriesResponse,
    Heartbeat,
    HeartbeatResponse,
    InstallSnapshotRequest,
    InstallSnapshotResponse,
    Message,
    PreVoteRequest,
    PreVoteResponse,
    RequestVoteRequest,
    RequestVoteResponse,
)
from khepri.raft.types import (
    HardState,
    Index,
    MemberKind,
    Role,
    SnapshotMeta,
    Term,
)
from tests.raft.raft_cluster import Cluster
from tests.raft.raft_helpers import Node, elect, make_leader, make_node
from tests.raft.raft_notation import append_entries, member, pre_vote, request_vote, sid, voters


def snapshot_piece(term: int, index: int = 9, index_term: int = 1) -> InstallSnapshotRequest:
    meta = SnapshotMeta(Index(index), Term(index_term), voters("ABC"))
    return InstallSnapshotRequest(Term(term), 1, meta, 0, b"", done=False)


def make_candidate(term: int) -> Node:
    """A that has just asked for votes in `term`."""
    node = make_node("A", entries="1:1", term=term - 1)
    node.step(TriggerElection())
    round_id = _round_id(node)
    node.receive("B", PreVoteResponse(Term(term - 1), round_id, granted=True))
    assert (node.core.role, node.core.term) == (Role.CANDIDATE, term)
    return node


def _round_id(node: Node) -> int:
    return _round_ids(node)[0]


def _round_ids(node: Node) -> list[int]:
    return [s.message.round_id for s in node.outbox if isinstance(s.message, PreVoteRequest)]


def test_e01_a_new_cluster_waits_for_a_trigger() -> None:
    cluster = Cluster("ABC")
    cluster.run_for(60)
    assert all(node.core.term == 0 for node in cluster.alive)
    leader = cluster.elect("A")
    assert leader.core.term == 1
    assert all(node.core.commit_index == 1 for node in cluster.alive)


def test_e02_a_single_member_leads_at_once_and_commits_by_its_own_disk() -> None:
    node = make_node("A", configuration=voters("A"))
    assert node.is_leader
    assert node.outbox == []
    assert node.core.commit_index == 0
    node.sync()
    assert node.core.commit_index == 1
    node.crash_and_restart()
    node.sync()
    assert (node.core.term, node.is_leader, node.core.commit_index) == (2, True, 2)


def test_e03_a_split_vote_is_resolved_by_random_timeouts() -> None:
    cluster = Cluster("ABCD", seed=3)
    for name in "ABCD":
        cluster.tell(name, TriggerElection())
    cluster.wait_for_leader()
    cluster.settle()
    assert max(cluster.watch.leaders) <= 5


@pytest.mark.parametrize(
    ("last", "granted"), [((3, 1), False), ((1, 2), False), ((2, 2), True), ((1, 3), True)]
)
def test_e04_a_stale_log_is_refused_and_the_term_adopted(
    last: tuple[int, int], *, granted: bool
) -> None:
    node = make_node("A", entries="1:1 2:2", term=2)
    (answer,) = node.receive("B", request_vote(5, last))
    assert answer == RequestVoteResponse(Term(5), granted)
    assert node.disk.hard_state == HardState(Term(5), sid("B") if granted else None)


def test_e05_one_vote_per_term() -> None:
    node = make_node("A", term=3)
    assert node.receive("B", request_vote(4, (0, 0))) == [RequestVoteResponse(Term(4), True)]
    assert node.receive("C", request_vote(4, (0, 0))) == [RequestVoteResponse(Term(4), False)]
    assert node.receive("B", request_vote(4, (0, 0))) == [RequestVoteResponse(Term(4), True)]


def test_e06_a_vote_survives_a_crash() -> None:
    node = make_node("A", term=3)
    node.receive("B", request_vote(4, (0, 0)))
    node.crash_and_restart()
    node.forget_promise()
    assert node.receive("C", request_vote(4, (0, 0))) == [RequestVoteResponse(Term(4), False)]
    assert node.receive("B", request_vote(4, (0, 0))) == [RequestVoteResponse(Term(4), True)]


def test_e07_term_and_vote_are_one_record() -> None:
    node = make_node("A", term=4, voted_for="B")
    node.receive("C", append_entries(5, (0, 0)))
    assert node.done(PersistHardState) == [PersistHardState(HardState(Term(5), None))]
    node.receive("B", request_vote(6, (0, 0), transfer=True))
    assert node.done(PersistHardState) == [PersistHardState(HardState(Term(6), sid("B")))]


def test_e08_a_candidates_own_vote_is_durable_before_its_requests_leave() -> None:
    node = make_candidate(6)
    assert node.effects[0] == PersistHardState(HardState(Term(6), sid("A")))
    node.crash_and_restart()
    node.forget_promise()
    assert node.receive("B", request_vote(6, (9, 5))) == [RequestVoteResponse(Term(6), False)]


HIGHER_TERM_ANSWERS: list[Message] = [
    AppendEntriesResponse(Term(9), False, Index(0), Index(0), Term(0)),
    RequestVoteResponse(Term(9), False),
    PreVoteResponse(Term(9), 1, False),
    HeartbeatResponse(Term(9), 1, Index(0), Index(0), Term(0), 600),
    InstallSnapshotResponse(Term(9), 1, 0, False),
]


@pytest.mark.parametrize("answer", HIGHER_TERM_ANSWERS, ids=lambda m: type(m).__name__)
def test_e09_a_higher_term_in_any_answer_demotes(answer: Message) -> None:
    for node in (make_leader("A"), make_candidate(5)):
        node.receive("B", answer)
        assert (node.core.role, node.core.term, node.core.leader) == (Role.FOLLOWER, 9, None)
        assert node.disk.hard_state == HardState(Term(9), None)
        assert node.now < node.core.next_deadline() < math.inf


@pytest.mark.parametrize("answer", HIGHER_TERM_ANSWERS, ids=lambda m: type(m).__name__)
def test_e10_a_strangers_higher_term_is_ignored(answer: Message) -> None:
    node = make_leader("A")
    node.receive("X", answer)
    node.receive("X", request_vote(9, (9, 9)))
    node.receive("X", append_entries(9, (0, 0)))
    assert node.is_leader
    assert node.core.term == 1


def test_e11_lower_terms_are_refused_with_our_own() -> None:
    low: list[Message] = [
        append_entries(3, (0, 0), "1:3"),
        request_vote(3, (9, 3)),
        pre_vote(4, (9, 3)),
        Heartbeat(Term(3), Index(1), 1),
        snapshot_piece(3),
    ]
    for node in (make_node("A", entries="1:1", term=5), make_candidate(5), _leader_of_term_5()):
        before = (node.core.role, node.core.term, node.log_text, node.core.next_deadline())
        for message in low:
            answers = node.receive("B", message)
            assert getattr(answers[0], "term", None) == 5, message
            assert node.done(PersistHardState) == []
        after = (node.core.role, node.core.term, node.log_text, node.core.next_deadline())
        assert after == before


def _leader_of_term_5() -> Node:
    node = make_candidate(5)
    node.receive("B", RequestVoteResponse(Term(5), True))
    return node


def test_e12_a_candidate_meets_the_winner_and_keeps_its_vote_for_itself() -> None:
    node = make_candidate(5)
    node.receive("B", append_entries(5, (1, 1), "2:5"))
    assert (node.core.role, node.core.leader, node.log_text) == (
        Role.FOLLOWER,
        sid("B"),
        "1:1 2:5",
    )
    assert node.disk.hard_state == HardState(Term(5), sid("A"))
    assert node.receive("C", request_vote(5, (9, 5), transfer=True)) == [
        RequestVoteResponse(Term(5), False)
    ]


def test_e13_a_candidate_takes_a_snapshot_from_the_winner() -> None:
    node = make_candidate(5)
    node.receive("B", snapshot_piece(5))
    assert (node.core.role, node.core.leader) == (Role.FOLLOWER, sid("B"))
    assert node.jobs != []


def test_e14_late_votes_change_nothing() -> None:
    leader = make_leader("A", supporters="B")
    assert leader.receive("C", RequestVoteResponse(Term(1), True)) == []
    follower = make_candidate(5)
    follower.receive("B", append_entries(5, (1, 1)))
    follower.receive("C", RequestVoteResponse(Term(5), True))
    assert leader.is_leader
    assert follower.plays(Role.FOLLOWER)


def test_e15_a_vote_delivered_three_times_is_one_vote() -> None:
    node = make_node("A", configuration=voters("ABCDE"))
    node.step(TriggerElection())
    round_id = _round_id(node)
    for name in "BC":
        node.receive(name, PreVoteResponse(Term(0), round_id, True))
    vote = RequestVoteResponse(Term(1), True)
    node.receive_all(("B", vote), ("B", vote), ("B", vote))
    assert node.plays(Role.CANDIDATE)
    node.receive("C", vote)
    assert node.is_leader


def test_e16_a_vote_of_an_earlier_election_is_not_counted() -> None:
    node = make_candidate(5)
    node.wait(2.0)
    node.receive("C", PreVoteResponse(Term(5), _round_ids(node)[-1], True))
    assert (node.core.role, node.core.term) == (Role.CANDIDATE, 6)
    node.receive("B", RequestVoteResponse(Term(5), True))
    assert node.plays(Role.CANDIDATE)


def test_e17_votes_of_non_voters_and_strangers_do_not_count() -> None:
    configuration = voters("ABC").with_member(member("D", MemberKind.NON_VOTER))
    node = make_node("A", configuration=configuration)
    node.step(TriggerElection())
    round_id = _round_id(node)
    for name in "DX":
        node.receive(name, PreVoteResponse(Term(0), round_id, True))
    assert node.plays(Role.PRE_CANDIDATE)
    node.receive("B", PreVoteResponse(Term(0), round_id, True))
    for name in "DX":
        node.receive(name, RequestVoteResponse(Term(1), True))
    assert node.plays(Role.CANDIDATE)


def test_e18_a_leader_that_restarts_at_once_returns_as_a_follower_of_its_term() -> None:
    cluster = Cluster("ABC")
    cluster.elect("A")
    cluster.write(b"kept")
    cluster.crash("A")
    cluster.restart("A")
    cluster.run_for(0.01)
    assert (cluster["A"].core.role, cluster["A"].core.term) == (Role.FOLLOWER, 1)
    cluster.wait_for_leader()
    cluster.settle()
    assert all(node.commands == [b"kept"] for node in cluster.alive)


def test_e19_all_crash_and_restart_in_another_order() -> None:
    cluster = Cluster("ABC")
    cluster.elect("A")
    cluster.write(b"kept")
    for name in "ABC":
        cluster.crash(name)
    for name in "CAB":
        cluster.restart(name)
        cluster.run_for(0.05)
    cluster.wait_for_leader()
    cluster.settle()
    assert all(node.commands == [b"kept"] for node in cluster.alive)


def test_e20_a_minority_elects_nobody_and_does_not_grow_its_term() -> None:
    cluster = Cluster("ABCDE")
    cluster.elect("A")
    for name in "ABC":
        cluster.crash(name)
    cluster.run_for(30)
    assert [node.core.term for node in cluster.alive] == [1, 1]
    assert cluster.leader is None
    cluster.restart("C")
    cluster.write(b"again")


def test_e21_a_leader_without_quorum_steps_down_and_answers_who_waits() -> None:
    cluster = Cluster("ABC")
    leader = cluster.elect("A")
    cluster.isolate("A")
    cluster.read("A", "read")
    cluster.run_until(lambda: not leader.is_leader, 2.0)
    assert cluster.answer("A", "read") is not None
    assert leader.core.leader is None
    cluster.wait_for_leader()


def test_e22_a_clean_exit_hands_over_first() -> None:
    cluster = Cluster("ABC")
    cluster.elect("A")
    before = cluster.now
    cluster.tell("A", TransferLeadership(None, "leaving"))
    cluster.run_until(lambda: cluster.answer("A", "leaving"))
    cluster.crash("A")
    cluster.wait_for_leader()
    assert cluster.now - before < cluster.settings.election_timeout_min_seconds / 4


def test_e23_an_idle_cluster_never_changes_its_term() -> None:
    cluster = Cluster("ABC", latency_seconds=0.15)
    cluster.elect("A")
    cluster.run_for(1800)
    assert {node.core.term for node in cluster.alive} == {1}
    assert cluster["A"].is_leader


def test_e24_a_slow_voter_does_not_unseat_the_leader() -> None:
    cluster = Cluster("ABC")
    slow = (RequestVoteRequest, RequestVoteResponse, PreVoteResponse)
    cluster.delay = lambda s, t, m: [1.5 if "C" in s + t and isinstance(m, slow) else 0.002]
    cluster.elect("A")
    cluster.run_for(30)
    assert cluster.watch.leaders == {1: "A"}


def test_e25_a_huge_term_is_only_a_number() -> None:
    huge = 2**62
    node = make_node("A", entries="1:1", term=1)
    node.receive("B", request_vote(huge, (1, 1)))
    assert node.disk.hard_state == HardState(Term(huge), sid("B"))
    elect(node, "B")
    assert node.core.term == huge + 1


def test_every_transition_is_announced_in_order() -> None:
    node = make_leader("A")
    roles = [effect.role for effect in node.ever(RoleChanged)]
    assert roles == [Role.PRE_CANDIDATE, Role.CANDIDATE, Role.LEADER]
    node.step(MessageReceived(sid("B"), append_entries(7, (0, 0))))
    assert node.done(RoleChanged) == [RoleChanged(Role.FOLLOWER, Term(7), sid("B"))]
