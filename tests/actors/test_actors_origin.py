"""How an origin numbers, repeats and answers its clients' commands."""

from __future__ import annotations

from khepri.actors.future import KhepriFuture
from khepri.actors.origin import GROUP_BYTES, GROUP_COMMANDS, NOTHING, Origin

Ticket = KhepriFuture[object]


def an_origin(*commands: bytes) -> tuple[Origin, list[Ticket]]:
    """An origin with an open session and commands that wait."""
    origin = Origin()
    origin.open_session(7)
    tickets: list[Ticket] = [KhepriFuture() for _ in commands]
    for command, ticket in zip(commands, tickets, strict=True):
        origin.add(command, ticket)
    return origin, tickets


def test_commands_are_numbered_in_the_order_they_came() -> None:
    origin, _ = an_origin(b"a", b"b")
    assert origin.take_group() == (7, 1, 1, [b"a", b"b"])
    origin.add(b"c", None)
    assert origin.take_group() == (7, 3, 1, [b"c"])
    assert not origin.has_something_to_send


def test_replies_find_their_tickets_and_are_acknowledged_with_the_next_group() -> None:
    origin, tickets = an_origin(b"a", b"b")
    origin.take_group()
    assert origin.applied(1, ["A", "B"]) == [(tickets[0], "A"), (tickets[1], "B")]
    origin.add(b"c", None)
    assert origin.take_group() == (7, 3, 3, [b"c"])


def test_a_rewind_sends_everything_in_flight_again_under_the_same_numbers() -> None:
    origin, _ = an_origin(b"a", b"b")
    origin.take_group()
    origin.add(b"c", None)
    origin.rewind()
    assert origin.take_group() == (7, 1, 1, [b"a", b"b", b"c"])


def test_replies_that_come_twice_are_given_once() -> None:
    origin, tickets = an_origin(b"a", b"b")
    origin.take_group()
    assert origin.applied(1, ["A"]) == [(tickets[0], "A")]
    assert origin.applied(1, ["A", "B"]) == [(tickets[1], "B")]
    assert origin.applied(1, ["A", "B"]) == []


def test_replies_behind_a_gap_are_not_given_to_the_commands_before_it() -> None:
    """A snapshot was installed: the entries with the first two commands were never seen."""
    origin, tickets = an_origin(b"a", b"b", b"c")
    origin.take_group()
    assert origin.applied(3, ["C"]) == []
    origin.rewind()
    assert origin.take_group() == (7, 1, 1, [b"a", b"b", b"c"])
    answered = origin.applied(1, ["A", "B", "C"])
    assert answered == list(zip(tickets, ["A", "B", "C"], strict=True))


def test_a_new_session_numbers_what_is_in_flight_anew() -> None:
    origin, tickets = an_origin(b"a", b"b")
    origin.take_group()
    origin.applied(1, ["A"])
    origin.open_session(8)
    assert origin.take_group() == (8, 1, 1, [b"b"])
    assert origin.applied(1, ["B"]) == [(tickets[1], "B")]


def test_groups_are_bounded_in_number_and_in_bytes() -> None:
    origin, _ = an_origin(*(b"x" for _ in range(GROUP_COMMANDS + 1)))
    assert len(origin.take_group().commands) == GROUP_COMMANDS
    assert len(origin.take_group().commands) == 1
    origin, _ = an_origin(b"x" * GROUP_BYTES, b"y", b"z" * (2 * GROUP_BYTES))
    assert [len(origin.take_group().commands) for _ in range(3)] == [1, 1, 1]


def test_waiting_bytes_come_back_to_nothing() -> None:
    origin, _ = an_origin(b"aa", b"bb", b"cc")
    assert origin.waiting_bytes == 6
    origin.take_group()
    origin.applied(1, [None])
    assert origin.waiting_bytes == 4
    origin.give_up_in_flight()
    assert origin.waiting_bytes == 0
    assert origin.is_idle


def test_abandoned_commands_stay_in_flight_and_answer_nobody() -> None:
    origin, tickets = an_origin(b"a")
    origin.take_group()
    assert origin.abandon_tickets() == tickets
    assert origin.applied(1, ["A"]) == []
    assert origin.is_idle


def test_unsent_commands_can_be_dropped_for_good() -> None:
    origin, tickets = an_origin(b"a", b"b")
    assert origin.drop_unsent() == tickets
    assert origin.is_idle
    assert origin.settled >= origin.added


def test_who_waits_for_commands_that_were_dropped_does_not_wait_on() -> None:
    origin, _ = an_origin(b"a", b"b")
    counted = origin.added
    assert origin.settled < counted
    origin.drop_unsent()
    assert origin.settled >= counted


def test_what_nobody_waits_for_any_more_is_not_sent_and_keeps_its_place() -> None:
    origin, tickets = an_origin(b"sent")
    origin.take_group()
    abandoned, wanted = Ticket(), Ticket()
    origin.add(b"abandoned" * 10, abandoned)
    origin.add(b"nobody asks", None)
    origin.add(b"wanted", wanted)
    for given_up in (tickets[0], abandoned):
        given_up.fail(TimeoutError())
    origin.withdraw_abandoned()
    origin.rewind()
    commands = [b"sent", NOTHING, b"nobody asks", b"wanted"]
    assert origin.take_group() == (7, 1, 1, commands)
    assert origin.waiting_bytes == sum(len(command) for command in commands)
    assert origin.applied(1, [None] * 4) == [(tickets[0], None), (wanted, None)]
    assert (origin.finished, origin.waiting_bytes) == (origin.added, 0)


def test_what_may_be_applied_unseen_is_not_sent_in_a_new_session() -> None:
    """A snapshot has replaced entries, and the session that remembered them has expired."""
    origin, tickets = an_origin(b"a", b"b", b"c")
    origin.take_group()
    origin.rewind()
    origin.entries_went_by()
    origin.add(b"d", None)
    origin.take_group()
    origin.applied(1, ["A"])  # a was seen after all
    assert origin.close_session() == tickets[1:]
    origin.open_session(8)
    assert origin.take_group() == (8, 1, 1, [b"d"])
    assert (origin.waiting_bytes, origin.finished) == (1, 3)


def test_without_a_snapshot_a_new_session_takes_over_everything() -> None:
    origin, _ = an_origin(b"a")
    origin.take_group()
    assert origin.close_session() == []
    assert origin.has_something_to_send, "a session is asked for at once"
    origin.open_session(8)
    assert origin.take_group() == (8, 1, 1, [b"a"])
