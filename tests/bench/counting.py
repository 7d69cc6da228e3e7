"""Counting in transactions, and as puts: what the benchmark of transactions has callers do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .callers import blocking_calls_per_second

if TYPE_CHECKING:
    from khepri.store import Store
    from khepri.types import Transaction

_WARM_UP_SECONDS = 0.2


def transactions_per_second(store: Store, threads: int, seconds: float, *, shared: bool) -> float:
    """Count in transactions from threads that wait for each."""
    return counts_per_second(store, threads, seconds, "together" if shared else "apart")


def counts_per_second(store: Store, threads: int, seconds: float, kind: str) -> float:
    """Do one kind of counting from threads that wait for each: puts, apart or together."""

    def call(thread: int, number: int) -> None:
        if kind == "puts":
            store.put(f"/bench/{thread}", number)
        else:
            count(f"/bench/{thread}" if kind == "apart" else "/bench/all")

    def count(path: str) -> None:
        def next_one(transaction: Transaction) -> None:
            transaction.put(path, transaction.get_or(path, 0) + 1)

        store.transaction(next_one)

    blocking_calls_per_second(call, threads=threads, seconds=_WARM_UP_SECONDS)
    return blocking_calls_per_second(call, threads=threads, seconds=seconds)
