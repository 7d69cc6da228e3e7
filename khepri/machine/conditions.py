"""The conditions: what can be asked of a tree node before it is read or changed.

Here are the conditions and whether a tree node meets them. Which nodes a condition is asked of
is decided in ``patterns.py`` with the rules of ``condition_rules.py``; how conditions are carried
is in ``condition_codec.py``.

Conditions are immutable values, checked when they are made: afterwards nobody checks again, and
none of them can fail while the replicated machine evaluates it. The meaning of each is that of
Khepri's ``#if_...{}`` record of the same name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final, TypeAlias

from khepri.errors import ConditionTargetsParentError, InvalidConditionError

from .comparisons import Comparison
from .data_patterns import DataPattern, Guard
from .globs import glob_matches, merge_stars
from .names import Special, problem_with_name
from .regular_expressions import compile_regex
from .shown import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .tree import TreeNode

MAX_CONDITION_DEPTH: Final = 32
"""How deep conditions may be nested."""

MAX_NUMBER: Final = 2**63 - 1
"""The largest version or count that can be asked for."""


class Condition:
    """The base of all conditions.

    A condition is asked about one tree node, with the name of that node. The root has no name;
    conditions on names see the empty text there.
    """

    __slots__ = ()
    __match_args__: ClassVar[tuple[str, ...]] = ()

    @property
    def members(self) -> tuple[Component, ...]:
        """The conditions this one is made of; none for most."""
        return ()

    def unmet(self, name: str, node: TreeNode) -> Component | None:
        """Give what the tree node does not meet, None if it meets the condition.

        Args:
            name: the name of the tree node; empty for the root.
            node: the tree node.

        Returns:
            None if met. Otherwise the part to blame: of `IfAll` the part of the first failing
            member, of every other condition the condition itself. A part may be the empty name,
            so test with ``is None``.
        """
        raise NotImplementedError

    def is_met(self, name: str, node: TreeNode) -> bool:
        """Tell whether the tree node meets the condition."""
        return self.unmet(name, node) is None


class NameCondition(Condition):
    """A condition on nothing but the name."""

    __slots__ = ()

    def fits(self, name: str) -> bool:
        """Tell whether a name meets the condition."""
        raise NotImplementedError

    def unmet(self, name: str, node: TreeNode) -> Component | None:  # noqa: ARG002 - the name is all
        """See `Condition.unmet`."""
        return None if self.fits(name) else self


class NodeCondition(Condition):
    """A condition on a tree node whatever its name is."""

    __slots__ = ()

    def fits(self, node: TreeNode) -> bool:
        """Tell whether a tree node meets the condition."""
        raise NotImplementedError

    def unmet(self, name: str, node: TreeNode) -> Component | None:  # noqa: ARG002 - any name will do
        """See `Condition.unmet`."""
        return None if self.fits(node) else self


Component: TypeAlias = str | Special | Condition
"""One step of a pattern: a name, one of ROOT, THIS, PARENT, or a condition."""

Number: TypeAlias = int | Comparison
"""What versions and counts are compared with; an int means `Eq`."""


@dataclass(frozen=True, slots=True)
class IfNameMatches(NameCondition):
    """The name matches a regular expression, anywhere in it; without one, every name matches."""

    regex: str | None = None
    _matches: Callable[[str], bool] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compile the expression."""
        object.__setattr__(self, "_matches", _name_test(self, self.regex))

    def fits(self, name: str) -> bool:
        """See `NameCondition.fits`."""
        return self._matches(name)


@dataclass(frozen=True, slots=True)
class IfPathMatches(NameCondition):
    """The same test on the name, of tree nodes at any depth below (see ``patterns.py``)."""

    regex: str | None = None
    _matches: Callable[[str], bool] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compile the expression."""
        object.__setattr__(self, "_matches", _name_test(self, self.regex))

    def fits(self, name: str) -> bool:
        """See `NameCondition.fits`."""
        return self._matches(name)


@dataclass(frozen=True, slots=True)
class IfNameLike(NameCondition):
    """The name fits a glob, as written in unix paths: ``queue-*``.

    Attributes:
        parts: the literal texts around the stars; ``a*b`` is ``("a", "b")``.
    """

    parts: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check the parts and merge neighbouring stars."""
        if type(self.parts) is not tuple or len(self.parts) < 2:  # noqa: PLR2004 - one star, two parts
            raise _invalid(self, "a glob has a tuple of at least two parts, around its star")
        for part in self.parts:
            if type(part) is not str:
                raise _invalid(self, f"{shown(part)} is not text")
            problem = problem_with_name(part)
            if problem is not None:
                raise _invalid(self, f"{shown(part)} cannot be part of a name: {problem}")
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
    """The payload is a stored procedure; with ``False``, it is data or there is none."""

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
    """The payload is data and fits a pattern (see ``data_patterns.py``).

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
        _check_members(self)

    @property
    def members(self) -> tuple[Component, ...]:
        """See `Condition.members`."""
        return (self.condition,)

    def unmet(self, name: str, node: TreeNode) -> Component | None:
        """See `Condition.unmet`."""
        return self if unmet(self.condition, name, node) is None else None


@dataclass(frozen=True, slots=True, init=False, repr=False)
class IfAll(Condition):
    """All conditions are met: ``IfAll("name", IfHasData())``. Without any, always met."""

    conditions: tuple[Component, ...]

    def __init__(self, *conditions: Component) -> None:
        """Check the conditions; a plain text is a name."""
        object.__setattr__(self, "conditions", conditions)
        _check_members(self)

    def __repr__(self) -> str:
        """Show the condition as it is written in a program."""
        return f"IfAll({', '.join(map(repr, self.conditions))})"

    @property
    def members(self) -> tuple[Component, ...]:
        """See `Condition.members`."""
        return self.conditions

    def unmet(self, name: str, node: TreeNode) -> Component | None:
        """See `Condition.unmet`."""
        for condition in self.conditions:
            culprit = unmet(condition, name, node)
            if culprit is not None:
                return culprit
        return None


@dataclass(frozen=True, slots=True, init=False, repr=False)
class IfAny(Condition):
    """At least one condition is met: ``IfAny("one", "other")``. Without any, never met."""

    conditions: tuple[Component, ...]

    def __init__(self, *conditions: Component) -> None:
        """Check the conditions; a plain text is a name."""
        object.__setattr__(self, "conditions", conditions)
        _check_members(self)

    def __repr__(self) -> str:
        """Show the condition as it is written in a program."""
        return f"IfAny({', '.join(map(repr, self.conditions))})"

    @property
    def members(self) -> tuple[Component, ...]:
        """See `Condition.members`."""
        return self.conditions

    def unmet(self, name: str, node: TreeNode) -> Component | None:
        """See `Condition.unmet`."""
        for condition in self.conditions:
            if unmet(condition, name, node) is None:
                return None
        return self


def unmet(component: Component, name: str, node: TreeNode) -> Component | None:
    """Give what a tree node does not meet of a component, None if it meets it.

    A name is met by the tree node of exactly that name; ROOT and THIS, as parts of a condition,
    are always met.
    """
    if isinstance(component, Condition):
        return component.unmet(name, node)
    if isinstance(component, str) and component != name:
        return component
    return None


def ensure_is_condition(value: object) -> Component:
    """Give back a condition or a name; for what must be a condition outside of a path.

    Raises:
        InvalidConditionError: it is something else.
    """
    if isinstance(value, Condition):
        return value
    return _member(value, value)


def _name_test(condition: Condition, regex: object) -> Callable[[str], bool]:
    if regex is None:
        return _always
    if type(regex) is not str:
        raise _invalid(condition, f"a regular expression is text, not {shown(regex)}")
    return compile_regex(regex)


def _always(_name: str) -> bool:
    return True


def _check_flag(condition: Condition, flag: object) -> None:
    if type(flag) is not bool:
        raise _invalid(condition, f"{shown(flag)} is neither True nor False")


def _check_number(condition: Condition, number: object) -> None:
    operand = number.operand if isinstance(number, Comparison) else number
    if type(operand) is not int or not 0 <= operand <= MAX_NUMBER:
        raise _invalid(condition, f"{shown(operand)} is not a whole number from 0 to 2**63 - 1")


def _compares(actual: int, number: Number) -> bool:
    return actual == number if isinstance(number, int) else number.holds(actual)


def _check_members(condition: Condition) -> None:
    for member in condition.members:
        _member(condition, member)
    if _depth(condition) > MAX_CONDITION_DEPTH:
        raise InvalidConditionError(
            f"conditions are nested more than {MAX_CONDITION_DEPTH} deep",
            condition=type(condition).__name__,
            reason="depth",
        )


def _member(condition: object, member: object) -> Component:
    if isinstance(member, Condition):
        return member
    if isinstance(member, Special):
        if member is Special.PARENT:
            raise ConditionTargetsParentError(
                f"{type(condition).__name__}: a condition cannot name the parent ('..')",
                path=None,
                condition=type(condition).__name__,
            )
        return member
    if type(member) is not str:
        raise _invalid(condition, f"{shown(member)} is neither a condition nor a name")
    problem = problem_with_name(member)
    if problem is not None:
        raise _invalid(condition, f"{shown(member)} is not a name: {problem}")
    return member


def _depth(component: Component) -> int:
    # Recursion is safe: every member was checked when it was made, so it is not deeper than the
    # limit itself.
    if not isinstance(component, Condition):
        return 0
    return 1 + max(map(_depth, component.members), default=0)


def _invalid(condition: object, reason: str) -> InvalidConditionError:
    return InvalidConditionError(
        f"{type(condition).__name__}: {reason}", condition=condition, reason=reason
    )
