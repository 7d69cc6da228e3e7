"""What a forked child may do with the parent's stores: nothing, and it is told so.

Threads do not survive a fork, so every actor is dead in the child, and whoever asks one would
wait for ever (pre-forking web servers do this every day). After a fork every mailbox in the child
is closed: an ask, a tell that wants a reply and a wait for an old future raise
`khepri.errors.ForkedProcessError`. Nodes give up what they have published, so that nobody reads
a tree that stands still. Nothing is checked per message or read; the parent pays nothing.

The child may start stores of its own: see `default_node`.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class OfOneProcess(Protocol):
    """What must not be used in a forked child as if it were the parent."""

    def forget_parent_process(self) -> None:
        """Become what it is in the child."""


_watched: weakref.WeakSet[OfOneProcess] = weakref.WeakSet()


def watch(one: OfOneProcess) -> None:
    """Remember something for as long as it is used; any thread may call this."""
    _watched.add(one)


def _tell_all_in_the_child() -> None:
    # The child has one thread, so nothing changes under our hands.
    for one in list(_watched):
        one.forget_parent_process()


os.register_at_fork(after_in_child=_tell_all_in_the_child)
