"""Keeps the number of connections small that have not proved who they are.

A TCP connection that says nothing costs a file descriptor until the handshake times out; ten
thousand of them would leave none for the log. libzmq has no limit of its own and cannot close one
connection, so the descriptor it reports is shut down instead: libzmq then sees the peer hang up.
"""

from __future__ import annotations

import contextlib
import os
import resource
import socket
from collections import OrderedDict
from typing import TYPE_CHECKING

from .counters import Refusal

if TYPE_CHECKING:
    from .counters import Counters


class Strangers:
    """The accepted connections that have not sent a message yet, oldest first. I/O thread only.

    When there are too many the *oldest* is closed: an honest peer needs two milliseconds, so it
    gets through unless more than the limit arrive in that time.
    """

    def __init__(self, limit: int, counters: Counters) -> None:
        """Set the limit, never above an eighth of what the process may open.

        In a flood libzmq is ahead of us, so for moments there are some hundreds more.
        """
        open_files_limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if open_files_limit != resource.RLIM_INFINITY:
            limit = min(limit, max(1, open_files_limit // 8))
        self._limit = limit
        self._counters = counters
        self._descriptors: OrderedDict[int, None] = OrderedDict()
        self.ports: set[int] = set()
        """The ports that are listened on: no other socket is ever shut down."""
        self._nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._spare = os.dup(self._nothing)

    def __len__(self) -> int:
        """Give the number of strangers."""
        return len(self._descriptors)

    def arrived(self, descriptor: int) -> None:
        """Note a new connection; hang up on the oldest if there are too many."""
        self._descriptors[descriptor] = None
        self._descriptors.move_to_end(descriptor)
        if len(self._descriptors) > self._limit:
            oldest, _ = self._descriptors.popitem(last=False)
            self._hang_up(oldest)

    def identified(self, descriptor: int) -> None:
        """Strike a connection off: a message came over it, so it has proved who it is."""
        self._descriptors.pop(descriptor, None)

    def left(self, descriptor: int) -> None:
        """Note that a connection has ended, and count it if it still was a stranger."""
        if descriptor in self._descriptors:
            del self._descriptors[descriptor]
            self._counters.add(Refusal.NEVER_IDENTIFIED)

    def close(self) -> None:
        """Give the two spare descriptors back."""
        os.close(self._nothing)
        os.close(self._spare)

    def _hang_up(self, descriptor: int) -> None:
        """Shut a connection down, if the descriptor still is one of ours.

        libzmq may have closed it already, and the number may be in use for something else. So a
        duplicate is taken first, which nobody can close, and its local port must be ours: at worst
        a newer connection to this port is cut, which then connects again. The duplicate takes the
        place of a spare descriptor, for there may be no other when it is needed most.
        """
        with contextlib.suppress(OSError):  # it was closed already, or is no socket
            os.dup2(descriptor, self._spare, inheritable=False)
            self._shut_down_spare()
        os.dup2(self._nothing, self._spare, inheritable=False)

    def _shut_down_spare(self) -> None:
        connection = socket.socket(fileno=self._spare)
        try:
            if self._is_ours(connection):
                connection.shutdown(socket.SHUT_RDWR)
                self._counters.add(Refusal.TOO_MANY_STRANGERS)
        finally:
            connection.detach()

    def _is_ours(self, connection: socket.socket) -> bool:
        if connection.type != socket.SOCK_STREAM:
            return False
        if connection.family not in (socket.AF_INET, socket.AF_INET6):
            return False
        return connection.getsockname()[1] in self.ports
