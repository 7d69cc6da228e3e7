"""Triggers of several members: the leader has the calls made, and the next one goes on."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest

import khepri
from khepri.errors import KhepriError
from khepri.testing.local_cluster import LocalCluster
from tests.cluster.cluster_helpers import QUICK, await_equal_trees, eventually, others

if TYPE_CHECKING:
    from collections.abc import Iterator

    from khepri.types import TriggerEvent


class Called:
    """A procedure that notes where it is called, and with what."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.calls: list[tuple[str, int]] = []

    def __call__(self, event: TriggerEvent) -> None:
        with self.lock:
            self.calls.append((event.node.name, event.number))

    @property
    def numbers(self) -> set[int]:
        with self.lock:
            return {number for _, number in self.calls}


@pytest.fixture
def called() -> Iterator[Called]:
    called = Called()
    khepri.register_procedure("called", called)
    yield called
    khepri.unregister_procedure("called")


def watch(store: khepri.Store) -> None:
    store.put("/procedures/called", khepri.ProcedureName("called"))
    store.register_trigger("jobs", "/jobs/*", "/procedures/called")


def asked_for(cluster: LocalCluster, number: int) -> int:
    view = cluster.store(number).access.view
    assert view is not None
    return view.state.triggers.next_number - 1


def none_is_owed(cluster: LocalCluster, number: int) -> bool:
    return cluster.store(number).triggers()["jobs"].calls_owed == 0


def have_come(paths: list[str], enough: int) -> bool:
    return len(paths) > enough


def test_calls_are_made_where_the_leader_is(called: Called) -> None:
    with LocalCluster(3) as cluster:
        watch(cluster.store(0))
        for number in range(30):
            cluster.store(number % 3).put(f"/jobs/{number}", number)
        for number in range(3):
            eventually(partial(none_is_owed, cluster, number), "all calls")
        assert called.calls == [
            (cluster.name(cluster.leader()), number) for number in range(1, 31)
        ]


def test_the_next_leader_makes_the_calls_that_the_last_one_owed(called: Called) -> None:
    with LocalCluster(3, config=QUICK) as cluster:
        watch(cluster.store(0))
        leader = cluster.leader()
        standing, gate = threading.Event(), threading.Event()

        def stand(event: TriggerEvent) -> None:
            called(event)
            if event.node.name == cluster.name(leader):
                standing.set()
                assert gate.wait(30)

        khepri.register_procedure("called", stand)
        for number in range(10):
            cluster.store(leader).put(f"/jobs/{number}", number)
        assert standing.wait(20)
        try:
            cluster.kill(leader)
            survivor = others(cluster, leader)[0]
            eventually(lambda: none_is_owed(cluster, survivor), "all calls")
        finally:
            gate.set()
        assert called.numbers == set(range(1, 11))
        by_the_first = [number for name, number in called.calls if name == cluster.name(leader)]
        assert by_the_first == [1]  # which the second has made again: nobody could know


def test_nothing_that_was_acknowledged_goes_without_its_call(called: Called) -> None:
    with LocalCluster(3, config=QUICK) as cluster:
        watch(cluster.store(0))
        acknowledged: list[str] = []
        stopping = threading.Event()

        def write(number: int) -> None:
            count = 0
            while not stopping.is_set():
                count += 1
                path = f"/jobs/{number}-{count}"
                try:
                    cluster.store(number).put(path, count, timeout=5)
                except (KhepriError, LookupError):
                    stopping.wait(0.01)
                else:
                    acknowledged.append(path)

        writers = [threading.Thread(target=write, args=(number,)) for number in range(3)]
        for writer in writers:
            writer.start()
        try:
            for _ in range(3):
                enough = len(acknowledged) + 50
                eventually(partial(have_come, acknowledged, enough), "writes")
                leader = cluster.leader()
                cluster.kill(leader)
                cluster.leader()  # waits for the next one
                cluster.restart(leader)
        finally:
            stopping.set()
            for writer in writers:
                writer.join(30)
        await_equal_trees(cluster)
        cluster.store(0).fence(timeout=20)
        eventually(lambda: none_is_owed(cluster, 0), "all calls")
        assert called.numbers == set(range(1, asked_for(cluster, 0) + 1))
        assert len(called.numbers) >= len(acknowledged)


def test_a_member_that_joins_knows_the_triggers_and_what_is_owed(called: Called) -> None:
    with LocalCluster(3, config=QUICK) as cluster:
        store = cluster.store(0)
        store.put("/procedures/later", khepri.ProcedureName("later"))
        store.register_trigger("jobs", "/jobs/*", "/procedures/later")
        store.put("/jobs/1", 1)
        leader = cluster.leader()
        victim = others(cluster, leader)[0]
        cluster.stop_node(victim)
        cluster.lose_disk(victim)
        cluster.restart(victim)
        cluster.manager(leader).remove_member(cluster.name(victim), cluster.store_id, 20)
        cluster.manager(victim).join(cluster.name(leader), cluster.store_id, 30)
        eventually(lambda: not none_is_owed(cluster, victim), "what is owed, known there")
        cluster.manager(leader).transfer_leadership(cluster.name(victim), cluster.store_id, 10)
        khepri.register_procedure("later", called)
        try:
            eventually(lambda: none_is_owed(cluster, victim), "the call")
        finally:
            khepri.unregister_procedure("later")
        assert called.calls == [(cluster.name(victim), 1)]
