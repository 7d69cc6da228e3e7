"""The transport inside one process: the same promises, over a `MemoryNetwork`."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from .counters import Counters, Drop
from .interface import NodeIncarnation, PeerState, PeerStatus
from .outbox import queued_size
from .settings import TransportSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .interface import Envelope, Message, OnFailure, Receiver
    from .memory_network import MemoryLink, MemoryNetwork

_log = logging.getLogger(__name__)

_STOP_DEADLINE_SECONDS: Final = 10.0


class MemoryTransport:
    """Carries messages between nodes of one process; see `interface.Transport`.

    Names of nodes need no address here.
    """

    def __init__(
        self,
        network: MemoryNetwork,
        node: str,
        incarnation: bytes,
        receiver: Receiver,
        *,
        settings: TransportSettings | None = None,
        on_failure: OnFailure | None = None,
    ) -> None:
        """Stay outside the network until `start`.

        Args:
            network: where the peers are.
            node: the name of this node.
            incarnation: its boot id, different at each start.
            receiver: is given the envelopes, on the transport's thread; in a stepwise network on
                the thread that steps it.
            settings: the limits; times mean nothing here.
            on_failure: is told when a bug has ended the transport's thread.
        """
        self.identity = NodeIncarnation(node, incarnation)
        self.links: dict[str, MemoryLink] = {}
        """The network's notes about this transport's links; guarded by the network."""
        self._network = network
        self._receiver = receiver
        self._on_failure = on_failure
        self._settings = settings or TransportSettings()
        self._counters = Counters()
        self._thread: threading.Thread | None = None

    @property
    def node(self) -> str:
        """The name of this node."""
        return self.identity.node

    @property
    def incarnation(self) -> bytes:
        """The boot id of this node."""
        return self.identity.incarnation

    @property
    def counters(self) -> Counters:
        """What was carried and dropped."""
        return self._counters

    def start(self) -> None:
        """Enter the network. See `interface.Transport.start`.

        Raises:
            ListenError: the network has a node of this name.
        """
        assert self._thread is None, "a transport serves one life: make a new one"
        self._network.attach(self)
        if not self._network.is_stepwise:
            self._thread = threading.Thread(
                target=self._run, name=f"khepri-{self.node}-transport", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """Leave the network. See `interface.Transport.stop`."""
        self._network.detach(self)
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(_STOP_DEADLINE_SECONDS)

    def send(self, to_node: str, messages: Sequence[Message]) -> bool:
        """Queue messages for a peer. See `interface.Transport.send`."""
        refusal = self._offer(to_node, messages)
        if refusal is not None:
            self._counters.add(refusal, len(messages))
        return refusal is None

    def connect(self, node: str) -> None:
        """Note a peer. See `interface.Transport.connect`."""
        self._network.note_link(self, node)

    def peers(self) -> list[PeerState]:
        """Give the state of each link. See `interface.Transport.peers`."""
        return [self._state(node, link) for node, link in sorted(self.links.copy().items())]

    def deliver(self, envelopes: Sequence[Envelope]) -> None:
        """Hand a batch to the receiver. Called by the thread that delivers, or the network."""
        try:
            self._receiver(envelopes)
        except Exception:  # noqa: BLE001 - as over ZeroMQ: logged, counted, and on we go
            self._counters.add(Drop.RECEIVER_FAILED, len(envelopes))
            _log.exception("%s: the receiver failed", self.node)

    def _run(self) -> None:
        try:
            while (envelopes := self._network.wait_for_due(self)) is not None:
                self.deliver(envelopes)
        except Exception as error:  # noqa: BLE001 - handed to who can act on it
            _log.critical("%s: the transport has ended by a bug", self.node, exc_info=error)
            self._network.detach(self)
            if self._on_failure is not None:
                self._on_failure(error)

    def _offer(self, to_node: str, messages: Sequence[Message]) -> Drop | None:
        limit = self._settings.message_bytes
        if any(len(message.body) > limit for message in messages):
            return Drop.TOO_LARGE
        size_bytes = sum(map(queued_size, messages))
        return self._network.post(self, to_node, messages, size_bytes, self._settings.queue_bytes)

    def _state(self, node: str, link: MemoryLink) -> PeerState:
        is_reachable = self._network.is_reachable(self.node, node)
        return PeerState(
            node=node,
            status=PeerStatus.CONNECTED if is_reachable else PeerStatus.UNREACHABLE,
            incarnation=self._network.incarnation_of(node),
            queued_bytes=link.in_flight_bytes,
            sent_messages=link.sent_messages,
            last_error=None,
        )
