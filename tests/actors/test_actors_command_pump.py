"""When the pump has something to send."""

from __future__ import annotations

from math import inf

from khepri.actors.command_pump import REJECTED_PAUSE_SECONDS, RESEND_SECONDS, CommandPump
from khepri.machine.entries import Group
from khepri.machine.machine import Machine


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
    pump.tick(1_000.0, leads=True)
    assert not pump.has_work
    pump.lost()  # as by the end of its leadership
    assert pump.has_work


def test_after_a_rejection_a_pump_pauses_unless_the_leadership_ends() -> None:
    pump = with_a_command_on_its_way()
    pump.rejected(10.0)
    assert pump.has_work
    assert pump.ready_at == 10.0 + REJECTED_PAUSE_SECONDS
    pump.lost()
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


def with_a_command_on_its_way() -> CommandPump:
    pump = CommandPump()
    pump.origin.open_session(7)
    pump.origin.add(b"command", None)
    assert len(pump.groups_to_forward(0.0)) == 1
    return pump
