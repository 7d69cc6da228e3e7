"""A store with very many tree nodes, for the benchmarks that need one."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from khepri.actors.ra_server_config import LARGEST

if TYPE_CHECKING:
    from khepri.actors.future import KhepriFuture
    from khepri.store import Store

PAYLOAD_BYTES = 100
CHILDREN = 1_000
_BATCH_OPERATIONS = 500
_BATCHES_IN_FLIGHT = 8
_DEADLINE_SECONDS = 300.0
_NEVER = LARGEST


def config(store_id: str) -> dict[str, object]:
    """Give the config of a store that takes a snapshot only when it is told to."""
    return {"cluster_name": store_id, "snapshot_bytes": _NEVER, "snapshot_entries": _NEVER}


def fill(store: Store, tree_nodes: int) -> None:
    """Put so many payloads of 100 bytes, 1,000 below each parent; return when all are on disk."""
    waiting = deque["KhepriFuture[Any]"]()
    for first in range(0, tree_nodes, _BATCH_OPERATIONS):
        batch = store.batch()
        for number in range(first, min(first + _BATCH_OPERATIONS, tree_nodes)):
            payload = number.to_bytes(8) * (PAYLOAD_BYTES // 8) + b"...."
            batch.put(["tree", str(number // CHILDREN), str(number % CHILDREN)], payload)
        waiting.append(batch.commit(async_=True))
        if len(waiting) >= _BATCHES_IN_FLIGHT:
            waiting.popleft().get()
    while waiting:
        waiting.popleft().get()


def take_snapshot(store_id: str) -> None:
    """Have the store write a snapshot now; return when it is durable."""
    from khepri.actors.default_node import default_node  # noqa: PLC0415 - in the measuring process only
    from khepri.actors.server_messages import TakeSnapshotNow  # noqa: PLC0415

    server = default_node().access(store_id).server
    assert server is not None
    server.request(TakeSnapshotNow()).get(timeout=_DEADLINE_SECONDS)
