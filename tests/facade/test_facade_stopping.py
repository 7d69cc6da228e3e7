"""Stores of one node are started and stopped by many threads at once."""

from __future__ import annotations

import logging
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

import khepri
from khepri.actors import node as node_module
from khepri.actors import snapshot_worker
from khepri.actors.access import StoreAccess
from khepri.actors.default_node import default_node
from khepri.actors.future import KhepriFuture
from khepri.actors.ra_server import RaServer
from khepri.actors.server_messages import TakeSnapshotNow
from khepri.actors.supervision import start_child, terminate_child
from khepri.errors import (
    InvalidOptionError,
    KhepriTimeoutError,
    NoSuchServerError,
    ServerStoppedError,
)
from khepri.log.file_header import TEMPORARY_SUFFIX
from khepri.log.shared_file_system import SharedFileSystem
from khepri.management import ClusterManager
from khepri.testing import memory_store
from khepri.testing.memory_store import DIRECTORY
from tests.facade.facade_helpers import (
    PATIENCE_SECONDS,
    actors_of,
    eventually,
    standing_still,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from khepri.actors.child_spec import ChildSpec
    from khepri.actors.ra_system_handle import RaSystemHandle
    from khepri.actors.reference import ActorReference


class SlowHandOver:
    """A leader that takes as long to make way as the test wants."""

    def __init__(self) -> None:
        self.has_begun = threading.Event()
        self.may_end = threading.Event()

    def __call__(self, stores: Sequence[StoreAccess]) -> None:
        del stores
        self.has_begun.set()
        assert self.may_end.wait(PATIENCE_SECONDS)


@pytest.fixture
def hand_over(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowHandOver]:
    slow = SlowHandOver()
    monkeypatch.setattr(node_module, "hand_over", slow)
    yield slow
    slow.may_end.set()


def test_while_a_leader_hands_over_other_stores_start_and_stop(
    tmp_path: Path, hand_over: SlowHandOver
) -> None:
    khepri.start(tmp_path / "data", "orders")
    with ThreadPoolExecutor(1) as pool:
        stopping = pool.submit(khepri.stop, "orders")
        assert hand_over.has_begun.wait(PATIENCE_SECONDS)
        khepri.start(tmp_path / "data", "bystander")
        khepri.put("/a", 1, store_id="bystander")
        khepri.put("/a", 1, store_id="orders")
        assert khepri.get_store_ids() == ["bystander", "orders"]
        assert not stopping.done()
        hand_over.may_end.set()
        stopping.result(PATIENCE_SECONDS)
    eventually(lambda: khepri.get_store_ids() == ["bystander"])


def test_two_threads_stop_a_store_that_hands_over(tmp_path: Path, hand_over: SlowHandOver) -> None:
    khepri.start(tmp_path / "data", "orders")
    with ThreadPoolExecutor(2) as pool:
        stopping = [pool.submit(khepri.stop, "orders") for _ in range(2)]
        assert hand_over.has_begun.wait(PATIENCE_SECONDS)
        hand_over.may_end.set()
        for each in stopping:
            each.result(PATIENCE_SECONDS)
    assert default_node().stores == {}


def test_a_stop_stops_what_was_started_again_while_it_handed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    khepri.start(tmp_path / "data", "orders")

    def another_thread_is_quicker(stores: Sequence[StoreAccess]) -> None:
        monkeypatch.undo()
        assert len(stores) == 1
        khepri.stop("orders")
        khepri.start(tmp_path / "data", "orders")

    monkeypatch.setattr(node_module, "hand_over", another_thread_is_quicker)
    khepri.stop("orders")
    assert default_node().stores == {}
    khepri.start(tmp_path / "data", "orders")


def test_a_start_that_fails_late_does_not_take_its_successor_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    khepri.start(tmp_path / "data", "bystander")
    late: KhepriFuture[Any] = KhepriFuture()

    def start_unheard(supervisor: ActorReference, spec: ChildSpec) -> KhepriFuture[Any]:
        monkeypatch.undo()
        start_child(supervisor, spec)
        return late

    monkeypatch.setattr(node_module, "start_child", start_unheard)
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(khepri.start, tmp_path / "data", "orders")
        eventually(lambda: "orders" in default_node().stores)
        khepri.stop("orders")
        khepri.start(tmp_path / "data", "orders")
        late.fail(ServerStoppedError("stopped before it was ready", outcome="unknown"))
        assert isinstance(starting.exception(PATIENCE_SECONDS), ServerStoppedError)
    khepri.put("/a", 1, store_id="orders")
    assert khepri.get_store_ids() == ["bystander", "orders"]


def test_a_start_may_meet_the_end_of_the_last_store_of_its_directory(tmp_path: Path) -> None:
    khepri.start(tmp_path / "data", "orders")
    handle, setup = default_node().store_setup("orders")
    khepri.stop("orders")  # after the start has found the directory in use, and so open
    default_node().start_store(handle, setup.config, PATIENCE_SECONDS)
    khepri.put("/a", 1, store_id="orders")


def test_a_start_may_meet_the_end_of_its_directory_that_was_just_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = default_node().running
    really_add = running.add_system

    def add_and_be_overtaken(handle: RaSystemHandle) -> None:
        really_add(handle)
        monkeypatch.undo()
        default_node().stop_ra_system(handle.name)

    monkeypatch.setattr(running, "add_system", add_and_be_overtaken)
    khepri.start(tmp_path / "data")
    khepri.put("/a", 1)
    assert khepri.get("/a") == 1


def test_a_store_is_stopped_while_its_log_writer_crashes(tmp_path: Path) -> None:
    for _ in range(5):
        khepri.start(tmp_path / "data", "orders")
        actors_of("orders")["wal_writer"].cast(object())
        khepri.stop("orders")
        assert default_node().running.systems == {}


@pytest.mark.parametrize("is_asked", [True, False])
@pytest.mark.parametrize("has_bystander", [True, False])
def test_a_store_whose_stop_was_interrupted_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_asked: bool, has_bystander: bool
) -> None:
    if has_bystander:
        khepri.start(tmp_path / "data", "bystander")
    khepri.start(tmp_path / "data", "orders")
    khepri.put("/a", 1, store_id="orders")

    def interrupted(supervisor: ActorReference, child_id: str) -> KhepriFuture[None]:
        monkeypatch.undo()
        if is_asked:
            terminate_child(supervisor, child_id)
        raise KeyboardInterrupt

    monkeypatch.setattr(node_module, "terminate_child", interrupted)
    with pytest.raises(KeyboardInterrupt):
        khepri.stop("orders")
    khepri.start(tmp_path / "data", "orders")
    assert khepri.get("/a", store_id="orders") == 1
    khepri.put("/a", 2, store_id="orders")
    khepri.stop("orders")
    khepri.start(tmp_path / "data", "orders")
    assert khepri.get("/a", store_id="orders") == 2


def test_a_start_may_meet_the_end_of_a_directory_whose_stop_was_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    khepri.start(tmp_path / "data")
    khepri.put("/a", 1)
    (handle,) = default_node().running.systems.values()
    default_node().running.remove_system(handle)  # the interrupt came here, or a little later

    def end_before(supervisor: ActorReference, child_id: str) -> KhepriFuture[None]:
        monkeypatch.undo()
        handle.reference.stop(block=True, timeout=PATIENCE_SECONDS)
        return terminate_child(supervisor, child_id)

    monkeypatch.setattr(node_module, "terminate_child", end_before)
    khepri.start(tmp_path / "data")
    assert khepri.get("/a") == 1


@pytest.mark.parametrize("is_asked", [True, False])
def test_a_store_whose_start_was_interrupted_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_asked: bool
) -> None:
    khepri.start(tmp_path / "data", "bystander")

    def interrupted(supervisor: ActorReference, spec: ChildSpec) -> KhepriFuture[Any]:
        monkeypatch.undo()
        if is_asked:
            start_child(supervisor, spec)
        raise KeyboardInterrupt

    monkeypatch.setattr(node_module, "start_child", interrupted)
    with pytest.raises(KeyboardInterrupt):
        khepri.start(tmp_path / "data", "orders")
    assert khepri.get_store_ids() == ["bystander"]
    khepri.start(tmp_path / "data", "orders")
    khepri.put("/a", 1, store_id="orders")
    assert khepri.get("/a", store_id="orders") == 1


def test_after_many_starts_and_stops_at_once_the_store_starts_and_has_its_data(
    tmp_path: Path,
) -> None:
    with khepri.open(tmp_path / "data", "orders") as store:
        store.put("/a", 1)

    def start_and_stop(seed: int) -> None:
        choice = random.Random(seed)
        for _ in range(15):
            if choice.random() < 0.5:
                khepri.stop("orders")
                continue
            # Whoever starts it may find that another thread has stopped it already.
            with suppress(NoSuchServerError, ServerStoppedError):
                khepri.start(tmp_path / "data", "orders")

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(start_and_stop, seed) for seed in range(4)]:
            done.result(3 * PATIENCE_SECONDS)
    khepri.start(tmp_path / "data", "orders")
    assert khepri.get("/a", store_id="orders") == 1
    khepri.put("/a", 2, store_id="orders")
    khepri.stop("orders")
    assert default_node().running.systems == {}


@pytest.mark.parametrize("timeout", [None, 20.0])
def test_who_waits_for_a_restart_is_told_of_a_stop_though_the_store_runs_again(
    timeout: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_restart, is_started = threading.Event(), threading.Event()
    restart, wait = RaServer.on_start, StoreAccess.wait_for_server

    def restart_late(server: RaServer) -> None:
        assert may_restart.wait(PATIENCE_SECONDS)
        restart(server)

    def wake_late(access: StoreAccess, timeout_seconds: float | None) -> ActorReference | None:
        waiting.set()
        server = wait(access, timeout_seconds)
        assert is_started.wait(PATIENCE_SECONDS)
        return server

    waiting = threading.Event()
    with memory_store() as store, ThreadPoolExecutor(2) as threads:
        manager, server = ClusterManager(store.node), store.access.server
        assert server is not None
        monkeypatch.setattr(RaServer, "on_start", restart_late)
        server.cast(object())
        eventually(lambda: not server.is_alive())
        with monkeypatch.context() as patched:
            patched.setattr(StoreAccess, "wait_for_server", wake_late)
            put = threads.submit(store.put, "/a", 1, timeout=timeout)
            assert waiting.wait(PATIENCE_SECONDS)
        stopping = threads.submit(manager.stop)
        eventually(lambda: not store.node.stores)
        may_restart.set()
        stopping.result(PATIENCE_SECONDS)
        manager.start(DIRECTORY)
        is_started.set()
        with pytest.raises(NoSuchServerError):
            put.result(PATIENCE_SECONDS)
        assert not store.exists("/a")


@pytest.mark.parametrize("timeout", [None, 20.0])
def test_a_read_that_waits_for_the_recovery_goes_on_with_the_store_that_runs_again(
    timeout: float | None,
) -> None:
    with memory_store() as store:
        store.put("/a", 1)
        access, node = store.access, store.node
        stopped = StoreAccess(access.store_id, access.server_id, access.cluster_id)
        stopped.close()  # while it was being recovered
        node.stores[store.store_id] = stopped
        started: list[StoreAccess] = []

        def wait_for_server(_: StoreAccess, _left: float | None) -> None:
            started.append(access)
            node.stores[store.store_id] = access

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(StoreAccess, "wait_for_server", wait_for_server)
            assert store.get("/a", timeout=timeout) == 1
        assert started


def test_a_stop_breaks_off_a_snapshot_that_is_being_written(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(snapshot_worker, "REST_RATIO", 1e9)
    files = SharedFileSystem()
    with memory_store(file_system=files) as store:
        store.put("/a", 1)
        server = store._get_node().access(store.store_id).server
        assert server is not None
        server.cast(TakeSnapshotNow())
        eventually(lambda: snapshots_begun(files), "the first piece of the snapshot")
    assert not snapshots_begun(files)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    with memory_store(file_system=files) as store:
        assert store.get("/a") == 1


def snapshots_begun(files: SharedFileSystem) -> list[str]:
    with files.guard:
        return [path for path in files.inner.contents() if path.endswith(TEMPORARY_SUFFIX)]


def test_open_leaves_a_store_running_that_ran_before(tmp_path: Path) -> None:
    khepri.start(tmp_path / "data", "orders")
    with khepri.open(tmp_path / "data", "orders") as store:
        store.put("/a", 1)
    assert khepri.cluster.is_store_running("orders")
    assert khepri.Store("orders").get("/a") == 1
    khepri.stop("orders")


def test_of_blocks_in_each_other_the_outer_one_stops_the_store(tmp_path: Path) -> None:
    with khepri.open(tmp_path / "data", "orders") as outer:
        with khepri.open(tmp_path / "data", "orders") as inner:
            inner.put("/a", 1)
        assert outer.get("/a") == 1
    assert not khepri.cluster.is_store_running("orders")


def test_of_blocks_that_overlap_the_last_one_stops_the_store(tmp_path: Path) -> None:
    first, last = (khepri.open(tmp_path / "data", "orders") for _ in range(2))
    first.__enter__()
    store = last.__enter__()
    first.__exit__(None, None, None)
    store.put("/a", 1)
    last.__exit__(None, None, None)
    assert not khepri.cluster.is_store_running("orders")


def test_a_block_that_could_not_start_the_store_leaves_nothing_of_itself(tmp_path: Path) -> None:
    with khepri.open(tmp_path / "data", "orders"):
        with pytest.raises(InvalidOptionError), khepri.open(tmp_path / "elsewhere", "orders"):
            raise AssertionError("not reached")
        assert khepri.cluster.is_store_running("orders")
    assert not khepri.cluster.is_store_running("orders")


def test_a_start_and_a_reset_end_in_time_while_another_store_takes_long_to_stop(
    tmp_path: Path,
) -> None:
    for name in ("slow", "other", "reset"):
        khepri.start(tmp_path / name, name)
    slow = khepri.Store("slow")
    with standing_still(slow):
        stopping = threading.Thread(target=khepri.stop, args=("slow",))
        stopping.start()
        eventually(lambda: "slow" not in slow.node.stores, "the stop")
        begun = time.monotonic()
        with pytest.raises(KhepriTimeoutError):
            khepri.start(tmp_path / "other", "other", 0.2)
        with pytest.raises(KhepriTimeoutError):
            khepri.start(tmp_path / "new", "new", 0.2)
        with pytest.raises(KhepriTimeoutError):
            khepri.cluster.reset("reset", 0.2)
        assert time.monotonic() - begun < 3 * (0.2 + 0.5)
    stopping.join(60)
    assert not stopping.is_alive()
    khepri.start(tmp_path / "new", "new")
