"""What a condition means as a step of a walk: whom it names, how far it reaches, what it allows.

Whether a tree node meets a condition is in ``conditions.py``, the walk itself in ``patterns.py``.
All functions take a component, that is a name, a special or a condition, and look only at it.
"""

from __future__ import annotations

from itertools import chain
from operator import is_
from typing import TYPE_CHECKING

from .components import Component, Condition, NameCondition
from .conditions import (
    IfAll,
    IfAny,
    IfNodeExists,
    IfNot,
    IfPathMatches,
)

if TYPE_CHECKING:
    from .names import Special


def normalise(component: Component) -> Component:
    """Give the form in which a component is walked, sent and shown in errors.

    Inside `IfAll`, names come first, so that the cheap test comes first and a failure blames the
    same member on every path; `IfAll` and `IfAny` of one member become that member, empty ones
    stay (they mean always and never). Khepri calls this compiling.
    """
    if isinstance(component, IfNot):
        inner = normalise(component.condition)
        return component if inner is component.condition else IfNot(inner)
    if not isinstance(component, IfAll | IfAny):
        return component
    members = [normalise(member) for member in component.conditions]
    if len(members) == 1:
        return members[0]
    if isinstance(component, IfAll):
        members.sort(key=_is_condition)
    # Members are seldom changed, and what is normal already need not be made and checked again.
    unchanged = all(map(is_, members, component.conditions))
    return component if unchanged else type(component)(*members)


def _is_condition(component: Component) -> bool:
    return isinstance(component, Condition)


def named_target(component: Component) -> str | Special | None:
    """Give the one name (or special) a component stands for, None if it may match several nodes.

    `IfAll` names a node if its members name one and only one; `IfAny` if all its members name
    the same one. (Khepri's ``component_targets_specific_node``.)
    """
    if not isinstance(component, Condition):
        return component
    if isinstance(component, IfAll):
        targets = {named_target(member) for member in component.conditions} - {None}
    elif isinstance(component, IfAny):
        targets = {named_target(member) for member in component.conditions}
    else:
        return None
    return targets.pop() if len(targets) == 1 else None


def named_siblings(component: Component) -> frozenset[str] | None:
    """Give the names outside of which a component matches nothing, None if any name may match.

    A walk looks these up instead of trying all children. (Khepri's
    ``component_targets_specific_siblings``.)
    """
    if isinstance(component, str):
        return frozenset((component,))
    if isinstance(component, IfAny):
        sets = [named_siblings(member) for member in component.conditions]
        known = [names for names in sets if names is not None]
        return frozenset(chain(*known)) if len(known) == len(sets) else None
    if isinstance(component, IfAll):
        sets = [named_siblings(member) for member in component.conditions]
        known = [names for names in sets if names is not None]
        return known[0].intersection(*known[1:]) if known else None
    return None


def reaches_deeper(component: Component) -> bool:
    """Tell whether a component applies to the descendants of a tree node, not only its children.

    That is `IfPathMatches` and everything that has one inside.
    """
    if isinstance(component, IfPathMatches):
        return True
    return isinstance(component, Condition) and any(map(reaches_deeper, component.members))


def allows_creation(component: Component) -> bool:
    """Tell whether a put may create the missing tree node that a component names.

    A plain name allows it and so does ``IfNodeExists(False)``; `IfAll` if all members do, `IfAny`
    if one does. Nothing else does: a negation says what must not be, not what may be made.
    """
    if isinstance(component, IfAll):
        return all(map(allows_creation, component.conditions))
    if isinstance(component, IfAny):
        return any(map(allows_creation, component.conditions))
    if isinstance(component, IfNodeExists):
        return not component.exists
    return not isinstance(component, Condition)


def is_met_by_absence(component: Component) -> bool:
    """Tell whether a keep-while condition is met while nothing is at the watched path.

    Only ``IfNodeExists(False)`` is, and what normalises to it.
    """
    return normalise(component) == IfNodeExists(exists=False)


def may_match_name(component: Component, name: str) -> bool:
    """Tell whether a component can match a tree node of this name, whatever else the node has.

    False is certain, True is a maybe.
    """
    return _matches_name(component, name, when_unsure=True)


def _matches_name(component: Component, name: str, *, when_unsure: bool) -> bool:
    if isinstance(component, IfAll):
        members = component.conditions
        return all(_matches_name(member, name, when_unsure=when_unsure) for member in members)
    if isinstance(component, IfAny):
        members = component.conditions
        return any(_matches_name(member, name, when_unsure=when_unsure) for member in members)
    if isinstance(component, IfNot):
        # Unsure about the inside must end as unsure about the whole.
        return not _matches_name(component.condition, name, when_unsure=not when_unsure)
    if isinstance(component, NameCondition):
        return component.fits(name)
    return component == name if isinstance(component, str) else when_unsure
