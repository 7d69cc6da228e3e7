"""The log as the core sees it: the entries since the last snapshot, and some before it, in memory.

Here: looking up, slicing, comparing, cutting. Not here: what is durable (`written.py`), what is
committed (`server.py`), files (`khepri.log`, which serves recovery only).
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from .types import Index, Term

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .types import Entry


class LogView:
    """A contiguous piece of the log, and the term of the entry just before it.

    Attributes:
        base_index: the index just before the first entry held; 0 for a log from its beginning.
        base_term: the term of the entry there. Everything at or below the base is committed.
        last_index: the index of the last entry held, `base_index` if there is none.
        last_term: its term, `base_term` if there is none.

    Invariants: indexes are contiguous, terms never go down.
    """

    def __init__(self, base_index: Index, base_term: Term, entries: Sequence[Entry]) -> None:
        """Hold `entries`, which start right after the base."""
        self.reset(base_index, base_term)
        self.append(entries)

    def reset(self, base_index: Index, base_term: Term) -> None:
        """Hold nothing; what comes next follows the base."""
        self._entries: list[Entry] = []
        # Where each term starts: (first index, term), ascending. A log has few terms and many
        # entries, so that searching by term looks at a handful of pairs.
        self._term_starts: list[tuple[Index, Term]] = []
        self.base_index = base_index
        self.base_term = base_term
        self.last_index = base_index
        self.last_term = base_term

    def append(self, entries: Sequence[Entry]) -> None:
        """Add entries behind the last one."""
        last_index, last_term = self.last_index, self.last_term
        for entry in entries:
            if entry.index != last_index + 1:
                raise AssertionError("the log has no gaps")
            if entry.term != last_term:
                if entry.term < last_term:
                    raise AssertionError("terms never go down")
                self._term_starts.append((entry.index, entry.term))
            last_index, last_term = entry.index, entry.term
        self._entries.extend(entries)
        self.last_index, self.last_term = last_index, last_term

    def truncate_from(self, index: Index) -> None:
        """Forget the entry at `index` and all behind it."""
        if not self.base_index < index <= self.last_index:
            raise AssertionError("only what is held can be cut")
        del self._entries[index - self.base_index - 1 :]
        while self._term_starts and self._term_starts[-1][0] >= index:
            self._term_starts.pop()
        self.last_index = Index(index - 1)
        self.last_term = self._entries[-1].term if self._entries else self.base_term

    def term_at(self, index: int) -> Term | None:
        """Give the term of the entry at `index`; None above the last and below the base."""
        position = index - self.base_index - 1
        if 0 <= position < len(self._entries):
            return self._entries[position].term
        return self.base_term if position == -1 else None

    def between(self, first: int, last: int) -> tuple[Entry, ...]:
        """Give the entries from `first` to `last`, both included."""
        assert first > self.base_index, "what is below the base is gone"
        return tuple(self._entries[first - self.base_index - 1 : last - self.base_index])

    def batch(self, first: int, max_entries: int, max_bytes: int) -> tuple[tuple[Entry, ...], int]:
        """Give entries from `first` on for one message, and how many bytes of data they hold.

        At least one entry if there is any, however large, so that there is always progress.
        """
        start = first - self.base_index - 1
        assert start >= 0, "what is below the base is gone"
        candidates = self._entries[start : start + max_entries]
        size_bytes = 0
        for count, entry in enumerate(candidates):
            size_bytes += len(entry.data)
            if size_bytes > max_bytes and count > 0:
                return tuple(candidates[:count]), size_bytes - len(entry.data)
        return tuple(candidates), size_bytes

    def bytes_after(self, index: int) -> int:
        """Give how many bytes of data the entries behind `index` hold, of those held here."""
        start = max(0, index - self.base_index)
        return sum([len(entry.data) for entry in self._entries[start:]])

    def find_conflict(self, entries: Sequence[Entry]) -> int:
        """Give the position in `entries` of the first that this log does not hold.

        Not held means: behind the last one, or of another term (Raft figure 2, receiver rule 3).
        `len(entries)` if all are held.
        """
        if entries and entries[0].index > self.last_index:
            return 0
        for position, entry in enumerate(entries):
            if self.term_at(entry.index) != entry.term:
                return position
        return len(entries)

    def last_with_term_at_most(self, index: int, term: int) -> tuple[Index, Term]:
        """Give the last place at or below `index` whose term is not above `term`, and its term.

        Two logs that differ at `index` cannot agree above it: there all terms are higher than
        what the other side has. So each round trip skips a whole term (Raft §5.3, the end).
        Never below the base, which is committed.
        """
        index = min(index, self.last_index)
        run = bisect_right(self._term_starts, index, key=lambda start: start[0]) - 1
        while run >= 0 and self._term_starts[run][1] > term:
            index = self._term_starts[run][0] - 1
            run -= 1
        if run < 0 and self.base_term > term:
            index = self.base_index
        index = max(index, self.base_index)
        found = self.term_at(index)
        assert found is not None, "the place is held"
        return Index(index), found

    def compact(
        self,
        index: Index,
        max_entries: int,
        max_bytes: int,
        *,
        first_needed: int,
        max_needed_bytes: int,
    ) -> None:
        """Forget entries at or below `index`, but for the last few and those a peer still needs.

        Args:
            index: what a snapshot covers.
            max_entries: how many at or below it may stay.
            max_bytes: how much data they may hold.
            first_needed: from here on a peer needs them.
            max_needed_bytes: how much data may stay for its sake.
        """
        kept, kept_bytes = 0, 0
        position = index - self.base_index - 1
        while position >= 0:
            entry = self._entries[position]
            kept_bytes += len(entry.data)
            is_needed = entry.index >= first_needed and kept_bytes <= max_needed_bytes
            if not is_needed and (kept >= max_entries or kept_bytes > max_bytes):
                break
            kept += 1
            position -= 1
        if position < 0:
            return
        base = self._entries[position]
        del self._entries[: position + 1]
        self.base_index, self.base_term = base.index, base.term
        # The run the base is in goes on behind it, if it does, without a start of its own.
        self._term_starts = [start for start in self._term_starts if start[0] > base.index]
