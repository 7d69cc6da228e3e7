"""Defects recorded on Khepri (spec §8), as things that work here; one test each.

Each test runs through a real store. What the register says of projections, triggers, export and
import belongs to the tests of those parts.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

import khepri
from khepri.errors import (
    InvalidConditionError,
    InvalidOptionError,
    KeepWhileConditionsNotMetError,
    KhepriTimeoutError,
    NoSuchServerError,
)
from khepri.machine import commands
from khepri.machine.entries import Group, encode_entry
from khepri.machine.machine import Machine
from khepri.testing.local_cluster import LocalCluster
from khepri.testing.memory_store import memory_store
from tests.facade.facade_helpers import standing_still
from tests.machine.machine_helpers import Origin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def shared() -> Iterator[khepri.Store]:
    with memory_store("orders") as store:
        yield store


@pytest.fixture
def tree(shared: khepri.Store) -> khepri.Store:
    """Give an empty store without data at its root."""
    shared.delete("/")
    return shared


def data(tree: khepri.Store) -> dict[str, Any]:
    return {str(at): found for at, found in tree.get_many("/**").items()}


def test_bug_01_put_many_updates_every_node_it_reports(tree: khepri.Store) -> None:
    tree.put("/a/b/c", 1)
    told = tree.adv.put_many("/**", 5)
    assert data(tree) == {"/a": 5, "/a/b": 5, "/a/b/c": 5}
    assert {str(at) for at in told} == {"/a", "/a/b", "/a/b/c"}
    tree.clear_many_payloads("/**")
    assert data(tree) == {"/a": None, "/a/b": None, "/a/b/c": None}
    tree.put("/a/b/c", 1)
    told = tree.adv.put_many("/**/x", 1)
    assert {str(at) for at in told} == {"/a/x", "/a/b/x", "/a/b/c/x"}
    assert all(tree.get(at) == 1 for at in told)


def test_bug_02_delete_many_deletes_every_node_it_reports(tree: khepri.Store) -> None:
    tree.put("/a/x", 1)
    tree.put("/a/b/x", 1)
    tree.put("/a/keep", 1)
    told = tree.adv.delete_many("/**/x")
    assert {str(at) for at in told} == {"/a/x", "/a/b/x", "/a/b"}
    assert data(tree) == {"/a": None, "/a/keep": 1}


def test_bug_03_keep_while_may_look_at_data(tree: khepri.Store) -> None:
    tree.put("/flag", "on")
    tree.put("/w", 1, keep_while={"/flag": khepri.IfDataMatches("on")})
    tree.put("/flag", "off")
    assert data(tree) == {"/flag": "off"}


def test_bug_04_a_put_with_keep_while_may_end_other_watchers(tree: khepri.Store) -> None:
    tree.put("/w", 1, keep_while={"/new": khepri.IfNodeExists(exists=False)})
    tree.put("/k", 1)
    told = tree.adv.put("/new", 1, keep_while={"/k": khepri.IfNodeExists()})
    assert told[khepri.Path("/w")]["delete_reason"] == "keep_while"
    assert data(tree) == {"/k": 1, "/new": 1}


def test_bug_05_put_many_gives_its_conditions_to_every_match(tree: khepri.Store) -> None:
    tree.put("/k", 1)
    for name in "abc":
        tree.put(["n", name], 1)
    tree.put_many("/n/*", 2, keep_while={"/k": khepri.IfNodeExists()})
    tree.delete("/k")
    assert data(tree) == {}


def test_bug_06_a_watched_pattern_notices_new_and_changed_matches(tree: khepri.Store) -> None:
    tree.put("/n/a", 1)
    tree.put("/w", 1, keep_while={"/n/*": khepri.IfDataMatches(1)})
    tree.put("/n/b", 1)
    assert tree.exists("/w")
    tree.put("/n/b", 2)
    assert not tree.exists("/w")
    tree.put("/n/b", 1)
    tree.put("/v", 1, keep_while={"/n/*": khepri.IfDataMatches(1)})
    tree.put("/n/new", 3)
    assert not tree.exists("/v")


def test_bug_07_changes_of_the_root_are_told_and_asked_about(tree: khepri.Store) -> None:
    tree.put("/", "up")
    tree.put("/w", 1, keep_while={"/": khepri.IfDataMatches("up")})
    tree.put("/", "down")
    assert not tree.exists("/w")
    origin = Origin()
    origin.machine.wants_changes = True
    origin.put("/", 1)
    assert origin.changes() == [("update", "/")]
    origin.put("/a", 1)
    assert origin.changes() == [("update", "/"), ("create", "/a")]


def test_bug_08_the_root_is_a_tree_node_that_exists(tree: khepri.Store) -> None:
    with pytest.raises(khepri.MismatchingNodeError):
        tree.create("/", 1)
    tree.update("/", 1)
    tree.compare_and_swap("/", 1, 2)
    assert tree.get("/") == 2
    tree.clear_payload("/")
    assert tree.get("/") is None
    assert tree.increment("/", 3) == 3


def test_bug_09_reads_with_an_unmet_condition_answer(tree: khepri.Store) -> None:
    tree.put("/a", 1)
    unmet = [khepri.IfAll("a", khepri.IfDataMatches(2))]
    with pytest.raises(khepri.MismatchingNodeError):
        tree.get(unmet)
    with pytest.raises(khepri.MismatchingNodeError):
        tree.adv.get(unmet)
    assert tree.get_or(unmet, "default") == "default"
    assert not tree.exists(unmet)
    assert not tree.has_data(unmet)
    assert not tree.is_sproc(unmet)
    assert tree.get_many(unmet) == {}
    assert tree.count(unmet) == 0


def test_bug_10_every_write_is_protected_against_duplicates() -> None:
    """It is no option here: what comes twice is answered twice and applied once."""
    origin = Origin()
    group = Group(
        origin.session_id, 1, 1, [commands.encode(commands.increment(khepri.Path("/n")))]
    )
    first = origin.append(group).groups[0].replies
    again = origin.append(group, group)
    assert [it.replies for it in again.groups] == [first, first]
    assert origin.tree() == {"/n": 1}


def test_bug_12_a_consistent_read_without_a_majority_keeps_to_its_timeout() -> None:
    with LocalCluster(3) as cluster:
        leader = cluster.leader()
        lonely = cluster.store((leader + 1) % 3)
        lonely.put("/a", 1)
        cluster.partition([leader], [(leader + 1) % 3], [(leader + 2) % 3])
        reads: list[Callable[[], object]] = [
            lambda: lonely.get("/a", favor="consistency", timeout=0.3),
            lambda: lonely.fence(timeout=0.3),
        ]
        for read in reads:
            started = time.monotonic()
            with pytest.raises(KhepriTimeoutError):
                read()
            assert time.monotonic() - started < 10
        assert lonely.get("/a") == 1
        cluster.heal()


def test_bug_13_what_the_server_cannot_do_is_raised_by_a_transaction_as_it_is(
    tree: khepri.Store,
) -> None:
    with pytest.raises(NoSuchServerError):
        khepri.Store("nowhere").transaction(lambda transaction: transaction.put("/a", 1))
    with standing_still(tree), pytest.raises(KhepriTimeoutError):
        tree.transaction(lambda transaction: transaction.put("/a", 1), timeout=0.1)


def test_bug_14_the_future_of_a_write_gives_what_the_write_gives(tree: khepri.Store) -> None:
    assert tree.increment("/n", async_=True).get(timeout=10) == 1
    assert tree.put("/a", 1, async_=True).get(timeout=10) is None
    with pytest.raises(khepri.MismatchingNodeError):
        tree.create("/a", 1, async_=True).get(timeout=10)


def test_bug_16_conditions_of_keep_while_are_checked_before_they_are_sent(
    tree: khepri.Store,
) -> None:
    wrong: list[Any] = ["yes", 1, None, {"exists": True}]
    for condition in wrong[1:]:
        with pytest.raises(InvalidConditionError):
            tree.put("/a", 1, keep_while={"/b": condition})
    assert not tree.exists("/a")


def test_bug_17_an_unknown_option_is_named(tree: khepri.Store) -> None:
    with pytest.raises(TypeError, match="keepwhile"):
        tree.put("/a", 1, keepwhile={})  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="favour"):
        tree.get_many("/a", favour="consistency")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="propz"):
        tree.adv.get("/a", propz=[])  # type: ignore[call-arg]


def test_bug_19_events_come_in_operation_order_and_then_path_order() -> None:
    origin = Origin()
    origin.machine.wants_changes = True
    puts = [commands.put(khepri.Path(at), b"\x01") for at in ("/z/y", "/a", "/m")]
    origin.run(commands.batch(puts))
    assert [at for _kind, at in origin.changes()] == ["/", "/z", "/z/y", "/", "/a", "/", "/m"]


def test_bug_22_every_name_can_be_written_and_globs_mean_only_stars(tree: khepri.Store) -> None:
    for name in ("a*b", "^x", "a.b", "[", "%", "..", ""):
        at = khepri.Path([name])
        assert khepri.Path(str(at)) == at
        tree.put(str(at), name)
        assert tree.get(["", *at][1:]) == name
    assert tree.get("/a%2Ab") == "a*b"
    assert tree.get("^x") == "^x"
    assert set(tree.get_many("/a.*").values()) == {"a.b"}


def test_bug_23_clear_many_creates_nothing_in_a_batch_either(tree: khepri.Store) -> None:
    tree.clear_many_payloads("/no/such")
    with tree.batch() as batch:
        batch.clear_many_payloads("/no/such")
        batch.clear_payload("/nor/this")
    assert tree.is_empty()


def test_bug_24_update_and_swap_tell_what_is_missing_from_what_does_not_match(
    tree: khepri.Store,
) -> None:
    with pytest.raises(khepri.NodeNotFoundError):
        tree.update("/a", 1)
    with pytest.raises(khepri.NodeNotFoundError):
        tree.compare_and_swap("/a", 1, 2)
    tree.put("/a", 5)
    with pytest.raises(khepri.MismatchingNodeError) as error:
        tree.compare_and_swap("/a", 1, 2)
    assert error.value.node_props == {"data": 5, "payload_version": 1}


@pytest.mark.parametrize("timeout", [-1, -0.001, float("nan")])
def test_bug_25_an_impossible_timeout_is_refused(tree: khepri.Store, timeout: float) -> None:
    calls: list[Callable[..., object]] = [
        lambda: tree.put("/a", 1, timeout=timeout),
        lambda: tree.get("/a", timeout=timeout),
        lambda: tree.fence(timeout=timeout),
        lambda: tree.batch(timeout=timeout),
        lambda: tree.put("/a", 1, async_=True, timeout=timeout),
    ]
    for call in calls:
        with pytest.raises(InvalidOptionError):
            call()
    assert not tree.exists("/a")


def test_bug_27_a_running_store_is_not_silently_taken_from_another_directory(
    tmp_path: Path,
) -> None:
    khepri.start(str(tmp_path / "one"), "orders")
    khepri.put("/a", 1, store_id="orders")
    with pytest.raises(InvalidOptionError):
        khepri.start(str(tmp_path / "two"), "orders")
    assert khepri.get("/a", store_id="orders") == 1


# --- defects recorded beside the register (spec/khepri_facts.md)


def test_a_put_many_below_a_missing_parent_leaves_the_tree_whole(tree: khepri.Store) -> None:
    """It replaced Khepri's root by a broken term, and the store was lost."""
    tree.put("/a", 1)
    tree.put_many("/missing/*", 2)
    tree.put_many("/missing/*/x", 2)
    assert data(tree) == {"/a": 1}
    tree.put("/b", 2)
    assert data(tree) == {"/a": 1, "/b": 2}


def test_a_refused_condition_writes_nothing(tree: khepri.Store) -> None:
    with pytest.raises(KeepWhileConditionsNotMetError) as error:
        tree.put("/a/b", 1, keep_while={"/no": khepri.IfNodeExists()})
    assert error.value.keep_while_reason == (khepri.Path("/no"), None)
    assert tree.is_empty()


def test_a_command_that_once_crashed_a_server_does_not_stop_a_machine() -> None:
    """Whatever a log holds, a restart gets past it."""
    machine = Machine()
    for index, garbage in enumerate((b"", b"\xc1", encode_entry(1, [])), 1):
        machine.apply(index, 1, garbage)
    assert machine.view.index == 3
