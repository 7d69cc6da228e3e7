"""Turns what waits in an outbox into frames on one connection, as large as the wait allows."""

from __future__ import annotations

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
    """Feeds one connected DEALER. I/O thread only.

    Messages stay in the outbox while the socket is full: there they can still share a frame.
    """

    def __init__(
        self, socket: Socket, outbox: Outbox, receiver: NodeIncarnation, services: IoServices
    ) -> None:
        """Begin with an empty frame, which tells the peer that the link is up."""
        self._socket = socket
        self._outbox = outbox
        self._receiver = receiver
        self._services = services
        self._frame: bytes | None = encode_messages(services.identity, receiver, ())
        self._frame_messages = 0
        self._frame_charge_bytes = 0
        self._is_blocked = False
        self.sent_messages = 0

    def flush(self) -> None:
        """Send what waits, until nothing does or the socket is full."""
        if self._is_blocked:
            return
        while self._frame is not None or self._fill_frame():
            if not self._try_to_send():
                self._is_blocked = True
                self._services.reactor.watch(self._socket, self._on_writable, zmq.POLLOUT)
                return

    def abandon(self) -> None:
        """Drop the frame that did not get out. What is in the outbox stays there."""
        if self._frame is not None:
            self._services.counters.add(Drop.PEER_DOWN, self._frame_messages)
            self._forget_frame()

    def _on_writable(self) -> None:
        self._is_blocked = False
        self._services.reactor.unwatch(self._socket)
        self.flush()

    def _fill_frame(self) -> bool:
        """Make the next frame; say whether there was anything to put into it."""
        messages, charge_bytes = self._outbox.take(
            self._services.settings.batch_bytes, MAXIMUM_MESSAGES
        )
        if not messages:
            return False
        self._frame = encode_messages(self._services.identity, self._receiver, messages)
        self._frame_messages = len(messages)
        self._frame_charge_bytes = charge_bytes
        return True

    def _try_to_send(self) -> bool:
        assert self._frame is not None
        try:
            self._socket.send(self._frame, zmq.NOBLOCK)
        except zmq.Again:
            return False
        self._services.counters.sent(self._frame_messages, len(self._frame))
        self.sent_messages += self._frame_messages
        self._forget_frame()
        return True

    def _forget_frame(self) -> None:
        self._outbox.release(self._frame_charge_bytes)
        self._frame = None
        self._frame_messages = 0
        self._frame_charge_bytes = 0
