"""Closed-loop gRPC callers over one HTTP/2 connection, as cheap as Python can make them.

etcd shall have the processor for itself as far as possible, so its callers are not threads with a
gRPC library: they are streams of one connection, each with one call under way. Requests are bytes
made beforehand; of the answers only what matters is looked at. It speaks just enough of HTTP/2
(RFC 9113) for that: no TLS, no push, one path per connection.
"""

from __future__ import annotations

import socket
import struct
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GO_AWAY, _WINDOW = 0x0, 0x1, 0x3, 0x4, 0x6, 0x7, 0x8
_END_STREAM, _END_HEADERS, _ACK = 0x1, 0x4, 0x1
_INITIAL_WINDOW_SETTING = 0x4
_HUGE_WINDOW = (1 << 31) - 1
_DEFAULT_WINDOW = 65_535
_HEAD_BYTES = 9
_READ_BYTES = 1 << 18


class CallFailedError(Exception):
    """The server refused a call, or hung up."""


class GrpcConnection:
    """One connection for calls of one method. For one thread."""

    def __init__(self, port: int, path: str, timeout_seconds: float) -> None:
        """Connect to a port of loopback.

        Args:
            port: where the server listens.
            path: of the method, such as ``/etcdserverpb.KV/Put``.
            timeout_seconds: how long to wait for bytes before giving up.
        """
        self._socket = socket.create_connection(("127.0.0.1", port), timeout_seconds)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()
        self._next_stream = 1
        self._window = _DEFAULT_WINDOW
        self._answered: set[int] = set()
        settings = struct.pack(">HI", _INITIAL_WINDOW_SETTING, _HUGE_WINDOW)
        grow = struct.pack(">I", _HUGE_WINDOW - _DEFAULT_WINDOW)
        self._socket.sendall(
            _PREFACE + _frame(_SETTINGS, 0, 0, settings) + _frame(_WINDOW, 0, 0, grow)
        )
        # The first block teaches the server's table what the later ones only point at.
        self._block = b"\x83\x86" + b"".join(
            b"\x40" + _text(name) + _text(text)
            for name, text in (
                (b":path", path.encode()),
                (b":authority", b"127.0.0.1"),
                (b"content-type", b"application/grpc"),
                (b"te", b"trailers"),
            )
        )

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def call(self, message: bytes) -> None:
        """Make one call and wait for its answer."""
        self.send(self.request(message)[1])
        while not self.finished():
            pass

    def request(self, message: bytes) -> tuple[int, bytes]:
        """Give the stream and the bytes of one more call."""
        stream, self._next_stream = self._next_stream, self._next_stream + 2
        block, self._block = self._block, b"\x83\x86\xc1\xc0\xbf\xbe"
        self._window -= len(message) + 5
        if self._window < 0:
            raise CallFailedError("the server does not read")
        return stream, (
            _frame(_HEADERS, _END_HEADERS, stream, block)
            + _frame(_DATA, _END_STREAM, stream, struct.pack(">BI", 0, len(message)) + message)
        )

    def send(self, requests: bytes) -> None:
        """Send what `request` gave, in its order."""
        self._socket.sendall(requests)

    def finished(self) -> list[int]:
        """Wait for bytes; give the streams whose calls have succeeded.

        Raises:
            CallFailedError: a call failed, or the connection did.
            TimeoutError: nothing came in time.
        """
        piece = self._socket.recv(_READ_BYTES)
        if not piece:
            raise CallFailedError("the server hung up")
        received = self._received
        received += piece
        done: list[int] = []
        position = 0
        while len(received) - position >= _HEAD_BYTES:
            size = int.from_bytes(received[position : position + 3])
            end = position + _HEAD_BYTES + size
            if len(received) < end:
                break
            kind, flags = received[position + 3], received[position + 4]
            stream = int.from_bytes(received[position + 5 : position + 9])
            if stream:
                content = received[position + 9 : end] if kind == _RESET else b""
                self._take_stream_frame(kind, flags, stream, done)
                # With code 0 it only says that nothing more is read, after the whole answer.
                if kind == _RESET and any(content):
                    raise CallFailedError("the call was broken off")
            else:
                self._take_connection_frame(kind, flags, bytes(received[position + 9 : end]))
            position = end
        del received[:position]
        return done

    def _take_stream_frame(self, kind: int, flags: int, stream: int, done: list[int]) -> None:
        if kind == _DATA:
            self._answered.add(stream)  # a call that failed has no message
        elif kind == _HEADERS and flags & _END_STREAM:
            if stream not in self._answered:
                raise CallFailedError("the call was refused")
            self._answered.discard(stream)
            done.append(stream)

    def _take_connection_frame(self, kind: int, flags: int, content: bytes) -> None:
        if kind == _SETTINGS and not flags & _ACK:
            self._socket.sendall(_frame(_SETTINGS, _ACK, 0, b""))
        elif kind == _PING and not flags & _ACK:
            self._socket.sendall(_frame(_PING, _ACK, 0, content))
        elif kind == _WINDOW:
            self._window += int.from_bytes(content)
        elif kind == _GO_AWAY:
            raise CallFailedError("the server closes the connection")


def calls_per_second(
    connection: GrpcConnection,
    message: Callable[[int], bytes],
    *,
    callers: int,
    seconds: float,
) -> float:
    """Have each caller call again and again; give finished calls per second of all together.

    Args:
        connection: carries one stream per caller at a time.
        message: gives the request of a number.
        callers: how many call at the same time.
        seconds: how long; calls under way at the end are waited for and counted with their time.
    """
    number = 0
    under_way = 0
    finished = 0
    started = time.perf_counter()
    until = started + seconds
    wanted = callers
    while True:
        requests: list[bytes] = []
        if time.perf_counter() < until:
            for _ in range(wanted):
                requests.append(connection.request(message(number))[1])
                number += 1
            under_way += len(requests)
            connection.send(b"".join(requests))
        if not under_way:
            return finished / (time.perf_counter() - started)
        wanted = len(connection.finished())
        finished += wanted
        under_way -= wanted


def _frame(kind: int, flags: int, stream: int, content: bytes) -> bytes:
    return struct.pack(">I", len(content))[1:] + struct.pack(">BBI", kind, flags, stream) + content


def _text(text: bytes) -> bytes:
    assert len(text) < 127, "longer ones are written otherwise"
    return bytes([len(text)]) + text
