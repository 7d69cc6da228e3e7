"""Links over ZeroMQ when the network misbehaves, and the addresses they use."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
import zmq

from khepri.errors import InvalidOptionError, ListenError, TransportError
from khepri.transport import zmq_transport
from khepri.transport.counters import Drop, Traffic
from khepri.transport.interface import PeerStatus
from khepri.transport.settings import TransportSettings
from khepri.transport.sockets import Socket, SocketFactory
from tests.transport.transport_helpers import (
    DEADLINE_SECONDS,
    IMPATIENT,
    QUICK,
    Mailbox,
    ZmqNodes,
    eventually,
    new_incarnation,
    state_of,
    text,
)
from tests.transport.transport_relay import Relay

if TYPE_CHECKING:
    from collections.abc import Generator

    from khepri.transport.zmq_transport import ZmqTransport


class Pair:
    """Alice sends to Bob, who is behind a relay."""

    def __init__(self, nodes: ZmqNodes, relay: Relay) -> None:
        self.nodes = nodes
        self.relay = relay
        self.mailbox = Mailbox()
        self.bob = self.start_bob(relay.target_port)
        self.alice = nodes.make(nodes.name("alice"), Mailbox(), settings=IMPATIENT)
        self.alice.start()
        self.check_that_it_works()

    def start_bob(self, port: int) -> ZmqTransport:
        bob = self.nodes.make(
            f"bob@127.0.0.1:{self.relay.port}", self.mailbox, listen=f"127.0.0.1:{port}"
        )
        bob.start()
        return bob

    @property
    def status(self) -> PeerStatus:
        return state_of(self.alice, self.bob.node).status

    def was_lost(self, times: int) -> bool:
        return self.alice.counters[Traffic.LINKS_LOST] >= times

    def check_that_it_works(self) -> None:
        """Send until it arrives: what is sent before a loss is noticed may be lost."""
        token = new_incarnation()
        eventually(
            lambda: self.alice.send(self.bob.node, [text(token)]) and self.mailbox.has(token)
        )
        eventually(lambda: self.status is PeerStatus.CONNECTED)


@contextmanager
def pair(nodes: ZmqNodes) -> Generator[Pair]:
    with Relay(nodes.port()) as relay:
        yield Pair(nodes, relay)
        nodes.stop_all()  # before the relay, so that it has nothing left to carry


def test_n09_a_peer_that_falls_silent_is_noticed_and_costs_bounded_memory(
    zmq_nodes: ZmqNodes,
) -> None:
    """It takes nothing any more; the connection looks open.

    One that is switched off, and sends no FIN, is in ``test_integration_namespaces.py``.
    """
    with pair(zmq_nodes) as link:
        link.relay.fall_silent()

        def is_noticed() -> bool:
            link.alice.send(link.bob.node, [text(bytes(100_000))])
            return link.alice.counters[Traffic.LINKS_LOST] == 1

        eventually(is_noticed)
        eventually(lambda: link.status is PeerStatus.UNREACHABLE)
        assert not link.alice.send(link.bob.node, [text(b"to nobody")])
        assert state_of(link.alice, link.bob.node).queued_bytes == 0

        link.relay.speak()
        link.check_that_it_works()


def test_a_handshake_that_takes_too_long_is_not_blamed_on_the_cookie(zmq_nodes: ZmqNodes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        bob = f"bob@127.0.0.1:{mute.getsockname()[1]}"
        alice = zmq_nodes.make(zmq_nodes.name("alice"), Mailbox(), settings=IMPATIENT)
        alice.start()
        alice.send(bob, [text(b"are you there?")])
        eventually(lambda: state_of(alice, bob).last_error is not None)
        assert state_of(alice, bob).last_error == "the peer did not answer in time"
        zmq_nodes.stop_all()


def test_n07_a_flapping_link_recovers_each_time_and_leaks_nothing(zmq_nodes: ZmqNodes) -> None:
    with pair(zmq_nodes) as link:
        descriptors: list[int] = []
        for flaps in range(1, 16):
            link.relay.cut()
            eventually(partial(link.was_lost, flaps))
            link.check_that_it_works()
            # The relay keeps two sockets of each connection; the rest is the transport's.
            ours = len(list(Path("/proc/self/fd").iterdir())) - len(link.relay.ends)
            descriptors.append(ours)

        assert max(descriptors[5:]) <= descriptors[4] + 10


def test_a_peer_that_hangs_up_at_once_is_not_dialled_all_the_time(zmq_nodes: ZmqNodes) -> None:
    settings = TransportSettings(redial_delay_seconds=0.05, redial_delay_limit_seconds=30.0)
    with Relay(zmq_nodes.port()) as relay:
        relay.is_refusing = True
        alice = zmq_nodes.make(zmq_nodes.name("alice"), Mailbox(), settings=settings)
        alice.start()
        bob = f"bob@127.0.0.1:{relay.port}"
        alice.connect(bob)
        eventually(lambda: alice._links[bob]._failures_in_row >= 4)
        assert alice._links[bob]._redial_delay_seconds() >= 0.05 * 2**4 / 2
        alice.stop()


def test_a_peer_that_comes_back_is_dialled_at_once(zmq_nodes: ZmqNodes) -> None:
    """Its greeting ends the pause, however long that has become."""
    settings = TransportSettings(redial_delay_seconds=50.0, redial_delay_limit_seconds=100.0)
    bob = zmq_nodes.name("bob")
    alice = zmq_nodes.make(zmq_nodes.name("alice"), Mailbox(), settings=settings)
    alice.start()
    alice.connect(bob)
    eventually(lambda: state_of(alice, bob).last_error)

    bob_transport = zmq_nodes.make(bob, Mailbox())
    bob_transport.start()
    bob_transport.connect(alice.node)

    eventually(lambda: state_of(alice, bob).status is PeerStatus.CONNECTED)


def test_a_guest_that_is_gone_is_forgotten_and_can_come_again(zmq_nodes: ZmqNodes) -> None:
    settings = replace(IMPATIENT, forget_seconds=0.3)
    alice = zmq_nodes.make(zmq_nodes.name("alice"), Mailbox(), settings=settings)
    alice.start()
    guest = zmq_nodes.make(zmq_nodes.name("guest"), Mailbox())
    guest.start()
    assert alice.send(guest.node, [text(b"hello")])
    eventually(lambda: state_of(alice, guest.node).status is PeerStatus.CONNECTED)

    guest.stop()
    eventually(lambda: not alice.peers())

    mailbox = Mailbox()
    zmq_nodes.make(guest.node, mailbox).start()
    eventually(lambda: alice.send(guest.node, [text(b"hello again")]) and mailbox.bodies())


def test_a_restart_is_noticed_by_the_greeting_even_if_the_old_connection_hangs(
    zmq_nodes: ZmqNodes,
) -> None:
    with pair(zmq_nodes) as link:
        slow = replace(QUICK, probe_interval_seconds=50.0, silence_timeout_seconds=100.0)
        alice = zmq_nodes.make(zmq_nodes.name("alice2"), Mailbox(), settings=slow)
        alice.start()
        assert alice.send(link.bob.node, [text(b"from alice2")])
        eventually(lambda: link.mailbox.has(b"from alice2"))
        link.relay.fall_silent()  # Bob's machine is gone, no FIN; he starts on another

        second_life = zmq_nodes.make(
            link.bob.node, link.mailbox, listen=f"127.0.0.1:{zmq_nodes.port()}"
        )
        second_life.start()
        second_life.connect(alice.node)

        eventually(lambda: alice.counters[Traffic.LINKS_LOST] == 1)
        assert "anew" in str(state_of(alice, link.bob.node).last_error)


def test_n14_a_peer_that_moves_is_found_at_its_new_place(zmq_nodes: ZmqNodes) -> None:
    """The advertised address stays, what stands behind it changes, as with a name in DNS."""
    with pair(zmq_nodes) as link:
        link.bob.stop()
        new_port = zmq_nodes.port()
        link.relay.target_port = new_port
        link.start_bob(new_port)

        link.check_that_it_works()


def test_what_waits_for_a_peer_that_dies_is_dropped_and_its_memory_given_back(
    zmq_nodes: ZmqNodes,
) -> None:
    """The receiver takes nothing, frames fill the sockets, then the connection breaks."""
    with pair(zmq_nodes) as link:
        link.mailbox.open_door.clear()
        mebibyte = 1024 * 1024
        while link.alice.send(link.bob.node, [text(bytes(mebibyte))]):
            assert link.alice.counters[Traffic.SENT_BYTES] < 200 * mebibyte
        link.relay.is_refusing = True
        link.relay.cut()

        eventually(lambda: link.status is PeerStatus.UNREACHABLE)
        eventually(lambda: state_of(link.alice, link.bob.node).queued_bytes == 0)
        assert link.alice.counters[Drop.PEER_DOWN] > 0
        link.mailbox.open_door.set()


def test_a_lack_of_descriptors_delays_a_link_and_ends_nothing(
    zmq_nodes: ZmqNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking = [True, True, False, True]

    def make_door(factory: SocketFactory, peer: str) -> Socket:
        if lacking and lacking.pop(0):
            raise zmq.ZMQError(errno.EMFILE)
        return original(factory, peer)

    original = SocketFactory.door
    monkeypatch.setattr(SocketFactory, "door", make_door)
    mailbox = Mailbox()
    bob = zmq_nodes.make(zmq_nodes.name("bob"), mailbox)
    bob.start()
    alice = zmq_nodes.make(zmq_nodes.name("alice"), Mailbox())
    alice.start()
    assert alice.send(bob.node, [text(b"in the end")])
    mailbox.wait_for(1)


def test_a_lack_of_descriptors_at_the_start_is_an_error_of_the_transport(
    zmq_nodes: ZmqNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make_context() -> NoReturn:
        raise zmq.ZMQError(errno.EMFILE)

    alice = zmq_nodes.make(zmq_nodes.name("alice"), Mailbox())
    monkeypatch.setattr(zmq_transport, "Context", make_context)
    with pytest.raises(TransportError, match="cannot start: Too many open files"):
        alice.start()


def test_a_name_without_an_address_cannot_be_reached(zmq_nodes: ZmqNodes) -> None:
    alice = zmq_nodes.make(zmq_nodes.name("alice"), Mailbox())
    alice.start()
    assert not alice.send("bob", [text(b"where?")])
    assert alice.counters[Drop.BAD_ADDRESS] == 1
    with pytest.raises(InvalidOptionError):
        alice.connect("bob")


def test_a_host_that_is_not_known_is_reported_in_the_peers_state(zmq_nodes: ZmqNodes) -> None:
    alice = zmq_nodes.make(zmq_nodes.name("alice"), Mailbox())
    alice.start()
    bob = "bob@nowhere.invalid:5701"
    alice.send(bob, [text(b"where?")])
    eventually(lambda: state_of(alice, bob).last_error)


def test_a_taken_address_is_refused_with_its_name_and_leaves_nothing_behind(
    zmq_nodes: ZmqNodes,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        alice = zmq_nodes.make(f"alice@127.0.0.1:{port}", Mailbox())
        with pytest.raises(ListenError, match=f"127.0.0.1:{port}.*in use") as caught:
            alice.start()
    assert caught.value.address == f"tcp://127.0.0.1:{port}"
    assert not alice.send("bob@127.0.0.1:1", [text(b"")])


def test_an_address_of_another_machine_is_refused(zmq_nodes: ZmqNodes) -> None:
    alice = zmq_nodes.make("alice@192.0.2.1:5701", Mailbox())
    with pytest.raises(ListenError, match=r"192\.0\.2\.1"):
        alice.start()


def test_what_is_listened_on_may_differ_from_the_name(zmq_nodes: ZmqNodes) -> None:
    alice = zmq_nodes.make("alice@db1.example.org:5701", Mailbox(), listen="127.0.0.1:0")
    alice.start()
    assert alice.listen_ports[0] > 0
    assert alice.node == "alice@db1.example.org:5701"


def test_a_host_name_can_be_listened_on_and_dialled(zmq_nodes: ZmqNodes) -> None:
    mailbox = Mailbox()
    bob = zmq_nodes.make(f"bob@localhost:{zmq_nodes.port()}", mailbox)
    bob.start()
    alice = zmq_nodes.make(f"alice@localhost:{zmq_nodes.port()}", Mailbox())
    alice.start()
    assert alice.send(bob.node, [text(b"hello")])
    mailbox.wait_for(1)


def has_ipv6_loopback() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6_loopback(), reason="this machine has no IPv6")
def test_ipv6_works_as_well(zmq_nodes: ZmqNodes) -> None:
    mailbox = Mailbox()
    bob = zmq_nodes.make(f"bob@[::1]:{zmq_nodes.port()}", mailbox)
    bob.start()
    alice = zmq_nodes.make(zmq_nodes.name("alice"), Mailbox())
    alice.start()
    assert alice.send(bob.node, [text(b"hello")])
    mailbox.wait_for(1)


def run(script: str) -> subprocess.CompletedProcess[str]:
    """Run a Python program that has a transport, and wait until it has ended."""
    prelude = """
import os, sys
from khepri.transport.zmq_transport import ZmqTransport
from khepri.transport.interface import Message
transport = ZmqTransport(
    "alice@127.0.0.1:5701", b"life", print, cookie=bytes(32), listen="127.0.0.1:0"
)
transport.start()
transport.send("bob@127.0.0.1:1", [Message(b"", "", 1, b"x" * 100_000)] * 10)
"""
    return subprocess.run(
        [sys.executable, "-c", prelude + script],
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"PYTHONWARNINGS": "ignore::DeprecationWarning"},
    )


def test_a_program_that_forgets_to_stop_ends_all_the_same() -> None:
    ended = run("print('done')")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "done\n", "")


def test_a_forked_child_can_stop_and_end_while_the_parent_goes_on() -> None:
    ended = run(
        """
child = os.fork()
if child == 0:
    transport.stop()
    sys.exit(0)
_, status = os.waitpid(child, 0)
transport.stop()
print("parent saw", status)
"""
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "parent saw 0\n", "")
