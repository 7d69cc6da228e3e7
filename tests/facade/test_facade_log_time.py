"""Times to live last as long as they were given, whatever is done to the machine's clock."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

import khepri
from tests.facade.facade_helpers import eventually

if TYPE_CHECKING:
    from pathlib import Path

HOUR_NANOSECONDS = 3_600_000_000_000


class WallClock:
    """The machine's clock, which somebody sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._right = time.time_ns
        self.wrong = 0
        monkeypatch.setattr(time, "time_ns", self)

    def __call__(self) -> int:
        return self._right() + self.wrong


@pytest.fixture
def wall_clock(monkeypatch: pytest.MonkeyPatch) -> WallClock:
    return WallClock(monkeypatch)


def test_what_has_a_time_to_live_does_not_end_because_the_clock_is_set(
    tmp_path: Path, wall_clock: WallClock
) -> None:
    with khepri.open(tmp_path / "data") as store:
        store.put("/lock", "mine", ttl=600)
        wall_clock.wrong = HOUR_NANOSECONDS
        store.put("/other", 1)
        assert store.exists("/lock")


@pytest.mark.parametrize("does_restart", [False, True])
def test_what_has_a_time_to_live_ends_in_time_after_the_clock_was_ahead(
    tmp_path: Path, wall_clock: WallClock, does_restart: bool
) -> None:
    wall_clock.wrong = HOUR_NANOSECONDS
    with khepri.open(tmp_path / "data") as store:
        store.put("/taken-along", 1)
        wall_clock.wrong = 0
        if not does_restart:
            store.put("/lock", "mine", ttl=0.2)
            eventually(lambda: not store.exists("/lock"), "the end of the lock")
    if does_restart:
        with khepri.open(tmp_path / "data") as store:
            store.put("/lock", "mine", ttl=0.2)
            eventually(lambda: not store.exists("/lock"), "the end of the lock")


def test_what_is_left_of_a_time_to_live_does_not_depend_on_a_clock_that_is_set(
    tmp_path: Path, wall_clock: WallClock
) -> None:
    with khepri.open(tmp_path / "data") as store:
        store.put("/lock", "mine", ttl=600)
        given = store.adv.get("/lock", props_to_return=["expires_at"])["expires_at"]
        wall_clock.wrong = HOUR_NANOSECONDS
        store.export(tmp_path / "backup")
        store.delete("/lock")
        assert store.import_(tmp_path / "backup").left_out == 0
        left = store.adv.get("/lock", props_to_return=["expires_at"])["expires_at"]
        assert abs((left - given).total_seconds()) < 2
