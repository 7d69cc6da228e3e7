"""Comparisons with one operand: ``Eq(3)``, ``Lt(10)``, ``Ge("m")``.

They are used for numbers in version and count conditions, and for elements and captured
variables in data patterns. What is the same and what comes first is decided in ``same_data.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from khepri.errors import InvalidConditionError, InvalidValueError

from .same_data import in_order, same_data
from .shown import shown
from .values import encode_value

if TYPE_CHECKING:
    from datetime import datetime

Scalar: TypeAlias = "bool | int | float | str | bytes | datetime | None"
"""What can be compared with."""

MAX_VARIABLE_NAME_LENGTH: Final = 255


@dataclass(frozen=True, slots=True)
class Var:
    """A variable of a data pattern: it captures the data that stands in its place.

    Where a variable stands several times, all the places must hold the same data.
    """

    name: str

    def __post_init__(self) -> None:
        """Check the name."""
        name: object = self.name
        if type(name) is not str or not 0 < len(name) <= MAX_VARIABLE_NAME_LENGTH:
            raise InvalidConditionError(
                f"the name of a variable has 1 to {MAX_VARIABLE_NAME_LENGTH} characters,"
                f" {shown(name)} has not",
                condition=name,
                reason="variable name",
            )


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """The part common to `Eq`, `Ne`, `Lt`, `Le`, `Gt` and `Ge`.

    Attributes:
        operand: what to compare with; a `Var` only in the guards of a data pattern.
    """

    operand: Scalar | Var

    def __post_init__(self) -> None:
        """Check the operand."""
        if type(self) is Comparison:
            raise TypeError("use Eq, Ne, Lt, Le, Gt or Ge")
        operand: object = self.operand
        problem = "a container has no order" if isinstance(operand, list | tuple | dict) else None
        try:
            self._identity()
        except InvalidValueError as error:
            problem = str(error)
        if problem is not None:
            raise InvalidConditionError(
                f"{type(self).__name__} cannot compare with {shown(operand)}: {problem}",
                condition=type(self).__name__,
                reason=problem,
            )

    def __eq__(self, other: object) -> bool:
        """Tell whether it is the same comparison; ``Eq(1)`` and ``Eq(True)`` are two."""
        return type(other) is type(self) and self._identity() == other._identity()

    def __hash__(self) -> int:
        """Hash in agreement with equality."""
        return hash((type(self), self._identity()))

    def _identity(self) -> Var | bytes:
        operand = self.operand
        return operand if isinstance(operand, Var) else encode_value(operand)

    def holds(self, value: object) -> bool:
        """Tell whether the comparison holds: ``value < operand`` for `Lt`."""
        return self.holds_against(value, self.operand)

    def holds_against(self, value: object, operand: object) -> bool:
        """Tell the same with another operand, as with the data of a variable."""
        raise NotImplementedError


class Eq(Comparison):
    """The same data."""

    __slots__ = ()

    def holds_against(self, value: object, operand: object) -> bool:
        """See `Comparison.holds_against`."""
        return same_data(value, operand)


class Ne(Comparison):
    """Other data, of the same type or another."""

    __slots__ = ()

    def holds_against(self, value: object, operand: object) -> bool:
        """See `Comparison.holds_against`."""
        return not same_data(value, operand)


class Lt(Comparison):
    """Comes before the operand."""

    __slots__ = ()

    def holds_against(self, value: object, operand: object) -> bool:
        """See `Comparison.holds_against`."""
        return in_order(value, operand, or_same=False)


class Le(Comparison):
    """Comes before the operand or is level with it."""

    __slots__ = ()

    def holds_against(self, value: object, operand: object) -> bool:
        """See `Comparison.holds_against`."""
        return in_order(value, operand, or_same=True)


class Gt(Comparison):
    """Comes after the operand."""

    __slots__ = ()

    def holds_against(self, value: object, operand: object) -> bool:
        """See `Comparison.holds_against`."""
        return in_order(operand, value, or_same=False)


class Ge(Comparison):
    """Comes after the operand or is level with it."""

    __slots__ = ()

    def holds_against(self, value: object, operand: object) -> bool:
        """See `Comparison.holds_against`."""
        return in_order(operand, value, or_same=True)
