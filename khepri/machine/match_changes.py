"""What of a pattern's *matches* is another one in a later tree.

A tree node that is as it was can come or go among them, if a condition is asked of others than
itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .diff import differs
from .state import Change

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .concrete_pattern import ConcretePattern
    from .tree import TreeNode


def match_changes(
    pattern: ConcretePattern, old_root: TreeNode, new_root: TreeNode, changes: Iterable[Change]
) -> Iterator[Change]:
    """Give what matches now and did not before, what did before and does not, what is different.

    A tree node that does not match any more is told as gone, one that matches now and did not
    before as new, though both are there before and after.

    Args:
        pattern: it.
        old_root: the tree before.
        new_root: the tree after.
        changes: what is different between the two, at least where the pattern may match; in path
            order. If the pattern looks elsewhere it is walked in both trees instead.
    """
    if pattern.looks_elsewhere:
        yield from _compared(pattern, old_root, new_root)
        return
    for path, old, new, reason in changes:
        was = old if old is not None and pattern.matches(old_root, path) else None
        now = new if new is not None and pattern.matches(new_root, path) else None
        if was is not None or now is not None:
            yield Change(path, was, now, reason)


def _compared(
    pattern: ConcretePattern, old_root: TreeNode, new_root: TreeNode
) -> Iterator[Change]:
    before, after = dict(pattern.all(old_root)), dict(pattern.all(new_root))
    for path in sorted({*before, *after}):
        was, now = before.get(path), after.get(path)
        if differs(was, now):
            yield Change(path, was, now)
