"""Who listens at one outlet, to be found by name, by number and by the paths they want."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from khepri.machine.pattern_index import PatternIndex

if TYPE_CHECKING:
    from .change_listener import ChangeListener


class ListenerTable:
    """The listeners of one outlet; under its lock, but for a copy.

    Attributes:
        by_number: all of them, the oldest first.
        named: those that have a name.
        at: whose pattern a path may match.
        above: the same of those who must also be told of changes above their matches.
    """

    __slots__ = ("_number_of", "_numbers", "_reserved", "above", "at", "by_number", "named")

    def __init__(self) -> None:
        """Begin with nobody."""
        self.by_number: dict[int, ChangeListener] = {}
        self.named: dict[str, ChangeListener] = {}
        self.at: PatternIndex[int] = PatternIndex()
        self.above: PatternIndex[int] = PatternIndex()
        self._reserved: set[str] = set()
        self._number_of: dict[ChangeListener, int] = {}
        self._numbers = itertools.count()

    def __bool__(self) -> bool:
        """Tell whether anybody listens."""
        return bool(self.by_number)

    def all(self) -> list[ChangeListener]:
        """Give all of them, the oldest first."""
        return list(self.by_number.values())

    def names(self) -> list[str]:
        """Give all names that are in use."""
        return list(self.named)

    def reserve(self, name: str) -> bool:
        """Take a name, if it is free."""
        if name in self.named or name in self._reserved:
            return False
        self._reserved.add(name)
        return True

    def release(self, name: str) -> None:
        """Give up a reserved name."""
        self._reserved.discard(name)

    def add(self, listener: ChangeListener) -> None:
        """Add one, under a reserved name if it has one."""
        number = next(self._numbers)
        self.by_number[number] = listener
        self._number_of[listener] = number
        if listener.name:
            self._reserved.discard(listener.name)
            self.named[listener.name] = listener
        self._file(listener, number, is_there=True)

    def remove(self, listener: ChangeListener) -> bool:
        """Take one out; whether it was there."""
        number = self._number_of.pop(listener, None)
        if number is None:
            return False
        del self.by_number[number]
        if listener.name:
            del self.named[listener.name]
        self._file(listener, number, is_there=False)
        return True

    def copy(self) -> ListenerTable:
        """Give one of this moment."""
        copy = ListenerTable()
        copy.by_number = dict(self.by_number)
        copy.at, copy.above = self.at, self.above
        return copy

    def _file(self, listener: ChangeListener, number: int, *, is_there: bool) -> None:
        pattern = listener.pattern
        looks_above = listener.wants_matches and pattern.looks_elsewhere
        index = self.above if looks_above else self.at
        change = index.with_pattern if is_there else index.without_pattern
        if looks_above:
            self.above = change(pattern.pattern, number)
        else:
            self.at = change(pattern.pattern, number)
