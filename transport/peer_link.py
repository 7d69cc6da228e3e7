"""The way out to one peer: dial, greet, link, and begin again when anything fails.

::

    WAITING ──> DIALLING ──> GREETING ──> LINKING ──> UP
       ^            │            │           │         │
       └────────────┴────────────┴───────────┴─────────┘   whatever fails

A first connection, made with the door key, asks the peer to let this node's own key in and learns
which life the peer is in (DIALLING, GREETING). The second one, made with that key, carries the
messages (LINKING, UP). A peer that restarts has forgotten us, so every connection begins so.
libzmq's own reconnecting is not used: a lost connection is closed and dialled anew.
"""

from __future__ import annotations

import logging
import random
import time
from enum import Enum
from typing import TYPE_CHECKING, Final

import zmq

from .codec import FrameReader, encode_hello
from .counters import Drop, Traffic
from .frame_sender import FrameSender
from .interface import NodeIncarnation, PeerState, PeerStatus
from .outbox import Outbox
from .sockets import next_event
from .wire import FrameError, Welcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from .address import Address
    from .io_services import IoServices
    from .reactor import Timer
    from .sockets import Socket

_log = logging.getLogger(__name__)

_FAILURES: Final[dict[int, str]] = {
    zmq.EVENT_CONNECT_RETRIED: "nobody answers at the address",
    zmq.EVENT_CLOSED: "nobody answers at the address",
    zmq.EVENT_DISCONNECTED: "the connection was lost",
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: (
        "the handshake was broken off: the cookie there differs, or the node has another name"
    ),
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: "what answers at the address is not a khepri node",
    zmq.EVENT_HANDSHAKE_FAILED_AUTH: "the peer refused the key of this node",
}
_EVENTS: Final = sum(_FAILURES) | zmq.EVENT_HANDSHAKE_SUCCEEDED
_NO_ANSWER: Final = "the peer did not answer in time"
_NEW_LIFE: Final = "the peer has started anew"


class Stage(Enum):
    """How far the link has come; the module's picture shows the order."""

    WAITING = "waiting"
    DIALLING = "dialling"
    GREETING = "greeting"
    LINKING = "linking"
    UP = "up"
    CLOSED = "closed"


class PeerLink:
    """One peer's outbox and the connection that empties it.

    Any thread may use `outbox`, which sends at once when the link is up, and `state`; everything
    else belongs to the I/O thread.
    """

    def __init__(
        self,
        peer: str,
        address: Address,
        services: IoServices,
        forget: Callable[[PeerLink], None],
    ) -> None:
        """Begin waiting; the I/O thread must call `start`.

        Args:
            peer: the name of the peer.
            address: where it listens.
            services: of the I/O thread.
            forget: is called, on that thread, when nobody has wanted this link for long.
        """
        self.peer = peer
        self._forget = forget
        self._down_since = time.monotonic()
        self._opened_at = 0.0
        self.outbox = Outbox(services.settings.queue_bytes, self._flush)
        self._endpoint = address.endpoint
        self._services = services
        self._stage = Stage.WAITING
        self._incarnation: bytes | None = None
        self._last_error: str | None = None
        self._sent_messages = 0
        self._failures_in_row = 0
        self._socket: Socket | None = None
        self._monitor: Socket | None = None
        self._sender: FrameSender | None = None
        self._timer: Timer | None = None
        self._hold_timer: Timer | None = None

    def state(self) -> PeerState:
        """Give a snapshot. Any thread."""
        if self._stage is Stage.UP:
            status = PeerStatus.CONNECTED
        else:
            is_held = self.outbox.is_open
            status = PeerStatus.CONNECTING if is_held else PeerStatus.UNREACHABLE
        sender = self._sender
        return PeerState(
            node=self.peer,
            status=status,
            incarnation=self._incarnation,
            queued_bytes=self.outbox.queued_bytes,
            sent_messages=self._sent_messages + (sender.sent_messages if sender else 0),
            last_error=self._last_error,
        )

    def start(self) -> None:
        """Dial for the first time."""
        self._hold()
        self._dial()

    def close(self) -> None:
        """Hang up for good."""
        self._stage = Stage.CLOSED
        self._close_sockets()
        self._cancel_timers()
        self._drop_waiting()

    def peer_greeted(self, incarnation: bytes) -> None:
        """Take note that the peer has just greeted this node, in this life: it is reachable.

        That cuts a pause before the next attempt short, and tells of a restart before TCP does.
        A link that is being made is left alone, or two nodes would interrupt each other for ever.
        """
        if self._stage is Stage.UP and incarnation != self._incarnation:
            self._fail(_NEW_LIFE)
        if self._stage is Stage.WAITING:
            self._dial()

    # The steps, in order.

    def _dial(self) -> None:
        self._stage = Stage.DIALLING
        self._open(self._services.sockets.door)

    def _knock(self) -> None:
        """Send the greeting, now that the door's socket is writable."""
        assert self._socket is not None
        try:
            self._socket.send(encode_hello(self._services.identity, self.peer), zmq.NOBLOCK)
        except zmq.Again:
            return  # the loop calls again
        self._services.reactor.watch(self._socket, self._read_welcome)

    def _read_welcome(self) -> None:
        assert self._socket is not None
        reader = FrameReader(self._services.settings.frame_bytes)
        try:
            frame = reader.read(self._socket.recv(zmq.NOBLOCK))
        except zmq.Again:
            return
        except FrameError as error:
            self._services.counters.add(error.reason)
            return
        match frame:
            case Welcome(NodeIncarnation(self.peer, incarnation), self._services.identity):
                self._incarnation = incarnation
                # Who is found at the address of a name has the name: another process may have
                # greeted under it.
                self._services.admissions.admit(NodeIncarnation(self.peer, incarnation))
                self._stage = Stage.LINKING
                self._open(self._services.sockets.link)
            case _:
                self._services.counters.add(Drop.GARBLED)

    def _come_up(self) -> None:
        assert self._socket is not None
        assert self._incarnation is not None
        self._stage = Stage.UP
        self._failures_in_row = 0
        self._last_error = None
        self._cancel_timers()
        self._services.counters.add(Traffic.LINKS_UP)
        _log.info("%s: linked to %s", self._services.identity.node, self.peer)
        receiver = NodeIncarnation(self.peer, self._incarnation)
        self._sender = FrameSender(self._socket, self.outbox, receiver, self._services)
        self.outbox.open()
        self._sender.flush()

    def _flush(self) -> None:
        # The thread that puts. A link that comes up sends what waits, so none is needed before.
        sender = self._sender
        if sender is None:
            return
        if self.outbox.queued_bytes > self._services.settings.batch_bytes:
            # Much to copy, in buffers that then stay with this thread's share of the heap: for
            # the I/O thread. Sent by all threads, large frames cost a process 60 MiB more.
            self._services.reactor.call_soon(sender.flush)
        else:
            sender.flush()

    # What can go wrong, and what is done about it.

    def _fail(self, reason: str) -> None:
        """Hang up, and dial again after a pause that grows."""
        if self._last_error != reason:  # once, not at each attempt
            _log.info("%s: no link to %s: %s", self._services.identity.node, self.peer, reason)
        self._last_error = reason
        if self._stage is Stage.UP:
            self._services.counters.add(Traffic.LINKS_LOST)
            self._down_since = time.monotonic()
            self._hold()
        self._close_sockets()
        self._stage = Stage.WAITING
        if self._is_unwanted():
            self._forget(self)
            return
        self._set_timer(self._redial_delay_seconds(), self._dial)
        self._failures_in_row += 1

    def _is_unwanted(self) -> bool:
        """Tell whether nobody has sent anything for long: a guest that is gone."""
        since = max(self._down_since, self.outbox.refused_at)
        is_long_ago = time.monotonic() - since >= self._services.settings.forget_seconds
        return is_long_ago and not self.outbox.is_open

    def _redial_delay_seconds(self) -> float:
        settings = self._services.settings
        delay = settings.redial_delay_seconds * 2.0 ** min(self._failures_in_row, 16)
        # Without a random part, nodes that lost each other would dial in step for ever.
        part = random.uniform(0.5, 1.0)  # noqa: S311 - no secret
        return min(delay, settings.redial_delay_limit_seconds) * part

    def _hold(self) -> None:
        """Keep messages for a moment, then drop them and accept no more until the link is up."""
        self._hold_timer = self._services.reactor.call_later(
            self._services.settings.hold_seconds, self._drop_waiting
        )

    def _drop_waiting(self) -> None:
        dropped = self.outbox.shut()
        if dropped:
            self._services.counters.add(Drop.PEER_DOWN, dropped)

    def _on_events(self) -> None:
        while self._monitor is not None and (told := next_event(self._monitor)) is not None:
            event, _value = told
            if event != zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._fail(self._why(event))
            elif self._stage is Stage.DIALLING:
                self._stage = Stage.GREETING
                assert self._socket is not None
                self._services.reactor.watch(self._socket, self._knock, zmq.POLLOUT)
            elif self._stage is Stage.LINKING:
                self._come_up()

    def _why(self, event: int) -> str:
        """Say what an event means; libzmq does not tell a refusal from a handshake too slow."""
        patience_seconds = self._services.settings.handshake_timeout_seconds
        waited_seconds = time.monotonic() - self._opened_at
        is_late = waited_seconds >= 0.9 * patience_seconds  # libzmq counts by a coarser clock
        if event == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL and is_late:
            return _NO_ANSWER
        return _FAILURES[event]

    # Sockets and timers.

    def hang_up(self) -> None:
        """Send nothing more on this connection, so that its socket may be closed."""
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.close()
            self._sent_messages += sender.sent_messages

    def _open(self, make_socket: Callable[[str], Socket]) -> None:
        """Make the link's next socket, and connect it."""
        self._close_sockets()
        services = self._services
        settings = services.settings
        patience = settings.connect_timeout_seconds + settings.handshake_timeout_seconds
        self._set_timer(patience, lambda: self._fail(_NO_ANSWER))
        try:
            self._socket = make_socket(self.peer)
            self._monitor = services.sockets.monitor(self._socket, _EVENTS)
            services.reactor.watch(self._monitor, self._on_events)
            self._opened_at = time.monotonic()
            self._socket.connect(self._endpoint)
        except zmq.ZMQError as error:  # perhaps no descriptor is left; there may be one later
            self._fail(f"cannot connect to {self._endpoint}: {error}")

    def _close_sockets(self) -> None:
        self.hang_up()
        if self._monitor is not None:
            self._services.reactor.unwatch(self._monitor)
        if self._socket is not None:
            self._services.reactor.unwatch(self._socket)
            self._services.sockets.close(self._socket)
        self._monitor = self._socket = None

    def _set_timer(self, delay_seconds: float, callback: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._services.reactor.call_later(delay_seconds, callback)

    def _cancel_timers(self) -> None:
        for timer in (self._timer, self._hold_timer):
            if timer is not None:
                timer.cancel()
