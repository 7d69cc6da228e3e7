"""The relays between processes do what they are told, each direction by itself."""

from __future__ import annotations

import random
import socket
import time
from contextlib import ExitStack
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.campaign import MOST_GROWTH_BYTES, Memory, rounds
from tests.integration.cluster_processes import await_condition
from tests.integration.links import Links

if TYPE_CHECKING:
    from collections.abc import Iterator


class Nodes:
    """Two nodes that listen, and the links between them."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.listening = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)
        ]
        self._ports = [end.getsockname()[1] for end in self.listening]
        self.links = stack.enter_context(Links(self._ports))

    def dial(self, sender: int, receiver: int) -> tuple[socket.socket, socket.socket]:
        """Connect two nodes; give both ends."""
        near = self.knock(sender, receiver)
        far, _address = self.listening[receiver].accept()
        return near, self._kept(far)

    def knock(self, sender: int, receiver: int) -> socket.socket:
        """Connect to the link from one node to another."""
        route = self.links.routes(sender)[f"tcp://127.0.0.1:{self._ports[receiver]}"]
        return self._kept(socket.create_connection(("127.0.0.1", int(route.rpartition(":")[2]))))

    def _kept(self, end: socket.socket) -> socket.socket:
        end.settimeout(20)
        return self._stack.enter_context(end)


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    with ExitStack() as stack:
        yield Nodes(stack)


def test_a_link_carries_both_ways(nodes: Nodes) -> None:
    near, far = nodes.dial(0, 1)
    near.sendall(b"question")
    assert far.recv(100) == b"question"
    far.sendall(b"answer")
    assert near.recv(100) == b"answer"


def test_a_cut_ends_the_connections_of_one_way_only(nodes: Nodes) -> None:
    near, far = nodes.dial(0, 1)
    back, back_far = nodes.dial(1, 0)
    nodes.links.way(0, 1).is_cut = True
    assert near.recv(100) == far.recv(100) == b""
    assert is_hung_up_on(nodes.knock(0, 1))
    back.sendall(b"still here")
    assert back_far.recv(100) == b"still here"
    nodes.links.heal()
    near, far = nodes.dial(0, 1)
    near.sendall(b"again")
    assert far.recv(100) == b"again"


def is_hung_up_on(end: socket.socket) -> bool:
    try:
        return end.recv(100) == b""
    except ConnectionResetError:
        return True


def test_a_choked_link_takes_nothing_and_loses_nothing(nodes: Nodes) -> None:
    near, far = nodes.dial(0, 1)
    link = nodes.links.way(0, 1)
    link.is_choked = True
    near.setblocking(False)
    sent = 0

    def is_full() -> bool:
        nonlocal sent
        try:
            sent += near.send(bytes(1_000_000))
        except BlockingIOError:
            return True
        return False

    await_condition(is_full, "a full connection")
    link.heal()
    received = 0
    while received < sent:
        received += len(far.recv(1_000_000))
    assert received == sent


def test_a_slow_link_takes_its_time(nodes: Nodes) -> None:
    near, far = nodes.dial(0, 1)
    nodes.links.way(0, 1).bytes_per_second = 100_000.0
    begun = time.monotonic()
    near.sendall(bytes(40_000))
    received = 0
    while received < 40_000:
        received += len(far.recv(100_000))
    assert time.monotonic() - begun > 0.3


def test_a_process_that_grows_is_noticed() -> None:
    class Process:
        size = 100 * 2**20

        def ask(self, *_command: object) -> None: ...

        def resident_bytes(self) -> int:
            return self.size

    process = Process()
    cluster: Any = SimpleNamespace(running={0: process})
    memory = Memory(cluster)
    memory.warm()
    process.size += MOST_GROWTH_BYTES
    memory.look()
    memory.check()
    process.size += 1
    memory.look()
    process.size = 0  # what it gives back does not undo what it took
    with pytest.raises(AssertionError):
        memory.check()


def test_a_campaign_makes_rounds_of_every_kind_and_size() -> None:
    dice = random.Random(1)
    first = dice.randrange(1000)
    made = [one for one, _ in zip(rounds(first, 1.0), range(6), strict=False)]
    assert {(one.kind, one.size) for one in made} == {
        (kind, size) for kind in ("processes", "links") for size in (3, 5, 7)
    }
    assert [one.seed for one in made] == list(range(first, first + 6))
