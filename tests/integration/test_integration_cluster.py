"""Clusters of real processes over ZeroMQ with CURVE: killed, paused, regrouped, always right.

``KHEPRI_CLUSTER_SECONDS`` makes the random runs longer, ``KHEPRI_SEED`` repeats one's choices.
"""

from __future__ import annotations

import math
import os
import random
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.integration.cluster_processes import (
    Account,
    Processes,
    RefusedError,
    check_accounts,
    check_histories,
    events_of,
    free_names,
)

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = float(os.environ.get("KHEPRI_CLUSTER_SECONDS", "10"))


class Nemesis:
    """Does something bad to a cluster, at random, as long as it is told."""

    def __init__(self, cluster: Processes, dice: random.Random) -> None:
        self._cluster = cluster
        self._dice = dice
        self._size = len(cluster.names)

    def run(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        deeds = [self.kill_one, self.kill_leader, self.pause_one, self.regroup, self.hand_over]
        while time.monotonic() < end:
            deed = self._dice.choice(deeds)
            print(f"{deed.__name__}")
            try:
                deed()
            except RefusedError as error:
                print(f"  refused: {error}")
            self._cluster.make_whole()

    def _any(self) -> int:
        return self._dice.choice(sorted(self._cluster.running))

    def kill_one(self) -> None:
        victims = self._dice.sample(range(self._size), (self._size - 1) // 2)
        for victim in victims:
            self._cluster.kill(victim)
        self._wait()
        for victim in victims:
            self._cluster.restart(victim)

    def kill_leader(self) -> None:
        leader = self._cluster.leader()
        if leader is not None:
            self._cluster.kill(leader)
            self._wait()
            self._cluster.restart(leader)

    def pause_one(self) -> None:
        leader = self._cluster.leader()
        victim = leader if leader is not None and self._dice.random() < 0.6 else self._any()
        process = self._cluster.running[victim]
        process.pause()
        threading.Event().wait(1 + 2 * self._dice.random())
        process.resume()

    def regroup(self) -> None:
        number, remote = self._dice.sample(range(self._size), 2)
        self._cluster.leave_and_return(number, remote)

    def hand_over(self) -> None:
        self._cluster.running[self._any()].ask("transfer")

    def _wait(self) -> None:
        if self._dice.random() < 0.5:
            self._cluster.await_progress(20)


@pytest.mark.slow
@pytest.mark.parametrize("size", [3, 5])
def test_a_cluster_under_random_faults_keeps_its_promises(size: int, tmp_path: Path) -> None:
    seed = int(os.environ.get("KHEPRI_SEED", random.randrange(2**32)))
    print(f"KHEPRI_SEED={seed}")
    with Processes(tmp_path, free_names(size)) as cluster:
        cluster.await_progress(50)
        Nemesis(cluster, random.Random(seed)).run(SECONDS)
        cluster.make_whole()
        cluster.await_progress(50)
        cluster.check()


@pytest.mark.slow
def test_e19_all_processes_are_killed_under_load_and_start_again(tmp_path: Path) -> None:
    with Processes(tmp_path, free_names(3)) as cluster:
        for order in ((0, 1, 2), (2, 0, 1)):
            cluster.await_progress(100)
            for number in order:
                cluster.kill(number)
            for number in reversed(order):
                cluster.restart(number)
        cluster.await_progress(100)
        cluster.check()


@pytest.mark.slow
def test_q07_k03_a_paused_leader_answers_no_read_from_the_past(tmp_path: Path) -> None:
    with Processes(tmp_path, free_names(3)) as cluster:
        for _ in range(2):
            cluster.await_progress(50)
            leader = cluster.leader()
            assert leader is not None
            process = cluster.running[leader]
            process.pause()
            cluster.await_progress(50)  # the others have elected
            process.resume()
            cluster.await_progress(50)
        cluster.check()


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
