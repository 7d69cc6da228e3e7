"""What the transport's tests share: nodes over either transport, mailboxes, waiting.

Not here: what a single test needs alone.
"""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import socket
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

from khepri.transport.interface import (
    Envelope,
    Message,
    OnFailure,
    PeerState,
    Receiver,
    Transport,
)
from khepri.transport.memory_network import MemoryLink, MemoryNetwork, Parcel
from khepri.transport.memory_transport import MemoryTransport
from khepri.transport.settings import TransportSettings
from khepri.transport.zmq_transport import ZmqTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DEADLINE_SECONDS = 20.0
COOKIE = bytes(range(32))
QUICK = TransportSettings(  # messages wait for a peer as long as a test may last
    hold_seconds=DEADLINE_SECONDS,
    connect_timeout_seconds=0.5,
    handshake_timeout_seconds=0.5,
    probe_interval_seconds=0.1,
    silence_timeout_seconds=0.5,
    redial_delay_seconds=0.02,
    redial_delay_limit_seconds=0.1,
)
IMPATIENT = dataclasses.replace(QUICK, hold_seconds=0.1)
_POLL_SECONDS = 0.005
_incarnations = itertools.count(1)


def new_incarnation() -> bytes:
    """Give a boot id nobody has had."""
    return b"life-%d" % next(_incarnations)


def text(body: bytes, *, cluster_id: bytes = b"", store_id: str = "", kind: int = 1) -> Message:
    """Give a message with this body."""
    return Message(cluster_id, store_id, kind, body)


def eventually(condition: Callable[[], object], what: str = "") -> None:
    """Wait until a condition holds, but not for ever."""
    never = threading.Event()
    give_up = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < give_up, f"still not: {what or condition}"
        never.wait(_POLL_SECONDS)


def state_of(transport: Transport, node: str) -> PeerState:
    """Give the state of the way to one peer."""
    return next(state for state in transport.peers() if state.node == node)


def end_by_a_bug(transport: Transport) -> None:
    """Have something raise on the transport's thread that must not."""
    if isinstance(transport, ZmqTransport):

        def fail() -> None:
            raise ZeroDivisionError

        eventually(lambda: transport._services, "its start")
        assert transport._services is not None
        transport._services.reactor.call_soon(fail)
        return
    assert isinstance(transport, MemoryTransport)
    network = transport._network
    with network._lock:  # a parcel with nothing in it cannot be opened
        heapq.heappush(network._inboxes[transport.node], Parcel(0.0, -1, MemoryLink(), 0, []))
        network._something_new.notify_all()


class Mailbox:
    """A receiver that keeps what it gets, and can be made slow or failing."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.envelopes: list[Envelope] = []
        self.batch_sizes: list[int] = []
        self.threads: set[str] = set()
        self.open_door = threading.Event()
        self.open_door.set()
        self.failure: Exception | None = None

    def __call__(self, batch: Sequence[Envelope]) -> None:
        assert self.open_door.wait(DEADLINE_SECONDS)
        if self.failure is not None:
            raise self.failure
        with self._changed:
            self.envelopes.extend(batch)
            self.batch_sizes.append(len(batch))
            self.threads.add(threading.current_thread().name)
            self._changed.notify_all()

    def wait_for(self, number: int) -> list[Envelope]:
        """Wait until so many have come, and give all that are there."""
        with self._changed:
            arrived = self._changed.wait_for(
                lambda: len(self.envelopes) >= number, DEADLINE_SECONDS
            )
            assert arrived, f"{len(self.envelopes)} of {number} arrived"
            return list(self.envelopes)

    def has(self, body: bytes) -> bool:
        """Say whether a body has come."""
        return body in self.bodies()

    def bodies(self) -> list[bytes]:
        """Give the bodies received so far."""
        with self._changed:
            return [envelope.body for envelope in self.envelopes]


class Nodes(Protocol):
    """Makes nodes that can reach each other, and stops them in the end."""

    def name(self, name: str) -> str:
        """Give a whole node name."""
        ...

    def make(
        self,
        node: str,
        receiver: Receiver,
        *,
        incarnation: bytes | None = None,
        settings: TransportSettings | None = None,
        on_failure: OnFailure | None = None,
    ) -> Transport:
        """Make a transport, not started."""
        ...


def started(
    nodes: Nodes, node: str, mailbox: Mailbox, settings: TransportSettings | None = None
) -> Transport:
    """Make a transport and start it."""
    transport = nodes.make(node, mailbox, settings=settings)
    transport.start()
    return transport


class MemoryNodes:
    """Nodes on one memory network."""

    def __init__(self, network: MemoryNetwork | None = None) -> None:
        self.network = network or MemoryNetwork()
        self._made: list[MemoryTransport] = []

    def name(self, name: str) -> str:
        return f"{name}@memory:1"

    def make(
        self,
        node: str,
        receiver: Receiver,
        *,
        incarnation: bytes | None = None,
        settings: TransportSettings | None = None,
        on_failure: OnFailure | None = None,
    ) -> MemoryTransport:
        transport = MemoryTransport(
            self.network,
            node,
            incarnation or new_incarnation(),
            receiver,
            settings=settings,
            on_failure=on_failure,
        )
        self._made.append(transport)
        return transport

    def stop_all(self) -> None:
        for transport in self._made:
            transport.stop()


class ZmqNodes:
    """Nodes on loopback. Each port stays reserved until the end of the test."""

    def __init__(self, cookie: bytes = COOKIE) -> None:
        self.cookie = cookie
        self._reservations = ExitStack()
        self._made: list[ZmqTransport] = []

    def port(self) -> int:
        """Reserve a free port: bound but not listening, so that a node can bind it as well."""
        reservation = self._reservations.enter_context(socket.socket())
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reservation.bind(("127.0.0.1", 0))
        return int(reservation.getsockname()[1])

    def name(self, name: str) -> str:
        return f"{name}@127.0.0.1:{self.port()}"

    def make(
        self,
        node: str,
        receiver: Receiver,
        *,
        incarnation: bytes | None = None,
        settings: TransportSettings | None = None,
        on_failure: OnFailure | None = None,
        cookie: bytes | None = None,
        listen: str | None = None,
    ) -> ZmqTransport:
        transport = ZmqTransport(
            node,
            incarnation or new_incarnation(),
            receiver,
            cookie=cookie or self.cookie,
            listen=listen,
            settings=settings or QUICK,
            on_failure=on_failure,
        )
        self._made.append(transport)
        return transport

    def stop_all(self) -> None:
        for transport in self._made:
            transport.stop()
        self._reservations.close()


def khepri_threads() -> list[str]:
    """Give the names of the transports' threads that run."""
    # The keeper of the process stays for a moment after the tests that had something to keep.
    names = {thread.name for thread in threading.enumerate()} - {"khepri-keeper"}
    return sorted(name for name in names if name.startswith("khepri-"))
