"""One pattern asked again and again, about one path after the other: for who is told of changes.

For triggers, subscriptions and projections. The rule for conditions that reach deeper is theirs
and narrower than that of ``patterns.find_many``: such a condition may take in several levels, but
every level it takes in must meet it. For ``**`` there is no difference. The pattern's automaton
is kept, so that a question costs no more than the way to the tree node.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from .automaton import Automaton, visit
from .components import Condition, NameCondition
from .condition_rules import reaches_deeper
from .names import PARENT
from .patterns import find_many

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .components import Component
    from .patterns import Pattern
    from .tree import Names, TreeNode


class ConcretePattern:
    """A pattern, prepared; for one thread at a time.

    Attributes:
        pattern: the resolved pattern.
        looks_elsewhere: whether it depends on other tree nodes than the one at a path whether
            that matches: those above it, or, for a step up, their children.
    """

    __slots__ = ("_automaton", "looks_elsewhere", "pattern")

    def __init__(self, pattern: Pattern) -> None:
        """Prepare a resolved pattern."""
        self.pattern = pattern
        self._automaton = None if PARENT in pattern else Automaton(pattern, every_level=True)
        self.looks_elsewhere = PARENT in pattern or not (
            all(map(_looks_at_names, pattern[:-1]))
            and (not pattern or not reaches_deeper(pattern[-1]) or _looks_at_names(pattern[-1]))
        )

    def matches(self, root: TreeNode, path: Names) -> bool:
        """Tell whether a path matches in a tree; False if nothing is there."""
        automaton = self._automaton
        if automaton is None:
            return any(path == found for found, _node in self.all(root))
        state = automaton.start("", root)
        node = root
        for name in path:
            child = node.children.get(name)
            if child is None or state is None:
                return False
            node = child
            state = automaton.following(state, name, node)
        return state is not None and state.matches

    def matching(self, root: TreeNode) -> Callable[[Names], bool]:
        """Give `matches` for many questions about one tree.

        A pattern with steps up can only be walked: that is done once, at the first question.
        """
        if self._automaton is not None:
            return partial(self.matches, root)
        found: list[set[Names]] = []

        def is_found(path: Names) -> bool:
            if not found:
                found.append({match for match, _node in self.all(root)})
            return path in found[0]

        return is_found

    def all(self, root: TreeNode) -> Iterator[tuple[Names, TreeNode]]:
        """Give all matches of a tree, in path order."""
        if self._automaton is None:
            return find_many(root, self.pattern)
        visited = visit({(): root}, self._automaton)
        return ((path, node) for path, node, state in visited if state.matches)


def _looks_at_names(component: Component) -> bool:
    """Tell whether a component asks for nothing but names."""
    if not isinstance(component, Condition):
        return True
    if component.members:
        return all(map(_looks_at_names, component.members))
    return isinstance(component, NameCondition)
