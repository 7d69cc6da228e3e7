"""A TCP relay between two nodes, that can be cut, fall silent, be moved, and listens in."""

from __future__ import annotations

import selectors
import socket
import threading
from typing import Self

_CHUNK_BYTES = 65_536
_TICK_SECONDS = 0.02


class Relay:
    """Forwards every connection to `target`, on a thread of its own."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.is_silent = False
        self.is_refusing = False
        self.recorded = bytearray()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listening, selectors.EVENT_READ)
        self._other_end: dict[socket.socket, socket.socket] = {}
        self._lock = threading.Lock()
        self._is_over = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._is_over = True
        self._thread.join()
        self.cut()
        self._listening.close()
        self._selector.close()

    def cut(self) -> None:
        """Close all connections, as when a process dies."""
        with self._lock:
            for end in list(self._other_end):
                self._close(end)

    def _run(self) -> None:
        while not self._is_over:
            for key, _events in self._selector.select(_TICK_SECONDS):
                with self._lock:
                    self._serve(key.fileobj)

    def _serve(self, ready: object) -> None:
        assert isinstance(ready, socket.socket)
        if ready is self._listening:
            self._accept()
        elif ready in self._other_end and not self.is_silent:
            self._forward(ready)

    def _accept(self) -> None:
        near, _address = self._listening.accept()
        if self.is_refusing:
            near.close()
            return
        try:
            far = socket.create_connection(("127.0.0.1", self.target_port))
        except OSError:
            near.close()
            return
        self._other_end |= {near: far, far: near}
        for end in (near, far):
            self._selector.register(end, selectors.EVENT_READ)

    def _forward(self, end: socket.socket) -> None:
        try:
            data = end.recv(_CHUNK_BYTES)
            self.recorded += data
            self._other_end[end].sendall(data)
        except OSError:
            data = b""
        if not data:
            self._close(end)

    def _close(self, end: socket.socket) -> None:
        other = self._other_end.pop(end, None)
        if other is None:
            return
        self._other_end.pop(other)
        for one in (end, other):
            self._selector.unregister(one)
            one.close()
