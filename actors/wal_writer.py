"""The WalWriter: one write and one sync for all stores of a Ra system, over and over.

While it syncs one batch, the servers prepare the next; whatever they send meanwhile waits in its
mailbox and becomes one batch again. It knows records and files, and nothing of Raft.

When the disk refuses, the refused writes stay here and are tried again until they succeed. The
servers are told (`WriteFailed`), stop writing and refuse commands; the `LogWritten` of the newest
write tells them that the disk is back.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from khepri.errors import StorageError
from khepri.log.interface import Append
from khepri.raft.events import LogRecovered, LogWritten

from .actor import KhepriActor
from .shared_log import SharedLog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from khepri.log.interface import WriteAheadLog
    from khepri.raft.types import Entry, Index

    from .envelope import Envelope
    from .future import KhepriFuture
    from .label import ActorLabel
    from .reference import ActorReference
    from .storage import Storage
    from .written_notice import WrittenNotice

_logger = logging.getLogger("khepri.actors.wal_writer")

RETRY_SECONDS = 0.2
"""How long after a refused write the next attempt comes."""

UNREAD_SECONDS = 60.0
"""So long after a recovery the logs of stores that were not started are kept in memory. Later they
are read from the disk again; a directory may hold many stores that a program never starts."""


@dataclass(frozen=True, slots=True)
class WriteEntries:
    """Make entries durable; answered by a notice, or by `WriteFailed` to `reply_to`.

    A notice that is awaited, or that comes after a `WriteFailed`, is sent to `reply_to` as well.
    """

    uid: str
    entries: Sequence[Entry]
    sequence: int
    reply_to: ActorReference
    notice: WrittenNotice


@dataclass(frozen=True, slots=True)
class SetLastIndex:
    """An installed snapshot made the log of a store jump; it is durable."""

    uid: str
    last_index: Index


@dataclass(frozen=True, slots=True)
class VoidLog:
    """A snapshot is about to replace the log from `first_index` on; reply when that is durable."""

    uid: str
    first_index: Index


@dataclass(frozen=True, slots=True)
class ForgetStore:
    """The store was deleted."""

    uid: str


@dataclass(frozen=True, slots=True)
class ReadStore:
    """Give the store as it is on disk now (`RecoveredStore`): its server starts (again)."""

    store_id: str


@dataclass(frozen=True, slots=True)
class WriteFailed:
    """To a server: the disk did not take the log; it will be tried again.

    Attributes:
        error: why.
        sequence: of the oldest write that was refused. A notice of this one or a later one may be
            found before this message, and says that it is over.
    """

    error: StorageError
    sequence: int


WalMessage: TypeAlias = WriteEntries | SetLastIndex | VoidLog | ForgetStore | ReadStore
"""What a WalWriter understands; anything else is a bug, and crashes it."""


class WalWriter(KhepriActor):
    """Owns the write-ahead log of one Ra system."""

    def __init__(self, label: ActorLabel, storage: Storage) -> None:
        """Make the actor; the files are opened and recovered when it starts."""
        super().__init__(label)
        self._storage = storage
        self._unwritten: list[WriteEntries] = []
        self._told: set[ActorReference] = set()
        self._retry_at: float | None = None
        self._forget_at: float | None = None
        self._shared: SharedLog

    def on_start(self) -> None:
        """Recover the directory: everybody below starts from what is on disk."""
        storage = self._storage
        self._shared = SharedLog(storage.recover(), lambda: storage.segment_writer)
        storage.shared_log = self._shared
        self._forget_at = self.clock() + UNREAD_SECONDS

    def on_batch(self, envelopes: Sequence[Envelope]) -> None:
        """Write all entries that wait, together."""
        with self._shared.turn() as log:
            self._handle_all(envelopes, log)

    def _handle_all(self, envelopes: Sequence[Envelope], log: WriteAheadLog) -> None:
        for envelope in envelopes:
            message: WalMessage = envelope.message
            if isinstance(message, WriteEntries):
                self._unwritten.append(message)
            elif isinstance(message, ReadStore):
                self._write(log)
                self._drop_refused(message.store_id)
                assert envelope.reply_to is not None
                self._read_store(message, envelope.reply_to, log)
            elif isinstance(message, SetLastIndex):
                self._write(log)
                log.set_last_index(message.uid, message.last_index)
            elif isinstance(message, VoidLog):
                self._write(log)
                self._void(message, envelope.reply_to, log)
            elif isinstance(message, ForgetStore):  # pyright: ignore[reportUnnecessaryIsInstance]
                self._unwritten = [w for w in self._unwritten if w.uid != message.uid]
                log.forget(message.uid)
            else:
                raise TypeError(f"not a message for a WalWriter: {message!r}")
        self._write(log)

    def next_deadline(self) -> float | None:
        """Give the time of the next attempt after a refused write, or of forgetting."""
        if self._forget_at is None:
            return self._retry_at
        return self._forget_at if self._retry_at is None else min(self._retry_at, self._forget_at)

    def on_deadline(self) -> None:
        """Try again what the disk refused; forget what nobody has asked for."""
        if self._forget_at is not None and self._forget_at <= self.clock():
            self._forget_at = None
            self._storage.forget_unread()
        with self._shared.turn() as log:
            self._write(log)

    def on_terminate(self, reason: object) -> None:
        """Close the log; what was refused until now was never confirmed."""
        del reason
        self._shared.close()

    def _write(self, log: WriteAheadLog) -> None:
        if not self._unwritten:
            self._retry_at = None
            return
        writes = self._unwritten
        try:
            gaps = log.write(
                [Append(write.uid, write.entries[0].index, write.entries) for write in writes],
                confirm=False,
            )
        except StorageError as error:
            self._retry_later(error)
            return
        told, self._told = self._told, set()
        self._unwritten = []
        self._retry_at = None
        # What a server wrote last stands for all it wrote before.
        newest = {write.reply_to: write for write in writes}
        refused = {gap.uid for gap in gaps}
        for reply_to, write in newest.items():
            if write.uid in refused:
                reply_to.cast(LogRecovered())
            else:
                last = write.entries[-1]
                written = LogWritten(last.index, last.term, write.sequence)
                # Whoever was told of a failure learns in the order of messages that it is over.
                if write.notice.leave(written) or reply_to in told:
                    reply_to.cast(written)
        self._shared.hand_on_full_files(log)

    def _drop_refused(self, store_id: str) -> None:
        """Forget what the disk has refused of a store whose server starts anew.

        The new server knows what is on the disk now. An overwrite by the one before must not come
        later: it would take away what the new one may have confirmed to others.
        """
        uid = self._storage.directory.stores.get(store_id)
        for write in self._unwritten:
            if write.uid == uid:
                self._told.discard(write.reply_to)
        self._unwritten = [write for write in self._unwritten if write.uid != uid]

    def _read_store(
        self, message: ReadStore, reply_to: KhepriFuture[Any], log: WriteAheadLog
    ) -> None:
        try:
            found = self._storage.read_store(message.store_id)
        except StorageError as error:  # damage of one store is no business of the others
            reply_to.fail(error)
            return
        if found.snapshot is not None:
            # Its worker may have ended between the publication of it and the word to us.
            log.set_last_index(found.uid, found.snapshot.index)
        if found.entries:
            log.resume(found.uid, found.entries[-1].index)
        reply_to.resolve(found)

    def _void(self, message: VoidLog, reply_to: Any, log: WriteAheadLog) -> None:  # noqa: ANN401 - a future
        # What the disk has refused until now must not come after the void.
        dropped = {write.reply_to for write in self._unwritten if write.uid == message.uid}
        self._unwritten = [write for write in self._unwritten if write.uid != message.uid]
        for server in dropped:  # it waits for a notice of what was refused
            self._told.discard(server)
            server.cast(LogRecovered())
        try:
            log.write([Append(message.uid, message.first_index, ())])
        except StorageError as error:
            reply_to.fail(error)
        else:
            reply_to.resolve(None)

    def _retry_later(self, error: StorageError) -> None:
        if self._retry_at is None:
            _logger.error("%s cannot write and will try again: %s", self.label, error)
        self._retry_at = self.clock() + RETRY_SECONDS
        for write in self._unwritten:
            if write.reply_to not in self._told:
                self._told.add(write.reply_to)
                write.reply_to.cast(WriteFailed(error, write.sequence))
