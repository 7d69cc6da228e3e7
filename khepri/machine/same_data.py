"""When two values are the same data, and when one comes before another.

The rules are khepri's, not Python's: two values are the same data if they are stored as the same
bytes, except that the order of a dict's keys does not count. So ``1``, ``1.0`` and ``True`` are
three different values, ``0.0`` and ``-0.0`` are two, and not-a-number is the same as itself.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, cast

from .values import encode_value

_ORDERED_TYPES: Final[frozenset[type]] = frozenset((str, bytes, datetime))
_NUMBER_TYPES: Final[frozenset[type]] = frozenset((int, float))
_TEXT_TYPES: Final = (str, bytes)


def same_data(left: object, right: object) -> bool:
    """Tell whether two decoded values are the same data.

    Works in time proportional to the values' sizes and without recursion: what is compared was
    sent by a client and may be nested as deep as the encoding allows.
    """
    waiting = [(left, right)]
    while waiting:
        one, other = waiting.pop()
        if type(one) is not type(other):
            return False
        if isinstance(one, list | tuple | dict):
            parts = _paired_parts(one, other)
            if parts is None:
                return False
            waiting.extend(parts)
        elif not _same_scalar(one, other):
            return False
    return True


def _paired_parts(one: Any, other: Any) -> list[tuple[object, object]] | None:  # noqa: ANN401 - containers of one type
    """Pair the parts of two containers; None if they have different numbers of parts or keys."""
    if len(one) != len(other):
        return None
    if not isinstance(one, dict):
        return list(zip(one, other, strict=True))
    find = KeyFinder(other)
    pairs: list[tuple[object, object]] = []
    for key, element in cast("dict[object, object]", one).items():
        found = find(key)
        if not found:
            return None
        pairs.append((element, found[0]))
    return pairs


class KeyFinder:
    """Looks up keys of a decoded dict as data: the key ``1`` is not the key ``True``.

    Texts are found directly; other keys by their encoded form, collected when first needed.
    """

    __slots__ = ("_encoded", "_mapping")

    def __init__(self, mapping: dict[object, object]) -> None:
        """Look keys up in a mapping, which must not change meanwhile."""
        self._mapping = mapping
        self._encoded: dict[bytes, object] | None = None

    def __call__(self, key: object) -> tuple[object] | tuple[()]:
        """Give the element under a key, in a tuple; an empty tuple if there is none."""
        if type(key) in _TEXT_TYPES:
            return (self._mapping[key],) if key in self._mapping else ()
        if self._encoded is None:
            self._encoded = {
                encode_value(each): element
                for each, element in self._mapping.items()
                if type(each) not in _TEXT_TYPES
            }
        encoded = encode_value(key)
        return (self._encoded[encoded],) if encoded in self._encoded else ()


def in_order(lower: Any, higher: Any, *, or_same: bool) -> bool:  # noqa: ANN401 - any data
    """Tell whether one value comes before another, or is level with it.

    Order exists between two numbers (a bool is none), two texts (by code point), two `bytes` and
    two aware datetimes. All else is unordered: the answer is False both ways.
    """
    kinds: set[type] = {type(lower), type(higher)}
    if not (kinds <= _NUMBER_TYPES or (len(kinds) == 1 and kinds <= _ORDERED_TYPES)):
        return False
    # Python compares int with float exactly, without rounding either.
    return bool(lower <= higher if or_same else lower < higher)


def _same_scalar(one: object, other: object) -> bool:
    """Compare two values of one type that have no parts."""
    if isinstance(one, float) and isinstance(other, float):
        return one.hex() == other.hex()
    if isinstance(one, datetime) and isinstance(other, datetime):
        return one.isoformat() == other.isoformat()
    return one == other
