"""When the next group of commands goes: the numbers alone."""

from khepri.actors.pacing import GATHER_MAX_SECONDS, HOLD_SECONDS, Pacing, gather_seconds


def test_a_caller_who_is_alone_never_waits() -> None:
    pacing = Pacing()
    assert pacing.due(1, is_under_way=False) <= 10.0
    pacing.sent(1, 10.0)
    pacing.answered(1, 1, 10.001)
    assert pacing.due(1, is_under_way=False) <= 10.001


def test_while_a_group_is_under_way_the_next_one_gathers_but_not_for_long() -> None:
    pacing = Pacing()
    pacing.sent(16, 10.0)
    assert pacing.due(15, is_under_way=True) == 10.0 + HOLD_SECONDS


def test_as_many_as_are_under_way_follow_at_once() -> None:
    pacing = Pacing()
    pacing.sent(16, 10.0)
    assert pacing.due(16, is_under_way=True) <= 10.0
    pacing.sent(16, 10.0)
    assert pacing.due(16, is_under_way=True) > 10.0
    pacing.answered(16, 16, 10.001)
    assert pacing.due(16, is_under_way=True) <= 10.001


def test_those_who_were_answered_together_are_waited_for_together() -> None:
    pacing = Pacing()
    pacing.answered(16, 16, 10.0)
    assert pacing.due(1, is_under_way=False) == 10.0 + gather_seconds(16)
    assert pacing.due(15, is_under_way=False) > 10.0
    assert pacing.due(16, is_under_way=False) <= 10.0


def test_nobody_is_waited_for_longer_than_a_few_milliseconds() -> None:
    assert gather_seconds(1_000_000) == GATHER_MAX_SECONDS


def test_what_could_not_go_is_not_tried_again_and_again() -> None:
    pacing = Pacing()
    pacing.sent(0, 10.0)
    assert pacing.due(1, is_under_way=False) == 10.0 + HOLD_SECONDS
    pacing.sent(1, 10.1)
    assert pacing.due(1, is_under_way=False) <= 10.1


def test_who_keeps_commands_in_flight_is_not_waited_for() -> None:
    pacing = Pacing()
    pacing.answered(1000, 1, 10.0)
    assert pacing.due(1, is_under_way=False) <= 10.0
