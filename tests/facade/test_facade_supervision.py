"""Each actor of the tree is killed under load: it comes back, and nothing acknowledged is lost."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any, Self

import pytest

import khepri
from khepri import cluster
from khepri.actors import node, store_supervisor
from khepri.actors.default_node import default_node
from khepri.actors.storage import Storage
from khepri.actors.supervision import start_child, which_children
from khepri.errors import (
    CommandFailedError,
    KhepriTimeoutError,
    MisuseError,
    NoSuchServerError,
    ServerStoppedError,
)
from khepri.machine import commands
from tests.facade.facade_helpers import PATIENCE_SECONDS, actors_of, eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from khepri.actors.child_spec import ChildSpec
    from khepri.actors.future import KhepriFuture
    from khepri.actors.reference import ActorReference
    from khepri.log.interface import RecoveredStore

WRITERS = 4


class Load:
    """Threads that put 1, 2, 3, ... each to a tree node of its own, until told to stop."""

    def __init__(self, store: khepri.Store) -> None:
        self.store = store
        self.acknowledged = [0] * WRITERS
        self.unknown = 0
        self.unexpected: list[BaseException] = []
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._write, args=(number,)) for number in range(WRITERS)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        self.wait_for_progress()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)
        assert not self.unexpected, self.unexpected

    def wait_for_progress(self) -> None:
        """Every writer has something acknowledged that it had not before."""
        before = list(self.acknowledged)
        eventually(
            lambda: all(now > was for now, was in zip(self.acknowledged, before, strict=True)),
            "progress of every writer",
        )

    def _write(self, number: int) -> None:
        value = 0
        while not self._over.is_set():
            value += 1
            try:
                self.store.put(f"/load/{number}", value, timeout=10)
                self.acknowledged[number] = value
            except (ServerStoppedError, NoSuchServerError, KhepriTimeoutError):
                self.unknown += 1
                value = self._settle(number, value)
            except BaseException as error:  # noqa: BLE001 - the test fails with it
                self.unexpected.append(error)
                return

    def _settle(self, number: int, value: int) -> int:
        """The outcome is unknown: look, and go on from what is there."""
        try:
            found: int = self.store.get(f"/load/{number}", favor="consistency", timeout=10)
        except (ServerStoppedError, NoSuchServerError, KhepriTimeoutError):
            return value - 1
        return found

    def check(self) -> None:
        """What was acknowledged is there, and every value was applied once."""
        for number, last in enumerate(self.acknowledged):
            properties = self.store.adv.get(f"/load/{number}", favor="consistency")
            assert properties["data"] >= last
            assert properties["payload_version"] == properties["data"]


def crash(store_id: str, role: str) -> None:
    """Have an actor raise, by a message that no actor understands, and wait for its end."""
    reference = actors_of(store_id)[role]
    reference.cast(object())
    reference.down.get(timeout=20)


@pytest.mark.parametrize(
    "role", ["wal_writer", "segment_writer", "membership_cache", "ra_server", "snapshot_worker"]
)
def test_a_killed_actor_is_restarted_and_nothing_is_lost(
    role: str, store: khepri.Store, caplog: pytest.LogCaptureFixture
) -> None:
    with Load(store) as load:
        before = actors_of("orders")[role]
        crash("orders", role)
        eventually(
            lambda: (after := actors_of("orders").get(role)) is not None and after is not before,
            f"the restart of {role}",
        )
        load.wait_for_progress()
    load.check()
    assert any("crashed" in record.message for record in caplog.records)
    assert khepri.get_store_ids() == ["orders"]


def test_stores_that_are_being_started_again_survive_another_crash_of_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = [khepri.Store(khepri.start(tmp_path / "data", name)) for name in ("one", "two")]
    really_read = Storage.read_store
    crashes: list[str] = []

    def crash_once(self: Storage, store_id: str) -> RecoveredStore:
        if not crashes:
            crashes.append(store_id)
            raise ZeroDivisionError
        return really_read(self, store_id)

    monkeypatch.setattr(Storage, "read_store", crash_once)
    before = [store.access.server for store in stores]
    default_node().store_setup("one")[1].wal_writer.cast("not a message")

    def all_are_others() -> bool:
        now = [store.access.server for store in stores]
        return all(one is not other for one, other in zip(now, before, strict=True))

    eventually(all_are_others, "the restart")
    for store in stores:
        store.put("/a", 1)
    assert len(crashes) == 1


def test_a_store_that_is_started_while_its_ra_system_is_started_again_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    khepri.start(tmp_path / "data", "one")
    storage = default_node().store_setup("one")[0].storage

    def start_child_late(supervisor: ActorReference, spec: ChildSpec) -> KhepriFuture[Any]:
        monkeypatch.undo()
        storage.wal_writer.cast("not a message")

        def runs() -> bool:
            children = which_children(storage.stores).get(timeout=5)
            return any(child.id == "two" and child.reference for child in children)

        eventually(lambda: storage.stores is not supervisor and runs(), "the restart")
        return start_child(supervisor, spec)

    monkeypatch.setattr(node, "start_child", start_child_late)
    khepri.start(tmp_path / "data", "two")
    khepri.put("/a", 1, store_id="two")
    khepri.stop("two")
    khepri.start(tmp_path / "data", "two")
    assert khepri.get("/a", store_id="two") == 1


def test_the_registry_is_restarted_and_still_knows_the_stores(store: khepri.Store) -> None:
    del store
    registry = default_node().registry()
    registry.cast(object())
    registry.down.get(timeout=20)
    eventually(lambda: default_node().registry().is_alive(), "the restart of the registry")
    assert eventually(khepri.get_store_ids) == ["orders"]
    assert cluster.is_store_running("orders")


def test_the_server_survives_many_crashes_that_are_far_enough_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_supervisor, "PERIOD_SECONDS", 0.001)
    with khepri.open(tmp_path / "data", "orders") as store, Load(store) as load:
        for _ in range(10):
            crash("orders", "ra_server")
            load.wait_for_progress()
        load.check()


def test_too_many_crashes_take_down_that_store_only_and_it_says_why(
    store: khepri.Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    khepri.start(tmp_path / "data", "bystander")
    khepri.put("/a", 1, store_id="bystander")
    store.put("/a", 1)
    supervisor = actors_of("orders")["store_supervisor"]
    while not supervisor.down.done():
        server = eventually(
            lambda: actors_of("orders").get("ra_server") if not supervisor.down.done() else True
        )
        if server is not True:
            server.cast(object())
    eventually(lambda: khepri.get_store_ids() == ["bystander"])
    with pytest.raises(NoSuchServerError, match="gave up"):
        store.put("/a", 2)
    assert any("the store orders on nonode@nohost is down" in r.message for r in caplog.records)
    khepri.put("/a", 2, store_id="bystander")
    assert khepri.get("/a", store_id="bystander") == 2
    khepri.start(tmp_path / "data", "orders")
    assert store.get("/a") == 1


def test_a_command_that_makes_the_machine_raise_is_an_error_and_harms_nothing(
    store: khepri.Store,
) -> None:
    before = actors_of("orders")["ra_server"]
    store.put("/a", 1)
    for poison in (
        commands.encode([commands.PUT, 5, b"x"]),
        commands.encode([999, "unknown"]),
        commands.encode([commands.DELETE, ["a"], "too", "many"]),
        b"\xc1 no msgpack at all",
    ):
        with pytest.raises(CommandFailedError):
            store.change(poison, {"timeout": 10})
    assert store.get("/a") == 1
    assert actors_of("orders")["ra_server"] is before
    khepri.stop("orders")


def test_nothing_is_logged_as_an_error_in_ordinary_life(
    store: khepri.Store, caplog: pytest.LogCaptureFixture
) -> None:
    store.put("/a", 1)
    with pytest.raises(khepri.NodeNotFoundError):
        store.update("/nothing", 1)
    khepri.stop("orders")
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


def test_callers_of_a_store_that_gave_up_are_told_at_once(store: khepri.Store) -> None:
    supervisor = actors_of("orders")["store_supervisor"]
    ended: list[float] = []

    def write_until_it_is_gone() -> None:
        try:
            while True:
                store.put("/a", 1, timeout=60)
        except NoSuchServerError:
            ended.append(time.monotonic())
        except ServerStoppedError:
            write_until_it_is_gone()

    threads = [threading.Thread(target=write_until_it_is_gone) for _ in range(8)]
    for thread in threads:
        thread.start()
    while not supervisor.down.done():
        server = actors_of("orders").get("ra_server")
        if server is not None:
            server.cast(object())
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert len(ended) == 8


def test_what_runs_by_chance_in_a_thread_of_khepris_own_cannot_wait_there(
    store: khepri.Store,
) -> None:
    """A callback, a finalizer or a handler of logs would hold up what it waits for."""
    outcomes: list[BaseException | None] = []

    def waits(_done: object) -> None:
        calls: list[Callable[[], object]] = [
            lambda: store.put("/b", 1, timeout=20),
            store.fence,
            lambda: store.put("/c", 1, async_=True).get(),
        ]
        for call in calls:
            try:
                call()
            except MisuseError as error:
                outcomes.append(error)
            else:
                outcomes.append(None)

    sent = store.put("/a", 1, async_=True)
    store.fence()
    for _ in range(20):  # the first may be answered before it has a callback
        sent = store.put("/a", 1, async_=True)
        sent.add_done_callback(waits)
        sent.get(timeout=20)
        store.fence()
        if any(outcomes):
            break
        outcomes.clear()
    assert [type(outcome) for outcome in outcomes] == [MisuseError] * 3
    store.fence()
    assert not store.exists("/b")
    assert store.get("/c") == 1
