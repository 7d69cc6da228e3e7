"""Projections: their names, what they outlive, how they end, and reading meanwhile."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

import khepri
from khepri.actors import change_outlet
from khepri.errors import (
    KhepriTimeoutError,
    MisuseError,
    NoSuchProjectionError,
    ProjectionExistsError,
    ServerStoppedError,
)
from tests.facade.facade_helpers import PATIENCE_SECONDS, actors_of, eventually, standing_still
from tests.facade.projection_helpers import by_owner, now, register

if TYPE_CHECKING:
    from collections.abc import Callable

    from khepri import Path
    from khepri.types import ProjectionTable


# --- names and lives


def test_a_name_is_used_once_in_a_store(store: khepri.Store) -> None:
    assert not store.has_projection("it")
    register(store, "/a")
    assert store.has_projection("it")
    with pytest.raises(ProjectionExistsError, match="has a projection 'it' already") as caught:
        register(store, "/b")
    assert (caught.value.name, caught.value.store_id) == ("it", "orders")
    with khepri.open("other", "other") as other:  # BUG-26
        register(other, "/a", name="it")
        store.unregister_projections("all")
        assert other.has_projection("it")


def test_the_name_of_one_that_is_just_filled_is_in_use(store: khepri.Store) -> None:
    store.put("/n", 1)
    begun, gate = threading.Event(), threading.Event()

    def slow(path: Path, data: Any) -> Any:
        begun.set()
        gate.wait(PATIENCE_SECONDS)
        return (path, data)

    thread = threading.Thread(target=register, args=(store, "/n", slow))
    thread.start()
    assert begun.wait(PATIENCE_SECONDS)
    with pytest.raises(ProjectionExistsError):
        register(store, "/n")
    assert not store.has_projection("it")  # not filled yet
    store.put("/n", 2)  # nobody waits for it
    gate.set()
    thread.join(PATIENCE_SECONDS)
    assert now(store.projection("it")) == {"/n": 2}


def test_an_unregistered_one_is_not_read_any_more(store: khepri.Store) -> None:
    store.put("/a", 1)
    first, second = register(store, "/a"), register(store, ["*", "b"], name="second")
    assert store.unregister_projections(["it", "unheard-of"]) == {"it": khepri.Path("/a")}
    assert not store.has_projection("it")
    for read in readings(first):
        with pytest.raises(NoSuchProjectionError, match="has no projection 'it'"):
            read()
    with pytest.raises(NoSuchProjectionError):
        store.projection("it")
    assert list(store.unregister_projections("all")) == ["second"]
    assert store.unregister_projections("all") == {}
    with pytest.raises(NoSuchProjectionError):
        len(second)
    assert not store.access.outlet.listens
    assert dict(register(store, "/a")) == {khepri.Path("/a"): 1}


def readings(table: ProjectionTable) -> list[Callable[[], object]]:
    return [
        lambda: table["/a"],
        lambda: table.get("/a"),
        lambda: "/a" in table,
        lambda: len(table),
        lambda: list(table),
        table.snapshot,
        table.wait_for,
    ]


def test_one_that_is_unregistered_while_it_is_kept_stays_unregistered(
    store: khepri.Store,
) -> None:
    begun, gate = threading.Event(), threading.Event()

    def slow(path: Path, data: Any) -> Any:
        begun.set()
        gate.wait(PATIENCE_SECONDS)
        return (path, data)

    table = register(store, "/n", slow)
    other = register(store, "/n", name="other")
    store.put("/n", 1)
    assert begun.wait(PATIENCE_SECONDS)
    store.unregister_projections(["it"])
    gate.set()
    assert now(other) == {"/n": 1}  # it is told after the slow one
    with pytest.raises(NoSuchProjectionError):
        table.snapshot()


@pytest.mark.parametrize("end", [khepri.stop, khepri.reset])
def test_one_of_a_store_that_was_stopped_or_reset_is_not_read_any_more(
    store: khepri.Store, end: Callable[[str], None]
) -> None:
    store.put("/a", 1)
    table = register(store, "/a")
    begun, gate = threading.Event(), threading.Event()

    def slow(_event: object) -> None:
        begun.set()
        gate.wait(PATIENCE_SECONDS)

    store.subscribe("/a", slow)
    store.put("/a", 2)
    assert begun.wait(PATIENCE_SECONDS)
    end("orders")
    try:
        for read in readings(table):
            with pytest.raises(ServerStoppedError, match="has ended"):
                read()
    finally:
        gate.set()
    khepri.start(store_id_or_config="orders")
    assert not store.has_projection("it")


def test_it_outlives_a_crash_of_the_server(store: khepri.Store) -> None:
    table = register(store, "/**")
    store.put("/a", 1)
    server = actors_of("orders")["ra_server"]
    server.cast(object())
    eventually(lambda: actors_of("orders").get("ra_server") not in (None, server))
    store.put("/b", 2, timeout=20)
    assert now(table) == {"/a": 1, "/b": 2}


def test_one_that_falls_behind_is_kept_by_comparison(
    store: khepri.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change_outlet, "MAX_WAITING_CHANGES", 10)
    begun, gate = threading.Event(), threading.Event()

    def slow(path: Path, data: Any) -> Any:
        begun.set()
        gate.wait(PATIENCE_SECONDS)
        return (path.name, data)

    table = register(store, "/a/*", slow)
    store.put("/a/gone", 0)
    assert begun.wait(PATIENCE_SECONDS)
    store.delete("/a/gone")
    for number in range(50):
        store.put(f"/a/{number}", number)
    gate.set()
    assert now(table) == {str(number): number for number in range(50)}


# --- reading


def test_a_snapshot_does_not_change(store: khepri.Store) -> None:
    table = register(store, "/a/*", lambda path, data: (path.name, data))
    store.put("/a/x", 1)
    table.wait_for()
    snapshot = table.snapshot()
    store.put("/a/y", 2)
    assert now(table) == {"x": 1, "y": 2}
    assert dict(snapshot) == {"x": 1}


@pytest.mark.parametrize("function", ["copy", by_owner])
def test_one_that_has_ended_keeps_no_tree(store: khepri.Store, function: Any) -> None:
    store.put("/n", {"owner": "alice"})
    keeper = register(store, "/n", function)._keeper
    assert len(keeper._content.records()) == 1
    store.unregister_projections(["it"])
    assert keeper.view is None
    assert keeper.outlet is None
    assert len(keeper._content.records()) == 0


def test_who_walks_a_table_walks_one_moment(store: khepri.Store) -> None:
    for number in range(5):
        store.put(f"/q/{number}", number)
    table = register(store, "/q/*", lambda path, data: (path.name, data))
    items, values, keys = iter(table.items()), iter(table.values()), iter(table)
    store.delete_many("/q/*")
    assert now(table) == {}
    expected = {str(number): number for number in range(5)}
    assert dict(items) == expected
    assert sorted(values) == sorted(expected.values())
    assert set(keys) == set(expected)
    assert table == {}
    assert table != expected


def test_what_is_written_together_is_seen_together(store: khepri.Store) -> None:
    table = register(store, "/pair/*", lambda path, data: (path.name, data))
    over = threading.Event()
    odd: list[Any] = []

    def read() -> None:
        while not over.is_set():
            seen = dict(table.snapshot())
            if seen.get("a") != seen.get("b"):
                odd.append(seen)
            for _ in table:  # an iterator walks one moment
                pass

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(200):
            with store.batch() as batch:
                batch.put("/pair/a", number)
                batch.put("/pair/b", number)
    finally:
        over.set()
        reader.join(PATIENCE_SECONDS)
    assert odd == []
    assert now(table) == {"a": 199, "b": 199}


def test_a_program_finds_its_own_writes_if_it_waits(store: khepri.Store) -> None:
    table = register(store, "/n")
    for number in range(200):
        store.put("/n", number)
        table.wait_for()
        assert table["/n"] == number
    view = store.view()
    table.wait_for(view)
    table.wait_for(khepri.applied(view.index, view.term))


def test_a_wait_ends_in_time(store: khepri.Store) -> None:
    table = register(store, "/n")
    view = store.view()
    with standing_still(store), pytest.raises(KhepriTimeoutError) as caught:
        table.wait_for(khepri.applied(view.index + 1, view.term), timeout=0.05)
    assert caught.value.outcome == "not_applied"


def test_a_wait_ends_with_the_projection(store: khepri.Store) -> None:
    table = register(store, "/n")
    view = store.view()
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            table.wait_for(khepri.applied(view.index + 1, view.term), timeout=None)
        except NoSuchProjectionError as error:
            errors.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    store.unregister_projections("all")
    thread.join(PATIENCE_SECONDS)
    assert len(errors) == 1


def test_a_function_must_not_wait_for_a_projection(
    store: khepri.Store, caplog: pytest.LogCaptureFixture
) -> None:
    table = register(store, "/n")

    def impatient(path: Path, data: Any) -> Any:
        if data:
            table.wait_for()
        return (path, data)

    store.put("/n", 0)
    other = register(store, "/n", impatient, name="other")
    store.put("/n", 1)
    assert now(other) == {"/n": 0}
    error = caplog.records[0].exc_info
    assert error is not None
    assert isinstance(error[1], MisuseError)
