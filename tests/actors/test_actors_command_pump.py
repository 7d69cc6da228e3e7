"""When the pump has something to send."""

from __future__ import annotations

from math import inf

from khepri.actors.command_pump import (
    KEEP_ALIVE_SECONDS,
    MAX_FORWARDED_GROUPS,
    REJECTED_PAUSE_SECONDS,
    RESEND_SECONDS,
    CommandPump,
)
from khepri.encoding import unpack
from khepri.machine.entries import Group
from khepri.machine.machine import Machine
from khepri.machine.replies import value_reply
from khepri.machine.sessions import NO_SESSION, GroupResult, GroupStatus
from khepri.raft.types import Term
from tests.raft.raft_notation import sid


def test_a_pump_without_commands_is_never_ready() -> None:
    assert CommandPump().ready_at == inf


def test_while_its_session_is_being_opened_a_pump_does_not_ask_again_and_again() -> None:
    pump = CommandPump()
    pump.origin.add(b"command", None)
    assert pump.ready_at < 0.0
    [[_open_session]] = pump.entries_to_propose(10.0)
    assert pump.ready_at == 10.0 + RESEND_SECONDS
    assert pump.entries_to_propose(10.1) == []


def test_forwarded_commands_do_not_wait_for_the_session_of_our_own() -> None:
    pump = CommandPump()
    pump.origin.add(b"command", None)
    pump.entries_to_propose(10.0)
    pump.take_foreign([Group(7, 1, 1, [b"theirs"])])
    assert pump.ready_at < 0.0


def test_without_a_session_a_snapshot_leaves_nothing_in_doubt() -> None:
    pump = CommandPump()
    origin = pump.origin
    origin.open_session(1)
    origin.add(b"command", None)
    origin.take_group()
    assert origin.close_session() == []
    assert pump.installed(Machine()) == []  # it is to be sent in another session
    origin.open_session(2)
    origin.drop_unsent()
    assert origin.close_session() == []


def test_with_a_session_commands_are_ready_at_once() -> None:
    pump = CommandPump()
    pump.origin.add(b"command", None)
    pump.entries_to_propose(10.0)
    pump.origin.open_session(7)
    assert pump.ready_at < 0.0


def test_a_leader_does_not_propose_again_what_is_slow() -> None:
    """It is in its own log; again and again it would fill the log of a cluster that is slow."""
    pump = with_a_command_on_its_way()
    pump.tick(1_000.0, follows=False)
    assert not pump.has_work
    pump.leader_is(Term(2), sid("B"))
    assert pump.has_work


def test_after_a_rejection_a_pump_pauses_unless_the_leadership_ends() -> None:
    pump = with_a_command_on_its_way()
    pump.rejected(10.0)
    assert pump.has_work
    assert pump.ready_at == 10.0 + REJECTED_PAUSE_SECONDS
    pump.leader_is(Term(2), sid("B"))
    assert pump.ready_at < 0.0


def test_a_follower_repeats_what_makes_no_progress_with_growing_pauses() -> None:
    pump = with_a_command_on_its_way()
    now = sent_at = 0.0
    pauses: list[float] = []
    while len(pauses) < 6:
        now += 0.25
        pump.tick(now)
        if pump.groups_to_forward(now):
            pauses.append(now - sent_at)
            sent_at = now
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]


def test_what_a_slow_link_carries_is_not_repeated_after_the_first_answer() -> None:
    """Every copy would make the next answer later, until nobody waits for it any more."""
    pump = with_a_command_on_its_way()
    pump.tick(0.6)
    assert len(pump.groups_to_forward(0.6)) == 1  # nothing is known yet about the link
    pump.applied(GroupResult(7, 1, [None], GroupStatus.APPLIED), 2.0)
    pump.origin.add(b"another", None)
    assert len(pump.groups_to_forward(2.0)) == 1
    pump.applied(GroupResult(7, 1, [None], GroupStatus.APPLIED), 2.6)  # the copy
    pump.tick(2.6 + 3.9)
    assert not pump.has_work
    pump.tick(2.6 + 4.1)
    assert pump.has_work


def test_on_a_quick_link_what_is_missing_is_soon_repeated_again() -> None:
    pump = with_a_command_on_its_way()
    pump.applied(GroupResult(7, 1, [None], GroupStatus.APPLIED), 2.0)
    pump.origin.add(b"another", None)
    pump.groups_to_forward(2.0)
    pump.applied(GroupResult(7, 2, [None], GroupStatus.APPLIED), 2.01)
    pump.origin.add(b"a third", None)
    pump.groups_to_forward(2.1)
    pump.tick(2.1 + RESEND_SECONDS)
    assert pump.has_work


def test_a_leader_that_was_missed_for_a_moment_is_not_sent_everything_again() -> None:
    pump = with_a_command_on_its_way()
    pump.leader_is(Term(2), sid("B"))
    assert len(pump.groups_to_forward(0.0)) == 1
    pump.leader_is(Term(2), None)
    pump.tick(RESEND_SECONDS, follows=False)
    pump.leader_is(Term(2), sid("B"))
    assert not pump.has_work
    pump.leader_is(Term(3), sid("B"))
    assert pump.has_work


def forwarded(pump: CommandPump, commands: int, now: float = 0.0) -> int:
    """So many commands come one after the other; how many groups go?"""
    groups = 0
    for _ in range(commands):
        pump.origin.add(b"command", None)
        groups += len(pump.groups_to_forward(now))
    return groups


def test_a_session_that_had_to_be_asked_for_often_leaves_all_ways_open() -> None:
    pump = CommandPump()
    pump.origin.add(b"command", None)
    [question] = pump.groups_to_forward(0.0)
    now = RESEND_SECONDS
    for _ in range(5 * MAX_FORWARDED_GROUPS):
        assert pump.groups_to_forward(now) == [question]
        now += RESEND_SECONDS
    opened = GroupResult(
        NO_SESSION, 0, [value_reply([nonce_of(question), 7])], GroupStatus.APPLIED
    )
    pump.applied(opened, now)
    assert pump.origin.session_id == 7
    assert not pump.is_forwarding
    assert forwarded(pump, 2 * MAX_FORWARDED_GROUPS) == MAX_FORWARDED_GROUPS


def test_a_session_that_expires_with_much_on_its_way_leaves_all_ways_open() -> None:
    pump = CommandPump()
    for session_id in range(7, 7 + 3 * MAX_FORWARDED_GROUPS):
        pump.origin.open_session(session_id)
        assert forwarded(pump, 4) >= 3
        pump.applied(GroupResult(session_id, 1, (), GroupStatus.SESSION_EXPIRED), 0.0)
        pump.applied(GroupResult(session_id, 2, (), GroupStatus.SESSION_EXPIRED), 0.0)
        assert not pump.is_forwarding


def test_a_follower_keeps_its_session_alive_at_the_leader() -> None:
    pump = with_a_command_on_its_way()
    pump.applied(GroupResult(7, 1, [None], GroupStatus.APPLIED), 0.0)
    keep_alive = pump.tick(KEEP_ALIVE_SECONDS)
    assert keep_alive is not None
    pump.take_foreign([Group(99, 1, 1, [b"theirs"]), keep_alive])
    assert pump.groups_to_forward(KEEP_ALIVE_SECONDS) == [keep_alive]
    assert not pump.has_work


def nonce_of(group: Group) -> bytes:
    _code, nonce = unpack(group.commands[0])
    assert isinstance(nonce, bytes)
    return nonce


def with_a_command_on_its_way() -> CommandPump:
    pump = CommandPump()
    pump.origin.open_session(7)
    pump.origin.add(b"command", None)
    assert len(pump.groups_to_forward(0.0)) == 1
    return pump
