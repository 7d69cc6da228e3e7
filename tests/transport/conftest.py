"""Fixtures of the transport's tests: nodes, over each transport or over ZeroMQ alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.transport.transport_attackers import Server
from tests.transport.transport_helpers import MemoryNodes, Nodes, ZmqNodes, khepri_threads

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=["memory", "zmq"])
def nodes(request: pytest.FixtureRequest) -> Iterator[Nodes]:
    """Nodes over each of the transports in turn; no thread may be left at the end."""
    makers = MemoryNodes() if request.param == "memory" else ZmqNodes()
    yield makers
    makers.stop_all()
    assert khepri_threads() == []


@pytest.fixture
def zmq_nodes() -> Iterator[ZmqNodes]:
    """Nodes over ZeroMQ; no thread may be left at the end."""
    makers = ZmqNodes()
    yield makers
    makers.stop_all()
    assert khepri_threads() == []


@pytest.fixture
def server(zmq_nodes: ZmqNodes) -> Server:
    """A node to attack, linked to a friend."""
    return Server(zmq_nodes)
