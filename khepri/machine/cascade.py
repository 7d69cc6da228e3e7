"""What follows from a change: watchers whose conditions are no longer met go away (spec §3.5).

In rounds, so that the outcome does not depend on any order: the watchers of everything that
changed in the last round are evaluated on the tree as that round left it, all that fail are
removed, and what that changed is the next round's beginning. It ends because every round that
goes on removes at least one node. The work is linear in what changes: the watchers come from the
index, and nobody else is looked at; what several of them ask alike is looked up once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .keep_while import first_unmet
from .properties import KEEP_WHILE

if TYPE_CHECKING:
    from .edit import Edit
    from .keep_while import Unmet, Watch
    from .tree import Names


def settle(edit: Edit) -> None:
    """Remove every watcher that may no longer live, until nothing changes any more."""
    while edit.touched and edit.index.is_anything_watched:
        known: dict[Watch, Unmet | None] = {}
        doomed = [watcher for watcher in _concerned(edit) if _is_doomed(edit, watcher, known)]
        edit.touched.clear()
        for watcher in doomed:
            # It may have gone with its parent, or with an implicit parent, in this very round.
            if edit.node_at(watcher) is not None:
                edit.delete(watcher, KEEP_WHILE)


def _concerned(edit: Edit) -> list[Names]:
    concerned: set[Names] = set()
    for path in edit.touched:
        concerned.update(edit.index.watchers_of(path))
    return sorted(concerned)


def _is_doomed(edit: Edit, watcher: Names, known: dict[Watch, Unmet | None]) -> bool:
    node = edit.node_at(watcher)
    assert node is not None, "the index names a watcher that is not there"
    assert node.keep_while is not None
    # What a newcomer asks of itself and of what lies below it cannot be met yet: it counts from
    # the next operation on.
    is_newcomer = edit.before.get(watcher, node) is None
    newcomer = watcher if is_newcomer else None
    return first_unmet(edit.root, node.keep_while, newcomer, known) is not None
