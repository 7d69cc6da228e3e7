"""Views, differences, pages and conditions of reads, through a real store."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

import khepri
from khepri.errors import (
    InvalidOptionError,
    KhepriTimeoutError,
    ManyNodesDeniedError,
    WrongTypeError,
)
from khepri.testing.memory_store import memory_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="module")
def shared() -> Iterator[khepri.Store]:
    with memory_store("orders") as store:
        yield store


@pytest.fixture
def tree(shared: khepri.Store) -> khepri.Store:
    """Give a store with five children of /x."""
    shared.delete("/")
    with shared.batch() as batch:
        for number in range(5):
            batch.put(["x", f"n{number}"], number)
    return shared


# --- views


def test_a_view_is_what_was_whatever_comes(tree: khepri.Store) -> None:
    view = tree.view()
    tree.put("/x/n0", "later")
    tree.delete("/x/n1")
    assert view.get("/x/n0") == 0
    assert view.exists("/x/n1")
    assert view.count("/x/*") == 5
    assert view.fold("/x/*", lambda _path, props, total: total + props["data"], 0) == 10
    assert view.get_or("/no", 7) == 7
    with pytest.raises(khepri.NodeNotFoundError):
        view.get("/no")
    assert view.view().get("/x/n1") == 1


def test_a_view_knows_its_place_in_the_log(tree: khepri.Store) -> None:
    before = tree.view()
    tree.put("/a", 1)
    after = tree.view()
    assert (before.term, before.index) < (after.term, after.index)
    assert "orders" in repr(after)
    assert not hasattr(before, "put")


def test_a_view_cannot_be_asked_to_change(tree: khepri.Store) -> None:
    view = tree.view(favor="consistency")
    with pytest.raises(InvalidOptionError, match="favor"):
        view.get("/x/n0", favor="consistency")
    with pytest.raises(InvalidOptionError, match="condition"):
        view.get_many("/x/*", condition=khepri.applied(1, 1))


# --- differences


def test_a_diff_tells_what_was_and_what_is(tree: khepri.Store) -> None:
    since = tree.view()
    tree.put("/x/n0", "new")
    tree.delete("/x/n1")
    tree.put("/x/n9", 9)
    tree.put("/other", 1)
    differences = tree.diff("/x", since)
    assert [(str(it.path), it.kind) for it in differences] == [
        ("/x", "update"),
        ("/x/n0", "update"),
        ("/x/n1", "delete"),
        ("/x/n9", "create"),
    ]
    changed = differences[1]
    assert (changed.old, changed.new) == (
        {"data": 0, "payload_version": 1},
        {"data": "new", "payload_version": 2},
    )
    assert [str(it.path) for it in tree.diff("/other", since)] == ["/other"]
    assert tree.diff("/nothing/here", since) == []
    assert [str(it.path) for it in since.diff("/", since)] == []


def test_a_diff_of_a_subtree_that_came_or_went_tells_all_of_it(tree: khepri.Store) -> None:
    full = tree.view()
    tree.delete("/x")
    gone = tree.diff("/x", full, props_to_return=["payload"])
    assert [it.kind for it in gone] == ["delete"] * 6
    assert gone[1].old == {"data": 0}
    assert [it.kind for it in full.diff("/x", tree.view())] == ["create"] * 6


def test_a_diff_needs_a_view_of_the_same_store(tree: khepri.Store) -> None:
    with pytest.raises(WrongTypeError):
        tree.diff("/", "yesterday")  # type: ignore[arg-type]
    with memory_store("other") as other, pytest.raises(InvalidOptionError):
        tree.diff("/", other.view())
    with pytest.raises(ManyNodesDeniedError):
        tree.diff("/*", tree.view())


# --- pages


def test_pages_of_a_view_fit_together_while_others_write(tree: khepri.Store) -> None:
    view = tree.view()
    found: list[khepri.Path] = []
    last: khepri.Path | None = None
    while page := view.get_many("/x/*", limit=2, start_after=last):
        found += page
        last = found[-1]
        tree.delete("/x/n4")
        tree.put("/x/n00", "between")
    assert [at.name for at in found] == ["n0", "n1", "n2", "n3", "n4"]


def test_every_function_on_many_has_pages(tree: khepri.Store) -> None:
    page: Any = {"limit": 2, "start_after": "/x/n1"}
    names = ["n2", "n3"]
    seen: list[str] = []
    nothing: list[str] = []

    def see(at: khepri.Path, _properties: dict[str, Any]) -> None:
        seen.append(at.name)

    tree.foreach("/x/*", see, **page)
    assert seen == names
    everything: list[Callable[[], Any]] = [
        lambda: tree.get_many("/x/*", **page),
        lambda: tree.get_many_or("/x/*", 0, **page),
        lambda: tree.adv.get_many("/x/*", **page),
        lambda: tree.map("/x/*", lambda _at, _props: 1, **page),
        lambda: tree.filter("/x/*", lambda _at, _props: True, **page),
    ]
    for read in everything:
        found: dict[khepri.Path, Any] = read()
        assert [at.name for at in found] == names

    def collect(at: khepri.Path, _properties: dict[str, Any], names: list[str]) -> list[str]:
        return [*names, at.name]

    assert tree.fold("/x/*", collect, nothing, **page) == names


def test_a_page_may_begin_behind_what_is_not_there_any_more(tree: khepri.Store) -> None:
    assert [at.name for at in tree.get_many("/x/*", start_after="/x/n1zzz")] == ["n2", "n3", "n4"]
    assert tree.get_many("/x/*", start_after="/y") == {}
    assert len(tree.get_many("/**", start_after="/")) == 6
    assert tree.get_many("/x/n1", start_after="/x/n1") == {}


@pytest.mark.parametrize("limit", [0, -1])
def test_an_impossible_limit_is_refused(tree: khepri.Store, limit: int) -> None:
    with pytest.raises(InvalidOptionError):
        tree.get_many("/x/*", limit=limit)
    with pytest.raises(WrongTypeError):
        tree.get_many("/x/*", limit=1.0)  # type: ignore[arg-type]


# --- counting


def test_counting_can_mean_the_root_too(tree: khepri.Store) -> None:
    assert tree.count("/*") == 1
    assert tree.count("/*", include_root_props=True) == 2
    assert tree.count("/**", include_root_props=True) == 7
    assert tree.count("/no/*") == 0


# --- one tree node demanded of a function on many


def test_a_specific_tree_node_can_be_demanded(tree: khepri.Store) -> None:
    expected = {khepri.Path("/x/n1"): 1}
    assert tree.get_many("/x/n1", expect_specific_node=True) == expected
    assert tree.count("/x/n1", expect_specific_node=True) == 1
    reads: list[Callable[..., object]] = [tree.get_many, tree.adv.get_many, tree.count]
    for read in reads:
        with pytest.raises(khepri.NodeNotFoundError):
            read("/x/no", expect_specific_node=True)
        with pytest.raises(ManyNodesDeniedError):
            read("/x/*", expect_specific_node=True)
        with pytest.raises(khepri.MismatchingNodeError):
            read(["x", khepri.IfAll("n1", khepri.IfDataMatches(9))], expect_specific_node=True)


# --- a place in the log


def test_a_read_waits_for_a_place_in_the_log(tree: khepri.Store) -> None:
    here = tree.view()
    soon = khepri.applied(here.index + 1, here.term)
    found: list[object] = []
    reader = threading.Thread(target=lambda: found.append(tree.get("/later", condition=soon)))
    reader.start()
    tree.put("/later", 1)
    reader.join(20)
    assert found == [1]
    assert tree.get("/later", condition=khepri.applied(here.index, here.term)) == 1


def test_a_place_that_never_comes_is_a_timeout(tree: khepri.Store) -> None:
    with pytest.raises(KhepriTimeoutError):
        tree.get("/x/n0", condition=khepri.applied(10**9, 10**9), timeout=0.05)
    with pytest.raises(KhepriTimeoutError):
        tree.get("/x/n0", condition=khepri.applied(10**9, 10**9), timeout=0)
    assert tree.get("/x/n0") == 0


def test_a_place_is_a_place(tree: khepri.Store) -> None:
    with pytest.raises(InvalidOptionError):
        khepri.applied(-1, 1)
    with pytest.raises(WrongTypeError):
        khepri.applied(1, "1")  # type: ignore[arg-type]
    with pytest.raises(WrongTypeError):
        tree.get("/x/n0", condition=(1, 1))  # type: ignore[arg-type]
    with pytest.raises(InvalidOptionError):
        tree.get("/x/n0", condition=khepri.applied(1, 1), favor="speed")  # type: ignore[arg-type]
