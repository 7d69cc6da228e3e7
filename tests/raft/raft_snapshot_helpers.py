"""What the scenarios with snapshots share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from khepri.raft.effects import (
    InstallSnapshot,
    ReadSnapshotChunk,
    StoreSnapshotChunk,
)
from khepri.raft.events import SnapshotChunkStored, SnapshotInstalled
from khepri.raft.messages import (
    AppendEntriesResponse,
    Heartbeat,
    HeartbeatResponse,
    InstallSnapshotRequest,
)
from khepri.raft.settings import RaftSettings
from khepri.raft.types import Index, SnapshotMeta, Term
from tests.raft.raft_helpers import Node, make_leader, propose
from tests.raft.raft_notation import confirmed, voters

if TYPE_CHECKING:
    from khepri.raft.messages import Message
    from tests.raft.raft_cluster import Cluster

NO_TRAIL = RaftSettings(trailing_entries=0, catch_up_bytes=0, snapshot_chunk_bytes=100)


def meta(index: int, term: int = 1, names: str = "ABC") -> SnapshotMeta:
    return SnapshotMeta(Index(index), Term(term), voters(names))


def piece(
    about: SnapshotMeta,
    *,
    term: int = 1,
    transfer_id: int = 1,
    offset: int = 0,
    data: bytes = b"",
    done: bool = False,
) -> InstallSnapshotRequest:
    return InstallSnapshotRequest(Term(term), transfer_id, about, offset, data, done)


def sending_leader(settings: RaftSettings = NO_TRAIL) -> tuple[Node, ReadSnapshotChunk]:
    """A leads; its log begins at 10 and B has nothing, so a snapshot is to be read for B."""
    node = make_leader("A", settings=settings)
    node.sync()
    propose(node, *(b"%d" % i for i in range(2, 11)))
    node.sync()
    node.receive("C", confirmed(10))
    node.take_snapshot()
    node.receive("B", AppendEntriesResponse(Term(1), False, Index(0), Index(0), Term(0)))
    node.receive("B", HeartbeatResponse(Term(1), 1, Index(0), Index(0), Term(0), 600))
    (wanted,) = [e for e in node.history if isinstance(e, ReadSnapshotChunk)]
    return node, wanted


def install(node: Node, about: SnapshotMeta) -> None:
    """B sends a whole snapshot in one piece, and it gets installed (the machine stays)."""
    node.receive("B", piece(about, data=b"all", done=True))
    (stored,) = node.done(StoreSnapshotChunk)
    node.jobs.clear()
    node.step(SnapshotChunkStored(stored.transfer_id, 3))
    assert node.done(InstallSnapshot) == [InstallSnapshot(stored.transfer_id, about)]
    node.jobs.clear()
    node.step(SnapshotInstalled(about))


def answer_heartbeats_for(node: Node, seconds: float) -> None:
    """B and C answer heartbeats, and nothing else happens."""
    end = node.now + seconds
    while node.now < end:
        node.wait(0.1)
        newest = max((b.round for b in node.sent(Heartbeat)), default=1)
        for name, index in (("B", 0), ("C", 10)):
            term = Term(1 if index else 0)
            node.receive(
                name, HeartbeatResponse(Term(1), newest, Index(index), Index(index), term, 600)
            )


class SlowLink:
    """A link in one direction that carries one thing after the other; all others are quick."""

    def __init__(
        self, cluster: Cluster, sender: str, target: str, *, seconds_per_piece: float
    ) -> None:
        self._cluster = cluster
        self._ends = (sender, target)
        self._seconds_per_piece = seconds_per_piece
        self._free_at = 0.0

    def __call__(self, sender: str, target: str, message: Message) -> list[float]:
        if (sender, target) != self._ends:
            return [0.002]
        now = self._cluster.now
        is_large = isinstance(message, InstallSnapshotRequest)
        begin = max(now, self._free_at)
        self._free_at = begin + (self._seconds_per_piece if is_large else 0.002)
        return [self._free_at - now]
