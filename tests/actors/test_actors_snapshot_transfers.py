"""What comes of a snapshot that the disk does not take."""

from __future__ import annotations

from khepri.actors.snapshot_transfers import SnapshotTransfers
from khepri.log.memory_file_system import MemoryFileSystem
from khepri.log.snapshots import Snapshots
from khepri.raft.effects import StoreSnapshotChunk
from khepri.raft.events import SnapshotAcceptFailed, SnapshotChunkStored
from tests.log.log_helpers import seeded_bytes, snapshot_meta

FOLDER = "/snapshots"


def test_a_snapshot_that_the_disk_has_no_room_for_gives_its_room_back() -> None:
    files = MemoryFileSystem(capacity_bytes=1 << 20)
    files.make_directory(FOLDER)
    transfers = SnapshotTransfers(Snapshots(files, FOLDER, seeded_bytes()))
    meta, piece = snapshot_meta(9), bytes(1 << 18)
    answer = transfers.store(StoreSnapshotChunk(7, meta, 0, piece))
    while isinstance(answer, SnapshotChunkStored):
        assert answer.next_offset <= 1 << 20
        answer = transfers.store(StoreSnapshotChunk(7, meta, answer.next_offset, piece))
    assert isinstance(answer, SnapshotAcceptFailed)
    assert not files.listdir(FOLDER)
