"""A disk that does not take term and vote: reads go on, and the member comes back by itself."""

from __future__ import annotations

import errno
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from khepri.actors.server_messages import AskCore, ConsistentRead, TakeSnapshotNow
from khepri.calls import result
from khepri.errors import DirectoryAccessError, StorageError
from khepri.log.write_ahead_log import WriteAheadLog
from khepri.raft.events import TransferLeadership
from khepri.testing import LocalCluster
from tests.cluster.cluster_helpers import PATIENCE_SECONDS, await_equal_trees, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from khepri.log.memory_file_system import Operation
    from khepri.raft.events import Event


def refuse(
    cluster: LocalCluster, number: int, error_number: int, *, path_end: str | tuple[str, ...] = ""
) -> None:
    """Have a node's disk take nothing any more; 0 for one that does again."""

    def hook(operation: Operation) -> None:
        is_change = operation.name in {"pwrite", "fdatasync", "create", "rename", "unlink"}
        if is_change and operation.path.endswith(path_end):
            raise OSError(error_number, os.strerror(error_number))

    files = cluster._files[number]
    with files.guard:
        files.inner.hook = hook if error_number else None


@pytest.mark.parametrize("error_number", [errno.EROFS, errno.EIO, errno.ENOSPC])
def test_a_member_that_cannot_save_its_term_outlives_elections_and_comes_back(
    error_number: int,
) -> None:
    with LocalCluster(3) as cluster:
        leader = cluster.leader()
        ill, other = (number for number in range(3) if number != leader)
        cluster.store(leader).put("/a", 1)
        eventually(lambda: cluster.store(ill).get_or("/a", 0) == 1, "the put everywhere")
        server = cluster.node(ill).access(cluster.store_id).server
        refuse(cluster, ill, error_number)
        for target in (other, leader, other):  # terms that the ill one cannot note
            name = cluster.name(target)
            cluster.manager(target).transfer_leadership(name, timeout=PATIENCE_SECONDS)
            cluster.store(target).put("/a", 2, timeout=PATIENCE_SECONDS)
            assert cluster.store(ill).get("/a") in {1, 2}
        with pytest.raises(StorageError) as refused:
            cluster.store(ill).get("/a", favor="consistency", timeout=PATIENCE_SECONDS)
        assert refused.value.outcome == "not_applied"
        with pytest.raises(StorageError):
            cluster.store(ill).put("/b", 3, timeout=PATIENCE_SECONDS)
        assert cluster.manager(ill).status(cluster.store_id).role != "leader"
        refuse(cluster, ill, 0)
        eventually(lambda: cluster.store(ill).get("/a") == 2, "that it has caught up")
        cluster.store(ill).put("/b", 3, timeout=PATIENCE_SECONDS)
        await_equal_trees(cluster)
        assert cluster.node(ill).access(cluster.store_id).server is server  # never restarted


def test_a_store_that_cannot_save_its_first_term_does_not_start() -> None:
    with LocalCluster(1) as cluster:
        cluster.store(0).put("/a", 1)
        cluster.manager(0).stop(cluster.store_id)
        refuse(cluster, 0, errno.EROFS)
        with pytest.raises(DirectoryAccessError):
            cluster.manager(0).start("/cluster", cluster.store_id)
        refuse(cluster, 0, 0)
        cluster.manager(0).start("/cluster", cluster.store_id)
        assert cluster.store(0).get("/a") == 1


class BusyServer:
    """The server of a follower that looks at nothing for a while, so that much waits at once."""

    def __init__(self, cluster: LocalCluster, number: int) -> None:
        server = cluster.node(number).access(cluster.store_id).server
        assert server is not None
        self.server = server
        is_busy, self._may_go_on = threading.Event(), threading.Event()

        def be_busy(ticket: Any) -> Event:
            is_busy.set()
            assert self._may_go_on.wait(PATIENCE_SECONDS)
            return TransferLeadership(None, ticket)  # refused, which does not matter

        server.request(AskCore(be_busy))
        assert is_busy.wait(PATIENCE_SECONDS)

    def go_on(self, waiting: int) -> None:
        """Look again, once so many messages wait."""
        eventually(lambda: self.server.mailbox.depth() >= waiting, "that messages wait")
        self._may_go_on.set()


@pytest.fixture
def formed() -> Iterator[tuple[LocalCluster, int, int, int]]:
    """Give a cluster with its leader, the member that falls ill, and the other one."""
    with LocalCluster(3) as cluster:
        leader = cluster.leader()
        ill, other = (number for number in range(3) if number != leader)
        cluster.store(leader).put("/a", 1)
        eventually(lambda: cluster.store(ill).get_or("/a", 0) == 1, "the put everywhere")
        yield cluster, leader, ill, other


def hand_over(cluster: LocalCluster, to: int) -> None:
    cluster.manager(to).transfer_leadership(cluster.name(to), timeout=PATIENCE_SECONDS)


def test_a_snapshot_taken_meanwhile_holds_what_it_says(
    formed: tuple[LocalCluster, int, int, int],
) -> None:
    """What is committed in the step that is held back is not in the tree yet."""
    cluster, leader, ill, other = formed
    busy = BusyServer(cluster, ill)
    refuse(cluster, ill, errno.EIO, path_end="meta")
    cluster.store(leader).put("/a", 2)
    cluster.store(leader).put("/b", 2)
    hand_over(cluster, other)
    cluster.store(other).put("/c", 2)
    busy.go_on(8)
    access, manager = cluster.node(ill).access(cluster.store_id), cluster.manager(ill)

    def holds_back() -> bool:
        assert access.view is not None
        return manager.status(cluster.store_id).last_applied > access.view.index

    eventually(holds_back, "that committed entries are held back")
    busy.server.request(TakeSnapshotNow()).get(timeout=PATIENCE_SECONDS)
    refuse(cluster, ill, 0)
    eventually(lambda: cluster.store(ill).get_or("/c", 0) == 2, "that it has caught up")
    cluster.kill(ill)
    cluster.restart(ill)
    await_equal_trees(cluster)


def test_a_read_that_waits_when_the_term_is_refused_is_told(
    formed: tuple[LocalCluster, int, int, int],
) -> None:
    cluster, _, ill, other = formed
    busy = BusyServer(cluster, ill)
    refuse(cluster, ill, errno.EIO, path_end="meta")
    hand_over(cluster, other)
    reads = [busy.server.request(ConsistentRead(), result) for _ in range(2)]
    busy.go_on(5)
    errors: list[StorageError] = []
    for read in reads:
        with pytest.raises(StorageError) as refused:
            read.get(timeout=PATIENCE_SECONDS)
        errors.append(refused.value)
    assert [error.outcome for error in errors] == ["not_applied", "not_applied"]
    assert errors[0] is not errors[1]  # each has a traceback of its own


def test_writes_are_refused_also_when_the_log_itself_works(
    formed: tuple[LocalCluster, int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A notice of the log says that the disk works; term and vote are refused all the same."""
    cluster, leader, ill, other = formed
    is_slow, may_go_on = threading.Event(), threading.Event()
    write = WriteAheadLog.write

    def slow_write(log: WriteAheadLog, *arguments: Any, **options: Any) -> Any:
        thread = threading.current_thread().name
        if f"node{ill}" in thread and "wal-writer" in thread and not may_go_on.is_set():
            is_slow.set()
            assert may_go_on.wait(PATIENCE_SECONDS)
        return write(log, *arguments, **options)

    monkeypatch.setattr(WriteAheadLog, "write", slow_write)
    cluster.store(leader).put("/large", "x" * 100_000)  # too much for the server's own thread
    assert is_slow.wait(PATIENCE_SECONDS)
    refuse(cluster, ill, errno.EIO, path_end="meta")
    hand_over(cluster, other)

    def is_refused() -> bool:
        try:
            cluster.store(ill).put("/b", 3, timeout=PATIENCE_SECONDS)
        except StorageError:
            return True
        return False

    eventually(is_refused, "that writes are refused")
    may_go_on.set()
    status = cluster.manager(ill).status
    written = status(cluster.store_id).last_written
    for _ in range(20):
        with pytest.raises(StorageError):
            cluster.store(ill).put("/b", 3, timeout=2)
    assert status(cluster.store_id).last_written == written  # no step is taken meanwhile
    refuse(cluster, ill, 0)
    eventually(lambda: status(cluster.store_id).last_written > written, "that it goes on")
    cluster.store(ill).put("/b", 3, timeout=PATIENCE_SECONDS)
