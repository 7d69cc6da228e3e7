"""Peers come, go and return, and transports stop: the contract, on each transport."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from khepri.errors import ListenError
from khepri.transport.counters import Drop, Traffic
from khepri.transport.interface import PeerStatus
from tests.transport.transport_helpers import (
    IMPATIENT,
    Mailbox,
    Nodes,
    end_by_a_bug,
    eventually,
    khepri_threads,
    started,
    state_of,
    text,
)

MEBIBYTE = 1024 * 1024


def test_a_peer_that_is_down_costs_no_time_and_is_counted(nodes: Nodes) -> None:
    bob = nodes.name("bob")
    sender = started(nodes, nodes.name("alice"), Mailbox(), IMPATIENT)

    sender.send(bob, [text(b"before anybody knows")])
    eventually(lambda: not sender.send(bob, [text(b"later")]))

    eventually(lambda: sender.counters[Drop.PEER_DOWN] >= 1)
    assert state_of(sender, bob).status is PeerStatus.UNREACHABLE


def test_a_peer_that_comes_up_late_is_reached(nodes: Nodes) -> None:
    bob, mailbox = nodes.name("bob"), Mailbox()
    sender = started(nodes, nodes.name("alice"), Mailbox(), IMPATIENT)
    sender.connect(bob)
    eventually(lambda: state_of(sender, bob).status is PeerStatus.UNREACHABLE)

    started(nodes, bob, mailbox)
    eventually(lambda: state_of(sender, bob).status is PeerStatus.CONNECTED)

    assert sender.send(bob, [text(b"hello")])
    mailbox.wait_for(1)


def test_n08_a_peer_restarts_on_its_address_with_a_new_incarnation(nodes: Nodes) -> None:
    bob, first, second = nodes.name("bob"), Mailbox(), Mailbox()
    sender = started(nodes, nodes.name("alice"), Mailbox())
    before = nodes.make(bob, first, incarnation=b"before")
    before.start()
    assert sender.send(bob, [text(b"1")])
    first.wait_for(1)
    before.stop()

    after = nodes.make(bob, second, incarnation=b"after")
    after.start()
    eventually(lambda: sender.send(bob, [text(b"2")]) and second.bodies())

    assert {envelope.receiver_incarnation for envelope in second.envelopes} == {b"after"}
    assert first.bodies() == [b"1"]
    assert state_of(sender, bob).incarnation == b"after"


def test_a_sender_restarts_and_is_known_by_its_new_incarnation(nodes: Nodes) -> None:
    alice, bob, mailbox = nodes.name("alice"), nodes.name("bob"), Mailbox()
    started(nodes, bob, mailbox)
    for incarnation in (b"before", b"after"):
        sender = nodes.make(alice, Mailbox(), incarnation=incarnation)
        sender.start()
        assert sender.send(bob, [text(incarnation)])
        eventually(partial(mailbox.has, incarnation))
        sender.stop()

    assert [envelope.sender_incarnation for envelope in mailbox.envelopes] == [b"before", b"after"]


def test_two_nodes_cannot_listen_on_one_address(nodes: Nodes) -> None:
    bob = nodes.name("bob")
    started(nodes, bob, Mailbox())
    second = nodes.make(bob, Mailbox())

    with pytest.raises(ListenError, match="cannot listen"):
        second.start()
    second.stop()


def test_peers_tell_what_was_sent(nodes: Nodes) -> None:
    bob, mailbox = nodes.name("bob"), Mailbox()
    sender = started(nodes, nodes.name("alice"), Mailbox())
    receiver = started(nodes, bob, mailbox)
    assert sender.send(bob, [text(b"1"), text(b"2")])
    mailbox.wait_for(2)

    eventually(lambda: state_of(sender, bob).sent_messages == 2)
    state = state_of(sender, bob)
    assert state.status is PeerStatus.CONNECTED
    assert state.incarnation == receiver.incarnation
    assert state.queued_bytes == 0


def test_traffic_is_counted_on_both_sides(nodes: Nodes) -> None:
    bob, mailbox = nodes.name("bob"), Mailbox()
    sender = started(nodes, nodes.name("alice"), Mailbox())
    receiver = started(nodes, bob, mailbox)
    assert sender.send(bob, [text(b"1"), text(b"2"), text(b"3")])
    mailbox.wait_for(3)

    eventually(lambda: sender.counters[Traffic.SENT_MESSAGES] == 3)
    counted = receiver.counters.snapshot()
    assert counted["received_messages"] == 3
    assert counted["received_bytes"] == sender.counters[Traffic.SENT_BYTES]
    assert not [name for name in counted if name.startswith("dropped")]


def test_nothing_is_sent_before_the_start_or_after_the_stop(nodes: Nodes) -> None:
    bob = nodes.name("bob")
    sender = nodes.make(nodes.name("alice"), Mailbox())
    started(nodes, bob, Mailbox())

    assert not sender.send(bob, [text(b"early")])
    sender.start()
    sender.stop()
    assert not sender.send(bob, [text(b"late")])

    assert sender.counters[Drop.STOPPED] == 2


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_nodes_stop_in_any_order_and_leave_no_thread(nodes: Nodes, order: list[int]) -> None:
    names = [nodes.name(f"node{number}") for number in range(3)]
    mailboxes = [Mailbox() for _ in names]
    transports = [
        started(nodes, name, mailbox) for name, mailbox in zip(names, mailboxes, strict=True)
    ]
    for transport in transports:
        for name in names:
            assert transport.send(name, [text(b"hello")])
    for mailbox in mailboxes:
        mailbox.wait_for(3)

    for number in order:
        transports[number].stop()

    assert khepri_threads() == []
    for transport in transports:
        transport.stop()  # again, which is allowed


def test_a_node_stops_while_others_send_to_it(nodes: Nodes) -> None:
    bob = nodes.name("bob")
    sender = started(nodes, nodes.name("alice"), Mailbox())
    receiver = started(nodes, bob, Mailbox())
    is_over = threading.Event()

    def send() -> None:
        while not is_over.is_set():
            sender.send(bob, [text(bytes(1000))])

    thread = threading.Thread(target=send)
    thread.start()
    eventually(lambda: receiver.counters[Traffic.RECEIVED_MESSAGES] > 100)
    receiver.stop()
    sender.stop()
    is_over.set()
    thread.join()

    assert khepri_threads() == []


def test_the_receiver_may_stop_its_own_transport(nodes: Nodes) -> None:
    bob = nodes.name("bob")
    sender = started(nodes, nodes.name("alice"), Mailbox())

    def stop(_batch: object) -> None:
        receiver.stop()

    receiver = nodes.make(bob, stop)
    receiver.start()
    assert sender.send(bob, [text(b"good bye")])

    eventually(lambda: f"khepri-{bob}-transport" not in khepri_threads())


def test_stopping_what_never_started_is_no_error(nodes: Nodes) -> None:
    nodes.make(nodes.name("alice"), Mailbox()).stop()


def test_a_bug_on_the_thread_is_reported_and_another_transport_takes_its_place(
    nodes: Nodes,
) -> None:
    name, mailbox = nodes.name("alice"), Mailbox()
    bob = started(nodes, nodes.name("bob"), Mailbox())
    failures: list[Exception] = []
    before = nodes.make(name, Mailbox(), on_failure=failures.append)
    before.start()
    assert bob.send(name, [text(b"to the one before")])
    eventually(lambda: state_of(bob, name).status is PeerStatus.CONNECTED)

    end_by_a_bug(before)
    eventually(lambda: failures)
    assert len(failures) == 1
    assert not before.send(bob.node, [text(b"")])

    after = nodes.make(name, mailbox)
    after.start()  # the address is free though nobody has stopped the one before
    before.stop()
    eventually(lambda: bob.send(name, [text(b"hello")]) and mailbox.has(b"hello"))


def test_a_transport_that_is_stopped_has_not_failed(nodes: Nodes) -> None:
    failures: list[Exception] = []
    alice = nodes.make(nodes.name("alice"), Mailbox(), on_failure=failures.append)
    alice.start()
    alice.stop()
    assert not failures
