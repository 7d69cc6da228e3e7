"""Turns what waits in an outbox into frames on one connection, as large as the wait allows.

Whoever puts messages into the outbox sends them too: a hand-over to the I/O thread would cost a
wake-up per frame, more than the sending. A ZeroMQ socket may move from thread to thread if only
one has it at a time, with a lock between them; here that is a *turn*. Nobody waits for one: who
has it sends what others put meanwhile.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import zmq

from .codec import encode_messages
from .counters import Drop
from .wire import MAXIMUM_MESSAGES

if TYPE_CHECKING:
    from .interface import NodeIncarnation
    from .io_services import IoServices
    from .outbox import Outbox
    from .sockets import Socket


class FrameSender:
    """Feeds one connected DEALER. Any thread may `flush`; the rest is the I/O thread's.

    Messages stay in the outbox while the socket is full: there they can still share a frame.
    Only then does the I/O thread watch the socket, and nobody else touches it.
    """

    def __init__(
        self, socket: Socket, outbox: Outbox, receiver: NodeIncarnation, services: IoServices
    ) -> None:
        """Begin with an empty frame, which tells the peer that the link is up."""
        self._socket = socket
        self._outbox = outbox
        self._receiver = receiver
        self._services = services
        self._turn = threading.Lock()
        self._frame: bytes | None = encode_messages(services.identity, receiver, ())
        self._frame_messages = 0
        self._is_blocked = False
        self._is_closed = False
        self.sent_messages = 0

    def flush(self) -> None:
        """Send what waits, until nothing does, the socket is full, or somebody else sends."""
        while not self._is_blocked and self._turn.acquire(blocking=False):
            try:
                if self._is_closed:
                    return
                self._send_all()
            finally:
                self._turn.release()
            # What came during our turn was ours to send; so is the rest if the I/O thread has
            # found the socket writable again in the meantime.
            if self._frame is None and not self._outbox.waiting:
                return

    def close(self) -> None:
        """Send nothing more; drop the frame that did not get out. The outbox keeps the rest."""
        with self._turn:
            self._is_closed = True
            if self._frame is not None:
                self._services.counters.add(Drop.PEER_DOWN, self._frame_messages)
                self._forget_frame()

    def _send_all(self) -> None:
        outbox, services = self._outbox, self._services
        while self._frame is not None or outbox.waiting:
            if self._frame is None:
                messages = outbox.take(services.settings.batch_bytes, MAXIMUM_MESSAGES)
                if not messages:  # they were dropped a moment ago
                    return
                self._frame = encode_messages(services.identity, self._receiver, messages)
                self._frame_messages = len(messages)
            try:
                self._socket.send(self._frame, zmq.NOBLOCK)
            except zmq.Again:
                self._is_blocked = True
                services.reactor.call_soon(self._watch)
                return
            services.counters.sent(self._frame_messages, len(self._frame))
            self.sent_messages += self._frame_messages
            self._forget_frame()

    def _watch(self) -> None:
        if not self._is_closed:
            self._services.reactor.watch(self._socket, self._on_writable, zmq.POLLOUT)

    def _on_writable(self) -> None:
        self._services.reactor.unwatch(self._socket)
        self._is_blocked = False
        self.flush()

    def _forget_frame(self) -> None:
        self._frame = None
        self._outbox.leaving_bytes = 0
