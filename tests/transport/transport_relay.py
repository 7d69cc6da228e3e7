"""A TCP relay between two nodes, that can be cut, fall silent, be moved, and listens in."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self

_CHUNK_BYTES = 65_536


class Relay:
    """Forwards every connection to `target_port`, with a thread for each direction."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.is_refusing = False
        self.recorded = bytearray()
        self._may_flow = threading.Event()
        self._may_flow.set()
        self.ends: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._hang_up(self._listening)
        self._threads[0].join()
        self.speak()
        self.cut()
        for thread in self._threads:
            thread.join()
        for end in (self._listening, *self.ends):
            end.close()

    def fall_silent(self) -> None:
        """Pass nothing on, and keep all connections open."""
        self._may_flow.clear()

    def speak(self) -> None:
        """Undo `fall_silent`."""
        self._may_flow.set()

    def cut(self) -> None:
        """End all connections, as when a process dies."""
        for end in list(self.ends):
            self._hang_up(end)

    def _hang_up(self, end: socket.socket) -> None:
        with contextlib.suppress(OSError):  # it has ended already
            end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                near, _address = self._listening.accept()
            except OSError:
                return
            try:
                if self.is_refusing:
                    raise ConnectionRefusedError
                far = socket.create_connection(("127.0.0.1", self.target_port))
            except OSError:
                near.close()
                continue
            self.ends += [near, far]
            for source, sink in ((near, far), (far, near)):
                thread = threading.Thread(target=self._pump, args=(source, sink))
                self._threads.append(thread)
                thread.start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK_BYTES):
                self._may_flow.wait()
                self.recorded += data
                sink.sendall(data)
        self._hang_up(source)
        self._hang_up(sink)
