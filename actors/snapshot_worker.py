"""The SnapshotWorker: writes, sends and installs snapshots of one store, off its server's thread.

Taking one is paced: the interpreter lock is shared with everybody who writes meanwhile, so after
every chunk it rests. The tree it walks is immutable; nobody waits for it. It may take a minute, so
it is broken off when the worker is told to stop.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, assert_never

from khepri.errors import KhepriTimeoutError, StorageError
from khepri.raft import effects as effect
from khepri.raft.events import SnapshotAcceptFailed, SnapshotTaken

from .actor import KhepriActor
from .server_messages import SnapshotFailed, SnapshotReady, SnapshotWorkerStarted
from .server_recovery import restore_machine
from .snapshot_transfers import SnapshotTransfers
from .wal_writer import SetLastIndex, VoidLog

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from khepri.raft.events import Event
    from khepri.raft.types import SnapshotMeta

    from .envelope import Envelope
    from .exit_reason import Exit
    from .label import ActorLabel
    from .reference import ActorReference
    from .server_setup import ServerSetup

REST_RATIO = 2.0
"""How long it rests after a chunk, as a multiple of the time the chunk took.

Measured with a tree of a million nodes: docs/explanation/performance.md.
"""

VOID_LOG_SECONDS = 60.0
"""How long an installation waits for the WalWriter to void the old log."""


@dataclass(frozen=True, slots=True)
class TakeSnapshot:
    """Write a snapshot; answered by `SnapshotTaken` or `SnapshotFailed` to the server."""

    meta: SnapshotMeta
    chunks: Iterator[bytes]


WorkerEffect: TypeAlias = (
    effect.ReadSnapshotChunk
    | effect.EndSnapshotSend
    | effect.StoreSnapshotChunk
    | effect.InstallSnapshot
    | effect.DiscardSnapshot
)
"""The effects of the core that are this worker's to execute."""


class _BrokenOffError(Exception):
    """The worker was told to stop while it wrote a snapshot."""


class SnapshotWorker(KhepriActor):
    """Owns the snapshot files of one store."""

    may_wait = True

    def __init__(self, label: ActorLabel, setup: ServerSetup, server: ActorReference) -> None:
        """Make the actor.

        Args:
            label: who it is.
            setup: of the store.
            server: the store's server.
        """
        super().__init__(label)
        self._setup = setup
        self._server = server

    def on_start(self) -> None:
        """Open the snapshots and tell the server."""
        self._snapshots = self._setup.storage.directory.snapshots(self._setup.uid)
        self._transfers = SnapshotTransfers(self._snapshots)
        self._server.cast(SnapshotWorkerStarted(self.reference))

    def on_batch(self, envelopes: Sequence[Envelope]) -> None:
        """Do one thing after the other."""
        for envelope in envelopes:
            message = envelope.message
            if isinstance(message, TakeSnapshot):
                self._take(message)
            else:
                self._execute(message)

    def on_terminate(self, reason: Exit) -> None:
        """Put away what was being sent and received."""
        del reason
        self._transfers.close()

    def _take(self, message: TakeSnapshot) -> None:
        try:
            self._snapshots.write(message.meta, self._paced(message.chunks))
        except StorageError as error:
            self._server.cast(SnapshotFailed(str(error)))
            return
        except _BrokenOffError:
            return  # the server is about to be stopped, or will hear of the next worker
        # The log may lag behind: without this a disk that refused entries the snapshot covers
        # would leave a gap for ever (found by simulation, seeds 17 and 194).
        self._setup.wal_writer.cast(SetLastIndex(self._setup.uid, message.meta.index))
        self._server.cast(SnapshotTaken(message.meta))

    def _paced(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        begun = time.perf_counter()
        for chunk in chunks:
            yield chunk
            rest_seconds = (time.perf_counter() - begun) * REST_RATIO
            if self.reference.told_to_stop.wait(rest_seconds):
                raise _BrokenOffError
            begun = time.perf_counter()

    def _execute(self, one: WorkerEffect) -> None:
        match one:
            case effect.ReadSnapshotChunk():
                self._server.cast(self._transfers.read(one))
            case effect.EndSnapshotSend():
                self._transfers.end_send(one)
            case effect.StoreSnapshotChunk():
                self._server.cast(self._transfers.store(one))
            case effect.InstallSnapshot():
                self._server.cast(self._install(one))
            case effect.DiscardSnapshot():
                self._transfers.discard(one)
            case _:
                assert_never(one)

    def _install(self, one: effect.InstallSnapshot) -> Event | SnapshotReady:
        acceptor = self._transfers.take_received(one.transfer_id)
        if acceptor is None:
            return SnapshotAcceptFailed(one.transfer_id, "nothing was received")
        uid, index = self._setup.uid, one.meta.index
        try:
            # The old log conflicts with the snapshot: void it first, so that a crash in between
            # leaves a shorter log and not a wrong one.
            self._setup.wal_writer.request(VoidLog(uid, index)).get(timeout=VOID_LOG_SECONDS)
            acceptor.commit()
            self._setup.wal_writer.cast(SetLastIndex(uid, index))
            machine, size_bytes = restore_machine(self._snapshots)
        except (StorageError, KhepriTimeoutError) as error:
            return SnapshotAcceptFailed(one.transfer_id, str(error))
        return SnapshotReady(one.meta, machine, size_bytes)
