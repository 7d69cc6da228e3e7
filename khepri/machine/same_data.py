"""When two values are the same data, and when one comes before another.

The rules are khepri's, not Python's: two values are the same data if they are stored as the same
bytes, except that the order of a dict's keys does not count. So ``1``, ``1.0`` and ``True`` are
three different values, ``0.0`` and ``-0.0`` are two, and not-a-number is the same as itself.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from .values import encode_value

_ORDERED_TYPES: Final = (str, bytes, datetime)
_NUMBER_TYPES: Final = (int, float)
_TEXT_TYPES: Final = (str, bytes)


def same_data(left: object, right: object) -> bool:
    """Tell whether two decoded values are the same data.

    Works in time proportional to the values' sizes and without recursion: what is compared was
    sent by a client and may be nested as deep as the encoding allows.
    """
    waiting: list[tuple[Any, Any]] = [(left, right)]
    while waiting:
        one, other = waiting.pop()
        kind = type(one)
        if kind is not type(other):
            return False
        if kind is list or kind is tuple:
            if len(one) != len(other):
                return False
            waiting.extend(zip(one, other, strict=True))
        elif kind is dict:
            if len(one) != len(other):
                return False
            find = KeyFinder(other)
            for key, element in one.items():
                found = find(key)
                if not found:
                    return False
                waiting.append((element, found[0]))
        elif not _same_scalar(one, other):
            return False
    return True


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
    kind = type(lower)
    both_numbers = kind in _NUMBER_TYPES and type(higher) in _NUMBER_TYPES
    if not both_numbers and (kind is not type(higher) or kind not in _ORDERED_TYPES):
        return False
    # Python compares int with float exactly, without rounding either.
    return bool(lower <= higher if or_same else lower < higher)


def _same_scalar(one: Any, other: Any) -> bool:  # noqa: ANN401 - any data
    kind = type(one)
    if kind is float:
        return bool(one.hex() == other.hex())
    if kind is datetime:
        return bool(one.isoformat() == other.isoformat())
    return bool(one == other)
