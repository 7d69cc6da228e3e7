"""Makes the transport's sockets, with every option set that has a default one could regret.

What each does when it is left alone was measured; docs/explanation/transport.md tells it.
"""

from __future__ import annotations

import itertools
import struct
from typing import TYPE_CHECKING, Final

import zmq

if TYPE_CHECKING:
    from .curve import ClusterKeys, KeyPair
    from .settings import TransportSettings

Socket = zmq.Socket[bytes]
Context = zmq.Context[Socket]

ZAP_DOMAIN: Final = b"khepri"
"""Names the questions libzmq asks about keys; without a domain it would ask none."""

_EVENT_AND_VALUE: Final = struct.Struct("=HI")
_CURVE_OVERHEAD_BYTES: Final = 64
_ROOM_TO_NOTICE_BYTES: Final = 64 * 1024
"""Frames a little too large are read and counted; beyond this libzmq cuts the connection."""


class SocketFactory:
    """Makes sockets of one node, in one context. I/O thread only."""

    def __init__(
        self, context: Context, keys: ClusterKeys, node: str, settings: TransportSettings
    ) -> None:
        """Keep what the sockets have in common."""
        self._context = context
        self._keys = keys
        self._node = node
        self._settings = settings
        self._monitors: dict[Socket, Socket] = {}
        self._monitor_numbers = itertools.count()

    def listener(self) -> Socket:
        """Make the ROUTER that peers connect to. Not bound yet."""
        socket = self._new(zmq.ROUTER)
        pair = self._keys.server(self._node)
        socket.curve_server = True
        socket.curve_publickey, socket.curve_secretkey = pair
        socket.zap_domain = ZAP_DOMAIN
        socket.set(zmq.ZAP_ENFORCE_DOMAIN, 1)
        socket.set(zmq.ROUTER_MANDATORY, 1)
        socket.set(zmq.ROUTER_HANDOVER, 1)
        socket.set(zmq.BACKLOG, self._settings.accept_backlog)
        return socket

    def door(self, peer: str) -> Socket:
        """Make the DEALER that knocks at a peer's door. Not connected yet."""
        return self._dealer(peer, self._keys.door())

    def link(self, peer: str) -> Socket:
        """Make the DEALER that carries messages to a peer. Not connected yet."""
        return self._dealer(peer, self._keys.client(self._node))

    def monitor(self, socket: Socket, events: int) -> Socket:
        """Make the socket that tells what happens to another one. Both must end by `close`."""
        endpoint = f"inproc://monitor-{next(self._monitor_numbers)}"
        socket.monitor(endpoint, events)
        monitor = self._context.socket(zmq.PAIR)
        self._monitors[socket] = monitor
        monitor.linger = 0
        monitor.set(zmq.RCVHWM, 0)  # libzmq's own thread would wait for room, and all with it
        monitor.connect(endpoint)
        return monitor

    def close(self, socket: Socket) -> None:
        """Close a socket, and its monitor if it has one.

        The monitoring must end first. libzmq's thread would wait for ever to tell an event to a
        monitor that was closed, and no socket of the context would move any more.
        """
        monitor = self._monitors.pop(socket, None)
        if monitor is not None:
            socket.disable_monitor()
            monitor.close()
        socket.close()

    def close_monitored(self) -> None:
        """Close every socket that is monitored, before the context may be destroyed."""
        for socket in list(self._monitors):
            self.close(socket)

    def _dealer(self, peer: str, pair: KeyPair) -> Socket:
        socket = self._new(zmq.DEALER)
        socket.curve_serverkey = self._keys.server(peer).public
        socket.curve_publickey, socket.curve_secretkey = pair
        socket.set(zmq.IMMEDIATE, 1)
        socket.set(zmq.CONNECT_TIMEOUT, _milliseconds(self._settings.connect_timeout_seconds))
        # The link closes a socket whose connection failed and dials again by its own clock, so
        # that a failed handshake backs off too (libzmq would try again ten times a second).
        redial = _milliseconds(self._settings.redial_delay_limit_seconds)
        socket.set(zmq.RECONNECT_IVL, redial)
        socket.set(zmq.RECONNECT_IVL_MAX, redial)
        return socket

    def _new(self, kind: int) -> Socket:
        settings = self._settings
        socket = self._context.socket(kind)
        socket.linger = 0
        socket.set(zmq.IPV6, 1)
        socket.set(zmq.SNDHWM, settings.high_water_mark_frames)
        socket.set(zmq.RCVHWM, settings.high_water_mark_frames)
        largest = settings.frame_bytes + _CURVE_OVERHEAD_BYTES + _ROOM_TO_NOTICE_BYTES
        socket.set(zmq.MAXMSGSIZE, largest)
        socket.set(zmq.HANDSHAKE_IVL, _milliseconds(settings.handshake_timeout_seconds))
        # The kernel looks after silent peers. libzmq's heartbeats must stay off: it aborts the
        # process when it answers one on a connection that has ended while its input was stopped,
        # as after a pause (libzmq issues 3937, 4364; test_transport_pauses.py has it happen).
        probe = max(1, round(settings.probe_interval_seconds))
        probes = max(1, round(settings.silence_timeout_seconds / probe) - 1)
        socket.set(zmq.HEARTBEAT_IVL, 0)
        socket.set(zmq.TCP_MAXRT, _milliseconds(settings.silence_timeout_seconds))
        socket.set(zmq.TCP_KEEPALIVE, 1)
        socket.set(zmq.TCP_KEEPALIVE_IDLE, probe)
        socket.set(zmq.TCP_KEEPALIVE_INTVL, probe)
        socket.set(zmq.TCP_KEEPALIVE_CNT, probes)
        return socket


def has_input(socket: Socket) -> bool:
    """Say whether a message waits. Cheaper than a receive that fails, or a poll."""
    return bool(int(socket.get(zmq.EVENTS)) & int(zmq.POLLIN))


def next_event(monitor: Socket) -> tuple[int, int] | None:
    """Give what a monitor has to tell next, and its value; None when there is nothing.

    Reads the two parts itself, for in a flood of connections this is what has to keep up.
    """
    try:
        event, value = _EVENT_AND_VALUE.unpack(monitor.recv(zmq.NOBLOCK))
    except zmq.Again:
        return None
    monitor.recv(zmq.NOBLOCK)  # the address, which is not of use here
    return event, value


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
