"""While servers run the garbage collector waits for more new objects, and the host has the say."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from khepri import Store, cluster
from khepri.actors.collector_pace import LOOKS_AT_NEW_OBJECTS, NEW_OBJECTS, CollectorPace

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

AS_PYTHON_STARTS = (700, 10, 10)
SLOWER = (NEW_OBJECTS, LOOKS_AT_NEW_OBJECTS, 10)
OF_THE_HOST = (1_000, 5, 5)


@pytest.fixture(autouse=True)
def as_python_starts() -> Generator[None]:
    found = gc.get_threshold()
    gc.set_threshold(*AS_PYTHON_STARTS)
    yield
    gc.set_threshold(*found)


def test_it_waits_longer_from_the_first_server_to_the_last() -> None:
    pace = CollectorPace()
    pace.server_started()
    pace.server_started()
    assert gc.get_threshold() == SLOWER
    pace.server_ended()
    assert gc.get_threshold() == SLOWER
    pace.server_ended()
    assert gc.get_threshold() == AS_PYTHON_STARTS
    pace.server_started()
    assert gc.get_threshold() == SLOWER


def test_thresholds_of_the_host_stay() -> None:
    gc.set_threshold(*OF_THE_HOST)
    pace = CollectorPace()
    pace.server_started()
    assert gc.get_threshold() == OF_THE_HOST
    pace.server_ended()
    assert gc.get_threshold() == OF_THE_HOST


def test_thresholds_that_the_host_sets_meanwhile_stay() -> None:
    pace = CollectorPace()
    pace.server_started()
    gc.set_threshold(*OF_THE_HOST)
    pace.server_ended()
    assert gc.get_threshold() == OF_THE_HOST
    pace.server_started()
    assert gc.get_threshold() == OF_THE_HOST


def test_a_forked_child_begins_as_python_starts() -> None:
    pace = CollectorPace()
    pace.server_started()
    pace.server_started()
    pace.forget_parent_process()
    assert gc.get_threshold() == AS_PYTHON_STARTS
    pace.server_started()
    assert gc.get_threshold() == SLOWER


def test_a_store_that_runs_has_it_wait_longer(tmp_path: Path) -> None:
    cluster.start(tmp_path, "pace")
    try:
        Store("pace").put("/a", 1)
        assert gc.get_threshold() == SLOWER
    finally:
        cluster.stop("pace")
    assert gc.get_threshold() == AS_PYTHON_STARTS
