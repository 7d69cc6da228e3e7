"""The names of a family in order, remembered for the large families looked at last.

To sort a million names takes a second. Whoever walks a large family page by page on one immutable
tree would pay that for every page, so the order of a few large families is kept, as long as
somebody holds the family itself. It is a memory of answers and changes none.
"""

from __future__ import annotations

import weakref
from bisect import bisect_right
from itertools import islice
from typing import TYPE_CHECKING, Final

import immutables

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .tree import TreeNode

_WORTH_KEEPING: Final = 4096
"""So many names are sorted within a millisecond."""

_KEPT: Final = 4

_kept: tuple[tuple[weakref.ref[object], list[str]], ...] = ()


def sorted_names(children: Mapping[str, TreeNode]) -> Sequence[str]:
    """Give all names in order; do not change the list. Any thread may call this."""
    if len(children) < _WORTH_KEEPING or not isinstance(children, immutables.Map):
        return sorted(children)
    for family, names in _kept:
        if family() is children:
            return names
    names = sorted(children)
    _keep(children, names)
    return names


def names_behind(children: Mapping[str, TreeNode], name: str) -> Iterator[str]:
    """Give the names behind a name, in order, without touching those before it."""
    if len(children) < _WORTH_KEEPING or not isinstance(children, immutables.Map):
        return iter(sorted([it for it in children if it > name]))
    names = sorted_names(children)
    return map(names.__getitem__, range(bisect_right(names, name), len(names)))


def _keep(children: object, names: list[str]) -> None:
    """Remember an order; two threads at once may forget one of theirs, which costs a sort."""
    global _kept  # noqa: PLW0603 - replaced as a whole, so that readers need no lock
    alive = (it for it in _kept if it[0]() is not None)
    _kept = ((weakref.ref(children, _forget), names), *islice(alive, _KEPT - 1))


def _forget(_family: weakref.ref[object]) -> None:
    """Give the memory of an order back when its family is gone."""
    global _kept  # noqa: PLW0603 - as above
    _kept = tuple(it for it in _kept if it[0]() is not None)
