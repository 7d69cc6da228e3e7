"""Frames to bytes and back, and what is done with bytes that are no frame."""

from __future__ import annotations

import random

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from khepri.encoding import pack
from khepri.transport.codec import FrameReader, encode_hello, encode_messages, encode_welcome
from khepri.transport.counters import Drop
from khepri.transport.interface import Envelope, Message, NodeIncarnation
from khepri.transport.wire import (
    IDENTIFIER_BYTES,
    MAXIMUM_MESSAGES,
    PROTOCOL_VERSION,
    Batch,
    Frame,
    FrameError,
    FrameType,
    Hello,
    Welcome,
)
from tests.transport.transport_helpers import text

ALICE = NodeIncarnation("alice@127.0.0.1:1", b"a1")
BOB = NodeIncarnation("bob@127.0.0.1:2", b"b1")
LIMIT_BYTES = 1024 * 1024
HEADER = [PROTOCOL_VERSION, FrameType.MESSAGES, *ALICE, *BOB]
NOTHING: list[int] = []
NO_KEYS: dict[str, int] = {}
EMPTY_ARRAY_BODY: list[object] = [*HEADER, b"", "", 1, NOTHING]
EMPTY_MAP_BODY: list[object] = [*HEADER, b"", "", 1, NO_KEYS]

messages = st.builds(
    Message,
    cluster_id=st.binary(max_size=IDENTIFIER_BYTES),
    store_id=st.text(max_size=20),
    kind=st.integers(0, 255),
    body=st.binary(max_size=100),
)


def read(data: bytes) -> Frame:
    return FrameReader(LIMIT_BYTES).read(data)


def reason_to_refuse(data: bytes, reader: FrameReader | None = None) -> Drop:
    with pytest.raises(FrameError) as caught:
        (reader or FrameReader(LIMIT_BYTES)).read(data)
    return caught.value.reason


@given(st.lists(messages, max_size=20))
def test_messages_come_back_as_envelopes(sent: list[Message]) -> None:
    frame = read(encode_messages(ALICE, BOB, sent))

    assert frame == Batch(
        ALICE, BOB, [Envelope._make((*ALICE, *BOB, *message)) for message in sent]
    )


def test_greetings_come_back() -> None:
    assert read(encode_hello(ALICE, BOB.node)) == Hello(ALICE, BOB.node)
    assert read(encode_welcome(BOB, ALICE)) == Welcome(BOB, ALICE)


def test_a_frame_can_be_read_where_it_lies() -> None:
    data = encode_messages(ALICE, BOB, [text(b"body")])

    frame = FrameReader(LIMIT_BYTES).read(memoryview(bytearray(data)))

    assert isinstance(frame, Batch)
    assert frame.envelopes[0].body == b"body"
    assert type(frame.envelopes[0].body) is bytes


def test_the_largest_batch_is_read_and_one_more_is_not() -> None:
    full = [text(b"")] * MAXIMUM_MESSAGES
    frame = read(encode_messages(ALICE, BOB, full))
    assert isinstance(frame, Batch)
    assert len(frame.envelopes) == MAXIMUM_MESSAGES

    too_many = pack([*HEADER, *[b"", "", 1, b""] * (MAXIMUM_MESSAGES + 1)])
    assert reason_to_refuse(too_many) is Drop.GARBLED


def test_n11_a_frame_above_the_limit_is_refused_unread() -> None:
    assert reason_to_refuse(bytes(LIMIT_BYTES + 1)) is Drop.OVERSIZED


def test_n11_another_version_is_told_from_garbage() -> None:
    for version in (0, PROTOCOL_VERSION + 1):
        data = pack([version, FrameType.MESSAGES, *ALICE, *BOB])
        assert reason_to_refuse(data) is Drop.UNKNOWN_VERSION
    # A later version may nest; its frames are still recognised by their first element.
    assert reason_to_refuse(pack([2, {"a": [1]}])) is Drop.UNKNOWN_VERSION


NO_MESSAGES: list[tuple[str, list[object]]] = [
    ("a text cluster", ["", "", 1, b""]),
    ("a long cluster", [bytes(IDENTIFIER_BYTES + 1), "", 1, b""]),
    ("a bytes store", [b"", b"", 1, b""]),
    ("a long store", [b"", "s" * 1025, 1, b""]),
    ("a negative kind", [b"", "", -1, b""]),
    ("a large kind", [b"", "", 256, b""]),
    ("a truth for a kind", [b"", "", True, b""]),
    ("a fraction for a kind", [b"", "", 1.0, b""]),
    ("an empty array for a cluster", [NOTHING, "", 1, b""]),
    ("an empty map for a kind", [b"", "", NO_KEYS, b""]),
    ("a text body", [b"", "", 1, "text"]),
    ("no body", [b"", "", 1, None]),
    ("an array body", [b"", "", 1, [1]]),
    ("an extension", [b"", "", 1, msgpack.ExtType(7, b"a")]),
    ("an empty extension", [b"", "", 1, msgpack.ExtType(7, b"")]),
    ("a timestamp", [b"", "", 1, msgpack.Timestamp(1, 2)]),
]


@pytest.mark.parametrize(("what", "scalars"), NO_MESSAGES)
def test_n11_what_is_no_message_is_refused_alone_and_among_others(
    what: str, scalars: list[object]
) -> None:
    good = [b"", "", 1, b""]
    assert reason_to_refuse(pack([*HEADER, *scalars])) is Drop.GARBLED, what
    assert reason_to_refuse(pack([*HEADER, *scalars, *good])) is Drop.GARBLED, what
    assert reason_to_refuse(pack([*HEADER, *good, *scalars])) is Drop.GARBLED, what


def test_headers_are_told_apart_however_many_peers_there_are() -> None:
    reader = FrameReader(LIMIT_BYTES)
    peers = [NodeIncarnation(f"peer{number}@h:1", b"%d" % number) for number in range(200)]
    for peer in (*peers, *reversed(peers)):
        frame = reader.read(encode_messages(peer, BOB, [text(b"x")]))
        assert isinstance(frame, Batch)
        assert (frame.sender, frame.receiver) == (peer, BOB)
        assert frame.envelopes[0].from_node == peer.node
    no_text: list[list[object]] = [
        [*HEADER[:2], "", *HEADER[3:]],
        [*HEADER[:2], NO_KEYS, *HEADER[3:]],
        [*HEADER[:3], "a", *HEADER[4:]],
    ]
    for header in no_text:
        assert reason_to_refuse(pack([*header, b"", "", 1, b""]), reader) is Drop.GARBLED


@pytest.mark.parametrize(
    ("what", "data"),
    [
        ("nothing", b""),
        ("no array", pack(b"alice")),
        ("an empty array", pack([])),
        ("a version and no more", pack([PROTOCOL_VERSION])),
        ("a text for a version", pack(["1", 3, *ALICE, *BOB])),
        ("an unknown type", pack([PROTOCOL_VERSION, 9, *ALICE, *BOB])),
        ("a truth for a type", pack([PROTOCOL_VERSION, True, *ALICE, BOB.node])),
        ("a text for a type", pack([PROTOCOL_VERSION, "hello", *ALICE, BOB.node])),
        ("a short header", pack([PROTOCOL_VERSION, FrameType.MESSAGES, *ALICE])),
        ("a short greeting", pack([PROTOCOL_VERSION, FrameType.HELLO, *ALICE])),
        ("a long greeting", pack([PROTOCOL_VERSION, FrameType.HELLO, *ALICE, *BOB])),
        ("a long welcome", pack([PROTOCOL_VERSION, FrameType.WELCOME, *ALICE, *BOB, 1])),
        ("an empty name", pack([PROTOCOL_VERSION, FrameType.HELLO, "", b"a", "b"])),
        ("an endless name", pack([PROTOCOL_VERSION, FrameType.HELLO, "a" * 201, b"a", "b"])),
        ("bytes for a name", pack([PROTOCOL_VERSION, FrameType.HELLO, b"a", b"a", "b"])),
        ("no incarnation", pack([PROTOCOL_VERSION, FrameType.HELLO, "a", b"", "b"])),
        ("a long incarnation", pack([PROTOCOL_VERSION, FrameType.HELLO, "a", bytes(65), "b"])),
        ("a text incarnation", pack([PROTOCOL_VERSION, FrameType.HELLO, "a", "a", "b"])),
        ("half a message", pack([*HEADER, b"", ""])),
        ("an empty array body", pack(EMPTY_ARRAY_BODY)),
        ("an empty map body", pack(EMPTY_MAP_BODY)),
        ("a claim of four billion elements", b"\xdd\xff\xff\xff\xff\x01"),
        ("a claim of four billion bytes", b"\x93\x01\x03\xc6\xff\xff\xff\xff"),
        ("a thousand arrays", b"\x91" * 1000),
        ("bad UTF-8", b"\x95\x01\x01\xa1\xff\xc4\x01a\xa1b"),
        ("the unused type", b"\x91\xc1"),
        ("more after the end", encode_hello(ALICE, BOB.node) + b"\x00"),
        ("two frames", encode_hello(ALICE, BOB.node) * 2),
    ],
)
def test_n11_garbage_is_refused(what: str, data: bytes) -> None:
    assert reason_to_refuse(data) is Drop.GARBLED, what


def test_n11_a_frame_cut_anywhere_is_refused_and_the_next_is_read() -> None:
    whole = encode_messages(ALICE, BOB, [text(b"body", store_id="orders")] * 3)
    reader = FrameReader(LIMIT_BYTES)

    for length in range(len(whole)):
        assert reason_to_refuse(whole[:length], reader) is Drop.GARBLED
        assert isinstance(reader.read(whole), Batch)


@given(st.binary(max_size=200))
def test_n11_random_bytes_never_raise_anything_else(data: bytes) -> None:
    reason_to_refuse(data)


def test_n11_a_damaged_frame_is_refused_or_read_but_raises_nothing_else() -> None:
    dice = random.Random(1)
    whole = encode_messages(ALICE, BOB, [text(b"body", store_id="orders")] * 3)
    reader = FrameReader(LIMIT_BYTES)
    refused = 0
    for _ in range(2000):
        damaged = bytearray(whole)
        damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
        try:
            reader.read(bytes(damaged))
        except FrameError:
            refused += 1
    assert refused > 100
    assert isinstance(reader.read(whole), Batch)
