"""Waking many threads without having all of them want the interpreter at once.

When a group of callers is answered, each of their threads needs Python's interpreter lock for a
few microseconds. If the server wakes all of them, many find it taken, fall asleep a second time
and have to be woken again by whoever leaves it. So of many it wakes half, and each of these wakes
one more, first thing. Side by side 64 callers have 8 % more puts by that and 256 a tenth. Beside a
thread that only computes 64 have a sixth less, since each link of the chain may have to wait for
that one; chains of more links, which were tried, lose a third there.

Every thread that stops waiting wakes one more, whatever made it stop. So nobody is forgotten: what
a thread leaves behind that had given up a moment before is made good by the one it wakes itself.
"""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from _thread import LockType
    from collections.abc import Sequence

AT_ONCE: Final = 32
"""So many are always woken at once: they do not get in each other's way so much."""

_asleep: Final[deque[LockType]] = deque()

# A forked child has one thread, which does not wait.
os.register_at_fork(after_in_child=_asleep.clear)


def wake(locks: Sequence[LockType]) -> None:
    """Release these locks, each held for a thread that waits for it; any thread."""
    if len(locks) <= AT_ONCE:
        for lock in locks:
            lock.release()
        return
    _asleep.extend(locks)
    for _ in range(max(AT_ONCE, (len(locks) + 1) // 2)):
        wake_next()


def wake_next() -> None:
    """Wake one more thread, if there is one; for every thread that has stopped waiting."""
    if _asleep:
        try:
            lock = _asleep.popleft()
        except IndexError:
            return  # others were quicker
        lock.release()
