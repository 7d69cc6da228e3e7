"""Conditions a tree node lives under, and the index that finds whom a change concerns.

A *watcher* is a tree node with a `KeepWhile`; what it names is *watched*. The map of a watcher
lies in the watcher itself (``TreeNode.keep_while``), so it goes where the node goes. The index
goes the other way, from watched to watchers, and can be rebuilt from the tree at any time.

Two indexes, because a plain path and a pattern are looked up differently:

- a plain path is found by looking the changed path up;
- a pattern is filed under its leading names, and every prefix of a changed path is looked up
  (upstream files patterns literally and misses later matches, BUG-6).

A time to live is one more thing a tree node lives under, so it is kept in the same place and
travels with the node in the same way; a third index finds what expires next.

Not here: when conditions are evaluated and what follows (``cascade.py``), what happens when a
time to live is over (``expiry.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import immutables

from .condition_rules import is_met_by_absence
from .conditions import unmet
from .expiry_index import ExpiryIndex
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


class Expiry(NamedTuple):
    """Until when a tree node lives, in log time, and how long it was given."""

    at_milliseconds: int
    ttl_milliseconds: int


class KeepWhile:
    """All that one tree node lives under. Immutable.

    Attributes:
        watches: conditions on other nodes, all of which must be met; in the order of evaluation.
        expiry: when it goes by itself, None if never.
        is_implicit: it was made on the way to a child, and goes with its last child.
    """

    __slots__ = ("expiry", "is_implicit", "watches")

    def __init__(
        self,
        watches: tuple[Watch, ...],
        expiry: Expiry | None = None,
        *,
        is_implicit: bool = False,
    ) -> None:
        """Keep the parts; `lifetime` gives None where there is nothing to keep."""
        self.watches = watches
        self.expiry = expiry
        self.is_implicit = is_implicit

    def __repr__(self) -> str:
        """Show the conditions."""
        return f"KeepWhile({self.watches!r}, {self.expiry!r}, is_implicit={self.is_implicit})"


IMPLICIT: Final = KeepWhile((), is_implicit=True)
"""Of parents made on the way to a child: lives while it has a child or a payload.

Kept as a mark and not as a condition on the node itself: there are many such parents, and the
question is answered by looking at the node at the moment it changes.
"""


def lifetime(
    watches: tuple[Watch, ...], expiry: Expiry | None, *, is_implicit: bool
) -> KeepWhile | None:
    """Give what a node lives under, None for a node that just lives."""
    if watches or expiry is not None:
        return KeepWhile(watches, expiry, is_implicit=is_implicit)
    return IMPLICIT if is_implicit else None


class Unmet(NamedTuple):
    """Why a watcher may not live: the watch and what failed, None if nothing is there at all."""

    watch: Watch
    condition: Component | None


class KeepWhileIndex(NamedTuple):
    """Who watches what, and what expires when. Immutable; changes give a new index."""

    by_path: WatchIndex
    by_prefix: WatchIndex
    expiries: ExpiryIndex

    @property
    def is_anything_watched(self) -> bool:
        """Whether a change of one node can be the end of another."""
        return bool(self.by_path) or bool(self.by_prefix)

    def __bool__(self) -> bool:
        """Tell whether there is anything in it that goes with a node."""
        return self.is_anything_watched or bool(self.expiries)

    def with_watcher(self, watcher: Names, keep_while: KeepWhile) -> KeepWhileIndex:
        """Give the index with all the watches of one watcher added, and its expiry."""
        by_path, by_prefix, expiries = self
        for pattern, _condition in keep_while.watches:
            if isinstance(pattern, Path):
                by_path = _add(by_path, tuple(pattern), watcher)
            else:
                by_prefix = _add(by_prefix, literal_prefix(pattern), watcher)
        if keep_while.expiry is not None:
            expiries = expiries.with_due(keep_while.expiry.at_milliseconds, watcher)
        return KeepWhileIndex(by_path, by_prefix, expiries)

    def without_watcher(self, watcher: Names, keep_while: KeepWhile) -> KeepWhileIndex:
        """Give the index with all the watches of one watcher removed, and its expiry."""
        by_path, by_prefix, expiries = self
        for pattern, _condition in keep_while.watches:
            if isinstance(pattern, Path):
                by_path = _remove(by_path, tuple(pattern), watcher)
            else:
                by_prefix = _remove(by_prefix, literal_prefix(pattern), watcher)
        if keep_while.expiry is not None:
            expiries = expiries.without_due(keep_while.expiry.at_milliseconds, watcher)
        return KeepWhileIndex(by_path, by_prefix, expiries)

    def watchers_of(self, changed: Names) -> Iterator[Names]:
        """Give the watchers a change at a path may concern; the same one may come twice."""
        yield from self.by_path.get(changed, ())
        if self.by_prefix:
            for length in range(len(changed) + 1):
                yield from self.by_prefix.get(changed[:length], ())


EMPTY_INDEX: Final = KeepWhileIndex(immutables.Map(), immutables.Map(), ExpiryIndex())


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
    root: TreeNode,
    keep_while: KeepWhile,
    newcomer: Names | None = None,
    known: dict[Watch, Unmet | None] | None = None,
) -> Unmet | None:
    """Give the first watch that is not met, None if the watcher may live.

    Args:
        root: the tree to look at.
        keep_while: the watches.
        newcomer: the watcher's path if it is about to be created: watches on itself and on what
            lies below it cannot be met yet and are skipped.
        known: what was found out on this very tree before, and will be: many watchers may ask
            the same, and the answer to a pattern is dear.
    """
    for watch in keep_while.watches:
        if newcomer is not None and literal_prefix(watch.pattern)[: len(newcomer)] == newcomer:
            continue
        if known is None:
            failure = _watch_unmet(root, watch)
        elif watch in known:
            failure = known[watch]
        else:
            failure = known[watch] = _watch_unmet(root, watch)
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
