"""What waits for one peer: bounded, filled by any thread, emptied by the I/O thread."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from .counters import Drop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .interface import Message

_OVERHEAD_BYTES: Final = 256
"""What a waiting message costs beside its body, so that many tiny ones are bounded as well."""


def queued_size(message: Message) -> int:
    """Give the bytes a waiting message is charged with."""
    return len(message.body) + _OVERHEAD_BYTES


class Outbox:
    """A queue with a budget in bytes, that can be shut.

    Invariant: the bytes of messages put, minus those released, stay at or below the budget.
    """

    def __init__(self, budget_bytes: int, wake: Callable[[], None]) -> None:
        """Begin open and empty.

        Args:
            budget_bytes: how much may wait.
            wake: called, on the thread that puts, when the first message comes to wait. While
                messages wait it is not called again: that is what makes waking cheap.
        """
        self._budget_bytes = budget_bytes
        self._wake = wake
        self._lock = threading.Lock()
        self._waiting: list[Message] = []
        self._queued_bytes = 0
        self._is_open = True

    @property
    def queued_bytes(self) -> int:
        """The bytes put and not released."""
        return self._queued_bytes

    def put(self, messages: Sequence[Message]) -> Drop | None:
        """Queue all messages or none. Any thread.

        Returns:
            None, or why nothing was queued.
        """
        size = sum(map(queued_size, messages))
        with self._lock:
            if not self._is_open:
                return Drop.PEER_DOWN
            if self._queued_bytes + size > self._budget_bytes:
                return Drop.QUEUE_FULL
            self._queued_bytes += size
            was_empty = not self._waiting
            self._waiting.extend(messages)
        if was_empty:
            self._wake()
        return None

    def take(self) -> list[Message]:
        """Give all that waits. It stays on the budget until it is released."""
        with self._lock:
            taken, self._waiting = self._waiting, []
        return taken

    def release(self, size_bytes: int) -> None:
        """Give back the budget of messages that have left."""
        with self._lock:
            self._queued_bytes -= size_bytes
            assert self._queued_bytes >= 0

    def open(self) -> None:
        """Accept messages."""
        with self._lock:
            self._is_open = True

    def shut(self) -> list[Message]:
        """Accept no more messages; give what waits, as `take` does."""
        with self._lock:
            self._is_open = False
        return self.take()
