"""What `khepri.transport.interface` promises, on each transport that promises it."""

from __future__ import annotations

import threading

import pytest

from khepri.errors import ListenError
from khepri.transport.counters import Drop, Traffic
from khepri.transport.interface import Envelope, Message, PeerStatus, Transport
from khepri.transport.settings import TransportSettings
from tests.transport.transport_helpers import (
    QUICK,
    Mailbox,
    Nodes,
    eventually,
    khepri_threads,
    state_of,
    text,
)

MEBIBYTE = 1024 * 1024


def started(
    nodes: Nodes, node: str, mailbox: Mailbox, settings: TransportSettings | None = None
) -> Transport:
    transport = nodes.make(node, mailbox, settings=settings)
    transport.start()
    return transport


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

    def answer(batch: object) -> None:
        assert isinstance(batch, list)
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
    settings = TransportSettings(queue_bytes=budget)
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
    settings = TransportSettings(queue_bytes=5 * MEBIBYTE)
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


def test_a_peer_that_is_down_costs_no_time_and_is_counted(nodes: Nodes) -> None:
    bob = nodes.name("bob")
    sender = started(nodes, nodes.name("alice"), Mailbox())

    sender.send(bob, [text(b"before anybody knows")])
    eventually(lambda: not sender.send(bob, [text(b"later")]))

    eventually(lambda: sender.counters[Drop.PEER_DOWN] >= 1)
    assert state_of(sender, bob).status is PeerStatus.UNREACHABLE


def test_a_peer_that_comes_up_late_is_reached(nodes: Nodes) -> None:
    bob, mailbox = nodes.name("bob"), Mailbox()
    sender = started(nodes, nodes.name("alice"), Mailbox())
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
        eventually(lambda incarnation=incarnation: incarnation in mailbox.bodies())
        sender.stop()

    assert [envelope.sender_incarnation for envelope in mailbox.envelopes] == [b"before", b"after"]


def test_two_nodes_cannot_listen_on_one_address(nodes: Nodes) -> None:
    bob = nodes.name("bob")
    started(nodes, bob, Mailbox())
    second = nodes.make(bob, Mailbox())

    with pytest.raises(ListenError, match="cannot listen"):
        second.start()
    second.stop()


def test_a_forgotten_peer_is_not_listed_and_can_be_met_again(nodes: Nodes) -> None:
    bob, mailbox = nodes.name("bob"), Mailbox()
    sender = started(nodes, nodes.name("alice"), Mailbox())
    started(nodes, bob, mailbox)
    sender.disconnect(bob)  # nothing to forget
    assert sender.send(bob, [text(b"1")])
    mailbox.wait_for(1)
    assert [state.node for state in sender.peers()] == [bob]

    sender.disconnect(bob)
    assert sender.peers() == []

    assert sender.send(bob, [text(b"2")])
    mailbox.wait_for(2)


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
