"""Envelopes name the cluster and both incarnations (spec ra §9, rule 13)."""

from __future__ import annotations

from math import inf
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from khepri.actors.access import StoreAccess
from khepri.actors.postman import MAX_BYTES_LENT_FOR, Postman
from khepri.actors.server_messages import FrameFrom, MessageFrom
from khepri.actors.store_network import NOTICE_SECONDS, StoreNetwork
from khepri.encoding import EncodingError, pack, unpack
from khepri.raft.election_messages import RequestVoteResponse
from khepri.raft.log_messages import NO_ANSWER, AppendEntriesRequest, Heartbeat
from khepri.raft.types import Configuration, Index, Member, MemberKind, ServerId, Term
from khepri.transport.counters import Counters, Drop
from khepri.transport.interface import Envelope

if TYPE_CHECKING:
    from collections.abc import Sequence

    from khepri.transport.interface import Message as Parcel

STORE = "orders"
CLUSTER = b"cluster"
ANN, BOB = ServerId(STORE, "ann"), ServerId(STORE, "bob")
VOTE = RequestVoteResponse(Term(3), granted=True)
BEAT = Heartbeat(Term(3), Index(0), 1)


class Wire:
    """A transport that keeps what it is given."""

    def __init__(self) -> None:
        self.counters = Counters()
        self.parcels: list[Parcel] = []

    def send(self, to_node: str, messages: Sequence[Parcel]) -> bool:
        del to_node
        self.parcels.extend(messages)
        return True


def member(uid_of_ann: str, uid_of_bob: str, *, of: ServerId) -> tuple[StoreNetwork, Wire]:
    """Make the network of a member, as it knows the others."""
    postman = Postman({})
    wire: Any = Wire()
    postman.transport = wire
    own_uid = uid_of_ann if of == ANN else uid_of_bob
    network = StoreNetwork(postman, STORE, CLUSTER, own_uid)
    network.set_configuration(
        Configuration(
            (
                Member(ANN, uid_of_ann, MemberKind.VOTER),
                Member(BOB, uid_of_bob, MemberKind.VOTER),
            )
        )
    )
    return network, wire


def what_bob_gets(said: Any, ann: StoreNetwork, wire: Wire, bob: StoreNetwork) -> list[Any]:
    ann.send(BOB, said)
    ann.flush(0.0)
    parcel = wire.parcels.pop()
    return [
        it.message
        for it in bob.open(FrameFrom("ann", parcel.kind, parcel.body), Term(3))
        if isinstance(it, MessageFrom)
    ]


def test_rule_13_members_that_know_each_other_hear_each_other() -> None:
    ann, wire = member("ann-1", "bob-1", of=ANN)
    bob, _ = member("ann-1", "bob-1", of=BOB)
    assert what_bob_gets(VOTE, ann, wire, bob) == [VOTE]
    assert what_bob_gets(BEAT, ann, wire, bob) == [BEAT]


def test_rule_13_what_is_for_a_past_life_of_the_receiver_is_dropped() -> None:
    ann, wire = member("ann-1", "bob-1", of=ANN)
    bob, _ = member("ann-1", "bob-2", of=BOB)
    assert what_bob_gets(VOTE, ann, wire, bob) == []
    assert what_bob_gets(BEAT, ann, wire, bob) == []


def test_rule_13_what_another_life_of_the_sender_says_is_dropped_unless_it_leads() -> None:
    ann, wire = member("ann-2", "bob-1", of=ANN)
    bob, _ = member("ann-1", "bob-1", of=BOB)
    assert what_bob_gets(VOTE, ann, wire, bob) == []
    # A leader may have been made again while the receiver slept; its term says what it is worth.
    assert what_bob_gets(BEAT, ann, wire, bob) == [BEAT]


def test_rule_13_an_answer_goes_to_the_life_that_spoke_and_all_else_to_the_one_that_counts() -> (
    None
):
    for term, address_afterwards in ((3, "ann-2"), (4, "ann-1")):  # of Bob; the leader's is 3
        bob, wire = member("ann-1", "bob-1", of=BOB)
        parcel = pack(["ann-2", "bob-1", [BEAT.to_plain()]])
        assert len(bob.open(FrameFrom("ann", 1, parcel), Term(term))) == 1
        bob.send(ANN, VOTE)
        bob.flush(0.0)
        bob.send(ANN, VOTE)
        bob.flush(0.0)
        receivers = [unpack(parcel.body)[1] for parcel in wire.parcels]
        assert receivers == ["ann-2", address_afterwards]


def test_rule_13_what_is_for_another_cluster_is_dropped_and_counted() -> None:
    seen: list[object] = []
    access = StoreAccess(STORE, BOB, CLUSTER)
    server: Any = SimpleNamespace(bring=seen.append)
    access.server = server
    postman = Postman({STORE: access})
    wire: Any = Wire()
    postman.transport = wire
    for cluster_id in (b"another", CLUSTER, b""):
        postman.deliver([Envelope("ann", b"life", "bob", b"life", cluster_id, STORE, 1, b"body")])
    assert seen == [FrameFrom("ann", 1, b"body")]
    assert wire.counters.snapshot()[Drop.WRONG_CLUSTER] == 2


@pytest.mark.parametrize(
    ("stores", "body", "is_brought"),
    [
        ((STORE,), b"small", True),
        ((STORE,), bytes(MAX_BYTES_LENT_FOR + 1), False),
        ((STORE, "other"), b"small", False),
    ],
)
def test_a_turn_is_asked_for_where_one_store_runs_and_for_what_is_small(
    stores: tuple[str, ...], body: bytes, *, is_brought: bool
) -> None:
    brought: list[object] = []
    cast: list[object] = []
    access = StoreAccess(STORE, BOB, CLUSTER)
    server: Any = SimpleNamespace(bring=brought.append, cast=cast.append)
    access.server = server
    postman = Postman(dict.fromkeys(stores, access))
    postman.deliver([Envelope("ann", b"life", "bob", b"life", CLUSTER, STORE, 1, body)])
    frame = FrameFrom("ann", 1, body)
    assert (brought, cast) == (([frame], []) if is_brought else ([], [frame]))


EMPTY = b"\x93\xa0\xa0\x90"


def test_what_is_garbled_is_an_error_to_be_told() -> None:
    bob, _ = member("ann-1", "bob-1", of=BOB)
    nothing: list[str] = []
    unhashable: dict[str, str] = {}
    bodies = (
        b"garbage",
        pack([nothing, "bob-1", nothing]),  # what cannot be a key of a dict
        pack(["ann-1", nothing, nothing]),
        pack(["ann-1", unhashable, nothing]),
    )
    for kind, body in (*((kind, body) for kind in (1, 2) for body in bodies), (99, EMPTY)):
        with pytest.raises(EncodingError):
            bob.open(FrameFrom("ann", kind, body), Term(1))


# --- what is committed


def test_how_far_is_committed_goes_alone_only_after_a_moment() -> None:
    ann, wire = member("ann-1", "bob-1", of=ANN)
    notice = Heartbeat(Term(1), Index(7), NO_ANSWER)
    ann.send(BOB, notice)
    ann.flush(10.0)
    assert wire.parcels == []
    assert ann.notices_due == 10.0 + NOTICE_SECONDS
    ann.flush(ann.notices_due)
    assert len(wire.parcels) == 1
    assert ann.notices_due == inf


def test_when_a_notice_will_be_due_is_known_with_the_entry_it_is_about() -> None:
    """So nobody has to be woken when it comes."""
    ann, wire = member("ann-1", "bob-1", of=ANN)
    ann.send(BOB, AppendEntriesRequest(Term(1), Index(6), Term(1), Index(6), ()))
    ann.flush(10.0)
    due = 10.0 + NOTICE_SECONDS
    assert ann.notices_due == due
    ann.send(BOB, Heartbeat(Term(1), Index(7), NO_ANSWER))
    ann.flush(10.0 + NOTICE_SECONDS / 2)
    assert (ann.notices_due, len(wire.parcels)) == (due, 1)
    ann.flush(due)
    assert (ann.notices_due, len(wire.parcels)) == (inf, 2)


def test_how_far_is_committed_goes_with_what_is_sent_anyway() -> None:
    ann, wire = member("ann-1", "bob-1", of=ANN)
    bob, _ = member("ann-1", "bob-1", of=BOB)
    notice = Heartbeat(Term(1), Index(7), NO_ANSWER)
    ann.send(BOB, notice)
    assert what_bob_gets(VOTE, ann, wire, bob) == [VOTE, notice]
    assert ann.notices_due == inf
