"""What waits for one peer: bounded, filled by any thread, emptied by whoever sends."""

from __future__ import annotations

import threading
import time
from collections import deque
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

    Invariant: the bytes of the messages that wait or leave stay at or below the budget.
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
        self._is_open = True
        self.refused_at = 0.0
        """When it was last offered something while it was shut; monotonic seconds."""
        self.waiting: deque[Message] = deque()
        """What there is to take, oldest first. For others to look at whether there is any."""
        self.leaving_bytes = 0
        """What was taken last. Whoever takes sets it to nothing when that has left."""
        self._waiting_bytes = 0

    @property
    def queued_bytes(self) -> int:
        """What counts against the budget."""
        return self._waiting_bytes + self.leaving_bytes

    @property
    def is_open(self) -> bool:
        """Whether messages are accepted."""
        return self._is_open

    def put(self, messages: Sequence[Message]) -> Drop | None:
        """Queue all messages or none. Any thread.

        Returns:
            None, or why nothing was queued.
        """
        size = sum(map(queued_size, messages))
        with self._lock:
            if not self._is_open:
                self.refused_at = time.monotonic()
                return Drop.PEER_DOWN
            if self.queued_bytes + size > self._budget_bytes:
                return Drop.QUEUE_FULL
            self._waiting_bytes += size
            was_empty = not self.waiting
            self.waiting.extend(messages)
        if was_empty and messages:
            self._wake()
        return None

    def take(self, batch_bytes: int, batch_messages: int) -> list[Message]:
        """Give the oldest messages, up to a size, but at least one if any wait.

        Args:
            batch_bytes: how much may be taken together.
            batch_messages: how many may be taken together.
        """
        with self._lock:
            if self._waiting_bytes <= batch_bytes and len(self.waiting) <= batch_messages:
                taken, size = list(self.waiting), self._waiting_bytes
                self.waiting.clear()
            else:
                taken, size = self._take_some(batch_bytes, batch_messages)
            self._waiting_bytes -= size
            self.leaving_bytes = size
        return taken

    def _take_some(self, batch_bytes: int, batch_messages: int) -> tuple[list[Message], int]:
        taken: list[Message] = []
        size = 0
        while self.waiting and len(taken) < batch_messages:
            next_size = queued_size(self.waiting[0])
            if taken and size + next_size > batch_bytes:
                break
            taken.append(self.waiting.popleft())
            size += next_size
        return taken, size

    def open(self) -> None:
        """Accept messages."""
        with self._lock:
            self._is_open = True

    def shut(self) -> int:
        """Accept no more messages and drop those that wait.

        Returns:
            How many were dropped.
        """
        with self._lock:
            self._is_open = False
            dropped = len(self.waiting)
            self.waiting.clear()
            self._waiting_bytes = 0
        return dropped
