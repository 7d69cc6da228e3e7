"""One pattern asked again and again, about one path after the other: for who is told of changes.

The rule is that of ``patterns.path_matches``; here its automaton is kept, so that a question costs
no more than the way to the tree node. Beyond that question: what of a pattern's *matches* is
another one in a later tree. A tree node that is as it was can come or go there, if a condition
is asked of others than itself.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from .automaton import Automaton, visit
from .components import Condition, NameCondition
from .condition_rules import reaches_deeper
from .diff import differs
from .names import PARENT
from .patterns import find_many
from .state import Change

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

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

    def changes(
        self, old_root: TreeNode, new_root: TreeNode, changes: Iterable[Change]
    ) -> Iterator[Change]:
        """Give what of the matches is another one: what matches now, and what did before.

        A tree node that does not match any more is told as gone, one that matches now and did not
        before as new, though both are there before and after.

        Args:
            old_root: the tree before.
            new_root: the tree after.
            changes: what is different between the two, at least where the pattern may match; in
                path order. If the pattern looks elsewhere it is walked in both trees instead.
        """
        if self.looks_elsewhere:
            yield from self._compared(old_root, new_root)
            return
        for path, old, new, reason in changes:
            was = old if old is not None and self.matches(old_root, path) else None
            now = new if new is not None and self.matches(new_root, path) else None
            if was is not None or now is not None:
                yield Change(path, was, now, reason)

    def _compared(self, old_root: TreeNode, new_root: TreeNode) -> Iterator[Change]:
        before, after = dict(self.all(old_root)), dict(self.all(new_root))
        for path in sorted({*before, *after}):
            was, now = before.get(path), after.get(path)
            if differs(was, now):
                yield Change(path, was, now)


def _looks_at_names(component: Component) -> bool:
    """Tell whether a component asks for nothing but names."""
    if not isinstance(component, Condition):
        return True
    if component.members:
        return all(map(_looks_at_names, component.members))
    return isinstance(component, NameCondition)
