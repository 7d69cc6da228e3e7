"""Clusters of real processes over ZeroMQ with CURVE: killed, paused, regrouped, always right.

``KHEPRI_CLUSTER_SECONDS`` makes the random runs longer, ``KHEPRI_SEED`` repeats one's choices.
"""

from __future__ import annotations

import math
import os
import random
import time
from typing import TYPE_CHECKING

import pytest

from tests.integration.campaign import Round
from tests.integration.cluster_processes import (
    Account,
    Processes,
    await_condition,
    check_accounts,
    check_histories,
    events_of,
    free_names,
)

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = float(os.environ.get("KHEPRI_CLUSTER_SECONDS", "10"))


def a_round(kind: str, size: int) -> Round:
    seed = int(os.environ.get("KHEPRI_SEED", random.randrange(2**32)))
    return Round(kind, size, seed, SECONDS, longest_pause_seconds=3.0)


@pytest.mark.slow
@pytest.mark.parametrize("size", [3, 7])
def test_a_cluster_under_random_faults_keeps_its_promises(size: int, tmp_path: Path) -> None:
    a_round("processes", size).run(tmp_path)


@pytest.mark.slow
def test_n04_n09_n10_a_cluster_with_bad_links_keeps_its_promises_and_its_size(
    tmp_path: Path,
) -> None:
    """Ways are cut, slowed and choked, each direction by itself; memory is measured."""
    a_round("links", 5).run(tmp_path)


@pytest.mark.slow
def test_e19_all_processes_are_killed_under_load_and_start_again(tmp_path: Path) -> None:
    with Processes(tmp_path, free_names(3)) as cluster:
        for order in ((0, 1, 2), (2, 0, 1)):
            cluster.await_progress(100)
            for number in order:
                cluster.kill(number)
            cluster.restart(*reversed(order))
        cluster.await_progress(100)
        cluster.check()


@pytest.mark.slow
def test_q07_k03_a_paused_leader_answers_no_read_from_the_past(tmp_path: Path) -> None:
    with Processes(tmp_path, free_names(3)) as cluster:
        for seconds in (0.0, 6.0):  # longer than the others keep its connections
            cluster.await_progress(50)
            leader = cluster.leader()
            assert leader is not None
            process = cluster.running[leader]
            process.pause()
            paused_at = time.monotonic()
            cluster.await_progress(50)  # the others have elected
            await_condition(lambda: time.monotonic() >= paused_at + seconds, "the end of a pause")  # noqa: B023 - called at once
            process.resume()
            cluster.await_progress(50)
        cluster.check()


@pytest.mark.slow
def test_k03_a_follower_that_stood_still_for_long_comes_back_without_an_election(
    tmp_path: Path,
) -> None:
    with Processes(tmp_path, free_names(3)) as cluster:
        cluster.await_progress(50)
        leader = cluster.leader()
        assert leader is not None
        term = cluster.running[leader].ask("term")
        follower = cluster.running[(leader + 1) % 3]
        follower.pause()
        paused_at = time.monotonic()
        await_condition(lambda: time.monotonic() >= paused_at + 4.0, "the end of the pause")
        follower.resume()
        cluster.await_progress(100)
        cluster.check()
        assert cluster.running[leader].ask("term") == term


@pytest.mark.slow
def test_e18_a_killed_leader_is_replaced_within_about_a_second(tmp_path: Path) -> None:
    with Processes(tmp_path, free_names(3)) as cluster:
        stalls: list[float] = []
        for _ in range(3):
            cluster.await_progress(50)
            leader = cluster.leader()
            assert leader is not None
            killed_at = time.monotonic()
            cluster.kill(leader)
            cluster.await_progress(20)
            after = [at for at in list(cluster.story.acknowledged_at) if at > killed_at + 0.1]
            stalls.append(after[0] - killed_at)
            cluster.restart(leader)
        print(f"writes stalled {[round(stall, 2) for stall in stalls]} seconds")
        assert sorted(stalls)[1] < 2.0
        cluster.check()


# --- the checkers find what they are for


@pytest.mark.parametrize(
    ("data", "version"), [(4, 4), (8, 8), (6, 7)], ids=["lost", "invented", "applied twice"]
)
def test_the_account_finds_a_planted_failure(data: int, version: int) -> None:
    with pytest.raises(AssertionError):
        check_accounts({"/w": Account(acknowledged=5, sent=7)}, {"/w": (data, version, 1)})


GOOD = [
    (0.0, 1.0, "put", "a", None, True),
    (2.0, 3.0, "read", "a", None, True),
    (2.5, math.inf, "put", "b", None, None),
    (4.0, 5.0, "read", "b", None, True),
    (6.0, 7.0, "cas", "c", "b", True),
    (6.5, 8.0, "cas", "d", "b", False),
]


def test_a_good_history_passes() -> None:
    assert check_histories({"/k": events_of(*GOOD)}) == len(GOOD)


@pytest.mark.parametrize(
    "bad",
    [
        (9.0, 10.0, "read", "b", None, True),
        (9.0, 10.0, "read", None, None, True),
        (9.0, 10.0, "read", "never", None, True),
        (9.0, 10.0, "cas", "e", "b", True),
        (9.0, 10.0, "cas", "e", "c", False),
    ],
    ids=["stale", "lost", "invented", "wrong swap", "wrong refusal"],
)
def test_a_bad_history_is_found(bad: tuple[float, float, str, str, object, bool]) -> None:
    with pytest.raises(AssertionError):
        check_histories({"/k": events_of(*GOOD, bad)})
