"""The way in: the ROUTER that listens, who may use it, and what becomes of each frame."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Final

import zmq

from khepri.errors import ListenError

from .address import is_node_name
from .codec import FrameReader, encode_welcome
from .complaints import Complaints
from .counters import Drop, Refusal
from .sockets import has_input, next_event
from .strangers import Strangers
from .wire import Batch, FrameError, Hello, Welcome
from .zap import DOOR, ZapHandler

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .address import Address
    from .interface import Envelope, NodeIncarnation, Receiver
    from .io_services import IoServices
    from .sockets import Context

_log = logging.getLogger(__name__)

_FRAMES_PER_TURN: Final = 64
"""After so many the batch is handed on, and the other sockets get their turn."""
_EVENTS: Final = (
    zmq.EVENT_ACCEPTED
    | zmq.EVENT_ACCEPT_FAILED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
)


class Listener:
    """Receives for one node. I/O thread only."""

    def __init__(
        self,
        context: Context,
        services: IoServices,
        receiver: Receiver,
        on_greeting: Callable[[NodeIncarnation], None],
    ) -> None:
        """Make the sockets; the ZAP handler first, so that nobody can get in without it.

        Args:
            context: the transport's own context.
            services: what the transport shares.
            receiver: is given the envelopes.
            on_greeting: is told which node has greeted, and in which life it is.
        """
        self._services = services
        self._receiver = receiver
        self._on_greeting = on_greeting
        self._reader = FrameReader(services.settings.frame_bytes)
        self._admissions = services.admissions
        self._strangers = Strangers(services.settings.stranger_limit, services.counters)
        self._complaints = Complaints(services.identity.node)
        zap = ZapHandler(context, self._admissions, services.counters, self._on_unknown_key)
        self._router = services.sockets.listener()
        self._monitor = services.sockets.monitor(self._router, _EVENTS)
        services.reactor.watch(zap.socket, zap.answer)
        services.reactor.watch(self._monitor, self._on_events)
        services.reactor.watch(self._router, self._receive)

    def bind(self, addresses: Sequence[Address]) -> list[int]:
        """Listen on all of the addresses.

        Returns:
            The port of each.

        Raises:
            ListenError: one is taken, or not of this machine.
        """
        ports = [self._bind_one(address) for address in addresses]
        self._strangers.ports.update(ports)
        return ports

    def _bind_one(self, address: Address) -> int:
        try:
            self._router.bind(address.endpoint)
        except zmq.ZMQError as error:
            raise ListenError(
                f"cannot listen on {address.endpoint}: {error.strerror}",
                address=address.endpoint,
                reason=error.strerror,
            ) from error
        endpoint = self._router.get(zmq.LAST_ENDPOINT)
        assert isinstance(endpoint, bytes)
        return int(endpoint.rstrip(b"\0").rpartition(b":")[2])

    def close(self) -> None:
        """Give back what is not a socket."""
        self._strangers.close()

    # Frames.

    def _receive(self) -> None:
        """Read what waits and hand it on as one batch."""
        envelopes: list[Envelope] = []
        for _ in range(_FRAMES_PER_TURN):
            try:
                envelopes += self._read(*self._receive_parts())
            except zmq.Again:
                break
            except FrameError as error:
                self._services.counters.add(error.reason)
            if not has_input(self._router):
                break
        if envelopes:
            self._deliver(envelopes)

    def _receive_parts(self) -> tuple[bytes, zmq.Frame]:
        """Give the ROUTER's routing id and the one part there should be, not copied."""
        routing_id = self._router.recv(zmq.NOBLOCK)
        content = self._router.recv(zmq.NOBLOCK, copy=False)
        if content.more:
            while content.more:
                content = self._router.recv(zmq.NOBLOCK, copy=False)
            raise FrameError(Drop.GARBLED)
        return routing_id, content

    def _read(self, routing_id: bytes, content: zmq.Frame) -> list[Envelope]:
        """Give the envelopes of one frame, if all about it is as it should be."""
        if self._strangers:
            self._strangers.identified(int(content.get(zmq.SRCFD)))
        user = str(content.get("User-Id"))
        match self._reader.read(content.buffer):
            case Batch() as batch:
                self._check_parties(user, batch)
                self._services.counters.received(len(batch.envelopes), len(content))
                return batch.envelopes
            case Hello() as hello:
                self._welcome(routing_id, user, hello)
                return []
            case Welcome():  # answers go to the socket that knocked, never here
                raise FrameError(Drop.GARBLED)

    def _check_parties(self, user: str, batch: Batch) -> None:
        if batch.sender.node != user:
            self._complaints.about(user, f"a connection of {user} brings frames of another node")
            raise FrameError(Drop.FORGED_SENDER)
        if batch.receiver != self._services.identity:
            is_me = batch.receiver.node == self._services.identity.node
            raise FrameError(Drop.STALE_RECEIVER if is_me else Drop.WRONG_RECEIVER)
        if not self._admissions.is_present(batch.sender):
            self._complaints.about(
                user, f"an earlier life of {user} still sends, or two nodes bear this name"
            )
            raise FrameError(Drop.STALE_SENDER)

    def _welcome(self, routing_id: bytes, user: str, hello: Hello) -> None:
        """Let a node's key in, and answer."""
        if user != DOOR or not is_node_name(hello.sender.node):
            raise FrameError(Drop.GARBLED)
        if hello.to_node != self._services.identity.node:
            raise FrameError(Drop.WRONG_RECEIVER)
        self._admissions.admit(hello.sender)
        answer = encode_welcome(self._services.identity, hello.sender)
        try:
            self._router.send_multipart([routing_id, answer], zmq.NOBLOCK)
        except zmq.ZMQError:  # it has hung up; it will greet again
            return
        self._on_greeting(hello.sender)

    def _deliver(self, envelopes: list[Envelope]) -> None:
        try:
            self._receiver(envelopes)
        except Exception:  # noqa: BLE001 - this thread serves all stores, and goes on
            self._services.counters.add(Drop.RECEIVER_FAILED, len(envelopes))
            _log.exception("%s: the receiver failed", self._services.identity.node)

    # Connections.

    def _on_events(self) -> None:
        self._receive()  # who has just identified itself must not be taken for a stranger
        while (told := next_event(self._monitor)) is not None:
            event, value = told
            if event == zmq.EVENT_ACCEPTED:
                self._strangers.arrived(value)
            elif event == zmq.EVENT_DISCONNECTED:
                self._strangers.left(value)
            elif event == zmq.EVENT_ACCEPT_FAILED:
                self._services.counters.add(Refusal.ACCEPT_FAILED)
                self._complaints.about("accept", f"cannot let anybody in: {os.strerror(value)}")
            else:
                self._services.counters.add(Refusal.HANDSHAKE_FAILED)
                self._complaints.about("handshake", "somebody without the cookie tries to connect")

    def _on_unknown_key(self, address: str) -> None:
        self._complaints.about(address, f"refused an unknown key from {address}")
