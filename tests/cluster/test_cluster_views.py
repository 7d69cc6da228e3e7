"""What a node has shown of the tree it never takes back while it runs."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from khepri.testing import LocalCluster
from tests.cluster.cluster_helpers import PATIENCE_SECONDS, eventually

if TYPE_CHECKING:
    from khepri.log.memory_file_system import Operation

SLOW_SECONDS = 0.4


def test_a_server_that_is_started_again_does_not_take_back_what_was_read() -> None:
    """The leader's own disk is slow, the write is committed by those of the two others."""
    with LocalCluster(3) as cluster:
        leader = cluster.leader()
        store, access = cluster.store(leader), cluster.node(leader).access(cluster.store_id)
        store.put("/before", 1)
        is_slow, never = threading.Event(), threading.Event()

        def be_slow_once(operation: Operation) -> None:
            if (
                operation.name == "fdatasync"
                and "/wal/" in operation.path
                and not is_slow.is_set()
            ):
                is_slow.set()
                never.wait(SLOW_SECONDS)

        files = cluster._files[leader]
        with files.guard:
            files.inner.hook = be_slow_once
        store.put("/x", 1, timeout=PATIENCE_SECONDS)
        assert is_slow.wait(PATIENCE_SECONDS)  # the others may have been quicker to the end
        assert store.exists("/x")
        server = access.server
        assert server is not None
        server.cast(object())  # a crash
        server.down.get(timeout=PATIENCE_SECONDS)

        def is_back() -> bool:
            assert store.exists("/x")
            return access.server not in {None, server}

        eventually(is_back, "that the server is started again")
        assert store.exists("/x")
        store.put("/after", 1, timeout=PATIENCE_SECONDS)
        assert store.exists("/x")
