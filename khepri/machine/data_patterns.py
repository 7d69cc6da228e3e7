"""Data patterns: what `IfDataMatches` asks of the data of a tree node.

A pattern is written as the data it stands for, with these in the places that are not literal:

- `ANY`: any data;
- ``Var("x")``: any data, captured; the same variable twice means the same data twice;
- a type, as ``int`` or ``str``: data of exactly that type (``True`` is no ``int``);
- a comparison, as ``Gt(3)``: data that compares so;
- ``DictWith({...})``: a dict that has these keys and maybe others; a plain dict has no others.

`Guard` compares what variables have captured. Patterns are data, never code: every member of a
store evaluates the same pattern to the same answer, in a time bounded by their sizes.
``docs/reference/data-patterns.md`` is the reference; how patterns are carried is in
``data_pattern_codec.py``.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast
from uuid import UUID

from khepri.encoding import EncodingError
from khepri.errors import InvalidConditionError, InvalidValueError

from .comparisons import Comparison, Var
from .same_data import KeyFinder, same_data
from .shown import shown
from .values import decode_value, encode_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_PATTERN_DEPTH: Final = 64
"""How deep a pattern may be nested: as deep as values."""

MAX_GUARDS: Final = 32
"""How many guards a pattern may have: each of them may compare large parts of the data."""

Captured: TypeAlias = dict[str, object]
"""The data of variables, by name."""


class Anything(enum.Enum):
    """The type of `ANY`; an enumeration, so that a copy is the same object."""

    ANY = "any data"

    def __repr__(self) -> str:
        """Show the constant as it is written in a program."""
        return self.name


ANY: Final = Anything.ANY
"""Matches any data."""


class DictWith:
    """In a pattern: a dict with at least these keys."""

    __slots__ = ("entries",)

    def __init__(self, entries: Mapping[Any, object]) -> None:
        """Keep the pattern of each key; the keys are literal."""
        if not _is_mapping(entries):
            raise _invalid(entries, "it is not a dict")
        self.entries = entries

    def __repr__(self) -> str:
        """Show it as it is written in a program."""
        return f"DictWith({shown(self.entries)})"

    # No hash: the entries are the caller's dict, which may change.
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        """Tell whether it is the same pattern; what is none is equal to itself only."""
        if not isinstance(other, DictWith):
            return NotImplemented
        if self is other:
            return True
        try:
            return _compile(self, MAX_PATTERN_DEPTH) == _compile(other, MAX_PATTERN_DEPTH)
        except InvalidConditionError:
            return False


@dataclass(frozen=True, slots=True)
class Guard:
    """A comparison of what a variable has captured.

    ``Guard("low", Lt(Var("high")))`` compares two variables, ``Guard("low", Ge(0))`` one.
    """

    variable: str
    comparison: Comparison

    def __post_init__(self) -> None:
        """Check the parts."""
        if type(self.variable) is not str or not _is_comparison(self.comparison):
            raise _invalid(self.variable, "a guard has the name of a variable and a comparison")


@dataclass(frozen=True, slots=True)
class Literal:
    """Exactly this data. Two literals are equal if they are stored as the same bytes."""

    encoded: bytes
    value: object = field(compare=False)

    def __repr__(self) -> str:
        """Show the data, as in the pattern."""
        return shown(self.value)


@dataclass(frozen=True, slots=True)
class OfType:
    """Data of exactly one of the types that can be stored."""

    kind: type

    def __repr__(self) -> str:
        """Show the type as in the pattern."""
        return "type(None)" if self.kind is type(None) else self.kind.__qualname__


@dataclass(frozen=True, slots=True)
class Items:
    """A list or a tuple of just these parts."""

    kind: type[list[object] | tuple[object, ...]]
    parts: tuple[Part, ...]

    def __repr__(self) -> str:
        """Show the list or tuple as in the pattern."""
        return repr(self.kind(self.parts))


@dataclass(frozen=True, slots=True)
class Entries:
    """A dict; if exact, one without further keys. The entries are sorted by encoded key."""

    entries: tuple[tuple[Literal, Part], ...]
    exact: bool

    def __repr__(self) -> str:
        """Show the dict as in the pattern."""
        inner = ", ".join(f"{key!r}: {part!r}" for key, part in self.entries)
        return f"{{{inner}}}" if self.exact else f"DictWith({{{inner}}})"


Part: TypeAlias = Literal | Anything | Var | OfType | Comparison | Items | Entries
"""What a compiled pattern consists of."""

STORABLE_TYPES: Final[dict[str, type]] = {
    kind.__name__: kind
    for kind in (
        type(None), bool, int, float, str, bytes,
        list, tuple, dict, datetime, UUID,
    )
}  # fmt: skip
"""The types a pattern can ask for, by name."""


@dataclass(frozen=True, slots=True)
class DataPattern:
    """A compiled pattern, as `IfDataMatches` holds it.

    Attributes:
        part: the outermost part.
        guards: what must hold of the variables, all of it.
    """

    part: Part
    guards: tuple[Guard, ...] = ()

    def __post_init__(self) -> None:
        """Check that the guards are few and speak of variables that the pattern has."""
        if len(self.guards) > MAX_GUARDS:
            raise _invalid(self.guards, f"more than {MAX_GUARDS} guards")
        known = _variables(self.part)
        for guard in self.guards:
            operand = guard.comparison.operand
            used = {guard.variable, operand.name} if isinstance(operand, Var) else {guard.variable}
            if not used <= known:
                missing = ", ".join(sorted(used - known))
                raise _invalid(guard, f"the pattern has no variable {missing}")

    @classmethod
    def of(cls, pattern: object, where: Iterable[Guard] = ()) -> DataPattern:
        """Compile a pattern as it is written in a program.

        Raises:
            InvalidConditionError: something in it is neither data nor a part of a pattern.
        """
        guards = tuple(where)
        for guard in guards:
            if type(guard) is not Guard:
                raise _invalid(guard, "a guard is made with Guard(variable, comparison)")
        try:
            part: Part = _literal(encode_value(pattern))
        except InvalidValueError:  # so it is not all literal
            part = _compile(pattern, MAX_PATTERN_DEPTH)
        return cls(part, guards)

    def matches(self, value: object) -> bool:
        """Tell whether a decoded value fits the pattern."""
        captured: Captured = {}
        return _fits(self.part, value, captured) and all(
            _holds(guard, captured) for guard in self.guards
        )

    def matches_encoded(self, payload: bytes) -> bool:
        """Tell whether an encoded value fits the pattern; bytes that are no value do not."""
        part = self.part
        if isinstance(part, Literal) and part.encoded == payload:
            return True
        try:
            return self.matches(decode_value(payload))
        except (EncodingError, InvalidValueError):
            return False


def _fits(part: Part, value: object, captured: Captured) -> bool:  # noqa: PLR0911 - a table of cases
    # Recursion is as deep as the pattern, which is bounded; same_data is not recursive.
    if isinstance(part, Literal):
        return same_data(part.value, value)
    if isinstance(part, Var):
        if part.name in captured:
            return same_data(captured[part.name], value)
        captured[part.name] = value
        return True
    if isinstance(part, OfType):
        return type(value) is part.kind
    if isinstance(part, Comparison):
        return part.holds(value)
    if isinstance(part, Items):
        return _items_fit(part, value, captured)
    if isinstance(part, Entries):
        return _entries_fit(part, value, captured)
    return True


def _items_fit(part: Items, value: Any, captured: Captured) -> bool:  # noqa: ANN401 - any data
    return (
        type(value) is part.kind
        and len(value) == len(part.parts)
        and all(map(_fits, part.parts, value, (captured for _ in value)))
    )


def _entries_fit(part: Entries, value: object, captured: Captured) -> bool:
    if not isinstance(value, dict):
        return False
    entries = cast("dict[object, object]", value)
    if len(entries) < len(part.entries) or (part.exact and len(entries) > len(part.entries)):
        return False
    find = KeyFinder(entries)
    for key, element_part in part.entries:
        found = find(key.value)
        if not found or not _fits(element_part, found[0], captured):
            return False
    return True


def _holds(guard: Guard, captured: Captured) -> bool:
    operand = guard.comparison.operand
    against = captured[operand.name] if isinstance(operand, Var) else operand
    return guard.comparison.holds_against(captured[guard.variable], against)


def _compile(pattern: object, levels_left: int) -> Part:
    if levels_left == 0:
        raise _invalid(pattern, f"nested deeper than {MAX_PATTERN_DEPTH} levels")
    if isinstance(pattern, Var | Anything):
        return pattern
    if isinstance(pattern, Comparison):
        if isinstance(pattern.operand, Var):
            raise _invalid(pattern, "variables are compared in guards")
        return pattern
    if isinstance(pattern, type):
        if STORABLE_TYPES.get(pattern.__name__) is not pattern:
            raise _invalid(pattern, "no data has this type")
        return OfType(pattern)
    return _collapsed(_compile_data(pattern, levels_left))


def _compile_data(pattern: object, levels_left: int) -> Part:
    if isinstance(pattern, DictWith):
        return _compile_entries(pattern.entries, levels_left, exact=False)
    # Subclasses are no data: `literal` refuses them, as a put would.
    kind = type(pattern)
    if kind is dict:
        entries = cast("dict[object, object]", pattern)
        return _compile_entries(entries, levels_left, exact=True)
    if kind is list or kind is tuple:
        items = cast("Sequence[object]", pattern)
        parts = tuple(_compile(each, levels_left - 1) for each in items)
        return Items(list if kind is list else tuple, parts)
    return literal(pattern)


def _compile_entries(
    pattern: Mapping[object, object], levels_left: int, *, exact: bool
) -> Entries:
    entries = [
        (literal(key), _compile(element, levels_left - 1)) for key, element in pattern.items()
    ]
    return Entries(tuple(sorted(entries, key=lambda entry: entry[0].encoded)), exact)


def literal(value: object) -> Literal:
    """Make the part that matches exactly one value.

    Raises:
        InvalidConditionError: the value cannot be stored, so nothing could match it.
    """
    try:
        encoded = encode_value(value)
    except InvalidValueError as error:
        raise _invalid(value, str(error)) from error
    return _literal(encoded)


def _literal(encoded: bytes) -> Literal:
    # Decoded again, so that a change of the caller's list does not change the condition.
    return Literal(encoded, decode_value(encoded))


def _collapsed(part: Part) -> Part:
    """Turn a container that has only literals into one literal."""
    if isinstance(part, Items) and all(isinstance(each, Literal) for each in part.parts):
        values = [each.value for each in part.parts if isinstance(each, Literal)]
        return literal(values if part.kind is list else tuple(values))
    if isinstance(part, Entries) and part.exact:
        pairs = [
            (key.value, each.value) for key, each in part.entries if isinstance(each, Literal)
        ]
        if len(pairs) == len(part.entries):
            return literal(dict(pairs))
    return part


def _variables(part: Part) -> set[str]:
    if isinstance(part, Var):
        return {part.name}
    if isinstance(part, Items):
        return _union(map(_variables, part.parts))
    if isinstance(part, Entries):
        return _union(_variables(each) for _, each in part.entries)
    return set()


def _is_comparison(value: object) -> bool:
    return isinstance(value, Comparison)


def _is_mapping(value: object) -> bool:
    return isinstance(value, Mapping)


def _union(sets: Iterable[set[str]]) -> set[str]:
    return {each for one in sets for each in one}


def _invalid(pattern: object, reason: str) -> InvalidConditionError:
    return InvalidConditionError(
        f"{shown(pattern)} cannot be used in a data pattern: {reason}",
        condition=pattern,
        reason=reason,
    )
