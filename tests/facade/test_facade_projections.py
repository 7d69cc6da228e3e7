"""Projections: tables derived from the tree, read without asking anybody."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

import khepri
from khepri import Projection
from khepri.errors import (
    InvalidOptionError,
    InvalidPathError,
    MisuseError,
    NoSuchServerError,
    WrongTypeError,
)
from tests.facade.projection_helpers import by_owner, now, register, register_extended
from tests.facade.subscription_helpers import feed

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from khepri import Path
    from khepri.types import NodeProperties


# --- copy


def test_a_copy_has_the_data_by_path(store: khepri.Store) -> None:
    store.put("/stock/wood/oak", 156)
    table = register(store, "/stock/**")
    assert dict(table) == {khepri.Path("/stock/wood/oak"): 156}  # filled before it returns
    store.put("/stock/wood/maple", 24)
    store.put("/stock/wood/oak", 155)
    store.put("/else", 1)
    assert now(table) == {"/stock/wood/maple": 24, "/stock/wood/oak": 155}
    store.delete("/stock/wood/oak")
    store.clear_payload("/stock/wood/maple")
    assert now(table) == {}


def test_a_path_may_be_given_as_everywhere(store: khepri.Store) -> None:
    table = register(store, "/**")
    store.put("/a/b", 1)
    table.wait_for()
    assert table["/a/b"] == table[khepri.Path("/a/b")] == table["a", "b"] == 1
    assert "/a/b" in table
    assert "/a" not in table
    assert table.get("/x", 7) == 7
    assert list(table) == [khepri.Path("/a/b")]
    assert isinstance(next(iter(table)), khepri.Path)
    with pytest.raises(KeyError):
        table["/a"]


def test_each_reader_of_a_copy_owns_what_it_reads(store: khepri.Store) -> None:
    store.put("/a", {"list": [1]})
    table = register(store, "/a")
    table["/a"]["list"].append(2)
    assert table["/a"] == {"list": [1]}
    assert table.snapshot()["/a"] is not table.snapshot()["/a"]


def test_a_deleted_subtree_is_taken_out_as_a_whole(store: khepri.Store) -> None:
    table = register(store, "/a/**")
    for number in range(20):
        store.put(f"/a/{number % 3}/{number}", number)
    assert len(now(table)) == 20
    store.delete("/a")
    assert now(table) == {}


def test_the_root_is_a_tree_node_like_any_other(store: khepri.Store) -> None:
    table = register(store, "/")
    store.put("/", "root")
    store.put("/a", 1)
    assert now(table) == {"/": "root"}


# --- a function


def test_a_function_makes_the_records(store: khepri.Store) -> None:
    store.put("/queues/a", {"owner": "alice"})
    table = register(store, "/queues/*", by_owner)
    assert dict(table) == {"alice": "a"}
    store.put("/queues/b", {"owner": "bob"})
    assert now(table) == {"alice": "a", "bob": "b"}


def test_the_former_record_goes_when_the_key_changes(store: khepri.Store) -> None:
    """BUG-15 of the specification's register."""
    table = register(store, "/queues/*", by_owner)
    store.put("/queues/a", {"owner": "alice"})
    store.put("/queues/a", {"owner": "bob"})
    assert now(table) == {"bob": "a"}
    store.delete("/queues/a")
    assert now(table) == {}


def test_what_a_path_had_put_in_is_remembered_and_not_asked_for_again(
    store: khepri.Store,
) -> None:
    numbers = iter(range(100))
    table = register(store, "/n", lambda _path, data: (next(numbers), data))
    store.put("/n", "a")
    assert now(table) == {0: "a"}
    store.put("/n", "b")
    assert now(table) == {1: "b"}
    store.delete("/n")
    assert now(table) == {}
    assert next(numbers) == 2


def test_a_function_may_make_several_records_or_none(store: khepri.Store) -> None:
    def members(path: Path, data: Any) -> Any:
        return [(member, path.name) for member in data] if data else None

    table = register(store, "/groups/*", members)
    store.put("/groups/a", ["alice", "bob"])
    store.put("/groups/b", ["carol"])
    store.put("/groups/c", [])
    assert now(table) == {"alice": "a", "bob": "a", "carol": "b"}
    store.put("/groups/a", ["bob", "dave"])
    store.put("/groups/b", [])
    assert now(table) == {"bob": "a", "dave": "a"}


def test_of_two_paths_with_one_key_the_last_is_seen_and_then_the_other(
    store: khepri.Store,
) -> None:
    table = register(store, "/queues/*", by_owner)
    store.put("/queues/b", {"owner": "alice"})
    store.put("/queues/a", {"owner": "alice"})
    assert now(table) == {"alice": "b"}  # by the order of paths, whoever was written last
    store.put("/queues/c", {"owner": "alice"})
    assert now(table) == {"alice": "c"}
    store.put("/queues/c", {"owner": "bob"})
    assert now(table) == {"alice": "b", "bob": "c"}
    store.delete("/queues/a")
    assert now(table) == {"alice": "b", "bob": "c"}
    store.delete("/queues/b")
    assert now(table) == {"bob": "c"}


def test_a_function_is_asked_only_if_there_are_other_data(store: khepri.Store) -> None:
    calls: list[str] = []

    def record(path: Path, data: Any) -> Any:
        calls.append(str(path))
        return (path, data)

    table = register(store, "/a/**", record)
    store.put("/a/b", 1)
    store.put("/a/b/c", 2)  # another child of /a/b
    store.put("/a/x/y", 3)  # /a/x has no data
    now(table)
    assert calls == ["/a/b", "/a/b/c", "/a/x/y"]


def test_a_tree_node_that_does_not_meet_the_condition_any_more_is_taken_out(
    store: khepri.Store,
) -> None:
    table = register(store, ["a", khepri.IfDataMatches(khepri.DictWith({"on": True}))])
    store.put("/a/x", {"on": True})
    store.put("/a/y", {"on": False})
    assert now(table) == {"/a/x": {"on": True}}
    store.put("/a/x", {"on": False})
    store.put("/a/y", {"on": True})
    assert now(table) == {"/a/y": {"on": True}}


def test_what_lies_below_a_condition_comes_and_goes_with_it(store: khepri.Store) -> None:
    table = register(store, ["a", khepri.IfDataMatches("open"), "x"])
    store.put("/a/one", "open")
    store.put("/a/one/x", 1)
    store.put("/a/two/x", 2)
    assert now(table) == {"/a/one/x": 1}
    store.put("/a/one", "closed")
    store.put("/a/two", "open")
    assert now(table) == {"/a/two/x": 2}


# --- the extended kind


def test_an_extended_one_manages_the_content_itself(store: khepri.Store) -> None:
    def count(
        table: MutableMapping[Any, Any],
        path: Path,
        old: NodeProperties | None,
        new: NodeProperties | None,
    ) -> None:
        group = path.parent.name
        change = (new is not None) - (old is not None)
        table[group] = table.get(group, 0) + change
        if not table[group]:
            del table[group]

    store.put("/a/one", 1)
    table = register_extended(store, "/*/*", count)
    store.put("/a/two", 1)
    store.put("/b/one", 1)
    store.put("/b/one", 2)
    assert now(table) == {"a": 2, "b": 1}
    store.delete("/a/one")
    store.delete("/b")
    assert now(table) == {"a": 1}


def test_an_extended_one_is_given_properties_before_and_after(store: khepri.Store) -> None:
    seen: list[Any] = []
    table = register_extended(
        store,
        "/a/**",
        lambda _table, path, old, new: seen.append((str(path), old, new)),
    )
    store.put("/a/b", 1)
    now(table)
    store.put("/a/b/c", 2)
    now(table)
    store.delete("/a/b")
    now(table)
    leaf = {"payload_version": 1, "child_list_version": 1, "child_list_length": 0}
    empty: NodeProperties = {**leaf, "child_names": [], "data": 1}
    child: NodeProperties = {**leaf, "child_names": [], "data": 2}
    parent = {
        "payload_version": 1,
        "child_list_version": 2,
        "child_list_length": 1,
        "child_names": ["c"],
        "data": 1,
    }
    assert seen == [
        ("/a/b", None, empty),
        ("/a/b", empty, parent),
        ("/a/b/c", None, child),
        ("/a/b", parent, None),
        ("/a/b/c", child, None),
    ]


def test_an_extended_one_may_ask_for_other_properties(store: khepri.Store) -> None:
    table = register_extended(
        store,
        "/a/*",
        lambda table, path, _old, new: table.__setitem__(path.name, new),
        props_to_return=iter(["raw_payload"]),
    )
    store.put("/a/b", 1)
    assert now(table) == {"b": {"raw_payload": b"\x01"}}


def test_an_extended_one_that_raises_has_changed_nothing(store: khepri.Store) -> None:
    def half(table: MutableMapping[Any, Any], path: Path, old: Any, new: Any) -> None:
        del old
        table[path.name] = "half"
        table.pop("kept", None)
        if new["data"] == "bad":
            raise ValueError("told to fail")
        table[path.name] = new["data"]
        table["kept"] = True
        assert set(table) == {*table.keys()}
        assert len(table) == len(list(table))

    table = register_extended(store, "/a/*", half)
    store.put("/a/x", "good")
    store.put("/a/y", "bad")
    assert now(table) == {"x": "good", "kept": True}


# --- functions that fail


@pytest.mark.parametrize("result", [5, "ab", (1, 2, 3), [1], [(1, 2), 3], ([], 1), {"a": 1}])
def test_what_is_no_record_is_logged_and_skipped(
    store: khepri.Store, caplog: pytest.LogCaptureFixture, result: Any
) -> None:
    table = register(store, "/n", lambda _path, data: ("good", data) if data == 1 else result)
    store.put("/n", 1)
    table.wait_for()  # or the feed may find both as one
    store.put("/n", 2)
    assert now(table) == {"good": 1}  # what the path had put in stays as it was
    (record,) = caplog.records
    assert record.message == "the projection 'it' of 'orders' at /n failed"
    assert record.exc_info is not None
    store.put("/n", 1)
    assert now(table) == {"good": 1}


def test_a_function_that_raises_again_and_again_is_logged_once(
    store: khepri.Store, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(10):
        store.put(f"/bad/{number}", number)
    with caplog.at_level(logging.ERROR, "khepri.projection"):
        table = register(store, "/**", lambda _path, data: (data["name"], data))
        store.put("/good", {"name": "good"})
        store.put("/bad/1", 11)
        assert now(table) == {"good": {"name": "good"}}
    assert len(caplog.records) == 1
    other = register(store, "/**", name="other")
    assert len(now(other)) == 11


@pytest.mark.parametrize("error", [SystemExit, asyncio.CancelledError, KeyboardInterrupt])
def test_whatever_a_function_raises_does_not_end_the_feed(
    store: khepri.Store, error: type[BaseException]
) -> None:
    def leave(_path: Path, data: Any) -> Any:
        if data == "exit":
            raise error(1)
        return (data, data)

    table = register(store, "/n", leave)
    before = feed()
    store.put("/n", "exit")
    table.wait_for()
    store.put("/n", 1)
    assert now(table) == {1: 1}
    assert feed() is before


# --- all of it


def test_the_module_has_the_same_functions(store: khepri.Store) -> None:
    store.put("/a", 1)
    khepri.register_projection("/a", Projection("it", "copy"), store_id="orders")
    assert khepri.has_projection("it", store_id="orders")
    assert khepri.projection("it", store_id="orders")["/a"] == 1
    assert repr(khepri.projection("it", store_id="orders")) == "<projection 'it' of 'orders'>"
    assert list(khepri.unregister_projections("all", store_id="orders")) == ["it"]
    assert repr(Projection("it", "copy")) == "<projection 'it'>"


async def unawaited(*_told: object) -> None:
    """What it would give nobody would await."""


def test_misuse_is_told_at_once(store: khepri.Store) -> None:
    table = register(store, "/n", name="table")
    copy: Any = Projection("it", "copy")
    wrong: list[tuple[Callable[[], object], type[MisuseError]]] = [
        (lambda: Projection(5, "copy"), WrongTypeError),  # type: ignore[arg-type]
        (lambda: Projection("", "copy"), InvalidOptionError),
        (lambda: Projection("it", "other"), WrongTypeError),  # type: ignore[arg-type]
        (lambda: Projection("it", "copy", extended=True), InvalidOptionError),
        (lambda: Projection("it", by_owner, props_to_return=["payload"]), InvalidOptionError),
        (
            lambda: Projection("it", print, extended=True, props_to_return=["x"]),
            InvalidOptionError,
        ),
        (lambda: store.register_projection(5, copy), InvalidPathError),  # type: ignore[arg-type]
        (lambda: store.register_projection("/a", "copy"), WrongTypeError),  # type: ignore[arg-type]
        (lambda: store.unregister_projections("table"), WrongTypeError),
        (lambda: store.unregister_projections(5), WrongTypeError),  # type: ignore[arg-type]
        (lambda: store.unregister_projections([[]]), WrongTypeError),  # type: ignore[list-item]
        (lambda: store.has_projection([]), WrongTypeError),  # type: ignore[arg-type]
        (lambda: store.projection([]), WrongTypeError),  # type: ignore[arg-type]
        (lambda: Projection("it", unawaited, extended=True), WrongTypeError),
        (lambda: table.wait_for(5), WrongTypeError),  # type: ignore[arg-type]
        (lambda: table.wait_for(timeout=-1), InvalidOptionError),
    ]
    for call, error in wrong:
        with pytest.raises(error):
            call()


def test_a_store_that_does_not_run_has_none() -> None:
    nowhere = khepri.Store("nowhere")
    for call in (
        lambda: nowhere.register_projection("/a", Projection("it", "copy")),
        lambda: nowhere.has_projection("it"),
        lambda: nowhere.projection("it"),
        lambda: nowhere.unregister_projections("all"),
    ):
        with pytest.raises(NoSuchServerError):
            call()
