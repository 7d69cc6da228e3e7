"""What the WalWriter has made durable for one server, left where the server looks at each turn.

A leader with followers has mostly heard of its own disk before the first follower answers. To be
woken for that alone would cost it a turn in which it can do nothing; so it finds the notice when
the answer comes. Whoever cannot go on without its disk says so, and is woken.

How the two threads miss nothing without a lock: the WalWriter leaves the notice and then looks
whether it is awaited; the server says that it is and then looks whether there is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from khepri.raft.events import LogWritten


class WrittenNotice:
    """The newest notice for one server, which stands for all before it.

    Attributes:
        is_awaited: whether the server is to be woken for it; set by the server.
    """

    __slots__ = ("_newest", "_seen_sequence", "is_awaited")

    def __init__(self) -> None:
        """Begin with nothing written, and awaited."""
        self.is_awaited = True
        self._newest: LogWritten | None = None
        self._seen_sequence = 0

    def leave(self, written: LogWritten) -> bool:
        """Leave a notice; tell whether the server is to be woken (the WalWriter's thread)."""
        self._newest = written
        return self.is_awaited

    @property
    def is_there(self) -> bool:
        """Whether there is one that was not taken (the server's thread)."""
        newest = self._newest
        return newest is not None and newest.sequence > self._seen_sequence

    def take(self) -> LogWritten | None:
        """Give it, once (the server's thread)."""
        newest = self._newest
        if newest is None or newest.sequence <= self._seen_sequence:
            return None
        self._seen_sequence = newest.sequence
        return newest
