"""Transactions through all members at once, while the leader dies: nothing half, nothing twice."""

from __future__ import annotations

import random
import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from khepri.errors import KhepriError
from khepri.testing.local_cluster import LocalCluster
from tests.cluster.cluster_helpers import await_equal_trees, eventually

if TYPE_CHECKING:
    from khepri.types import Transaction

ACCOUNTS = 16
DEPOSIT = 100


class Bank:
    """Moves money between accounts, one thread per node, and counts what it was told."""

    def __init__(self, cluster: LocalCluster) -> None:
        self.cluster = cluster
        self.acknowledged = dict.fromkeys(cluster.running(), 0)
        self.unknown = dict.fromkeys(cluster.running(), 0)
        self.stopping = threading.Event()

    def transfer(self, number: int, chance: random.Random, transaction: Transaction) -> None:
        source, target = chance.sample(range(ACCOUNTS), 2)
        amount = chance.randint(0, transaction.get(f"/accounts/{source}"))
        transaction.put(f"/accounts/{source}", transaction.get(f"/accounts/{source}") - amount)
        transaction.put(f"/accounts/{target}", transaction.get(f"/accounts/{target}") + amount)
        transaction.increment(f"/done/{number}")

    def work(self, number: int) -> None:
        chance = random.Random(number)
        while not self.stopping.is_set():
            try:
                transfer = partial(self.transfer, number, chance)
                self.cluster.store(number).transaction(transfer, timeout=5)
            except KhepriError as error:
                self.unknown[number] += error.facts.get("outcome") == "unknown"
                self.stopping.wait(0.01)  # the node may be dead: no need to ask without a pause
            else:
                self.acknowledged[number] += 1

    def watch(self) -> None:
        while not self.stopping.is_set():
            for number in self.cluster.running():
                with suppress(KhepriError, LookupError):  # it may be killed this moment
                    accounts = self.cluster.store(number).get_many("/accounts/*")
                    # A node that was started again begins with what it knew to be committed.
                    assert not accounts or sum(accounts.values()) == ACCOUNTS * DEPOSIT


def test_money_is_moved_through_all_members_and_none_is_made_or_lost() -> None:
    with LocalCluster(3) as cluster:
        with cluster.store(0).batch() as batch:
            for account in range(ACCOUNTS):
                batch.put(f"/accounts/{account}", DEPOSIT)
        stores = [cluster.store(number) for number in cluster.running()]
        eventually(lambda: all(store.count("/accounts/*") == ACCOUNTS for store in stores))
        bank = Bank(cluster)
        failures: list[BaseException] = []

        def watch() -> None:
            try:
                bank.watch()
            except AssertionError as error:
                failures.append(error)

        threads = [threading.Thread(target=bank.work, args=(number,)) for number in range(3)]
        threads.append(threading.Thread(target=watch))
        for thread in threads:
            thread.start()
        try:
            eventually(lambda: min(bank.acknowledged.values()) >= 10, "transfers everywhere")
            leader = cluster.leader()
            before = dict(bank.acknowledged)
            cluster.kill(leader)
            living = cluster.running()
            eventually(lambda: all(bank.acknowledged[n] > before[n] + 10 for n in living))
            cluster.restart(leader)
            eventually(lambda: bank.acknowledged[leader] > before[leader] + 10)
        finally:
            bank.stopping.set()
            for thread in threads:
                thread.join()
        assert not failures
        tree = await_equal_trees(cluster)
        assert sum(tree[f"/accounts/{account}"][0] for account in range(ACCOUNTS)) == 1_600  # type: ignore[misc]
        for number, acknowledged in bank.acknowledged.items():
            done = tree[f"/done/{number}"][0]
            assert isinstance(done, int)
            assert acknowledged <= done <= acknowledged + bank.unknown[number]
