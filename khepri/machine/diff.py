"""What differs between two trees: for whoever keeps something derived from the tree.

After a snapshot was installed there are no change events for what lies between. Two trees of one
store share what did not change, so comparing them costs what changed and not what there is; trees
that share nothing, as after a restore, are compared in full.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .state import Change
from .tree import NO_CHILDREN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .tree import Names, TreeNode


def diff(
    old_root: TreeNode | None, new_root: TreeNode | None, top: Names = ()
) -> Iterator[Change]:
    """Give one change event per path that differs, in path order.

    A node is told as updated if its payload, a version or the names of its children differ.

    Args:
        old_root: a node as it was, None if it was not there.
        new_root: the same node as it is, None if it is not there.
        top: its path.
    """
    stack: list[tuple[Names, TreeNode | None, TreeNode | None]] = [(top, old_root, new_root)]
    while stack:
        path, old, new = stack.pop()
        if old is new:
            continue
        if differs(old, new):
            yield Change(path, old, new)
        before = NO_CHILDREN if old is None else old.children
        after = NO_CHILDREN if new is None else new.children
        if before is after:
            continue
        for name in sorted({*before, *after}, reverse=True):
            was, now = before.get(name), after.get(name)
            if was is not now:
                stack.append(((*path, name), was, now))


def differs(old: TreeNode | None, new: TreeNode | None) -> bool:
    """Tell whether a node is told as another one: one that came, went, or was updated.

    Args:
        old: as it was, None if it was not there.
        new: as it is, None if it is not there.
    """
    if old is new:
        return False
    return (
        old is None
        or new is None
        or old.payload != new.payload
        or old.payload_version != new.payload_version
        or old.child_list_version != new.child_list_version
        # As sets: the views of a dict and of a hash map never compare equal.
        or set(old.children) != set(new.children)
    )
