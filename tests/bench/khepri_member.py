"""One member of a khepri cluster, as a worker process: a node over ZeroMQ with CURVE."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import khepri
from khepri import cluster, node

from .callers import blocking_calls_per_second, concurrent_calls_per_second
from .counting import transactions_per_second
from .workloads import EXISTING_TREE_NODES, value

if TYPE_CHECKING:
    from collections.abc import Callable

    from khepri.actors.future import KhepriFuture

STORE = "bench"
PROBE_INTERVAL_SECONDS = 0.02
_WARM_UP_SECONDS = 0.2


class KhepriMember:
    """What the benchmarks have a member do. Callers are threads of this process."""

    def __init__(self, *, name: str, directory: str, cookie: str) -> None:
        self._directory = directory
        node.start(name, cookie=cookie)
        cluster.start(directory, STORE)
        self._store = khepri.Store(STORE)
        self._places = [f"/bench/existing/{number}" for number in range(EXISTING_TREE_NODES)]

    def join(self, *, remote: str) -> None:
        cluster.join(remote, STORE)

    def reset(self) -> None:
        """Leave, lose all data, and begin again."""
        cluster.reset(STORE)
        cluster.start(self._directory, STORE)

    def leader(self) -> str:
        """Wait until there is a leader, and name it."""
        cluster.wait_for_leader(STORE)
        leader = cluster.status(STORE).leader
        return self.leader() if leader is None else leader.node

    def catch_up(self) -> int:
        """Return when all that was committed is applied here; give the last applied index."""
        self._store.fence()
        return cluster.status(STORE).last_applied

    def prepare(self) -> None:
        """Make the tree nodes that are written later."""
        with self._store.batch() as batch:
            for path in self._places:
                batch.put(path, b"")

    def load(self, *, tree_nodes: int) -> int:
        """Put many tree nodes; give how many there are then."""
        for first in range(0, tree_nodes, 1_000):
            with self._store.batch() as batch:
                for number in range(first, first + 1_000):
                    batch.put(f"/load/{number // 100}/{number}", value(number))
        return self._store.count("/**")

    def puts(self, *, threads: int, seconds: float) -> float:
        """Put from threads that wait for each; give puts per second."""
        put, places = self._store.put, self._places

        def call(thread: int, number: int) -> object:
            return put(places[(thread * 61 + number) % EXISTING_TREE_NODES], value(number))

        blocking_calls_per_second(call, threads=threads, seconds=_WARM_UP_SECONDS)
        return blocking_calls_per_second(call, threads=threads, seconds=seconds)

    def puts_of_one_thread(self, *, callers: int, seconds: float) -> float:
        """Put from callers that share a thread; give puts per second."""
        put, places = self._store.put, self._places

        def send(number: int) -> KhepriFuture[Any]:
            return put(places[number % EXISTING_TREE_NODES], value(number), async_=True)

        concurrent_calls_per_second(send, callers=callers, seconds=_WARM_UP_SECONDS)
        return concurrent_calls_per_second(send, callers=callers, seconds=seconds)

    def transactions(self, *, threads: int, seconds: float, shared: int) -> float:
        """Count in transactions, each thread for itself or all together; give them per second."""
        return transactions_per_second(self._store, threads, seconds, shared=bool(shared))

    def gets(self, *, threads: int, seconds: float) -> float:
        """Read linearizably from threads; give reads per second."""
        get, places = self._store.get, self._places

        def call(thread: int, number: int) -> object:
            place = places[(thread * 61 + number) % EXISTING_TREE_NODES]
            return get(place, favor="consistency")

        blocking_calls_per_second(call, threads=threads, seconds=_WARM_UP_SECONDS)
        return blocking_calls_per_second(call, threads=threads, seconds=seconds)

    def put_for(self, *, seconds: float) -> dict[str, float]:
        """Put one after the other for a while: the rate and the longest wait for one."""
        self.begin_putting()
        threading.Event().wait(seconds)
        return self.end_putting()

    def begin_putting(self) -> None:
        """Put one after the other from a thread, until `end_putting`."""
        self._writer = _Writer(self._put)
        self._writer.start()

    def end_putting(self) -> dict[str, float]:
        """Give the rate and the longest wait for one."""
        return self._writer.end()

    def probe(self) -> float:
        """Send a put every 20 ms; give the moment (monotonic) when the first one returned."""
        acknowledged: list[float] = []
        answered = threading.Event()

        def answer(future: KhepriFuture[None]) -> None:
            if future.failure is None:
                acknowledged.append(time.monotonic())
                answered.set()

        number = 0
        while not answered.wait(PROBE_INTERVAL_SECONDS):
            self._store.put(self._places[number], value(number), async_=True).add_done_callback(
                answer
            )
            number += 1
        return acknowledged[0]

    def _put(self, number: int) -> None:
        self._store.put(self._places[number % EXISTING_TREE_NODES], value(number))


class _Writer(threading.Thread):
    """Writes until it is told to end."""

    def __init__(self, put: Callable[[int], None]) -> None:
        super().__init__(daemon=True)
        self._put = put
        self._is_ending = False
        self._figures: dict[str, float] = {}

    def run(self) -> None:
        started = last = time.monotonic()
        longest, number = 0.0, 0
        while not self._is_ending:
            self._put(number)
            number += 1
            now = time.monotonic()
            longest, last = max(longest, now - last), now
        self._figures = {"rate": number / (last - started), "longest_seconds": longest}

    def end(self) -> dict[str, float]:
        self._is_ending = True
        self.join()
        return self._figures
