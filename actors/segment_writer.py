"""The SegmentWriter: moves what is still needed of a full write-ahead log file to segments.

It works beside the WalWriter, which never waits for it. A file that cannot be moved now (the disk
is full) stays where it is and is tried again; nothing is lost by that but space.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from khepri.errors import (
    DataCorruptionError,
    DirectoryAccessError,
    DiskFailedError,
    DiskFullError,
    StorageError,
    UnknownFormatError,
)

from .actor import KhepriActor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from khepri.log.interface import ClosedFile
    from khepri.log.interface import SegmentWriter as SegmentFiles
    from khepri.raft.types import Index

    from .envelope import Envelope
    from .label import ActorLabel
    from .storage import Storage

_logger = logging.getLogger("khepri.actors.segment_writer")

RETRY_SECONDS = 1.0
"""How long after a refused write the next attempt comes."""


@dataclass(frozen=True, slots=True)
class FlushFile:
    """A write-ahead log file is closed: move what is needed of it, then drop it."""

    closed_file: ClosedFile


@dataclass(frozen=True, slots=True)
class ReleaseEntries:
    """A durable snapshot covers the log of a store up to an index."""

    uid: str
    snapshot_index: Index


SegmentMessage: TypeAlias = FlushFile | ReleaseEntries
"""What a SegmentWriter understands; anything else is a bug, and crashes it."""


class SegmentWriter(KhepriActor):
    """Owns the segment files of one Ra system."""

    def __init__(self, label: ActorLabel, storage: Storage) -> None:
        """Make the actor; it works on what the WalWriter has recovered."""
        super().__init__(label)
        self._storage = storage
        self._waiting: deque[ClosedFile] = deque()
        self._releases: dict[str, Index] = {}
        self._retry_at: float | None = None
        self._refused: set[str] = set()  # what has been told and did not work since
        self._segments: SegmentFiles

    def on_start(self) -> None:
        """Take over the files that the last run has left."""
        self._segments, left = self._storage.take_segments()
        self._waiting.extend(left)
        self._retry_at = self.clock() if left else None

    def on_batch(self, envelopes: Sequence[Envelope]) -> None:
        """Note what the messages say, then drop what a snapshot covers, then move files."""
        for envelope in envelopes:
            message: SegmentMessage = envelope.message
            if isinstance(message, FlushFile):
                self._waiting.append(message.closed_file)
            elif isinstance(message, ReleaseEntries):  # pyright: ignore[reportUnnecessaryIsInstance]
                known = self._releases.get(message.uid, message.snapshot_index)
                self._releases[message.uid] = max(known, message.snapshot_index)
            else:
                raise TypeError(f"not a message for a SegmentWriter: {message!r}")
        if self._retry_at is None:
            self._work()

    def next_deadline(self) -> float | None:
        """Give the time of the next attempt after the disk has refused something."""
        return self._retry_at

    def on_deadline(self) -> None:
        """Try again what the disk refused."""
        self._work()

    def _work(self) -> None:
        """Do all that is to be done; one thing that fails does not keep the other from it."""
        self._retry_at = None
        self._attempt(self._release, "drop what a snapshot covers")
        self._attempt(self._flush, "move entries to segments")

    def _attempt(self, work: Callable[[], None], what: str) -> None:
        try:
            work()
        except (DiskFullError, DiskFailedError, DirectoryAccessError) as error:
            level = logging.DEBUG if what in self._refused else logging.WARNING
            _logger.log(level, "%s cannot %s now: %s", self.label, what, error)
            self._refused.add(what)
            self._retry_at = self.clock() + RETRY_SECONDS
        else:
            self._refused.discard(what)

    def _release(self) -> None:
        refusal: StorageError | None = None
        for uid in tuple(self._releases):
            try:
                self._segments.release(uid, self._releases[uid])
            except (DataCorruptionError, UnknownFormatError) as error:
                # Of one store, which says so itself when it is started; the others go on.
                _logger.error("%s leaves damaged segments alone: %s", self.label, error)  # noqa: TRY400 - no bug
            except StorageError as error:  # it may be of this store's folder alone
                refusal = error
                continue
            del self._releases[uid]
        if refusal is not None:
            raise refusal

    def _flush(self) -> None:
        """Move the files, oldest first."""
        while self._waiting:
            self._segments.flush(self._waiting[0])
            self._waiting.popleft()
