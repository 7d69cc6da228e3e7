"""Delivery: what `khepri.transport.interface` promises, on each transport that promises it."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from khepri.transport.counters import Drop, Traffic
from khepri.transport.interface import Envelope, Message
from tests.transport.transport_helpers import (
    QUICK,
    Mailbox,
    Nodes,
    eventually,
    started,
    state_of,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

MEBIBYTE = 1024 * 1024


def test_a_message_arrives_with_all_that_names_it(nodes: Nodes) -> None:
    alice, bob = nodes.name("alice"), nodes.name("bob")
    mailbox = Mailbox()
    sender = nodes.make(alice, Mailbox(), incarnation=b"first life")
    receiver = nodes.make(bob, mailbox, incarnation=b"second life")
    sender.start()
    receiver.start()

    assert sender.send(bob, [Message(b"cluster", "orders", 7, b"\x00body")])

    assert mailbox.wait_for(1) == [
        Envelope(alice, b"first life", bob, b"second life", b"cluster", "orders", 7, b"\x00body")
    ]


def test_many_messages_arrive_in_order_and_once(nodes: Nodes) -> None:
    bob, mailbox = nodes.name("bob"), Mailbox()
    sender = started(nodes, nodes.name("alice"), Mailbox())
    started(nodes, bob, mailbox)
    bodies = [b"%d" % number for number in range(5000)]

    for body in bodies:
        assert sender.send(bob, [text(body)])

    mailbox.wait_for(len(bodies))
    assert mailbox.bodies() == bodies


def test_messages_sent_together_arrive_together(nodes: Nodes) -> None:
    bob, mailbox = nodes.name("bob"), Mailbox()
    sender = started(nodes, nodes.name("alice"), Mailbox())
    started(nodes, bob, mailbox)

    assert sender.send(bob, [text(b"%d" % number) for number in range(100)])

    mailbox.wait_for(100)
    assert mailbox.batch_sizes == [100]


def test_both_directions_and_several_peers_work_at_once(nodes: Nodes) -> None:
    names = [nodes.name(name) for name in ("alice", "bob", "carol")]
    mailboxes = {name: Mailbox() for name in names}
    transports = {name: started(nodes, name, mailboxes[name]) for name in names}

    for sender, transport in transports.items():
        for receiver in names:
            assert transport.send(receiver, [text(sender.encode())])  # to itself as well

    for mailbox in mailboxes.values():
        mailbox.wait_for(len(names))
        assert sorted(mailbox.bodies()) == sorted(name.encode() for name in names)


def test_any_thread_may_send(nodes: Nodes) -> None:
    bob, mailbox = nodes.name("bob"), Mailbox()
    sender = started(nodes, nodes.name("alice"), Mailbox())
    started(nodes, bob, mailbox)

    def send(thread: int) -> None:
        for number in range(200):
            assert sender.send(bob, [text(b"%d %d" % (thread, number))])

    threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    mailbox.wait_for(800)
    for number in range(4):  # order holds for each of them
        mine = [body for body in mailbox.bodies() if body.startswith(b"%d " % number)]
        assert mine == [b"%d %d" % (number, count) for count in range(200)]


def test_the_receiver_is_called_on_one_thread_and_may_send(nodes: Nodes) -> None:
    alice, bob = nodes.name("alice"), nodes.name("bob")
    answers, questions = Mailbox(), Mailbox()

    def answer(batch: Sequence[Envelope]) -> None:
        questions(batch)
        for envelope in batch:
            assert bob_transport.send(envelope.from_node, [text(b"yes " + envelope.body)])

    alice_transport = started(nodes, alice, answers)
    bob_transport = nodes.make(bob, answer)
    bob_transport.start()

    assert alice_transport.send(bob, [text(b"1"), text(b"2")])

    answers.wait_for(2)
    assert answers.bodies() == [b"yes 1", b"yes 2"]
    assert questions.threads == {f"khepri-{bob}-transport"}


def test_a_receiver_that_raises_loses_its_batch_and_no_more(nodes: Nodes) -> None:
    bob, mailbox = nodes.name("bob"), Mailbox()
    sender = started(nodes, nodes.name("alice"), Mailbox())
    receiver = started(nodes, bob, mailbox)
    mailbox.failure = ValueError("a bug in the receiver")

    assert sender.send(bob, [text(b"lost"), text(b"too")])
    eventually(lambda: receiver.counters[Drop.RECEIVER_FAILED] == 2)
    mailbox.failure = None
    assert sender.send(bob, [text(b"next")])

    mailbox.wait_for(1)
    assert mailbox.bodies() == [b"next"]


@pytest.mark.parametrize("size", [0, 1, MEBIBYTE, QUICK.message_bytes])
def test_a_body_up_to_the_limit_arrives_whole(nodes: Nodes, size: int) -> None:
    bob, mailbox = nodes.name("bob"), Mailbox()
    sender = started(nodes, nodes.name("alice"), Mailbox())
    started(nodes, bob, mailbox)
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)

    assert sender.send(bob, [text(body)])

    assert mailbox.wait_for(1)[0].body == body


def test_a_body_above_the_limit_is_refused_at_the_sender(nodes: Nodes) -> None:
    bob = nodes.name("bob")
    sender = started(nodes, nodes.name("alice"), Mailbox())

    assert not sender.send(bob, [text(b"fits"), text(bytes(QUICK.message_bytes + 1))])

    assert sender.counters[Drop.TOO_LARGE] == 2  # all or none


def test_n10_a_slow_receiver_costs_its_senders_bounded_memory(nodes: Nodes) -> None:
    """The receiver takes nothing. The queue to it fills, further batches are dropped and counted.

    Another peer is served meanwhile, and the slow one too when it wakes up.
    """
    bob, carol = nodes.name("bob"), nodes.name("carol")
    slow, quick = Mailbox(), Mailbox()
    budget = 8 * MEBIBYTE
    settings = replace(QUICK, queue_bytes=budget)
    sender = started(nodes, nodes.name("alice"), Mailbox(), settings)
    receiver = started(nodes, bob, slow, settings)
    started(nodes, carol, quick, settings)
    assert sender.send(bob, [text(b"first")])
    slow.wait_for(1)
    slow.open_door.clear()

    accepted = 0
    while sender.send(bob, [text(bytes(MEBIBYTE))]):
        accepted += 1
        assert accepted < 1000, "nothing bounds the queue"

    assert sender.counters[Drop.QUEUE_FULL] == 1
    assert state_of(sender, bob).queued_bytes <= budget
    assert sender.send(carol, [text(b"not concerned")])
    quick.wait_for(1)
    slow.open_door.set()
    slow.wait_for(1 + accepted)
    eventually(lambda: state_of(sender, bob).queued_bytes == 0)
    assert sender.send(bob, [text(b"last")])
    slow.wait_for(accepted + 2)
    assert receiver.counters[Traffic.RECEIVED_MESSAGES] == accepted + 2


def test_a_batch_is_queued_whole_or_not_at_all(nodes: Nodes) -> None:
    bob, mailbox = nodes.name("bob"), Mailbox()
    settings = replace(QUICK, message_bytes=MEBIBYTE, queue_bytes=5 * MEBIBYTE)
    sender = started(nodes, nodes.name("alice"), Mailbox(), settings)
    started(nodes, bob, mailbox, settings)

    assert not sender.send(bob, [text(bytes(MEBIBYTE))] * 6)
    assert sender.send(bob, [text(b"small")])

    mailbox.wait_for(1)
    assert mailbox.bodies() == [b"small"]
    assert sender.counters[Drop.QUEUE_FULL] == 6


def test_sending_nothing_is_no_error(nodes: Nodes) -> None:
    bob = nodes.name("bob")
    sender = started(nodes, nodes.name("alice"), Mailbox())
    started(nodes, bob, Mailbox())

    assert sender.send(bob, [])

    assert sender.counters[Traffic.SENT_MESSAGES] == 0
