"""What patterns mean, said once more and plainly: the model the walks are compared with.

Sets of paths by recursion over the pattern, as spec §3.2 tells it, with no thought of speed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from khepri.machine.condition_rules import allows_creation, named_target, reaches_deeper
from khepri.machine.conditions import Component, unmet
from khepri.machine.names import PARENT, Special

if TYPE_CHECKING:
    from collections.abc import Sequence

    from khepri.machine.tree import Names, TreeNode

Pattern: TypeAlias = "Sequence[Component]"


def look_up(root: TreeNode, path: Names) -> TreeNode:
    for name in path:
        root = root.children[name]
    return root


def name_of(path: Names) -> str:
    return path[-1] if path else ""


def matches(root: TreeNode, pattern: Pattern, at: Names = ()) -> set[Names]:
    """The paths a pattern matches, from a tree node on."""
    if not pattern:
        return {at}
    component, rest = pattern[0], pattern[1:]
    if component is PARENT:
        return matches(root, rest, at[:-1])
    node = look_up(root, at)
    if isinstance(named_target(component), Special):
        met = unmet(component, name_of(at), node) is None
        return matches(root, rest, at) if met else set()
    found: set[Names] = set()
    for name, child in node.children.items():
        if unmet(component, name, child) is None:
            found |= matches(root, rest, (*at, name))
        if reaches_deeper(component):
            found |= matches(root, pattern, (*at, name))
    return found


def creatable(root: TreeNode, pattern: Pattern, at: Names = ()) -> set[tuple[str, Names]]:
    """What is missing along a pattern: ("missing" or "refused", path)."""
    if not pattern:
        return set()
    component, rest = pattern[0], pattern[1:]
    if component is PARENT:
        return creatable(root, rest, at[:-1])
    node = look_up(root, at)
    target = named_target(component)
    if isinstance(target, Special):
        met = unmet(component, name_of(at), node) is None
        return creatable(root, rest, at) if met else set()
    places: set[tuple[str, Names]] = set()
    for name, child in node.children.items():
        if unmet(component, name, child) is None:
            places |= creatable(root, rest, (*at, name))
        if reaches_deeper(component):
            places |= creatable(root, pattern, (*at, name))
    if target is not None and target not in node.children and PARENT not in pattern:
        places |= created(pattern, at)
    return places


def created(pattern: Pattern, at: Names) -> set[tuple[str, Names]]:
    """What is missing along a pattern where nothing exists any more."""
    for component in pattern:
        target = named_target(component)
        if target is None or reaches_deeper(component):
            return set()
        if not isinstance(target, Special):
            at = (*at, target)
        if not allows_creation(component):
            return {("refused", at)}
    return {("missing", at)}


def covers(root: TreeNode, pattern: Pattern, path: Names, at: Names = ()) -> bool:
    """Whether a path matches, where every level that a condition takes in must meet it."""
    if not pattern:
        return path == at
    component, rest = pattern[0], pattern[1:]
    if isinstance(named_target(component), Special):
        met = unmet(component, name_of(at), look_up(root, at)) is None
        return met and covers(root, rest, path, at)
    if path == at:
        return False
    name = path[len(at)]
    below = (*at, name)
    if unmet(component, name, look_up(root, below)) is not None:
        return False
    return covers(root, rest, path, below) or (
        reaches_deeper(component) and covers(root, pattern, path, below)
    )


def all_paths(root: TreeNode, at: Names = ()) -> list[Names]:
    """Every path of a tree, the root's included."""
    below = [all_paths(child, (*at, name)) for name, child in root.children.items()]
    return [at, *(path for paths in below for path in paths)]
