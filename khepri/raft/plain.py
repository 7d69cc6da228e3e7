"""Checks for what comes from the network or a file: plain values in, typed values out.

Here: one small function per kind of field, each raising `EncodingError` with the field's name.
Not here: the messages themselves (`messages.py`) and msgpack (`khepri.encoding`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from khepri.encoding import EncodingError

if TYPE_CHECKING:
    from collections.abc import Sequence

LARGEST_INTEGER = 2**63 - 1
"""The bound of every number on the wire: what a signed 64-bit integer holds."""


def as_list(value: object, length: int, name: str) -> Sequence[object]:
    """Give `value` as a list of exactly `length` items.

    Args:
        value: a list or tuple, as msgpack gives it or `to_plain` makes it.
        length: how many items it must have.
        name: what it is, for the error.

    Raises:
        EncodingError: it is something else.
    """
    items = as_sequence(value, name)
    if len(items) != length:
        raise EncodingError(f"{name} is not a list of {length} items")
    return items


def as_extended_list(
    value: object, length: int, defaults: list[object], name: str
) -> list[object]:
    """Give `value` as a list of `length` items and of those that a later release has added.

    Args:
        value: as for `as_list`.
        length: how many items it must have.
        defaults: of the items behind those, which may be left out.
        name: what it is, for the error.

    Raises:
        EncodingError: it is something else.
    """
    items = as_sequence(value, name)
    missing = length + len(defaults) - len(items)
    if not 0 <= missing <= len(defaults):
        raise EncodingError(f"{name} is not a list of {length} items")
    return [*items, *defaults[len(defaults) - missing :]]


def as_sequence(value: object, name: str) -> Sequence[object]:
    """Give `value` as a list of any length.

    Args:
        value: a list or tuple, as msgpack gives it or `to_plain` makes it.
        name: what it is, for the error.

    Raises:
        EncodingError: it is no list.
    """
    if not isinstance(value, (list, tuple)):
        raise EncodingError(f"{name} is not a list")
    return cast("Sequence[object]", value)


def as_natural(value: object, name: str) -> int:
    """Give `value` as an integer from 0 to `LARGEST_INTEGER`; a bool is not one.

    Raises:
        EncodingError: it is something else.
    """
    if type(value) is not int or not 0 <= value <= LARGEST_INTEGER:
        raise EncodingError(f"{name} is not a natural number below 2**63")
    return value


def as_bool(value: object, name: str) -> bool:
    """Give `value` as a bool.

    Raises:
        EncodingError: it is something else.
    """
    if not isinstance(value, bool):
        raise EncodingError(f"{name} is not a bool")
    return value


def as_bytes(value: object, name: str) -> bytes:
    """Give `value` as bytes.

    Raises:
        EncodingError: it is something else.
    """
    if not isinstance(value, bytes):
        raise EncodingError(f"{name} is not bytes")
    return value


def as_text(value: object, name: str) -> str:
    """Give `value` as text.

    Raises:
        EncodingError: it is something else.
    """
    if not isinstance(value, str):
        raise EncodingError(f"{name} is not text")
    return value
