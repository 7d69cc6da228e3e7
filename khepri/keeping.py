"""The thread that keeps alive what this process has in the tree: locks, ephemeral tree nodes.

There is one for all stores. It never waits for a store: it sends, and is told of answers. It is
started with the first thing to keep and ends when there has been none for a while.
"""

from __future__ import annotations

import logging
import math
import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from khepri.actors import fork_guard
from khepri.actors.server_clock import server_clock

if TYPE_CHECKING:
    from .kept import Kept

LINGER_SECONDS: Final = 1.0
"""For how long the thread waits for more when nothing is left: a lock is often taken again."""

AFTER_ERROR_SECONDS: Final = 0.5
"""When to look again at what has raised."""

_logger = logging.getLogger("khepri.keeping")


class Keeper:
    """Keeps things alive in one thread; any thread may add some and look at them."""

    def __init__(self) -> None:
        """Begin with nothing, and no thread."""
        self._begin()
        fork_guard.watch(self)

    def _begin(self) -> None:
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()  # held while the thread begins or ends
        # Reentrant, so that what a finalizer or a callback ends harms nobody.
        self._to_look_at: SimpleQueue[Kept] = SimpleQueue()
        self._looks: dict[Kept, float] = {}  # when to look at what; of the thread alone

    def forget_parent_process(self) -> None:
        """In a forked child: keep nothing. Who has something there is told by itself."""
        self._begin()

    @property
    def is_running(self) -> bool:
        """Whether there is a thread."""
        return self._thread is not None

    def add(self, kept: Kept) -> None:
        """Keep something alive until it is over.

        Raises:
            RuntimeError: no thread can be started.
        """
        with self._starting:
            self._to_look_at.put(kept)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="khepri-keeper", daemon=True
                )
                try:
                    self._thread.start()
                except BaseException:
                    self._thread = None
                    raise

    def look_at(self, kept: Kept) -> None:
        """Have the thread, if there is one, look at something now. Never waits."""
        if self._thread is not None:
            self._to_look_at.put(kept)

    # --- in the thread

    def _run(self) -> None:
        while True:
            looks = self._looks
            pause = max(0.0, min(looks.values()) - server_clock()) if looks else LINGER_SECONDS
            if not self._take_orders(pause) and not looks and self._ends():
                return
            now = server_clock()
            for kept in [kept for kept, look in looks.items() if look <= now]:
                self._step(kept)

    def _take_orders(self, pause: float) -> bool:
        """Look at what is to be looked at; tell whether there was anything within a time."""
        orders, was_any = self._to_look_at, False
        try:
            self._step(orders.get(timeout=min(pause, threading.TIMEOUT_MAX)))
            was_any = True
            while True:
                self._step(orders.get_nowait())
        except Empty:
            return was_any

    def _step(self, kept: Kept) -> None:
        try:
            look = kept.step(lambda: self.look_at(kept))
        except Exception:  # one of them must not end the others
            _logger.exception("%r could not be kept alive, and will be tried again", kept)
            look = server_clock() + AFTER_ERROR_SECONDS
        if math.isinf(look):
            self._looks.pop(kept, None)
        else:
            self._looks[kept] = look

    def _ends(self) -> bool:
        """End the thread unless something has come meanwhile."""
        with self._starting:
            if not self._to_look_at.empty():
                return False
            self._thread = None
            return True


keeper: Final = Keeper()
"""That of this process."""
