"""Settings are checked when they are made."""

from __future__ import annotations

import math
from dataclasses import fields

import pytest

from khepri.errors import InvalidOptionError
from khepri.raft.settings import RaftSettings


def test_the_defaults_are_those_of_the_design() -> None:
    settings = RaftSettings()
    assert settings.heartbeat_interval_seconds == 0.1
    assert settings.election_timeout_min_seconds == 0.6
    assert settings.election_timeout_max_seconds == 1.2


@pytest.mark.parametrize(
    "name", [field.name for field in fields(RaftSettings) if field.name != "read_leases"]
)
@pytest.mark.parametrize("value", [-1, math.nan, math.inf])
def test_an_impossible_number_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(InvalidOptionError, match=name) as caught:
        RaftSettings(**{name: value})  # type: ignore[arg-type]
    assert caught.value.option == name


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"heartbeat_interval_seconds": 0.4}, "election_timeout_min_seconds"),
        ({"election_timeout_max_seconds": 0.6}, "election_timeout_max_seconds"),
        ({"snapshot_backoff_max_seconds": 0.5}, "snapshot_backoff_max_seconds"),
        ({"max_append_entries": 0}, "max_append_entries"),
    ],
)
def test_times_that_contradict_each_other_are_refused(
    changes: dict[str, float], named: str
) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        RaftSettings(**changes)  # type: ignore[arg-type]
    assert caught.value.option == named
