"""Frames from those who have the cookie and keep no rules: dropped and counted."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import zmq

from khepri.encoding import pack
from khepri.transport.codec import encode_messages
from khepri.transport.counters import Drop
from khepri.transport.interface import Message, NodeIncarnation
from tests.transport.transport_helpers import (
    DEADLINE_SECONDS,
    QUICK,
    eventually,
    text,
)

if TYPE_CHECKING:
    from khepri.transport.zmq_transport import ZmqTransport

from tests.transport.transport_attackers import Server, insider


def test_n11_random_frames_from_a_valid_key_are_dropped_and_counted(server: Server) -> None:
    dice = random.Random(11)
    whole = encode_messages(NodeIncarnation("bad@h:1", b"life"), server.identity, [text(b"x")])

    def dropped() -> int:
        counters = server.transport.counters
        return counters[Drop.GARBLED] + counters[Drop.UNKNOWN_VERSION]

    with insider(server, "bad@h:1") as dealer:
        for _ in range(200):
            dealer.send(dice.randbytes(dice.randrange(300)))
        for length in range(len(whole)):
            dealer.send(whole[:length])
        dealer.send_multipart([whole, whole, whole])
        dealer.send(pack([99, 3]))
        eventually(lambda: dropped() == 200 + len(whole) + 2)
        server.check_that_friends_are_served()


def test_n11_a_frame_a_little_too_large_is_counted_and_the_link_lives(server: Server) -> None:
    with insider(server, "bad@h:1") as dealer:
        dealer.send(bytes(QUICK.frame_bytes + 1))
        eventually(lambda: server.counted(Drop.OVERSIZED))
        server.check_that_friends_are_served()


def test_n11_a_frame_far_too_large_is_not_even_read(server: Server) -> None:
    with insider(server, "bad@h:1") as dealer:
        events = dealer.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        try:
            dealer.send(bytes(64 * 1024 * 1024))
            assert events.poll(int(DEADLINE_SECONDS * 1000)), "the connection is cut"
        finally:
            dealer.disable_monitor()
            events.close(linger=0)
        server.check_that_friends_are_served()


def test_n12_a_node_cannot_speak_for_another(server: Server) -> None:
    """It is the key that counts, not the name in the frame."""
    friend = NodeIncarnation(server.friend.node, server.friend.incarnation)
    with insider(server, "bad@h:1") as dealer:
        dealer.send(encode_messages(friend, server.identity, [text(b"from your friend")]))
        eventually(lambda: server.counted(Drop.FORGED_SENDER))
        server.check_that_friends_are_served()


def test_n12_a_message_for_another_node_is_dropped(server: Server) -> None:
    sender = NodeIncarnation("bad@h:1", b"life")
    with insider(server, sender.node) as dealer:
        other = NodeIncarnation("other@h:1", server.transport.incarnation)
        dealer.send(encode_messages(sender, other, [text(b"for another")]))
        eventually(lambda: server.counted(Drop.WRONG_RECEIVER))
        server.check_that_friends_are_served()


def test_n08_messages_from_or_for_a_past_life_are_dropped(server: Server) -> None:
    sender = NodeIncarnation("bad@h:1", b"life")
    with insider(server, sender.node, sender.incarnation) as dealer:
        past_self = NodeIncarnation(server.transport.node, b"a past life")
        dealer.send(encode_messages(sender, past_self, [text(b"for your past life")]))
        eventually(lambda: server.counted(Drop.STALE_RECEIVER))
        past_sender = NodeIncarnation(sender.node, b"a past life")
        dealer.send(encode_messages(past_sender, server.identity, [text(b"from my past life")]))
        eventually(lambda: server.counted(Drop.STALE_SENDER))
        server.check_that_friends_are_served()


def test_n12_an_envelope_names_its_cluster_so_that_the_router_can_drop_it(server: Server) -> None:
    """The transport does not know which clusters live here. Its user does, and counts with it."""
    known_cluster = b"ours"

    def route(transport: ZmqTransport) -> list[bytes]:
        kept: list[bytes] = []
        for envelope in server.mailbox.envelopes[-2:]:
            if envelope.cluster_id == known_cluster:
                kept.append(envelope.body)
            else:
                transport.counters.add(Drop.WRONG_CLUSTER)
        return kept

    ours = Message(known_cluster, "orders", 1, b"ours")
    theirs = Message(b"theirs", "orders", 1, b"theirs")
    assert server.friend.send(server.transport.node, [theirs, ours])
    server.mailbox.wait_for(4)

    assert route(server.transport) == [b"ours"]
    assert server.transport.counters[Drop.WRONG_CLUSTER] == 1
