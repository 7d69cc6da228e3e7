"""The counting of restarts, without any actor."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from khepri.actors.restart_intensity import RestartIntensity


def test_one_more_than_the_intensity_within_the_period_is_too_many() -> None:
    intensity = RestartIntensity(2, 5.0)
    assert [intensity.allows_restart(now) for now in (0.0, 1.0, 2.0)] == [True, True, False]


def test_what_is_older_than_the_period_does_not_count() -> None:
    intensity = RestartIntensity(1, 5.0)
    assert [intensity.allows_restart(now) for now in (0.0, 5.1, 10.2)] == [True] * 3
    assert not intensity.allows_restart(15.2)


def test_intensity_zero_allows_no_restart() -> None:
    assert not RestartIntensity(0, 5.0).allows_restart(0.0)


@given(st.lists(st.floats(0, 3), max_size=30), st.integers(0, 4), st.floats(0.1, 5))
def test_it_agrees_with_counting_all_of_them(
    pauses: list[float], limit: int, period_seconds: float
) -> None:
    intensity = RestartIntensity(limit, period_seconds)
    times: list[float] = []
    for pause in pauses:
        times.append((times[-1] if times else 0.0) + pause)
        recent = [time for time in times if time >= times[-1] - period_seconds]
        assert intensity.allows_restart(times[-1]) == (len(recent) <= limit)
