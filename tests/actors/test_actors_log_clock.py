"""The clock of the log goes with the seconds that pass, whatever is done to the wall clock."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from khepri.actors.log_clock import LEANING, LogClock

NOON = 1_800_000_000_000
HOUR = 3_600_000


class Wall:
    """A wall clock that can be set."""

    def __init__(self) -> None:
        self.now = 0.0
        self.wrong = 0

    def __call__(self) -> int:
        return NOON + int(self.now * 1000) + self.wrong


class Member:
    """A member and its clocks."""

    def __init__(self, wrong: int = 0) -> None:
        self.wall = Wall()
        self.wall.wrong = wrong
        self.clock = LogClock(self.wall)
        self.log = 0
        self.stamp()

    def stamp(self, seconds: float = 0.0) -> int:
        """Let time pass, and stamp an entry; give how much the time of the log has grown."""
        self.wall.now += seconds
        before = self.log
        self.log = max(before, self.clock.read(self.wall.now, before))
        return self.log - before


def test_a_member_begins_with_its_wall_clock_and_goes_with_it() -> None:
    member = Member()
    assert member.log == NOON
    assert [member.stamp(1), member.stamp(0.25), member.stamp()] == [1_000, 250, 0]


def test_a_clock_that_is_set_forward_makes_up_for_it_slowly() -> None:
    member = Member()
    member.wall.wrong = HOUR
    assert member.stamp(10) == 10_100
    for _ in range(1_000):
        member.stamp(0.25)
    assert member.log <= NOON + 260_000 * (1 + LEANING)


def test_a_clock_that_is_set_back_holds_nothing_up() -> None:
    member = Member()
    member.wall.wrong = -HOUR
    assert member.stamp(10) == 9_900


def test_what_was_made_up_for_is_not_made_up_for_again() -> None:
    member = Member()
    member.wall.wrong = 60_000
    member.stamp(100 * 60)
    assert member.log == member.wall()
    assert member.stamp(1) == 1_000


def test_a_log_that_is_ahead_goes_on_with_the_seconds_that_pass() -> None:
    member = Member()
    member.log = NOON + HOUR
    assert member.stamp(10) == 0  # between the entry before and now nobody knows what has passed
    assert member.stamp(10) == 9_900
    assert member.stamp(1) == 990


def test_the_wall_clock_is_where_it_comes_back_to() -> None:
    member = Member()
    member.log = NOON + 60_000
    member.stamp()
    for _ in range(110):
        member.stamp(60)
    assert abs(member.log - member.wall()) <= 1


def test_a_clock_that_goes_backwards_adds_nothing() -> None:
    member = Member()
    assert member.clock.read(-5.0, member.log) == member.log


@given(
    st.integers(-HOUR, HOUR),
    st.lists(st.tuples(st.floats(0, 100), st.integers(-HOUR, HOUR), st.integers(0, 1_000))),
)
def test_times_to_live_are_right_to_a_hundredth_whatever_is_set(
    wrong: int, steps: list[tuple[float, int, int]]
) -> None:
    member = Member(wrong)
    for seconds, jump, ahead in steps:
        member.wall.wrong += jump
        member.log += ahead  # by another leader
        member.stamp()
        grown = member.stamp(seconds)
        passed = seconds * 1000
        assert passed * (1 - LEANING) - 2 <= grown <= passed * (1 + LEANING) + 2


def test_who_looks_at_it_changes_nothing_and_sees_what_an_entry_would_say() -> None:
    member = Member()
    member.wall.wrong = HOUR
    assert member.clock.look(member.wall.now) == NOON
    assert member.clock.look(member.wall.now + 5) == NOON + 5_000
    assert member.clock.look(member.wall.now - 5) == NOON
    assert member.stamp(10) == 10_100
    assert member.clock.look(member.wall.now) == member.log


def test_who_looks_before_there_is_any_entry_sees_the_wall_clock() -> None:
    wall = Wall()
    assert LogClock(wall).look(1234.5) == NOON
