"""The conditions: what can be asked of a tree node before it is read or changed.

Here is each condition and whether a tree node meets it; what all have in common is in
``components.py``. Which nodes a condition is asked of is decided in ``patterns.py`` with the rules
of ``condition_rules.py``; how conditions are carried is in ``condition_codec.py``.

Conditions are immutable values, checked when they are made: afterwards nobody checks again, and
none of them can fail while the replicated machine evaluates it. The meaning of each is that of
Khepri's ``#if_...{}`` record of the same name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from .comparisons import Comparison
from .components import (
    MAX_CONDITION_DEPTH,
    Component,
    Condition,
    NameCondition,
    NodeCondition,
    as_member,
    ensure_depth,
    ensure_is_condition,
    invalid_condition,
    unmet,
)
from .data_patterns import DataPattern, Guard
from .globs import glob_matches, merge_stars
from .names import problem_with_name
from .regular_expressions import compile_regex
from .shown import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .tree import TreeNode

__all__ = [
    "MAX_CONDITION_DEPTH",
    "Component",
    "Condition",
    "IfAll",
    "IfAny",
    "IfChildListLength",
    "IfChildListVersion",
    "IfDataMatches",
    "IfHasData",
    "IfHasPayload",
    "IfHasSproc",
    "IfNameLike",
    "IfNameMatches",
    "IfNodeExists",
    "IfNot",
    "IfPathMatches",
    "IfPayloadVersion",
    "NameCondition",
    "ensure_is_condition",
    "unmet",
]

MAX_NUMBER: Final = 2**63 - 1
"""The largest version or count that can be asked for."""


Number: TypeAlias = int | Comparison
"""What versions and counts are compared with; an int means `Eq`."""


@dataclass(frozen=True, slots=True)
class RegexCondition(NameCondition):
    """The part common to `IfNameMatches` and `IfPathMatches`.

    Attributes:
        regex: what to search for, anywhere in the name; None matches every name.
    """

    regex: str | None = None
    _matches: Callable[[str], bool] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compile the expression."""
        object.__setattr__(self, "_matches", _name_test(self, self.regex))

    def __reduce__(self) -> tuple[object, ...]:
        """Survive a copy, in which the expression is compiled again."""
        return (type(self), (self.regex,))

    def fits(self, name: str) -> bool:
        """See `NameCondition.fits`."""
        return self._matches(name)


class IfNameMatches(RegexCondition):
    """The name matches a regular expression, anywhere in it; without one, every name matches."""

    __slots__ = ()


class IfPathMatches(RegexCondition):
    """The same test on the name, at any depth below; tree nodes between need not meet it."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class IfNameLike(NameCondition):
    """The name fits a glob, as written in unix paths: ``queue-*``.

    Attributes:
        parts: the literal texts around the stars; ``a*b`` is ``("a", "b")``.
    """

    parts: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check the parts and merge neighbouring stars."""
        if type(self.parts) is not tuple or len(self.parts) < 2:  # noqa: PLR2004 - around a star
            raise invalid_condition(self, "a glob is a tuple of two parts or more")
        for part in self.parts:
            if type(part) is not str:
                raise invalid_condition(self, f"{shown(part)} is not text")
            problem = problem_with_name(part)
            if problem is not None:
                raise invalid_condition(self, f"{shown(part)} cannot be part of a name: {problem}")
        object.__setattr__(self, "parts", merge_stars(self.parts))

    def fits(self, name: str) -> bool:
        """See `NameCondition.fits`."""
        return glob_matches(self.parts, name)


@dataclass(frozen=True, slots=True)
class IfNodeExists(NodeCondition):
    """The tree node exists; with ``False``, it does not.

    A tree node that is there never meets ``IfNodeExists(False)``. That one is met by absence: in a
    pattern it lets a put create the tree node, as a keep-while condition it is met while nothing
    is at the path.
    """

    exists: bool = True

    def __post_init__(self) -> None:
        """Check the flag."""
        _check_flag(self, self.exists)

    def fits(self, node: TreeNode) -> bool:  # noqa: ARG002 - that it is here is all
        """See `NodeCondition.fits`."""
        return self.exists


@dataclass(frozen=True, slots=True)
class IfHasPayload(NodeCondition):
    """The tree node has a payload, of any kind; with ``False``, none."""

    has_payload: bool = True

    def __post_init__(self) -> None:
        """Check the flag."""
        _check_flag(self, self.has_payload)

    def fits(self, node: TreeNode) -> bool:
        """See `NodeCondition.fits`."""
        return (node.payload is not None) is self.has_payload


@dataclass(frozen=True, slots=True)
class IfHasData(NodeCondition):
    """The payload is data; with ``False``, it is a stored procedure or there is none."""

    has_data: bool = True

    def __post_init__(self) -> None:
        """Check the flag."""
        _check_flag(self, self.has_data)

    def fits(self, node: TreeNode) -> bool:
        """See `NodeCondition.fits`."""
        return node.has_data is self.has_data


@dataclass(frozen=True, slots=True)
class IfHasSproc(NodeCondition):
    """The payload is a stored procedure; with ``False``, it is data or there is none.

    For later: no function stores one yet.
    """

    has_sproc: bool = True

    def __post_init__(self) -> None:
        """Check the flag."""
        _check_flag(self, self.has_sproc)

    def fits(self, node: TreeNode) -> bool:
        """See `NodeCondition.fits`."""
        return node.has_procedure is self.has_sproc


@dataclass(frozen=True, slots=True)
class IfPayloadVersion(NodeCondition):
    """The payload version compares: ``IfPayloadVersion(3)``, ``IfPayloadVersion(Lt(3))``."""

    version: Number

    def __post_init__(self) -> None:
        """Check the number."""
        _check_number(self, self.version)

    def fits(self, node: TreeNode) -> bool:
        """See `NodeCondition.fits`."""
        return _compares(node.payload_version, self.version)


@dataclass(frozen=True, slots=True)
class IfChildListVersion(NodeCondition):
    """The child list version compares."""

    version: Number

    def __post_init__(self) -> None:
        """Check the number."""
        _check_number(self, self.version)

    def fits(self, node: TreeNode) -> bool:
        """See `NodeCondition.fits`."""
        return _compares(node.child_list_version, self.version)


@dataclass(frozen=True, slots=True)
class IfChildListLength(NodeCondition):
    """The number of direct children compares."""

    count: Number

    def __post_init__(self) -> None:
        """Check the number."""
        _check_number(self, self.count)

    def fits(self, node: TreeNode) -> bool:
        """See `NodeCondition.fits`."""
        return _compares(len(node.children), self.count)


@dataclass(frozen=True, slots=True, init=False)
class IfDataMatches(NodeCondition):
    """The payload is data and fits a pattern, see ``docs/reference/data-patterns.md``.

    ``IfDataMatches({"kind": "queue", "limit": Var("n")}, where=[Guard("n", Gt(10))])``
    """

    pattern: DataPattern

    def __init__(self, pattern: object, where: Iterable[Guard] = ()) -> None:
        """Compile the pattern.

        Args:
            pattern: literals, `ANY`, `Var`, types, comparisons, and lists, tuples and dicts of
                these; or a ready `DataPattern`.
            where: `Guard` conditions over the variables, all of which must hold.

        Raises:
            InvalidConditionError: it is not a data pattern.
        """
        ready = pattern if isinstance(pattern, DataPattern) else DataPattern.of(pattern, where)
        object.__setattr__(self, "pattern", ready)

    def __repr__(self) -> str:
        """Show the condition as it is written in a program."""
        guards = self.pattern.guards
        where = f", where={list(guards)!r}" if guards else ""
        return f"IfDataMatches({self.pattern.part!r}{where})"

    def fits(self, node: TreeNode) -> bool:
        """See `NodeCondition.fits`."""
        payload = node.payload
        return payload is not None and node.has_data and self.pattern.matches_encoded(payload)


@dataclass(frozen=True, slots=True)
class IfNot(Condition):
    """The inner condition is not met."""

    condition: Component

    def __post_init__(self) -> None:
        """Check the inner condition."""
        object.__setattr__(self, "condition", as_member(self, self.condition))
        ensure_depth(self)

    @property
    def members(self) -> tuple[Component, ...]:
        """See `Condition.members`."""
        return (self.condition,)

    def unmet(self, name: str, node: TreeNode) -> Component | None:
        """See `Condition.unmet`."""
        return self if unmet(self.condition, name, node) is None else None


@dataclass(frozen=True, slots=True, init=False, repr=False)
class ConditionList(Condition):
    """The part common to `IfAll` and `IfAny`."""

    conditions: tuple[Component, ...]

    def __init__(self, *conditions: Component) -> None:
        """Check the conditions; a plain text is a name."""
        members = tuple([as_member(self, condition) for condition in conditions])
        object.__setattr__(self, "conditions", members)
        ensure_depth(self)

    def __repr__(self) -> str:
        """Show the condition as it is written in a program."""
        return f"{type(self).__name__}({', '.join(map(repr, self.conditions))})"

    @property
    def members(self) -> tuple[Component, ...]:
        """See `Condition.members`."""
        return self.conditions


class IfAll(ConditionList):
    """All conditions are met: ``IfAll("name", IfHasData())``. Without any, always met."""

    __slots__ = ()

    def unmet(self, name: str, node: TreeNode) -> Component | None:
        """See `Condition.unmet`."""
        for condition in self.conditions:
            culprit = unmet(condition, name, node)
            if culprit is not None:
                return culprit
        return None


class IfAny(ConditionList):
    """At least one condition is met: ``IfAny("one", "other")``. Without any, never met."""

    __slots__ = ("_names", "_others")

    _names: frozenset[str]
    _others: tuple[Component, ...]

    def __init__(self, *conditions: Component) -> None:
        """Check the conditions; a plain text is a name."""
        super().__init__(*conditions)
        # Names, of which there may be thousands, are looked up and not tried one by one.
        names = [member for member in self.conditions if isinstance(member, str)]
        others = [member for member in self.conditions if not isinstance(member, str)]
        object.__setattr__(self, "_names", frozenset(names))
        object.__setattr__(self, "_others", tuple(others))

    def unmet(self, name: str, node: TreeNode) -> Component | None:
        """See `Condition.unmet`."""
        if name in self._names:
            return None
        for condition in self._others:
            if unmet(condition, name, node) is None:
                return None
        return self


def _name_test(condition: Condition, regex: object) -> Callable[[str], bool]:
    if regex is None:
        return _always
    if type(regex) is not str:
        raise invalid_condition(condition, f"a regular expression is text, not {shown(regex)}")
    return compile_regex(regex)


def _always(_name: str) -> bool:
    return True


def _check_flag(condition: Condition, flag: object) -> None:
    if type(flag) is not bool:
        raise invalid_condition(condition, f"{shown(flag)} is neither True nor False")


def _check_number(condition: Condition, number: object) -> None:
    operand = number.operand if isinstance(number, Comparison) else number
    if type(operand) is not int or not 0 <= operand <= MAX_NUMBER:
        raise invalid_condition(condition, f"{shown(operand)} is no whole number below 2**63")


def _compares(actual: int, number: Number) -> bool:
    return actual == number if isinstance(number, int) else number.holds(actual)
