"""The sockets' options as set, and sockets that are closed while libzmq has something to tell."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest
import zmq

from khepri.transport.cookie import Cookie
from khepri.transport.curve import ClusterKeys
from khepri.transport.settings import TransportSettings
from khepri.transport.sockets import Context, SocketFactory, next_event
from tests.transport.transport_helpers import COOKIE

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from zmq import SocketOption

    from khepri.transport.sockets import Socket

KEYS = ClusterKeys(Cookie(COOKIE))
SETTINGS = TransportSettings(
    message_bytes=1000, batch_bytes=2000, queue_bytes=10_000, high_water_mark_frames=7
)


@pytest.fixture
def context() -> Generator[Context]:
    context = Context()
    yield context
    context.destroy(linger=0)


@pytest.fixture
def factory(context: Context) -> Generator[SocketFactory]:
    factory = SocketFactory(context, KEYS, "alice@h:1", SETTINGS)
    yield factory
    factory.close_monitored()


COMMON: dict[SocketOption, object] = {
    zmq.LINGER: 0,
    zmq.IPV6: 1,
    zmq.SNDHWM: 7,
    zmq.RCVHWM: 7,
    zmq.MAXMSGSIZE: 2000 + 4096 + 64 + 65_536,
    zmq.HANDSHAKE_IVL: 3000,
    zmq.HEARTBEAT_IVL: 0,
    zmq.TCP_MAXRT: 4000,
    zmq.TCP_KEEPALIVE: 1,
    zmq.TCP_KEEPALIVE_IDLE: 1,
    zmq.TCP_KEEPALIVE_INTVL: 1,
    zmq.TCP_KEEPALIVE_CNT: 3,
}


def options_of(made: Socket, options: Mapping[SocketOption, object]) -> dict[SocketOption, object]:
    with made:
        return {option: made.get(option) for option in options}


def test_the_listener_has_every_option_set(factory: SocketFactory) -> None:
    expected: dict[SocketOption, object] = {
        **COMMON,
        zmq.TYPE: zmq.ROUTER,
        zmq.CURVE_SERVER: 1,
        zmq.MECHANISM: zmq.CURVE,
        zmq.ZAP_DOMAIN: b"khepri",
        zmq.ZAP_ENFORCE_DOMAIN: 1,
        zmq.BACKLOG: 512,
    }
    listener = factory.listener()
    assert options_of(listener, expected) == expected


@pytest.mark.parametrize("kind", ["door", "link"])
def test_a_dialling_socket_has_every_option_set(factory: SocketFactory, kind: str) -> None:
    expected: dict[SocketOption, object] = {
        **COMMON,
        zmq.TYPE: zmq.DEALER,
        zmq.CURVE_SERVER: 0,
        zmq.MECHANISM: zmq.CURVE,
        zmq.IMMEDIATE: 1,
        zmq.CONNECT_TIMEOUT: 3000,
        zmq.RECONNECT_IVL: 2000,
        zmq.RECONNECT_IVL_MAX: 2000,
    }
    dealer = factory.door("bob@h:2") if kind == "door" else factory.link("bob@h:2")
    assert options_of(dealer, expected) == expected


def test_a_monitor_that_nobody_reads_does_not_hold_libzmq_up(factory: SocketFactory) -> None:
    """With the default limit of 1000 events libzmq's only thread would wait for ever."""
    listener = factory.listener()
    monitor = factory.monitor(listener, zmq.EVENT_ALL)
    port = listener.bind_to_random_port("tcp://127.0.0.1")
    for _ in range(800):  # at least two events each
        socket.create_connection(("127.0.0.1", port)).close()

    seen = 0
    while monitor.poll(500):
        assert next_event(monitor) is not None
        seen += 1
    assert seen > 1600
    assert next_event(monitor) is None


def test_sockets_closed_while_events_happen_do_not_hold_libzmq_up(
    context: Context, factory: SocketFactory
) -> None:
    """Were the monitor closed before the monitoring, the next event would wait for ever."""
    with socket.create_server(("127.0.0.1", 0)) as rude:

        def hang_up_on_everybody() -> None:
            try:
                while True:
                    rude.accept()[0].close()
            except OSError:
                return

        thread = threading.Thread(target=hang_up_on_everybody)
        thread.start()
        for number in range(300):
            dealer = factory.link("bob@h:2")
            monitor = factory.monitor(dealer, zmq.EVENT_ALL)
            dealer.connect(f"tcp://127.0.0.1:{rude.getsockname()[1]}")
            monitor.poll(number % 3)
            factory.close(dealer)
        rude.shutdown(socket.SHUT_RDWR)
        thread.join()

    with context.socket(zmq.PAIR) as one, context.socket(zmq.PAIR) as other:
        port = one.bind_to_random_port("tcp://127.0.0.1")
        other.connect(f"tcp://127.0.0.1:{port}")
        other.send(b"still alive")
        assert one.poll(20_000)
