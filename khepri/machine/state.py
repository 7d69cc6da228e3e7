"""All that is replicated except the sessions: one immutable value per applied entry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from .keep_while import EMPTY_INDEX, KeepWhileIndex
from .tree import EMPTY_ROOT, TreeNode
from .triggers import NO_TRIGGERS, Triggers

if TYPE_CHECKING:
    from .tree import Names


class TreeState:
    """A tree with what watches it. Immutable: any thread may read it, for as long as it likes.

    Attributes:
        root: the root node.
        watch_index: who watches what for keep-while conditions; follows from the tree.
        triggers: which changes ask for a call, and which calls are owed.
    """

    __slots__ = ("root", "triggers", "watch_index")

    def __init__(self, root: TreeNode, watch_index: KeepWhileIndex, triggers: Triggers) -> None:
        """Join a tree with what watches it; nothing is changed afterwards."""
        self.root = root
        self.watch_index = watch_index
        self.triggers = triggers

    @property
    def is_anything_watched(self) -> bool:
        """Whether a put may be the end of another tree node, or ask for a call."""
        return self.watch_index.is_anything_watched or bool(self.triggers.by_id)


EMPTY_STATE: Final = TreeState(EMPTY_ROOT, EMPTY_INDEX, NO_TRIGGERS)


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
