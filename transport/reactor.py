"""One thread's loop: ZeroMQ sockets, timers, and tasks that other threads hand over.

Knows nothing of khepri. Everything but `call_soon` and `end` belongs to the thread in `run`.
"""

from __future__ import annotations

import heapq
import itertools
import os
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

import zmq

if TYPE_CHECKING:
    from collections.abc import Callable

    from .sockets import Socket


class Timer:
    """A call that is due later, unless it is cancelled."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        """Keep the call."""
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Do not call."""
        self.callback = None


class Reactor:
    """Waits for whatever comes first and calls who asked for it.

    A task costs its giver a system call only if the loop sleeps and nobody has woken it yet.
    """

    def __init__(self) -> None:
        """Open the descriptor that wakes the loop."""
        self._poller = zmq.Poller()
        self._handlers: dict[Socket | int, Callable[[], None]] = {}
        self._tasks: deque[Callable[[], None]] = deque()
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._is_awake = False
        self._is_ending = False
        self._is_closed = False
        self._descriptor_lock = threading.Lock()
        self._wake_descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poller.register(self._wake_descriptor, zmq.POLLIN)
        self._handlers[self._wake_descriptor] = self._wake_up

    def call_soon(self, task: Callable[[], None]) -> None:
        """Run `task` on the loop's thread. Any thread; never blocks; no effect when closed."""
        self._tasks.append(task)
        # Before it sleeps, the loop first clears the flag and then looks for tasks. So either it
        # sees this task, or this thread sees the flag cleared; in a race both, which is harmless.
        if not self._is_awake:
            with self._descriptor_lock:
                if not self._is_closed:
                    self._is_awake = True
                    os.eventfd_write(self._wake_descriptor, 1)

    def call_later(self, delay_seconds: float, callback: Callable[[], None]) -> Timer:
        """Call back once, after a delay."""
        timer = Timer(callback)
        due = time.monotonic() + delay_seconds
        heapq.heappush(self._timers, (due, next(self._order), timer))
        return timer

    def watch(self, socket: Socket, handler: Callable[[], None], events: int = zmq.POLLIN) -> None:
        """Call `handler` whenever the socket is ready; replaces what was asked before."""
        self._poller.register(socket, events)
        self._handlers[socket] = handler

    def unwatch(self, socket: Socket) -> None:
        """Forget a socket, if it is watched."""
        if self._handlers.pop(socket, None) is not None:
            self._poller.unregister(socket)

    def run(self) -> None:
        """Run until `end`. What a handler raises comes out of here: it is a bug."""
        while not self._is_ending:
            self._is_awake = False
            ready = self._poller.poll(0 if self._tasks else self._patience_milliseconds())
            self._is_awake = True
            for who, _events in ready:
                handler = self._handlers.get(who)
                if handler is not None:  # a handler before it may have closed this one
                    handler()
            if self._tasks:
                self._run_tasks()
            if self._timers:
                self._run_timers()

    def end(self) -> None:
        """Let `run` return soon. Any thread."""
        self.call_soon(self._end)

    def close(self) -> None:
        """Close the descriptor, after `run` has returned."""
        with self._descriptor_lock:  # its number may soon be that of somebody else's file
            self._is_closed = True
            os.close(self._wake_descriptor)

    def _end(self) -> None:
        self._is_ending = True

    def _wake_up(self) -> None:
        os.eventfd_read(self._wake_descriptor)

    def _run_tasks(self) -> None:
        for _ in range(len(self._tasks)):  # those that come meanwhile have their turn next time
            self._tasks.popleft()()

    def _run_timers(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            _, _, timer = heapq.heappop(self._timers)
            if timer.callback is not None:
                timer.callback()

    def _patience_milliseconds(self) -> int | None:
        if not self._timers:
            return None
        remaining = self._timers[0][0] - time.monotonic()
        return max(0, int(remaining * 1000) + 1)
