"""Partitions between real processes, in network namespaces of the test's own."""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING

import pytest

from tests.integration.cluster_processes import Processes, await_condition
from tests.integration.namespaces import Namespaces, why_not

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

pytestmark = pytest.mark.slow

SECONDS = float(os.environ.get("KHEPRI_CLUSTER_SECONDS", "8"))


@pytest.fixture(autouse=True)
def only_where_namespaces_are_permitted() -> None:
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)


def isolate(network: Namespaces, cluster: Processes, cut_off: Collection[int]) -> None:
    """Cut some off, see that the others go on, and mend it."""
    print(f"cut off: {sorted(cut_off)}")
    network.partition(cut_off)
    cluster.await_progress(60)
    network.heal()
    cluster.await_progress(60)


def test_n06_the_leader_is_cut_off_in_a_real_network(tmp_path: Path) -> None:
    with Namespaces(3) as network:
        names, prefixes = network.node_names(), network.prefixes()
        with Processes(tmp_path, names, prefixes) as cluster:
            for _ in range(2):
                cluster.await_progress(50)
                leader = cluster.leader()
                assert leader is not None
                isolate(network, cluster, [leader])
            cluster.check()


def test_n06_random_partitions_of_five_in_a_real_network(tmp_path: Path) -> None:
    seed = int(os.environ.get("KHEPRI_SEED", random.randrange(2**32)))
    print(f"KHEPRI_SEED={seed}")
    dice = random.Random(seed)
    with Namespaces(5) as network:
        names, prefixes = network.node_names(), network.prefixes()
        with Processes(tmp_path, names, prefixes) as cluster:
            cluster.await_progress(50)
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                isolate(network, cluster, dice.sample(range(5), dice.choice([1, 2])))
            cluster.check()


def test_n09_a_machine_that_is_gone_without_a_word_is_noticed_and_found_again(
    tmp_path: Path,
) -> None:
    with Namespaces(3) as network:
        names, prefixes = network.node_names(), network.prefixes()
        with Processes(tmp_path, names, prefixes) as cluster:
            cluster.await_progress(50)
            leader = cluster.leader()
            assert leader is not None
            process, victim = cluster.running[leader], (leader + 1) % 3

            def is_linked() -> bool:
                return bool(process.ask("links")[names[victim]] == "connected")

            assert is_linked()
            network.partition([victim])  # no FIN, no RST: nothing arrives any more
            await_condition(lambda: not is_linked(), "the loss of the link")
            network.heal()
            await_condition(is_linked, "the link")
            cluster.await_progress(50)
            cluster.check()
