"""What a forked child may do with the parent's stores: nothing, and it is told so.

Threads do not survive a fork, so every actor is dead in the child, and whoever asks one would
wait for ever (pre-forking web servers do this every day). After a fork every mailbox in the child
is closed: an ask, a tell that wants a reply and a wait for an old future raise
`khepri.errors.ForkedProcessError`. Nothing is checked per message; the parent pays nothing.

The child may start stores of its own: see `default_node`.
"""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .mailbox import Mailbox

_mailboxes: weakref.WeakSet[Mailbox] = weakref.WeakSet()


def watch(mailbox: Mailbox) -> None:
    """Remember a mailbox for as long as it is used; any thread may call this."""
    _mailboxes.add(mailbox)


def _close_all_in_the_child() -> None:
    # The child has one thread, so nothing changes under our hands.
    for mailbox in list(_mailboxes):
        mailbox.forget_parent_process()


os.register_at_fork(after_in_child=_close_all_in_the_child)
