"""The boundary between khepri's nodes: what a transport promises, and what it does not.

Here are the types that cross it. `zmq_transport` and `memory_network` keep the promise, and one
set of tests holds both to it (tests/transport/test_transport_contract.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from .counters import Counters


class Message(NamedTuple):
    """What is sent: bytes for one store, or for the node itself.

    A tuple in the order of the wire, because a frame is these tuples laid end to end.
    """

    cluster_id: bytes
    """The Raft cluster of the store; ``b""`` for a call to the node."""
    store_id: str
    """The store; ``""`` for a call to the node."""
    kind: int
    """What the body is, 0 to 255. The transport does not look at it."""
    body: bytes
    """Packed by the sender. The transport does not look into it."""


class NodeIncarnation(NamedTuple):
    """One life of a node: its name and the boot id it drew when it started."""

    node: str
    incarnation: bytes


class Envelope(NamedTuple):
    """What is received: a message, who sent it and for whom.

    The transport has checked these: the sender holds the key of `from_node`; `to_node` and
    `receiver_incarnation` name this node in its present life; `sender_incarnation` is the latest
    life the sender has announced. Not checked, for it takes knowledge of stores: `cluster_id`.
    Whoever finds it wrong drops the envelope and counts `Drop.WRONG_CLUSTER`.
    """

    from_node: str
    sender_incarnation: bytes
    to_node: str
    receiver_incarnation: bytes
    cluster_id: bytes
    store_id: str
    kind: int
    body: bytes


Receiver = Callable[[Sequence[Envelope]], None]
"""Takes a batch of envelopes, in order per sender.

Called on the transport's own thread, which does nothing else meanwhile: put the batch into a
mailbox and return. An exception is logged and counted, and the batch is lost.
"""

OnFailure = Callable[[Exception], object]
"""Is told, on the transport's own thread, that a bug has ended it.

Nothing is sent or received any more, and the address is free for another transport. It still
wants its `Transport.stop`.
"""


class PeerStatus(StrEnum):
    """Whether messages to a peer go out."""

    CONNECTING = "connecting"
    """First contact or just lost: messages are kept for a moment."""
    CONNECTED = "connected"
    UNREACHABLE = "unreachable"
    """Messages are dropped at once; the transport goes on trying."""


@dataclass(frozen=True, slots=True)
class PeerState:
    """What is known of the way to one peer. A snapshot for people, not a base for decisions."""

    node: str
    status: PeerStatus
    incarnation: bytes | None
    """The life of the peer that was last greeted; None before the first time."""
    queued_bytes: int
    """Accepted and not yet handed to the network, some bookkeeping included."""
    sent_messages: int
    last_error: str | None
    """Why the latest attempt failed or the latest connection ended, for an operator."""


class Transport(Protocol):
    """Carries messages to other nodes, at most once each.

    Order: two messages for the same peer, sent one after the other by one thread, arrive in that
    order, if both arrive over the same connection. Loss is always possible and mostly silent;
    whoever needs an answer repeats. Nothing arrives twice, except over a `MemoryNetwork` that was
    asked for it. Whether a *peer lives* is not said here: a node can be connected and hang, so
    liveness rests on messages answered by actors.

    One object serves one life of a node: start once, stop once. After a stop, make a new one.
    """

    @property
    def node(self) -> str:
        """The name of this node."""
        ...

    @property
    def incarnation(self) -> bytes:
        """The boot id of this node, new at each start."""
        ...

    @property
    def counters(self) -> Counters:
        """What was carried and dropped. The handler of envelopes counts here too."""
        ...

    def start(self) -> None:
        """Open the way in. When this returns, peers can connect.

        Raises:
            ListenError: the address cannot be bound; nothing was started.
        """
        ...

    def stop(self) -> None:
        """End all links and the transport's thread; what is queued is lost.

        May be called more than once, before `start`, and from any thread. When it returns, the
        receiver is not called any more (except if the caller is the receiver itself).
        """
        ...

    def send(self, to_node: str, messages: Sequence[Message]) -> bool:
        """Queue messages for a peer, as one batch; connect to it first if need be.

        Never blocks and never raises for what the network does. Any thread may call.

        Args:
            to_node: the name of the peer.
            messages: all are queued, or none.

        Returns:
            True: they are on their way, which is no promise that they arrive.
            False: they were dropped and counted: the queue is full, the peer is unreachable, one
            is too large, or the transport does not run.
        """
        ...

    def connect(self, node: str) -> None:
        """Begin to connect to a peer, if that has not begun. Returns at once. Any thread.

        Raises:
            InvalidOptionError: the name holds no address.
        """
        ...

    def peers(self) -> list[PeerState]:
        """Give the state of the way to each peer, by name. Any thread."""
        ...
