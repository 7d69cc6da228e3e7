"""The SnapshotWorker: writes, sends and installs snapshots of one store, off its server's thread.

Taking one is paced: the interpreter lock is shared with everybody who writes meanwhile, so after
every chunk it rests. The tree it walks is immutable; nobody waits for it. It may take a minute.
In its rests the worker sends and receives pieces of other snapshots, whose transfers would be
given up otherwise, and ends when it is told to; what would put another one in place waits.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, assert_never

from khepri.errors import KhepriTimeoutError, StorageError
from khepri.raft import effects as effect
from khepri.raft.events import SnapshotAcceptFailed, SnapshotTaken

from .actor import KhepriActor
from .server_messages import SnapshotFailed, SnapshotReady, SnapshotWorkerStarted
from .server_recovery import restore_machine
from .snapshot_transfers import SnapshotTransfers
from .wal_writer import SetLastIndex, VoidLog

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

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

SnapshotMessage: TypeAlias = TakeSnapshot | WorkerEffect
"""What a SnapshotWorker understands; anything else is a bug, and crashes it."""


_TRANSFER_STEPS = (effect.ReadSnapshotChunk, effect.EndSnapshotSend, effect.StoreSnapshotChunk)
"""What can be done while a snapshot is taken: it concerns other files."""


class _Taking(NamedTuple):
    """A snapshot that is being taken."""

    meta: SnapshotMeta
    steps: Generator[None, None, bool]


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
        self._waiting: deque[SnapshotMessage] = deque()
        self._taking: _Taking | None = None
        self._step_at = 0.0

    def on_start(self) -> None:
        """Open the snapshots and tell the server."""
        self._snapshots = self._setup.storage.directory.snapshots(self._setup.uid)
        self._transfers = SnapshotTransfers(self._snapshots)
        self._server.cast(SnapshotWorkerStarted(self.reference))

    def on_batch(self, envelopes: Sequence[Envelope]) -> None:
        """Do one thing after the other."""
        self._waiting += [envelope.message for envelope in envelopes]
        self._work()

    def next_deadline(self) -> float | None:
        """Give the end of the rest, while a snapshot is taken."""
        return None if self._taking is None else self._step_at

    def on_deadline(self) -> None:
        """Write the next chunk; then do what waits, if that was the last one."""
        if self._taking is not None:
            self._step(self._taking)
            self._work()

    def on_terminate(self, reason: Exit) -> None:
        """Break off what is being taken; put away what was being sent and received."""
        del reason
        if self._taking is not None:
            self._taking.steps.close()
        self._transfers.close()

    def _work(self) -> None:
        waiting = self._waiting
        while (
            waiting
            and not self.mailbox.closed  # given up while it was stuck: another one is at work
            and (self._taking is None or isinstance(waiting[0], _TRANSFER_STEPS))
        ):
            message = waiting.popleft()
            if isinstance(message, TakeSnapshot):
                steps = self._snapshots.write_in_steps(message.meta, message.chunks)
                self._taking = _Taking(message.meta, steps)
                self._step(self._taking)
            else:
                self._execute(message)

    def _step(self, taking: _Taking) -> None:
        begun = time.perf_counter()
        try:
            next(taking.steps)
        except StopIteration:
            self._taking = None
            self._report_taken(taking.meta)
        except StorageError as error:
            self._taking = None
            self._server.cast(SnapshotFailed(str(error)))
        self._step_at = self.clock() + (time.perf_counter() - begun) * REST_RATIO

    def _report_taken(self, meta: SnapshotMeta) -> None:
        # The log may lag behind: without this a disk that refused entries the snapshot covers
        # would leave a gap for ever (found by simulation, seeds 17 and 194).
        self._setup.wal_writer.cast(SetLastIndex(self._setup.uid, meta.index))
        self._server.cast(SnapshotTaken(meta))

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
            acceptor.abort()  # nothing, if it has been put in place
            return SnapshotAcceptFailed(one.transfer_id, str(error))
        return SnapshotReady(one.meta, machine, size_bytes)
