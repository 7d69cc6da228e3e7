"""A member stands still: its machine takes long, its disk answers late, it is busy recovering."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import pytest

from khepri.errors import KhepriError, KhepriTimeoutError
from khepri.log.write_ahead_log import WriteAheadLog
from khepri.machine.machine import Machine
from khepri.store import Store
from khepri.testing.local_cluster import DIRECTORY, LocalCluster
from khepri.transport.memory_transport import MemoryTransport
from tests.cluster.cluster_helpers import (
    GRACE_SECONDS,
    QUICK,
    Writers,
    await_equal_trees,
    eventually,
    leader_among,
    others,
    timed,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from khepri.log.memory_file_system import Operation
    from khepri.transport.interface import Message

TIMEOUT_SECONDS = 0.3
PATIENCE_SECONDS = 1.2  # of a follower without a leader, at most


class Door:
    """Whoever goes through waits while it is shut."""

    def __init__(self) -> None:
        self._is_open = threading.Event()
        self._somebody_waits = threading.Event()

    def go_through(self) -> None:
        self._somebody_waits.set()
        assert self._is_open.wait(60), "nobody has opened the door"

    def await_somebody(self) -> None:
        eventually(self._somebody_waits.is_set, "somebody at the door")

    def open(self) -> None:
        self._is_open.set()


def actor_of(cluster: LocalCluster, number: int) -> Any:
    server = cluster.node(number).access(cluster.store_id).server
    assert server is not None
    return server._actor_weakref()


def machine_of(cluster: LocalCluster, number: int) -> Machine:
    machine = actor_of(cluster, number)._machine
    assert isinstance(machine, Machine)
    return machine


@contextmanager
def stalled_log(
    monkeypatch: pytest.MonkeyPatch, cluster: LocalCluster, number: int
) -> Generator[Door]:
    """Have whoever writes the log of a node wait; the rest of its disk works."""
    door, write = Door(), WriteAheadLog.write
    log = actor_of(cluster, number)._setup.storage.shared_log._log

    def wait(self: WriteAheadLog, *arguments: Any, **options: Any) -> Any:
        if self is log:
            door.go_through()
        return write(self, *arguments, **options)

    monkeypatch.setattr(WriteAheadLog, "write", wait)
    try:
        yield door
    finally:
        door.open()


@contextmanager
def blocked(
    monkeypatch: pytest.MonkeyPatch, is_meant: Callable[[Machine], bool]
) -> Generator[Door]:
    """Have machines stand still in their next `apply`."""
    door, apply = Door(), Machine.apply

    def slow(self: Machine, index: Any, term: Any, data: Any) -> Any:
        if is_meant(self):
            door.go_through()
        return apply(self, index, term, data)

    monkeypatch.setattr(Machine, "apply", slow)
    try:
        yield door
    finally:
        door.open()


@contextmanager
def slow_disk(cluster: LocalCluster, number: int) -> Generator[Door]:
    """Have every read of a disk wait."""
    door = Door()

    def wait_for_reads(operation: Operation) -> None:
        if operation.name == "pread":
            door.go_through()

    cluster._files[number].inner.hook = wait_for_reads
    try:
        yield door
    finally:
        cluster._files[number].inner.hook = None
        door.open()


@contextmanager
def restarting(cluster: LocalCluster, number: int) -> Generator[threading.Thread]:
    """Start a node that was killed, in a thread of its own."""
    thread = threading.Thread(target=cluster.restart, args=(number,))
    thread.start()
    try:
        yield thread
    finally:
        thread.join(60)
        assert not thread.is_alive()


def test_k04_a_machine_that_stands_still_costs_its_store_the_leader_and_others_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with LocalCluster(3) as cluster:
        for number in range(3):
            cluster.manager(number).start(DIRECTORY, "neighbour")
            if number:
                cluster.manager(number).join(cluster.name(0), "neighbour")
        leader = leader_among(cluster, range(3))
        cluster.manager(leader).transfer_leadership(cluster.name(leader), "neighbour")
        machine = machine_of(cluster, leader)
        with blocked(monkeypatch, lambda it: it is machine) as door:
            with pytest.raises(KhepriTimeoutError):
                cluster.store(leader).put("/unknown", 1, timeout=TIMEOUT_SECONDS)
            door.await_somebody()
            cluster.store(leader_among(cluster, others(cluster, leader))).put("/meanwhile", 1)
            # The other store on the same node, with the same log file, has noticed nothing.
            neighbour = Store("neighbour", cluster.node(leader))
            neighbour.put("/undisturbed", 1)
            assert neighbour.get("/undisturbed", favor="consistency") == 1
            # And what was known is still read, by whoever does not ask the server.
            assert cluster.store(leader).is_empty()
        cluster.store(leader).put("/afterwards", 1, timeout=30)
        assert "/meanwhile" in await_equal_trees(cluster)


@pytest.mark.parametrize("stores", [1, 2])
def test_r21_a_leader_whose_disk_stalls_goes_on_leading_with_the_disks_of_the_others(
    stores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LocalCluster(3) as cluster:
        if stores > 1:  # then no turns are lent to the transport's thread
            cluster.manager(0).start(DIRECTORY, "neighbour")
        leader = leader_among(cluster, range(3))
        if leader != 0:
            cluster.manager(leader).transfer_leadership(cluster.name(0))
        store, status = cluster.store(0), cluster.manager(0).status
        before = status(cluster.store_id)
        with stalled_log(monkeypatch, cluster, 0) as door:
            began, longest, number = time.monotonic(), 0.0, 0
            while time.monotonic() < began + 3 * PATIENCE_SECONDS:
                put = timed(partial(store.put, "/a", number, timeout=5))
                assert put.error is None
                longest, number = max(longest, put.seconds), number + 1
                assert store.get("/a", favor="consistency") == number - 1
            door.await_somebody()
            assert longest < PATIENCE_SECONDS
            during = status(cluster.store_id)
            assert (during.role, during.term) == ("leader", before.term)
        assert await_equal_trees(cluster)["/a"][0] == number - 1


def test_a_write_that_fails_late_does_not_void_what_a_new_leader_has_had_written_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with LocalCluster(3) as cluster:
        if leader_among(cluster, range(3)) != 0:
            old = leader_among(cluster, range(3))
            cluster.manager(old).transfer_leadership(cluster.name(0))
        cluster.store(0).put("/a", 0)
        deposed, door, write = actor_of(cluster, 0), Door(), WriteAheadLog.write
        log = deposed._setup.storage.shared_log._log

        def fail_late(self: WriteAheadLog, *arguments: Any, **options: Any) -> Any:
            if self is log and deposed.has_own_turn:
                door.go_through()
                raise OSError("the disk has no more room, after a while")
            return write(self, *arguments, **options)

        cluster.partition([0], [1, 2])
        with monkeypatch.context() as patches:
            patches.setattr(WriteAheadLog, "write", fail_late)
            sent = cluster.store(0).put("/sent", 1, async_=True)
            door.await_somebody()
            leader = leader_among(cluster, [1, 2])
            for value in range(3):
                cluster.store(leader).put("/new", value)
            core, leading = deposed._core, actor_of(cluster, leader)._core
            cluster.heal()
            eventually(lambda: core.last_index == leading.last_index > core.last_written)
            door.open()
            eventually(lambda: core.last_written == leading.last_index)
        cluster.store(leader).put("/next", 1)
        sent.get(timeout=10)  # once more, to the new leader
        await_equal_trees(cluster)
        claimed = core.last_written
        cluster.kill(0)
        cluster.partition([0], [1, 2])
        cluster.restart(0)
        assert actor_of(cluster, 0)._core.last_index >= claimed
        cluster.heal()
        assert await_equal_trees(cluster)["/sent"] == (1, 1, 1)


def test_disks_that_stall_one_after_the_other_under_load_lose_and_double_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with LocalCluster(3) as cluster, Writers(cluster, range(3), per_node=1) as writers:
        for number in (0, 1, 2, 0, 1, 2):
            with stalled_log(monkeypatch, cluster, number) as door:
                door.await_somebody()
                writers.await_progress(5)  # by the two others, whoever leads
            monkeypatch.undo()
            writers.await_progress(20)
        writers.stop()
        assert writers.failures == []
        writers.check(await_equal_trees(cluster))


def test_l13_a_member_that_is_still_loading_votes_for_nobody_and_confirms_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    send = MemoryTransport.send

    def listen(self: MemoryTransport, to_node: str, messages: Sequence[Message]) -> bool:
        said.extend(self.node for message in messages if message.store_id)
        return send(self, to_node, messages)

    with LocalCluster(3, config=QUICK) as cluster:
        cluster.store(0).put("/a", 1)
        await_equal_trees(cluster)
        leader = leader_among(cluster, range(3))
        slow, other = others(cluster, leader)
        cluster.kill(slow)
        monkeypatch.setattr(MemoryTransport, "send", listen)
        with restarting(cluster, slow), slow_disk(cluster, slow) as door:
            door.await_somebody()
            cluster.store(leader).put("/b", 1)
            # Of the two that are left one needs the vote of the third.
            cluster.kill(leader)
            asked = said.count(cluster.name(other))
            eventually(lambda: said.count(cluster.name(other)) > asked + 3, "requests for votes")
            assert cluster.name(slow) not in said
            assert cluster.manager(other).status(cluster.store_id).role != "leader"
        assert leader_among(cluster, [slow, other]) == other  # only it has all
        cluster.store(slow).put("/c", 1, timeout=30)
        assert set(await_equal_trees(cluster)) == {"/a", "/b", "/c"}


@pytest.mark.parametrize("stage", ["disk", "replay"])
def test_a18_a_recovering_member_is_reachable_and_says_that_it_is_not_ready(
    stage: Literal["disk", "replay"], monkeypatch: pytest.MonkeyPatch
) -> None:
    with LocalCluster(3) as cluster, Writers(cluster, [0], per_node=1) as writers:
        writers.await_progress(30)
        cluster.kill(2)
        running = [machine_of(cluster, number) for number in (0, 1)]
        standing = (
            slow_disk(cluster, 2)
            if stage == "disk"
            else blocked(monkeypatch, lambda machine: machine not in running)
        )
        with restarting(cluster, 2), standing as door:
            door.await_somebody()
            manager, store = cluster.manager(2), cluster.store(2)
            at_once = {
                "ping": lambda: cluster.node(0).call(cluster.name(2), "ping", (), 5),
                "get_store_ids": manager.get_store_ids,
                "is_store_running": lambda: manager.is_store_running(cluster.store_id),
            }
            for name, function in at_once.items():
                outcome = timed(function)
                assert (outcome.error, outcome.seconds < GRACE_SECONDS) == (None, True), name
            waiting = {
                "status": lambda: manager.status(cluster.store_id, TIMEOUT_SECONDS),
                "get": lambda: store.get("/w", timeout=TIMEOUT_SECONDS),
                "put": lambda: store.put("/p", 1, timeout=TIMEOUT_SECONDS),
            }
            for name, function in waiting.items():
                outcome = timed(function)
                assert outcome.seconds < TIMEOUT_SECONDS + GRACE_SECONDS, name
                assert isinstance(outcome.error, KhepriError), name
        writers.await_progress(30)
        writers.stop()
        writers.check(await_equal_trees(cluster))


def test_l13_a_start_that_ran_out_of_time_goes_on_and_is_found_by_the_next() -> None:
    with LocalCluster(1) as cluster:
        cluster.store(0).put("/a", 1)
        cluster.kill(0)
        cluster.restart(0)
        manager = cluster.manager(0)
        manager.stop(cluster.store_id)
        with slow_disk(cluster, 0):
            for _ in range(2):
                outcome = timed(lambda: manager.start(DIRECTORY, cluster.store_id, 0.2))
                assert isinstance(outcome.error, KhepriTimeoutError)
                assert outcome.seconds < 0.2 + GRACE_SECONDS
            assert manager.get_store_ids() == []
        manager.start(DIRECTORY, cluster.store_id, 30)
        assert cluster.store(0).get("/a") == 1


def test_l13_a_start_that_ran_out_of_time_can_be_taken_back() -> None:
    with LocalCluster(1) as cluster:
        node, manager = cluster.node(0), cluster.manager(0)
        cluster.store(0).put("/a", 1)
        manager.stop(cluster.store_id)
        with slow_disk(cluster, 0):
            outcome = timed(lambda: manager.start(DIRECTORY, cluster.store_id, 0.2))
            assert isinstance(outcome.error, KhepriTimeoutError)
        node.stop_ra_system(DIRECTORY)
        assert not cluster._files[0].inner._locks
        manager.start(DIRECTORY, cluster.store_id, 30)
        assert cluster.store(0).get("/a") == 1
