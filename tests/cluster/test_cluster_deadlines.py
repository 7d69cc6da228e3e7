"""With the majority gone every function ends in time; none is forgotten in these tables."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

import khepri
from khepri import types
from khepri.errors import KhepriTimeoutError
from khepri.management import ClusterManager
from khepri.testing.local_cluster import DIRECTORY, LocalCluster
from tests.cluster.cluster_helpers import (
    GRACE_SECONDS,
    QUICK,
    Timed,
    await_equal_trees,
    calls_without_majority,
    eventually,
    timed,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

TIMEOUT_SECONDS = 0.5

Calls = dict[str, "Callable[[], object]"]


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(3, config=QUICK) as formed:
        formed.store(0).put("/known", 1)
        await_equal_trees(formed)
        yield formed


def writes(store: khepri.Store, wait: float) -> Calls:
    def batch() -> None:
        with store.batch(timeout=wait) as gathered:
            gathered.put("/p", 1)

    return {
        "batch": batch,
        "clear_many_payloads": lambda: store.clear_many_payloads("/known", timeout=wait),
        "clear_payload": lambda: store.clear_payload("/known", timeout=wait),
        "compare_and_swap": lambda: store.compare_and_swap("/known", 1, 2, timeout=wait),
        "copy": lambda: store.copy("/known", "/other", timeout=wait),
        "create": lambda: store.create("/p", 1, timeout=wait),
        "delete": lambda: store.delete("/known", timeout=wait),
        "delete_many": lambda: store.delete_many("/known", timeout=wait),
        "import_": lambda: store.import_(OneTreeNode(), timeout=wait),
        "increment": lambda: store.increment("/n", timeout=wait),
        "move": lambda: store.move("/known", "/other", timeout=wait),
        "put": lambda: store.put("/p", 1, timeout=wait),
        "put_many": lambda: store.put_many("/known", 2, timeout=wait),
        "register_trigger": lambda: store.register_trigger("t", "/p", "/known", timeout=wait),
        "touch": lambda: store.touch("/known", timeout=wait),
        "transaction": lambda: store.transaction(lambda it: it.put("/p", 1), timeout=wait),
        "unregister_trigger": lambda: store.unregister_trigger("t", timeout=wait),
        "update": lambda: store.update("/known", 2, timeout=wait),
    }


class OneTreeNode:
    """A backup of one tree node."""

    def __init__(self) -> None:
        self.nodes = [types.ExportedNode.of("/p", 1)]

    def read(self) -> list[types.ExportedNode]:
        nodes, self.nodes = self.nodes, []
        return nodes

    def close(self) -> None:
        """Nothing is open."""


def advanced(store: khepri.Store, wait: float) -> Calls:
    adv = store.adv
    return {
        "clear_many_payloads": lambda: adv.clear_many_payloads("/known", timeout=wait),
        "clear_payload": lambda: adv.clear_payload("/known", timeout=wait),
        "compare_and_swap": lambda: adv.compare_and_swap("/known", 1, 2, timeout=wait),
        "copy": lambda: adv.copy("/known", "/other", timeout=wait),
        "create": lambda: adv.create("/p", 1, timeout=wait),
        "delete": lambda: adv.delete("/known", timeout=wait),
        "delete_many": lambda: adv.delete_many("/known", timeout=wait),
        "get": lambda: adv.get("/known", favor="consistency", timeout=wait),
        "get_many": lambda: adv.get_many("/*", favor="consistency", timeout=wait),
        "increment": lambda: adv.increment("/n", timeout=wait),
        "move": lambda: adv.move("/known", "/other", timeout=wait),
        "put": lambda: adv.put("/p", 1, timeout=wait),
        "put_many": lambda: adv.put_many("/known", 2, timeout=wait),
        "touch": lambda: adv.touch("/known", timeout=wait),
        "update": lambda: adv.update("/known", 2, timeout=wait),
    }


def nothing(*_of_a_match: object) -> None:
    return None


def consistent_reads(store: khepri.Store, wait: float) -> Calls:
    since = store.view()
    return {
        "count": lambda: store.count("/*", favor="consistency", timeout=wait),
        "diff": lambda: store.diff("/", since, favor="consistency", timeout=wait),
        "exists": lambda: store.exists("/known", favor="consistency", timeout=wait),
        "export": lambda: store.export("backup", favor="consistency", timeout=wait),
        "fence": lambda: store.fence(timeout=wait),
        "filter": lambda: store.filter("/*", nothing, favor="consistency", timeout=wait),
        "follow": lambda: next(store.follow("/", timeout=wait)),
        "fold": lambda: store.fold("/*", nothing, None, favor="consistency", timeout=wait),
        "foreach": lambda: store.foreach("/*", nothing, favor="consistency", timeout=wait),
        "get": lambda: store.get("/known", favor="consistency", timeout=wait),
        "get_many": lambda: store.get_many("/*", favor="consistency", timeout=wait),
        "get_many_or": lambda: store.get_many_or("/*", 0, favor="consistency", timeout=wait),
        "get_or": lambda: store.get_or("/known", 0, favor="consistency", timeout=wait),
        "has_data": lambda: store.has_data("/known", favor="consistency", timeout=wait),
        "is_empty": lambda: store.is_empty(favor="consistency", timeout=wait),
        "is_sproc": lambda: store.is_sproc("/known", favor="consistency", timeout=wait),
        "map": lambda: store.map("/*", nothing, favor="consistency", timeout=wait),
        "run_sproc": lambda: store.run_sproc("/known", favor="consistency", timeout=wait),
        "triggers": lambda: store.triggers(favor="consistency", timeout=wait),
        "view": lambda: store.view(favor="consistency", timeout=wait),
    }


def local_management(cluster: LocalCluster, number: int, wait: float) -> Calls:
    """Functions of the cluster that need nobody else."""
    manager, store_id = cluster.manager(number), cluster.store_id
    return {
        "get_default_ra_system_or_data_dir": manager.get_default_ra_system_or_data_dir,
        "get_default_store_id": manager.get_default_store_id,
        "get_store_ids": manager.get_store_ids,
        "is_store_running": lambda: manager.is_store_running(store_id),
        "locally_known_members": lambda: manager.locally_known_members(store_id, wait),
        "locally_known_nodes": lambda: manager.locally_known_nodes(store_id, wait),
        "status": lambda: manager.status(store_id, wait),
        "wait_for_effective_machine_version": (
            lambda: manager.wait_for_effective_machine_version(None, store_id, wait)
        ),
        "stop": lambda: manager.stop(store_id),
        "start": lambda: manager.start(DIRECTORY, store_id, wait),
        "force_single_member": lambda: manager.force_single_member(store_id, wait),
    }


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def all_at_once(calls: Mapping[str, Callable[[], object]]) -> dict[str, Timed]:
    """Call everything, each in a thread of its own."""
    outcomes: dict[str, Timed] = {}

    def run(name: str, function: Callable[[], object]) -> None:
        outcomes[name] = timed(function)

    threads = [threading.Thread(target=run, args=call) for call in calls.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), outcomes.keys()
    return outcomes


def lose_the_majority(cluster: LocalCluster) -> int:
    for number in (0, 1):
        cluster.kill(number)
    eventually(lambda: cluster.manager(2).status(cluster.store_id).leader is None, "no leader")
    return 2


@pytest.mark.parametrize("table", [writes, advanced, consistent_reads])
def test_without_a_majority_every_function_of_a_store_ends_in_time(
    table: Callable[[khepri.Store, float], Calls], cluster: LocalCluster
) -> None:
    store = cluster.store(lose_the_majority(cluster))
    outcomes = all_at_once(table(store, TIMEOUT_SECONDS))
    for name, outcome in outcomes.items():
        assert isinstance(outcome.error, KhepriTimeoutError), (name, outcome)
        assert outcome.seconds < TIMEOUT_SECONDS + GRACE_SECONDS, (name, outcome)
    assert store.get_many("/**") == {khepri.Path("/known"): 1}


def test_without_a_majority_what_needs_nobody_else_goes_on(cluster: LocalCluster) -> None:
    number = lose_the_majority(cluster)
    for name, function in local_management(cluster, number, TIMEOUT_SECONDS).items():
        outcome = timed(function)
        assert outcome.error is None, (name, outcome)
        assert outcome.seconds < TIMEOUT_SECONDS + GRACE_SECONDS, (name, outcome)
    cluster.store(number).put("/alone", 1)  # it was forced to be the only one


def test_a_future_of_a_write_ends_in_time_as_often_as_it_is_asked(cluster: LocalCluster) -> None:
    future = cluster.store(lose_the_majority(cluster)).put("/p", 1, async_=True)
    for _ in range(2):
        outcome = timed(lambda: future.get(timeout=0.1))
        assert isinstance(outcome.error, KhepriTimeoutError)
        assert outcome.seconds < 0.1 + GRACE_SECONDS
    cluster.restart(0)
    future.get(timeout=30)  # whoever asks again is still waited for
    assert cluster.store(2).get("/p") == 1


def test_no_function_is_missing_here(cluster: LocalCluster) -> None:
    store, manager = cluster.store(0), ClusterManager
    of_a_store = set(writes(store, 1)) | set(consistent_reads(store, 1))
    # `change` is what `adv` is made of; `access` and `node` only say where the store is.
    of_others = {"access", "adv", "change", "node", "store_id"}
    # What is derived here asks nobody else.
    of_others |= {"subscribe", "unsubscribe", "projection", "has_projection"}
    of_others |= {"register_projection", "unregister_projections"}
    # It says what is not answered (`test_facade_info.py`).
    of_others |= {"info"}
    assert of_a_store == public(khepri.Store) - of_others
    assert set(advanced(store, 1)) == public(type(store.adv)) - {"of"}
    of_the_cluster = set(local_management(cluster, 0, 1)) | {
        name for name in calls_without_majority(cluster, 0, 1) if hasattr(manager, name)
    }
    assert of_the_cluster == public(manager)
