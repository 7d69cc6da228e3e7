"""What of the log is durable here: which writes are under way, and how far they have come.

Here: the bookkeeping between `AppendEntries` effects and `LogWritten` events. Not here: the
entries (`log_view.py`), what a confirmation is good for (`follower.py`, `leader.py`).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .types import Index

if TYPE_CHECKING:
    from .types import Term


@dataclass(slots=True)
class _Write:
    """One `AppendEntries` under way.

    Attributes:
        sequence: its number.
        last_index: the last of its entries that is still in the log as it was written.
    """

    sequence: int
    last_index: Index


class Written:
    """How far the log is durable, whatever happens to it while writes are under way.

    A late notice about entries that were overwritten meanwhile must not confirm what stands
    there now. Comparing terms does not suffice: an entry can be written, overwritten, and
    written again, and the notice of the first writing looks like that of the second:

    1. 5:1 is handed out as write 1;
    2. another leader overwrites it: 5:2 is handed out as write 2;
    3. a third leader has 5:1 after all: 5:1 is handed out as write 3;
    4. "5:1 is written" arrives, for write 1. A crash now could leave 5:2 on disk.

    So each write has a number, and cutting the log lowers what the writes under way confirm.

    Attributes:
        last_index: everything up to here is durable, as it stands in the log.
        first_unsubmitted: entries from here on were not handed out for writing yet.
    """

    def __init__(self, last_index: Index) -> None:
        """Start with a log that is durable up to `last_index`."""
        self._sequence = 0
        self.reset(last_index)

    def reset(self, last_index: Index) -> None:
        """Start again with a log that ends there, durable: a snapshot was installed."""
        self._under_way: deque[_Write] = deque()
        self.last_index = last_index
        self.first_unsubmitted = Index(last_index + 1)

    def submit(self, last_index: Index) -> int:
        """Note that all up to `last_index` is handed out for writing; give the write's number."""
        self._sequence += 1
        self._under_way.append(_Write(self._sequence, last_index))
        self.first_unsubmitted = Index(last_index + 1)
        return self._sequence

    def cut_from(self, index: Index) -> None:
        """Note that the entry at `index` and all behind it are no longer in the log."""
        before = Index(index - 1)
        self.last_index = min(self.last_index, before)
        self.first_unsubmitted = min(self.first_unsubmitted, index)
        for write in self._under_way:
            write.last_index = min(write.last_index, before)

    def confirm(self, sequence: int, index: Index, term_there: Term | None, term: Term) -> bool:
        """Take a `LogWritten`; tell whether `last_index` moved.

        Args:
            sequence: of the notice; confirms all writes up to it.
            index: of the notice.
            term_there: what the log holds at `index` now, if anything.
            term: of the notice.
        """
        moved = False
        while self._under_way and self._under_way[0].sequence <= sequence:
            write = self._under_way.popleft()
            untouched = write.sequence == sequence and write.last_index == index
            if untouched and term_there not in (None, term):
                raise AssertionError("the notice is of another log")
            if write.last_index > self.last_index:
                self.last_index = write.last_index
                moved = True
        return moved

    def is_newest(self, sequence: int) -> bool:
        """Tell whether no later write was handed out."""
        return sequence >= self._sequence

    def raise_to(self, index: Index) -> None:
        """Note that a durable snapshot covers all up to `index`."""
        self.last_index = max(self.last_index, index)
        self.first_unsubmitted = max(self.first_unsubmitted, Index(index + 1))

    def submit_again(self) -> None:
        """Hand out again, with the next write, everything that is not confirmed."""
        self.first_unsubmitted = Index(self.last_index + 1)
