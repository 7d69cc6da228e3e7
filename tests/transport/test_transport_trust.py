"""Who gets in over ZeroMQ: only who has the cookie, and only as who it is.

In each test a legitimate link works before, during and after, and the counters tell.
"""

from __future__ import annotations

import os
import resource
import socket
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import zmq

from khepri.transport.codec import encode_hello, encode_messages
from khepri.transport.counters import Drop, Refusal, Traffic
from khepri.transport.curve import KeyPair
from khepri.transport.interface import NodeIncarnation, PeerStatus, Transport
from khepri.transport.settings import TransportSettings
from tests.transport.transport_attackers import KEYS, Server, insider, outsider
from tests.transport.transport_helpers import (
    COOKIE,
    DEADLINE_SECONDS,
    IMPATIENT,
    QUICK,
    Mailbox,
    ZmqNodes,
    eventually,
    state_of,
    text,
)
from tests.transport.transport_relay import Relay

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_a_node_with_another_cookie_gets_nothing_in_and_nothing_out(server: Server) -> None:
    stranger = server.nodes.make(server.nodes.name("stranger"), Mailbox(), cookie=bytes(32))
    stranger.start()

    stranger.send(server.transport.node, [text(b"let me in")])
    server.transport.send(stranger.node, [text(b"a secret")])

    eventually(lambda: server.counted(Refusal.HANDSHAKE_FAILED))
    eventually(lambda: state_of(stranger, server.transport.node).last_error)
    assert "cookie" in str(state_of(stranger, server.transport.node).last_error)
    eventually(lambda: state_of(server.transport, stranger.node).last_error)
    server.check_that_friends_are_served()
    assert stranger.counters[Traffic.RECEIVED_FRAMES] == 0
    assert stranger.counters[Traffic.SENT_FRAMES] == 0


def test_a_plain_zeromq_socket_gets_nothing_in(server: Server) -> None:
    with outsider(server.port) as dealer:
        dealer.send(encode_hello(NodeIncarnation("eve@h:1", b"e"), server.transport.node))
        eventually(lambda: server.counted(Refusal.NEVER_IDENTIFIED))
        server.check_that_friends_are_served()


def test_keys_of_ones_own_making_are_refused(server: Server) -> None:
    pair = KeyPair(*zmq.curve_keypair())
    with outsider(server.port, server_key=pair.public, pair=pair):
        eventually(lambda: server.counted(Refusal.HANDSHAKE_FAILED))
        server.check_that_friends_are_served()


def test_the_servers_public_key_alone_opens_nothing(server: Server) -> None:
    """Even if it leaks. The refusal is for now only: the key may be let in later."""
    server_key = KEYS.server(server.transport.node).public
    with outsider(server.port, server_key=server_key, pair=KeyPair(*zmq.curve_keypair())):
        eventually(lambda: server.counted(Refusal.UNKNOWN_KEY))
        server.check_that_friends_are_served()


def test_a_key_refused_at_first_gets_in_once_its_node_has_greeted(server: Server) -> None:
    late = NodeIncarnation("late@127.0.0.1:1", b"life")
    server_key = KEYS.server(server.transport.node).public
    with outsider(server.port, server_key=server_key, pair=KEYS.client(late.node)) as dealer:
        eventually(lambda: server.counted(Refusal.UNKNOWN_KEY))
        with insider(server, late.node):
            dealer.send(encode_messages(late, server.identity, [text(b"from a friend")]))
            server.mailbox.wait_for(3)


def test_the_door_key_opens_the_door_only(server: Server) -> None:
    sender = NodeIncarnation("eve@127.0.0.1:1", b"e")
    server_key = KEYS.server(server.transport.node).public
    with outsider(server.port, server_key=server_key, pair=KEYS.door()) as door:
        door.send(encode_messages(sender, server.identity, [text(b"through the door")]))
        eventually(lambda: server.counted(Drop.FORGED_SENDER))
        door.send(encode_messages(NodeIncarnation("?", b"e"), server.identity, [text(b"again")]))
        eventually(lambda: server.counted(Drop.STALE_SENDER))
        door.send(encode_hello(NodeIncarnation("?", b"e"), server.transport.node))
        eventually(lambda: server.counted(Drop.GARBLED))
        server.check_that_friends_are_served()


def test_if_nobody_answers_for_keys_nobody_gets_in(zmq_nodes: ZmqNodes) -> None:
    """The ZAP handler is gone, as after a bug: libzmq must refuse, not let everybody in."""
    server = zmq_nodes.make(zmq_nodes.name("server"), Mailbox())
    server.start()
    friend = zmq_nodes.make(zmq_nodes.name("friend"), Mailbox(), settings=IMPATIENT)
    friend.start()
    assert server._services is not None
    reactor = server._services.reactor
    handler = next(
        watched
        for watched in reactor._handlers
        if not isinstance(watched, int) and watched.get(zmq.TYPE) == zmq.REP
    )

    def end_handler() -> None:
        reactor.unwatch(handler)
        handler.close()

    reactor.call_soon(end_handler)
    friend.connect(server.node)

    eventually(lambda: state_of(friend, server.node).status is PeerStatus.UNREACHABLE)
    assert server.counters[Traffic.RECEIVED_FRAMES] == 0
    assert friend.counters[Traffic.LINKS_UP] == 0


def test_a_host_programs_own_zeromq_is_left_alone(server: Server) -> None:
    """ZAP is one handler per context: the host's context keeps its own, and so do we."""
    with zmq.Context[zmq.Socket[bytes]].instance().socket(zmq.REP) as handler:
        handler.bind("inproc://zeromq.zap.01")
        server.check_that_friends_are_served()
        assert handler.poll(0) == 0


def server_that_hears_a_node(nodes: ZmqNodes, mailbox: Mailbox) -> tuple[Transport, Transport]:
    """Give two nodes of which the first has heard the second."""
    server = nodes.make(nodes.name("server"), mailbox)
    first = nodes.make(nodes.name("twin"), Mailbox(), incarnation=b"first")
    for transport in (server, first):
        transport.start()
    assert first.send(server.node, [text(b"1")])
    mailbox.wait_for(1)
    return server, first


def start_twin(nodes: ZmqNodes, first: Transport) -> Transport:
    """Start another node of the same name, at another address."""
    elsewhere = f"127.0.0.1:{nodes.port()}"
    second = nodes.make(first.node, Mailbox(), incarnation=b"second", listen=elsewhere)
    second.start()
    return second


def test_n13_two_nodes_of_one_name_are_noticed(
    zmq_nodes: ZmqNodes, caplog: pytest.LogCaptureFixture
) -> None:
    """A copied directory and name on another machine. The one that greeted last is heard."""
    mailbox = Mailbox()
    server, first = server_that_hears_a_node(zmq_nodes, mailbox)
    start_twin(zmq_nodes, first).send(server.node, [text(b"2")])
    mailbox.wait_for(2)
    assert first.send(server.node, [text(b"3")])

    eventually(lambda: server.counters[Drop.STALE_SENDER] == 1)
    assert mailbox.bodies() == [b"1", b"2"]
    assert "two nodes bear this name" in caplog.text


def test_n13_of_two_nodes_of_one_name_the_one_at_its_address_is_heard(
    zmq_nodes: ZmqNodes,
) -> None:
    mailbox = Mailbox()
    server, first = server_that_hears_a_node(zmq_nodes, mailbox)
    server.send(first.node, [text(b"a member talks to its peers")])
    eventually(lambda: state_of(server, first.node).status is PeerStatus.CONNECTED)

    second = start_twin(zmq_nodes, first)
    second.send(server.node, [text(b"2")])
    eventually(lambda: state_of(second, server.node).status is PeerStatus.CONNECTED)
    eventually(lambda: first.send(server.node, [text(b"3")]) and mailbox.has(b"3"))


def test_guests_however_many_keep_no_member_out(
    zmq_nodes: ZmqNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("khepri.transport.zap.ADMITTED_LIMIT", 3)
    mailbox = Mailbox()
    server = zmq_nodes.make(zmq_nodes.name("server"), mailbox)
    server.start()
    member = zmq_nodes.make(zmq_nodes.name("member"), Mailbox())
    member.start()
    member.send(server.node, [text(b"first")])
    mailbox.wait_for(1)
    for number in range(5):
        guest = zmq_nodes.make(zmq_nodes.name(f"guest{number}"), Mailbox())
        guest.start()
        guest.send(server.node, [text(b"a question")])
        mailbox.wait_for(number + 2)
        guest.stop()
    member.send(server.node, [text(b"last")])
    mailbox.wait_for(7)
    assert mailbox.has(b"last")
    assert server.counters[Drop.STALE_SENDER] == 0


def test_the_dialled_node_must_be_the_one_of_that_name(zmq_nodes: ZmqNodes) -> None:
    """Another node of the same cluster answers at the address: nothing is sent to it."""
    mailbox = Mailbox()
    carol = zmq_nodes.make(zmq_nodes.name("carol"), mailbox)
    carol.start()
    alice = zmq_nodes.make(zmq_nodes.name("alice"), Mailbox(), settings=IMPATIENT)
    alice.start()
    bob = f"bob@127.0.0.1:{carol.listen_ports[0]}"

    alice.send(bob, [text(b"for bob alone")])

    eventually(lambda: state_of(alice, bob).status is PeerStatus.UNREACHABLE)
    assert "another name" in str(state_of(alice, bob).last_error)
    assert alice.counters[Traffic.SENT_FRAMES] == 0
    assert mailbox.envelopes == []


def test_what_is_said_cannot_be_read_or_replayed_on_the_way(zmq_nodes: ZmqNodes) -> None:
    mailbox = Mailbox()
    port = zmq_nodes.port()
    with Relay(port) as relay:
        bob = zmq_nodes.make(f"bob@127.0.0.1:{relay.port}", mailbox, listen=f"127.0.0.1:{port}")
        bob.start()
        alice = zmq_nodes.make(zmq_nodes.name("alice"), Mailbox())
        alice.start()
        secret = b"the launch code is 0000"
        assert alice.send(bob.node, [text(secret, store_id="orders")])
        mailbox.wait_for(1)

        overheard = bytes(relay.recorded)
        assert len(overheard) > 500
        for part in (secret, b"orders", alice.node.encode(), alice.incarnation, COOKIE):
            assert part not in overheard

        with socket.create_connection(("127.0.0.1", port)) as replay:
            replay.sendall(overheard)
            eventually(lambda: bob.counters[Refusal.HANDSHAKE_FAILED] > 0)
        assert mailbox.bodies() == [secret]


@pytest.mark.parametrize(
    "noise",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        bytes(64),
        b"\xff" * 200,
        b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\0CURVE" + bytes(80) + b"\x04\xff" * 100,
    ],
)
def test_noise_on_the_port_is_refused(server: Server, noise: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(noise)
        eventually(
            lambda: (
                server.counted(Refusal.HANDSHAKE_FAILED)
                or server.counted(Refusal.NEVER_IDENTIFIED)
            )
        )
        server.check_that_friends_are_served()


SILENT = 10_000

STRANGERS = TransportSettings().stranger_limit


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize()


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_many_silent_connections_do_not_use_up_the_process(zmq_nodes: ZmqNodes) -> None:
    """The limit holds, the oldest go first, and friends old and new are served all along."""
    settings = replace(QUICK, stranger_limit=20, handshake_timeout_seconds=30.0)
    server = Server(zmq_nodes, settings)
    before = open_descriptors()
    silent = 300
    with ExitStack() as connections:
        for _ in range(silent):
            connections.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        server.check_that_friends_are_served()
        eventually(lambda: server.transport.counters[Refusal.TOO_MANY_STRANGERS] >= silent - 20)
        ours = open_descriptors() - before - silent
        assert ours <= 20 + 10, f"{ours} descriptors for {silent} silent connections"
        assert state_of(server.friend, server.transport.node).status is PeerStatus.CONNECTED
    server.check_that_friends_are_served()
    assert server.friend.counters[Traffic.LINKS_LOST] == 0


def test_a_node_without_a_descriptor_left_says_so_and_goes_on(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as late:
        lowest_free = os.dup(late.fileno())
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
        try:
            late.connect(("127.0.0.1", server.port))
            eventually(lambda: server.counted(Refusal.ACCEPT_FAILED))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "cannot let anybody in: Too many open files" in caplog.text
    server.check_that_friends_are_served()


@pytest.fixture
def room_for_ten_thousand_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < SILENT + 1_000:
        pytest.skip(f"this process may open {hard} files only")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, SILENT + 1_000), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("room_for_ten_thousand_files")
def test_ten_thousand_silent_connections_cost_a_node_as_shipped_next_to_nothing(
    zmq_nodes: ZmqNodes,
) -> None:
    """All are opened and held by the attacker; a link old and a link new work meanwhile."""
    server = Server(zmq_nodes, TransportSettings())
    descriptors, memory = open_descriptors(), resident_bytes()
    with ExitStack() as connections:
        for number in range(SILENT):
            connections.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            if number == SILENT // 2:
                server.check_that_friends_are_served()
        server.check_that_friends_are_served()
        eventually(lambda: open_descriptors() - descriptors - SILENT <= 2 * STRANGERS)
        assert resident_bytes() - memory < 100 * 2**20
    server.check_that_friends_are_served()
    assert server.friend.counters[Traffic.LINKS_LOST] == 0


def test_a_silent_connection_is_closed_when_its_time_is_up(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.settimeout(DEADLINE_SECONDS)
        while connection.recv(100):
            pass  # the server's own greeting, then the end
    eventually(lambda: server.counted(Refusal.NEVER_IDENTIFIED))
    server.check_that_friends_are_served()
