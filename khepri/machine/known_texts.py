"""What is known of texts that come again and again: a bounded cache that lets nobody in at once.

A program writes to some places over and over, and to others once. Keeping what comes once costs
twice: it pushes out what would be used again, and a thousand kept texts are memory that is
written, never read, and gone from the processor's caches. So a text is kept from its second time
on; of the first only a mark stays, in a table that fits into these caches.
"""

from __future__ import annotations

from typing import Final, Generic, TypeVar

T = TypeVar("T")

_MARKS: Final = 65_536
_MOST_MARKED: Final = _MARKS // 8
"""With more the marks begin anew: by then one new text in eight would be taken for a known one."""


class KnownTexts(Generic[T]):
    """Values by text. Any thread may use it; what two do at once may be forgotten, never wrong.

    Attributes:
        values: what is kept. Only `keep` changes it.
    """

    __slots__ = ("_limit", "_marked", "_marks", "values")

    def __init__(self, limit: int) -> None:
        """Begin with nothing.

        Args:
            limit: so many values are kept at most; then it begins anew.
        """
        self.values: dict[str, T] = {}
        self._limit = limit
        self._marks = bytearray(_MARKS)
        self._marked = 0

    def comes_again(self, text: str) -> bool:
        """Tell whether a text came before, so that it is worth keeping; it has come now."""
        marks, place = self._marks, hash(text) % _MARKS
        if marks[place]:
            return True
        if self._marked >= _MOST_MARKED:
            self._marks = marks = bytearray(_MARKS)
            self._marked = 0
        marks[place] = 1
        self._marked += 1
        return False

    def keep(self, text: str, value: T) -> None:
        """Keep the value of a text."""
        if len(self.values) >= self._limit:
            self.values.clear()
        self.values[text] = value
