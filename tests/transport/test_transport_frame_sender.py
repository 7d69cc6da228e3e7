"""Sending on one connection, by whoever has something to send."""

from __future__ import annotations

import os
import random
import sys
import threading
from queue import Queue
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
import zmq

from khepri.transport.address import Address
from khepri.transport.codec import FrameReader
from khepri.transport.counters import Counters, Drop, Traffic
from khepri.transport.frame_sender import FrameSender
from khepri.transport.interface import NodeIncarnation
from khepri.transport.outbox import Outbox
from khepri.transport.peer_link import PeerLink
from khepri.transport.settings import TransportSettings
from khepri.transport.wire import Batch
from tests.transport.transport_helpers import DEADLINE_SECONDS, eventually, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

HERE = NodeIncarnation("alice@127.0.0.1:1", b"a")
THERE = NodeIncarnation("bob@127.0.0.1:2", b"b")


class _Socket:
    """Takes frames, or is full."""

    def __init__(self) -> None:
        self.is_full = False
        self.frames: list[bytes] = []
        self.on_send: Callable[[], None] = lambda: None

    def send(self, frame: bytes, flags: int) -> None:
        assert flags == zmq.NOBLOCK
        self.on_send()
        if self.is_full:
            raise zmq.Again
        self.frames.append(frame)


class _Reactor:
    """Does at once what it is given, as a quick I/O thread would."""

    def __init__(self, socket: _Socket) -> None:
        self._socket = socket
        self.watching: Callable[[], None] | None = None

    def call_soon(self, task: Callable[[], None]) -> None:
        task()

    def watch(self, socket: object, handler: Callable[[], None], events: int) -> None:
        assert (socket, events) == (self._socket, zmq.POLLOUT)
        self.watching = handler

    def unwatch(self, socket: object) -> None:
        assert socket is self._socket
        self.watching = None


class _Link:
    """A connection that is up."""

    def __init__(self) -> None:
        self.socket = _Socket()
        self.reactor = _Reactor(self.socket)
        self.counters = Counters()
        self.outbox = Outbox(1_000_000, self._flush)
        services = SimpleNamespace(
            identity=HERE,
            settings=TransportSettings(),
            counters=self.counters,
            reactor=self.reactor,
        )
        self.sender = FrameSender(
            cast("Any", self.socket), self.outbox, THERE, cast("Any", services)
        )
        self.sender.flush()
        self.socket.frames.clear()

    def _flush(self) -> None:
        self.sender.flush()


def test_who_puts_a_message_sends_it() -> None:
    link = _Link()
    assert link.outbox.put([text(b"hello")]) is None
    assert len(link.socket.frames) == 1
    assert link.outbox.queued_bytes == 0


def test_what_is_put_while_somebody_sends_is_sent_by_that_one() -> None:
    link = _Link()

    def put_another() -> None:
        link.socket.on_send = lambda: None
        link.outbox.put([text(b"from another thread")])
        assert link.socket.frames == []

    link.socket.on_send = put_another
    link.outbox.put([text(b"first")])
    assert len(link.socket.frames) == 2
    assert link.outbox.queued_bytes == 0


def test_a_full_socket_is_watched_and_what_waits_goes_together_when_it_is_writable() -> None:
    link = _Link()
    link.socket.is_full = True
    for number in range(3):
        link.outbox.put([text(b"%d" % number)])
    assert link.reactor.watching is not None
    link.socket.is_full = False
    link.reactor.watching()
    assert link.reactor.watching is None
    assert len(link.socket.frames) == 2
    assert link.counters[Traffic.SENT_MESSAGES] == 3


def test_a_socket_that_is_writable_again_before_the_turn_has_ended_is_not_forgotten() -> None:
    link = _Link()
    link.socket.is_full = True

    def find_it_writable(socket: object, handler: Callable[[], None], events: int) -> None:
        del socket, events
        link.socket.is_full = False
        handler()

    link.reactor.watch = find_it_writable  # type: ignore[method-assign]
    link.outbox.put([text(b"hello")])
    assert len(link.socket.frames) == 1
    assert link.outbox.queued_bytes == 0


def test_after_the_close_nothing_touches_the_socket_and_the_frame_in_hand_is_counted() -> None:
    link = _Link()
    link.socket.is_full = True
    link.outbox.put([text(b"in hand")])
    link.sender.close()
    assert link.counters[Drop.PEER_DOWN] == 1
    link.socket.is_full = False
    link.outbox.put([text(b"waits")])
    link.sender.flush()
    assert link.socket.frames == []
    assert link.outbox.waiting


def test_large_frames_are_left_to_the_io_thread() -> None:
    settings = TransportSettings()
    given: list[Callable[[], None]] = []
    services: Any = SimpleNamespace(
        settings=settings, reactor=SimpleNamespace(call_soon=given.append)
    )
    link = PeerLink(THERE.node, Address("127.0.0.1", 2), services, lambda _link: None)
    flushed: list[int] = []
    link._sender = cast("Any", SimpleNamespace(flush=lambda: flushed.append(1)))
    link.outbox.put([text(b"small")])
    assert (len(flushed), given) == (1, [])
    link.outbox.take(settings.queue_bytes, 1)
    link.outbox.put([text(bytes(settings.batch_bytes + 1))])
    assert (len(flushed), len(given)) == (1, 1)
    given[0]()
    assert len(flushed) == 2


def bodies_of(frames: Sequence[bytes]) -> list[bytes]:
    reader = FrameReader(1_000_000)
    batches = [frame for frame in map(reader.read, frames) if isinstance(frame, Batch)]
    return [envelope.body for batch in batches for envelope in batch.envelopes]


@pytest.fixture
def _threads_often_take_turns() -> Iterator[None]:
    interval_seconds = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval_seconds)


@pytest.mark.usefixtures("_threads_often_take_turns")
def test_what_many_threads_put_leaves_in_their_order_while_the_socket_is_full_at_times() -> None:
    link, chance, inside = _Link(), random.Random(7), threading.Lock()
    tasks: Queue[Callable[[], None] | None] = Queue()

    def fill_at_times() -> None:
        assert inside.acquire(blocking=False), "a socket is for one thread at a time"
        with open(os.devnull, "wb", buffering=0) as nowhere:  # noqa: PTH123 - lets go of the GIL
            nowhere.write(b"now others may run")
        link.socket.is_full = chance.random() < 0.3
        inside.release()

    def watch(socket: object, handler: Callable[[], None], events: int) -> None:
        del socket, events
        tasks.put(handler)

    def put(who: int) -> None:
        for number in range(500):
            link.outbox.put([text(b"%d %d" % (who, number))])

    def run_io_thread() -> None:
        while (task := tasks.get(timeout=DEADLINE_SECONDS)) is not None:
            task()

    link.socket.on_send = fill_at_times
    link.reactor.call_soon = tasks.put  # type: ignore[method-assign, assignment]
    link.reactor.watch = watch  # type: ignore[method-assign]
    io_thread = threading.Thread(target=run_io_thread)
    writers = [threading.Thread(target=put, args=(who,)) for who in range(3)]
    for thread in (io_thread, *writers):
        thread.start()
    try:
        eventually(lambda: link.counters[Traffic.SENT_MESSAGES] == 3 * 500, "the last one left")
    finally:
        tasks.put(None)
        for thread in (io_thread, *writers):
            thread.join()
    bodies = bodies_of(link.socket.frames)
    for who in range(3):
        of_one = [body for body in bodies if body.startswith(b"%d " % who)]
        assert of_one == [b"%d %d" % (who, number) for number in range(500)]
    assert link.outbox.queued_bytes == 0
