"""Pre-vote and who may disturb whom: cases P01 to P13 (dissertation §4.2.3, §9.6)."""

from __future__ import annotations

from khepri.raft.effects import PersistHardState
from khepri.raft.events import SnapshotTaken, TransferLeadership, TriggerElection
from khepri.raft.messages import (
    Heartbeat,
    InstallSnapshotRequest,
    PreVoteRequest,
    PreVoteResponse,
    RequestVoteResponse,
    TimeoutNow,
)
from khepri.raft.types import (
    NO_HARD_STATE,
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
from tests.raft.raft_notation import (
    append_entries,
    log,
    member,
    membership_entry,
    pre_vote,
    request_vote,
    sid,
    voters,
)


def granted(node: Node, sender: str, request: PreVoteRequest) -> bool:
    (answer,) = [m for m in node.receive(sender, request) if isinstance(m, PreVoteResponse)]
    assert answer.round_id == request.round_id
    return answer.granted


def test_p01_a_returning_node_does_not_disturb() -> None:
    cluster = Cluster("ABC")
    cluster.elect("A")
    cluster.isolate("C")
    cluster.run_for(60)
    assert cluster["C"].core.term == 1
    cluster.heal()
    cluster.run_for(5)
    assert cluster.watch.leaders == {1: "A"}
    cluster.settle()


def test_p02_a_pre_vote_needs_an_up_to_date_log() -> None:
    node = make_node("A", entries="1:1 2:2", term=2)
    assert not granted(node, "B", pre_vote(3, (3, 1)))
    assert not granted(node, "B", pre_vote(3, (1, 2)))
    assert granted(node, "B", pre_vote(3, (2, 2)))


def test_p03_a_pre_vote_changes_nothing_here() -> None:
    node = make_node("A", term=5)
    assert granted(node, "B", pre_vote(6, (0, 0)))
    assert node.done(PersistHardState) == []
    assert node.receive("C", request_vote(6, (0, 0))) == [RequestVoteResponse(Term(6), True)]


def test_p04_terms_spread_by_refusals_so_that_the_best_log_wins() -> None:
    cluster = Cluster("ABC")
    config = membership_entry(1, 1, voters("ABC"))
    cluster.restart("A", Disk(HardState(Term(7), None), [config, *log("2:1")]))
    cluster.restart("B", Disk(HardState(Term(5), None), [config, *log("2:1 3:5")]))
    cluster.crash("C")
    cluster.wait_for_leader()
    assert cluster["B"].is_leader
    assert cluster["B"].core.term > 7


def test_p05_a_leader_grants_none_and_makes_itself_known() -> None:
    node = make_leader("A")
    answers = node.receive("B", pre_vote(2, (9, 1)))
    assert [type(m) for m in answers] == [PreVoteResponse, Heartbeat]
    assert answers[0] == PreVoteResponse(Term(1), 1, False)
    assert node.is_leader


def test_p06_a_candidate_answers_pre_votes() -> None:
    cluster = Cluster("ABC")
    config = membership_entry(1, 1, voters("ABC"))
    cluster.crash("A")
    cluster.restart("B", Disk(HardState(Term(4), None), [config]))
    cluster.restart("C", Disk(HardState(Term(4), None), [config, *log("2:4")]))
    cluster.tell("B", TriggerElection())
    leader = cluster.wait_for_leader()
    assert leader.name == "C"


def test_p07_answers_to_an_older_round_are_not_counted() -> None:
    node = make_node("A", entries="1:1", term=5)
    node.step(TriggerElection())
    (old, *_) = node.sent(PreVoteRequest)
    node.wait(2.0)
    (new, *_) = node.sent(PreVoteRequest)
    node.receive("B", PreVoteResponse(Term(5), old.round_id, True))
    assert node.plays(Role.PRE_CANDIDATE)
    node.receive("B", PreVoteResponse(Term(5), new.round_id, True))
    assert node.plays(Role.CANDIDATE)


def test_p08_who_hears_a_leader_helps_nobody_else() -> None:
    node = make_node("A", entries="1:1", term=1)
    node.receive("B", append_entries(1, (1, 1)))
    assert not granted(node, "C", pre_vote(2, (9, 9)))
    assert node.receive("C", request_vote(2, (9, 9))) == []
    assert node.core.term == 1
    node.now += 0.7  # no word from the leader for longer than the shortest timeout
    assert granted(node, "C", pre_vote(2, (9, 9)))
    assert node.receive("C", request_vote(2, (9, 9))) == [RequestVoteResponse(Term(2), True)]


def test_p09_a_leader_that_cannot_send_is_replaced() -> None:
    cluster = Cluster("ABC")
    cluster.elect("A")
    cluster.cut_links = {("A", "B"), ("A", "C")}
    cluster.run_until(lambda: cluster.leader is not None and cluster.leader.name != "A")
    cluster.run_until(lambda: not cluster["A"].is_leader, 0.5)
    cluster.write(b"new")


def test_p10_a_leader_that_hears_nothing_steps_down() -> None:
    cluster = Cluster("ABC")
    cluster.elect("A")
    cluster.cut_links = {("B", "A"), ("C", "A")}
    cluster.run_until(lambda: not cluster["A"].is_leader, 2.0)
    cluster.run_until(lambda: cluster.leader is not None, 10)
    cluster.write(b"new")


def test_p12_a_receiver_of_a_snapshot_answers_in_place() -> None:
    node = make_node("A", entries="1:1", term=1)
    meta = SnapshotMeta(Index(9), Term(1), voters("ABC"))
    piece = InstallSnapshotRequest(Term(1), 1, meta, 0, b"half", done=False)
    node.receive("B", piece)
    node.now += 0.7
    assert granted(node, "C", pre_vote(2, (9, 1)))
    node.work()
    assert node.partial == {1: b"half"}


def test_p12_an_old_leader_answers_while_it_hands_over() -> None:
    node = make_leader("A", configuration=voters("AB"), supporters="B")
    node.step(TransferLeadership(sid("B"), "ticket"))
    answers = node.receive("B", request_vote(2, (1, 1), transfer=True))
    assert answers[0] == RequestVoteResponse(Term(2), True)


def test_p13_a_voter_that_does_not_know_it_yet_is_asked_and_answers() -> None:
    """A promoted C and died; only B has the entry; B needs C (etcd's rule, not Ra's)."""
    old = voters("AB").with_member(member("C", MemberKind.PROMOTABLE))
    new = voters("ABC")
    cluster = Cluster("ABC")
    cluster.crash("A")
    first = membership_entry(1, 1, old)
    state = HardState(Term(1), None)
    cluster.restart("B", Disk(state, [first, membership_entry(2, 1, new)]))
    cluster.restart("C", Disk(state, [first]))
    assert cluster["C"].core.membership is MemberKind.PROMOTABLE
    leader = cluster.wait_for_leader()
    assert leader.name == "B"
    cluster.run_until(lambda: cluster["C"].core.membership is MemberKind.VOTER)


def test_p13_a_non_voter_never_campaigns_itself() -> None:
    configuration = voters("BC").with_member(member("A", MemberKind.NON_VOTER))
    node = make_node("A", entries="1:1", term=1, configuration=configuration)
    node.step(TriggerElection())
    node.wait(60)
    node.receive("B", TimeoutNow(Term(1)))
    assert node.outbox == []


def test_a_stranger_gets_a_vote_only_for_a_newer_log() -> None:
    node = make_node("A", entries="1:1 2:1", term=1)
    assert not granted(node, "X", pre_vote(2, (2, 1)))
    assert node.receive("X", request_vote(2, (2, 1))) == []
    assert node.core.term == 1
    assert granted(node, "X", pre_vote(2, (3, 1)))
    assert node.receive("X", request_vote(2, (3, 1))) == [RequestVoteResponse(Term(2), True)]


def test_a_newcomer_waits_for_ever() -> None:
    node = Node("X", configuration=Configuration())
    node.step()
    node.step(TriggerElection())
    node.wait(3600)
    assert node.outbox == []
    assert node.disk.hard_state == NO_HARD_STATE


def test_a_local_snapshot_does_not_disturb_a_follower() -> None:
    node = make_node("A", entries="1:1 2:1", term=1)
    node.receive("B", append_entries(1, (2, 1), commit=2))
    node.step(SnapshotTaken(node.core.snapshot_meta(Index(2))))
    assert granted(node, "C", pre_vote(2, (2, 1))) is False
    assert node.core.leader == sid("B")
