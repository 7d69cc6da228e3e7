"""Waiting for a reply in an asyncio task: the loop goes on, and is woken once per batch.

Waking a loop from another thread costs a system call. An actor that resolves a thousand replies
at once must not pay a thousand: replies that come while the loop has not yet looked join the
wake-up that is under way.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

T = TypeVar("T")


class _Waker:
    """Wakes the tasks of one event loop; `wake` is called from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # Weak, since the loop is the key under which this is kept.
        self._loop = weakref.ref(loop)
        self._ready: deque[asyncio.Future[None]] = deque()
        self._under_way = False

    def wake(self, waiter: asyncio.Future[None]) -> None:
        self._ready.append(waiter)
        # Looked at after the waiter is in: `_run` clears the flag before it takes the waiters.
        if not self._under_way:
            self._under_way = True
            loop = self._loop()
            try:
                if loop is not None:
                    loop.call_soon_threadsafe(self._run)
            except RuntimeError:
                # The loop is closed: nobody waits in it any more.
                self._ready.clear()

    def _run(self) -> None:
        self._under_way = False
        while self._ready:
            waiter = self._ready.popleft()
            if not waiter.done():  # cancelled meanwhile
                waiter.set_result(None)


# Weak on both sides: a wake-up that a loop had no time for before it was closed leaves waiters
# behind, and these hold the loop. Who waits keeps the waker.
_wakers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.ref[_Waker]] = (
    weakref.WeakKeyDictionary()
)


def wait(
    observe: Callable[[Callable[[], object]], None],
    forget: Callable[[Callable[[], object]], None],
) -> Generator[Any, None, None]:
    """Suspend the current task until the observer that is handed to `observe` is called.

    Args:
        observe: takes what is to be called, once, from any thread.
        forget: takes it back, if the task does not wait any more.
    """
    loop = asyncio.get_running_loop()
    known = _wakers.get(loop)
    waker = None if known is None else known()
    if waker is None:
        waker = _Waker(loop)
        _wakers[loop] = weakref.ref(waker)
    waiter = loop.create_future()
    wake = partial(waker.wake, waiter)
    observe(wake)
    try:
        yield from waiter
    except BaseException:  # cancelled
        forget(wake)
        raise


def run_in_thread(function: Callable[[], T]) -> Generator[Any, None, T]:
    """Suspend the current task while `function` runs in the loop's thread pool."""
    return (yield from asyncio.get_running_loop().run_in_executor(None, function))
