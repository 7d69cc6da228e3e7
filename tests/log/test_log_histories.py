"""Lives of a directory, with deaths in recoveries and errors in between (W12 to W16, W23)."""

from __future__ import annotations

import os
import random

import pytest

from khepri.log import segments, write_ahead_log
from tests.log.log_helpers import SMALLEST_FILE_BYTES
from tests.log.log_histories import History

HISTORIES = int(os.environ.get("KHEPRI_HISTORIES", "300"))
STEPS = 60


@pytest.fixture(autouse=True)
def _small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_ahead_log, "FIRST_FILE_BYTES", SMALLEST_FILE_BYTES)


@pytest.mark.parametrize("segments_max", [1, 3, segments.SEGMENTS_MAX])
def test_through_many_deaths_and_errors_nothing_acknowledged_is_lost(
    segments_max: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "SEGMENTS_MAX", segments_max)
    deaths = sum(_lived(f"{segments_max} {seed}") for seed in range(HISTORIES // 3))
    assert deaths > HISTORIES, "most die more than once before their end"


def _lived(seed: str) -> int:
    history = History(random.Random(seed))
    try:
        history.run(STEPS)
    except BaseException as error:
        error.add_note(f"the history of seed {seed!r}")
        raise
    return history.deaths
