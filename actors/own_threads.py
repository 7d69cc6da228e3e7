"""The threads of khepri's own actors, and what must not be done in them: to wait for each other.

User code comes to run there too: callbacks of futures, finalizers, handlers of logs.
"""

from __future__ import annotations

import os
from _thread import get_ident
from typing import Final

from khepri.errors import MisuseError

threads_that_serve: Final[set[int]] = set()
"""Threads of actors for which all others wait: whoever waits in one of them waits for itself."""

threads_that_start: Final[set[int]] = set()
"""Those of actors that are starting: they may wait for others, but not for a store's server."""

# A forked child has one thread, its own.
os.register_at_fork(after_in_child=threads_that_serve.clear)
os.register_at_fork(after_in_child=threads_that_start.clear)


def refuse_to_wait_here(*, for_a_server: bool = False) -> None:
    """Let nobody wait in a thread that others wait for, where a callback or a finalizer may run.

    Args:
        for_a_server: whether what is waited for may be started by this very thread.

    Raises:
        MisuseError: this is such a thread.
    """
    thread = get_ident()
    if thread in threads_that_serve or (for_a_server and thread in threads_that_start):
        raise MisuseError(
            "this is a thread of khepri's own, which must not wait: use async_=True in callbacks, "
            "finalizers and handlers of logs"
        )
