"""Commands of low priority: they wait apart, and go in small shares behind the normal ones.

Bulk work should not make anybody else wait. So only a share of the low ones is on its way at any
time: it joins the normal ones that wait, behind them, and the next share comes when this one is
applied. A normal command is at most one share behind, however many low ones wait; and the low
ones always get on, however many normal ones there are. Among themselves they keep their order.
(Ra has the same split: a low-priority queue that is flushed in pieces between other work.)

Here are only queues and numbers: no actor, no clock, no log.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .future import KhepriFuture
    from .origin import Origin, Ticket

SHARE_COMMANDS: Final = 64
"""So many low commands are on their way at most."""

SHARE_BYTES: Final = 64 * 1024
"""So many bytes of them are on their way at most, unless a single one is larger."""


class LowPriorityQueue:
    """The low commands of one server's clients that have not joined the others yet. One thread."""

    def __init__(self) -> None:
        """Begin with none."""
        self.waiting_bytes = 0
        """The bytes of those that have not joined."""
        self.waiting: deque[tuple[bytes, Ticket]] = deque()
        """Those that have not joined; only this class changes it."""
        self._last_fed = 0  # of the origin's commands, the last one that came from here

    def __len__(self) -> int:
        """Count those that have not joined."""
        return len(self.waiting)

    def add(self, command: bytes, ticket: Ticket) -> None:
        """Put a command behind all other low ones."""
        self.waiting_bytes += len(command)
        self.waiting.append((command, ticket))

    def is_ready(self, origin: Origin) -> bool:
        """Tell whether a share waits and the one before it is done."""
        # What an origin has dropped, it does not count as added any more.
        return bool(self.waiting) and origin.finished >= min(self._last_fed, origin.added)

    def feed(self, origin: Origin) -> None:
        """Let the next share join the commands that wait at the origin, if it may."""
        if not self.is_ready(origin):
            return
        room_bytes = SHARE_BYTES
        for count in range(SHARE_COMMANDS):
            if not self.waiting:
                break
            size_bytes = len(self.waiting[0][0])
            if count and size_bytes > room_bytes:
                break
            room_bytes -= size_bytes
            self.waiting_bytes -= size_bytes
            command, ticket = self.waiting.popleft()
            if ticket is None or not ticket.done():  # or its caller has given up
                origin.add(command, ticket)
        self._last_fed = origin.added

    def withdraw_abandoned(self) -> None:
        """Drop those whose callers have given up; they were never sent."""
        waiting = [
            (c, ticket) for c, ticket in self.waiting if ticket is None or not ticket.done()
        ]
        if len(waiting) < len(self.waiting):
            self.waiting = deque(waiting)
            self.waiting_bytes = sum([len(command) for command, _ in waiting])

    def tickets(self) -> list[Ticket]:
        """Give the tickets of those that have not joined, oldest first."""
        return [ticket for _, ticket in self.waiting]

    def drop(self) -> list[KhepriFuture[Any]]:
        """Forget those that have not joined; give their tickets. Nothing was done of them."""
        tickets = [ticket for _, ticket in self.waiting if ticket is not None]
        self.waiting.clear()
        self.waiting_bytes = 0
        return tickets
