"""Walking the tree along a pattern.

Four questions, all answered on one immutable root:

- `find_one`: where is the one tree node this pattern names?
- `place_one`: where is it, or where could a put create it?
- `find_many`: which tree nodes match?
- `place_many`: which match, and which could a put create?

Whether one path matches, without looking at others, is asked of a `ConcretePattern`. Patterns come
resolved from ``paths.realpath``: of the specials only PARENT is left, and only after a condition.

Several nodes come in the order of their paths (parents first, siblings by name), each once,
lazily. How a pattern is followed down the tree is in ``automaton.py``. No function here recurses,
so no tree is too deep.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, TypeAlias, cast

from khepri.errors import ManyNodesDeniedError

from .automaton import Automaton, visit
from .components import Component, unmet
from .condition_rules import allows_creation, named_target, reaches_deeper
from .names import PARENT, ROOT
from .outcomes import Found, MismatchingNode, Missing, NodeNotFound
from .paths import Path
from .shown import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .outcomes import FindOutcome, PlaceOutcome
    from .tree import Names, TreeNode

Pattern: TypeAlias = tuple[Component, ...]
"""A `Path` or a `PathPattern`, resolved."""


def find_one(root: TreeNode, pattern: Pattern) -> FindOutcome:
    """Look for the one tree node a pattern names.

    Args:
        root: the tree.
        pattern: a resolved pattern that names one tree node (``paths.ensure_specific``).

    Returns:
        `Found`, `NodeNotFound` for the first name that is missing, or `MismatchingNode` for the
        first condition that is not met.

    Raises:
        ManyNodesDeniedError: the pattern may match several tree nodes.
    """
    if type(pattern) is Path:  # the plain read, worth a short cut
        node = _descendant(root, pattern)
        if node is not None:
            return Found(pattern, node)
    outcome = _locate(root, pattern, may_create=False)
    assert not isinstance(outcome, Missing)
    return outcome


def place_one(root: TreeNode, pattern: Pattern) -> PlaceOutcome:
    """Look for the one tree node a pattern names, or for the place where a put may create it.

    A missing tree node may be created if its component allows it
    (``condition_rules.allows_creation``), a target as well as the nodes on the way.

    Returns:
        As `find_one`; `Missing` if what does not exist may be created.

    Raises:
        ManyNodesDeniedError: the pattern may match several tree nodes.
    """
    return _locate(root, pattern, may_create=True)


def _locate(root: TreeNode, pattern: Pattern, *, may_create: bool) -> PlaceOutcome:
    names: list[str] = []
    nodes = [root]  # of the root and of those names that exist
    for position, component in enumerate(pattern):
        target = component if isinstance(component, str) else named_target(component)
        if target is None:
            raise ManyNodesDeniedError(
                f"{shown(pattern)} may match many tree nodes where one is required", path=pattern
            )
        if isinstance(target, str):
            names.append(target)
            child = nodes[-1].children.get(target) if len(nodes) == len(names) else None
            if child is not None:
                nodes.append(child)
        elif target is PARENT:
            del names[-1:]
            del nodes[len(names) + 1 :]
            continue
        elif target is ROOT:
            names.clear()
            del nodes[1:]
        if len(nodes) > len(names):
            culprit = unmet(component, names[-1] if names else "", nodes[-1])
            if culprit is not None:
                is_target = position == len(pattern) - 1
                name = names[-1] if names else ROOT
                return MismatchingNode(name, tuple(names), is_target, nodes[-1], culprit)
        elif not (may_create and allows_creation(component)):
            return _not_found(tuple(names), component, is_target=position == len(pattern) - 1)
    path = tuple(names)
    return Found(path, nodes[-1]) if len(nodes) > len(names) else Missing(path, len(nodes) - 1)


def _not_found(path: Names, component: Component, *, is_target: bool) -> NodeNotFound:
    condition = None if isinstance(component, str) else component
    return NodeNotFound(path[-1], path, is_target, condition)


def find_many(
    root: TreeNode,
    pattern: Pattern,
    *,
    include_root: bool = False,
    after: Names | None = None,
) -> Iterator[tuple[Names, TreeNode]]:
    """Walk all tree nodes that match a pattern.

    A name leads to that child, a condition to every child that meets it. A condition that
    reaches deeper (`IfPathMatches`, ``**``) is asked of the children of every child as well,
    whether that child met it or not. The root is matched by no condition.

    Args:
        root: the tree.
        pattern: a resolved pattern.
        include_root: whether the root comes too if the pattern begins with a condition, without
            the condition being asked of it.
        after: give only what comes behind this path. What lies before is not even visited, except
            by a pattern with steps up.

    Yields:
        Paths (plain tuples of names) with their tree nodes, in the order of the paths.
    """
    if all(isinstance(component, str) for component in pattern):
        names = cast("Names", pattern)
        found = _descendant(root, names)
        is_wanted = found is not None and (after is None or names > after)
        return iter(((names, found),) if found is not None and is_wanted else ())
    matches = _walk(root, pattern, after)
    if not include_root or isinstance(pattern[0], str) or after is not None:
        return matches
    return chain([((), root)], (match for match in matches if match[0]))


def _descendant(node: TreeNode, path: Names) -> TreeNode | None:
    for name in path:
        child = node.children.get(name)
        if child is None:
            return None
        node = child
    return node


def _walk(
    root: TreeNode, pattern: Pattern, after: Names | None
) -> Iterator[tuple[Names, TreeNode]]:
    segments = _segments(pattern)
    starts = _starts(root, segments)
    is_one_walk = len(segments) == 1
    visited = visit(starts, Automaton(segments[-1]), after if is_one_walk else None)
    found = ((path, node) for path, node, state in visited if state.matches)
    if is_one_walk:
        return found
    ordered = iter(sorted(found, key=_path_of))
    return ordered if after is None else (match for match in ordered if match[0] > after)


def _segments(pattern: Pattern) -> list[list[Component]]:
    """Cut a pattern at its steps up."""
    segments: list[list[Component]] = [[]]
    for component in pattern:
        if component is PARENT:
            segments.append([])
        else:
            segments[-1].append(component)
    return segments


def _starts(root: TreeNode, segments: list[list[Component]]) -> dict[Names, TreeNode]:
    """Give the tree nodes from which the last segment begins.

    Many tree nodes have one parent, and parents come in no order, so each segment is walked to
    its end before the next begins. That costs memory, for patterns that few need.
    """
    starts: dict[Names, TreeNode] = {(): root}
    for segment in segments[:-1]:
        parents: dict[Names, TreeNode] = {}
        for path, _node, state in visit(starts, Automaton(segment)):
            parent = path[:-1]
            if state.matches and parent not in parents:
                node = _descendant(root, parent)
                assert node is not None
                parents[parent] = node
        starts = parents
    return starts


def place_many(root: TreeNode, pattern: Pattern) -> list[PlaceOutcome]:
    """Give all tree nodes that match a pattern, and all places where it lets a put create one.

    A missing tree node that a component names may be created if the component allows it. One
    that it does not allow is an outcome too (`NodeNotFound`), as for one tree node. Wildcards, and
    conditions that reach deeper, name nothing: where nothing matches them, nothing is missing.
    Beside a step up nothing is created on the way: the parent of what does not exist matches
    nothing.

    Returns:
        `Found`, `Missing` and `NodeNotFound`, sorted by path, each path once.
    """
    segments = _segments(pattern)
    starts = _starts(root, segments)
    steps = segments[-1]
    outcomes: dict[Names, PlaceOutcome] = {}
    for path, node, state in visit(starts, Automaton(steps)):
        if state.matches:
            outcomes[path] = Found(path, node)
        for position, component in state.steps:
            target = named_target(component)
            if isinstance(target, str) and target not in node.children:
                place = _place_below(path, steps[position:])
                # One way that allows creation is enough.
                if isinstance(place, Missing):
                    outcomes[place.path] = place
                elif place is not None:
                    outcomes.setdefault(place.node_path, place)
    return [outcomes[path] for path in sorted(outcomes)]


def _place_below(parent: Names, steps: Sequence[Component]) -> Missing | NodeNotFound | None:
    """Give what steps lead to from a tree node that lacks the first of them."""
    path = parent
    for position, component in enumerate(steps):
        target = named_target(component)
        if target is None or reaches_deeper(component):
            return None
        if isinstance(target, str):
            path = (*path, target)
        if not allows_creation(component):
            return _not_found(path, component, is_target=position == len(steps) - 1)
    return Missing(path, len(parent))


def _path_of(item: tuple[Names, TreeNode]) -> Names:
    return item[0]
