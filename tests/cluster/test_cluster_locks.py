"""Locks through all members at once, while they are cut off, killed and cannot be reached."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest

import khepri
from khepri.actors.server_clock import server_clock
from khepri.errors import KhepriError, KhepriTimeoutError, LockLostError, NodeNotFoundError
from khepri.testing.local_cluster import LocalCluster
from tests.cluster.cluster_helpers import (
    GRACE_SECONDS,
    QUICK,
    await_equal_trees,
    eventually,
    others,
    timed,
)
from tests.cluster.lock_history import Held, check_held, check_written

if TYPE_CHECKING:
    from collections.abc import Iterator

    from khepri.types import Transaction

PATH = "/locks/printer"
TTL = 1.0


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(3, config=QUICK) as formed:
        yield formed


# --- the checkers --------------------------------------------------------------------------


def test_the_checkers_take_what_is_right() -> None:
    check_held([Held(3, 2.5, 3.0), Held(1, 0.0, 1.0), Held(2, 1.0, 2.0)])
    check_written([1, 1, 2, 4])


def test_the_checkers_refuse_what_must_not_be() -> None:
    with pytest.raises(AssertionError, match="while it was held"):
        check_held([Held(1, 0.0, 1.0), Held(2, 0.9, 2.0)])
    for token in (1, 2):
        with pytest.raises(AssertionError, match="no higher token"):
            check_held([Held(2, 0.0, 1.0), Held(token, 1.5, 2.0)])
    with pytest.raises(AssertionError, match="1 has written after 2"):
        check_written([1, 2, 1])


# --- under load ----------------------------------------------------------------------------


class Workers:
    """Threads at all members that want one lock, and write under its guard."""

    def __init__(self, cluster: LocalCluster) -> None:
        self.cluster = cluster
        self.history: list[Held] = []
        self.losses = 0
        self.done = dict.fromkeys(cluster.running(), 0)
        self.stopping = threading.Event()
        self.threads = [
            threading.Thread(target=self.work, args=(number,), daemon=True)
            for number in cluster.running()
            for _ in range(2)
        ]
        for thread in self.threads:
            thread.start()

    def work(self, number: int) -> None:
        while not self.stopping.is_set():
            try:
                store = self.cluster.store(number)
                lock = khepri.Lock(PATH, ttl=TTL, store=store)
                if lock.acquire(timeout=5):
                    self.write_under(lock, store, number)
            except LockLostError:
                self.losses += 1
            except KhepriError:  # the node may be dead, the majority away
                self.stopping.wait(0.01)

    def write_under(self, lock: khepri.Lock, store: khepri.Store, number: int) -> None:
        began, token, hold = server_clock(), lock.token, lock._hold
        assert hold is not None

        def write(transaction: Transaction) -> None:
            transaction.require(lock.guard)
            place = transaction.increment("/writes")
            transaction.create(f"/writes/{place:06}", token)

        try:
            store.transaction(write, timeout=3 * TTL)
            self.done[number] += 1
        finally:
            ended = min(server_clock(), hold.valid_until)
            if began < ended:
                self.history.append(Held(token, began, ended))
            lock.release()

    def go_on(self, count: int, numbers: list[int] | None = None) -> None:
        """Wait until so many writes more are done at each of some members."""
        before = dict(self.done)
        numbers = self.cluster.running() if numbers is None else numbers
        eventually(
            lambda: all(self.done[number] >= before[number] + count for number in numbers),
            f"{count} writes more at {numbers}",
        )

    def stop(self) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join(30)
            assert not thread.is_alive()


def test_there_is_one_holder_at_a_time_whatever_happens_to_members(cluster: LocalCluster) -> None:
    workers = Workers(cluster)
    try:
        workers.go_on(10)
        for _ in range(2):
            deaf = cluster.leader()
            cluster.pause(deaf)
            workers.go_on(5, others(cluster, deaf))
            cluster.heal()
            workers.go_on(3)
            killed = cluster.leader()
            cluster.kill(killed)
            workers.go_on(5)
            cluster.restart(killed)
            workers.go_on(3)
    finally:
        workers.stop()
    check_held(workers.history)
    written = list(cluster.store(0).get_many("/writes/*").values())
    assert len(written) >= sum(workers.done.values()) >= 50
    check_written(written)
    await_equal_trees(cluster)


# --- one holder ----------------------------------------------------------------------------


def test_a_holder_that_was_cut_off_has_lost_it_and_its_batch_is_refused(
    cluster: LocalCluster,
) -> None:
    leader = cluster.leader()
    cut_off, other = others(cluster, leader)
    lock = khepri.Lock(PATH, ttl=TTL, data="cut off", store=cluster.store(cut_off))
    assert lock.acquire(timeout=20)
    cluster.pause(cut_off)
    later = khepri.Lock(PATH, ttl=20, data="later", store=cluster.store(other))
    assert later.acquire(timeout=30)
    assert not lock.held  # before anybody else has it
    with pytest.raises(LockLostError):
        lock.check()
    assert later.token > lock.token
    batch = cluster.store(cut_off).batch(timeout=30)
    batch.require(lock.guard)
    batch.put("/printed", "by a former holder")
    sent = batch.commit(async_=True)
    cluster.heal()
    with pytest.raises(NodeNotFoundError):
        sent.get(timeout=30)
    with pytest.raises(LockLostError):
        lock.release()
    with cluster.store(other).batch(timeout=30) as batch:
        batch.require(later.guard)
        batch.put("/printed", "by the holder")
    assert later.held
    assert later.holder(favor="consistency", timeout=30) == "later"
    later.release()


def test_a_holder_that_was_killed_is_followed_by_who_waits(cluster: LocalCluster) -> None:
    killed = cluster.leader()
    other = others(cluster, killed)[0]
    lock = khepri.Lock(PATH, ttl=TTL, store=cluster.store(killed))
    later = khepri.Lock(PATH, ttl=20, data="waits", store=cluster.store(other))
    assert lock.acquire(timeout=20)
    thread = threading.Thread(target=later.acquire, daemon=True)
    thread.start()
    line = cluster.store(other)
    eventually(lambda: line.count(f"{PATH}/line/*") == 2, "one who waits")
    cluster.kill(killed)
    thread.join(30)
    assert later.held
    assert later.token == 2
    assert not lock.held


def test_an_ephemeral_tree_node_goes_with_its_member_and_comes_back_with_it(
    cluster: LocalCluster,
) -> None:
    leader = cluster.leader()
    cut_off, other = others(cluster, leader)
    with khepri.EphemeralNode("/workers/ann", 1, ttl=TTL, store=cluster.store(cut_off)) as node:
        eventually(lambda: cluster.store(other).exists("/workers/ann"), "it to be there")
        cluster.pause(cut_off)
        eventually(lambda: not cluster.store(other).exists("/workers/ann"), "it to go")
        assert not node.is_there
        cluster.heal()
        eventually(lambda: cluster.store(other).exists("/workers/ann"), "it to come back")
        eventually(lambda: node.is_there, "the news of it")
        assert node.losses > 0
    eventually(lambda: not cluster.store(other).exists("/workers/ann"), "its end")


# --- without a majority --------------------------------------------------------------------


def test_without_a_majority_everything_ends_in_time(
    cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    lone = others(cluster, cluster.leader())[0]
    store = cluster.store(lone)
    lock = khepri.Lock(PATH, ttl=TTL, store=store)
    wanted, free = (khepri.Lock(path, store=store) for path in (PATH, "/locks/free"))
    node = khepri.EphemeralNode("/workers/ann", 1, ttl=TTL, store=store)
    assert lock.acquire(timeout=20)
    node.start()
    monkeypatch.setenv("KHEPRI_DEFAULT_TIMEOUT", "0.5")
    khepri.config.reload()
    cluster.pause(lone)
    for waiting in (wanted, free):
        outcome = timed(partial(waiting.acquire, timeout=0.5))
        assert outcome.error is None
        assert outcome.seconds < 0.5 + GRACE_SECONDS
    outcome = timed(lambda: free.acquire(timeout=0))
    assert isinstance(outcome.error, KhepriTimeoutError)
    assert outcome.seconds < 0.5 + GRACE_SECONDS
    eventually(lambda: not lock.held and not node.is_there, "the loss")
    outcome = timed(lock.release)
    assert isinstance(outcome.error, LockLostError)
    assert outcome.seconds < GRACE_SECONDS
    outcome = timed(node.stop)
    assert isinstance(outcome.error, KhepriTimeoutError)
    assert outcome.seconds < 0.5 + GRACE_SECONDS
    cluster.heal()
    monkeypatch.undo()
    khepri.config.reload()
    # What nobody waited for any more is undone: by others, or by its time to live.
    eventually(lambda: store.count("/locks/*/line/*") == 0, "empty lines")
    assert free.acquire(timeout=30)
