"""What errors and objects say to a person."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

import khepri
from khepri.management import ClusterManager
from khepri.testing import LocalCluster, memory_store

if TYPE_CHECKING:
    from pathlib import Path


def test_a_create_of_what_is_there_says_so() -> None:
    with memory_store() as store:
        store.put("/a", 1)
        with pytest.raises(
            khepri.MismatchingNodeError, match=r"^there is a tree node /a already$"
        ):
            store.create("/a", 2)


def test_a_compare_and_swap_shows_the_value_that_was_expected() -> None:
    with memory_store() as store:
        store.put("/a", 1)
        with pytest.raises(
            khepri.MismatchingNodeError, match=r"/a does not meet IfDataMatches\(5\)$"
        ):
            store.compare_and_swap("/a", 5, 6)


def test_a_pattern_where_one_tree_node_is_wanted_is_shown_as_it_was_written() -> None:
    with (
        memory_store() as store,
        pytest.raises(khepri.errors.ManyNodesDeniedError, match=r"^'/a/\*' may match many"),
    ):
        store.get("/a/*")


def test_conditions_are_shown_as_they_are_written() -> None:
    pattern = {
        "a": int,
        "b": [khepri.ANY, None, type(None)],
        "c": khepri.DictWith({"d": (1, "x")}),
    }
    shown = "{'a': int, 'b': [ANY, None, type(None)], 'c': DictWith({'d': (1, 'x')})}"
    assert repr(khepri.IfDataMatches(pattern)) == f"IfDataMatches({shown})"
    guarded = khepri.IfDataMatches(khepri.Var("n"), where=[khepri.Guard("n", khepri.Gt(3))])
    assert repr(guarded).startswith("IfDataMatches(Var(name='n'), where=[Guard(")
    assert len(repr(khepri.IfDataMatches("x" * 10_000))) < 300


def test_a_batch_shows_how_much_is_in_it() -> None:
    with memory_store() as store:
        batch = store.batch()
        batch.put("/a", 1)
        assert repr(batch) == "<batch of 1 operations>"
        batch.commit()
        assert repr(batch) == "<batch, sent>"


def test_a_friendly_name_stands_in_logs_and_thread_names_for_the_store_id() -> None:
    with memory_store({"cluster_name": "s-1", "friendly_name": "orders"}):
        names = {thread.name for thread in threading.enumerate()}
    assert "khepri-orders@nonode@nohost-ra-server" in names
    assert not any("s-1" in name for name in names)


def test_settings_that_contradict_each_other_are_refused_before_anything_starts(
    tmp_path: Path,
) -> None:
    for wrong in (
        {"election_timeout_min_seconds": 3.0},
        {"heartbeat_interval_seconds": 5.0},
        {"max_waiting_bytes": 0},
    ):
        with pytest.raises(khepri.errors.InvalidOptionError):
            khepri.start(tmp_path / "data", wrong)
        assert not (tmp_path / "data").exists()


def test_handles_and_clusters_show_whose_they_are() -> None:
    assert repr(khepri.Store("orders").adv) == "AdvancedStore('orders')"
    assert repr(ClusterManager()) == "ClusterManager()"
    cluster = LocalCluster(1, store_id="orders")
    assert repr(cluster) == "<LocalCluster of 'orders', 0 of 1 nodes run>"
    with cluster:
        assert repr(cluster) == "<LocalCluster of 'orders', 1 of 1 nodes run>"
        assert repr(cluster.manager()) == f"<ClusterManager of {cluster.name(0)}>"


def test_two_patterns_of_dicts_are_equal_if_they_mean_the_same() -> None:
    one = khepri.DictWith({"a": 1, "b": [khepri.ANY]})
    assert one == khepri.DictWith({"b": [khepri.ANY], "a": 1})
    assert one != khepri.DictWith({"a": True, "b": [khepri.ANY]})
    assert one != {"a": 1, "b": [khepri.ANY]}
    no_pattern = khepri.DictWith({"a": object()})
    assert no_pattern == no_pattern  # noqa: PLR0124
    assert no_pattern != khepri.DictWith({"a": 1})
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)
