"""Keeps Python's garbage collector from walking a large tree while everybody waits.

A full collection looks at every object of the process with all threads stopped: 1.5 seconds with a
million tree nodes. There is nothing to find among them: a tree holds no cycles, and what is
removed from it is freed at once by its reference count. So the tree is frozen (`gc.freeze`): what
is there now is never walked again.

That freezes what the host holds at this moment too, and a cycle among it, once it is garbage,
stays. Therefore only large trees are frozen, and only after so much was written that what the host
can lose by it is small beside it; the young objects, where most cycles are, are collected before.
"""

from __future__ import annotations

import gc
from typing import Final

LARGE_TREE_NODES: Final = 50_000
"""Up to here a full collection costs less than a tenth of a second, and nothing is done."""

UNFROZEN_TREE_NODES: Final = 32_768
"""So many new tree nodes are left for the collector."""

UNFROZEN_BYTES: Final = 4 * 1024 * 1024
"""The same for tree nodes that replace others: by what their commands take."""

_YOUNG_GENERATIONS: Final = 1


class FrozenHeap:
    """Knows how much of one store's tree the collector still walks. One thread."""

    def __init__(self, tree_nodes: int) -> None:
        """Begin with a tree that was just restored, and is frozen.

        Args:
            tree_nodes: in it.
        """
        self._tree_nodes = tree_nodes
        self._applied_bytes = 0

    def consider(self, tree_nodes: int, applied_bytes: int) -> None:
        """Freeze what there is, if there is enough.

        Does nothing while the host has switched the collector off.

        Args:
            tree_nodes: in the tree.
            applied_bytes: of all commands since the server was started.
        """
        # A tree that has shrunk and grows again consists of new tree nodes.
        self._tree_nodes = min(self._tree_nodes, tree_nodes)
        is_enough = (
            tree_nodes - self._tree_nodes >= UNFROZEN_TREE_NODES
            or applied_bytes - self._applied_bytes >= UNFROZEN_BYTES
        )
        if is_enough and tree_nodes >= LARGE_TREE_NODES and gc.isenabled():
            gc.collect(_YOUNG_GENERATIONS)
            gc.freeze()
            self._tree_nodes = tree_nodes
            self._applied_bytes = applied_bytes
