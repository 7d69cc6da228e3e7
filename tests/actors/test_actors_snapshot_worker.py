"""The SnapshotWorker does not keep others waiting while it takes a large snapshot."""

from __future__ import annotations

import threading
from queue import SimpleQueue
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from khepri.actors.label import ActorLabel
from khepri.actors.server_messages import SnapshotWorkerStarted
from khepri.actors.snapshot_worker import SnapshotWorker, TakeSnapshot
from khepri.log.memory_file_system import MemoryFileSystem
from khepri.log.snapshots import Snapshots
from khepri.raft.effects import InstallSnapshot, ReadSnapshotChunk
from khepri.raft.events import SnapshotAcceptFailed, SnapshotChunkRead, SnapshotTaken
from tests.log.log_helpers import chunks_of, seeded_bytes, snapshot_meta

if TYPE_CHECKING:
    from collections.abc import Iterator

    from khepri.actors.reference import ActorReference

FOLDER = "/snapshots"
SECONDS = 20
OLD, NEW = snapshot_meta(5), snapshot_meta(9)


class House:
    """A worker, its files, and the server that it reports to."""

    def __init__(self) -> None:
        self.files = MemoryFileSystem()
        self.files.make_directory(FOLDER)
        snapshots = Snapshots(self.files, FOLDER, seeded_bytes())
        snapshots.write(OLD, chunks_of(OLD))
        self.reports: SimpleQueue[object] = SimpleQueue()
        self.may_end = threading.Event()
        server: Any = SimpleNamespace(cast=self.reports.put)
        directory = SimpleNamespace(snapshots={"UID": snapshots}.__getitem__)
        setup: Any = SimpleNamespace(
            uid="UID",
            storage=SimpleNamespace(directory=directory),
            wal_writer=SimpleNamespace(cast=SimpleQueue[object]().put),
        )
        label = ActorLabel("snapshot-worker", None, "alice")
        self.worker: ActorReference = SnapshotWorker.start(label, setup, server)
        assert isinstance(self.next(), SnapshotWorkerStarted)

    def take(self) -> None:
        """Begin a snapshot that goes on until `may_end` is set."""

        def chunks() -> Iterator[bytes]:
            while not self.may_end.is_set():
                yield b"chunk"

        self.worker.cast(TakeSnapshot(NEW, chunks()))

    def next(self) -> object:
        return self.reports.get(timeout=SECONDS)

    def names(self) -> list[str]:
        return sorted(self.files.listdir(FOLDER))


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    yield house
    house.may_end.set()
    house.worker.stop(timeout=SECONDS)


def test_pieces_of_another_snapshot_are_sent_while_one_is_taken(house: House) -> None:
    house.take()
    house.worker.cast(ReadSnapshotChunk(1, OLD, 0, 1 << 20))
    sent = house.next()
    assert isinstance(sent, SnapshotChunkRead)
    assert sent.done
    house.may_end.set()
    assert house.next() == SnapshotTaken(NEW)


def test_what_would_put_another_one_in_place_waits_and_all_behind_it(house: House) -> None:
    house.take()
    house.worker.cast(InstallSnapshot(7, snapshot_meta(12)))
    house.worker.cast(ReadSnapshotChunk(2, NEW, 0, 1 << 20))
    house.may_end.set()
    assert house.next() == SnapshotTaken(NEW)
    assert isinstance(house.next(), SnapshotAcceptFailed)  # nothing was received
    sent = house.next()
    assert isinstance(sent, SnapshotChunkRead)


def test_a_worker_that_is_told_to_stop_breaks_off_and_leaves_nothing_half_done(
    house: House,
) -> None:
    before = house.names()
    house.take()
    house.worker.cast(ReadSnapshotChunk(1, OLD, 0, 1))
    assert isinstance(house.next(), SnapshotChunkRead)  # it is at it
    assert house.worker.stop(timeout=SECONDS)
    assert house.names() == before
