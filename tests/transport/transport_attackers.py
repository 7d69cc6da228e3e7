"""A node under attack, and those who attack it: without the cookie, or with it and no manners."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import zmq

from khepri.transport.codec import encode_hello
from khepri.transport.cookie import Cookie
from khepri.transport.curve import ClusterKeys, KeyPair
from khepri.transport.interface import NodeIncarnation
from tests.transport.transport_helpers import (
    COOKIE,
    DEADLINE_SECONDS,
    QUICK,
    Mailbox,
    ZmqNodes,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Generator

    from khepri.transport.settings import TransportSettings


KEYS = ClusterKeys(Cookie(COOKIE))
DEADLINE_MILLISECONDS = int(DEADLINE_SECONDS * 1000)


class Server:
    """A node under attack, and a legitimate peer that is linked to it."""

    def __init__(self, nodes: ZmqNodes, settings: TransportSettings = QUICK) -> None:
        self.nodes = nodes
        self.mailbox = Mailbox()
        self.transport = nodes.make(nodes.name("server"), self.mailbox, settings=settings)
        self.transport.start()
        self.friend = nodes.make(nodes.name("friend"), Mailbox(), settings=settings)
        self.friend.start()
        self._greetings = 0
        self.check_that_friends_are_served()

    @property
    def identity(self) -> NodeIncarnation:
        return NodeIncarnation(self.transport.node, self.transport.incarnation)

    @property
    def port(self) -> int:
        return self.transport.listen_ports[0]

    def check_that_friends_are_served(self) -> None:
        """Send over the old link and over a new one; nothing else may have come."""
        newcomer = self.nodes.make(self.nodes.name("newcomer"), Mailbox())
        newcomer.start()
        for transport in (self.friend, newcomer):
            assert transport.send(self.transport.node, [text(b"from a friend")])
        self._greetings += 2
        self.mailbox.wait_for(self._greetings)
        newcomer.stop()
        assert self.mailbox.bodies() == [b"from a friend"] * self._greetings

    def counted(self, what: str) -> bool:
        return self.transport.counters[what] > 0


@contextmanager
def outsider(
    port: int, *, server_key: bytes | None = None, pair: KeyPair | None = None
) -> Generator[zmq.Socket[bytes]]:
    """Give a plain ZeroMQ socket that dials a node, with the keys it has got hold of."""
    with zmq.Context[zmq.Socket[bytes]]() as context, context.socket(zmq.DEALER) as dealer:
        dealer.linger = 0
        dealer.set(zmq.HANDSHAKE_IVL, 300)
        dealer.set(zmq.SNDTIMEO, DEADLINE_MILLISECONDS)
        dealer.set(zmq.RCVTIMEO, DEADLINE_MILLISECONDS)
        dealer.set(zmq.IMMEDIATE, 1 if pair else 0)
        if pair is not None and server_key is not None:
            dealer.curve_serverkey = server_key
            dealer.curve_publickey, dealer.curve_secretkey = pair
        dealer.connect(f"tcp://127.0.0.1:{port}")
        yield dealer


@contextmanager
def insider(
    server: Server, node: str, incarnation: bytes = b"life"
) -> Generator[zmq.Socket[bytes]]:
    """Give a socket that has the cookie and was let in as `node`, but keeps no rules."""
    server_key = KEYS.server(server.transport.node).public
    with outsider(server.port, server_key=server_key, pair=KEYS.door()) as door:
        door.send(encode_hello(NodeIncarnation(node, incarnation), server.transport.node))
        door.recv()
    with outsider(server.port, server_key=server_key, pair=KEYS.client(node)) as dealer:
        yield dealer
