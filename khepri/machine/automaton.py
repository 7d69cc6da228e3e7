"""Following a pattern down the tree: which steps of it are open at which tree node.

A pattern without PARENT is a nondeterministic automaton. At a tree node it stands at a set of
*positions*, the steps still to be taken below; a bit mask has bit i for step i, and the bit behind
the last step means that the tree node itself matches. What is known about one set is computed
once, in a `State`. So every tree node is visited at most once, however many ways lead to it.

What patterns mean, and which questions are asked with them, is in ``patterns.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .components import Component, unmet
from .condition_rules import named_siblings, named_target, reaches_deeper
from .conditions import IfNameMatches, IfPathMatches
from .names import Special
from .sorted_families import names_behind, sorted_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .tree import Names, TreeNode

    _Level = tuple[Names, Mapping[str, TreeNode], "State", Iterator[str]]

_ALWAYS_MET: Final = (IfNameMatches(), IfPathMatches())


class State:
    """What is known about one set of positions.

    Attributes:
        positions: the set, as a bit mask; not empty.
        matches: whether a tree node in this state matches the whole pattern.
        steps: the open steps: their positions and components.
        always: the positions of every child, whatever it is.
        tests: what else to ask of a child, and the positions it gains if it meets it.
        names: the only names of children that can go on, sorted; None if any name may.
        forced: the state of every child if nothing needs to be asked of it, otherwise None.
    """

    __slots__ = ("always", "forced", "matches", "names", "positions", "steps", "tests")

    def __init__(
        self, positions: int, components: Sequence[Component], *, every_level: bool
    ) -> None:
        """Look at the steps of a set of positions; see `Automaton` for the arguments."""
        end = len(components)
        self.positions = positions
        self.matches = bool(positions >> end & 1)
        self.steps = [(i, components[i]) for i in range(end) if positions >> i & 1]
        self.always = 0
        self.tests: list[tuple[Component, int]] = []
        self.forced: State | None = None
        siblings: set[str] | None = set()
        for i, component in self.steps:
            deeper = reaches_deeper(component)
            if component in _ALWAYS_MET:
                self.always |= 3 << i if deeper else 2 << i
            elif deeper and every_level:
                self.tests.append((component, 3 << i))
            else:
                self.always |= 1 << i if deeper else 0
                self.tests.append((component, 2 << i))
            names = None if deeper else named_siblings(component)
            siblings = None if siblings is None or names is None else siblings | names
        self.names = None if siblings is None else sorted(siblings)


class Automaton:
    """One pattern without PARENT, prepared for one walk; for one thread."""

    def __init__(self, components: Sequence[Component], *, every_level: bool = False) -> None:
        """Prepare a pattern.

        Args:
            components: a resolved pattern, or the part of one between two steps up.
            every_level: whether a condition that reaches deeper must be met on each level it
                passes, and not only where it ends.
        """
        self._components = components
        self._every_level = every_level
        self._states: dict[int, State] = {}
        # Conditions that name THIS or ROOT (which comes first only) take no step down.
        self._stays = [
            i
            for i, component in enumerate(components)
            if isinstance(named_target(component), Special)
        ]

    def start(self, name: str, node: TreeNode) -> State | None:
        """Give the state of a tree node from which the pattern begins."""
        return self._state(self._settled(1, name, node))

    def following(self, state: State, name: str, child: TreeNode) -> State | None:
        """Give the state of a child, None if neither it nor anything below can match."""
        forced = state.forced
        if forced is not None:
            return forced
        positions = state.always
        for component, gained in state.tests:
            if unmet(component, name, child) is None:
                positions |= gained
        if self._stays:
            positions = self._settled(positions, name, child)
        following = self._state(positions)
        if not state.tests and not self._stays:
            state.forced = following
        return following

    def joined(self, state: State | None, other: State | None) -> State | None:
        """Give the state of a tree node that is in two states for two reasons."""
        if state is None or other is None:
            return state or other
        return self._state(state.positions | other.positions)

    def _settled(self, positions: int, name: str, node: TreeNode) -> int:
        """Take the steps that stay on a tree node."""
        for i in self._stays:
            if positions >> i & 1:
                positions &= ~(1 << i)
                if unmet(self._components[i], name, node) is None:
                    positions |= 2 << i
        return positions

    def _state(self, positions: int) -> State | None:
        if not positions:
            return None
        state = self._states.get(positions)
        if state is None:
            state = self._states[positions] = State(
                positions, self._components, every_level=self._every_level
            )
        return state


def visit(
    starts: Mapping[Names, TreeNode], automaton: Automaton, after: Names | None = None
) -> Iterator[tuple[Names, TreeNode, State]]:
    """Visit the tree nodes that a pattern leads to, with their states, each once.

    From one start they come in the order of their paths, from several in no useful order.

    Args:
        starts: the tree nodes from which the pattern begins.
        automaton: the pattern.
        after: begin behind this path; the root must be the only start then. What lies before is
            not visited.
    """
    several = len(starts) > 1
    joined: set[Names] = set()
    for start, node in sorted(starts.items(), key=_path_of):
        if start in joined:
            continue  # visited on the way from a start above
        state = automaton.start(start[-1] if start else "", node)
        if state is None:
            continue
        if after is None:
            yield start, node, state
            stack = [_level(start, node, state)]
        else:
            assert starts.keys() == {()}
            stack = _levels_behind(after, node, state, automaton)
        while stack:
            path, children, state, names = stack[-1]
            for name in names:
                child = children[name]
                below = automaton.following(state, name, child)
                child_path = (*path, name)
                if several and child_path in starts:
                    joined.add(child_path)
                    below = automaton.joined(below, automaton.start(name, child))
                if below is None:
                    continue
                yield child_path, child, below
                if child.children and below.steps:
                    stack.append(_level(child_path, child, below))
                    break
            else:
                stack.pop()


def _level(path: Names, node: TreeNode, state: State) -> _Level:
    """Begin with the children of a tree node."""
    children = node.children
    if state.names is None:
        return path, children, state, iter(sorted_names(children))
    return path, children, state, iter([name for name in state.names if name in children])


def _levels_behind(
    after: Names, node: TreeNode, state: State, automaton: Automaton
) -> list[_Level]:
    """Give the levels a walk from the root has open when it has just passed a path."""
    levels: list[_Level] = []
    path: Names = ()
    for name in after:
        children = node.children
        names: Iterator[str]
        if state.names is None:
            names = names_behind(children, name)
        else:
            names = iter([it for it in state.names if it > name and it in children])
        levels.append((path, children, state, names))
        child = children.get(name)
        below = None if child is None else automaton.following(state, name, child)
        if child is None or below is None:
            return levels
        path, node, state = (*path, name), child, below
    levels.append(_level(path, node, state))
    return levels


def _path_of(item: tuple[Names, TreeNode]) -> Names:
    return item[0]
