"""What entries of the log change: each value is in effect from its index on, committed or not.

Two things are like that: who belongs to the cluster, and which version of the machine applies what
follows. Both are undone when the entry is cut from the log, and both belong to what a snapshot
stands for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from .types import Index

Value = TypeVar("Value")


class LogHistory(Generic[Value]):
    """The values since the newest snapshot.

    A change takes effect when it is in the log and is undone when it is cut from the log
    (dissertation §4.1), so the older ones are kept down to the newest snapshot. That also gives
    the snapshot taken at an index the value as of that index, and no later one.

    Attributes:
        current: the one in effect.
        index: where it stands; 0 for an initial one that is in no log yet.
    """

    def __init__(self, index: Index, value: Value) -> None:
        """Start with what a snapshot or the first start gives."""
        self._history = [(index, value)]
        self._publish()

    def _publish(self) -> None:
        self.index, self.current = self._history[-1]

    def add(self, index: Index, value: Value) -> None:
        """Put a newer one into effect."""
        assert index > self.index, "changes come in order"
        self._history.append((index, value))
        self._publish()

    def cut_from(self, index: Index) -> bool:
        """Undo those at `index` and behind; tell whether there was one."""
        before = self._history[-1]
        while self._history[-1][0] >= index and len(self._history) > 1:
            self._history.pop()
        self._publish()
        return self._history[-1] is not before

    def at(self, index: Index) -> Value:
        """Give the one that was in effect at `index`."""
        for start, value in reversed(self._history):
            if start <= index:
                return value
        raise AssertionError("nothing is known from before the newest snapshot")

    def forget_before(self, index: Index) -> None:
        """Drop those that were replaced at or below `index`: a snapshot covers them."""
        while len(self._history) > 1 and self._history[1][0] <= index:
            del self._history[0]
