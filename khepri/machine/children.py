"""The map from names to children: a plain dict while small, a persistent hash map when large.

A dict of a few names is copied faster than a hash map is changed, and read twice as fast. At
thousands of names copying costs everything, and ``immutables.Map`` shares what did not change.
``docs/explanation/tree.md`` has the figures, ``tests/bench/child_maps.py`` measures them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import immutables

from .tree import NO_CHILDREN, TreeNode

if TYPE_CHECKING:
    from collections.abc import Mapping

HUGE: Final = 16_384
"""A family of this size is never left as a dict, not even until its first change."""

LARGE: Final = 256
"""Above this many names a family lives in a persistent hash map."""

SMALL_AGAIN: Final = 128
"""A hash map with this many names left becomes a dict again; well below LARGE, so that a family
that breathes around one size is not converted at each breath."""


def with_child(
    children: Mapping[str, TreeNode], name: str, node: TreeNode
) -> Mapping[str, TreeNode]:
    """Give a new map with one name set; the old map stays as it is."""
    if isinstance(children, dict):
        copy: dict[str, TreeNode] = children.copy()
        copy[name] = node
        return immutables.Map(copy) if len(copy) > LARGE else copy
    assert isinstance(children, immutables.Map)
    return children.set(name, node)


def without_child(children: Mapping[str, TreeNode], name: str) -> Mapping[str, TreeNode]:
    """Give a new map without one name, which must be there; the old map stays as it is."""
    if isinstance(children, immutables.Map):
        smaller = children.delete(name)
        return dict(smaller) if len(smaller) <= SMALL_AGAIN else smaller
    if len(children) == 1:
        return NO_CHILDREN
    copy = dict(children)
    del copy[name]
    return copy


def family_of(children: dict[str, TreeNode] | None) -> Mapping[str, TreeNode]:
    """Give the form in which a new family is kept; the dict is handed over."""
    if not children:
        return NO_CHILDREN
    return immutables.Map(children) if len(children) > LARGE else children


def restored(children: dict[str, TreeNode]) -> Mapping[str, TreeNode]:
    """Give the form a family read from a snapshot is kept in; the dict is handed over.

    To convert all large families would double the time of a restart, so most wait as dicts for
    their first change. Only where that change would stop the server for long (5 milliseconds at
    HUGE) is it done at once.
    """
    return immutables.Map(children) if len(children) > HUGE else children
