"""The snapshot worker of a simulated node, and its server's side of the dialogue.

What `actors/snapshot_worker.py` and `actors/server_snapshots.py` do, one small step per event: a
chunk taken, a piece read, a piece stored, the old log voided, the new snapshot put in place. One
task at a time, in order, as an actor does them; a crash can come between any two steps. Pieces
are read and stored by the same code (`actors/snapshot_transfers.py`).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from khepri.actors.snapshot_transfers import SnapshotTransfers
from khepri.errors import StorageError
from khepri.machine.machine import Machine
from khepri.raft import effects as effect
from khepri.raft import events as event
from khepri.raft.types import Index

if TYPE_CHECKING:
    from collections.abc import Iterator

    from khepri.log.interface import SnapshotAcceptor, Snapshots
    from khepri.raft.types import SnapshotMeta

    from .simulation_node import SimulatedNode
    from .simulation_server import SimulatedServer


class TakeSnapshot(NamedTuple):
    """Write a snapshot of the captured chunks."""

    meta: SnapshotMeta
    chunks: Iterator[bytes]


class SnapshotReady(NamedTuple):
    """A peer's snapshot is durable, and this is the machine made from it."""

    meta: SnapshotMeta
    machine: Machine


class SnapshotFailed(NamedTuple):
    """No snapshot could be written."""

    reason: str


def restore_machine(snapshots: Snapshots) -> Machine:
    """Give the machine as of the newest snapshot.

    Raises:
        StorageError: it cannot be read, or is not what was written.
    """
    if snapshots.current is None:
        return Machine()
    reader = snapshots.open_reader()
    try:
        meta = reader.meta
        return Machine.restore(reader.chunks(), index=meta.index, version=meta.machine_version)
    finally:
        reader.close()


class SnapshotWorker:
    """Owns the snapshot files of one server; ends with it."""

    def __init__(self, node: SimulatedNode, server: SimulatedServer) -> None:
        """Open the snapshots."""
        self._node = node
        self._server = server
        self._snapshots = node.directory.snapshots(node.uid)
        self._transfers = SnapshotTransfers(self._snapshots)
        self._tasks: deque[object] = deque()
        self._taken: list[bytes] = []

    @property
    def open_readers(self) -> int:
        """How many transfers hold a snapshot open."""
        return self._transfers.open_readers

    def add(self, task: object) -> None:
        """Queue a task."""
        self._tasks.append(task)
        if len(self._tasks) == 1:
            self._schedule()

    def _schedule(self) -> None:
        self._node.later(self._node.sync_seconds(), self._work)

    def _work(self) -> None:
        if self._server.is_over:
            return
        task = self._tasks[0]
        answer = self._step(task)
        if answer is not task:  # the task itself as the answer means: there is more to do
            self._tasks.popleft()
            if answer is not None:
                self._node.later(self._node.handover_seconds(), self._server.arrive, answer)
        if self._tasks:
            self._schedule()

    def _step(self, task: object) -> object:
        match task:
            case TakeSnapshot():
                return self._take(task)
            case effect.ReadSnapshotChunk():
                return self._transfers.read(task)
            case effect.EndSnapshotSend():
                self._transfers.end_send(task)
            case effect.StoreSnapshotChunk():
                return self._transfers.store(task)
            case effect.InstallSnapshot():
                return self._void(task)
            case _Install():
                return self._install(task)
            case effect.DiscardSnapshot():
                self._transfers.discard(task)
            case _:
                raise TypeError(f"not a task: {task!r}")
        return None

    def _take(self, task: TakeSnapshot) -> object:
        for chunk in task.chunks:
            self._taken.append(chunk)
            return task
        chunks, self._taken = self._taken, []
        try:
            self._snapshots.write(task.meta, chunks)
        except StorageError as error:
            return SnapshotFailed(str(error))
        self._node.observer.snapshot_durable(self._node, task.meta)
        # It may reach beyond what the disk has taken of the log: the log may go on behind it.
        self._node.wal_writer.log.set_last_index(self._node.uid, task.meta.index)
        return event.SnapshotTaken(task.meta)

    def _void(self, one: effect.InstallSnapshot) -> object:
        acceptor = self._transfers.take_received(one.transfer_id)
        if acceptor is None:
            return event.SnapshotAcceptFailed(one.transfer_id, "nothing was received")
        try:
            self._node.wal_writer.void(one.meta.index)
        except StorageError as error:
            return event.SnapshotAcceptFailed(one.transfer_id, str(error))
        self._tasks.insert(1, _Install(one, acceptor))
        return None

    def _install(self, one: _Install) -> object:
        meta = one.effect.meta
        try:
            one.acceptor.commit()
            self._node.observer.snapshot_durable(self._node, meta)
            self._node.wal_writer.write()
            self._node.wal_writer.log.set_last_index(self._node.uid, meta.index)
            machine = restore_machine(self._snapshots)
        except StorageError as error:
            return event.SnapshotAcceptFailed(one.effect.transfer_id, str(error))
        return SnapshotReady(meta, machine)


class _Install(NamedTuple):
    """The second half of an installation: the old log is void."""

    effect: effect.InstallSnapshot
    acceptor: SnapshotAcceptor


class SnapshotCadence:
    """When a server takes a snapshot: the rule of `actors/server_snapshots.py`, on its clock."""

    def __init__(self, node: SimulatedNode, server: SimulatedServer, last_index: int) -> None:
        """Begin with the snapshot that the server was recovered from."""
        self._node = node
        self._server = server
        self._is_taking = False
        self._not_before = -1.0
        self._grown_entries = 0
        self.last_index = last_index

    def grown(self) -> None:
        """An entry was applied."""
        self._grown_entries += 1

    def consider(self) -> None:
        """Take a snapshot if it is time for one."""
        is_enough = self._grown_entries >= self._node.settings.snapshot_entries
        if is_enough and self._server.clock() >= self._not_before:
            self.take_now()

    def take_now(self) -> None:
        """Take a snapshot, unless one is being taken or there is one of that index."""
        core, index = self._server.core, self._server.machine.view.index
        if self._is_taking or index <= self.last_index:
            return
        self._is_taking = True
        self._grown_entries = 0
        meta = core.snapshot_meta(Index(index))
        self._server.worker.add(TakeSnapshot(meta, self._server.machine.snapshot_chunks()))

    def taken(self, meta: SnapshotMeta) -> None:
        """The worker has made a snapshot durable."""
        self._over()
        self._has_become(meta)

    def failed(self) -> None:
        """The worker could not write it; the log stays as it is."""
        self._over()

    def installed(self, meta: SnapshotMeta) -> None:
        """A snapshot from a peer has replaced the machine and the log."""
        self._grown_entries = 0
        self._has_become(meta)

    def _over(self) -> None:
        self._is_taking = False
        self._not_before = self._server.clock() + self._node.settings.snapshot_interval_seconds

    def _has_become(self, meta: SnapshotMeta) -> None:
        self.last_index = max(self.last_index, meta.index)
        self._node.segment_writer.release(meta.index)
