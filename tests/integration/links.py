"""Links between processes on loopback, one for each direction, that can be cut, slowed, choked.

A node sends over the connection it has dialled itself, so the way from one node to another is a
relay of its own: what happens to it happens to one direction only. One thread serves all relays.
"""

from __future__ import annotations

import contextlib
import itertools
import select
import socket
import threading
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK_BYTES = 65_536
TURN_MILLISECONDS = 20


class Link:
    """The way from one node to another."""

    def __init__(self, target_port: int) -> None:
        self.is_cut = False
        """Connections end, and new ones are not made."""
        self.is_choked = False
        """Connections stay, and nothing is taken from the sender: its queue fills."""
        self.bytes_per_second: float | None = None
        self.target_port = target_port
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listening.getsockname()[1]

    def heal(self) -> None:
        self.is_cut = self.is_choked = False
        self.bytes_per_second = None


class _Way:
    """One direction of one connection."""

    def __init__(self, link: Link, source: socket.socket, sink: socket.socket) -> None:
        self.link = link
        self.source = source
        self.sink = sink
        self._rest = b""
        self._next_read_at = 0.0

    def wants_to_read(self, now: float) -> bool:
        return not (self._rest or self.link.is_choked or now < self._next_read_at)

    def wants_to_write(self) -> bool:
        return bool(self._rest)

    def read(self, now: float) -> None:
        rate = self.link.bytes_per_second
        self._rest = self.source.recv(CHUNK_BYTES if rate is None else 4096)
        if not self._rest:
            raise ConnectionResetError
        if rate is not None:
            self._next_read_at = now + len(self._rest) / rate
        self.write()

    def write(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._rest = self._rest[self.sink.send(self._rest) :]


class Links:
    """All links of some nodes; use it as a context manager."""

    def __init__(self, ports: list[int]) -> None:
        self._numbers = range(len(ports))
        self._ports = ports
        self._links = {
            (sender, receiver): Link(ports[receiver])
            for sender, receiver in itertools.permutations(self._numbers, 2)
        }
        self._connections: list[tuple[_Way, _Way]] = []
        self._is_over = False
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        self._thread.join()
        for link in self._links.values():
            link.listening.close()

    def way(self, sender: int, receiver: int) -> Link:
        return self._links[sender, receiver]

    def between(self, one: int, other: int) -> Iterator[Link]:
        yield self._links[one, other]
        yield self._links[other, one]

    def heal(self) -> None:
        for link in self._links.values():
            link.heal()

    def routes(self, sender: int) -> dict[str, str]:
        """Give where a node has to dial instead of the address in another's name."""
        return {
            f"tcp://127.0.0.1:{self._ports[other]}": f"tcp://127.0.0.1:{link.port}"
            for (dialling, other), link in self._links.items()
            if dialling == sender
        }

    def _run(self) -> None:
        try:
            while not self._is_over:
                self._turn()
        finally:
            for connection in self._connections:
                _close(connection)

    def _turn(self) -> None:
        now = time.monotonic()
        poll = select.poll()
        waiting: dict[int, Link | _Way] = {}
        for link in self._links.values():
            poll.register(link.listening, select.POLLIN)
            waiting[link.listening.fileno()] = link
        for connection in list(self._connections):
            if connection[0].link.is_cut:
                self._connections.remove(connection)
                _close(connection)
                continue
            for way, back in (connection, connection[::-1]):
                # Each end is the source of one way and the sink of the other.
                mask = select.POLLIN * way.wants_to_read(now)
                mask |= select.POLLOUT * back.wants_to_write()
                if mask:
                    poll.register(way.source, mask)
                waiting[way.source.fileno()] = way
        happened = dict(poll.poll(TURN_MILLISECONDS))
        for descriptor, events in happened.items():
            whose = waiting[descriptor]
            if isinstance(whose, Link):
                self._accept(whose)
            else:
                self._pass_on(whose, events, now)

    def _pass_on(self, way: _Way, events: int, now: float) -> None:
        connection = next((c for c in self._connections if way in c), None)
        if connection is None:
            return  # the other end has just gone
        back = connection[1] if connection[0] is way else connection[0]
        try:
            if events & select.POLLOUT:
                back.write()
            if events & ~select.POLLOUT:
                way.read(now)
        except OSError:
            self._connections.remove(connection)
            _close(connection)

    def _accept(self, link: Link) -> None:
        near, _address = link.listening.accept()
        try:
            if link.is_cut:
                raise ConnectionRefusedError
            far = socket.create_connection(("127.0.0.1", link.target_port))
        except OSError:
            near.close()
            return
        near.setblocking(False)
        far.setblocking(False)
        self._connections.append((_Way(link, near, far), _Way(link, far, near)))


def _close(connection: tuple[_Way, _Way]) -> None:
    for way in connection:
        way.source.close()
