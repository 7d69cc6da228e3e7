"""Connections that have not proved who they are are limited, and nothing else is touched."""

from __future__ import annotations

import os
import resource
import socket
from typing import TYPE_CHECKING

import pytest

from khepri.transport.counters import Counters, Refusal
from khepri.transport.strangers import Strangers

if TYPE_CHECKING:
    from pathlib import Path


def test_the_oldest_stranger_is_hung_up_on_and_nobody_else() -> None:
    counters = Counters()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        strangers = Strangers(2, counters)
        strangers.ports.add(port)
        dialled: list[socket.socket] = []
        accepted: list[socket.socket] = []
        for _ in range(3):
            dialled.append(socket.create_connection(("127.0.0.1", port)))
            accepted.append(listening.accept()[0])
            strangers.arrived(accepted[-1].fileno())

        dialled[0].settimeout(20)
        assert dialled[0].recv(1) == b"", "hung up"
        for connection in dialled[1:]:
            connection.setblocking(False)
            with pytest.raises(BlockingIOError):
                connection.recv(1)
        assert counters[Refusal.TOO_MANY_STRANGERS] == 1
        strangers.close()
        for connection in (*dialled, *accepted):
            connection.close()


def test_strangers_can_be_hung_up_on_when_no_descriptor_is_left() -> None:
    counters = Counters()
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        strangers = Strangers(1, counters)
        strangers.ports.add(listening.getsockname()[1])
        dialled = [socket.create_connection(listening.getsockname()) for _ in range(2)]
        accepted = [listening.accept()[0] for _ in range(2)]
        lowest_free = os.dup(0)
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, before[1]))
        try:
            for connection in accepted:
                strangers.arrived(connection.fileno())
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        dialled[0].settimeout(20)
        assert dialled[0].recv(1) == b"", "hung up"
        strangers.close()
        for connection in (*dialled, *accepted):
            connection.close()


def test_a_descriptor_that_is_no_connection_of_ours_is_left_alone(tmp_path: Path) -> None:
    """libzmq may have closed it, and the number may belong to a log file by now."""
    counters = Counters()
    strangers = Strangers(1, counters)
    descriptor = os.open(tmp_path / "file", os.O_CREAT | os.O_RDWR)
    near, far = socket.socketpair()
    with (
        near,
        far,
        socket.create_server(("127.0.0.1", 0)) as other,
        socket.create_connection(other.getsockname()) as connection,
    ):
        for number in (descriptor, near.fileno(), connection.fileno(), 10**6, 10**6 + 1):
            strangers.arrived(number)
        os.write(descriptor, b"still open")
        near.send(b"still open")
        connection.send(b"still open")
    os.close(descriptor)
    strangers.close()
    assert counters[Refusal.TOO_MANY_STRANGERS] == 0


def test_who_has_identified_itself_or_left_is_no_stranger() -> None:
    counters = Counters()
    strangers = Strangers(10, counters)
    for descriptor in (1000, 1001, 1002):
        strangers.arrived(descriptor)
    strangers.identified(1000)
    strangers.left(1000)
    strangers.left(1001)
    assert len(strangers) == 1
    strangers.close()
    assert counters[Refusal.NEVER_IDENTIFIED] == 1
