"""All that is replicated except the sessions: one immutable value per applied entry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from .keep_while import EMPTY_INDEX, KeepWhileIndex
from .tree import EMPTY_ROOT, TreeNode

if TYPE_CHECKING:
    from .tree import Names


class TreeState:
    """A tree and its keep-while index. Immutable: any thread may read it, for as long as it likes.

    Attributes:
        root: the root node.
        watch_index: who watches what; follows from the tree.
    """

    __slots__ = ("root", "watch_index")

    def __init__(self, root: TreeNode, watch_index: KeepWhileIndex) -> None:
        """Join a tree with its index; nothing is changed afterwards."""
        self.root = root
        self.watch_index = watch_index


EMPTY_STATE: Final = TreeState(EMPTY_ROOT, EMPTY_INDEX)


class Change(NamedTuple):
    """One change event: at most one per path and operation (spec §3.7).

    Attributes:
        path: where.
        old: the node before, None if it was created.
        new: the node after, None if it was deleted.
        reason: why it was deleted, as a result tells it: ``explicit``, ``keep_while`` or
            ``expired`` (``properties.py``). None if it was not, or if nobody can know any more
            (``diff.py``).
    """

    path: Names
    old: TreeNode | None
    new: TreeNode | None
    reason: str | None = None
