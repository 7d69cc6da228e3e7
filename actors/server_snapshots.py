"""A server's side of snapshots: when to take one, and the dialogue with the SnapshotWorker.

When (Khepri's rule, spec §5.6, with one departure): enough bytes or entries were applied since
the last one, and some time has passed. "Enough bytes" grows with the size of the snapshot, so
that a large tree is not rewritten for a small change.
"""

from __future__ import annotations

import logging
import re
import time
from typing import TYPE_CHECKING, Any

from khepri.raft.effects import InstallSnapshot, StoreSnapshotChunk
from khepri.raft.events import SnapshotAcceptFailed
from khepri.raft.types import Index

from .segment_writer import ReleaseEntries
from .snapshot_worker import TakeSnapshot, WorkerEffect

if TYPE_CHECKING:
    from khepri.machine.machine import Machine
    from khepri.raft.core import RaftCore
    from khepri.raft.types import SnapshotMeta

    from .future import KhepriFuture
    from .reference import ActorReference
    from .server_recovery import RecoveredServer
    from .server_setup import ServerSetup

_logger = logging.getLogger("khepri.actors.ra_server")


class ServerSnapshots:
    """What a server knows about its snapshots. One thread."""

    def __init__(self, setup: ServerSetup, recovered: RecoveredServer) -> None:
        """Begin with the snapshot that the server was recovered from."""
        self._setup = setup
        self._worker: ActorReference | None = None
        self._is_taking = False
        self._last_failure = ""
        self._receiving: int | None = None
        self._waiting: list[KhepriFuture[Any]] = []
        self._not_before = time.monotonic()
        self._bytes_at_last = 0
        self._grown_entries = 0
        self.applied_bytes = 0
        """Of all commands since the server was started."""
        self.last_index = recovered.snapshot_index
        self.last_bytes = recovered.snapshot_bytes

    def grown(self, size_bytes: int) -> None:
        """An entry of that size was applied."""
        self.applied_bytes += size_bytes
        self._grown_entries += 1

    def consider(self, machine: Machine, core: RaftCore) -> None:
        """Take a snapshot if it is time for one."""
        config = self._setup.config
        is_enough = (
            self.applied_bytes - self._bytes_at_last
            >= max(config.snapshot_bytes, self.last_bytes // 2)
            or self._grown_entries >= config.snapshot_entries
        )
        if is_enough and time.monotonic() >= self._not_before:
            self._take(machine, core)

    def space_is_short(self) -> None:
        """The disk is full: let it be time for a snapshot, which makes the log before it go."""
        if self._grown_entries:
            self._grown_entries = max(self._grown_entries, self._setup.config.snapshot_entries)

    def take_now(self, machine: Machine, core: RaftCore, waiter: KhepriFuture[Any] | None) -> None:
        """Take a snapshot whatever the rule says, unless there is one of that index already."""
        if waiter is not None:
            if machine.view.index <= self.last_index:
                waiter.resolve(None)
                return
            self._waiting.append(waiter)
        self._take(machine, core)

    def taken(self, meta: SnapshotMeta) -> None:
        """The worker has made a snapshot durable."""
        self._last_failure = ""
        self._is_taking = False
        self._not_before = time.monotonic() + self._setup.config.snapshot_interval_seconds
        self._has_become(meta.index)
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.resolve(None)

    def failed(self, reason: str) -> None:
        """The worker could not write it; the log stays as it is, and is not cut."""
        # Tried again and again while, say, the disk is full; the index in the file's name differs.
        failure = re.sub(r"\d+", "", reason)
        if failure != self._last_failure:
            _logger.error("no snapshot of %s could be taken: %s", self._setup.server_id, reason)
            self._last_failure = failure
        self._is_taking = False
        self._not_before = time.monotonic() + self._setup.config.snapshot_interval_seconds
        self._grown_entries = max(self._grown_entries, self._setup.config.snapshot_entries)
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.fail(RuntimeError(reason))

    def installed(self, meta: SnapshotMeta, size_bytes: int) -> None:
        """A snapshot from a peer has replaced the machine and the log."""
        self.last_bytes = size_bytes
        self._begin_to_count()
        self._receiving = None
        self._has_become(meta.index)
        node = self._setup.server_id.node
        _logger.info("%s has installed a snapshot as of entry %d", node, meta.index)

    def worker_started(self, worker: ActorReference) -> None:
        """The worker is (again) there; what the one before was doing is lost."""
        self._worker = worker
        if self._is_taking:
            self.failed("the worker was restarted")
        receiving, self._receiving = self._receiving, None
        server = self._setup.access.server
        if receiving is not None and server is not None:
            # The core waits for the piece to be stored, or for the whole to be installed.
            server.cast(SnapshotAcceptFailed(receiving, "the worker was restarted"))

    def pass_on(self, one: WorkerEffect) -> None:
        """Have the worker execute an effect of the core; without one the core tries again."""
        if isinstance(one, StoreSnapshotChunk | InstallSnapshot):
            self._receiving = one.transfer_id
        if self._worker is not None:
            self._worker.cast(one)

    def _take(self, machine: Machine, core: RaftCore) -> None:
        # Not what the core has handed out: while a term cannot be saved that is not applied here.
        index = machine.view.index
        if self._is_taking or self._worker is None or index <= self.last_index:
            return
        self._is_taking = True
        self._begin_to_count()
        meta = core.snapshot_meta(Index(index))
        self._worker.cast(TakeSnapshot(meta, machine.snapshot_chunks()))

    def _begin_to_count(self) -> None:
        self._bytes_at_last = self.applied_bytes
        self._grown_entries = 0

    def _has_become(self, index: Index) -> None:
        self.last_index = max(self.last_index, index)
        self._setup.storage.segment_writer.cast(ReleaseEntries(self._setup.uid, index))
