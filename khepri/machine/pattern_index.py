"""Finding the patterns that a path may match, without trying all of them.

For subscriptions, projections and whatever else waits for changes. Patterns are filed in a trie by
their components, and a path is led through all of them at once. The answer may hold too much,
never too little: what only the tree knows (data, versions, whose parent a step up means) counts
as met, so each pattern found has still to be tried (``concrete_pattern``).

The index is immutable, as the tree is: a change gives a new index that shares what stayed the
same, and any thread may read any index. Answers are sorted, so that all members agree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import immutables

from .condition_rules import may_match_name, named_siblings, named_target, reaches_deeper
from .names import PARENT, Special
from .unix_paths import STAR_STAR

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .components import Component
    from .patterns import Pattern
    from .tree import Names


class Sortable(Protocol):
    """What an index can find: something hashable that has an order, as text has."""

    def __hash__(self) -> int:
        """Hash in agreement with equality."""
        ...

    def __lt__(self, other: Any, /) -> bool:  # noqa: ANN401 - only like is compared with like
        """Tell which comes first."""
        ...


Key = TypeVar("Key", bound=Sortable)
"""What is found: the name of a trigger, the path of a watcher."""


class _Fork(Generic[Key]):
    """One place in the trie: whose patterns end here, how many, and what follows."""

    __slots__ = ("conditions", "keys", "names")

    def __init__(
        self,
        keys: immutables.Map[Key, int],
        names: immutables.Map[str, _Fork[Key]],
        conditions: immutables.Map[Component, _Fork[Key]],
    ) -> None:
        self.keys = keys
        self.names = names
        self.conditions = conditions

    def __bool__(self) -> bool:
        """Tell whether anything is filed here or beyond."""
        return bool(self.keys or self.names or self.conditions)

    def following(self, component: Component) -> _Fork[Key] | None:
        if isinstance(component, str):
            return self.names.get(component)
        return self.conditions.get(component)

    def with_following(self, component: Component, fork: _Fork[Key]) -> _Fork[Key]:
        if isinstance(component, str):
            return _Fork(self.keys, _with(self.names, component, fork), self.conditions)
        return _Fork(self.keys, self.names, _with(self.conditions, component, fork))


class PatternIndex(Generic[Key]):
    """Patterns with keys, to be found by path. Immutable."""

    __slots__ = ("_root",)

    def __init__(self, _root: _Fork[Key] | None = None) -> None:
        """Make an empty index; the argument is for the index itself."""
        self._root: _Fork[Key] = _root or _empty_fork()

    def __bool__(self) -> bool:
        """Tell whether any pattern is filed."""
        return bool(self._root)

    def with_pattern(self, pattern: Pattern, key: Key) -> PatternIndex[Key]:
        """Give the index with one more pattern.

        Args:
            pattern: a resolved pattern.
            key: what to find; it may have several patterns, and a pattern several keys.
        """
        return self._with_filings(pattern, key, 1)

    def without_pattern(self, pattern: Pattern, key: Key) -> PatternIndex[Key]:
        """Give the index without a pattern that was added with this key."""
        return self._with_filings(pattern, key, -1)

    def _with_filings(self, pattern: Pattern, key: Key, change: int) -> PatternIndex[Key]:
        root = self._root
        for filing in _filings(pattern):
            root = _counted(root, filing, key, change)
        return PatternIndex(root)

    def matching(self, path: Names) -> list[Key]:
        """Give the keys of patterns that the path may match, sorted."""
        keys = {key for fork in self._forks(path) for key in fork.keys}
        return sorted(keys)

    def matching_at_or_below(self, path: Names) -> list[Key]:
        """Give the keys of patterns that the path or a path below it may match, sorted.

        For deletions, which remove what is below, and for conditions on the way to a match.
        """
        keys: set[Key] = set()
        waiting = list(self._forks(path, passing=True))
        while waiting:
            fork = waiting.pop()
            keys.update(fork.keys)
            waiting.extend(fork.names.values())
            waiting.extend(fork.conditions.values())
        return sorted(keys)

    def _forks(self, path: Names, *, passing: bool = False) -> Iterable[_Fork[Key]]:
        """Give the places that a path leads to, with ``passing`` also those it may yet reach."""
        reached = {id(self._root): self._root}
        # Behind conditions that reach deeper: the place each of them leads to, at any level below.
        deeper: dict[int, tuple[Component, _Fork[Key]]] = {}
        for name in path:
            following: dict[int, _Fork[Key]] = {}
            for fork in reached.values():
                child = fork.names.get(name)
                if child is not None:
                    following[id(child)] = child
                for condition, child in fork.conditions.items():
                    if reaches_deeper(condition):
                        deeper[id(child)] = (condition, child)
                    elif may_match_name(condition, name):
                        following[id(child)] = child
            for condition, child in deeper.values():
                if may_match_name(condition, name):
                    following[id(child)] = child
            reached = following
        yield from reached.values()
        if passing:
            yield from (child for _, child in deeper.values())


def _filings(pattern: Pattern) -> Iterator[list[Component]]:
    """Give the lists of components under which a pattern is filed.

    A step up may lead anywhere below the highest place it can reach: the pattern is filed there,
    for that place and for everything below it.
    """
    steps: list[Component] = []  # to the tree nodes the pattern stands at
    highest: int | None = None
    for component in pattern:
        if component is PARENT:
            del steps[-1:]
            highest = len(steps) if highest is None else min(highest, len(steps))
        elif not isinstance(named_target(component), Special):
            steps.append(_simplified(component))
    if highest is None:
        yield steps
    else:
        yield steps[:highest]
        yield [*steps[:highest], STAR_STAR]


def _simplified(component: Component) -> Component:
    """Drop conditions on a known name: a name is found faster, and tried later anyway."""
    names = None if reaches_deeper(component) else named_siblings(component)
    return next(iter(names)) if names is not None and len(names) == 1 else component


def _counted(root: _Fork[Key], steps: list[Component], key: Key, change: int) -> _Fork[Key]:
    """Count a key up or down where the steps lead to."""
    forks = [root]
    for component in steps:
        forks.append(forks[-1].following(component) or _empty_fork())
    last = forks[-1]
    count = last.keys.get(key, 0) + change
    assert count >= 0, "a pattern is removed that is not there"
    keys = last.keys.set(key, count) if count else last.keys.delete(key)
    fork = _Fork(keys, last.names, last.conditions)
    for component, parent in zip(reversed(steps), reversed(forks[:-1]), strict=True):
        fork = parent.with_following(component, fork)
    return fork


Step = TypeVar("Step", bound="Component")


def _with(
    forks: immutables.Map[Step, _Fork[Key]], step: Step, fork: _Fork[Key]
) -> immutables.Map[Step, _Fork[Key]]:
    """Set one entry, or drop it if nothing is left beyond it."""
    return forks.set(step, fork) if fork else forks.delete(step)


def _empty_fork() -> _Fork[Key]:
    return _Fork(immutables.Map(), immutables.Map(), immutables.Map())
