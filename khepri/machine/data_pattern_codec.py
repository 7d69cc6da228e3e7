"""Data patterns and comparisons as plain values for msgpack, and back.

A literal is its encoded bytes, a variable its name, `ANY` is None, every other part a list that
begins with a code. The codes are part of the log's format: they are never given a second meaning.
Decoding is strict: what is not exactly a pattern is an `EncodingError`.
"""

from __future__ import annotations

from typing import Any, Final, cast

from khepri.encoding import EncodingError
from khepri.errors import MisuseError

from .comparisons import Comparison, Eq, Ge, Gt, Le, Lt, Ne, Var
from .data_patterns import (
    ANY,
    MAX_PATTERN_DEPTH,
    STORABLE_TYPES,
    Anything,
    DataPattern,
    Entries,
    Guard,
    Items,
    Literal,
    OfType,
    Part,
    literal,
)
from .shown import shown
from .values import decode_value, encode_value

_COMPARISONS: Final[dict[int, type[Comparison]]] = {0: Eq, 1: Ne, 2: Lt, 3: Le, 4: Gt, 5: Ge}
_COMPARISON_CODES: Final = {kind: code for code, kind in _COMPARISONS.items()}

_TYPE: Final = 0
_COMPARISON: Final = 1
_LIST: Final = 2
_TUPLE: Final = 3
_DICT: Final = 4
_DICT_WITH: Final = 5


def data_pattern_to_plain(pattern: DataPattern) -> list[Any]:
    """Give the plain form of a data pattern."""
    guards = [[guard.variable, comparison_to_plain(guard.comparison)] for guard in pattern.guards]
    return [_part_to_plain(pattern.part), guards]


def _part_to_plain(part: Part) -> Any:  # noqa: ANN401 - what msgpack carries
    if isinstance(part, Literal):
        plain: object = part.encoded
    elif isinstance(part, Anything):
        plain = None
    elif isinstance(part, Var):
        plain = part.name
    elif isinstance(part, OfType):
        plain = [_TYPE, part.kind.__name__]
    elif isinstance(part, Comparison):
        plain = [_COMPARISON, comparison_to_plain(part)]
    elif isinstance(part, Items):
        plain = [_LIST if part.kind is list else _TUPLE, [_part_to_plain(p) for p in part.parts]]
    else:
        entries = [[key.encoded, _part_to_plain(element)] for key, element in part.entries]
        plain = [_DICT if part.exact else _DICT_WITH, entries]
    return plain


def comparison_to_plain(comparison: Comparison) -> list[Any]:
    """Give the plain form of a comparison."""
    operand = comparison.operand
    plain = operand.name if isinstance(operand, Var) else encode_value(operand)
    return [_COMPARISON_CODES[type(comparison)], plain]


def data_pattern_from_plain(plain: object) -> DataPattern:
    """Give back a data pattern from its plain form.

    Raises:
        EncodingError: it is not the plain form of a data pattern.
    """
    try:
        part, guards = list_of(plain, length=2)
        return DataPattern(
            _part_from_plain(part, MAX_PATTERN_DEPTH),
            tuple(_guard_from_plain(guard) for guard in list_of(guards)),
        )
    except MisuseError as error:
        raise EncodingError(f"not a data pattern: {error}") from error


def _part_from_plain(plain: object, levels_left: int) -> Part:
    if plain is None:
        return ANY
    if type(plain) is str:
        return Var(plain)
    if type(plain) is bytes:
        return literal(decode_value(plain))
    code, argument = list_of(plain, length=2)
    if type(code) is not int or levels_left == 0:
        raise EncodingError(f"not a part of a data pattern: {shown(plain)}")
    return _coded_part(code, argument, levels_left - 1)


def _coded_part(code: int, argument: object, levels_left: int) -> Part:
    if code in (_LIST, _TUPLE):
        parts = tuple(_part_from_plain(each, levels_left) for each in list_of(argument))
        return Items(list if code == _LIST else tuple, parts)
    if code in (_DICT, _DICT_WITH):
        return _entries_from_plain(list_of(argument), levels_left, exact=code == _DICT)
    if code == _COMPARISON:
        comparison = comparison_from_plain(argument)
        if not isinstance(comparison.operand, Var):
            return comparison
    if code == _TYPE and type(argument) is str and argument in STORABLE_TYPES:
        return OfType(STORABLE_TYPES[argument])
    raise EncodingError(f"not a part of a data pattern: {shown([code, argument])}")


def _entries_from_plain(plain: list[object], levels_left: int, *, exact: bool) -> Entries:
    entries: dict[bytes, tuple[Literal, Part]] = {}
    for entry in plain:
        encoded_key, element = list_of(entry, length=2)
        if type(encoded_key) is not bytes:
            raise EncodingError(f"not a key: {shown(encoded_key)}")
        key = literal(decode_value(encoded_key))
        entries[key.encoded] = (key, _part_from_plain(element, levels_left))
    if len(entries) < len(plain):
        raise EncodingError("a key twice in a data pattern")
    return Entries(tuple(entries[key] for key in sorted(entries)), exact)


def _guard_from_plain(plain: object) -> Guard:
    variable, comparison = list_of(plain, length=2)
    if type(variable) is not str:
        raise EncodingError(f"not a variable: {shown(variable)}")
    return Guard(variable, comparison_from_plain(comparison))


def comparison_from_plain(plain: object) -> Comparison:
    """Give back a comparison from its plain form.

    Raises:
        EncodingError: it is not the plain form of a comparison.
        InvalidConditionError: its operand cannot be compared with.
    """
    code, operand = list_of(plain, length=2)
    kind = _COMPARISONS.get(code) if type(code) is int else None
    if kind is None:
        raise EncodingError(f"not a comparison: {shown(plain)}")
    if type(operand) is str:
        return kind(Var(operand))
    if type(operand) is not bytes:
        raise EncodingError(f"not an operand: {shown(operand)}")
    return kind(decode_value(operand))


def list_of(plain: object, *, length: int | None = None) -> list[Any]:
    """Give back a list, if it is one and has that length.

    Raises:
        EncodingError: it has not.
    """
    kind = type(plain)
    items: Any = plain
    if kind is not list or (length is not None and len(items) != length):
        raise EncodingError(f"not a list of the right length: {shown(plain)}")
    return cast("list[Any]", items)
