"""Who is let in: answers libzmq's questions about client keys (ZeroMQ RFC 27, ZAP).

The table is `Admissions`; `ZapHandler` is the socket libzmq asks over. There is one handler per
`zmq.Context`, so the transport has a context of its own. If the handler is gone, nobody gets in:
the listening socket has ``ZAP_ENFORCE_DOMAIN`` set.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import zmq

from .counters import Refusal
from .sockets import ZAP_DOMAIN, has_input

if TYPE_CHECKING:
    from collections.abc import Callable

    from .counters import Counters
    from .curve import ClusterKeys
    from .interface import NodeIncarnation

DOOR: Final = "?"
"""The User-Id of a connection made with the door key. No node can be called so."""

_ENDPOINT: Final = "inproc://zeromq.zap.01"
ADMITTED_LIMIT: Final = 1024
"""Nodes that are remembered: those that have greeted or sent last."""
_REQUEST_PARTS: Final = 7
"""Six of the protocol (version to mechanism) and one credential: the client's key."""
_NOT_NOW: Final = b"300"
"""A refusal with 400 would be final: libzmq's client would never try again."""


class Admissions:
    """The nodes that may come in: their keys, and which life each was greeted in."""

    def __init__(self, keys: ClusterKeys) -> None:
        """Admit the door key and nobody else."""
        self._keys = keys
        self._door = keys.door().public_binary
        self._users: dict[bytes, str] = {}
        self._greeted: OrderedDict[str, tuple[bytes, bytes]] = OrderedDict()

    def admit(self, greeted: NodeIncarnation) -> None:
        """Let the key of a node in. The one longest silent goes when there are too many."""
        node, incarnation = greeted
        key = self._keys.client(node).public_binary
        self._users[key] = node
        self._greeted[node] = (key, incarnation)
        self._greeted.move_to_end(node)
        if len(self._greeted) > ADMITTED_LIMIT:
            _, (oldest_key, _) = self._greeted.popitem(last=False)
            del self._users[oldest_key]

    def is_present(self, sender: NodeIncarnation) -> bool:
        """Tell whether a node, whose key is beyond doubt, speaks from the life it last greeted in.

        One that has gone for want of room is let in again: its connection has gone on, so it has
        no cause to greet.
        """
        greeted = self._greeted.get(sender.node)
        if greeted is None:
            if sender.node == DOOR:
                return False
            self.admit(sender)
            return True
        self._greeted.move_to_end(sender.node)
        return greeted[1] == sender.incarnation

    def user_of(self, key: bytes) -> str | None:
        """Give the node of a key, `DOOR` for the door key, None for a stranger's."""
        return DOOR if key == self._door else self._users.get(key)


class ZapHandler:
    """Answers one question after the other. I/O thread only."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        admissions: Admissions,
        counters: Counters,
        on_refusal: Callable[[str], None],
    ) -> None:
        """Take the place of the context's ZAP handler.

        Args:
            context: a context nobody else has a handler in.
            admissions: who is let in.
            counters: where refusals are counted.
            on_refusal: told the IP address of a peer with an unknown key.
        """
        self._admissions = admissions
        self._counters = counters
        self._on_refusal = on_refusal
        self.socket: zmq.Socket[bytes] = context.socket(zmq.REP)
        self.socket.linger = 0
        self.socket.bind(_ENDPOINT)

    def answer(self) -> None:
        """Answer all questions that wait."""
        while has_input(self.socket):
            self.socket.send_multipart(self._decide(self.socket.recv_multipart()))

    def _decide(self, request: list[bytes]) -> list[bytes]:
        version, request_id = request[0], request[1]
        user = self._user_of(request)
        if user is None:
            self._counters.add(Refusal.UNKNOWN_KEY)
            self._on_refusal(request[3].decode(errors="replace"))
            return [version, request_id, _NOT_NOW, b"unknown key", b"", b""]
        return [version, request_id, b"200", b"", user.encode(), b""]

    def _user_of(self, request: list[bytes]) -> str | None:
        if len(request) != _REQUEST_PARTS:
            return None
        _version, _request_id, domain, _address, _routing_id, mechanism, key = request
        if domain != ZAP_DOMAIN or mechanism != b"CURVE":
            return None
        return self._admissions.user_of(key)
