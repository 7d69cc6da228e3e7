"""Conditions a tree node lives under, and the index that finds whom a change concerns.

A *watcher* is a tree node with a `KeepWhile`; what it names is *watched*. The map of a watcher
lies in the watcher itself (``TreeNode.keep_while``), so it goes where the node goes. The index
goes the other way, from watched to watchers, and can be rebuilt from the tree at any time.

Two indexes, because a plain path and a pattern are looked up differently:

- a plain path is found by looking the changed path up;
- a pattern is filed under its leading names, and every prefix of a changed path is looked up
  (upstream files patterns literally and misses later matches, BUG-6).

Not here: when conditions are evaluated and what follows (``cascade.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import immutables

from .condition_rules import is_met_by_absence
from .conditions import unmet
from .names import PARENT
from .paths import Path
from .patterns import Pattern, find_many

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conditions import Component
    from .tree import Names, TreeNode

Watchers = immutables.Map["Names", None]
WatchIndex = immutables.Map["Names", Watchers]


class Watch(NamedTuple):
    """One condition on one place: the pattern is absolute and free of ROOT, THIS and PARENT."""

    pattern: Pattern
    condition: Component


class KeepWhile:
    """All the conditions of one watcher, all of which must be met. Immutable."""

    __slots__ = ("watches",)

    def __init__(self, watches: tuple[Watch, ...]) -> None:
        """Keep the watches in the order given, the order of evaluation."""
        self.watches = watches

    def __repr__(self) -> str:
        """Show the conditions."""
        return f"KeepWhile({self.watches!r})"


IMPLICIT: Final = KeepWhile(())
"""Of parents made on the way to a child: lives while it has a child or a payload.

Kept as a mark and not as a condition on the node itself: there are many such parents, and the
question is answered by looking at the node at the moment it changes.
"""


class Unmet(NamedTuple):
    """Why a watcher may not live: the watch and what failed, None if nothing is there at all."""

    watch: Watch
    condition: Component | None


class KeepWhileIndex(NamedTuple):
    """Who watches what. Immutable; changes give a new index."""

    by_path: WatchIndex
    by_prefix: WatchIndex

    def __bool__(self) -> bool:
        """Tell whether anything is watched at all."""
        return bool(self.by_path) or bool(self.by_prefix)

    def with_watcher(self, watcher: Names, keep_while: KeepWhile) -> KeepWhileIndex:
        """Give the index with all the watches of one watcher added."""
        by_path, by_prefix = self
        for pattern, _condition in keep_while.watches:
            if isinstance(pattern, Path):
                by_path = _add(by_path, tuple(pattern), watcher)
            else:
                by_prefix = _add(by_prefix, literal_prefix(pattern), watcher)
        return KeepWhileIndex(by_path, by_prefix)

    def without_watcher(self, watcher: Names, keep_while: KeepWhile) -> KeepWhileIndex:
        """Give the index with all the watches of one watcher removed."""
        by_path, by_prefix = self
        for pattern, _condition in keep_while.watches:
            if isinstance(pattern, Path):
                by_path = _remove(by_path, tuple(pattern), watcher)
            else:
                by_prefix = _remove(by_prefix, literal_prefix(pattern), watcher)
        return KeepWhileIndex(by_path, by_prefix)

    def watchers_of(self, changed: Names) -> Iterator[Names]:
        """Give the watchers a change at a path may concern; the same one may come twice."""
        yield from self.by_path.get(changed, ())
        if self.by_prefix:
            for length in range(len(changed) + 1):
                yield from self.by_prefix.get(changed[:length], ())


EMPTY_INDEX: Final = KeepWhileIndex(immutables.Map(), immutables.Map())


def _add(index: WatchIndex, key: Names, watcher: Names) -> WatchIndex:
    watchers = index.get(key) or immutables.Map()
    return index.set(key, watchers.set(watcher, None))


def _remove(index: WatchIndex, key: Names, watcher: Names) -> WatchIndex:
    watchers = index.get(key)
    if watchers is None or watcher not in watchers:
        return index  # two watches of one watcher may share a key
    fewer = watchers.delete(watcher)
    return index.set(key, fewer) if fewer else index.delete(key)


def literal_prefix(pattern: Pattern) -> Names:
    """Give names that every path a pattern can match begins with.

    Those are its leading plain names, less one for each step up: ``/a/*/..`` matches ``/a``, and
    ``/a/*/../..`` the root.
    """
    names: list[str] = []
    for component in pattern:
        if not isinstance(component, str):
            break
        names.append(component)
    return tuple(names[: max(0, len(names) - pattern.count(PARENT))])


def first_unmet(
    root: TreeNode, keep_while: KeepWhile, newcomer: Names | None = None
) -> Unmet | None:
    """Give the first watch that is not met, None if the watcher may live.

    Args:
        root: the tree to look at.
        keep_while: the watches.
        newcomer: the watcher's path if it is about to be created: watches on itself and on what
            lies below it cannot be met yet and are skipped.
    """
    for watch in keep_while.watches:
        if newcomer is not None and literal_prefix(watch.pattern)[: len(newcomer)] == newcomer:
            continue
        failure = _watch_unmet(root, watch)
        if failure is not None:
            return failure
    return None


def _watch_unmet(root: TreeNode, watch: Watch) -> Unmet | None:
    found = False
    for path, node in find_many(root, watch.pattern):
        found = True
        culprit = unmet(watch.condition, path[-1] if path else "", node)
        if culprit is not None:
            return Unmet(watch, culprit)
    if found or is_met_by_absence(watch.condition):
        return None
    return Unmet(watch, None)
