"""What the tests of several nodes share: waiting, writers that keep count, equal trees."""

from __future__ import annotations

import itertools
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from khepri.actors.supervision import which_children
from khepri.errors import KhepriError, NoSuchServerError, ServerStoppedError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from types import TracebackType

    from khepri.actors.reference import ActorReference
    from khepri.testing.local_cluster import LocalCluster

PATIENCE_SECONDS = 30.0

GRACE_SECONDS = 0.5
"""How much later than its timeout a function may return."""

QUICK: Final[Mapping[str, object]] = {
    "heartbeat_interval_seconds": 0.05,
    "election_timeout_min_seconds": 0.3,
    "election_timeout_max_seconds": 0.6,
}
"""Half the default times: for tests that wait until a leader is missed, and then show something
that does not depend on how long that took, nor on who leads next."""


def eventually(condition: Callable[[], object], what: str = "it") -> Any:
    """Look again and again until a condition holds, and give what it gave."""
    end = time.monotonic() + PATIENCE_SECONDS
    pause = threading.Event()
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, f"{what} did not happen within {PATIENCE_SECONDS} s"
        pause.wait(0.005)


def others(cluster: LocalCluster, *numbers: int) -> list[int]:
    """Give the running nodes but for some."""
    return [number for number in cluster.running() if number not in numbers]


def role(cluster: LocalCluster, number: int) -> str:
    return cluster.manager(number).status(cluster.store_id).role


def leader_among(cluster: LocalCluster, numbers: Collection[int]) -> int:
    """Wait until one of these nodes leads and the others of them know."""

    def find() -> list[int]:
        known = {number: cluster.manager(number).status(cluster.store_id) for number in numbers}
        return [
            number
            for number, status in known.items()
            if status.role == "leader"
            and all(
                other.leader == status.server_id and other.term == status.term
                for other in known.values()
            )
        ]

    return int(eventually(find, f"a leader among {numbers}")[0])


def tree(cluster: LocalCluster, number: int) -> dict[str, tuple[object, object, object]]:
    """Give what a node has: data and versions by path."""
    found = cluster.store(number).adv.get_many("**", props_to_return=ALL_PROPERTIES)
    return {
        str(path): (
            properties.get("data"),
            properties["payload_version"],
            properties["child_list_version"],
        )
        for path, properties in found.items()
    }


ALL_PROPERTIES = ("payload", "payload_version", "child_list_version")


def await_equal_trees(cluster: LocalCluster) -> dict[str, tuple[object, object, object]]:
    """Wait until every running node has applied what any has committed; all must be equal."""
    numbers = cluster.running()
    leader = leader_among(cluster, numbers)
    cluster.store(leader).fence(timeout=PATIENCE_SECONDS)

    def all_are_there() -> bool:
        states = [cluster.manager(number).status(cluster.store_id) for number in numbers]
        return len({(state.last_applied, state.last_index) for state in states}) == 1

    eventually(all_are_there, "the same index everywhere")
    trees = [tree(cluster, number) for number in numbers]
    assert all(one == trees[0] for one in trees)
    return trees[0]


class Account(NamedTuple):
    """What became of one tree node that has one writer."""

    acknowledged: int
    sent: int


class Writers:
    """Threads that put 1, 2, 3, ... each to a tree node of its own, through given nodes.

    Each value differs from the one before, so data and payload version are equal exactly as long
    as nothing is lost and nothing is applied twice. When the outcome of a put is unknown its
    writer goes on with a new tree node.
    """

    def __init__(
        self, cluster: LocalCluster, nodes: Collection[int], *, per_node: int = 2
    ) -> None:
        self._cluster = cluster
        self._over = threading.Event()
        self._lock = threading.Lock()
        self.accounts: dict[str, Account] = {}
        self.acknowledged = 0
        self.acknowledged_at: list[float] = []
        self.failures: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._write, args=(node, f"w/{node}-{which}"))
            for node, which in itertools.product(nodes, range(per_node))
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive(), "a writer hangs"

    def await_progress(self, count: int = 20) -> None:
        """Wait until that many more puts were acknowledged."""
        wanted = self.acknowledged + count
        eventually(lambda: self.acknowledged >= wanted, f"{count} acknowledged puts")

    def longest_stall_seconds(self) -> float:
        times = self.acknowledged_at
        return max((b - a for a, b in itertools.pairwise(times)), default=0.0)

    def _write(self, node: int, prefix: str) -> None:
        for life in itertools.count():
            path = f"{prefix}-{life}"
            value = 0
            while not self._over.is_set():
                value += 1
                with self._lock:
                    self.accounts[path] = Account(value - 1, value)
                try:
                    self._cluster.store(node).put(f"/{path}", value, timeout=10.0)
                except (KhepriError, KeyError) as error:
                    with self._lock:
                        self.failures.append(error)
                    break
                with self._lock:
                    self.accounts[path] = Account(value, value)
                    self.acknowledged += 1
                    self.acknowledged_at.append(time.monotonic())
            if self._over.wait(0.02):
                return

    def check(self, found: dict[str, tuple[object, object, object]]) -> None:
        """Compare what is there with what was acknowledged."""
        check_accounts(self.accounts, found)


def check_accounts(
    accounts: dict[str, Account], found: dict[str, tuple[object, object, object]]
) -> None:
    """Every acknowledged put is there, nothing was invented, nothing was applied twice."""
    for path, account in accounts.items():
        data, version, _ = found.get(f"/{path}", (0, 0, 0))
        assert isinstance(data, int)
        assert data >= account.acknowledged, f"/{path}: {account} but {data} is there"
        assert data <= account.sent, f"/{path}: {account} but {data} is there"
        assert version == data, f"/{path}: {data} puts were applied {version} times"


class Timed(NamedTuple):
    """How a call ended, and after how long."""

    seconds: float
    error: KhepriError | None
    value: Any


def timed(function: Callable[[], Any]) -> Timed:
    """Call a function and look at the clock."""
    begun = time.monotonic()
    error: KhepriError | None = None
    value: Any = None
    try:
        value = function()
    except KhepriError as raised:
        error = raised
    return Timed(time.monotonic() - begun, error, value)


def calls_without_majority(
    cluster: LocalCluster, number: int, timeout: float
) -> dict[str, Callable[[], object]]:
    """Everything that needs a majority, on one node."""
    store, manager, store_id = cluster.store(number), cluster.manager(number), cluster.store_id
    elsewhere = cluster.name((number + 1) % len(cluster))
    return {
        "put": lambda: store.put("/p", 1, timeout=timeout),
        "delete": lambda: store.delete("/p", timeout=timeout),
        "consistent get": lambda: store.get("/known", favor="consistency", timeout=timeout),
        "consistent count": lambda: store.count("**", favor="consistency", timeout=timeout),
        "fence": lambda: store.fence(timeout=timeout),
        "members": lambda: manager.members(store_id, timeout),
        "nodes": lambda: manager.nodes(store_id, timeout),
        "wait_for_leader": lambda: manager.wait_for_leader(store_id, timeout),
        "join": lambda: manager.join(elsewhere, store_id, timeout),
        "reset": lambda: manager.reset(store_id, timeout),
        "remove_member": lambda: manager.remove_member(elsewhere, store_id, timeout),
        "transfer_leadership": lambda: manager.transfer_leadership(elsewhere, store_id, timeout),
    }


def actors_of(cluster: LocalCluster, number: int) -> dict[str, ActorReference]:
    """Give the running actors of a node, by role."""
    found: dict[str, ActorReference] = {}
    node = cluster.node(number)
    with suppress(
        ServerStoppedError, NoSuchServerError, LookupError
    ):  # one may just be being restarted
        found.update(_children(node.supervisor()))
        found.update(_children(found["network"]))
        handle, _ = node.store_setup(cluster.store_id)
        found.update(_children(handle.reference))
        stores = dict(_children(found["stores"]))
        found.update(_children(stores[cluster.store_id]))
    return found


def _children(supervisor: ActorReference) -> Iterator[tuple[str, ActorReference]]:
    for child in which_children(supervisor).get(timeout=5):
        if child.reference is not None:
            yield child.id, child.reference
