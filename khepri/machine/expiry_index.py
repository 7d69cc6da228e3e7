"""What expires when: a sorted, immutable set of moments and paths.

Kept as a short tuple of short tuples. A change copies one of them and the outer one, some hundred
references at memory speed; a balanced tree of Python objects would be slower below many millions.
The first moment is always at hand, which is what the server asks after each entry.

Two indexes of the same content are equal whatever their history. Not here: what a time to live is
(``keep_while.py``) and what happens when one is over (``expiry.py``).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .tree import Names

    Due = tuple[int, Names]
    """A moment in log time (milliseconds) and the path of what expires then."""

_LARGEST: Final = 512
_SMALL: Final = 64
_FILLED: Final = 256

_first = itemgetter(0)


class ExpiryIndex:
    """Moments and paths in their order. Immutable; changes give a new index."""

    __slots__ = ("_chunks",)

    def __init__(self, chunks: tuple[tuple[Due, ...], ...] = ()) -> None:
        """Take sorted chunks, none of them empty; use `of` for anything else."""
        self._chunks = chunks

    @classmethod
    def of(cls, dues: Iterable[Due]) -> ExpiryIndex:
        """Make an index of all at once, as a restart does."""
        ordered = sorted(dues)
        return cls(
            tuple(
                tuple(ordered[start : start + _FILLED])
                for start in range(0, len(ordered), _FILLED)
            )
        )

    @property
    def next_milliseconds(self) -> int | None:
        """The earliest moment at which anything expires, None if nothing ever does."""
        return self._chunks[0][0][0] if self._chunks else None

    def due(self, now_milliseconds: int) -> list[Names]:
        """Give the paths whose moment has come, in order."""
        paths: list[Names] = []
        for moment, path in self:
            if moment > now_milliseconds:
                break
            paths.append(path)
        return paths

    def with_due(self, moment: int, path: Names) -> ExpiryIndex:
        """Give the index with one more; it is not there yet."""
        chunks, due = self._chunks, (moment, path)
        if not chunks:
            return ExpiryIndex(((due,),))
        at = max(0, bisect_right(chunks, due, key=_first) - 1)
        chunk = chunks[at]
        place = bisect_left(chunk, due)
        chunk = (*chunk[:place], due, *chunk[place:])
        if len(chunk) <= _LARGEST:
            return ExpiryIndex((*chunks[:at], chunk, *chunks[at + 1 :]))
        half = len(chunk) // 2
        return ExpiryIndex((*chunks[:at], chunk[:half], chunk[half:], *chunks[at + 1 :]))

    def without_due(self, moment: int, path: Names) -> ExpiryIndex:
        """Give the index with one less; it must be there."""
        chunks, due = self._chunks, (moment, path)
        at = bisect_right(chunks, due, key=_first) - 1
        assert at >= 0, "what is removed was added before"
        chunk = chunks[at]
        place = bisect_left(chunk, due)
        assert place < len(chunk), "what is removed was added before"
        assert chunk[place] == due, "what is removed was added before"
        chunk = (*chunk[:place], *chunk[place + 1 :])
        behind = at + 1
        if not chunk:
            return ExpiryIndex((*chunks[:at], *chunks[behind:]))
        if len(chunk) < _SMALL and behind < len(chunks) and len(chunks[behind]) <= _FILLED:
            chunk = (*chunk, *chunks[behind])
            behind += 1
        return ExpiryIndex((*chunks[:at], chunk, *chunks[behind:]))

    def __iter__(self) -> Iterator[Due]:
        """Give all, earliest first."""
        return chain.from_iterable(self._chunks)

    def __len__(self) -> int:
        """Count all."""
        return sum(map(len, self._chunks))

    def __bool__(self) -> bool:
        """Tell whether anything expires at all."""
        return bool(self._chunks)

    def __eq__(self, other: object) -> bool:
        """Compare the content, not how it is cut."""
        return isinstance(other, ExpiryIndex) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # compared by content, never a key

    def __repr__(self) -> str:
        """Show how many there are and the first."""
        return f"ExpiryIndex({len(self)} from {self.next_milliseconds})"
