"""Components: what the steps of a path or pattern can be.

A component is a name, a special (ROOT, THIS, PARENT) or a condition. Here is what conditions have
in common and what it means for a tree node to meet a component. The conditions themselves are in
``conditions.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, TypeAlias

from khepri.errors import ConditionTargetsParentError, InvalidConditionError

from .names import Special, problem_with_name
from .shown import shown

if TYPE_CHECKING:
    from .tree import TreeNode

MAX_CONDITION_DEPTH: Final = 32
"""How deep conditions may be nested."""


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
    return as_member(value, value)


def as_member(condition: object, member: object) -> Component:
    """Give back what is to be a member of a condition; text of a subclass as plain text.

    Raises:
        ConditionTargetsParentError: it is PARENT, which no condition can name.
        InvalidConditionError: it is not a component.
    """
    if isinstance(member, Condition):
        return member
    if isinstance(member, str):
        problem = problem_with_name(member)
        if problem is not None:
            raise invalid_condition(condition, f"{shown(member)} is not a name: {problem}")
        return str.__str__(member)
    if member is Special.PARENT:
        raise ConditionTargetsParentError(
            f"{type(condition).__name__}: a condition cannot name the parent ('..')",
            path=None,
            condition=type(condition).__name__,
        )
    if not isinstance(member, Special):
        raise invalid_condition(condition, f"{shown(member)} is neither a condition nor a name")
    return member


def ensure_depth(condition: Condition) -> None:
    """See that conditions are not nested too deep, for evaluating and decoding them recurses.

    Raises:
        InvalidConditionError: they are.
    """
    if _depth(condition) > MAX_CONDITION_DEPTH:
        raise InvalidConditionError(
            f"conditions are nested more than {MAX_CONDITION_DEPTH} deep",
            condition=type(condition).__name__,
            reason="depth",
        )


def _depth(component: Component) -> int:
    # Recursion is safe: every member was checked when it was made, so it is not deeper than the
    # limit itself.
    if not isinstance(component, Condition):
        return 0
    return 1 + max(map(_depth, component.members), default=0)


def invalid_condition(condition: object, reason: str) -> InvalidConditionError:
    """Make the error for a condition that cannot be."""
    return InvalidConditionError(
        f"{type(condition).__name__}: {reason}", condition=condition, reason=reason
    )
