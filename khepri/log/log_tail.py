"""The appends of one store put together, in the order they were written.

An append at an index makes everything at or above it void (Raft §5.3). Doing this in order, over
segments and log files, is what keeps an overwritten suffix from coming back (cases W08, W25).

Not here: where appends come from (`segments`, `log_file`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .file_header import corrupt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from khepri.raft.types import Entry, Index


class Source(NamedTuple):
    """Where an append was read, for error messages."""

    path: str
    offset: int


class LogTail:
    """A growing log whose entries are contiguous; what lies before its first one is not known."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.entries: list[Entry] = []
        self.lowest_index: Index | None = None
        """The lowest index any append started at: what was there before this log is void."""
        self._start: Source | None = None

    def append(self, first_index: Index, entries: Sequence[Entry], source: Source) -> None:
        """Do what an append says.

        Entries that leave a hole start the log anew: the writer lets that happen only when a
        durable snapshot covers the hole, and `after_snapshot` checks that it is still there.
        """
        mine = self.entries
        if mine and first_index > mine[0].index:
            del mine[first_index - mine[0].index :]
        else:
            mine.clear()
        if entries:
            if not mine or mine[-1].index + 1 < first_index:
                mine.clear()
                self._start = source
            mine.extend(entries)
        if self.lowest_index is None or first_index < self.lowest_index:
            self.lowest_index = first_index

    def follow(self, other: LogTail, source: Source) -> None:
        """Do what all appends of another one do."""
        assert other.lowest_index is not None
        self.append(other.lowest_index, (), source)
        if other.entries:
            self.append(other.entries[0].index, other.entries, source)

    def after_snapshot(self, snapshot_index: int) -> list[Entry]:
        """Give the entries above the snapshot.

        Raises:
            DataCorruptionError: entries between the snapshot and the first one are missing.
        """
        mine = self.entries
        if not mine or mine[-1].index <= snapshot_index:
            return []
        missing = mine[0].index - snapshot_index - 1
        if missing > 0:
            assert self._start is not None
            path, offset = self._start
            reason = f"{missing} entries from index {snapshot_index + 1} on are missing"
            raise corrupt(path, offset, reason)
        return mine[-missing:] if missing else mine
