"""What users store: Python values to bytes and back.

Here: `encode_value` and `decode_value`. A value is what msgpack carries (None, bool, int of 64
bits, float, str, bytes, list, dict) plus tuple, aware datetime and UUID as extension types.
Everything else is refused, with the place inside the value. There is no pickle.

*Equality of payloads is equality of encoded bytes*: 1, 1.0 and True are three different values,
and so are two dicts whose keys come in a different order. Encoding keeps the order of a dict
instead of sorting it: sorting costs more than all the rest, and a reader gets back what was put.
A `bytearray` or `memoryview` comes back as bytes; everything else comes back as it was put.

Not here: where payloads live (``tree.py``) and the limit on a command's size (the facade).
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any, Final, Self, cast
from uuid import UUID

import msgpack

from khepri.encoding import EncodingError, Packers
from khepri.errors import InvalidValueError

from .tree import MAX_PROCEDURE_NAME_BYTES, PROCEDURE_CODE, procedure_payload

DEPTH_LIMIT: Final = 64
"""How many containers may lie inside each other."""

TUPLE_CODE: Final = 0x54
DATETIME_CODE: Final = 0x44
UUID_CODE: Final = 0x55

_SCALARS: Final = frozenset({str, bytes, int, float, bool, type(None)})
_CONTAINERS: Final = frozenset({list, tuple, dict})
_BUFFERS: Final = frozenset({bytearray, memoryview})
_KEYS: Final = _SCALARS | {tuple, datetime, UUID}

# The first bytes of msgpack's containers and of its extension types. A byte of a string or a
# number can look the same, so these find every suspicious encoding and a few innocent ones.
_CONTAINER_MARKS: Final = bytes((*range(0x80, 0xA0), *range(0xDC, 0xE0)))
_EXTENSION_MARKS: Final = bytes((*range(0xC7, 0xCA), *range(0xD4, 0xD9)))
_INTEGER_MARKS: Final = bytes((*range(0x80), *range(0xCC, 0xD4), *range(0xE0, 0x100)))
_NOT_CONTAINER: Final = bytes(set(range(256)) - set(_CONTAINER_MARKS))
_NOT_EXTENSION: Final = bytes(set(range(256)) - set(_EXTENSION_MARKS))


class ProcedureName(str):
    """The name of a stored procedure, where a payload is one: a payload of its own kind.

    It stands alone: inside another value it is refused.
    """

    __slots__ = ()

    def __new__(cls, name: str) -> Self:
        """Make a name.

        Raises:
            InvalidValueError: it is empty, or longer than 255 bytes in UTF-8.
        """
        if not 0 < len(name.encode()) <= MAX_PROCEDURE_NAME_BYTES:
            raise InvalidValueError(
                f"the name of a stored procedure has 1 to {MAX_PROCEDURE_NAME_BYTES} bytes,"
                f" not {name!r:.300}",
                where=(),
            )
        return super().__new__(cls, name)


def encode_value(value: object) -> bytes:
    """Give the bytes that stand for a value in commands, in the tree and on disk.

    Called in the caller's thread; any thread may call it at any time.

    Args:
        value: what `decode_value` gives back, equal and of the same types; or a `ProcedureName`.

    Raises:
        InvalidValueError: something in it cannot be carried; ``where`` says what part.
    """
    try:
        data: bytes = _packers.pack(value)
    except (TypeError, ValueError, OverflowError, RuntimeError, BufferError):
        if type(value) is ProcedureName:
            return procedure_payload(value)
        _inspect(value)
        raise  # unreachable unless the value was changed meanwhile
    if type(value) not in _SCALARS and (
        data.translate(None, _NOT_EXTENSION)
        or (len(data) > DEPTH_LIMIT and len(data.translate(None, _NOT_CONTAINER)) > DEPTH_LIMIT)
    ):
        # The fast path cannot tell a foreign extension from ours, nor count nesting.
        _inspect(value)
    return data


def is_integer(data: bytes) -> bool:
    """Tell whether bytes from `encode_value` stand for a whole number, without decoding them."""
    return data[0] in _INTEGER_MARKS


def decode_value(data: bytes) -> Any:  # noqa: ANN401 - what was encoded decides
    """Give back a new value equal to the one `encode_value` was given.

    Raises:
        EncodingError: the bytes do not come from `encode_value`.
    """
    try:
        return _unpack(data)
    except (ValueError, TypeError, RecursionError, msgpack.exceptions.UnpackException) as error:
        raise EncodingError(f"not an encoded value: {error}") from error


def _extend(value: object) -> msgpack.ExtType:
    """Tell msgpack how to carry what it does not know; called from inside `pack`."""
    kind = type(value)
    if kind is tuple:
        # A packer cannot be used while it is packing, so each nested tuple has its own.
        elements = list(cast("tuple[object, ...]", value))
        return msgpack.ExtType(TUPLE_CODE, msgpack.packb(elements, **_PACKING))
    if kind is datetime and isinstance(value, datetime) and value.utcoffset() is not None:
        return msgpack.ExtType(DATETIME_CODE, value.isoformat().encode())
    if kind is UUID and isinstance(value, UUID):
        return msgpack.ExtType(UUID_CODE, value.bytes)
    raise TypeError("not a value")


def _shrink(depth: int, code: int, data: bytes) -> object:
    """Give back what `_extend` carried, inside of so many tuples."""
    if code == TUPLE_CODE:
        # Each level takes tens of kilobytes of the thread's stack, which nobody else guards.
        if depth == DEPTH_LIMIT:
            raise ValueError("tuples nested too deep")
        return tuple(_UNPACK[depth + 1](data))
    if code == DATETIME_CODE:
        return datetime.fromisoformat(data.decode())
    if code == UUID_CODE:
        return UUID(bytes=data)
    if code == PROCEDURE_CODE:
        return ProcedureName(data.decode())
    raise ValueError(f"unknown extension code {code}")


_UNPACK: Final = tuple(
    partial(msgpack.unpackb, strict_map_key=False, ext_hook=partial(_shrink, depth))
    for depth in range(DEPTH_LIMIT + 1)
)
_unpack = _UNPACK[0]


_PACKING: Final[dict[str, Any]] = {"strict_types": True, "default": _extend}
_packers = Packers(**_PACKING)


def _inspect(value: object, where: tuple[object, ...] = ()) -> None:
    """Walk a value and raise for the first part that cannot be carried; the slow, exact check."""
    kind = type(value)
    if kind in _SCALARS:
        _inspect_scalar(value, where)
    elif kind in _CONTAINERS:
        _inspect_container(value, where)
    elif isinstance(value, datetime) and kind is datetime:
        if value.utcoffset() is None:
            raise _refusal(where, "a datetime without time zone")
    elif kind is memoryview:
        _inspect_view(cast("memoryview", value), where)
    elif kind is not UUID and kind not in _BUFFERS:
        raise _refusal(
            where,
            f"it is of the type {_type_name(value)}; values are None, bool, int, float, str,"
            " bytes, list, tuple, dict, datetime and UUID",
        )


def _inspect_container(value: object, where: tuple[object, ...]) -> None:
    """Check a list, tuple or dict; the depth limit also ends one that contains itself."""
    if len(where) >= DEPTH_LIMIT:
        raise _refusal(where, f"nested deeper than {DEPTH_LIMIT} levels, or contains itself")
    if type(value) is dict:
        for key, element in cast("dict[object, object]", value).items():
            if type(key) not in _KEYS:
                raise _refusal(where, f"a key is a {_type_name(key)}")
            _inspect(key, (*where, key))
            _inspect(element, (*where, key))
    else:
        for position, element in enumerate(cast("list[object]", value)):
            _inspect(element, (*where, position))


def _inspect_scalar(value: object, where: tuple[object, ...]) -> None:
    if type(value) is int and not -(1 << 63) <= value < 1 << 64:
        raise _refusal(where, "an integer beyond 64 bits")
    if type(value) is str:
        try:
            value.encode()
        except UnicodeEncodeError:
            raise _refusal(where, "a string that is not Unicode text") from None


def _inspect_view(view: memoryview, where: tuple[object, ...]) -> None:
    try:
        is_whole = view.c_contiguous
    except ValueError:
        raise _refusal(where, "a memoryview that was released") from None
    if not is_whole:
        raise _refusal(where, "a memoryview with gaps")


def _type_name(value: object) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def _refusal(where: tuple[object, ...], what: str) -> InvalidValueError:
    place = "".join(f"[{step!r}]" for step in where)
    shown = f"at {place[:200]}" if place else "itself"
    return InvalidValueError(f"the value {shown} cannot be stored: {what}", where=where)
