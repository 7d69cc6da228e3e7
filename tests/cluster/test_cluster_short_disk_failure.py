"""A failure of the disk that is over before the server looks: it must not stay for ever."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from khepri.actors.server_messages import AskCore
from khepri.errors import DiskFailedError, KhepriError
from khepri.log.write_ahead_log import WriteAheadLog
from khepri.raft.events import TransferLeadership
from khepri.testing import LocalCluster
from tests.cluster.cluster_helpers import PATIENCE_SECONDS, eventually

if TYPE_CHECKING:
    from khepri.raft.events import Event


@pytest.mark.parametrize("size", [1, 3])
def test_writes_go_on_after_a_failure_that_was_over_before_the_server_looked(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It finds the notice that all is written first, and then the older word of the failure."""
    with LocalCluster(size) as cluster:
        number = cluster.leader()
        store, access = cluster.store(number), cluster.node(number).access(cluster.store_id)
        store.put("/a", 1)
        is_refused, is_busy, is_written = (threading.Event() for _ in range(3))
        write = WriteAheadLog.write

        def refuse_once(log: WriteAheadLog, *arguments: Any, **options: Any) -> Any:
            thread = threading.current_thread().name
            if f"node{number}" not in thread or is_written.is_set():
                return write(log, *arguments, **options)
            if "wal-writer" not in thread or not is_refused.is_set():
                if "wal-writer" in thread:
                    assert is_busy.wait(PATIENCE_SECONDS)
                    is_refused.set()
                raise DiskFailedError("EIO", path="/wal")
            written = write(log, *arguments, **options)
            is_written.set()
            return written

        def be_busy(ticket: Any) -> Event:
            is_busy.set()
            assert is_written.wait(PATIENCE_SECONDS)
            return TransferLeadership(None, ticket)  # refused, which does not matter

        monkeypatch.setattr(WriteAheadLog, "write", refuse_once)
        under_way = store.put("/b", 1, async_=True)
        eventually(lambda: cluster.manager(number).status(cluster.store_id).last_index >= 2)
        assert access.server is not None
        access.server.request(AskCore(be_busy))
        with suppress(KhepriError):  # it may be told of the failure
            under_way.get(timeout=PATIENCE_SECONDS)

        def writes() -> bool:
            with suppress(KhepriError):
                store.put("/c", 1, timeout=1)
                return True
            return False

        eventually(writes, "that writes go on")
        status = cluster.manager(number).status(cluster.store_id)
        assert status.last_written == status.last_index
