"""The transport between processes: ZeroMQ over TCP, CURVE on every connection.

Here is the object that others hold, and its thread. The way in is in `listener`, the way out to
each peer in `peer_link`; both run on the one I/O thread, which owns all sockets and a
`zmq.Context` of its own. Other threads fill outboxes, and send on a link that is up, in turns
(`frame_sender`).
"""

from __future__ import annotations

import logging
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import zmq

from khepri.errors import InvalidOptionError, TransportError

from .address import is_loopback, parse_listen_address, parse_node_name, resolve
from .cookie import CookieArgument, find_cookie
from .counters import Counters, Drop
from .curve import ClusterKeys
from .interface import NodeIncarnation, PeerState
from .io_services import IoServices
from .listener import Listener
from .peer_link import PeerLink
from .reactor import Reactor
from .settings import TransportSettings
from .sockets import Context, SocketFactory
from .zap import Admissions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .interface import Message, OnFailure, Receiver

_log = logging.getLogger(__name__)

_START_DEADLINE_SECONDS: Final = 30.0
_STOP_DEADLINE_SECONDS: Final = 10.0


class ZmqTransport:
    """Carries messages between processes; see `interface.Transport` for what it promises.

    Nothing is listened on, and no thread runs, before `start`. There is no way to run without
    CURVE and a cookie.
    """

    def __init__(
        self,
        node: str,
        incarnation: bytes,
        receiver: Receiver,
        *,
        cookie: CookieArgument = None,
        listen: str | None = None,
        settings: TransportSettings | None = None,
        on_failure: OnFailure | None = None,
    ) -> None:
        """Find the cookie and make its keys.

        Args:
            node: the name of this node, ``name@host:port``, by which peers reach it.
            incarnation: its boot id, 1 to 64 bytes, different at each start.
            receiver: is given the envelopes, on the I/O thread.
            cookie: 32 bytes, 64 hexadecimal digits or the path of a cookie file; left out, it
                comes from ``KHEPRI_COOKIE`` or the user's cookie file.
            listen: ``host:port`` to bind if it is not the address in the name. The host may be
                ``*``, the port 0.
            settings: limits and times.
            on_failure: is told when a bug has ended the I/O thread.

        Raises:
            InvalidOptionError: a name or an address is malformed.
            ListenError: the host to listen on is unknown.
            CookieError: there is no usable cookie, or it must be set on purpose.
            CurveUnavailableError: libzmq cannot do CURVE.
        """
        advertised = parse_node_name(node)
        self._addresses = resolve(parse_listen_address(listen) if listen else advertised)
        exposed = None if is_loopback(self._addresses) else self._addresses[0].endpoint
        self._keys = ClusterKeys(find_cookie(cookie, exposed_address=exposed))
        self._identity = NodeIncarnation(node, incarnation)
        self._receiver = receiver
        self._on_failure = on_failure
        self._settings = settings or TransportSettings()
        self._counters = Counters()
        self._links: dict[str, PeerLink] = {}
        self._links_lock = threading.Lock()
        self._services: IoServices | None = None  # while it runs
        self._has_started = threading.Event()
        self._start_failure: Exception | None = None
        self._thread: threading.Thread | None = None
        self._listen_ports: list[int] = []

    @property
    def node(self) -> str:
        """The name of this node."""
        return self._identity.node

    @property
    def incarnation(self) -> bytes:
        """The boot id of this node."""
        return self._identity.incarnation

    @property
    def counters(self) -> Counters:
        """What was carried, dropped and refused."""
        return self._counters

    @property
    def listen_ports(self) -> list[int]:
        """The ports that are listened on, once started: one per address."""
        return list(self._listen_ports)

    def start(self) -> None:
        """Listen. See `interface.Transport.start`.

        Raises:
            ListenError: an address cannot be bound.
            TransportError: the thread did not come up in time, or lacks what it needs.
        """
        assert self._thread is None, "a transport serves one life: make a new one"
        self._thread = threading.Thread(
            target=self._run, name=f"khepri-{self.node}-transport", daemon=True
        )
        self._thread.start()
        if not self._has_started.wait(_START_DEADLINE_SECONDS):
            raise TransportError(f"the transport of {self.node} did not start")
        if self._start_failure is not None:
            self._thread.join(_STOP_DEADLINE_SECONDS)
            raise self._start_failure

    def stop(self) -> None:
        """End. See `interface.Transport.stop`."""
        thread = self._thread
        if thread is None:
            return
        self._has_started.wait(_START_DEADLINE_SECONDS)
        services = self._services
        if services is not None:
            services.reactor.end()
        if thread is threading.current_thread():
            return
        thread.join(_STOP_DEADLINE_SECONDS)
        if thread.is_alive():
            _log.error("%s: the transport's thread does not end", self.node)

    def send(self, to_node: str, messages: Sequence[Message]) -> bool:
        """Queue messages for a peer. See `interface.Transport.send`."""
        refusal = self._offer(to_node, messages)
        if refusal is None:
            return True
        self._counters.add(refusal, len(messages))
        return False

    def connect(self, node: str) -> None:
        """Begin to connect. See `interface.Transport.connect`.

        Raises:
            InvalidOptionError: the name is not ``name@host:port``.
        """
        services = self._services
        if services is not None:
            self._link_to(node, services)

    def peers(self) -> list[PeerState]:
        """Give the state of each link. See `interface.Transport.peers`."""
        with self._links_lock:
            links = list(self._links.values())
        return sorted((link.state() for link in links), key=lambda state: state.node)

    def _offer(self, to_node: str, messages: Sequence[Message]) -> Drop | None:
        services = self._services
        if services is None:
            return Drop.STOPPED
        limit = self._settings.message_bytes
        if any(len(message.body) > limit for message in messages):
            return Drop.TOO_LARGE
        try:
            link = self._links.get(to_node) or self._link_to(to_node, services)
        except InvalidOptionError:
            return Drop.BAD_ADDRESS
        return link.outbox.put(messages)

    def _link_to(self, node: str, services: IoServices) -> PeerLink:
        address = parse_node_name(node)
        with self._links_lock:
            link = self._links.get(node)
            if link is None:
                link = self._links[node] = PeerLink(node, address, services, self._forget)
                services.reactor.call_soon(link.start)
        return link

    # The I/O thread.

    def _run(self) -> None:
        try:
            with ExitStack() as cleanup:
                self._serve(cleanup)
        except Exception as error:  # noqa: BLE001 - handed to who can act on it
            self._report(error)
        self._has_started.set()

    def _serve(self, cleanup: ExitStack) -> None:
        """Make everything, run until the end is asked for, and leave the closing to `cleanup`."""
        context = Context()
        cleanup.callback(context.destroy, linger=0)
        reactor = Reactor()
        cleanup.callback(reactor.close)
        sockets = SocketFactory(context, self._keys, self.node, self._settings)
        cleanup.callback(sockets.close_monitored)
        services = IoServices(
            self._identity,
            self._settings,
            self._counters,
            reactor,
            sockets,
            Admissions(self._keys),
        )
        listener = Listener(context, services, self._receiver, self._on_greeting)
        cleanup.callback(listener.close)
        cleanup.callback(self._hang_up)
        self._listen_ports = listener.bind(self._addresses)
        self._services = services
        self._has_started.set()
        try:
            reactor.run()
        finally:
            self._services = None

    def _hang_up(self) -> None:
        """End all sending by other threads, before the sockets are closed."""
        with self._links_lock:
            links = list(self._links.values())
        for link in links:
            link.hang_up()

    def _report(self, failure: Exception) -> None:
        if not self._has_started.is_set():
            if isinstance(failure, OSError | zmq.ZMQError):  # no descriptors left, no memory
                reason = failure
                failure = TransportError(f"the transport of {self.node} cannot start: {reason}")
                failure.__cause__ = reason
            self._start_failure = failure
            return
        _log.critical("%s: the transport has ended by a bug", self.node, exc_info=failure)
        if self._on_failure is not None:
            self._on_failure(failure)

    def _forget(self, link: PeerLink) -> None:
        with self._links_lock:
            if self._links.get(link.peer) is link:
                del self._links[link.peer]
        link.close()

    def _on_greeting(self, sender: NodeIncarnation) -> None:
        link = self._links.get(sender.node)
        if link is not None:
            link.peer_greeted(sender.incarnation)
