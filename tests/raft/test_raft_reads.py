"""Linearizable reads: cases Q01 to Q14 (dissertation §6.4)."""

from __future__ import annotations

import pytest

from khepri.raft.effects import ReadReady, Rejected, RejectReason
from khepri.raft.events import (
    AddMember,
    LogWriteFailed,
    MessageReceived,
    ReadRequest,
    TriggerElection,
)
from khepri.raft.messages import (
    AppendEntriesResponse,
    Heartbeat,
    HeartbeatResponse,
    ReadIndexRequest,
    ReadIndexResponse,
)
from khepri.raft.settings import RaftSettings
from khepri.raft.types import Configuration, Index, MemberKind, Role, Term
from tests.raft.raft_cluster import Cluster
from tests.raft.raft_helpers import Node, elect, make_leader, make_node, propose
from tests.raft.raft_notation import append_entries, member, sid, voters

WITHOUT_LEASES = RaftSettings(read_leases=False)


def reading_leader(names: str = "ABC") -> Node:
    """A leads, its first entry is committed, nobody has answered a heartbeat; no leases."""
    node = make_leader(
        "A", configuration=voters(names), supporters=names[1:], settings=WITHOUT_LEASES
    )
    node.sync()
    committed = AppendEntriesResponse(Term(1), True, Index(0), Index(1), Term(1))
    node.receive_all(*((name, committed) for name in names[1:]))
    assert node.core.commit_index == 1
    return node


def answer(node: Node, name: str, round_number: int, *, term: int | None = None) -> None:
    """`name` answers heartbeat `round_number`."""
    index = node.core.last_written
    node.receive(
        name,
        HeartbeatResponse(
            node.core.term if term is None else Term(term),
            round_number,
            index,
            index,
            Term(1),
            600,
        ),
    )


def ask(node: Node, ticket: object) -> int:
    """A read arrives; gives the number of the round that goes out for it."""
    node.step(ReadRequest(ticket))
    return node.sent(Heartbeat)[0].round


def ready(node: Node) -> list[object]:
    return [effect.ticket for effect in node.ever(ReadReady)]


def test_q01_a_deposed_leader_answers_no_read() -> None:
    cluster = Cluster("ABC")
    cluster.elect("A")
    cluster.isolate("A")
    cluster.run_until(lambda: cluster["B"].is_leader or cluster["C"].is_leader)
    cluster.wait_for_leader()
    cluster.read("A", "old")
    cluster.run_for(3)
    assert isinstance(cluster.answer("A", "old"), Rejected)


def test_q02_a_new_leader_waits_for_its_first_entry() -> None:
    node = make_leader("A", settings=WITHOUT_LEASES)
    node.step(ReadRequest("early"))
    for round_number in range(1, 4):
        for name in "BC":
            answer(node, name, round_number)
    assert ready(node) == []
    node.sync()
    node.receive("B", AppendEntriesResponse(Term(1), True, Index(0), Index(1), Term(1)))
    (beat, _) = node.sent(Heartbeat)[-2:]
    answer(node, "B", beat.round)
    assert node.done(ReadReady) == [ReadReady("early", Index(1))]


def test_q03_after_a_restart_of_all_the_write_is_read() -> None:
    cluster = Cluster("ABC")
    cluster.elect("A")
    cluster.write(b"x")
    for name in "ABC":
        cluster.crash(name)
        cluster.restart(name)
    leader = cluster.wait_for_leader()
    cluster.read(leader.name, "read")
    cluster.run_until(lambda: cluster.answer(leader.name, "read"))
    assert leader.commands == [b"x"]


def test_q04_an_answer_of_an_earlier_term_confirms_nothing() -> None:
    node = reading_leader()
    node.receive("B", append_entries(2, (1, 1)))
    node.now += 0.7
    elect(node, "B")
    node.sync()
    node.receive("B", AppendEntriesResponse(Term(3), True, Index(0), Index(2), Term(3)))
    round_number = ask(node, "read")
    answer(node, "B", round_number, term=1)
    assert ready(node) == []
    answer(node, "B", round_number)
    assert ready(node) == ["read"]


def test_q05_a_doubled_answer_counts_once() -> None:
    node = reading_leader("ABCDE")
    round_number = ask(node, 7)
    answer(node, "B", round_number)
    answer(node, "B", round_number)
    assert ready(node) == []
    answer(node, "C", round_number)
    assert ready(node) == [7]


def test_q06_an_answer_to_an_earlier_round_confirms_only_that() -> None:
    node = reading_leader("ABCDE")
    early = ask(node, 6)
    node.step(ReadRequest(7))
    for name in "BC":
        answer(node, name, early)
    assert ready(node) == [6]
    for name in "BC":
        answer(node, name, early)
    assert ready(node) == [6]
    late = max(beat.round for beat in _beats(node))
    for name in "DE":
        answer(node, name, late)
    assert ready(node) == [6, 7]


def _beats(node: Node) -> list[Heartbeat]:
    return [s.message for s in node.outbox if isinstance(s.message, Heartbeat)]


def test_q07_a_read_that_comes_after_a_pause_makes_a_round_of_its_own() -> None:
    """Answers to older rounds lie in the mailbox when the paused leader goes on."""
    node = reading_leader()
    early = ask(node, "before")
    answer = HeartbeatResponse(Term(1), early, Index(1), Index(1), Term(1), 600)
    mail = [MessageReceived(sid(name), answer) for name in "BC"]
    node.step(*mail, ReadRequest("after"))
    assert ready(node) == ["before"]
    assert node.sent(Heartbeat)[-1].round > early


def test_q08_the_active_configuration_confirms() -> None:
    node = reading_leader()
    node.step(AddMember(member("D"), "add"))
    round_number = ask(node, "read")
    answer(node, "B", round_number)
    assert ready(node) == []  # two of four
    answer(node, "C", round_number)
    assert ready(node) == ["read"]


def test_q09_a_single_member_reads_at_once_after_its_first_entry() -> None:
    node = make_node("A", configuration=voters("A"))
    node.step(ReadRequest("early"))
    assert ready(node) == []
    node.sync()
    assert ready(node) == ["early"]
    node.step(ReadRequest("later"))
    assert node.done(ReadReady) == [ReadReady("later", Index(1))]
    assert node.outbox == []


def test_q10_a_read_waits_for_being_applied() -> None:
    settings = RaftSettings(max_apply_entries=3)
    entries = " ".join(f"{i}:1" for i in range(1, 11))
    node = make_node("A", entries=entries, term=1, configuration=voters("A"), settings=settings)
    node.step(ReadRequest("read"))
    node.sync()
    while node.core.next_deadline() < 0:
        assert ready(node) == []
        node.step()
    assert node.done(ReadReady) == [ReadReady("read", Index(11))]
    assert len(node.machine) == 11


def test_q11_whoever_waits_is_told_when_the_leader_is_lost() -> None:
    node = reading_leader()
    ask(node, "under way")
    node.step(ReadRequest("gathering"))
    node.receive("C", ReadIndexRequest(77))
    node.receive("B", append_entries(2, (1, 1)))
    assert node.done(Rejected) == [
        Rejected("under way", RejectReason.NOT_LEADER, sid("B")),
        Rejected("gathering", RejectReason.NOT_LEADER, sid("B")),
    ]
    assert node.sent(ReadIndexResponse) == [ReadIndexResponse(77, None)]
    answer(node, "C", 99)
    assert ready(node) == []


def test_q11_a_follower_tells_its_readers_too() -> None:
    node = make_node("A", entries="1:1", term=1)
    node.receive("B", append_entries(1, (1, 1)))
    node.step(ReadRequest("asked"))
    node.receive("C", append_entries(2, (1, 1)))
    assert node.done(Rejected) == [Rejected("asked", RejectReason.NOT_LEADER, sid("C"))]


def test_q12_a_follower_reads_through_its_leader_and_waits_for_its_own_machine() -> None:
    cluster = Cluster("ABC")
    cluster.elect("A")
    cluster.put("A", b"x")
    cluster.run_until(lambda: cluster["A"].commands)
    cluster.read("B", "read")
    cluster.run_until(lambda: cluster.answer("B", "read"))
    assert isinstance(cluster.answer("B", "read"), ReadReady)
    assert cluster["B"].commands == [b"x"]


def test_q12_a_lost_question_is_asked_again_and_a_second_answer_finds_nobody() -> None:
    cluster = Cluster("ABC")
    cluster.elect("A")
    cluster.drop = lambda _s, _t, m: isinstance(m, ReadIndexRequest | ReadIndexResponse)
    cluster.read("B", "read")
    cluster.run_for(0.05)
    cluster.heal()
    cluster.run_until(lambda: cluster.answer("B", "read"), 0.5)
    answers = [e for e in cluster["B"].history if isinstance(e, ReadReady)]
    assert len(answers) == 1


def test_q12_a_leader_that_cannot_confirm_reads_refuses_those_of_others_too() -> None:
    """It is the only voter, and its disk failed before anything of its term was committed."""
    node = make_node(
        "A",
        entries="1:1",
        term=1,
        configuration=Configuration((member("A"), member("B", MemberKind.PROMOTABLE))),
    )
    node.step(TriggerElection())
    node.step(LogWriteFailed("full"))
    assert node.is_leader
    for _ in range(3):
        assert ReadIndexResponse(7, None) in node.receive("B", ReadIndexRequest(7))


def test_q12_a_question_that_is_asked_again_while_it_waits_is_answered_once() -> None:
    node = reading_leader()
    first_round = ask(node, "under way")
    for _ in range(3):
        node.receive("C", ReadIndexRequest(7))
    answer(node, "B", first_round)
    (second_round,) = {heartbeat.round for heartbeat in node.sent(Heartbeat)}
    answer(node, "B", second_round)
    assert [it.read_id for it in node.sent(ReadIndexResponse)] == [7]


def test_q12_a_leader_answers_only_the_newest_question_of_each_follower() -> None:
    node = reading_leader()
    first_round = ask(node, "under way")
    for read_id in (7, 9, 8):
        node.receive("C", ReadIndexRequest(read_id))
    node.receive("B", ReadIndexRequest(3))
    answer(node, "B", first_round)
    (second_round,) = {heartbeat.round for heartbeat in node.sent(Heartbeat)}
    answer(node, "B", second_round)
    assert [it.read_id for it in node.sent(ReadIndexResponse)] == [9, 3]


def test_q12_an_answer_is_one_for_all_questions_before_it() -> None:
    node = make_node("A", entries="1:1", term=1)
    node.receive("B", append_entries(1, (1, 1), commit=1))
    asked: list[int] = []
    for ticket in ("first", "second", "third"):
        node.step(ReadRequest(ticket))
        asked += [question.read_id for question in node.sent(ReadIndexRequest)]
    node.receive("B", ReadIndexResponse(asked[1], Index(1)))
    assert ready(node) == ["first", "second"]
    node.receive("B", ReadIndexResponse(asked[0], Index(1)))
    node.receive("B", ReadIndexResponse(asked[2], Index(1)))
    assert ready(node) == ["first", "second", "third"]


@pytest.mark.parametrize("index", [Index(1), None])
def test_q12_a_late_answer_to_who_asked_before_a_restart_answers_nobody(
    index: Index | None,
) -> None:
    node = make_node("A", entries="1:1", term=1)
    node.receive("B", append_entries(1, (1, 1), commit=1))
    node.step(ReadRequest("new"))
    (asked,) = node.sent(ReadIndexRequest)
    for earlier in (asked.read_id + 1, asked.read_id + (1 << 50), asked.read_id - 1):
        node.receive("B", ReadIndexResponse(earlier, index))
        assert not ready(node)
        assert not node.done(Rejected)
    node.receive("B", ReadIndexResponse(asked.read_id, Index(1)))
    assert ready(node) == ["new"]


def test_q12_of_many_questions_without_an_answer_one_is_asked_again() -> None:
    node = make_node("A", entries="1:1", term=1)
    node.receive("B", append_entries(1, (1, 1)))
    for ticket in range(50):
        node.step(ReadRequest(ticket))
    (last,) = node.sent(ReadIndexRequest)
    node.wait(0.15)
    node.receive("B", Heartbeat(Term(1), Index(1), 1))
    assert node.sent(ReadIndexRequest) == [last]


def test_no_more_reads_wait_than_the_settings_say() -> None:
    settings = RaftSettings(read_leases=False, max_waiting_reads=3)
    leader = make_leader("A", settings=settings)
    follower = make_node("A", entries="1:1", term=1, settings=settings)
    follower.receive("B", append_entries(1, (1, 1)))
    for node in (leader, follower):
        for ticket in range(3):
            node.step(ReadRequest(ticket))
            assert not node.done(Rejected)
        node.step(ReadRequest("one more"))
        assert node.rejection("one more") is RejectReason.OVERLOADED
    # An answer makes room.
    follower.receive("B", Heartbeat(Term(1), Index(1), 1))
    follower.wait(0.15)
    follower.receive("B", Heartbeat(Term(1), Index(1), 1))
    (question,) = follower.sent(ReadIndexRequest)
    follower.receive("B", ReadIndexResponse(question.read_id, Index(1)))
    assert len(ready(follower)) == 3
    follower.step(ReadRequest("room again"))
    assert not follower.done(Rejected)


def test_q12_a_question_to_who_leads_no_more_is_refused() -> None:
    node = make_node("B", entries="1:1", term=1)
    assert node.receive("C", ReadIndexRequest(5)) == [ReadIndexResponse(5, None)]
    node.receive("A", append_entries(1, (1, 1)))
    node.step(ReadRequest("read"))
    (question,) = node.sent(ReadIndexRequest)
    node.receive("A", ReadIndexResponse(question.read_id, None))
    assert node.rejection("read") is RejectReason.NOT_LEADER


def test_q13_a_minority_reads_nothing() -> None:
    cluster = Cluster("ABCDE")
    cluster.elect("A")
    cluster.isolate("A", "B")
    cluster.run_for(0.6)  # what the others had promised is over
    cluster.read("A", "at the leader")
    cluster.read("B", "at a follower")
    cluster.run_for(5)
    assert isinstance(cluster.answer("A", "at the leader"), Rejected)
    assert isinstance(cluster.answer("B", "at a follower"), Rejected)


def test_all_reads_of_a_batch_share_one_round() -> None:
    node = reading_leader()
    node.step(*(ReadRequest(ticket) for ticket in range(100)))
    assert len(node.sent(Heartbeat)) == 2
    answer(node, "B", node.sent(Heartbeat)[0].round)
    assert ready(node) == list(range(100))


def test_reads_go_together_with_writes() -> None:
    node = reading_leader()
    propose(node, b"x")
    round_number = ask(node, "read")
    answer(node, "B", round_number)
    assert node.done(ReadReady) == [ReadReady("read", Index(1))]


def test_a_non_voter_confirms_nothing() -> None:
    configuration = voters("ABC").with_member(member("D", MemberKind.NON_VOTER))
    node = make_leader("A", configuration=configuration)
    node.sync()
    node.receive("B", AppendEntriesResponse(Term(1), True, Index(0), Index(1), Term(1)))
    round_number = ask(node, "read")
    answer(node, "D", round_number)
    assert ready(node) == []
    assert node.plays(Role.LEADER)
