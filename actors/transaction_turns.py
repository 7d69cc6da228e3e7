"""Turns of the transactions on one store that have to run again.

Of many that run at once and disturb each other, one is done each time, and all others have run in
vain: a few dozen of them would be slower than one by a multiple. So who runs again waits until
nobody else here does.
"""

from __future__ import annotations

import asyncio
import threading
from weakref import WeakKeyDictionary


class TransactionTurns:
    """Those of the threads, and those of the tasks of each loop. Any thread.

    Attributes:
        of_threads: held by the thread whose turn it is; again, if its function has transactions.
    """

    __slots__ = ("_of_loops", "of_threads")

    def __init__(self) -> None:
        """Begin with nobody's turn."""
        self.of_threads = threading.RLock()
        self._of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = (
            WeakKeyDictionary()
        )

    def of_tasks(self) -> asyncio.Lock:
        """Give the lock held by the task whose turn it is, in the loop that runs here."""
        return self._of_loops.setdefault(asyncio.get_running_loop(), asyncio.Lock())
