"""Service and cluster management on one node."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import khepri
from khepri import cluster
from khepri.actors.default_node import default_node
from khepri.actors.node import Node
from khepri.actors.server_messages import AskCore
from khepri.errors import (
    DirectoryLockedError,
    DiskFullError,
    InvalidOptionError,
    JoinError,
    KhepriTimeoutError,
    NoSuchServerError,
    NotAKhepriStoreError,
    WrongDirectoryError,
    WrongTypeError,
)
from khepri.management import ClusterManager
from khepri.store import Store
from khepri.testing import SharedFileSystem, memory_store
from khepri.testing.memory_store import DIRECTORY
from tests.facade.facade_helpers import eventually

if TYPE_CHECKING:
    from khepri.actors.ra_system_handle import RaSystemHandle
    from khepri.log.memory_file_system import Operation
    from khepri.raft.events import TimePassed

ALONE = "nonode@nohost"

HOLDER = """
import khepri, sys
khepri.start(sys.argv[1])
print("up", flush=True)
sys.stdin.read()
"""


def test_start_without_arguments_uses_the_defaults() -> None:
    assert khepri.start() == "khepri"
    assert Path(f"khepri#{ALONE}").is_dir()
    assert khepri.get_store_ids() == ["khepri"]


def test_what_was_put_is_there_after_stop_and_start(tmp_path: Path) -> None:
    khepri.start(tmp_path / "data")
    khepri.put("/a/b", {"n": 1})
    khepri.stop()
    with pytest.raises(NoSuchServerError):
        khepri.get("/a/b")
    khepri.start(tmp_path / "data")
    assert khepri.get("/a/b") == {"n": 1}


def test_start_is_idempotent(tmp_path: Path) -> None:
    assert khepri.start(tmp_path / "data", "orders") == "orders"
    khepri.put("/a", 1, store_id="orders")
    assert khepri.start(tmp_path / "data", "orders") == "orders"
    assert khepri.get("/a", store_id="orders") == 1


def test_a_running_store_is_not_started_in_another_directory(tmp_path: Path) -> None:
    khepri.start(tmp_path / "one", "orders")
    with pytest.raises(InvalidOptionError, match="runs already, in another directory"):
        khepri.start(tmp_path / "two", "orders")


def test_start_makes_the_directory_with_its_parents(tmp_path: Path) -> None:
    khepri.start(tmp_path / "a" / "b" / "c")
    directory = tmp_path / "a" / "b" / "c"
    assert directory.is_dir()
    assert directory.stat().st_mode & 0o777 == 0o700


def test_start_takes_settings_with_the_store_id_among_them(tmp_path: Path) -> None:
    started = khepri.start(
        tmp_path / "data", {"cluster_name": "orders", "snapshot_interval_seconds": 0}
    )
    assert started == "orders"
    assert khepri.start(tmp_path / "data", khepri.RaServerConfig(cluster_name="more")) == "more"


def test_initial_members_are_dropped_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    khepri.start(tmp_path / "data", {"initial_members": [("x", "y")]})
    assert cluster.members() == [khepri.ServerId("khepri", ALONE)]
    assert "initial_members is ignored" in caplog.text


def test_an_unknown_setting_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidOptionError, match="'snapshot_colour'"):
        khepri.start(tmp_path / "data", {"snapshot_colour": "red"})
    assert not (tmp_path / "data").exists()


def test_several_stores_share_a_ra_system(tmp_path: Path) -> None:
    for store_id in ("one", "two", "three"):
        khepri.start(tmp_path / "data", store_id)
        khepri.put("/name", store_id, store_id=store_id)
    assert khepri.get_store_ids() == ["one", "three", "two"]
    assert [khepri.get("/name", store_id=s) for s in ("one", "two", "three")] == [
        "one",
        "two",
        "three",
    ]
    khepri.stop("two")
    assert khepri.get_store_ids() == ["one", "three"]
    assert khepri.get("/name", store_id="three") == "three"
    khepri.start(tmp_path / "data", "two")
    assert khepri.get("/name", store_id="two") == "two"


def test_several_ra_systems_run_side_by_side(tmp_path: Path) -> None:
    khepri.start(tmp_path / "one", "one")
    khepri.start(tmp_path / "two", "two")
    khepri.put("/a", 1, store_id="one")
    khepri.put("/a", 2, store_id="two")
    assert (khepri.get("/a", store_id="one"), khepri.get("/a", store_id="two")) == (1, 2)


def test_a_named_ra_system_can_be_started_and_used(tmp_path: Path) -> None:
    name = khepri.ra_system.start("mine", tmp_path / "data")
    khepri.start(name, "orders")
    khepri.put("/a", 1, store_id="orders")
    khepri.ra_system.stop("mine")
    assert khepri.get_store_ids() == []
    khepri.ra_system.start("mine", tmp_path / "data")
    khepri.start(khepri.RaSystemName("mine"), "orders")
    assert khepri.get("/a", store_id="orders") == 1


def test_a_ra_system_that_does_not_run_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match="no Ra system 'mine' runs"):
        khepri.start(khepri.RaSystemName("mine"))


def test_one_name_means_one_directory(tmp_path: Path) -> None:
    khepri.ra_system.start("mine", tmp_path / "one")
    with pytest.raises(InvalidOptionError):
        khepri.ra_system.start("mine", tmp_path / "two")
    with pytest.raises(InvalidOptionError):
        khepri.ra_system.start("other", tmp_path / "one")


def test_the_default_directory_can_be_set(tmp_path: Path) -> None:
    khepri.config.set_env("default_ra_system", str(tmp_path / "chosen"))
    khepri.config.set_env("default_store_id", "chosen")
    try:
        assert cluster.get_default_ra_system_or_data_dir() == str(tmp_path / "chosen")
        assert cluster.get_default_store_id() == "chosen"
        assert khepri.start() == "chosen"
        assert (tmp_path / "chosen").is_dir()
    finally:
        khepri.config.unset_env("default_ra_system")
        khepri.config.unset_env("default_store_id")


def test_stop_of_a_store_that_does_not_run_is_ok() -> None:
    khepri.stop()
    khepri.stop("nobody")


def test_reset_deletes_the_data_and_stops(tmp_path: Path) -> None:
    khepri.start(tmp_path / "data")
    khepri.put("/a", 1)
    khepri.reset()
    assert khepri.get_store_ids() == []
    with pytest.raises(NotAKhepriStoreError):
        khepri.reset()
    khepri.start(tmp_path / "data")
    assert not khepri.exists("/a")


def test_store_ids_that_come_and_go_leave_nothing_on_the_node() -> None:
    node = Node(file_system=SharedFileSystem())
    manager = ClusterManager(node)
    manager.start(DIRECTORY, "first")
    for number in range(5):
        manager.start(DIRECTORY, f"store{number}")
        manager.reset(f"store{number}")
    assert not node._changing
    node.stop()


def test_changes_of_one_store_wait_for_each_other() -> None:
    node = Node()
    held = node.changing("orders")
    assert node.changing("orders") is held
    assert node.changing("stock") is not held


def test_reset_leaves_the_other_stores_alone(tmp_path: Path) -> None:
    khepri.start(tmp_path / "data", "one")
    khepri.start(tmp_path / "data", "two")
    khepri.put("/a", 1, store_id="two")
    khepri.reset("one")
    assert khepri.get("/a", store_id="two") == 1


def test_is_store_running_and_get_store_ids(tmp_path: Path) -> None:
    assert not cluster.is_store_running()
    khepri.start(tmp_path / "data")
    assert cluster.is_store_running()
    assert cluster.is_store_running("khepri")
    assert not cluster.is_store_running("other")
    khepri.stop()
    assert not cluster.is_store_running()
    assert khepri.get_store_ids() == []


def test_members_and_nodes_name_this_node(tmp_path: Path) -> None:
    khepri.start(tmp_path / "data")
    me = khepri.ServerId("khepri", ALONE)
    assert cluster.members() == [me]
    assert cluster.members(favor="low_latency") == [me]
    assert cluster.locally_known_members() == [me]
    assert cluster.nodes() == [ALONE]
    assert cluster.nodes(favor="low_latency") == [ALONE]
    assert cluster.locally_known_nodes() == [ALONE]


def test_members_of_a_store_that_does_not_run_is_an_error() -> None:
    for function in (
        cluster.members,
        cluster.nodes,
        cluster.locally_known_members,
        cluster.locally_known_nodes,
        cluster.wait_for_leader,
        cluster.status,
    ):
        with pytest.raises(NoSuchServerError):
            function("nobody")


def test_wait_for_leader_takes_a_store_or_a_member(tmp_path: Path) -> None:
    khepri.start(tmp_path / "data")
    cluster.wait_for_leader()
    cluster.wait_for_leader("khepri", timeout=1)
    cluster.wait_for_leader(khepri.ServerId("khepri", ALONE))


def test_status_tells_who_leads_and_how_far_it_is(tmp_path: Path) -> None:
    khepri.start(tmp_path / "data")
    khepri.put("/a/b", 1)
    status = cluster.status()
    assert status.role == "leader"
    assert status.leader == khepri.ServerId("khepri", ALONE)
    assert status.last_applied == status.commit_index == status.last_written
    assert status.tree_nodes == 3


def test_join_to_oneself_does_nothing(tmp_path: Path) -> None:
    khepri.start(tmp_path / "data")
    khepri.put("/a", 1)
    cluster.join(ALONE)
    cluster.join(khepri.ServerId("khepri", ALONE))
    assert khepri.get("/a") == 1


def test_a_member_of_another_store_than_the_one_named_is_misuse() -> None:
    elsewhere = khepri.ServerId("elsewhere", ALONE)
    for function in (cluster.join, cluster.remove_member, cluster.transfer_leadership):
        with pytest.raises(InvalidOptionError, match="is not a member of"):
            function(elsewhere, "khepri")


def test_join_to_an_unreachable_node_leaves_the_data_alone(tmp_path: Path) -> None:
    khepri.start(tmp_path / "data")
    khepri.put("/a", 1)
    with pytest.raises(JoinError) as caught:
        cluster.join("bob@127.0.0.1:1")
    assert (caught.value.store_id, caught.value.node) == ("khepri", "bob@127.0.0.1:1")
    assert khepri.get("/a") == 1


def test_join_of_a_store_that_does_not_run_is_refused() -> None:
    with pytest.raises(NotAKhepriStoreError):
        cluster.join(ALONE)


def test_a_directory_in_use_by_another_process_is_refused(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            HOLDER,
            str(tmp_path / "data"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert holder.stdout is not None
    assert holder.stdin is not None
    assert holder.stdout.readline() == b"up\n"
    with pytest.raises(DirectoryLockedError) as caught:
        khepri.start(tmp_path / "data")
    assert str(holder.pid) in str(caught.value)
    holder.stdin.close()
    assert holder.wait(30) == 0
    holder.stdout.close()
    khepri.start(tmp_path / "data")


def test_a_directory_of_another_node_is_refused(tmp_path: Path) -> None:
    from khepri.actors.node import Node  # noqa: PLC0415 - another node than the default one

    first = Node("bob@127.0.0.1:5701")
    first.start_ra_system("x", str(tmp_path / "data"), 10)
    first.stop()
    for name in ("alice@127.0.0.1:5701", ALONE):
        other = Node(name)
        with pytest.raises(WrongDirectoryError, match="belongs to node bob"):
            other.start_ra_system("x", str(tmp_path / "data"), 10)
        other.stop()


def test_the_directory_is_free_when_its_last_store_has_stopped(tmp_path: Path) -> None:
    from khepri.actors.node import Node  # noqa: PLC0415 - another node than the default one

    khepri.start(tmp_path / "data", "one")
    khepri.start(tmp_path / "data", "two")
    khepri.stop("one")
    other = Node()
    with pytest.raises(DirectoryLockedError):
        other.start_ra_system("x", str(tmp_path / "data"), 10)
    khepri.stop("two")
    other.start_ra_system("x", str(tmp_path / "data"), 10)
    other.stop()


def test_the_directory_is_free_when_its_only_store_could_not_be_registered() -> None:
    files = SharedFileSystem()

    def full(operation: Operation) -> None:
        if operation.name == "create" and "/stores/" in operation.path:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    files.inner.hook = full
    node, other = Node(file_system=files), Node(file_system=files)
    with pytest.raises(DiskFullError):
        ClusterManager(node).start(DIRECTORY)
    files.inner.hook = None
    ClusterManager(other).start(DIRECTORY)
    other.stop()
    node.stop()


def test_the_directory_is_free_when_its_last_store_has_given_up_and_is_stopped(
    tmp_path: Path,
) -> None:
    khepri.start(tmp_path / "data", "one")
    access = khepri.Store("one").access
    for _ in range(3):
        server = access.wait_for_server(20)
        assert server is not None
        server.cast(AskCore(_crash))
        server.down.get(timeout=20)
    eventually(lambda: "one" not in default_node().stores, "the end of the store")
    khepri.stop("one")
    other = Node()
    other.start_ra_system("x", str(tmp_path / "data"), 10)
    other.stop()


def _crash(_ticket: object) -> TimePassed:
    raise ZeroDivisionError


def test_a_second_directory_is_free_when_the_store_was_found_to_run_in_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = default_node()
    really_start = node.start_ra_system

    def start_and_be_overtaken(name: str, path: str, seconds: float | None) -> RaSystemHandle:
        handle = really_start(name, path, seconds)
        monkeypatch.undo()
        khepri.start(tmp_path / "first", "one")
        return handle

    monkeypatch.setattr(node, "start_ra_system", start_and_be_overtaken)
    with pytest.raises(InvalidOptionError, match="another directory"):
        khepri.start(tmp_path / "second", "one")
    other = Node()
    other.start_ra_system("x", str(tmp_path / "second"), 10)
    other.stop()


def test_open_starts_and_stops(tmp_path: Path) -> None:
    with khepri.open(tmp_path / "data", "orders") as store:
        store.put("/a", 1)
        assert khepri.get_store_ids() == ["orders"]
    assert khepri.get_store_ids() == []
    with pytest.raises(NoSuchServerError):
        store.get("/a")


@pytest.mark.parametrize("bad", [5, b"bytes", "", ["list"], object(), "nul\0"])
def test_what_is_no_directory_is_refused(bad: object) -> None:
    with pytest.raises(WrongTypeError):
        khepri.start(bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [-1, float("nan")])
def test_impossible_timeouts_are_refused_everywhere(bad: float, tmp_path: Path) -> None:
    khepri.start(tmp_path / "data")
    for call in (
        lambda: khepri.start(tmp_path / "data", "khepri", bad),
        lambda: khepri.reset("khepri", bad),
        lambda: cluster.join(ALONE, "khepri", bad),
        lambda: cluster.members("khepri", bad),
        lambda: cluster.nodes("khepri", bad),
        lambda: cluster.locally_known_members("khepri", bad),
        lambda: cluster.locally_known_nodes("khepri", bad),
        lambda: cluster.wait_for_leader("khepri", bad),
        lambda: cluster.status("khepri", bad),
        lambda: khepri.put("/a", 1, timeout=bad),
        lambda: khepri.get("/a", timeout=bad),
        lambda: khepri.fence(timeout=bad),
    ):
        with pytest.raises(InvalidOptionError):
            call()
    assert khepri.get_store_ids() == ["khepri"]


def test_a_start_that_runs_out_of_time_says_so(tmp_path: Path) -> None:
    with pytest.raises(KhepriTimeoutError):
        khepri.start(tmp_path / "data", timeout=0)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("moment", ["ra system", "store"])
def test_a_start_that_was_interrupted_is_simply_repeated(moment: str) -> None:
    files = SharedFileSystem()
    with memory_store(file_system=files) as store:
        store.put("/a", 1)
    interrupted = threading.Event()
    is_there = {"ra system": "identity", "store": "/meta"}[moment]

    def interrupt(operation: Operation) -> None:
        if is_there in operation.path and not interrupted.is_set():
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            assert interrupted.wait(20)

    node = Node(file_system=files)
    manager = ClusterManager(node)
    files.inner.hook = interrupt
    try:
        with pytest.raises(KeyboardInterrupt):
            manager.start(DIRECTORY, "khepri")
        interrupted.set()
        manager.start(DIRECTORY, "khepri")
        assert Store("khepri", node).get("/a") == 1
    finally:
        interrupted.set()
        node.stop()


def test_a_start_that_is_refused_leaves_no_directory(tmp_path: Path) -> None:
    khepri.start(tmp_path / "one", "orders")
    with pytest.raises(InvalidOptionError, match="runs already, in another directory"):
        khepri.start(tmp_path / "two", "orders")
    assert not (tmp_path / "two").exists()
    assert khepri.start(tmp_path / "one", "orders") == "orders"


@pytest.mark.parametrize(
    ("name", "place"), [("", "d"), (5, "d"), ("mine", ""), ("mine", 5), ("mine", b"d")]
)
def test_what_is_no_name_or_no_directory_of_a_ra_system_is_refused(
    name: Any, place: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WrongTypeError):
        khepri.ra_system.start(name, place)
    assert list(tmp_path.iterdir()) == []


def test_a_start_that_was_interrupted_before_it_was_noted_is_simply_repeated() -> None:
    node = Node(file_system=SharedFileSystem())
    try:
        node._begun_start(DIRECTORY, DIRECTORY).future.get(timeout=20)
        node._starting.clear()  # as if an interrupt had come before the note
        assert ClusterManager(node).start(DIRECTORY, "orders", 20) == "orders"
        Store("orders", node).put("/a", 1)
    finally:
        node.stop()
