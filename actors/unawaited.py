"""What a thread has sent to a store without waiting for it: its consistent reads must see that.

A read by the lease looks at the published tree at once, so it would overtake a command of the same
thread that still waits in the server's mailbox. A thread that has sent such a command reads
through the server the next time, which answers behind it. Writes that are waited for leave no
trace here, and cost nothing.
"""

from __future__ import annotations

import itertools
import threading
from typing import NamedTuple


class Mark(NamedTuple):
    """How much a thread had sent at some moment."""

    thread_id: int
    sent: int


class Books:
    """Those of one thread.

    Attributes:
        sent: how many commands it has sent that nobody here waits for, or waits for any more.
        seen: how many of these were done when the server last answered it.
        under_way: how many its tasks await.
    """

    __slots__ = ("seen", "sent", "under_way")

    def __init__(self) -> None:
        """Begin with nothing sent."""
        self.sent = 0
        self.seen = 0
        self.under_way = 0


class Line:
    """The calls of one thread's tasks, in their order.

    Attributes:
        numbers: gives each call its number.
        waiting: the numbers of those that wait for a server that is being restarted, lowest first.
    """

    __slots__ = ("numbers", "waiting")

    def __init__(self) -> None:
        """Begin with none."""
        self.numbers = itertools.count()
        self.waiting: list[int] = []


class UnawaitedWrites(threading.local):
    """What each thread has sent; everything here speaks of the thread that looks at it.

    Attributes:
        books: of this thread.
        line: of this thread's tasks.
    """

    def __init__(self) -> None:
        """Begin with nothing sent (called in each thread)."""
        self.books = Books()
        self.line = Line()

    def begin(self) -> None:
        """Note a command that a task of this thread awaits, while other tasks go on."""
        self.books.under_way += 1

    def end(self, *, is_known: bool) -> None:
        """Note that it is awaited no more.

        Args:
            is_known: whether its outcome is; otherwise it may still be on its way.
        """
        books = self.books
        books.under_way -= 1
        if not is_known:
            books.sent += 1

    def are_there(self) -> bool:
        """Tell whether this thread may have something on its way to the server."""
        books = self.books
        return books.sent != books.seen or books.under_way > 0

    def mark(self) -> Mark:
        """Give what an answer of the server to a question asked now will show to be done."""
        return Mark(threading.get_ident(), self.books.sent)

    def seen(self, mark: Mark) -> None:
        """Note that such an answer has come; it says nothing about other threads."""
        if mark.thread_id == threading.get_ident():
            books = self.books
            books.seen = max(books.seen, mark.sent)
