"""Projections and subscriptions on several nodes: each follows its own node's tree, whatever
happens to that node."""

from __future__ import annotations

import errno
import logging
import os
import queue
import threading
from typing import TYPE_CHECKING, Any

import pytest

from khepri import Projection, messages
from khepri.actors import changes_told
from khepri.errors import DiskFullError, NoSuchServerError, ServerStoppedError
from khepri.machine.diff import diff
from khepri.testing import LocalCluster
from khepri.testing.local_cluster import DIRECTORY
from tests.cluster.cluster_helpers import (
    PATIENCE_SECONDS,
    QUICK,
    Writers,
    actors_of,
    await_equal_trees,
    eventually,
    leader_among,
    others,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import khepri
    from khepri import Path
    from khepri.log.memory_file_system import Operation
    from khepri.machine.machine import View
    from khepri.machine.state import Change
    from khepri.types import ProjectionTable

SMALL_SNAPSHOTS = {**QUICK, "snapshot_entries": 30, "snapshot_interval_seconds": 0}


def writers_of(path: Path, data: Any) -> tuple[str, Any]:
    return (path.name, data)


def register(store: khepri.Store) -> list[ProjectionTable]:
    """Register one of each kind."""
    store.register_projection("/w/*", Projection("copy", "copy"))
    store.register_projection("/w/*", Projection("function", writers_of))
    return [store.projection("copy"), store.projection("function")]


def check(store: khepri.Store, tables: list[ProjectionTable]) -> None:
    """Compare tables with the tree of their node, while nobody writes."""
    expected = store.get_many("/w/*")
    assert expected
    copy, function = tables
    copy.wait_for(timeout=PATIENCE_SECONDS)
    function.wait_for(timeout=PATIENCE_SECONDS)
    assert dict(copy) == expected
    assert dict(function) == {path.name: data for path, data in expected.items()}


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note each comparison of two trees."""
    made: list[str] = []

    def noted(old_root: Any, new_root: Any) -> Iterator[Change]:
        made.append("diff")
        return diff(old_root, new_root)

    monkeypatch.setattr(changes_told, "diff", noted)
    return made


def test_every_member_keeps_its_own_from_the_log() -> None:
    with LocalCluster(3) as cluster:
        tables = {number: register(cluster.store(number)) for number in range(3)}
        with Writers(cluster, range(3)) as writers:
            writers.await_progress(100)
        assert not writers.failures
        await_equal_trees(cluster)
        for number in range(3):
            check(cluster.store(number), tables[number])


def test_a_program_waits_on_one_node_for_what_it_wrote_on_another() -> None:
    with LocalCluster(2) as cluster:
        leader = cluster.leader()
        (follower,) = others(cluster, leader)
        table = register(cluster.store(follower))[1]
        for number in range(20):
            cluster.store(leader).put("/w/n", number)
            table.wait_for(cluster.store(leader).view(), timeout=PATIENCE_SECONDS)
            assert table["n"] == number


def test_a_member_that_was_away_keeps_its_own_from_an_installed_snapshot(
    compared: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "khepri.actors.ra_server")
    with LocalCluster(3, config=SMALL_SNAPSHOTS) as cluster:
        for number in range(3):
            _keep_nothing_behind(cluster, number)
        victim = others(cluster, leader_among(cluster, range(3)))[0]
        rest = others(cluster, victim)
        store, told = cluster.store(victim), Told()
        with Writers(cluster, rest) as writers:
            writers.await_progress(30)
            tables = register(store)
            store.subscribe("/w/*", told, since=store.view())
            told.seen.update({path.name: data for path, data in store.get_many("/w/*").items()})
            writers.await_progress(30)
            cluster.pause(victim)
            behind = cluster.manager(victim).status(cluster.store_id).last_index
            writers.await_progress(100)
            cluster.store(rest[0]).put("/w/only-in-the-snapshot", 7, timeout=PATIENCE_SECONDS)
            cluster.store(rest[0]).delete("/w/only-in-the-snapshot", timeout=PATIENCE_SECONDS)
            eventually(
                lambda: all(_snapshot_index(cluster, number) > behind + 50 for number in rest),
                "snapshots",
            )
            compared.clear()
            cluster.heal()
            installed = f"{cluster.name(victim)} has installed a snapshot"
            eventually(lambda: installed in caplog.text, "the snapshot")
            writers.await_progress(50)
        await_equal_trees(cluster)
        check(store, tables)
        assert compared
        expected = {path.name: data for path, data in store.get_many("/w/*").items()}
        eventually(lambda: told.seen == expected, "that all is told")


class Told:
    """Keeps data by name from nothing but what it is told."""

    def __init__(self) -> None:
        self.seen: dict[str, Any] = {}
        self.ended: queue.SimpleQueue[str] = queue.SimpleQueue()

    def __call__(self, event: object) -> None:
        if isinstance(event, messages.SubscriptionEnded):
            self.ended.put(event.reason)
            return
        assert isinstance(event, messages.TreeChanged)
        for each in event.differences:
            if each.new is None:
                del self.seen[each.path.name]
            else:
                self.seen[each.path.name] = each.new["data"]


def _keep_nothing_behind(cluster: LocalCluster, number: int) -> None:
    """Let a member drop its log up to each snapshot at once."""
    server = cluster.node(number).access(cluster.store_id).server
    assert server is not None
    actor: Any = server._actor_weakref()
    for setting in ("trailing_entries", "trailing_bytes", "catch_up_bytes"):
        object.__setattr__(actor._core._server.settings, setting, 0)


def _snapshot_index(cluster: LocalCluster, number: int) -> int:
    return cluster.manager(number).status(cluster.store_id).snapshot_index


@pytest.mark.parametrize("leads", [True, False])
def test_a_server_that_is_killed_under_load_leaves_nothing_out(leads: bool) -> None:
    with LocalCluster(3, config=QUICK) as cluster:
        leader = leader_among(cluster, range(3))
        victim = leader if leads else others(cluster, leader)[0]
        store, told = cluster.store(victim), Told()
        tables = register(store)
        store.subscribe("/w/*", told)
        with Writers(cluster, range(3)) as writers:
            for _ in range(2):  # a third would be one too many for its supervisor
                writers.await_progress(30)
                server = actors_of(cluster, victim)["ra_server"]
                server.cast("not a message for it")
                server.down.get(timeout=PATIENCE_SECONDS)
                eventually(
                    lambda server=server: (
                        actors_of(cluster, victim).get("ra_server")  # type: ignore[misc]
                        not in {None, server}
                    ),
                    "a new server",
                )
            writers.await_progress(30)
        await_equal_trees(cluster)
        check(store, tables)
        expected = {path.name: data for path, data in store.get_many("/w/*").items()}
        eventually(lambda: told.seen == expected, "that all is told")


def test_what_a_server_has_applied_and_not_told_is_told_after_its_restart() -> None:
    """Nothing is written afterwards: there is nothing else to tell it with."""
    with LocalCluster(3) as cluster:
        leader = leader_among(cluster, range(3))
        follower = others(cluster, leader)[0]
        tables = register(cluster.store(follower))
        server = actors_of(cluster, follower)["ra_server"]
        actor: Any = server._actor_weakref()
        publish = actor._changes.publish

        def crash_before_it_is_told(view: View) -> None:
            if "w" in view.root.children:
                raise RuntimeError("told to crash")
            publish(view)

        actor._changes.publish = crash_before_it_is_told
        cluster.store(leader).put("/w/n", 1)
        server.down.get(timeout=PATIENCE_SECONDS)
        eventually(lambda: dict(tables[1]) == {"n": 1}, "that it is told")


def test_after_a_join_a_projection_is_filled_anew_and_a_subscription_has_ended() -> None:
    with LocalCluster(2) as cluster:
        first, second = cluster.store(0), cluster.store(1)
        first.put("/w/shared", 1)
        _leave(cluster, 1)
        second.put("/w/mine", 2)
        tables, told = register(second), Told()
        second.subscribe("/w/*", told)
        assert len(tables[0]) == 1
        over = threading.Event()
        wrong: list[dict[Any, Any]] = []

        def read() -> None:
            while not over.is_set():
                seen = dict(tables[1].snapshot())
                if seen not in ({"mine": 2}, {"shared": 1}):
                    wrong.append(seen)

        reader = threading.Thread(target=read)
        reader.start()
        cluster.manager(1).join(cluster.name(0), cluster.store_id, PATIENCE_SECONDS)
        assert told.ended.get(timeout=PATIENCE_SECONDS) == "joined"
        check(second, tables)
        over.set()
        reader.join(PATIENCE_SECONDS)
        assert wrong == []
        assert second.has_projection("copy")
        first.put("/w/later", 3)
        second.fence(timeout=PATIENCE_SECONDS)
        check(second, tables)
        assert told.seen == {}


def _leave(cluster: LocalCluster, number: int) -> None:
    """Make a member a cluster of its own."""
    cluster.manager(number).reset(cluster.store_id)
    cluster.manager(number).start(DIRECTORY, cluster.store_id)


def test_a_join_that_the_disk_refuses_leaves_a_projection_of_what_runs_on() -> None:
    with LocalCluster(2) as cluster:
        _leave(cluster, 1)
        cluster.store(1).put("/w/own", 1)
        tables = register(cluster.store(1))
        _fill_disk(cluster, 1, "/registry")
        with pytest.raises(DiskFullError):
            cluster.manager(1).join(cluster.name(0), cluster.store_id, 10)
        _fill_disk(cluster, 1, "")
        cluster.store(1).put("/w/more", 2, timeout=10)
        check(cluster.store(1), tables)
        assert len(tables[0]) == 2


def test_a_projection_of_a_store_that_is_lost_in_a_join_has_ended() -> None:
    with LocalCluster(2) as cluster:
        _leave(cluster, 1)
        cluster.store(1).put("/w/own", 1)
        tables = register(cluster.store(1))
        _fill_disk(cluster, 1, "/meta")
        with pytest.raises(DiskFullError):
            cluster.manager(1).join(cluster.name(0), cluster.store_id, 10)
        _fill_disk(cluster, 1, "")
        for table in tables:
            eventually(lambda table=table: _has_ended(table), "the end")  # type: ignore[misc]
        assert cluster.node(1)._between_lives == {}


def _fill_disk(cluster: LocalCluster, number: int, path_part: str) -> None:
    """Let a node's disk have no room for some files; for all again if none is named."""

    def full(operation: Operation) -> None:
        if operation.name in {"create", "pwrite"} and path_part in operation.path:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    files = cluster._files[number]
    with files.guard:
        files.inner.hook = full if path_part else None


def _has_ended(table: ProjectionTable) -> bool:
    try:
        table.snapshot()
    except ServerStoppedError:
        return True
    return False


def test_those_of_a_store_that_gives_up_have_ended() -> None:
    with LocalCluster(1) as cluster:
        store, told = cluster.store(0), Told()
        tables = register(store)
        store.subscribe("/w/*", told)
        while cluster.store_id in cluster.node(0).stores:
            server = actors_of(cluster, 0).get("ra_server")
            if server is not None:
                server.cast("not a message for it")
                server.down.get(timeout=PATIENCE_SECONDS)
        assert told.ended.get(timeout=PATIENCE_SECONDS) == "stopped"
        for table in tables:
            eventually(lambda table=table: _has_ended(table), "the end")  # type: ignore[misc]


def test_those_of_a_node_that_ends_have_ended() -> None:
    with LocalCluster(3) as cluster:
        store, told = cluster.store(2), Told()
        store.put("/w/n", 1)
        tables = register(store)
        store.subscribe("/w/*", told)
        cluster.kill(2)
        assert told.ended.get(timeout=PATIENCE_SECONDS) == "stopped"
        for table in tables:
            with pytest.raises(ServerStoppedError):
                table.snapshot()
        with pytest.raises(NoSuchServerError):
            store.has_projection("copy")
